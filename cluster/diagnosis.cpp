#include "cluster/diagnosis.hpp"

#include "base/clock.hpp"
#include "base/units.hpp"
#include "cluster/diagnosis_rules.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using rules::Findings;

/// `n1 8 s ago and n2 9 s ago`, of the members that answer and tell; empty: none does.
std::string last_saw_the_dcs(const ClusterFacts& facts) {
    std::vector<std::string> parts;
    for (const MemberFacts& member : facts.members) {
        if (member.api.ok() && member.dcs_seen_ago) {
            parts.push_back(member.name + " " + rules::ago(*member.dcs_seen_ago));
        }
    }
    return rules::join_names(parts);
}

/// Only where everybody could be asked: a primary that does not answer may still take them.
std::string who_takes_writes(const ClusterFacts& facts) {
    bool all_follow = !facts.members.empty();
    for (const MemberFacts& member : facts.members) {
        all_follow = all_follow && (member.api.ok() || member.sql.ok()) && member.in_recovery;
    }
    return all_follow ? "no member takes writes: nobody can write" : "";
}

// A member answers /patroni from memory while the DCS is down, and fails or hangs in /cluster.
void no_leader(const ClusterFacts& facts, Findings& found) {
    Finding finding{.id = "cluster.no_leader", .severity = Severity::critical};
    const bool somebody_answers = std::ranges::any_of(
        facts.members, [](const MemberFacts& member) { return member.api.ok(); });
    if (!facts.cluster_error.empty() && somebody_answers) {
        const std::string seen = last_saw_the_dcs(facts);
        const std::string writes = who_takes_writes(facts);
        finding.subject = "dcs";
        finding.message =
            "it is unknown who leads, because the DCS cannot be reached: Patroni "
            "answers, but not about the cluster (" +
            facts.cluster_error + ")" + (seen.empty() ? "" : "; the DCS was last seen by " + seen) +
            (writes.empty() ? "" : "; " + writes);
        finding.remedy =
            "Bring the DCS (etcd, Consul, …) back first, or the network to it. Until then restart "
            "no Patroni: a daemon that starts without its DCS has no REST API.";
    } else if (!facts.cluster_error.empty()) {
        finding.message = "the cluster has no leader: the holder of the leader lock is unknown: " +
                          facts.cluster_error;
        finding.remedy =
            "Look at the Patroni logs and at the DCS (etcd, Consul, …) first. Change "
            "nothing on the members until there is a leader again.";
    } else {
        std::vector<std::string> primaries;
        for (const MemberFacts& member : facts.members) {
            if (member.role == "primary") {
                primaries.push_back(member.name);
            }
        }
        finding.message = "the cluster has no leader: nobody holds the leader lock";
        if (!primaries.empty()) {
            finding.message += ", and " + rules::join_names(primaries) + " runs as primary without";
        }
        if (const std::string writes = who_takes_writes(facts); !writes.empty()) {
            finding.message += "; " + writes;
        }
        if (facts.paused) {
            finding.message += "; the cluster is paused, so that no replica will take it";
        }
        finding.remedy =
            primaries.empty() || !facts.paused
                ? "Look at the Patroni logs and at the DCS (etcd, Consul, …) first. Change nothing "
                  "on the members until there is a leader again."
                : "Start Patroni on " + primaries.front() +
                      ": it takes the lock again. Do not resume the cluster before.";
    }
    found.push_back(std::move(finding));
}

// Patroni in pause, resumed through a replica while the old primary's daemon was down: a replica is
// promoted within seconds, both accept writes, and the old one's are lost without a word when its
// daemon comes back and rewinds it. Seen with 4.0.3.
void two_primaries(const ClusterFacts& facts, Findings& found) {
    std::vector<std::string> without_lock;
    std::vector<std::string> details;
    std::size_t primaries = 0;
    for (const MemberFacts& member : facts.members) {
        const bool rival = member.role == "primary";
        const bool leads = member.role == "leader" && member.api.ok() && !member.in_recovery &&
                           member.state == "running";
        primaries += rival || leads ? 1U : 0U;
        if (rival) {
            without_lock.push_back(member.name);
        }
        if ((rival || leads) && member.timeline) {
            details.push_back(member.name + " is on timeline " + std::to_string(*member.timeline) +
                              (member.api.failed() ? " and its Patroni does not answer" : ""));
        }
    }
    if (primaries < 2 && (without_lock.empty() || facts.leader.empty())) {
        return;
    }
    found.push_back(
        {"cluster.two_primaries",
         Severity::critical,
         "",
         "",
         rules::join_names(without_lock) + (without_lock.size() > 1 ? " accept" : " accepts") +
             " writes without the leader lock" +
             (facts.leader.empty() ? "" : ", which " + facts.leader + " holds") +
             (details.empty() ? "" : "; " + rules::join_names(details)),
         "Do not resume the cluster and do not start or restart Patroni: a primary whose daemon "
         "finds another leader is rewound, and what was written to it alone is thrown away without "
         "a word. Keep clients off both, decide which one is right, and save what the other has.",
         ""});
}

