#include "steps/actions/switchover_rules.hpp"

#include "base/units.hpp"
#include "steps/actions/daemon.hpp"
#include "steps/actions/patroni_requests.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using namespace std::chrono_literals;

/// Patroni's default of maximum_lag_on_failover.
constexpr std::int64_t k_default_lag = 1048576;

bool is_true(const nlohmann::json& value) {
    return value == true || value == "true" || value == "on" || value == "yes";
}

bool has_tag(const MemberFacts& member, const char* tag) {
    const auto found = member.tags.find(tag);
    return found != member.tags.end() && is_true(found->second);
}

/// Patroni 3.2: 0 is `nofailover`; nothing is 1.
std::int64_t failover_priority(const MemberFacts& member) {
    const auto found = member.tags.find("failover_priority");
    return found != member.tags.end() && found->second.is_number_integer()
               ? found->second.get<std::int64_t>()
               : 1;
}

std::int64_t most_lag(const ClusterFacts& facts) {
    const auto found = facts.config.is_object() ? facts.config.find("maximum_lag_on_failover")
                                                : facts.config.end();
    return found != facts.config.end() && found->is_number_integer()
               ? std::min(found->get<std::int64_t>(), k_default_lag)
               : k_default_lag;
}

bool is_sync(const MemberFacts& member) {
    return member.role == "sync_standby" || member.role == "quorum_standby";
}

Finding refusal(const MemberFacts& member,
                std::string id,
                const std::string& what,
                std::string remedy,
                bool passing = false) {
    return {.id = std::move(id),
            .severity = Severity::critical,
            .member = member.name,
            .subject = k_switchover_subject,
            .message = member.name + " " + what,
            .remedy = std::move(remedy),
            .source = {},
            .passing = passing};
}

void refuse_by_replication(const ClusterFacts& facts,
                           const MemberFacts& member,
                           std::vector<Finding>& refused) {
    const char* const wait = "Wait until it streams and has caught up, or take another member.";
    if (member.state != "streaming") {
        refused.push_back(refusal(member,
                                  "replication.not_streaming",
                                  "does not stream: it is " +
                                      (member.state.empty() ? "in an unknown state" : member.state),
                                  wait,
                                  true));
        return;
    }
    if (!streams_from_leader(facts, member.name)) {
        refused.push_back(refusal(member,
                                  "replication.timeline",
                                  "is not known to be on the leader's timeline",
                                  wait,
                                  true));
    }
    if (!member.lag_bytes || *member.lag_bytes > most_lag(facts)) {
        refused.push_back(refusal(
            member,
            "replication.lag",
            member.lag_bytes ? "is " + format_bytes(*member.lag_bytes) +
                                   " behind the leader, more than " + format_bytes(most_lag(facts))
                             : "is behind the leader by nobody knows how much",
            wait,
            true));
    }
    if (member.apply_delay().count() > 0) {
        refused.push_back(refusal(
            member,
            "replication.delayed",
            "replays " + format_duration(member.apply_delay()) + " late by its configuration",
            "Take another member."));
    }
}

/// A logical slot is on the leader alone, unless Patroni (`slots`) or PostgreSQL 17 (`failover`)
/// copies it: its consumer would have lost its place.
void refuse_by_slots(const MemberFacts& leader,
                     const MemberFacts& member,
                     std::vector<Finding>& refused) {
    if (!leader.slots || !member.slots) {
        refused.push_back(refusal(leader.slots ? member : leader,
                                  "slot.unknown",
                                  "does not say which replication slots it has",
                                  "See `lockstep doctor`."));
        return;
    }
    for (const SlotFacts& slot : *leader.slots) {
        if (slot.type == "logical" && find_slot(&member, slot.name) == nullptr) {
            refused.push_back(
                {.id = "slot.left_behind",
                 .severity = Severity::critical,
                 .member = member.name,
                 .subject = slot.name,
                 .message = member.name + " has no copy of the logical slot " + slot.name +
                            ", and would not have it as leader: who reads it loses its place",
                 .remedy = "Have Patroni keep it (`slots` of the dynamic configuration), or accept "
                           "it: --accept slot.left_behind:" +
                           slot.name + " --reason \"…\".",
                 .source = {},
                 .acceptable = true});
        }
    }
}

}  // namespace

bool leads_and_writes(const ClusterFacts& facts, const std::string& member) {
    const MemberFacts* leader = facts.leader_member();
    return leader != nullptr && leader->name == member && !leader->api.failed() &&
           postgres_runs(*leader) && !leader->in_recovery && leader->is_leader() &&
           leader->role != "standby_leader" && !leader->cluster_unlocked;
}

bool streams_from_leader(const ClusterFacts& facts, const std::string& member) {
    const MemberFacts* leader = facts.leader_member();
    const MemberFacts* replica = facts.find(member);
    return leader != nullptr && replica != nullptr && replica != leader &&
           replica->state == "streaming" && !replica->api.failed() && leader->timeline &&
           replica->timeline == leader->timeline;
}

bool is_synchronous(const ClusterFacts& facts) {
    const auto mode =
        facts.config.is_object() ? facts.config.find("synchronous_mode") : facts.config.end();
    return mode != facts.config.end() && (is_true(*mode) || *mode == "quorum");
}

