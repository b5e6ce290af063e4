// The one file that includes Boost.Process (10 s of compile time): version 1 of it, from Boost 1.74
// to 1.87. In 1.88 it has moved to boost/process/v1.hpp.
#include "base/error.hpp"
#include "base/known_secrets.hpp"
#include "base/unique_fd.hpp"
#include "transport/exec_trailer.hpp"
#include "transport/process_runner.hpp"

#include <boost/asio.hpp>
#include <boost/process.hpp>
#include <boost/process/extend.hpp>
#include <boost/process/posix.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <system_error>
#include <utility>

namespace lockstep {

namespace {

namespace asio = boost::asio;
namespace bp = boost::process;
using Kind = TransportError::Kind;
using std::chrono::milliseconds;

constexpr milliseconds k_term_to_kill{2'000};
// How often somebody of a group that was told to end is looked for, and where there is no pidfd
// (Linux before 5.3) the end of a process. SIGCHLD would be the process's own business: Boost's
// waiting with a timeout takes the handler away from everybody (boostorg/process #347).
constexpr milliseconds k_poll{20};

struct CloseFile {
    void operator()(FILE* file) const noexcept {
        [[maybe_unused]] const int rc = std::fclose(file);
    }
};

using File = std::unique_ptr<FILE, CloseFile>;

/// A file in memory with the child's stdin: a pipe would need somebody to write to it and to
/// survive its SIGPIPE.
File make_stdin(const std::string& data) {
    const int fd = ::memfd_create("stdin", MFD_CLOEXEC);
    File file(fd < 0 ? nullptr : ::fdopen(fd, "r+"));
    if (file == nullptr || std::fwrite(data.data(), 1, data.size(), file.get()) != data.size() ||
        std::fflush(file.get()) != 0) {
        throw Error("cannot keep a command's stdin: " + std::generic_category().message(errno));
    }
    std::rewind(file.get());
    return file;
}

/// Between fork and exec: marks everything but the standard streams to be closed. Not by
/// bp::limit_handles, which in Boost 1.74 also closes the output pipes that it was given, and the
/// one through which a failed exec is reported. Calls only what is safe after a fork of many
/// threads.
void close_others_on_exec() noexcept {
#ifdef CLOSE_RANGE_CLOEXEC
    if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0) {
        return;
    }
#endif
    // Linux before 5.11
    constexpr long k_highest = 65'536;
    const long limit = std::min(::sysconf(_SC_OPEN_MAX), k_highest);
    for (int fd = 3; fd < limit; ++fd) {
        ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
}

/// Between fork and exec, as above. Our threads have signals blocked and SIGPIPE ignored, and both
/// outlive an exec: `timeout` would never hear its alarm, and nobody could end a child but by
/// SIGKILL (Python: bpo-1652).
void reset_signals() noexcept {
    struct sigaction by_default {};

    by_default.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number) {
        ::sigaction(number, &by_default, nullptr);  // fails for SIGKILL and SIGSTOP
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);  // NOLINT(concurrency-mt-unsafe): after fork
}

/// For exec: the texts outlive them.
std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> all;
    all.reserve(texts.size() + 1);
    for (std::string& text : texts) {
        all.push_back(text.data());
    }
    all.push_back(nullptr);
    return all;
}

/// What a program needs to find its way, its user, its terminal and its agents. LOCKSTEP_… are for
/// one of us that a runbook calls.
bool is_inherited(std::string_view name, std::string_view value) {
    constexpr std::array<std::string_view, 21> k_names{"PATH",
                                                       "HOME",
                                                       "USER",
                                                       "LOGNAME",
                                                       "SHELL",
                                                       "LANG",
                                                       "LANGUAGE",
                                                       "TZ",
                                                       "TERM",
                                                       "TMPDIR",
                                                       "SSH_AUTH_SOCK",
                                                       "DISPLAY",
                                                       "GNUPGHOME",
                                                       "GPG_TTY",
                                                       "KRB5CCNAME",
                                                       "KRB5_CONFIG",
                                                       "DBUS_SESSION_BUS_ADDRESS",
                                                       "PASSWORD_STORE_DIR",
                                                       "SSL_CERT_FILE",
                                                       "LOCKSTEP_INVENTORY",
                                                       "LOCKSTEP_STATE"};
    constexpr std::array<std::string_view, 8> k_proxies{"http_proxy",
                                                        "https_proxy",
                                                        "all_proxy",
                                                        "no_proxy",
                                                        "HTTP_PROXY",
                                                        "HTTPS_PROXY",
                                                        "ALL_PROXY",
                                                        "NO_PROXY"};
    if (is_secret_variable(name)) {
        return false;
    }
    const bool is_proxy = std::ranges::find(k_proxies, name) != k_proxies.end();
    return name.starts_with("LC_") || name.starts_with("XDG_") ||
           std::ranges::find(k_names, name) != k_names.end() ||
           (is_proxy && value.find('@') == std::string_view::npos);  // there is no password in it
}

/// That part of ours, with what the command adds: our own may hold any secret.
std::vector<std::string> environment_of(const LocalCommand& command) {
    std::vector<std::string> settings;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const std::string_view name = text.substr(0, text.find('='));
        if (!command.env.contains(std::string(name)) &&
            is_inherited(name, text.substr(std::min(name.size() + 1, text.size())))) {
            settings.emplace_back(text);
        }
    }
    for (const auto& [name, value] : command.env) {
        settings.push_back(name + "=" + value);
    }
    return settings;
}

