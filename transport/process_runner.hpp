#pragma once

#include "base/deadline.hpp"
#include "transport/command.hpp"

#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

namespace lockstep {

/// A process on this machine; argv never passes through a shell.
struct LocalCommand {
    std::vector<std::string> argv;           ///< argv[0] is looked up in PATH
    std::map<std::string, std::string> env;  ///< added to ours
    std::string stdin_data;
    std::size_t output_limit = k_default_output_limit;
};

class ProcessRunner {
  public:
    virtual ~ProcessRunner() = default;

    /// Runs it to its end. The child inherits no descriptor but its three and is in a process group
    /// of its own. Past the deadline, or when told to stop, the group gets SIGTERM and two seconds
    /// later SIGKILL; then TransportError timeout or cancelled. `connect` when it cannot be
    /// started.
    virtual CommandResult run(const LocalCommand& command,
                              Deadline deadline,
                              std::stop_token stop) = 0;
};

/// The real one, by Boost.Process.
[[nodiscard]] std::unique_ptr<ProcessRunner> make_process_runner();

}  // namespace lockstep