std::vector<Finding> refuse_candidate(const ClusterFacts& facts, const std::string& candidate) {
    const MemberFacts* member = facts.find(candidate);
    const MemberFacts* leader = facts.leader_member();
    if (member == nullptr || leader == nullptr) {
        return {cluster_refusal("member.unknown",
                                k_switchover_subject,
                                "there is no member " + candidate,
                                "`lockstep check` lists them.")};
    }
    std::vector<Finding> refused = refuse_unless_reachable(member, candidate, true, true, true);
    if (!refused.empty()) {
        return refused;
    }
    if (has_tag(*member, "nofailover") || failover_priority(*member) <= 0) {
        refused.push_back(refusal(*member,
                                  "patroni.no_failover",
                                  "is not to lead: nofailover, or failover_priority 0",
                                  "Take another member, or remove the tag from its patroni.yml."));
    }
    if (has_tag(*member, "nostream")) {
        refused.push_back(refusal(*member,
                                  "replication.not_streaming",
                                  "follows the archive (nostream)",
                                  "Take another member."));
    }
    if (is_synchronous(facts) && !is_sync(*member)) {
        refused.push_back(refusal(*member,
                                  "replication.not_synchronous",
                                  "is no synchronous standby, and synchronous_mode is on",
                                  "Take the synchronous one: `patronictl list`.",
                                  true));
    }
    if (member->scheduled_restart) {
        refused.push_back(refusal(*member,
                                  "cluster.scheduled_action",
                                  "has a restart scheduled",
                                  "`patronictl flush` removes it."));
    }
    refuse_by_replication(facts, *member, refused);
    refuse_by_slots(*leader, *member, refused);
    return refused;
}

std::vector<Finding> refuse_to_move(const ClusterFacts& facts,
                                    const std::vector<std::string>& open_temporaries) {
    const MemberFacts* leader = facts.leader_member();
    if (leader == nullptr) {
        Finding nobody = without_leader(k_switchover_subject);
        nobody.passing = true;
        return {nobody};
    }
    std::vector<Finding> refused = refuse_unless_reachable(leader, leader->name, true, true, true);
    for (Finding& finding : refuse_unless_let_in(facts, k_switchover_subject)) {
        refused.push_back(std::move(finding));
    }
    if (!refused.empty()) {
        return refused;
    }
    if (leader->role == "standby_leader") {
        refused.push_back(refusal(*leader,
                                  "cluster.standby",
                                  "leads a standby cluster, whose lead this action does not move",
                                  "Move it by hand: `patronictl switchover`."));
    } else if (!leads_and_writes(facts, leader->name)) {
        refused.push_back(refusal(*leader,
                                  "cluster.leader_unwell",
                                  "holds the leader lock and does not run as primary",
                                  "See `lockstep check`.",
                                  true));
    }
    const bool ours =
        std::ranges::find(open_temporaries, "patroni.pause") != open_temporaries.end();
    if (facts.paused && !ours) {
        refused.push_back(cluster_refusal(
            "cluster.paused",
            k_switchover_subject,
            "the cluster is paused: Patroni would not mend a switchover that goes wrong",
            "Find out who paused it and why, then `patronictl resume`."));
    }
    if (facts.scheduled_switchover || leader->scheduled_restart) {
        refused.push_back(cluster_refusal("cluster.scheduled_action",
                                          k_switchover_subject,
                                          "a switchover or a restart of the leader is scheduled",
                                          "`patronictl flush` removes it."));
    }
    // A leader that stops waits for its archiver: 30 minutes have been seen (patroni#1905).
    if (!leader->wal || leader->wal->archiving_fails) {
        refused.push_back(refusal(*leader,
                                  leader->wal ? "wal.not_archived" : "wal.unknown",
                                  leader->wal
                                      ? "cannot archive its WAL, and does not stop before it has"
                                      : "does not say whether its WAL is archived",
                                  "See `lockstep check --explain wal`."));
    }
    return refused;
}

std::string choose_candidate(const ClusterFacts& facts) {
    std::vector<const MemberFacts*> able;
    for (const MemberFacts& member : facts.members) {
        const std::vector<Finding> refused = member.name == facts.leader
                                                 ? std::vector<Finding>{Finding{}}
                                                 : refuse_candidate(facts, member.name);
        if (std::ranges::all_of(refused, &Finding::acceptable)) {
            able.push_back(&member);
        }
    }
    const auto best = std::ranges::min_element(able, std::less<>{}, [](const MemberFacts* member) {
        return std::tuple(!is_sync(*member), -failover_priority(*member), member->name);
    });
    return best == able.end() ? "" : (*best)->name;
}

std::chrono::milliseconds switchover_acts_within(const ClusterFacts& facts) {
    return facts.retry_timeout() + 2 * facts.loop_wait() + 5s;
}

std::chrono::milliseconds switchover_answers_within(const ClusterFacts& facts) {
    return 2 * std::max<std::chrono::seconds>(10s, facts.loop_wait()) + 10s;
}

}  // namespace lockstep
