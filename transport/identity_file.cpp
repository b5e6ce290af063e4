#include "transport/identity_file.hpp"

#include "transport/encoding.hpp"

#include <cerrno>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>

namespace lockstep {

namespace {

constexpr std::string_view k_openssh_begin = "-----BEGIN OPENSSH PRIVATE KEY-----";
constexpr std::string_view k_openssh_end = "-----END OPENSSH PRIVATE KEY-----";

IdentityFile inspect_openssh(std::string_view text) {
    IdentityFile file;
    const std::size_t begin = text.find(k_openssh_begin) + k_openssh_begin.size();
    const std::size_t end = text.find(k_openssh_end, begin);
    if (end == std::string_view::npos) {
        return file;
    }
    std::string body;
    for (const char c : text.substr(begin, end - begin)) {
        if (c != '\n' && c != '\r') {
            body += c;
        }
    }
    const std::optional<std::string> bytes = base64_decode(body);
    if (!bytes) {
        return file;
    }
    constexpr std::string_view k_magic{"openssh-key-v1\0", 15};
    WireReader reader(*bytes);
    const bool ours = reader.raw(k_magic.size()) == k_magic;
    file.encrypted = reader.string() != "none";
    [[maybe_unused]] const std::string_view kdf = reader.string();
    [[maybe_unused]] const std::string_view kdf_options = reader.string();
    [[maybe_unused]] const std::uint32_t keys = reader.uint32();
    file.type = std::string(WireReader(reader.string()).string());
    if (ours && reader.good()) {
        file.state = IdentityFile::State::usable;
    }
    return file;
}

}  // namespace

IdentityFile inspect_identity(std::string_view text) {
    const auto has = [text](std::string_view part) {
        return text.find(part) != std::string_view::npos;
    };
    if (has(k_openssh_begin)) {
        return inspect_openssh(text);
    }
    IdentityFile file;
    if (!has("-----BEGIN ") || !has("PRIVATE KEY-----")) {
        return file;
    }
    file.state = IdentityFile::State::usable;
    if (has("BEGIN RSA PRIVATE KEY")) {
        file.type = "ssh-rsa";
    } else if (has("BEGIN DSA PRIVATE KEY")) {
        file.type = "ssh-dss";
    }
    file.encrypted = has("BEGIN ENCRYPTED PRIVATE KEY") || has("Proc-Type: 4,ENCRYPTED");
    return file;
}

IdentityFile inspect_identity_file(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    if (!stream) {
        IdentityFile file;
        file.state = IdentityFile::State::unreadable;
        file.reason = std::generic_category().message(errno);
        return file;
    }
    std::ostringstream text;
    text << stream.rdbuf();  // a directory opens, and is empty
    return inspect_identity(text.str());
}

std::string unusable_key_reason(std::string_view type) {
    const bool certificate = type.ends_with("-cert-v01@openssh.com");
    if (type == "ssh-rsa") {
        return "an RSA key: libssh2 1.10 signs with it by SHA-1 only, which OpenSSH 8.8 and later "
               "refuse";
    }
    if (type.starts_with("sk-")) {
        return "a key on a hardware token, which libssh2 1.10 does not know";
    }
    if (type == "ssh-dss") {
        return "a DSA key, which OpenSSH refuses since 7.0";
    }
    // libssh2 1.10 logs in with ECDSA certificates only.
    if (certificate && !type.starts_with("ecdsa-")) {
        return "a certificate of a kind that libssh2 1.10 does not know";
    }
    return {};
}

}  // namespace lockstep
