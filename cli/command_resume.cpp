#include "base/error.hpp"
#include "base/join.hpp"
#include "cli/attended.hpp"
#include "cli/commands.hpp"
#include "cli/identity.hpp"
#include "cli/inventory_file.hpp"
#include "cli/seals.hpp"
#include "cli/signals.hpp"
#include "cli/terminal.hpp"
#include "cli/version.hpp"
#include "engine/plan/plan_document.hpp"
#include "engine/run/later_runs.hpp"
#include "engine/run/run.hpp"
#include "steps/catalog.hpp"

#include <spdlog/spdlog.h>

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

SealView seal_of(JournalStore& journal, const Recorded& run) {
    return look_at_seal(journal, run.header, run.records);
}

/// The inventory of whoever takes a run up, for their word on who approves; nullopt: they have none
/// that knows the cluster, and the run can go on without.
std::optional<Inventory> own_inventory(const Options& options, const std::string& cluster) {
    try {
        Inventory inventory = inventory_of(options);
        static_cast<void>(inventory.cluster(cluster));
        return inventory;
    } catch (const InputError& error) {
        spdlog::warn("your own inventory says nothing of approvers: {}", error.what());
    } catch (const UsageError&) {  // there is none, or none of this cluster
    }
    return std::nullopt;
}

/// Everything a run needs to go on, from its header.
struct Restored {
    Restored(const Options& options, const Recorded& run)
        : own(own_inventory(options, run.header.cluster)),
          inventory(inventory_on_record(run.header)),
          cluster(inventory.cluster(run.header.cluster)),
          runbook(pinned_runbook(
              run.header.runbook_text,
              run.header.plan.value("runbook_path", "the runbook on record"),
              run.header.plan.value("runbook_parts", std::map<std::string, std::string>()))),
          plan(restore_plan({run.header.plan,
                             runbook,
                             inventory,
                             cluster,
                             run.header.given,
                             run.header.plan_hash})),
          runner(cluster, ConnectionFactory{}, clock, inventory.notify) {}

    [[nodiscard]] People people() const { return people_of(own ? &*own : nullptr, inventory); }

    std::optional<Inventory> own;  ///< of whoever goes on
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
            options.reason,
            options.unsealed};
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
    Restored restored(options, run);
    if (!options.allow_shared_inventory) {
        refuse_shared_files(restored.inventory);  // what they say counts as it is now
    }
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

/// What a resume would go on with: what is done, and what is still to come.
std::string way_on_text(const Recorded& run) {
    std::size_t done = 0;
    std::string text;
    for (const StepProgress& step : run.state.steps()) {
        const bool again = step.state == StepState::failed || step.state == StepState::cancelled ||
                           step.state == StepState::in_doubt || step.state == StepState::running;
        if (step.over() && !again) {
            ++done;
            continue;
        }
        if (step.changes) {
            text += std::string("  ") + (again ? "again " : "do    ") + one_line(step.where()) +
                    (step.message.empty() || !again ? "" : "  (" + one_line(step.message) + ")") +
                    "\n";
        }
    }
    return "  " + std::to_string(done) + " of " + std::to_string(run.state.steps().size()) +
           " steps are done" + (text.empty() ? "; only looks are left\n" : "; still to change:\n") +
           text;
}

