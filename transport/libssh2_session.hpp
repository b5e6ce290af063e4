#pragma once

#include "base/error.hpp"
#include "transport/ssh_config.hpp"
#include "transport/ssh_session.hpp"

#include <memory>

namespace lockstep {

/// A login that failed for something that ssh(1) has and libssh2 1.10 lacks: signatures with RSA
/// keys (rsa-sha2 came with 1.11.0), certificates, FIDO, GSSAPI, AES-GCM, ETM MACs. Nothing was
/// sent.
class Libssh2Limit : public TransportError {
    using TransportError::TransportError;
};

/// A session by libssh2, in this process. The route has no proxy.
[[nodiscard]] std::unique_ptr<SshSession> make_libssh2_session(SshRoute route);

}  // namespace lockstep
