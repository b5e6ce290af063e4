#pragma once

#include "transport/libssh2_link.hpp"
#include "transport/ssh_config.hpp"

namespace lockstep {

/// Logs in over a link whose host key was verified: the keys of the agent first, then the files,
/// up to the first success (libssh2 1.10 hangs in a second authentication after one). Throws
/// TransportError auth, with what was tried and what the server accepts: a Libssh2Limit where
/// ssh(1) may well get in.
void authenticate(const Libssh2Link& link, const SshRoute& route, const WaitTerms& terms);

}  // namespace lockstep
