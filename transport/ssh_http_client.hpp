#pragma once

#include "transport/http_client.hpp"
#include "transport/ssh_session.hpp"

#include <memory>

namespace lockstep {

/// Sends requests by the curl of the host that the session is on, for what answers only there:
/// behind a firewall, or on a loopback. Where nothing listens at the address, the same request goes
/// to the port on the host's loopback; host name and certificate are those of the URL all the same.
///
/// The files of `settings` are files of this machine. They and the password go there by stdin and
/// reach curl through pipes: nothing is in an argv or on a disk. It works with curl 7.49 and later,
/// on Linux. Without `ca_file` the authorities are those of the host.
///
/// Throws as HttpClient says, and what the session throws. Owns the session.
[[nodiscard]] std::unique_ptr<HttpClient> make_ssh_http_client(std::unique_ptr<SshSession> session,
                                                               HttpSettings settings);

}  // namespace lockstep
