#pragma once

#include "steps/actions/action.hpp"

#include <string>
#include <vector>

namespace lockstep {

/// A member's own word about itself, fresh from `GET /patroni`.
struct MemberStatus {
    std::string member;
    bool paused = false;
    std::string error;            ///< it did not answer; empty: it did
    bool nobody_listens = false;  ///< not even a connection: no daemon is there
};

/// Asks every member of the context's facts, side by side.
[[nodiscard]] std::vector<MemberStatus> ask_members(ActionContext& context);
[[nodiscard]] MemberStatus ask_member(ActionContext& context, const MemberFacts& member);

/// Why resuming would be dangerous; empty: it is safe. Every daemon answers, the leader lock is
/// held by a member that runs as the one primary, and everybody sees that. Resuming while the lock
/// holder's daemon is down lets a replica promote beside the old primary, whose commits are lost
/// when its daemon returns (seen with Patroni 3.2 and 4.0).
[[nodiscard]] std::string unsafe_to_resume(const ClusterFacts& facts);

}  // namespace lockstep
