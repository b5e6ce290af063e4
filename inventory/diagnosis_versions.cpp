#include "base/error.hpp"
#include "base/package_version.hpp"
#include "inventory/diagnosis_rules.hpp"

#include <algorithm>
#include <map>

namespace lockstep {

namespace {

bool older(std::string_view version, std::string_view than) {
    return PackageVersion(version) < PackageVersion(than);
}

bool in_range(std::string_view version, std::string_view from, std::string_view below) {
    return !older(version, from) && older(version, below);
}

// From 4.0.0 on a replica keeps a slot for every other member and advances it to what the leader
// publishes; a leader before 4.0.0 publishes nothing for members (Patroni 4.0.3 release notes).
std::optional<BadPair> frozen_member_slots(std::string_view leader, std::string_view replica) {
    if (!older(leader, "4.0.0") || !in_range(replica, "4.0.0", "4.0.3")) {
        return std::nullopt;
    }
    return BadPair{
        "the replica creates slots for other members and never advances them, so its pg_wal grows "
        "until the disk is full",
        "Bring every member to one release of 4.0.4 or later with `lockstep run patroni-upgrade`; "
        "until then `lockstep run patroni-relieve-wal` makes the replica drop them.",
        "patroni#3184"};
}

// Permanent physical slots are on replicas from 3.2.0 on (#2852), and only a leader of 3.2.0 or
// later publishes how far they are. Seen with 3.1.2 and 3.2.1.
std::optional<BadPair> frozen_permanent_slots(std::string_view leader, std::string_view replica) {
    if (!older(leader, "3.2.0") || older(replica, "3.2.0")) {
        return std::nullopt;
    }
    return BadPair{
        "the replica creates the permanent physical slots and never advances them, so its pg_wal "
        "grows until the disk is full",
        "Bring the leader to 3.2.0 or later with `lockstep run patroni-upgrade`, or take the slots "
        "out of `slots` in the dynamic configuration until then.",
        "patroni#2852"};
}

}  // namespace

std::optional<BadPair> known_bad_pair(std::string_view leader,
                                      std::string_view replica,
                                      bool permanent_physical_slots) {
    if (auto pair = frozen_member_slots(leader, replica)) {
        return pair;
    }
    return permanent_physical_slots ? frozen_permanent_slots(leader, replica) : std::nullopt;
}

namespace rules {

namespace {

// Who runs what: version -> members.
using Spread = std::map<std::string, std::vector<std::string>>;

std::string describe(const Spread& spread) {
    std::vector<std::string> parts;
    for (const auto& [version, members] : spread) {
        parts.push_back(version + " on " + join_names(members));
    }
    return join_names(parts);
}

void mixed_versions(const ClusterFacts& facts, Findings& found) {
    Spread patroni;
    Spread postgres;
    for (const MemberFacts& member : facts.members) {
        if (!member.patroni.running.empty()) {
            patroni[member.patroni.running].push_back(member.name);
        }
        if (!member.postgres.running.empty()) {
            postgres[member.postgres.running].push_back(member.name);
        }
    }
    if (patroni.size() > 1) {
        found.push_back({"patroni.mixed_versions",
                         Severity::warning,
                         "",
                         "",
                         "members run different versions of Patroni: " + describe(patroni),
                         "Bring every member to one version with `lockstep run patroni-upgrade`: a "
                         "mixed cluster is meant for the length of an upgrade only.",
                         "patroni#3171"});
    }
    if (postgres.size() > 1) {
        found.push_back(
            {"config.drift",
             Severity::warning,
             "",
             "postgres",
             "members run different versions of PostgreSQL: " + describe(postgres),
             "Finish the update: restart PostgreSQL, through Patroni, where it is older.",
             ""});
    }
}

void known_bad_pairs(const ClusterFacts& facts, Findings& found) {
    const MemberFacts* leader = facts.leader_member();
    if (leader == nullptr || plain_upstream(leader->patroni.running).empty()) {
        return;
    }
    for (const MemberFacts& member : facts.members) {
        if (&member == leader || plain_upstream(member.patroni.running).empty()) {
            continue;
        }
        const bool member_slots_matter =
            keeps_member_slots(facts) && !member.tags.contains("nofailover");
        const bool permanent = has_permanent_physical_slots(facts);
        const auto pair =
            known_bad_pair(leader->patroni.running, member.patroni.running, permanent);
        if (!pair || (!permanent && !member_slots_matter)) {
            continue;
        }
        found.push_back({"patroni.known_bad_pair",
                         Severity::critical,
                         member.name,
                         "",
                         "Patroni " + member.patroni.running + " on " + member.name +
                             " does not go with " + leader->patroni.running + " on the leader " +
                             leader->name + ": " + pair->symptom,
                         pair->remedy,
                         pair->source});
    }
}

// Somebody relieved pg_wal by it, and it must not be forgotten: a member that is away for a moment
// loses its slot, and a replica that is promoted has none for the others.
void member_slots_given_up(const ClusterFacts& facts, Findings& found) {
    const auto is_4 = [](const MemberFacts& member) {
        const std::string running = plain_upstream(member.patroni.running);
        return !running.empty() && !older(running, "4.0.0");
    };
    if (member_slots_ttl_is_zero(facts) && std::ranges::any_of(facts.members, is_4)) {
        found.push_back({"config.member_slots_ttl",
                         Severity::info,
                         "",
                         "member_slots_ttl",
                         "member_slots_ttl is 0: Patroni 4.x keeps no slots for members on "
                         "replicas, and none for a member that is away; once every member runs one "
                         "version, `lockstep run patroni-relieve-wal` puts it back",
                         "Bring every member to one version, then run patroni-relieve-wal again. "
                         "Rolling back the run that set it puts it back at once.",
                         "patroni#3145"});
    }
}

void not_restarted(const ClusterFacts& facts, const MemberFacts& member, Findings& found) {
    const std::string patroni = plain_upstream(member.patroni.installed);
    if (!patroni.empty() && !member.patroni.running.empty() && patroni != member.patroni.running) {
        found.push_back(
            {"patroni.not_restarted",
             Severity::critical,
             member.name,
             "",
             member.name + " runs Patroni " + member.patroni.running + ", but " +
                 member.patroni.installed +
                 " is installed: the daemon was not "
                 "restarted after the package changed",
             "Run `lockstep run patroni-upgrade`: it restarts the daemon in maintenance "
             "mode and leaves PostgreSQL alone.",
             "patroni#3184"});
    }
    // Seen with a server of 15.18 under the package of 15.20: Patroni calls such a replica running.
    const std::string postgres = plain_upstream(member.postgres.installed);
    if (!postgres.empty() && !member.postgres.running.empty() &&
        postgres != member.postgres.running) {
        found.push_back(
            {"postgres.not_restarted",
             Severity::warning,
             member.name,
             "",
             member.name + " runs PostgreSQL " + member.postgres.running + ", but " +
                 member.postgres.installed +
                 " is installed: a server that loads newer libraries than itself can fail, as a "
                 "replica does that cannot connect again because of an undefined symbol in "
                 "libpqwalreceiver",
             "Restart PostgreSQL through Patroni, replicas first: `patronictl restart " +
                 facts.scope + " " + member.name +
                 "`. Keep the package manager from updating PostgreSQL as a side effect.",
             ""});
    }
}

}  // namespace

std::string plain_upstream(std::string_view version) {
    try {
        const PackageVersion parsed(version);
        const std::string& upstream = parsed.upstream();
        return upstream.substr(0, upstream.find_first_not_of("0123456789."));
    } catch (const Error&) {
        return {};
    }
}

std::string join_names(const std::vector<std::string>& names) {
    std::string text;
    for (std::size_t n = 0; n < names.size(); ++n) {
        const bool last = n + 1 == names.size();
        text += (n == 0 ? "" : last ? " and " : ", ") + names[n];
    }
    return text;
}

void versions(const ClusterFacts& facts, Findings& found) {
    mixed_versions(facts, found);
    known_bad_pairs(facts, found);
    member_slots_given_up(facts, found);
    for (const MemberFacts& member : facts.members) {
        not_restarted(facts, member, found);
    }
}

}  // namespace rules

}  // namespace lockstep
