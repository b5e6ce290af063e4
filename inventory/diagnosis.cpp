#include "inventory/diagnosis.hpp"

#include "base/clock.hpp"
#include "base/units.hpp"
#include "inventory/diagnosis_rules.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using rules::Findings;

void leadership(const ClusterFacts& facts, Findings& found) {
    if (facts.leader.empty()) {
        const std::string why =
            facts.cluster_error.empty()
                ? "nobody holds the leader lock"
                : "the holder of the leader lock is unknown: " + facts.cluster_error;
        found.push_back({"cluster.no_leader",
                         Severity::critical,
                         "",
                         "",
                         "the cluster has no leader: " + why,
                         "Look at the Patroni logs and at the DCS (etcd, Consul, …) first. Change "
                         "nothing on the members until there is a leader again.",
                         ""});
    }
    std::vector<std::string> primaries;
    std::vector<std::string> without_lock;
    for (const MemberFacts& member : facts.members) {
        if (member.role == "primary") {
            without_lock.push_back(member.name);
            primaries.push_back(member.name);
        } else if (member.role == "leader" && member.api.ok() && !member.in_recovery &&
                   member.state == "running") {
            primaries.push_back(member.name);
        }
    }
    const bool rival = !without_lock.empty() && !facts.leader.empty();
    if (primaries.size() < 2 && !rival) {
        return;
    }
    // Patroni in pause, resumed through a replica while the old primary's daemon was down: both
    // accept writes, and the old one's are lost when its daemon comes back.
    found.push_back(
        {"cluster.two_primaries",
         Severity::critical,
         "",
         "",
         rules::join_names(without_lock) + " accepts writes without the leader lock" +
             (facts.leader.empty() ? "" : ", which " + facts.leader + " holds"),
         "Do not resume the cluster and do not start or restart Patroni: whatever was "
         "written to the losing side would be thrown away. Decide first which one is right.",
         ""});
}

std::string since_text(const ClusterFacts& facts) {
    return facts.paused_since ? " (at least since " + to_iso8601(*facts.paused_since) + ")" : "";
}

void maintenance(const ClusterFacts& facts, Findings& found) {
    if (facts.paused) {
        std::vector<std::string> unaware;
        for (const MemberFacts& member : facts.members) {
            if (member.api.ok() && !member.paused) {
                unaware.push_back(member.name);
            }
        }
        found.push_back(
            {"cluster.paused",
             Severity::warning,
             "",
             "",
             "the cluster is paused" + since_text(facts) + ": no failover happens" +
                 (unaware.empty() ? "" : ", and not known yet to " + rules::join_names(unaware)),
             "Find out who paused it and why. Resume it with `patronictl resume`, but only while "
             "the "
             "leader's Patroni runs.",
             ""});
    }
    if (facts.scheduled_switchover) {
        found.push_back({"cluster.scheduled_action",
                         Severity::warning,
                         "",
                         "switchover",
                         "a switchover is scheduled",
                         "Wait until it is over, or cancel it with `patronictl flush`.",
                         ""});
    }
    for (const MemberFacts& member : facts.members) {
        if (member.scheduled_restart) {
            found.push_back({"cluster.scheduled_action",
                             Severity::warning,
                             member.name,
                             "restart",
                             "a restart of PostgreSQL on " + member.name + " is scheduled",
                             "Wait until it is over, or cancel it with `patronictl flush`.",
                             ""});
        }
    }
    if (facts.patroni_write_refused) {
        found.push_back(
            {"patroni.write_refused",
             Severity::critical,
             "",
             "",
             "Patroni's REST API refuses changes from here: " + facts.patroni_write_error,
             "Set patroni.username and patroni.password in the inventory to those of "
             "restapi.authentication, and let restapi.allowlist contain this host.",
             ""});
    }
}

/// What the connection itself says to do, else what usually helps.
std::string remedy_for(const Access& access, const std::string& otherwise) {
    return access.hint.empty() ? otherwise : access.hint;
}

void unreachable(const MemberFacts& member,
                 const char* subject,
                 const std::string& message,
                 const std::string& remedy,
                 Findings& found) {
    found.push_back(
        {"member.unreachable", Severity::critical, member.name, subject, message, remedy, ""});
}