/// Both are looked at, for two primaries are there with and without a holder of the lock.
void leadership(const ClusterFacts& facts, Findings& found) {
    if (facts.leader.empty()) {
        no_leader(facts, found);
    }
    two_primaries(facts, found);
}

/// The lock stays on the members as the sign of a pause that a run could not lift.
const LockFacts* lock_that_left_the_pause(const ClusterFacts& facts) {
    const LockFacts* lock = facts.lock_over_a_pause();
    return lock != nullptr && !lock->held() ? lock : nullptr;
}

/// From the history alone: Patroni does not say since when it is paused.
std::string since_text(const ClusterFacts& facts) {
    return facts.paused_since ? " (at least since " + to_iso8601(*facts.paused_since) + ")" : "";
}

/// Who paused it decides what to do: a run at work is waited for, one that ended is resumed or
/// taken back, anybody else has to be asked.
void paused(const ClusterFacts& facts, Findings& found) {
    std::vector<std::string> unaware;
    for (const MemberFacts& member : facts.members) {
        if (member.api.ok() && !member.paused) {
            unaware.push_back(member.name);
        }
    }
    Finding finding{.id = "cluster.paused", .severity = Severity::warning};
    finding.message =
        "the cluster is paused" + since_text(facts) + ": no failover happens" +
        (unaware.empty() ? "" : ", and not known yet to " + rules::join_names(unaware));
    const LockFacts* left = lock_that_left_the_pause(facts);
    if (const LockFacts* held = facts.held_lock()) {
        finding.severity = Severity::info;
        finding.message += "; run " + held->run + " by " + held->who + " is at work on it since " +
                           to_iso8601(Clock::Wall{std::chrono::seconds{held->since}});
        finding.remedy = "Wait until that run has ended.";
    } else if (left != nullptr) {
        finding.message += "; run " + left->run + " by " + left->who + " of " +
                           to_iso8601(Clock::Wall{std::chrono::seconds{left->since}}) +
                           " paused it and ended without resuming it";
        finding.remedy =
            "Go on with that run or take it back (see member.leftover), or resume with "
            "`patronictl resume`, but only while the leader's Patroni runs.";
    } else {
        finding.message += "; no run of lockstep that is on record here did it";
        finding.remedy =
            "Find out who paused it and why. Resume it with `patronictl resume`, but "
            "only while the leader's Patroni runs.";
    }
    found.push_back(std::move(finding));
}

std::string scheduled_switchover_text(const ClusterFacts& facts) {
    const SwitchoverFacts& plan = facts.switchover;
    return "a switchover" + (plan.from.empty() ? "" : " from " + plan.from) +
           (plan.to.empty() ? " to a member of Patroni's choice" : " to " + plan.to) +
           " is scheduled" + (plan.at.empty() ? "" : " for " + plan.at) +
           (facts.paused ? "; it does not happen in a pause, but may right after it" : "");
}

