#pragma once

#include "engine/plan/plan.hpp"
#include "inventory/inventory.hpp"

#include <optional>
#include <set>
#include <string>

/// From what a runbook says to what an action gets: names, conditions and arguments, with the facts
/// put in. Used by the planner with facts as they will be, and by a run with facts as they are.
namespace lockstep {

/// Evaluates `vars` of the plan's runbook and puts the values into the plan. Throws InputError.
void evaluate_vars(const Cluster& cluster, Plan& plan);

struct ScopeSource;

/// The inputs and vars that `spec` calls a runbook with, evaluated in the scope of the caller.
/// Throws InputError.
[[nodiscard]] std::shared_ptr<const CallFrame> call_frame(const StepSpec& spec,
                                                          const ScopeSource& source,
                                                          std::string id,
                                                          std::size_t depth);

/// Where an expression of a step is evaluated. Of many outputs a step looks at few: with all of
/// them in each scope, as many steps as there are outputs take the square of their number.
struct ScopeSource {
    const Plan& plan;           ///< `inputs`, `vars`, and `run`: what was so at its start
    const ClusterFacts& facts;  ///< `cluster`, `members`, `leader`
    const Cluster& cluster;
    const Value::Map* registered = nullptr;  ///< `steps`, by keep_registered
    /// Of these those that can be looked at (outputs_read_by); nullopt: all of them.
    std::optional<std::set<std::string>> outputs = std::nullopt;
    std::string_view member = {};      ///< `member`
    const CallFrame* frame = nullptr;  ///< of a runbook that another one calls: its names
    const std::optional<Value>* item = nullptr;
    const Value* observed = nullptr;  ///< observed_value(facts, …), where it is at hand
};

/// `cluster`, as expressions see it, each member with what it was like at `start`. Making it is
/// most of the work of a scope.
[[nodiscard]] Value observed_value(const ClusterFacts& facts,
                                   const Cluster& cluster,
                                   const ClusterFacts& start);

/// The innermost runbook that a step is called in; null: the run's own.
[[nodiscard]] const CallFrame* frame_of(const PlannedStep& step);

/// The names in `steps` that a step and the blocks around it read; nullopt: that is not certain.
[[nodiscard]] std::optional<std::set<std::string>> outputs_read_by(const PlannedStep& step);

/// Of all outputs those that a step of this member sees under these names.
[[nodiscard]] Value::Map only(const std::set<std::string>& names,
                              const PlannedStep& step,
                              const Value::Map& registered);

/// Registers the output of a step. A later step sees the output of its own member where there is
/// one, else the newest: members that are worked on side by side do not see each other's.
void keep_registered(const PlannedStep& step, const Value& output, Value::Map& registered);

/// The part of an action's output that its step registers, or why the output cannot be read as the
/// step says.
struct ReadOutput {
    nlohmann::json output;
    std::string why_not;
    bool holds_secret = false;
};

[[nodiscard]] ReadOutput output_of(const PlannedStep& step, const StepResult& result, Scope scope);

/// An output as expressions see it. Where a secret was hidden in it, the texts that may be what is
/// left of one are secrets themselves: no command and no plan is made from them.
[[nodiscard]] Value output_value(const nlohmann::json& output, bool holds_secret);

/// Makes the names that expressions see. A fact that is not known is an unknown value there.
[[nodiscard]] Scope make_scope(const ScopeSource& source);

/// A step ready to be previewed or run: `when` answered, arguments bound.
struct BoundStep {
    enum class Kind {
        ready,    ///< call is complete
        skip,     ///< `when` is false
        unknown,  ///< something is not known until the run: `because`. Where that is `when` alone,
                  ///< call is complete all the same, else it is empty
        error,    ///< an expression failed: `because` and `hint`
    };

    Kind kind = Kind::ready;
    std::string because;
    std::string hint;
    StepCall call;
};

/// Answers `when`, then binds `with`. `scope` is make_scope(source), which callers have at hand.
[[nodiscard]] BoundStep bind_step(const PlannedStep& step,
                                  const ActionSchema& schema,
                                  const Scope& scope,
                                  const ScopeSource& source);

/// `verify` of a step.
[[nodiscard]] BoundStep bind_call(const PlannedStep& step,
                                  const CallSpec& spec,
                                  const ActionSchema& schema,
                                  const Scope& scope);

/// `undo` of a step, with its arguments as they are now; or why there is none.
struct BoundUndo {
    std::vector<Undo> undo;
    std::string error;
    std::string hint;
};

[[nodiscard]] BoundUndo bind_undo(const PlannedStep& step,
                                  const ActionCatalog& actions,
                                  const Scope& scope);

/// The call that an undo is.
[[nodiscard]] StepCall call_of(const Undo& undo, const std::string& step);

}  // namespace lockstep
