#pragma once

#include "base/digest.hpp"
#include "cluster/finding.hpp"
#include "engine/plan/step_runner.hpp"
#include "engine/runbook/runbook.hpp"

#include <nlohmann/json.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// Why a change has no way back when neither its action nor the runbook has one.
inline constexpr const char* k_no_undo = "the runbook gives no undo for it";

/// A runbook that another one calls, with what it is called with.
struct CallFrame {
    std::string
        id;  ///< `upgrade.`: its steps' ids begin with it, and so do the names they register
    std::size_t depth = 0;      ///< of the block that it is, in PlannedStep::within
    std::optional<Value> item;  ///< of the for_each that it is called in
    Value::Map inputs;
    Value::Map vars;
};

/// How long something takes.
struct Expected {
    std::chrono::milliseconds length{0};
    int samples = 0;  ///< earlier runs that say so; 0: the runbook's estimate, or the action's
};

/// One step on one member, in the order of a plan.
struct PlannedStep {
    std::string id;  ///< `replicas.install`, `drop[legacy]`
    std::string uses;
    std::string member;  ///< empty: the cluster
    const StepSpec* spec = nullptr;
    std::vector<const StepSpec*> within;  ///< the blocks around it, outermost first
    std::vector<std::string> within_ids;  ///< their ids
    std::vector<std::shared_ptr<const CallFrame>> frames;  ///< runbooks called around it, outermost
                                                           ///< first
    bool always = false;                                   ///< of the runbook's `always`
    std::optional<Value> item;                             ///< of for_each
    std::vector<std::size_t> after;  ///< steps that must be over before this one may start
    std::string
        group;  ///< the fan-out it belongs to: the id of the step or block with `on`; or empty
    /// `leader`, `replicas` or `sync`, where an earlier step may move the leader: the plan has the
    /// step for every member, and who of them it is for is decided when the first of its fan-out
    /// begins. Empty: the plan has decided.
    std::string by_role;
    const StepSpec* fan_out = nullptr;  ///< that step or block: its strategy says what may fail

    Verdict verdict = Verdict::may;
    std::string because;
    std::vector<Operation> operations;
    std::vector<Undo> undo;
    /// What a rollback has to do besides once this step is taken back, or in place of its undo, so
    /// that the versions it leaves go together.
    std::vector<Undo> undo_besides;
    std::string no_way_back;  ///< why there is no undo
    std::vector<std::string> notes;
    nlohmann::json probed;
    bool changes = false;
    bool idle = false;  ///< a temporary change, or its end, that covers no change: left out
    Expected expected;
    std::string felt;   ///< what users of the database notice; empty: nothing
    bool made = false;  ///< not of the runbook: it prepares the undo of another step

    /// What takes it back, with what a rollback has to do besides.
    [[nodiscard]] std::vector<Undo> whole_undo() const;
};

/// Runbook x inventory x observed facts. A value: executing it needs nothing else.
struct Plan {
    std::shared_ptr<const Runbook> runbook;
    std::string cluster;
    std::string inventory_path;
    std::string inventory_hash;
    Value::Map inputs;
    Value::Map vars;
    ClusterFacts facts;
    bool examined = true;              ///< false: only REST was asked, because nothing needs more
    std::vector<Finding> findings;     ///< everything `check` would say; of one examined
    std::vector<Finding> blocked_by;   ///< empty: ready
    std::vector<Finding> accepted;     ///< would block, had nobody said by name that they may be
    std::vector<Finding> advice;       ///< what is known of the versions that it goes through
    std::optional<WindowView> window;  ///< the runbook's, when the plan was made
    std::vector<PlannedStep> steps;
    std::vector<std::shared_ptr<const StepSpec>> made;  ///< the specs of steps that are `made`
    std::map<std::string, std::string> given;           ///< inputs as on the command line
    OnFailure on_failure = OnFailure::stop;             ///< the runbook's, or what the caller said
    std::string hash;

    [[nodiscard]] bool ready() const { return blocked_by.empty(); }

    /// No step will or may change anything.
    [[nodiscard]] bool nothing_to_do() const;
    /// Exit code of a blocked plan: 16 when a needed member cannot be reached, else 4.
    [[nodiscard]] int refusal_code() const;
    [[nodiscard]] nlohmann::json to_json() const;
    /// to_json() without what grows with the number of members: facts, steps and rollback.
    [[nodiscard]] nlohmann::json outline() const;
};

[[nodiscard]] nlohmann::json to_json(const std::vector<Finding>& findings);

[[nodiscard]] nlohmann::json to_json(const WindowView& view);

/// Of its text, and of those that it calls.
[[nodiscard]] std::string runbook_hash(const Runbook& runbook);
[[nodiscard]] std::string runbook_hash(const std::string& text,
                                       const std::map<std::string, std::string>& parts);

}  // namespace lockstep
