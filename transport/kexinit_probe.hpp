#pragma once

#include "base/deadline.hpp"

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

namespace lockstep {

/// What an SSH server offers or we accept: comma-separated names, the preferred one first, for the
/// direction server to client.
struct SshOffer {
    std::string key_exchanges;
    std::string host_keys;
    std::string ciphers;
    std::string macs;
};

/// What our sessions accept: no SHA-1, no CBC, no RC4, no 3DES, no groups below 2048 bits. All of
/// it is in libssh2 1.10, which knows neither AES-GCM, chacha20 nor the `-etm` MACs; without these
/// Terrapin (CVE-2023-48795) has nothing to attack.
[[nodiscard]] const SshOffer& accepted_algorithms();

/// Reads the payload of SSH_MSG_KEXINIT (RFC 4253, section 7.1); nothing when it is not one.
[[nodiscard]] std::optional<SshOffer> parse_kexinit(std::string_view payload);

/// Says which kind of algorithm has nothing in common: `no common MAC: the server offers …, we
/// accept …`. Empty when everything has.
[[nodiscard]] std::string explain_mismatch(const SshOffer& server, const SshOffer& ours);

/// Asks a server for its offer over a connection of its own, because libssh2 says no more than
/// "Unable to exchange encryption keys". Nothing when it does not answer properly in time.
[[nodiscard]] std::optional<SshOffer> probe_kexinit(const std::string& host,
                                                    std::uint16_t port,
                                                    Deadline deadline,
                                                    const std::stop_token& stop);

}  // namespace lockstep
