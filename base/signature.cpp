#include "base/signature.hpp"

#include "base/digest.hpp"
#include "base/error.hpp"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <memory>
#include <optional>

namespace lockstep {

namespace {

constexpr std::size_t k_key_size = 32;
constexpr std::size_t k_signature_size = 64;

struct FreeKey {
    void operator()(EVP_PKEY* key) const { ::EVP_PKEY_free(key); }
};

struct FreeContext {
    void operator()(EVP_MD_CTX* context) const { ::EVP_MD_CTX_free(context); }
};

using Key = std::unique_ptr<EVP_PKEY, FreeKey>;
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

/// nullopt: not so many bytes in lower-case hexadecimal digits.
std::optional<std::string> from_hex(std::string_view digits, std::size_t size) {
    constexpr std::string_view k_digits = "0123456789abcdef";
    if (digits.size() != 2 * size || digits.find_first_not_of(k_digits) != std::string_view::npos) {
        return std::nullopt;
    }
    std::string bytes;
    for (std::size_t i = 0; i < digits.size(); i += 2) {
        bytes += static_cast<char>(16 * k_digits.find(digits[i]) + k_digits.find(digits[i + 1]));
    }
    return bytes;
}

Key private_key(const Secret& key) {
    const std::optional<std::string> bytes = from_hex(key.reveal(), k_key_size);
    Key made(bytes ? ::EVP_PKEY_new_raw_private_key(
                         EVP_PKEY_ED25519, nullptr, bytes_of(*bytes), bytes->size())
                   : nullptr);
    if (!made) {
        throw Error("this is no signing key");
    }
    return made;
}

}  // namespace

Secret make_signing_key() {
    std::array<unsigned char, k_key_size> bytes{};
    if (::RAND_priv_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
        throw Error("libcrypto has no random bytes for a key");
    }
    return Secret(to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
}

std::string public_key_of(const Secret& key) {
    std::array<unsigned char, k_key_size> bytes{};
    std::size_t size = bytes.size();
    if (::EVP_PKEY_get_raw_public_key(private_key(key).get(), bytes.data(), &size) != 1) {
        throw Error("libcrypto cannot tell the public half of a key");
    }
    return to_hex({reinterpret_cast<const char*>(bytes.data()), size});
}

std::string sign(const Secret& key, std::string_view text) {
    const Key made = private_key(key);
    const Context context(::EVP_MD_CTX_new());
    std::array<unsigned char, k_signature_size> bytes{};
    std::size_t size = bytes.size();
    if (!context ||
        ::EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, made.get()) != 1 ||
        ::EVP_DigestSign(context.get(), bytes.data(), &size, bytes_of(text), text.size()) != 1) {
        throw Error("libcrypto cannot sign");
    }
    return to_hex({reinterpret_cast<const char*>(bytes.data()), size});
}

bool is_signed_by(std::string_view public_key, std::string_view text, std::string_view signature) {
    const std::optional<std::string> key = from_hex(public_key, k_key_size);
    const std::optional<std::string> bytes = from_hex(signature, k_signature_size);
    if (!key || !bytes) {
        return false;
    }
    const Key made(
        ::EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(*key), key->size()));
    const Context context(::EVP_MD_CTX_new());
    return made && context &&
           ::EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, made.get()) == 1 &&
           ::EVP_DigestVerify(
               context.get(), bytes_of(*bytes), bytes->size(), bytes_of(text), text.size()) == 1;
}

}  // namespace lockstep