/// What somebody has scheduled may happen in the middle of a run.
void maintenance(const ClusterFacts& facts, Findings& found) {
    if (facts.paused) {
        paused(facts, found);
    }
    if (facts.scheduled_switchover) {
        found.push_back({"cluster.scheduled_action",
                         Severity::warning,
                         "",
                         "switchover",
                         scheduled_switchover_text(facts),
                         "Wait until it is over, or cancel it with `patronictl flush " +
                             facts.scope + " switchover`.",
                         ""});
    }
    for (const MemberFacts& member : facts.members) {
        if (member.scheduled_restart) {
            found.push_back(
                {"cluster.scheduled_action",
                 Severity::warning,
                 member.name,
                 "restart",
                 "a restart of PostgreSQL on " + member.name + " is scheduled" +
                     (member.scheduled_restart_at.empty() ? ""
                                                          : " for " + member.scheduled_restart_at),
                 "Wait until it is over, or cancel it with `patronictl flush " + facts.scope +
                     " restart`.",
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
             facts.patroni_write_hint,
             ""});
    }
}

bool is_replica(const MemberFacts& member) {
    return !member.is_leader() && member.role != "primary";
}

/// Whether there is anybody to follow: without a leader and a primary it is cluster.no_leader that
/// is to be mended, and nothing on the replicas.
bool has_source(const ClusterFacts& facts) {
    return !facts.leader.empty() ||
           std::ranges::any_of(facts.members, [](const MemberFacts& member) {
               return member.role == "primary" || (member.api.ok() && !member.in_recovery);
           });
}

/// Archive recovery is a way to follow as well, so it is no finding.
void streaming(const MemberFacts& member, Findings& found) {
    // Of a member that does not answer nothing is known, and that is a finding of its own.
    if (!member.api.ok() || member.state == "streaming" || member.state == "in archive recovery") {
        return;
    }
    const rules::PostgresState state = rules::postgres_state(member);
    if (state == rules::PostgresState::created) {
        found.push_back({"replication.not_streaming",
                         Severity::critical,
                         member.name,
                         "",
                         member.name +
                             " is being created: a base backup is being taken (Patroni "
                             "says: " +
                             member.state + ")",
                         "Wait until it streams; pg_stat_progress_basebackup on its source says "
                         "how far it is. Do not restart its Patroni: the copy would begin anew.",
                         ""});
        return;
    }
    if (state != rules::PostgresState::runs) {
        return;  // postgres.not_running
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

/// Of any role: why is in its log alone.
void not_running(const ClusterFacts& facts, Findings& found) {
    for (const MemberFacts& member : facts.members) {
        const rules::PostgresState state = rules::postgres_state(member);
        if (state != rules::PostgresState::starting && state != rules::PostgresState::down) {
            continue;
        }
        const bool starting = state == rules::PostgresState::starting;
        found.push_back(
            {"postgres.not_running",
             Severity::critical,
             member.name,
             "",
             "PostgreSQL on " + member.name +
                 (starting ? " is starting, and does not take connections yet" : " does not run") +
                 " (Patroni says: " + member.state + ")" +
                 (starting || member.last_words.empty()
                      ? ""
                      : "; it said last: " + member.last_words.back()),
             std::string(starting ? "Wait: it replays WAL. If that does not end, look" : "Look") +
                 " at the end of PostgreSQL's log on " + member.name +
                 " (log_directory), and at `journalctl -u` of its Patroni for what came before "
                 "the log was open.",
             ""});
    }
}

/// The leader's position less what the member has of it.
std::int64_t behind(const MemberFacts* leader, const std::optional<Lsn>& has) {
    const bool known = leader != nullptr && leader->position && has;
    return known && *leader->position > *has ? static_cast<std::int64_t>(*leader->position - *has)
                                             : 0;
}

/// One that replays late on purpose is judged by what it has received.
void delayed(const MemberFacts& member, std::int64_t waiting, Findings& found) {
    found.push_back({"replication.delayed",
                     Severity::info,
                     member.name,
                     "",
                     member.name + " replays " + format_duration(member.apply_delay()) +
                         " late, as recovery_min_apply_delay tells it to: " +
                         format_bytes(waiting) + " are received and wait for that",
                     "Nothing is to be done. What it has received counts as replicated.",
                     ""});
}

/// By time where the member tells it: what a bulk load leaves behind for seconds passes by itself.
void lag(const ClusterFacts& facts, const MemberFacts& member, Findings& found) {
    constexpr std::int64_t k_much_lag = std::int64_t{16}
                                        << 20;  // one WAL segment of the default size
    constexpr std::int64_t k_short = 10;        // seconds
    const bool late = member.apply_delay().count() > 0;
    const std::int64_t to_get = behind(facts.leader_member(), member.received);
    if (late && member.received) {
        const std::int64_t has = behind(facts.leader_member(), member.position);
        delayed(member, std::max<std::int64_t>(has - to_get, 0), found);
    }
    const std::int64_t lag = late && member.received ? to_get : member.lag_bytes.value_or(0);
    const bool brief = !late && member.replayed_ago && *member.replayed_ago <= k_short;
    if (lag <= k_much_lag || brief) {
        return;
    }
    found.push_back(
        {"replication.lag",
         Severity::warning,
         member.name,
         "",
         member.name + " is " + format_bytes(lag) + " behind the leader" +
             (!late && member.replayed_ago
                  ? ", and has replayed what was committed " +
                        format_duration(std::chrono::seconds{*member.replayed_ago}) + " ago"
                  : ""),
         "Wait until it has caught up; if it does not, look at its disk and "
         "network, and for long queries that hold its replay.",
         ""});
}

void replication(const ClusterFacts& facts, Findings& found) {
    const bool has_somebody_to_follow = has_source(facts);
    for (const MemberFacts& member : facts.members) {
        if (!is_replica(member)) {
            continue;
        }
        if (has_somebody_to_follow) {
            streaming(member, found);
        }
        lag(facts, member, found);
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

}  // namespace

rules::PostgresState rules::postgres_state(std::string_view word) {
    if (word.starts_with("creating replica")) {
        return PostgresState::created;
    }
    if (word == "starting" || word == "restarting") {
        return PostgresState::starting;
    }
    const bool down = word == "stopped" || word == "crashed" || word == "start failed" ||
                      word == "restart failed";
    return down ? PostgresState::down : PostgresState::runs;
}

rules::PostgresState rules::postgres_state(const MemberFacts& member) {
    return member.api.ok() ? postgres_state(member.state) : PostgresState::runs;
}

/// The rules do not depend on each other; their order only decides where severity and member are
/// alike.
std::vector<Finding> diagnose(const ClusterFacts& facts, const Cluster& expected) {
    Findings found;
    leadership(facts, found);
    maintenance(facts, found);
    rules::endpoints(facts, expected, found);
    rules::identities(facts, found);
    rules::reachability(facts, expected, found);
    rules::hosts(facts, expected, found);
    rules::versions(facts, found);
    rules::slot_findings(facts, found);
    rules::storage(facts, found);
    replication(facts, found);
    not_running(facts, found);
    rules::settings(facts, found);
    rules::leftovers(facts, found);
    sort_worst_first(found);
    return found;
}

}  // namespace lockstep
