#pragma once

#include "transport/libssh2_link.hpp"
#include "transport/ssh_session.hpp"

namespace lockstep {

/// Logs in over a link whose host key was verified: the keys of the agent first, then the files,
/// up to the first success (libssh2 1.10 hangs in a second authentication after one). Throws
/// TransportError auth, with what was tried and what the server accepts.
void authenticate(const Libssh2Link& link, const SshEndpoint& endpoint, const WaitTerms& terms);

}  // namespace lockstep
