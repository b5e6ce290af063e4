#include "cluster/pending_restart.hpp"

#include <algorithm>
#include <charconv>

namespace lockstep {

namespace {

using Json = nlohmann::json;

std::optional<std::int64_t> number_of(const std::string& text) {
    std::int64_t number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    return error == std::errc() && stop == end && !text.empty() ? std::optional(number)
                                                                : std::nullopt;
}

/// Patroni gives texts in its reasons, and what a person wrote in its configuration.
std::optional<std::int64_t> number_of(const Json& value) {
    if (value.is_number_integer()) {
        return value.get<std::int64_t>();
    }
    return value.is_string() ? number_of(value.get<std::string>()) : std::nullopt;
}

const Json& at(const Json& object, const char* key) {
    static const Json k_nothing;
    return object.is_object() && object.contains(key) ? object.at(key) : k_nothing;
}

/// The dynamic configuration, and nothing else: of these five Patroni does not take the value of a
/// member's own file (patroni/postgresql/config.py, CMDLINE_OPTIONS, 2.1 to 4.1).
std::optional<std::int64_t> configured(const ClusterFacts& facts, const std::string& name) {
    return number_of(at(at(at(facts.config, "postgresql"), "parameters"), name.c_str()));
}

std::string values(const std::string& name, std::int64_t from, std::int64_t to) {
    return name + " from " + std::to_string(from) + " to " + std::to_string(to);
}

}  // namespace

bool must_not_be_below_primary(std::string_view name) {
    return std::ranges::find(k_not_below_primary, name) != k_not_below_primary.end();
}

std::optional<std::int64_t> running_number(const MemberFacts& member, const std::string& name) {
    const auto found = member.postgres.settings.find(name);
    return found == member.postgres.settings.end() ? std::nullopt : number_of(found->second);
}

std::vector<SettingMove> moves_of_restart(const ClusterFacts& facts, const MemberFacts& member) {
    std::vector<SettingMove> moves;
    if (!member.pending_restart) {
        return moves;
    }
    const Json& reasons = member.pending_restart_reason;
    const bool told = reasons.is_object() && !reasons.empty();
    for (const std::string_view each : k_not_below_primary) {
        const std::string name(each);
        if (told && !reasons.contains(name)) {
            continue;
        }
        const auto known = running_number(member, name);
        const auto from = known || !told ? known : number_of(at(reasons.at(name), "old_value"));
        const auto to =
            told ? number_of(at(reasons.at(name), "new_value")) : configured(facts, name);
        if (from && to && from != to) {
            moves.push_back({name, *from, *to});
        }
    }
    return moves;
}

std::string out_of_order(const ClusterFacts& facts, const MemberFacts& member) {
    const MemberFacts* leader = facts.leader_member();
    for (const SettingMove& move : moves_of_restart(facts, member)) {
        if (!member.is_leader() && move.lowers()) {
            const auto there =
                leader == nullptr ? std::nullopt : running_number(*leader, move.name);
            if (!there || *there > move.to) {
                return "its restart lowers " + values(move.name, move.from, move.to) +
                       ", and the leader " +
                       (there ? "runs with " + std::to_string(*there)
                              : std::string("is not known to run with that")) +
                       ": the leader has to be restarted first";
            }
        }
        if (!member.is_leader() || !move.raises()) {
            continue;
        }
        for (const MemberFacts& other : facts.members) {
            const auto there = running_number(other, move.name);
            if (&other != &member && (!there || *there < move.to)) {
                return "its restart raises " + values(move.name, move.from, move.to) + ", and " +
                       other.name + " " +
                       (there ? "runs with " + std::to_string(*there)
                              : std::string("is not known to run with that")) +
                       ": replicas have to be restarted first, else their replay stops";
            }
        }
    }
    return {};
}

}  // namespace lockstep
