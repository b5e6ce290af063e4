#include "base/error.hpp"
#include "base/package_version.hpp"
#include "cluster/diagnosis_rules.hpp"

#include <algorithm>
#include <map>

namespace lockstep {

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

/// A warning only: every upgrade goes through such a state. That a pair is really bad is known by
/// engine/knowledge/.
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
        found.push_back(
            {"patroni.mixed_versions",
             Severity::warning,
             "",
             "",
             "members run different versions of Patroni: " + describe(patroni),
             "Bring every member to one version with `lockstep run patroni-upgrade`, or "
             "the replicas to the leader's with `lockstep run "
             "patroni-align-replicas`: a mixed cluster is meant for the length of an "
             "upgrade only.",
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

// Somebody relieved pg_wal by it, and it must not be forgotten: a member that is away for a moment
// loses its slot, and a replica that is promoted has none for the others.
void member_slots_given_up(const ClusterFacts& facts, Findings& found) {
    const auto is_4 = [](const MemberFacts& member) {
        const std::string running = plain_upstream(member.patroni.running);
        return !running.empty() && PackageVersion(running) >= PackageVersion("4.0.0");
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

/// The REST API of before tells less, and in other words.
void unsupported(const MemberFacts& member, Findings& found) {
    const std::string running = plain_upstream(member.patroni.running);
    if (running.empty() || PackageVersion(running) >= PackageVersion("2.1.0")) {
        return;
    }
    found.push_back({"patroni.unsupported",
                     Severity::warning,
                     member.name,
                     "",
                     member.name + " runs Patroni " + member.patroni.running +
                         ": lockstep is made for 2.1.0 and later; what an older one does not tell "
                         "is unknown here, and a run stops at what is unknown",
                     "Bring it to 2.1.7 first, and watch that; from there on any plan holds.",
                     ""});
}

void not_restarted(const ClusterFacts& facts, const MemberFacts& member, Findings& found) {
    const std::string patroni = plain_upstream(member.patroni.installed);
    const bool of_package = !member.setup || member.setup->packaged != false;
    if (of_package && !patroni.empty() && !member.patroni.running.empty() &&
        patroni != member.patroni.running) {
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

/// The daemon tells its version without what packagers add (`+ds`, `~deb13u1`), so both are cut to
/// numbers and dots before they are compared.
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

/// Of the cluster first, then of each member: a daemon that was not restarted is found although
/// every daemon tells the same version.
void versions(const ClusterFacts& facts, Findings& found) {
    mixed_versions(facts, found);
    member_slots_given_up(facts, found);
    for (const MemberFacts& member : facts.members) {
        unsupported(member, found);
        not_restarted(facts, member, found);
    }
}

}  // namespace rules

}  // namespace lockstep
