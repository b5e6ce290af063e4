#pragma once

#include "base/secret.hpp"

#include <string>
#include <string_view>

/// Signatures by Ed25519 (RFC 8032), of libcrypto. Keys and signatures are texts: lower-case
/// hexadecimal digits, two per byte. Everything throws Error where libcrypto cannot do its part.
namespace lockstep {

/// 64 digits, which nobody has seen before.
[[nodiscard]] Secret make_signing_key();

/// The public half, 64 digits. Throws Error for a text that is no key.
[[nodiscard]] std::string public_key_of(const Secret& key);

/// 128 digits.
[[nodiscard]] std::string sign(const Secret& key, std::string_view text);

/// False also for what is no key or no signature.
[[nodiscard]] bool is_signed_by(std::string_view public_key,
                                std::string_view text,
                                std::string_view signature);

}  // namespace lockstep
