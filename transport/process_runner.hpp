#pragma once

#include "base/deadline.hpp"
#include "transport/command.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

enum class OutputStream { out, err };

/// A process on this machine; argv never passes through a shell.
struct LocalCommand {
    std::vector<std::string> argv;  ///< argv[0] is looked up in PATH
    /// Added to what is inherited of ours, which is a list of harmless names (docs/secrets.md).
    std::map<std::string, std::string> env;
    std::string stdin_data;
    std::size_t output_limit = k_default_output_limit;
    /// Takes each piece of output as it comes; nothing is kept then. False: enough was heard, the
    /// group is ended, and the exit status means nothing. May be empty.
    std::function<bool(OutputStream stream, std::string_view piece)> on_output;
    /// It counts as lost, and is ended, when it said nothing for so long; 0 waits for the deadline.
    std::chrono::milliseconds quiet_limit{0};
    /// Whether processes that it leaves in the background live on when it ends by itself; otherwise
    /// they are killed.
    bool leaves_daemon = false;
};

class ProcessRunner {
  public:
    virtual ~ProcessRunner() = default;

    /// Runs it to its end. The child inherits no descriptor but its three and is in a process group
    /// of its own, with every signal as it is by default. Past the deadline, or when told to stop,
    /// the group gets SIGTERM and two seconds later SIGKILL; then TransportError timeout or
    /// cancelled, and lost past the quiet limit. `connect` when it cannot be started.
    virtual CommandResult run(const LocalCommand& command,
                              Deadline deadline,
                              std::stop_token stop) = 0;
};

/// The real one, by Boost.Process.
[[nodiscard]] std::unique_ptr<ProcessRunner> make_process_runner();

}  // namespace lockstep