/// One output stream of the child, kept up to the limit and read to its end. A pipe of our own,
/// because bp::async_pipe has no O_CLOEXEC: a child that another thread starts at the same time
/// would hold it open.
struct Output {
    Output(asio::io_context& context, std::size_t limit) : source(context), kept(limit) {
        std::array<int, 2> ends{-1, -1};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
            throw Error("cannot create a pipe: " + std::generic_category().message(errno));
        }
        source.assign(ends[0]);
        source.non_blocking(true);
        sink = UniqueFd(ends[1]);
    }

    asio::posix::stream_descriptor source;
    UniqueFd sink;
    CappedText kept;
    std::array<char, 16'384> buffer{};
    bool ended = false;
};

/// One process from its start to its end, driven by an event loop of its own.
class Process {
  public:
    explicit Process(const LocalCommand& command)
        : command_(command),
          timer_(context_),
          deadline_timer_(context_),
          quiet_timer_(context_),
          end_(context_),
          out_(context_, command.output_limit),
          err_(context_, command.output_limit) {}

    CommandResult run(Deadline deadline, const std::stop_token& stop) {
        const auto begin = Deadline::SteadyClock::now();
        start();
        const std::stop_callback on_stop(
            stop, [this] { asio::post(context_, [this] { give_up(Kind::cancelled); }); });
        deadline_timer_.expires_at(deadline.at());
        deadline_timer_.async_wait([this](const boost::system::error_code& error) {
            if (!error) {
                give_up(Kind::timeout);
            }
        });
        heard_something();
        read(out_, OutputStream::out);
        read(err_, OutputStream::err);
        await_end();
        context_.run();
        if (given_up_) {
            throw_given_up();
        }
        if (command_.leaves_daemon) {
            group_.detach();  // its destructor kills the group
        }
        CommandResult result;
        const int status = child_.native_exit_code();
        result.exit_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        result.out_truncated = out_.kept.truncated();
        result.err_truncated = err_.kept.truncated();
        result.out = out_.kept.take();
        result.err = err_.kept.take();
        result.took =
            std::chrono::duration_cast<milliseconds>(Deadline::SteadyClock::now() - begin);
        return result;
    }

  private:
    void start() {
        if (command_.argv.empty()) {
            throw Error("a command without a program cannot be run");
        }
        const std::string& program = command_.argv.front();
        const boost::filesystem::path path = program.find('/') == std::string::npos
                                                 ? bp::search_path(program)
                                                 : boost::filesystem::path(program);
        std::error_code error = std::make_error_code(std::errc::no_such_file_or_directory);
        if (!path.empty()) {
            error.clear();
            spawn(path, error);
        }
        if (error) {
            throw TransportError(Kind::connect,
                                 program + ": cannot be started: " + error.message(),
                                 "Check that the program is installed and in the PATH.");
        }
    }

    void spawn(const boost::filesystem::path& path, std::error_code& error) {
        const File input = make_stdin(command_.stdin_data);
        std::vector<std::string> words = command_.argv;
        std::vector<std::string> settings = environment_of(command_);
        std::vector<char*> argv = pointers(words);
        std::vector<char*> env = pointers(settings);
        // Not bp::args: it takes front() of every argument, also of an empty one. Nor
        // bp::environment: it compares with a name past the end of what is there (Boost 1.74,
        // detail/posix/environment.hpp, find).
        const auto prepare = [&argv, &env](auto& executor) {
            executor.cmd_line = argv.data();
            executor.env = env.data();
            close_others_on_exec();
            reset_signals();
        };
        child_ = bp::child(bp::exe = path,
                           bp::std_in = input.get(),
                           bp::posix::fd.bind(STDOUT_FILENO, out_.sink.get()),
                           bp::posix::fd.bind(STDERR_FILENO, err_.sink.get()),
                           group_,
                           bp::extend::on_exec_setup(prepare),
                           error);
        out_.sink.reset();
        err_.sink.reset();
    }

