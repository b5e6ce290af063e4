#include "base/error.hpp"
#include "cli/commands.hpp"
#include "cli/progress.hpp"
#include "cli/signals.hpp"
#include "cli/texts.hpp"
#include "cli/version.hpp"
#include "engine/executor.hpp"
#include "steps/catalog.hpp"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <iostream>

namespace lockstep {

namespace {

/// `user@host`, by the operating system's word and not by the environment's.
std::string identity() {
    passwd entry{};
    passwd* found = nullptr;
    std::array<char, 4096> buffer{};
    ::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found);
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    return (found == nullptr ? std::to_string(::getuid()) : std::string(found->pw_name)) + "@" +
           host.data();
}

/// Asks on the terminal; anything but `yes` is no.
bool confirmed(const Plan& plan) {
    if (::isatty(STDIN_FILENO) != 1) {
        throw UsageError("nobody is there to say yes: standard input is not a terminal",
                         "Look at the plan with `lockstep plan`, then run with --yes.");
    }
    std::cerr << "\nType yes to run this on " << plan.cluster << ": " << std::flush;
    std::string answer;
    return static_cast<bool>(std::getline(std::cin, answer)) && answer == "yes";
}

RunHeader header_for(const Options& options, const Workplace& place, const Plan& plan) {
    RunHeader header;
    const auto now = std::chrono::system_clock::now();
    header.id = make_run_id(now);
    header.cluster = plan.cluster;
    header.runbook = plan.runbook->name;
    header.plan_hash = plan.hash;
    header.started_at = to_iso8601(now);
    header.started_by = identity();
    header.reason = options.reason;
    header.engine_version = k_version;
    header.runbook_text = plan.runbook->text;
    header.inventory_text = place.inventory.text;
    header.inputs = Value(plan.inputs).to_json();
    header.plan = plan.to_json();
    return header;
}

void print_plan(const Options& options, const Plan& plan) {
    if (options.output == Output::text) {
        std::cout << plan_text(plan, Terminal::on(STDOUT_FILENO)) << std::flush;
    }
}

/// A plan that is not ready ends here: no run is on record, because nothing was begun.
int refuse(const Options& options, const Plan& plan) {
    const int exit_code = plan.refusal_code();
    if (options.output != Output::text) {
        const nlohmann::json document = {{"event", "run_ended"},
                                         {"run", nullptr},
                                         {"state", "refused"},
                                         {"exit_code", exit_code},
                                         {"plan_hash", plan.hash},
                                         {"blocked_by", to_json(plan.blocked_by)}};
        std::cout << document.dump(options.output == Output::json ? 2 : -1,
                                   ' ',
                                   false,
                                   nlohmann::json::error_handler_t::replace)
                  << "\n";
    }
    std::cerr << "refused before any change\n";
    return exit_code;
}

}  // namespace

int command_run(const Options& options, Interrupts& interrupts) {
    Workplace place(options);
    const std::unique_ptr<JournalStore> journal = open_sqlite_journal(state_folder(options));
    const Plan plan = plan_from(options, place, interrupts.token());
    print_plan(options, plan);
    if (!plan.ready()) {
        return refuse(options, plan);
    }
    if (!options.yes && !plan.nothing_to_do() && !confirmed(plan)) {
        std::cerr << "not started\n";
        return 4;
    }
    if (interrupts.token().stop_requested()) {
        return 130;
    }
    const RunHeader header = header_for(options, place, plan);
    Progress progress(Terminal::on(STDERR_FILENO));
    const auto listener = [&](const JournalRecord& record, const RunState& state) {
        if (options.output == Output::jsonl) {
            print_event(record, header);
        } else {
            progress(record, state);
        }
    };
    interrupts.on_second([&place] { place.runner.cancel_all(); });
    Executor executor(
        {plan, place.cluster, action_catalog(), place.runner, *journal, place.clock, listener},
        header);
    const RunEnd end = executor.run(interrupts.token());
    interrupts.on_second({});
    if (options.output == Output::text) {
        std::cout << "\n" << summary_text(header, executor.state(), Terminal::on(STDOUT_FILENO));
    } else if (options.output == Output::json) {
        std::cout << to_json(header, executor.state()).dump(2) << "\n";
    }
    return end.exit_code;
}

}  // namespace lockstep
