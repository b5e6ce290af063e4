#include "engine/run/start_and_end.hpp"

#include <algorithm>

namespace lockstep {

namespace {

/// Without what says nothing: a key that is null or empty is as one that is not there. The pause is
/// looked at by itself.
nlohmann::json essential(const nlohmann::json& config) {
    if (!config.is_object()) {
        return config;
    }
    nlohmann::json kept = nlohmann::json::object();
    for (const auto& [key, value] : config.items()) {
        nlohmann::json part = essential(value);
        if (!part.is_null() && !(part.is_object() && part.empty())) {
            kept[key] = std::move(part);
        }
    }
    return kept;
}

void compare_config(const nlohmann::json& start,
                    const nlohmann::json& end,
                    const std::string& path,
                    std::vector<Difference>& found) {
    const auto keys_of = [](const nlohmann::json& config, std::vector<std::string>& keys) {
        for (const auto& [key, value] : config.items()) {
            if (std::ranges::find(keys, key) == keys.end()) {
                keys.push_back(key);
            }
        }
    };
    std::vector<std::string> keys;
    keys_of(start, keys);
    keys_of(end, keys);
    const nlohmann::json nothing;
    for (const std::string& key : keys) {
        const std::string name = path.empty() ? key : path + "." + key;
        const nlohmann::json& before = start.contains(key) ? start.at(key) : nothing;
        const nlohmann::json& after = end.contains(key) ? end.at(key) : nothing;
        if (before == after || name == "pause") {
            continue;
        }
        if (before.is_object() && after.is_object()) {
            compare_config(before, after, name, found);
        } else {
            found.push_back({"config " + name,
                             "the configuration has " + name + ": " +
                                 (after.is_null() ? "nothing" : after.dump()) + ", and had " +
                                 (before.is_null() ? "nothing" : before.dump())});
        }
    }
}

void compare_member(const MemberFacts& before,
                    const MemberFacts& after,
                    std::vector<Difference>& found) {
    const std::string& had = before.patroni.installed;
    const std::string& has = after.patroni.installed;
    if (!had.empty() && !has.empty() && had != has) {
        found.push_back(
            {"version " + before.name, before.name + " has " + has + ", and had " + had});
    }
    if (after.pending_restart && !before.pending_restart && !after.api.failed()) {
        found.push_back(
            {"restart " + before.name,
             "PostgreSQL on " + before.name + " waits for a restart" +
                 (after.pending_restart_reason.is_object() && !after.pending_restart_reason.empty()
                      ? " (" + after.pending_restart_reason.begin().key() + ")"
                      : "")});
    }
    for (const auto& [name, value] : before.postgres.settings) {
        const auto now = after.postgres.settings.find(name);
        if (now != after.postgres.settings.end() && now->second != value) {
            found.push_back({"setting " + before.name + " " + name,
                             before.name + " runs with " + name + " = " + now->second +
                                 ", and ran with " + value});
        }
    }
}

}  // namespace

std::vector<Difference> compare_with_start(const ClusterFacts& start, const ClusterFacts& end) {
    std::vector<Difference> found;
    for (const MemberFacts& before : start.members) {
        if (const MemberFacts* after = end.find(before.name)) {
            compare_member(before, *after, found);
        } else {
            found.push_back(
                {"member " + before.name, before.name + " is no member any more", true});
        }
    }
    if (start.config.is_object() && end.config.is_object()) {
        compare_config(essential(start.config), essential(end.config), "", found);
    }
    if (!start.leader.empty() && !end.leader.empty() && start.leader != end.leader) {
        found.push_back(
            {"leader", "the leader is " + end.leader + ", and was " + start.leader, true});
    }
    return found;
}

}  // namespace lockstep
