#pragma once

#include "base/deadline.hpp"
#include "base/secret.hpp"
#include "transport/command.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// Where and as whom to log in, and how to know that it is the right host.
struct SshEndpoint {
    std::string host;
    std::uint16_t port = 22;
    std::string user;
    std::vector<std::string> identity_files;  ///< tried in order; empty: the agent alone
    std::optional<Secret> passphrase;         ///< for an encrypted identity file
    bool use_agent = true;                    ///< SSH_AUTH_SOCK, before the files
    std::string known_hosts;                  ///< path; a host that is not in it is refused
};

/// A shell text for `sh -c` on the member. Whoever renders it has quoted every value.
struct RemoteCommand {
    std::string script;
    std::string stdin_data;  ///< secrets go here, never into the script: argv is public on a host
    std::size_t output_limit = k_default_output_limit;
    /// The connection counts as lost when no byte came or went for so long; 0 waits for the
    /// deadline. Only for a command that is never silent for long.
    std::chrono::milliseconds quiet_limit{0};
    /// Called with each piece of stdout as it arrives, for progress; may be empty.
    std::function<void(std::string_view)> on_output;
};

/// One login on one member, kept for the whole run. Used by one thread at a time. Connects at the
/// first use and again, lazily, after the connection was lost; a command is never sent twice.
class SshSession {
  public:
    virtual ~SshSession() = default;

    /// Runs the script to its end. The exit status travels in band, because libssh2 1.10 reports 0
    /// for a status that never arrived. Throws TransportError: connect, auth and host_key before
    /// anything was sent; lost, timeout and cancelled when the outcome is unknown. Silence beyond
    /// the quiet limit is lost.
    virtual CommandResult run(const RemoteCommand& command,
                              Deadline deadline,
                              std::stop_token stop) = 0;

    /// `user@host:port`, for messages.
    [[nodiscard]] virtual std::string peer() const = 0;
};

/// The real one. Nothing is sent before the first run().
[[nodiscard]] std::unique_ptr<SshSession> make_libssh2_session(SshEndpoint endpoint);

}  // namespace lockstep
