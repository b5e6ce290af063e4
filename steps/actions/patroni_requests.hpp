#pragma once

#include "steps/actions/action.hpp"

#include <string>
#include <vector>

namespace lockstep {

/// A member's own word about itself, fresh from `GET /patroni`.
struct MemberStatus {
    std::string member;
    bool paused = false;
    std::string error;  ///< it did not answer; empty: it did
};

/// Asks every member of the context's facts, side by side.
[[nodiscard]] std::vector<MemberStatus> ask_members(ActionContext& context);
[[nodiscard]] MemberStatus ask_member(ActionContext& context, const MemberFacts& member);

/// A member by a quick look at the cluster, which the context's facts take over; nullopt: it could
/// not be seen for now.
[[nodiscard]] std::optional<MemberFacts> look_at_member(ActionContext& context,
                                                        const std::string& name);

/// PostgreSQL there runs: as a primary, or as a replica that follows somebody.
[[nodiscard]] bool is_up(const MemberFacts& member);
/// Patroni is at work on it, or PostgreSQL comes up: it does not stay so.
[[nodiscard]] bool is_busy(const MemberFacts& member);

/// Why the dynamic configuration cannot be written now: no leader, its REST API does not answer, or
/// it does not accept our credentials.
[[nodiscard]] std::vector<Finding> refuse_unless_writable(const ClusterFacts& facts);

/// The refusal where the REST API does not accept our credentials, or nothing. `subject` is the
/// action: `patroni.config`.
[[nodiscard]] std::vector<Finding> refuse_unless_let_in(const ClusterFacts& facts,
                                                        const char* subject);

/// The refusal where nobody leads, of the action `subject`.
[[nodiscard]] Finding without_leader(const char* subject);

/// `PATCH /config` with this body, as it is sent to the leader.
/// When its answer is lost, how much longer Patroni may still write what a PATCH asked for: it
/// tries its DCS for `retry_timeout`, and is at most one loop late to begin.
[[nodiscard]] std::chrono::milliseconds config_acts_within(const ClusterFacts& facts);

[[nodiscard]] Operation config_operation(const ClusterFacts& facts, const std::string& body);

/// Sends it: the new configuration, as Patroni answers. Throws Error where it is refused.
nlohmann::json patch_config(ActionContext& context, const std::string& body);

/// Why resuming would be dangerous; empty: it is safe. Every daemon answers, the leader lock is
/// held by a member that runs as the one primary, and everybody sees that. Resuming while the lock
/// holder's daemon is down lets a replica promote beside the old primary, whose commits are lost
/// when its daemon returns (seen with Patroni 3.2 and 4.0).
[[nodiscard]] std::string unsafe_to_resume(const ClusterFacts& facts);

}  // namespace lockstep
