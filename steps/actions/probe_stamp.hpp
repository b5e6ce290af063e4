#pragma once

#include "engine/plan/step_runner.hpp"

/// A probe is asked once, for the plan, and its answer is handed to the run. By then what it looked
/// at may have changed, by this run's own earlier steps first of all: `service.stop` before
/// `service.start`. So its answer carries the moment of the facts that it goes with, and counts
/// with them alone; with newer ones only run() can tell, and the verdict is `may`.
namespace lockstep {

[[nodiscard]] inline nlohmann::json stamped(nlohmann::json found, const ClusterFacts& facts) {
    found["facts_of"] = facts.observed_at.time_since_epoch().count();
    return found;
}

/// What probe() found, or nullptr where it does not go with these facts.
[[nodiscard]] inline const nlohmann::json* probed_with(const ClusterFacts& facts,
                                                       const StepCall& call) {
    const bool counts = call.probed.is_object() && call.probed.value("facts_of", std::int64_t{0}) ==
                                                       facts.observed_at.time_since_epoch().count();
    return counts ? &call.probed : nullptr;
}

}  // namespace lockstep
