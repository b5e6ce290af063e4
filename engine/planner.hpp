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

/// Where an expression of a step is evaluated.
struct ScopeSource {
    const Plan& plan;           ///< `inputs`, `vars`, and `run`: what was so at its start
    const ClusterFacts& facts;  ///< `cluster`, `members`
    const Cluster& cluster;
    const Value::Map* registered = nullptr;  ///< `steps`
    std::string_view member = {};            ///< `member`
    const std::optional<Value>* item = nullptr;
};

/// The names that expressions see. A fact that is not known is unknown there, too.
[[nodiscard]] Scope make_scope(const ScopeSource& source);

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
