#pragma once

#include "steps/actions/action.hpp"

namespace lockstep {

/// How an expression over the cluster comes out on the given facts.
struct Condition {
    enum class State { yes, no, unknown, error };

    State state = State::unknown;
    /// For no and unknown: what makes it so, by member: `n2: state is 'stopped'`; else the reason.
    std::string why;
    std::string hint;  ///< of an error
};

[[nodiscard]] Condition evaluate_condition(const Expression& that,
                                           const StepCall& call,
                                           const ClusterFacts& facts,
                                           const Cluster& cluster);

/// Whether it is false and stays so, by facts that do not change by themselves: a member that must
/// not stream, a standby cluster that nobody promotes.
[[nodiscard]] bool can_never_hold(const Expression& that,
                                  const StepCall& call,
                                  const ClusterFacts& facts,
                                  const Cluster& cluster);

/// Whether it reads facts that only a full observation brings.
[[nodiscard]] Depth depth_for(const Expression& that);

}  // namespace lockstep