/// Later runs that stand in the way: what they changed would be undone under them, or undo theirs.
/// The exit code; nullopt: none does.
std::optional<int> refuse_after_later_runs(const Recorded& run,
                                           Going going,
                                           JournalStore& journal) {
    std::vector<LaterRun> later;
    for (RunHeader& header : journal.runs()) {  // newest first
        if (header.id == run.header.id) {
            break;
        }
        if (header.cluster == run.header.cluster) {
            RunState state = replay(header, journal.records(header.id));
            later.push_back({std::move(header), std::move(state)});
        }
    }
    const std::vector<std::string> found = changed_since(run.state, going, later, action_catalog());
    if (found.empty()) {
        return std::nullopt;
    }
    const bool back = going == Going::back;
    const std::string newest = found.front().substr(0, found.front().find(' '));
    std::cerr << "error: run " << run.header.id
              << (back ? " is not taken back: " : " does not go on: ") << "since then run "
              << printable(join(found, "; run ")) << "\nhint:  "
              << (back ? "Take the newer back first: lockstep rollback " + newest
                       : "A new `lockstep run` goes on from what is there now. To go on with this "
                         "one, take the newer back first: lockstep rollback " +
                             newest)
              << "\n";
    return 17;
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
    const std::unique_ptr<JournalStore> journal = journal_to_write(options);
    const Recorded run = load(*journal, meant_run(options, *journal, true));
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
    if (const auto refused = refuse_unsealed(options, seal_of(*journal, run), run.header)) {
        return *refused;
    }
    if (const auto refused = refuse_after_later_runs(run, Going::on, *journal)) {
        return *refused;
    }
    // A timer has no terminal, and whoever named nothing to look at may still be one's own script.
    if (!options.yes && options.output == Output::text && ::isatty(STDIN_FILENO) == 1) {
        std::cout << "RESUME  run " << run.header.id << ": " << printable(run.header.runbook)
                  << " on " << printable(run.header.cluster) << ", " << to_text(run.state.phase())
                  << ", started " << run.header.started_at << " by "
                  << printable(run.header.started_by) << "\n"
                  << way_on_text(run) << std::flush;
        if (!confirmed("Type yes to go on with this on " + run.header.cluster + ": ")) {
            std::cerr << "not started\n";
            return 4;
        }
    }
    std::cerr << "resuming run " << run.header.id << ": " << printable(run.header.runbook) << " on "
              << printable(run.header.cluster) << "\n";
    return carry_on(options, interrupts, *journal, run, resume_run);
}

int command_rollback(const Options& options, Interrupts& interrupts) {
    const std::unique_ptr<JournalStore> journal = journal_to_write(options);
    const Recorded run = load(*journal, meant_run(options, *journal, true));
    const std::string& id = run.header.id;
    if (!run.state.beyond_return().empty()) {
        std::cerr << "run " << id << " is not rolled back: " << no_rollback(run.state) << "\n";
        return 4;
    }
    if (const std::string why = no_rollback(run.state); !why.empty()) {
        std::cerr << "run " << id << ": nothing to roll back: " << why << "\n";
        return 0;
    }
    if (const auto refused = refuse_unsealed(options, seal_of(*journal, run), run.header)) {
        return *refused;
    }
    if (const auto refused = refuse_after_later_runs(run, Going::back, *journal)) {
        return *refused;
    }
    const bool cancels = can_be_cancelled(run.state);
    if (options.output == Output::text) {
        std::cout << (cancels ? "CANCEL  run " : "ROLLBACK  run ") << id << ": "
                  << printable(run.header.runbook) << " on " << printable(run.header.cluster)
                  << "\n"
                  << (cancels ? "  it waits, and has changed nothing: there is nothing to undo\n"
                              : way_back_text(run.state))
                  << std::flush;
    }
    const std::string question =
        cancels ? "Type yes to end it on " : "Type yes to take this back on ";
    if (!options.yes && !confirmed(question + run.header.cluster + ": ")) {
        std::cerr << "not started\n";
        return 4;
    }
    return carry_on(options, interrupts, *journal, run, roll_back_run);
}

int command_cancel(const Options& options, Interrupts& interrupts) {
    const std::unique_ptr<JournalStore> journal = journal_to_write(options);
    const Recorded run = load(*journal, meant_run(options, *journal, true));
    const std::string& id = run.header.id;
    if (const std::string why = no_cancel(run.state); !why.empty()) {
        std::cerr << "run " << id << " is not cancelled: " << printable(why) << "\n";
        return run.state.phase() == RunPhase::cancelled ? 0 : 4;
    }
    if (const auto refused = refuse_unsealed(options, seal_of(*journal, run), run.header)) {
        return *refused;
    }
    if (options.output == Output::text) {
        std::cout << "CANCEL  run " << id << ": " << printable(run.header.runbook) << " on "
                  << printable(run.header.cluster) << "\n  nothing of it can go on any more; "
                  << (run.state.changed_anything()
                          ? "what it has changed stays:\n" + way_back_text(run.state)
                          : "it has changed nothing\n")
                  << std::flush;
    }
    if (!options.yes && !confirmed("Type yes to end it on " + run.header.cluster + ": ")) {
        std::cerr << "not started\n";
        return 4;
    }
    return carry_on(options, interrupts, *journal, run, cancel_run);
}

}  // namespace lockstep
