#include "transport/kexinit_probe.hpp"

#include "transport/encoding.hpp"
#include "transport/tcp_connect.hpp"
#include "transport/wait_fd.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace lockstep {

namespace {

constexpr std::uint8_t k_msg_kexinit = 20;
constexpr std::size_t k_longest_packet = 35'000;  // RFC 4253, section 6.1
constexpr std::size_t k_longest_greeting = 16'384;

bool has_common(std::string_view left, std::string_view right) {
    const std::string haystack = "," + std::string(right) + ",";
    while (!left.empty()) {
        const std::string name(left.substr(0, left.find(',')));
        if (haystack.find("," + name + ",") != std::string::npos) {
            return true;
        }
        left.remove_prefix(std::min(name.size() + 1, left.size()));
    }
    return false;
}

/// The stream of one server, read in pieces as long as it takes.
class Greeting {
  public:
    Greeting(UniqueFd socket, Deadline deadline, std::stop_token stop)
        : socket_(std::move(socket)), deadline_(deadline), stop_(std::move(stop)) {}

    /// Sends our identification, which a server may await before it says more.
    [[nodiscard]] bool introduce() const {
        constexpr std::string_view k_line = "SSH-2.0-lockstep_probe\r\n";
        return ::send(socket_.get(), k_line.data(), k_line.size(), MSG_NOSIGNAL) ==
               static_cast<ssize_t>(k_line.size());
    }

    /// Skips the lines up to the one with the server's identification (RFC 4253, section 4.2).
    [[nodiscard]] bool skip_identification() {
        while (buffer_.size() < k_longest_greeting) {
            const std::size_t end = buffer_.find('\n');
            if (end == std::string::npos) {
                if (!read_more()) {
                    return false;
                }
                continue;
            }
            const bool found = buffer_.starts_with("SSH-");
            buffer_.erase(0, end + 1);
            if (found) {
                return true;
            }
        }
        return false;
    }

    /// The payload of the first binary packet, which is still in clear text.
    [[nodiscard]] std::optional<std::string> packet() {
        if (!read_until(5)) {
            return std::nullopt;
        }
        WireReader reader(buffer_);
        const std::size_t length = reader.uint32();
        const std::size_t padding = reader.byte();
        if (length > k_longest_packet || padding + 1 > length || !read_until(4 + length)) {
            return std::nullopt;
        }
        return buffer_.substr(5, length - padding - 1);
    }

  private:
    bool read_until(std::size_t length) {
        while (buffer_.size() < length) {
            if (!read_more()) {
                return false;
            }
        }
        return true;
    }

    bool read_more() {
        std::array<char, 4096> piece{};
        while (wait_fd(socket_.get(), POLLIN, deadline_, stop_) == WaitResult::ready) {
            const ssize_t count = ::recv(socket_.get(), piece.data(), piece.size(), 0);
            if (count > 0) {
                buffer_.append(piece.data(), static_cast<std::size_t>(count));
                return true;
            }
            if (count == 0 || errno != EAGAIN) {
                return false;
            }
        }
        return false;
    }

    UniqueFd socket_;
    Deadline deadline_;
    std::stop_token stop_;
    std::string buffer_;
};

}  // namespace

const SshOffer& accepted_algorithms() {
    static const SshOffer k_accepted{
        .key_exchanges =
            "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,"
            "ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group16-sha512,"
            "diffie-hellman-group18-sha512,diffie-hellman-group-exchange-sha256,"
            "diffie-hellman-group14-sha256",
        .host_keys = "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521",
        .ciphers = "aes256-ctr,aes192-ctr,aes128-ctr",
        .macs = "hmac-sha2-256,hmac-sha2-512",
    };
    return k_accepted;
}

std::optional<SshOffer> parse_kexinit(std::string_view payload) {
    WireReader reader(payload);
    if (reader.byte() != k_msg_kexinit) {
        return std::nullopt;
    }
    [[maybe_unused]] const std::string_view cookie = reader.raw(16);
    SshOffer offer;
    offer.key_exchanges = reader.string();
    offer.host_keys = reader.string();
    [[maybe_unused]] const std::string_view ciphers_to_server = reader.string();
    offer.ciphers = reader.string();
    [[maybe_unused]] const std::string_view macs_to_server = reader.string();
    offer.macs = reader.string();
    return reader.good() ? std::optional(std::move(offer)) : std::nullopt;
}

std::string explain_mismatch(const SshOffer& server, const SshOffer& ours) {
    struct Kind {
        std::string_view name;
        std::string SshOffer::*names;
    };

    constexpr std::array<Kind, 4> k_kinds{Kind{"key exchange", &SshOffer::key_exchanges},
                                          Kind{"host key type", &SshOffer::host_keys},
                                          Kind{"cipher", &SshOffer::ciphers},
                                          Kind{"MAC", &SshOffer::macs}};
    std::string text;
    for (const Kind& kind : k_kinds) {
        if (!has_common(server.*kind.names, ours.*kind.names)) {
            text += (text.empty() ? "" : "; ") + ("no common " + std::string(kind.name)) +
                    ": the server offers " + server.*kind.names + ", we accept " + ours.*kind.names;
        }
    }
    return text;
}

std::optional<SshOffer> probe_kexinit(const std::string& host,
                                      std::uint16_t port,
                                      Deadline deadline,
                                      const std::stop_token& stop) {
    TcpAttempt attempt = tcp_connect(host, port, deadline, stop);
    if (!attempt.socket) {
        return std::nullopt;
    }
    Greeting greeting(std::move(attempt.socket), deadline, stop);
    if (!greeting.introduce() || !greeting.skip_identification()) {
        return std::nullopt;
    }
    const std::optional<std::string> payload = greeting.packet();
    return payload ? parse_kexinit(*payload) : std::nullopt;
}

}  // namespace lockstep
