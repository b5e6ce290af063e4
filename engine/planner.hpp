#pragma once

#include "engine/plan.hpp"
#include "inventory/inventory.hpp"

namespace lockstep {

struct PlanRequest {
    std::shared_ptr<const Runbook> runbook;
    const Inventory* inventory = nullptr;
    const Cluster* cluster = nullptr;
    Value::Map inputs;
    const ActionCatalog* actions = nullptr;
};

/// Observes the cluster and says what a run would do to it. Changes nothing. The same function
/// serves `plan` and `run`: what was printed is what is executed.
[[nodiscard]] Plan make_plan(const PlanRequest& request, StepRunner& runner, std::stop_token stop);

/// The scope that expressions of a step see.
[[nodiscard]] Scope make_scope(const Value::Map& inputs,
                               const Value::Map& vars,
                               const Value::Map& registered,
                               const ClusterFacts& facts,
                               const Cluster& cluster,
                               std::string_view member,
                               const std::optional<Value>& item);

/// A step ready to be previewed or run: `when` answered, arguments rendered.
struct RenderedStep {
    enum class Kind {
        ready,    ///< call is complete
        skip,     ///< `when` is false
        unknown,  ///< something is not known until the run: `because`
        error,    ///< an expression failed: `because` and `hint`
    };

    Kind kind = Kind::ready;
    std::string because;
    std::string hint;
    StepCall call;
};

[[nodiscard]] RenderedStep render_step(const PlannedStep& step,
                                       const ActionSchema& schema,
                                       const Scope& scope);

}  // namespace lockstep
