#include "base/error.hpp"
#include "cli/attended.hpp"
#include "cli/commands.hpp"
#include "cli/identity.hpp"
#include "cli/signals.hpp"
#include "cli/terminal.hpp"
#include "cli/version.hpp"
#include "engine/plan/plan_document.hpp"
#include "engine/run/rollback.hpp"
#include "engine/run/run.hpp"

#include <unistd.h>

#include <iostream>

namespace lockstep {

namespace {

/// A run as its journal has it: nothing of it is read from files again.
struct Recorded {
    RunHeader header;
    std::vector<JournalRecord> records;
    RunState state;
};

Recorded load(JournalStore& journal, const RunHeader& header) {
    std::vector<JournalRecord> records = journal.records(header.id);
    RunState state = replay(header, records);
    return {header, std::move(records), std::move(state)};
}

/// The run that was named, else the newest one of the cluster. Never an older one: what came after
/// it is what the cluster is like now. With runs of several clusters a person has to say which.
Recorded find_run(const Options& options, JournalStore& journal) {
    if (!options.run.empty()) {
        return load(journal, named_run(journal, options.run));
    }
    std::optional<RunHeader> newest;
    for (RunHeader& header : journal.runs()) {
        const bool of_cluster = options.cluster.empty() || header.cluster == options.cluster;
        if (!of_cluster || header.plan.value("steps", nlohmann::json::array()).empty()) {
            continue;
        }
        if (newest && header.cluster != newest->cluster) {
            throw UsageError("there are runs of several clusters on record",
                             "Say which: -c " + newest->cluster +
                                 ", or the run's id. `lockstep "
                                 "runs` lists them.");
        }
        if (!newest) {
            newest = std::move(header);
        }
    }
    if (!newest) {
        throw UsageError("no runs on record", "`lockstep runs` lists them.");
    }
    return load(journal, *newest);
}

/// Everything a run needs to go on, from its header.
struct Restored {
    explicit Restored(const Recorded& run)
        : inventory(inventory_on_record(run.header)),
          cluster(inventory.cluster(run.header.cluster)),
          runbook(pinned_runbook(
              run.header.runbook_text,
              run.header.plan.value("runbook_path", "the runbook on record"),
              run.header.plan.value("runbook_parts", std::map<std::string, std::string>()))),
          plan(restore_plan({run.header.plan, runbook, inventory, cluster, run.header.given})),
          runner(cluster, ConnectionFactory{}, clock, inventory.notify) {}

    Inventory inventory;
    const Cluster& cluster;
    std::shared_ptr<const Runbook> runbook;
    Plan plan;
    SystemClock clock;
    LiveRunner runner;
};

TakeUp take_up(const Options& options) {
    return {operator_identity(),
            k_version,
            {options.done, options.redo},
            options.once_more,
            options.reason};
}

using Work = RunEnd (*)(RunSession::Setup,
                        RunHeader,
                        const std::vector<JournalRecord>&,
                        const TakeUp&,
                        std::stop_token);

int carry_on(const Options& options,
             Interrupts& interrupts,
             JournalStore& journal,
             const Recorded& run,
             Work work) {
    Restored restored(run);
    return Attended(options, interrupts, restored.runner)
        .run(run.header, [&](RecordListener listener) {
            return work(
                session_setup(options, restored, restored.plan, journal, std::move(listener)),
                run.header,
                run.records,
                take_up(options),
                interrupts.token());
        });
}

/// What a rollback would do, newest first.
std::string way_back_text(const RunState& state) {
    std::vector<const StepProgress*> acted;
    for (const StepProgress& step : state.steps()) {
        const bool has_way = !step.undo.empty() || !step.no_way_back.empty();
        if (step.may_have_acted() && has_way) {
            acted.push_back(&step);
        }
    }
    std::ranges::sort(acted, std::greater<>{}, &StepProgress::intent_seq);
    std::string text;
    for (const StepProgress* step : acted) {
        text += "  undo  " + one_line(step->where()) + "\n";
        for (const UndoProgress& undo : step->undo) {
            text += "          " + wrap(undo.undo.operation.text, 10) + "\n";
        }
        if (step->undo.empty()) {
            text += "          stays: " + wrap(step->no_way_back, 17) + "\n";
        }
    }
    return text;
}

/// Why a run that waits has nothing to go on with yet: nobody has answered, no window is open.
/// Empty: it has, or somebody wants to stay with it.
std::string nothing_new(const Options& options, const Recorded& run, JournalStore& journal) {
    const bool stays = options.wait || options.override_window;
    return stays ? std::string()
                 : still_waits_for(
                       run.state, journal.answers(run.header.id), std::chrono::system_clock::now());
}

}  // namespace

int command_resume(const Options& options, Interrupts& interrupts) {
    const std::unique_ptr<JournalStore> journal = open_sqlite_journal(state_folder(options));
    const Recorded run = find_run(options, *journal);
    if (const std::string why = nothing_to_resume(run.state); !why.empty()) {
        std::cerr << "run " << run.header.id << ": nothing to resume: " << why << "\n";
        return 0;
    }
    if (const std::string why = nothing_new(options, run, *journal); !why.empty()) {
        std::cerr << "run " << run.header.id << " waits: " << printable(why) << "\n";
        return 14;
    }
    if (options.if_waiting && run.state.phase() != RunPhase::waiting &&
        run.state.phase() != RunPhase::running) {
        std::cerr << "run " << run.header.id << " does not wait\n";
        return 0;
    }
    std::cerr << "resuming run " << run.header.id << ": " << printable(run.header.runbook) << " on "
              << printable(run.header.cluster) << "\n";
    return carry_on(options, interrupts, *journal, run, resume_run);
}

int command_rollback(const Options& options, Interrupts& interrupts) {
    const std::unique_ptr<JournalStore> journal = open_sqlite_journal(state_folder(options));
    const Recorded run = find_run(options, *journal);
    const std::string& id = run.header.id;
    if (!run.state.beyond_return().empty()) {
        std::cerr << "run " << id << " is not rolled back: " << no_rollback(run.state) << "\n";
        return 4;
    }
    if (const std::string why = no_rollback(run.state); !why.empty()) {
        std::cerr << "run " << id << ": nothing to roll back: " << why << "\n";
        return 0;
    }
    if (options.output == Output::text) {
        std::cout << "ROLLBACK  run " << id << ": " << printable(run.header.runbook) << " on "
                  << printable(run.header.cluster) << "\n"
                  << way_back_text(run.state) << std::flush;
    }
    if (!options.yes && !confirmed("Type yes to take this back on " + run.header.cluster + ": ")) {
        std::cerr << "not started\n";
        return 4;
    }
    return carry_on(options, interrupts, *journal, run, roll_back_run);
}

}  // namespace lockstep