void reachability(const ClusterFacts& facts, const Cluster& expected, Findings& found) {
    for (const MemberFacts& member : facts.members) {
        if (member.api.failed()) {
            unreachable(
                member,
                "api",
                "Patroni's REST API on " + member.name + " cannot be used: " + member.api.error,
                remedy_for(member.api,
                           "Check that Patroni runs there and that this host may connect to it."),
                found);
        } else if (!member.listed && facts.cluster_error.empty()) {
            unreachable(member,
                        "cluster",
                        member.name + " is not among the members that Patroni lists",
                        "Check that its Patroni reaches the DCS, and that it is of this cluster.",
                        found);
        }
        if (member.ssh.failed()) {
            unreachable(member,
                        "ssh",
                        member.name + " cannot be reached by SSH: " + member.ssh.error,
                        remedy_for(member.ssh,
                                   "Try `lockstep doctor`: it shows what works with this member "
                                   "and what not."),
                        found);
        }
        const bool follows =
            member.ssh.failed() && expected.postgres.via == PostgresSettings::Via::ssh;
        if (member.sql.failed() && !follows) {
            unreachable(member,
                        "sql",
                        "PostgreSQL on " + member.name +
                            " cannot be asked about slots and WAL: " + member.sql.error,
                        remedy_for(member.sql, "Check that PostgreSQL runs there and lets us in."),
                        found);
        }
        for (const auto& [what, why] : member.unknown) {
            std::string message = "the " + what + " of " + member.name;
            message += " is unknown: " + why;
            found.push_back({"member.unreachable",
                             Severity::warning,
                             member.name,
                             what,
                             message,
                             "Check patroni_service and patroni_package in the inventory, and what "
                             "the login may see.",
                             ""});
        }
    }
}

bool is_replica(const MemberFacts& member) {
    return !member.is_leader() && member.role != "primary";
}

void streaming(const MemberFacts& member, Findings& found) {
    // Of a member that does not answer nothing is known, and that is a finding of its own.
    if (!member.api.ok() || member.state == "streaming" || member.state == "in archive recovery") {
        return;
    }
    found.push_back({"replication.not_streaming",
                     Severity::critical,
                     member.name,
                     "",
                     member.name + " does not replicate: its state is " +
                         (member.state == "running" ? "running, without a connection to its source"
                                                    : member.state),
                     "Look at PostgreSQL's log on " + member.name +
                         ": usually WAL is missing, the timeline differs, or the login is refused.",
                     ""});
}

void replication(const ClusterFacts& facts, Findings& found) {
    constexpr std::int64_t k_much_lag = std::int64_t{16}
                                        << 20;  // one WAL segment of the default size
    for (const MemberFacts& member : facts.members) {
        if (!is_replica(member)) {
            continue;
        }
        streaming(member, found);
        if (member.lag_bytes && *member.lag_bytes > k_much_lag) {
            found.push_back(
                {"replication.lag",
                 Severity::warning,
                 member.name,
                 "",
                 member.name + " is " + format_bytes(*member.lag_bytes) + " behind the leader",
                 "Wait until it has caught up; if it does not, look at its disk and "
                 "network, and for long queries that hold its replay.",
                 ""});
        }
        if (facts.timeline && member.timeline && *member.timeline != *facts.timeline) {
            found.push_back({"replication.timeline",
                             Severity::critical,
                             member.name,
                             "",
                             member.name + " is on timeline " + std::to_string(*member.timeline) +
                                 ", the leader on " + std::to_string(*facts.timeline),
                             "Right after a switchover this passes. If it stays, reinitialise the "
                             "member with `patronictl reinit`.",
                             ""});
        }
    }
}

void pending_restarts(const ClusterFacts& facts, Findings& found) {
    for (const MemberFacts& member : facts.members) {
        if (!member.pending_restart) {
            continue;
        }
        std::vector<std::string> parameters;
        if (member.pending_restart_reason.is_object()) {
            for (const auto& [parameter, change] : member.pending_restart_reason.items()) {
                parameters.push_back(parameter);
            }
        }
        found.push_back(
            {"postgres.pending_restart",
             Severity::warning,
             member.name,
             "",
             "PostgreSQL on " + member.name + " waits for a restart" +
                 (parameters.empty() ? "" : " for " + rules::join_names(parameters)),
             "Restart it through Patroni when it suits: `patronictl restart --pending`.",
             ""});
    }
}

}  // namespace

std::vector<Finding> diagnose(const ClusterFacts& facts, const Cluster& expected) {
    Findings found;
    leadership(facts, found);
    maintenance(facts, found);
    reachability(facts, expected, found);
    rules::versions(facts, found);
    rules::storage(facts, found);
    replication(facts, found);
    pending_restarts(facts, found);
    rules::leftovers(facts, found);
    sort_worst_first(found);
    return found;
}

}  // namespace lockstep
