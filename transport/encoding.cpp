#include "transport/encoding.hpp"

#include "base/digest.hpp"
#include "base/error.hpp"

#include <openssl/evp.h>
#include <sys/random.h>

#include <vector>

namespace lockstep {

namespace {

// OpenSSL and std::string do not agree on what a byte is.
const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

template <class Bytes>
std::string text_of(const Bytes& bytes, std::size_t length) {
    return std::string(reinterpret_cast<const char*>(bytes.data()), length);
}

}  // namespace

std::optional<std::string> base64_decode(std::string_view text) {
    if (text.empty() || text.size() % 4 != 0) {
        return std::nullopt;
    }
    std::vector<unsigned char> bytes(text.size() / 4 * 3);
    const int length = EVP_DecodeBlock(bytes.data(), bytes_of(text), static_cast<int>(text.size()));
    if (length < 0) {
        return std::nullopt;
    }
    // EVP_DecodeBlock counts the padding as bytes (its man page).
    std::size_t kept = static_cast<std::size_t>(length);
    for (std::size_t from_end = 1; from_end <= 2 && text[text.size() - from_end] == '=';
         ++from_end) {
        --kept;
    }
    return text_of(bytes, kept);
}

std::string base64_encode(std::string_view bytes) {
    std::vector<unsigned char> text((bytes.size() + 2) / 3 * 4 + 1);
    const int length =
        EVP_EncodeBlock(text.data(), bytes_of(bytes), static_cast<int>(bytes.size()));
    return text_of(text, static_cast<std::size_t>(length));
}

std::string random_hex(std::size_t length) {
    std::string bytes(length, '\0');
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
        throw Error("the kernel gives no random bytes");
    }
    return to_hex(bytes);
}

std::string_view WireReader::raw(std::size_t length) {
    if (!good_ || length > bytes_.size()) {
        good_ = false;
        return {};
    }
    const std::string_view taken = bytes_.substr(0, length);
    bytes_.remove_prefix(length);
    return taken;
}

std::uint8_t WireReader::byte() {
    const std::string_view taken = raw(1);
    return taken.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(taken.front());
}

std::uint32_t WireReader::uint32() {
    std::uint32_t value = 0;
    for (const char byte : raw(4)) {
        value = value << 8U | static_cast<unsigned char>(byte);
    }
    return value;
}

std::string_view WireReader::string() {
    return raw(uint32());
}

void put_uint32(std::string& bytes, std::uint32_t value) {
    for (unsigned int shift = 32; shift > 0;) {
        shift -= 8;
        bytes += static_cast<char>(static_cast<unsigned char>(value >> shift & 255U));
    }
}

void put_string(std::string& bytes, std::string_view value) {
    put_uint32(bytes, static_cast<std::uint32_t>(value.size()));
    bytes += value;
}

}  // namespace lockstep
