#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// One line of a known_hosts file that names the host we look for (sshd(8), "SSH_KNOWN_HOSTS FILE
/// FORMAT", OpenSSH 9.2).
struct KnownKey {
    std::string type;  ///< `ssh-ed25519`, `ecdsa-sha2-nistp256`, …
    std::string blob;  ///< the key in its wire format
    bool revoked = false;
    int line = 0;               ///< counted from 1
    bool authority = false;     ///< `@cert-authority`: vouches for the host's certificates
    std::string file{};         ///< where the caller knows it
    bool without_port = false;  ///< stands under the host's name alone, though its port is not 22
};

enum class HostKeyVerdict { known, unknown, changed, revoked };

/// The lines of the text that match a name (known_hosts_name(), or HostKeyAlias): plain names, `*`
/// and `?` patterns, negations
/// (`!name` excludes the whole line), hashed names (`|1|salt|hash`), `[host]:port`. Read here and
/// not by libssh2 1.10, which ignores the marker `@revoked`, knows no patterns, and lets a line
/// without a port match every port. Lines that make no sense are skipped: they can only make a host
/// unknown.
[[nodiscard]] std::vector<KnownKey> find_known_keys(std::string_view text,
                                                    std::string_view known_as);

/// What the lines say about the key that a server has shown. `changed` when there is another key of
/// the same type: a server may well have keys of several types, of which only some are known. An
/// authority says nothing of a key without a certificate. A key that stands without the port counts
/// where those with it say nothing, as for ssh(1): it makes known, and never changed.
[[nodiscard]] HostKeyVerdict judge_host_key(const std::vector<KnownKey>& known,
                                            std::string_view blob);

/// The type that a key in wire format starts with; empty when it is damaged.
[[nodiscard]] std::string key_type(std::string_view blob);

/// `SHA256:…` as ssh-keygen -l prints it.
[[nodiscard]] std::string key_fingerprint(std::string_view blob);

/// `host`, or `[host]:port` where the port is not 22: the name as it stands in the file.
[[nodiscard]] std::string known_hosts_name(std::string_view host, std::uint16_t port);

}  // namespace lockstep
