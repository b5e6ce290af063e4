#include "cluster/sample.hpp"

#include "cluster/diagnosis.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>
#include <utility>

namespace lockstep {

namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

/// Settings of the dynamic configuration that say when and whether slots move.
const std::array<const char*, 4> k_slot_settings{
    "loop_wait", "slots", "ignore_slots", "member_slots_ttl"};

Json slot_settings(const ClusterFacts& facts) {
    Json kept = Json::object();
    if (!facts.config.is_object()) {
        return kept;
    }
    for (const char* name : k_slot_settings) {
        if (facts.config.contains(name)) {
            kept[name] = facts.config.at(name);
        }
    }
    if (!keeps_member_slots(facts)) {
        kept["postgresql"] = {{"use_slots", false}};
    }
    return kept;
}

Json thin_member(const MemberFacts& member) {
    const Json all = member.to_json();
    Json kept = Json::object();
    for (const char* name :
         {"name", "host", "listed", "position", "system_identifier", "disk", "slots"}) {
        kept[name] = all.at(name);
    }
    kept["patroni"] = {{"running", all.at("patroni").at("running")}};
    kept["postgres"] = {{"started_at", all.at("postgres").at("started_at")}};
    if (member.unit) {
        kept["unit"] = {{"started_at", member.unit->started_at}};
    }
    if (member.wal) {
        Json& wal = kept["wal"];
        for (const char* name :
             {"bytes", "segment_bytes", "oldest_lsn", "redo_lsn", "held_bytes"}) {
            wal[name] = all.at("wal").at(name);
        }
    }
    return kept;
}

struct Tier {
    std::chrono::seconds age;
    std::chrono::seconds width;
};

constexpr std::array<Tier, 4> k_tiers{{
    {10min, 5s},
    {1h, 1min},
    {24h, 10min},
    {24h * 30, 2h},
}};

bool is_same_daemon(const MemberFacts& a, const MemberFacts& b) {
    if (a.patroni.running != b.patroni.running) {
        return false;
    }
    return !a.unit || !b.unit || a.unit->started_at == b.unit->started_at;
}

}  // namespace

std::optional<std::chrono::milliseconds> elapsed(const Moment& from, const Moment& to) {
    const bool one_boot = !from.boot_id.empty() && from.boot_id == to.boot_id;
    const auto length =
        one_boot ? to.since_boot - from.since_boot
                 : std::chrono::duration_cast<std::chrono::milliseconds>(to.wall - from.wall);
    return length.count() < 0 ? std::nullopt : std::optional(length);
}

Json thin(const ClusterFacts& facts) {
    Json members = Json::array();
    for (const MemberFacts& member : facts.members) {
        members.push_back(thin_member(member));
    }
    return {{"name", facts.name},
            {"leader", facts.leader},
            {"paused", facts.paused},
            {"config", slot_settings(facts)},
            {"members", members}};
}

bool is_comparable(const ClusterFacts& earlier, const ClusterFacts& now) {
    return earlier.leader == now.leader && earlier.paused == now.paused &&
           slot_settings(earlier) == slot_settings(now) &&
           earlier.members.size() == now.members.size() &&
           std::ranges::all_of(now.members, [&](const MemberFacts& member) {
               const MemberFacts* before = earlier.find(member.name);
               return before != nullptr && is_same_daemon(*before, member);
           });
}

std::optional<ClusterFacts> earlier_for_slots(const std::vector<Sample>& samples,
                                              const ClusterFacts& now) {
    const Sample* newest = nullptr;
    for (const Sample& sample : samples) {
        if (sample.ago >= stuck_interval(now) && (newest == nullptr || sample.ago < newest->ago)) {
            newest = &sample;
        }
    }
    if (newest == nullptr || !is_comparable(newest->facts, now)) {
        return std::nullopt;
    }
    ClusterFacts earlier = newest->facts;
    earlier.sampled_at = now.sampled_at - newest->ago;
    return earlier;
}

std::vector<std::size_t> to_forget(const std::vector<Clock::Wall>& at, Clock::Wall now) {
    std::vector<std::size_t> dropped;
    std::vector<std::size_t> kept;
    std::set<std::pair<std::size_t, std::int64_t>> taken;
    for (std::size_t n = 0; n < at.size(); ++n) {
        const auto* tier = std::ranges::find_if(
            k_tiers, [&](const Tier& candidate) { return now - at[n] <= candidate.age; });
        bool keep = n + 1 == at.size();
        if (tier != k_tiers.end()) {
            const std::int64_t stretch =
                std::chrono::floor<std::chrono::seconds>(at[n].time_since_epoch()) / tier->width;
            const auto index = static_cast<std::size_t>(tier - k_tiers.begin());
            keep = taken.emplace(index, stretch).second || keep;
        }
        (keep ? kept : dropped).push_back(n);
    }
    if (kept.size() > k_most_samples) {  // a clock that was set: stretches of another time
        dropped.insert(dropped.end(), kept.begin(), kept.end() - k_most_samples);
    }
    return dropped;
}

/// Where Patroni gives no list, nobody is missing from it.
std::vector<MissingMember> missing_members(const std::vector<Sample>& samples,
                                           const ClusterFacts& now) {
    std::vector<MissingMember> missing;
    if (!now.cluster_error.empty()) {
        return missing;
    }
    const auto is_of_this_system = [&](const MemberFacts& before) {
        return before.listed && !before.system_identifier.empty() &&
               std::ranges::find(now.members,
                                 before.system_identifier,
                                 &MemberFacts::system_identifier) != now.members.end();
    };
    for (auto sample = samples.rbegin(); sample != samples.rend(); ++sample) {
        for (const MemberFacts& member : sample->facts.members) {
            if (is_of_this_system(member) && now.find(member.name) == nullptr &&
                std::ranges::find(missing, member.name, &MissingMember::name) == missing.end()) {
                missing.push_back({member.name, member.host, sample->at});
            }
        }
    }
    std::ranges::sort(missing, {}, &MissingMember::name);
    return missing;
}

}  // namespace lockstep
