#include "base/error.hpp"
#include "base/known_secrets.hpp"
#include "cli/command_shipped.hpp"
#include "cli/commands.hpp"
#include "cli/options.hpp"
#include "cli/problem_text.hpp"
#include "cli/signals.hpp"
#include "cli/terminal.hpp"
#include "engine/runbook/runbook.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <fcntl.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)  // GCC
#define LOCKSTEP_ASAN 1
#elif defined(__has_feature)
#define LOCKSTEP_ASAN __has_feature(address_sanitizer)
#else
#define LOCKSTEP_ASAN 0
#endif

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
    Command{"__complete", at_once<command_complete>},
    Command{"__man", at_once<command_man>},
    Command{"approve", at_once<command_approve>},
    Command{"cancel", command_cancel},
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
    if (find_shipped_command(options.command) != nullptr) {
        return command_shipped(options, interrupts);
    }
    const auto* const command = std::ranges::find(k_commands, options.command, &Command::name);
    if (command == k_commands.end()) {
        throw std::logic_error("the command " + options.command + " is parsed and not known");
    }
    return command->run(options, interrupts);
}

int complain(const std::string& message, const std::string& hint, int exit_code) {
    const Terminal terminal = Terminal::on(STDERR_FILENO);
    std::cerr << terminal.paint("error:", Tone::bad) << " " << printable(without_secrets(message))
              << "\n";
    if (!hint.empty()) {
        std::cerr << terminal.paint("HINT:", Tone::strong) << "  "
                  << printable(without_secrets(hint)) << "\n";
    }
    return exit_code;
}

/// A document that is cut short is no success, whatever came of the work: but a code that says more
/// stays.
int exit_code_of_output(int code, bool is_check) {
    std::cout.flush();
    if (std::cout.good() && std::ferror(stdout) == 0) {
        return code;
    }
    return complain("the output could not be written to its end",
                    "Is the disk full, or has its reader gone?",
                    code != 0  ? code
                    : is_check ? 3
                               : 1);
}

/// Passwords and keys are in memory from now on. A core file would keep them; and of a process that
/// cannot be dumped nobody but root may read the memory or attach to it (ptrace(2), "Ptrace access
/// mode checking"). It is back with the next exec, so children are as always. LeakSanitizer
/// attaches to its own process.
void keep_memory_private() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_CORE, &limit) == 0) {
        limit.rlim_cur = 0;
        (void)::setrlimit(RLIMIT_CORE, &limit);
    }
#if !LOCKSTEP_ASAN
    (void)::prctl(PR_SET_DUMPABLE, 0);
#endif
}

/// A stream that the caller has closed is a number that the next file or socket would get, and with
/// it all that is printed. In its place stdin has an end, stderr takes anything, and stdout, which
/// cannot be written, fails as a full disk does.
void occupy_standard_streams() {
    for (const auto& [fd, flags] : {std::pair{STDIN_FILENO, O_RDONLY},
                                    std::pair{STDOUT_FILENO, O_RDONLY},
                                    std::pair{STDERR_FILENO, O_WRONLY}}) {
        if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", flags) != fd) {
            std::_Exit(1);  // there is nobody to tell
        }
    }
}

/// `%*` of the log's pattern: the message, without what may not be seen.
class HidingFlag final : public spdlog::custom_flag_formatter {
  public:
    void format(const spdlog::details::log_msg& message,
                const std::tm& /*time*/,
                spdlog::memory_buf_t& out) override {
        const std::string text =
            without_secrets(std::string(message.payload.data(), message.payload.size()));
        out.append(text.data(), text.data() + text.size());
    }

    [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
        return std::make_unique<HidingFlag>();
    }
};

void start_log(const std::string& level) {
    spdlog::set_default_logger(spdlog::stderr_logger_mt("lockstep"));
    spdlog::set_level(spdlog::level::from_str(level));
    auto format = std::make_unique<spdlog::pattern_formatter>();
    format->add_flag<HidingFlag>('*').set_pattern("%H:%M:%S.%e %l %*");
    spdlog::set_formatter(std::move(format));
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
    occupy_standard_streams();
    keep_memory_private();
    std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of write(), not our end
    std::signal(SIGXFSZ, SIG_IGN);  // so is a file that may not grow
    try {
        lockstep::remember_secret_variable("LOCKSTEP_APPROVAL_KEY");
        const Parsed parsed = parse_options(argc, argv);
        if (parsed.exit_code) {
            return exit_code_of_output(*parsed.exit_code, false);
        }
        Interrupts interrupts;  // before any other thread
        start_log(parsed.options.log_level);
        return exit_code_of_output(run_command(parsed.options, interrupts),
                                   parsed.options.command == "check");
    } catch (const lockstep::Error& error) {
        return complain(error.what(), error.hint(), 2);
    } catch (const std::exception& error) {
        return complain(std::string("internal error: ") + error.what(),
                        "This is a bug in lockstep. What was done is on record: `lockstep show`.",
                        1);
    }
}
