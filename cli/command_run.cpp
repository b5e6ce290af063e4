#include "base/error.hpp"
#include "cli/attended.hpp"
#include "cli/commands.hpp"
#include "cli/identity.hpp"
#include "cli/seals.hpp"
#include "cli/signals.hpp"
#include "cli/texts.hpp"
#include "cli/unfinished_run.hpp"
#include "cli/version.hpp"
#include "engine/run/run.hpp"

#include <unistd.h>

#include <iostream>

namespace lockstep {

bool confirmed(const std::string& question) {
    if (::isatty(STDIN_FILENO) != 1) {
        throw UsageError("nobody is there to say yes: standard input is not a terminal",
                         "Look first (`lockstep plan`, `lockstep show`), then say --yes.");
    }
    std::cerr << "\n" << question << std::flush;
    std::string answer;
    return static_cast<bool>(std::getline(std::cin, answer)) && answer == "yes";
}

namespace {

RunHeader header_for(const Options& options, const Workplace& place, const Plan& plan) {
    RunHeader header;
    const auto now = std::chrono::system_clock::now();
    header.id = make_run_id(now);
    header.cluster = plan.cluster;
    header.runbook = plan.runbook->name;
    header.plan_hash = plan.hash;
    header.started_at = to_iso8601(now);
    header.started_by = operator_identity();
    header.reason = options.reason;
    header.engine_version = k_version;
    header.runbook_text = plan.runbook->text;
    header.inventory_text = place.inventory.text;
    header.inputs = Value(plan.inputs).to_json();
    header.given = plan.given;
    header.plan = plan.outline();
    return header;
}

void print_plan(const Options& options, const Plan& plan) {
    if (options.output == Output::text) {
        std::cout << plan_text(plan, Terminal::on(STDOUT_FILENO)) << std::flush;
    }
}

/// For programs: no run is on record, because nothing was begun.
std::string ended_without_run(const Options& options,
                              const char* state,
                              int exit_code,
                              const Plan& plan,
                              nlohmann::json more) {
    nlohmann::json document = std::move(more);
    document.update({{"event", "run_ended"},
                     {"run", nullptr},
                     {"state", state},
                     {"exit_code", exit_code},
                     {"plan_hash", plan.hash}});
    return json_text(document, options.output);
}

/// A plan that is not ready ends here.
int refuse(const Options& options, const Plan& plan) {
    const int exit_code = plan.refusal_code();
    if (options.output != Output::text) {
        std::cout << ended_without_run(
            options, "refused", exit_code, plan, {{"blocked_by", to_json(plan.blocked_by)}});
    }
    std::cerr << "refused before any change\n";
    return exit_code;
}

/// A saved plan that is not what would be done now ends here, and so does one of a refusal.
int refuse_stale(const Options& options, const Plan& plan, const std::vector<std::string>& found) {
    if (options.output == Output::text) {
        std::cout << stale_text(options.runbooks.front(), found, Terminal::on(STDOUT_FILENO));
    } else {
        std::cout << ended_without_run(options, "stale", 17, plan, {{"differences", found}});
    }
    std::cerr << "refused before any change\n";
    return 17;
}

/// Outside of its window a run is not begun, unless it is to wait for it or somebody says why.
std::optional<int> refuse_outside_window(const Options& options, const Plan& plan) {
    const bool closed = plan.window && !plan.window->open;
    if (!closed || options.wait_window || options.override_window || plan.nothing_to_do()) {
        return std::nullopt;
    }
    const Finding finding{.id = "window.closed",
                          .severity = Severity::critical,
                          .member = {},
                          .subject = {},
                          .message = "the window is closed: " + plan.window->because,
                          .remedy =
                              "Begin then, or now with --wait-window, and resume it then. In "
                              "an emergency: --override-window --reason \"…\".",
                          .source = {}};
    if (options.output == Output::text) {
        std::cout << "\n" << findings_text({finding}, Terminal::on(STDOUT_FILENO));
    } else {
        std::cout << ended_without_run(
            options, "refused", 4, plan, {{"blocked_by", to_json({finding})}});
    }
    std::cerr << "refused before any change\n";
    return 4;
}

/// What an engine that died may have left in force is dealt with first: nobody else lifts its
/// pause, and its open step is looked at by a resume alone.
void refuse_over_abandoned(JournalStore& journal, const std::string& cluster) {
    const std::optional<AbandonedRun> run = abandoned_run(journal, cluster);
    if (run && run->state.changed_anything()) {
        const Finding finding = as_finding(*run);
        throw LockHeldError(finding.message, finding.remedy);
    }
}

bool is_saved_plan(const std::string& path) {
    return path.ends_with(".json");
}

int run_plan(const Options& options,
             Interrupts& interrupts,
             Workplace& place,
             const Plan& plan,
             JournalStore& journal) {
    if (const auto refused = refuse_outside_window(options, plan)) {
        return *refused;
    }
    const RunHeader header = header_for(options, place, plan);
    if (options.output == Output::text && !plan.nothing_to_do()) {
        std::cout << "\nIf it has to be taken back: lockstep rollback " << header.id << std::endl;
    }
    if (!options.yes && !plan.nothing_to_do() &&
        !confirmed("Type yes to run this on " + plan.cluster + ": ")) {
        std::cerr << "not started\n";
        return 4;
    }
    if (interrupts.token().stop_requested()) {
        return 130;
    }
    return Attended(options, interrupts, place.runner).run(header, [&](RecordListener listener) {
        return start_run(session_setup(options, place, plan, journal, std::move(listener)),
                         header,
                         interrupts.token());
    });
}

int run_saved(const Options& options, Interrupts& interrupts) {
    const TakenUp taken = take_up_plan(options.runbooks.front(), options);
    Workplace place(taken.options);
    const std::unique_ptr<JournalStore> journal = journal_to_write(options);
    refuse_over_abandoned(*journal, place.cluster.name);
    place.durations = Durations::of(*journal, place.cluster.name);
    const Plan plan = plan_from(taken.options, place, taken.runbook, interrupts.token());
    const std::vector<std::string> found = stale_reasons(taken, plan);
    if (!found.empty()) {
        return refuse_stale(options, plan, found);
    }
    print_plan(options, plan);
    if (!plan.ready()) {
        return refuse(options, plan);
    }
    return run_plan(taken.options, interrupts, place, plan, *journal);
}

}  // namespace

int command_run(const Options& options, Interrupts& interrupts) {
    if (is_saved_plan(options.runbooks.front())) {
        return run_saved(options, interrupts);
    }
    Workplace place(options);
    const std::unique_ptr<JournalStore> journal = journal_to_write(options);
    refuse_over_abandoned(*journal, place.cluster.name);
    place.durations = Durations::of(*journal, place.cluster.name);
    const Plan plan =
        plan_from(options,
                  place,
                  find_runbook(from_anywhere(options.runbooks.front()), shared_runbook(options)),
                  interrupts.token());
    print_plan(options, plan);
    if (!plan.ready()) {
        return refuse(options, plan);
    }
    return run_plan(options, interrupts, place, plan, *journal);
}

}  // namespace lockstep
