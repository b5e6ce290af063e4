#pragma once

/// engine/plan/: from a runbook and facts to a plan: the steps are spread over members, names and
/// arguments are bound, and each step is previewed by the facts as those before it will leave them.
/// It changes nothing, and what it looks up goes through step_runner.hpp. Read make_plan() at the
/// end of planner.cpp first, then the class Forecast there, expansion.cpp and binding.hpp.

#include "base/clock.hpp"
#include "engine/plan/durations.hpp"
#include "engine/plan/plan.hpp"
#include "inventory/inventory.hpp"

namespace lockstep {

struct PlanRequest {
    std::shared_ptr<const Runbook> runbook;
    const Inventory* inventory = nullptr;
    const Cluster* cluster = nullptr;
    Value::Map inputs;
    std::map<std::string, std::string> given;  ///< the same as on the command line
    std::vector<std::string> accepted;         ///< findings that need not block, by name
    bool accepted_may_be_gone = false;         ///< of a saved plan: that is a difference then
    std::optional<OnFailure> on_failure;       ///< instead of the runbook's
    const ActionCatalog* actions = nullptr;
    const Durations* durations = nullptr;  ///< of earlier runs; null: nothing is known of them
    std::optional<Clock::Wall> now;        ///< to look at windows
};

/// Observes the cluster and says what a run would do to it. Changes nothing. The same function
/// serves `plan` and `run`: what was printed is what is executed.
[[nodiscard]] Plan make_plan(const PlanRequest& request, StepRunner& runner, std::stop_token stop);

}  // namespace lockstep
