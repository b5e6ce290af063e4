#pragma once

#include "transport/ssh_config.hpp"
#include "transport/ssh_session.hpp"

#include <memory>

namespace lockstep {

/// A session by the system's ssh(1): one login, kept as a ControlMaster in the background, and one
/// short process for each command on it (OpenSSH 8.4 and later). All that ssh_config(5) says
/// counts, but for what would change a command: no forwardings, no terminal, no prompts, and host
/// keys are always verified. The master ends with the session, or by itself a minute after the last
/// command when this process is killed. `route` says where its login counts (LoginGate).
[[nodiscard]] std::unique_ptr<SshSession> make_openssh_session(SshEndpoint endpoint,
                                                               const SshRoute& route);

}  // namespace lockstep