    [[noreturn]] void throw_given_up() const {
        const std::string& program = command_.argv.front();
        switch (*given_up_) {
            case Kind::timeout:
                throw TransportError(Kind::timeout,
                                     program + ": did not end in time, and was killed");
            case Kind::lost:
                throw TransportError(Kind::lost,
                                     program + ": nothing was heard for " +
                                         std::to_string(command_.quiet_limit.count()) +
                                         " ms, and it was killed");
            default:
                throw TransportError(*given_up_, program + ": cancelled, and was killed");
        }
    }

    /// Reads when there is something to read, and not by async_read_some(): that may have taken a
    /// piece already, and not have handed it over, when the end of the process is seen.
    void read(Output& output, OutputStream stream) {
        output.source.async_wait(asio::posix::stream_descriptor::wait_read,
                                 [this, &output, stream](const boost::system::error_code& error) {
                                     if (error) {
                                         return;
                                     }
                                     const ssize_t count = read_once(output, stream);
                                     if (count > 0) {
                                         heard_something();
                                     }
                                     if (!output.ended) {
                                         read(output, stream);
                                     } else if (out_.ended && err_.ended) {
                                         look();
                                     }
                                 });
    }

    ssize_t read_once(Output& output, OutputStream stream) {
        const int fd = output.source.native_handle();
        const ssize_t count = ::read(fd, output.buffer.data(), output.buffer.size());
        if (count > 0) {
            take(output,
                 stream,
                 std::string_view(output.buffer.data(), static_cast<std::size_t>(count)));
        } else {
            output.ended = count == 0 || (errno != EAGAIN && errno != EINTR);
        }
        return count;
    }

    void take(Output& output, OutputStream stream, std::string_view piece) {
        if (!command_.on_output) {
            output.kept.append(piece);
        } else if (!piece.empty() && !enough_ && !command_.on_output(stream, piece)) {
            enough_ = true;
            end_group();
        }
    }

    void heard_something() {
        if (command_.quiet_limit.count() == 0) {
            return;
        }
        quiet_timer_.expires_after(command_.quiet_limit);
        quiet_timer_.async_wait([this](const boost::system::error_code& error) {
            if (!error) {
                give_up(Kind::lost);
            }
        });
    }

    /// Waits for the end of the process: by its pidfd, which is readable then, or by looking.
    void await_end() {
#ifdef SYS_pidfd_open
        const int fd = static_cast<int>(::syscall(SYS_pidfd_open, child_.id(), 0));
        if (fd >= 0) {  // close-on-exec by itself
            end_.assign(fd);
            end_.async_wait(asio::posix::stream_descriptor::wait_read,
                            [this](const boost::system::error_code& error) {
                                if (!error && !look()) {
                                    poll();
                                }
                            });
            return;
        }
#endif
        poll();
    }

    /// Looks for the end of the process now and then.
    void poll() {
        timer_.expires_after(k_poll);
        timer_.async_wait([this](const boost::system::error_code& error) {
            if (!error && !look()) {
                poll();
            }
        });
    }

    /// True when the process has ended, and everything else with it.
    bool look() {
        std::error_code error;
        if (done_ || child_.running(error) || group_must_die()) {
            return done_;
        }
        done_ = true;
        drain(out_, OutputStream::out);
        drain(err_, OutputStream::err);
        context_.stop();
        return true;
    }

    /// Whether somebody of the group is left who was told to end, and SIGKILL has not come yet.
    [[nodiscard]] bool group_must_die() const {
        return given_up_ && !killed_ && ::kill(-group_.native_handle(), 0) == 0;
    }

    /// What is in the pipe by now: a grandchild that keeps it open is not waited for.
    void drain(Output& output, OutputStream stream) {
        while (!output.ended && read_once(output, stream) > 0) {
        }
    }

    void give_up(Kind kind) {
        if (given_up_ || enough_) {
            return;
        }
        given_up_ = kind;
        end_group();
    }

    void end_group() {
        ::kill(-group_.native_handle(), SIGTERM);
        deadline_timer_.expires_after(k_term_to_kill);
        deadline_timer_.async_wait([this](const boost::system::error_code& error) {
            if (!error) {
                killed_ = true;
                ::kill(-group_.native_handle(), SIGKILL);
            }
        });
    }

    const LocalCommand& command_;
    asio::io_context context_;
    asio::steady_timer timer_;
    asio::steady_timer deadline_timer_;
    asio::steady_timer quiet_timer_;
    asio::posix::stream_descriptor end_;  // the pidfd
    Output out_;
    Output err_;
    bp::group group_;
    bp::child child_;
    std::optional<Kind> given_up_;
    bool enough_ = false;
    bool killed_ = false;
    bool done_ = false;
};

class BoostProcessRunner final : public ProcessRunner {
  public:
    CommandResult run(const LocalCommand& command,
                      Deadline deadline,
                      std::stop_token stop) override {
        return Process(command).run(deadline, stop);
    }
};

}  // namespace

std::unique_ptr<ProcessRunner> make_process_runner() {
    return std::make_unique<BoostProcessRunner>();
}

}  // namespace lockstep
