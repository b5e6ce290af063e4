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

#include <algorithm>
#include <array>
#include <iostream>
#include <stdexcept>
#include <string_view>

namespace {

using namespace lockstep;

struct Command {
    std::string_view name;
    int (*run)(const Options& options, Interrupts& interrupts);
};

/// For those that end by themselves so soon that nobody needs to interrupt them.
template <int (*Run)(const Options&)>
int at_once(const Options& options, Interrupts&) {
    return Run(options);
}

constexpr std::array k_commands{
    Command{"approve", at_once<command_approve>},
    Command{"check", command_check},
    Command{"doctor", command_doctor},
    Command{"explain", at_once<command_explain>},
    Command{"keys", at_once<command_keys>},
    Command{"knowledge", at_once<command_knowledge>},
    Command{"plan", command_plan},
    Command{"resume", command_resume},
    Command{"rollback", command_rollback},
    Command{"run", command_run},
    Command{"runs", at_once<command_runs>},
    Command{"schema", at_once<command_schema>},
    Command{"show", at_once<command_show>},
    Command{"unlock", command_unlock},
    Command{"validate", at_once<command_validate>},
    Command{"windows", at_once<command_windows>},
};

int dispatch(const Options& options, Interrupts& interrupts) {
    const auto* const command = std::ranges::find(k_commands, options.command, &Command::name);
    if (command == k_commands.end()) {
        throw std::logic_error("the command " + options.command + " is parsed and not known");
    }
    return command->run(options, interrupts);
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
