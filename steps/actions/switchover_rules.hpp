#pragma once

#include "steps/actions/action.hpp"

#include <string>
#include <vector>

/// Whether a member may take the lead by a switchover: Patroni's own conditions
/// (Ha.manual_failover_process_no_leader, Ha.is_failover_possible and api.is_failover_possible, 2.1
/// to 4.1), and what it does not look at: how long the leader would take to stop, and what would be
/// lost with it.
namespace lockstep {

inline constexpr const char* k_switchover_subject = "patroni.switchover";

/// The leader runs as primary, and its Patroni says so.
[[nodiscard]] bool leads_and_writes(const ClusterFacts& facts, const std::string& member);

/// It streams from who leads, on that one's timeline.
[[nodiscard]] bool streams_from_leader(const ClusterFacts& facts, const std::string& member);

/// `synchronous_mode` of the dynamic configuration is on, or `quorum`.
[[nodiscard]] bool is_synchronous(const ClusterFacts& facts);

/// Why this member cannot take the lead now; empty: it can.
[[nodiscard]] std::vector<Finding> refuse_candidate(const ClusterFacts& facts,
                                                    const std::string& candidate);

/// Why the leader cannot give it away now, whoever takes it. `open_temporaries` as of a StepCall: a
/// pause of this run is no reason.
[[nodiscard]] std::vector<Finding> refuse_to_move(const ClusterFacts& facts,
                                                  const std::vector<std::string>& open_temporaries);

/// The member that should lead next: one that can, a synchronous one before others, then by
/// `failover_priority` (Patroni 3.2), then by name. Never by lag, which is another at each look.
/// Empty: none can.
[[nodiscard]] std::string choose_candidate(const ClusterFacts& facts);

/// When nobody waits for the answer any more, how long Patroni may still begin with it: it writes
/// the key for `retry_timeout`, and its loop takes it up in one of the next two. From then on the
/// leader is seen to stop.
[[nodiscard]] std::chrono::milliseconds switchover_acts_within(const ClusterFacts& facts);

/// How long the answer takes at most: the request polls `max(10, loop_wait) * 2` seconds for an end
/// (patroni/api.py, poll_failover_result, 2.1 to 4.1).
[[nodiscard]] std::chrono::milliseconds switchover_answers_within(const ClusterFacts& facts);

}  // namespace lockstep
