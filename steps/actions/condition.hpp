#pragma once

#include "steps/actions/action.hpp"

namespace lockstep {

/// How an expression over the cluster comes out on the given facts.
struct Condition {
    enum class State { yes, no, unknown, error };

    State state = State::unknown;
    std::string why;   ///< for no: what the expression's names are now; else the reason
    std::string hint;  ///< of an error
};

[[nodiscard]] Condition evaluate_condition(const Expression& that,
                                           const StepCall& call,
                                           const ClusterFacts& facts,
                                           const Cluster& cluster);

/// Whether it reads facts that only a full observation brings.
[[nodiscard]] Depth depth_for(const Expression& that);

}  // namespace lockstep
