#include "base/digest.hpp"

#include "base/error.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

namespace lockstep {

namespace {

using Buffer = std::array<unsigned char, EVP_MAX_MD_SIZE>;

std::string text_of(const Buffer& digest, unsigned int length) {
    return std::string(reinterpret_cast<const char*>(digest.data()), length);
}

std::string hmac(const EVP_MD* kind, std::string_view key, std::string_view bytes) {
    Buffer digest{};
    unsigned int length = 0;
    if (::HMAC(kind,
               key.data(),
               static_cast<int>(key.size()),
               reinterpret_cast<const unsigned char*>(bytes.data()),
               bytes.size(),
               digest.data(),
               &length) == nullptr) {
        throw Error("libcrypto cannot compute an HMAC");
    }
    return text_of(digest, length);
}

}  // namespace

std::string to_hex(std::string_view bytes) {
    constexpr std::string_view k_digits = "0123456789abcdef";
    std::string text;
    text.reserve(2 * bytes.size());
    for (const char byte : bytes) {
        const auto value = static_cast<unsigned char>(byte);
        text += k_digits[value >> 4U];
        text += k_digits[value & 15U];
    }
    return text;
}

std::string sha256(std::string_view bytes) {
    Buffer digest{};
    unsigned int length = 0;
    if (::EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, ::EVP_sha256(), nullptr) !=
        1) {
        throw Error("libcrypto cannot compute a SHA-256");
    }
    return text_of(digest, length);
}

std::string hmac_sha1(std::string_view key, std::string_view bytes) {
    return hmac(::EVP_sha1(), key, bytes);
}

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
    return hmac(::EVP_sha256(), key, bytes);
}

std::string sha256_hex(std::string_view bytes) {
    return to_hex(sha256(bytes));
}

bool is_same_secret(std::string_view a, std::string_view b) {
    return a.size() == b.size() && ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace lockstep
