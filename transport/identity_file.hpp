#pragma once

#include <string>
#include <string_view>

namespace lockstep {

/// What can be said about a private key file without its passphrase.
struct IdentityFile {
    enum class State { usable, unreadable, not_a_key };

    State state = State::not_a_key;
    std::string type;  ///< `ssh-rsa`, `ssh-ed25519`, …; empty where the container does not tell
    bool encrypted = false;
    std::string reason;  ///< why it is unreadable
};

/// Looks at the container: OpenSSH's own (PROTOCOL.key of OpenSSH 9.2) or PEM.
[[nodiscard]] IdentityFile inspect_identity(std::string_view text);
[[nodiscard]] IdentityFile inspect_identity_file(const std::string& path);

/// Why libssh2 1.10 cannot log in with a key of this type; empty where it can. RSA: it signs with
/// SHA-1 only (rsa-sha2 came with 1.11.0, libssh2 #626), which OpenSSH refuses since 8.8.
[[nodiscard]] std::string unusable_key_reason(std::string_view type);

}  // namespace lockstep
