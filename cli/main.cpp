#include "base/error.hpp"
#include "cli/commands.hpp"
#include "cli/options.hpp"
#include "cli/problem_text.hpp"
#include "cli/signals.hpp"
#include "cli/terminal.hpp"
#include "engine/runbook/runbook.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <malloc.h>
#include <unistd.h>

#include <iostream>

namespace {

using namespace lockstep;

int dispatch(const Options& options, Interrupts& interrupts) {
    if (options.command == "check") {
        return command_check(options, interrupts);
    }
    if (options.command == "plan") {
        return command_plan(options, interrupts);
    }
    if (options.command == "run") {
        return command_run(options, interrupts);
    }
    if (options.command == "resume") {
        return command_resume(options, interrupts);
    }
    if (options.command == "rollback") {
        return command_rollback(options, interrupts);
    }
    if (options.command == "runs") {
        return command_runs(options);
    }
    if (options.command == "show") {
        return command_show(options);
    }
    if (options.command == "approve") {
        return command_approve(options);
    }
    if (options.command == "windows") {
        return command_windows(options);
    }
    if (options.command == "knowledge") {
        return command_knowledge(options);
    }
    if (options.command == "validate") {
        return command_validate(options);
    }
    if (options.command == "explain") {
        return command_explain(options);
    }
    if (options.command == "schema") {
        return command_schema(options);
    }
    if (options.command == "unlock") {
        return command_unlock(options, interrupts);
    }
    return command_doctor(options, interrupts);
}

int complain(const std::string& message, const std::string& hint, int exit_code) {
    const Terminal terminal = Terminal::on(STDERR_FILENO);
    std::cerr << terminal.paint("error:", Tone::bad) << " " << printable(message) << "\n";
    if (!hint.empty()) {
        std::cerr << terminal.paint("HINT:", Tone::strong) << "  " << printable(hint) << "\n";
    }
    return exit_code;
}

/// The exit codes of `check` are the monitoring plugins': what could not be done is UNKNOWN there.
int exit_code_of(const Options& options, int code) {
    return options.command == "check" ? 3 : code;
}

int run_command(const Options& options, Interrupts& interrupts) {
    try {
        refuse_what_does_not_fit(options);
        return dispatch(options, interrupts);
    } catch (const UsageError& error) {
        return complain(error.what(), error.hint(), exit_code_of(options, 2));
    } catch (const InputErrors& errors) {
        std::cerr << problems_text(errors.errors(), Terminal::on(STDERR_FILENO));
        return exit_code_of(options, 3);
    } catch (const InputError& error) {
        std::cerr << problems_text({error}, Terminal::on(STDERR_FILENO));
        return exit_code_of(options, 3);
    } catch (const LockHeldError& error) {
        return complain(error.what(), error.hint(), exit_code_of(options, 15));
    } catch (const TransportError& error) {
        const bool stopped = error.kind() == TransportError::Kind::cancelled;
        return complain(error.what(), error.hint(), exit_code_of(options, stopped ? 130 : 16));
    } catch (const Error& error) {
        return complain(error.what(), error.hint(), exit_code_of(options, 1));
    }
}

}  // namespace

int main(int argc, char** argv) {
    // glibc gives each thread a heap of its own, up to eight a processor, and what one of them
    // frees is of no use to the others. Ours wait for members most of the time, so that two are
    // enough.
    ::mallopt(M_ARENA_MAX, 2);
    try {
        const Parsed parsed = parse_options(argc, argv);
        if (parsed.exit_code) {
            return *parsed.exit_code;
        }
        Interrupts interrupts;  // before any other thread
        spdlog::set_default_logger(spdlog::stderr_logger_mt("lockstep"));
        spdlog::set_level(spdlog::level::from_str(parsed.options.log_level));
        spdlog::set_pattern("%H:%M:%S.%e %l %v");
        return run_command(parsed.options, interrupts);
    } catch (const lockstep::Error& error) {
        return complain(error.what(), error.hint(), 2);
    } catch (const std::exception& error) {
        return complain(std::string("internal error: ") + error.what(),
                        "This is a bug in lockstep. What was done is on record: `lockstep show`.",
                        1);
    }
}
