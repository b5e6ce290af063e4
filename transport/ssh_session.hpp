#pragma once

/// transport/: how things are reached: SSH, sudo, HTTP, SQL, mail and local processes, each behind
/// an interface of its own, with its real client beside it. It says what is known of a request
/// (answered, nothing sent, outcome unknown) and not what that means for a step. Read this file
/// first, then libssh2_session.cpp and exec_trailer.hpp; http_client.hpp, sql_client.hpp and
/// process_runner.hpp are the other interfaces.

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

/// Who speaks SSH: libssh2 in this process, or the system's ssh(1) over a connection of its own
/// that all commands share. `automatic`: libssh2, and ssh(1) where libssh2 lacks what a host asks
/// for.
enum class SshClient { automatic, libssh2, openssh };

/// Where and as whom to log in, and how to know that it is the right host. What is left empty is
/// for ssh's own configuration to say (ssh_config(5)), and for its defaults where it does not.
struct SshEndpoint {
    std::string host;        ///< also what `Host` lines are matched with
    std::uint16_t port = 0;  ///< 0: empty
    std::string user;
    std::vector<std::string> identity_files;  ///< tried in order
    std::optional<Secret> passphrase;         ///< for an encrypted identity file
    bool use_agent = true;                    ///< before the files
    std::vector<std::string> known_hosts;     ///< paths; a host that is in none is refused
    std::string config_file;                  ///< instead of ssh's usual ones; `none`: none at all
    SshClient client = SshClient::automatic;
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

    /// `user@host:port`, for messages; what is not known yet is left out.
    [[nodiscard]] virtual std::string peer() const = 0;

    /// Who speaks SSH, as `ssh.client` names it: `libssh2`, `openssh`; empty while nobody does.
    [[nodiscard]] virtual std::string_view client() const { return {}; }
};

/// The real ones. Nothing is sent and no configuration is read before the first run(). Where
/// `automatic` has to change the client it says so once a host, and keeps to it in this process.
[[nodiscard]] std::unique_ptr<SshSession> make_ssh_session(SshEndpoint endpoint);

}  // namespace lockstep
