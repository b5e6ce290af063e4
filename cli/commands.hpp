#pragma once

/// cli/: from a command line to an exit code: options, one file a command, and what results look
/// like. It decides nothing about a cluster: that is done by the folders below, and printed here.
/// Read main.cpp first, then command_run.cpp.

#include "cli/options.hpp"
#include "cli/people.hpp"
#include "cli/runbooks.hpp"
#include "engine/journal/journal.hpp"
#include "engine/plan/durations.hpp"
#include "engine/plan/planner.hpp"
#include "engine/plan/saved_plan.hpp"
#include "engine/run/run_state.hpp"
#include "inventory/inventory.hpp"
#include "steps/live_runner.hpp"

#include <memory>
#include <stop_token>
#include <string>

/// One function a command. Each returns the exit code of the contract and throws what it cannot do.
namespace lockstep {

/// What a command needs to stop in order: see signals.hpp.
struct Interrupts;

int command_check(const Options& options, Interrupts& interrupts);
int command_plan(const Options& options, Interrupts& interrupts);
int command_run(const Options& options, Interrupts& interrupts);
int command_shipped(const Options& options, Interrupts& interrupts);
int command_resume(const Options& options, Interrupts& interrupts);
int command_cancel(const Options& options, Interrupts& interrupts);
int command_rollback(const Options& options, Interrupts& interrupts);
int command_runs(const Options& options);
int command_show(const Options& options);
int command_approve(const Options& options);
int command_keys(const Options& options);
int command_windows(const Options& options);
int command_knowledge(const Options& options);
int command_validate(const Options& options);
int command_explain(const Options& options);
int command_schema(const Options& options);
int command_doctor(const Options& options, Interrupts& interrupts);
int command_unlock(const Options& options, Interrupts& interrupts);
int command_complete(const Options& options);
int command_man(const Options& options);

/// The inventory, its cluster and a runner for it: what most commands begin with.
struct Workplace {
    explicit Workplace(const Options& options);

    [[nodiscard]] People people() const { return people_of(&inventory, inventory); }

    Inventory inventory;
    const Cluster& cluster;
    SystemClock clock;
    LiveRunner runner;
    Durations durations = {};  ///< of earlier runs on the cluster
};

/// A run by its id, or the start of it. Throws UsageError where there is none.
[[nodiscard]] RunHeader named_run(JournalStore& journal, const std::string& run);

/// The run that was named, else the newest one of the one cluster that is meant: that of -c, or the
/// only one of the inventory and of the runs on record. Never an older one: what came after it is
/// what the cluster is like now. `of_plans`: one that has steps, which `unlock` has not. Throws
/// UsageError where a person has to say which.
[[nodiscard]] RunHeader meant_run(const Options& options, JournalStore& journal, bool of_plans);

/// The state that the records of a run make.
[[nodiscard]] RunState replay(const RunHeader& header, const std::vector<JournalRecord>& records);

/// The inventory that a run pins; its files are found from where it was then.
[[nodiscard]] Inventory inventory_on_record(const RunHeader& run);

/// Asks on the terminal; anything but `yes` is no. Throws UsageError when nobody is there.
[[nodiscard]] bool confirmed(const std::string& question);

/// How long steps took in earlier runs on a cluster, as the state folder has it.
[[nodiscard]] Durations earlier_durations(const Options& options, const std::string& cluster);

/// What --allow-shared-runbook says.
[[nodiscard]] SharedRunbook shared_runbook(const Options& options);

/// Observes and plans, as `plan` and `run` both do.
[[nodiscard]] Plan plan_from(const Options& options,
                             Workplace& place,
                             std::shared_ptr<const Runbook> runbook,
                             std::stop_token stop);

/// A saved plan, and the command line that it stands for.
struct TakenUp {
    SavedPlan saved;
    Options options;
    std::shared_ptr<const Runbook> runbook;
    std::string edited;  ///< that its runbook says something else by now; empty: it does not
};

/// Throws UsageError for options that a saved plan has an answer to already, InputError for what is
/// no plan.
[[nodiscard]] TakenUp take_up_plan(const std::string& path, const Options& options);

/// The reasons why a saved plan must not be run any more, a line each.
[[nodiscard]] std::vector<std::string> stale_reasons(const TakenUp& taken, const Plan& now);

}  // namespace lockstep
