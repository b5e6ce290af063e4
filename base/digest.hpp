#pragma once

#include <string>
#include <string_view>

namespace lockstep {

/// Bytes as lower-case hexadecimal digits, two per byte.
[[nodiscard]] std::string to_hex(std::string_view bytes);

// Digests as bytes. They throw Error where libcrypto cannot compute them.
[[nodiscard]] std::string sha256(std::string_view bytes);
[[nodiscard]] std::string hmac_sha1(std::string_view key, std::string_view bytes);
[[nodiscard]] std::string hmac_sha256(std::string_view key, std::string_view bytes);

[[nodiscard]] std::string sha256_hex(std::string_view bytes);

/// Whether two texts are the same, in a time that says nothing about where they differ.
[[nodiscard]] bool is_same_secret(std::string_view a, std::string_view b);

}  // namespace lockstep
