#include "transport/ssh_agent.hpp"

#include "transport/encoding.hpp"
#include "transport/wait_fd.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace lockstep {

namespace {

// draft-miller-ssh-agent, section 6.1
constexpr char k_request_identities = 11;
constexpr std::uint8_t k_identities_answer = 12;
constexpr char k_sign_request = 13;
constexpr std::uint8_t k_sign_response = 14;
// OpenSSH's agent refuses messages of more than 256 KiB (ssh-agent.c, AGENT_MAX_LEN).
constexpr std::uint32_t k_longest_message = 256 * 1024;

}  // namespace

std::optional<SshAgent> SshAgent::open(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address.sun_path)) {
        return std::nullopt;
    }
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    // A full backlog gives EAGAIN at once on a non-blocking unix socket (unix(7)).
    if (!socket ||
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) !=
            0) {
        return std::nullopt;
    }
    return SshAgent(std::move(socket));
}

std::optional<std::vector<AgentKey>> SshAgent::keys(Deadline deadline,
                                                    const std::stop_token& stop) {
    const auto answer = ask(std::string(1, k_request_identities), deadline, stop);
    if (!answer) {
        return std::nullopt;
    }
    WireReader reader(*answer);
    if (reader.byte() != k_identities_answer) {
        return std::nullopt;
    }
    std::vector<AgentKey> keys;
    for (std::uint32_t left = reader.uint32(); left > 0 && reader.good(); --left) {
        AgentKey key;
        key.blob = reader.string();
        key.comment = reader.string();
        keys.push_back(std::move(key));
    }
    return reader.good() ? std::optional(std::move(keys)) : std::nullopt;
}

std::optional<std::string> SshAgent::sign(const AgentKey& key,
                                          std::string_view data,
                                          Deadline deadline,
                                          const std::stop_token& stop) {
    std::string message(1, k_sign_request);
    put_string(message, key.blob);
    put_string(message, data);
    put_uint32(message, 0);
    const auto answer = ask(message, deadline, stop);
    if (!answer) {
        return std::nullopt;
    }
    WireReader reader(*answer);
    if (reader.byte() != k_sign_response) {
        return std::nullopt;
    }
    WireReader signature(reader.string());
    [[maybe_unused]] const std::string_view algorithm = signature.string();
    std::string bytes(signature.string());
    return signature.good() ? std::optional(std::move(bytes)) : std::nullopt;
}

std::optional<std::string> SshAgent::ask(const std::string& message,
                                         Deadline deadline,
                                         const std::stop_token& stop) {
    std::string request;
    put_string(request, message);
    for (std::size_t sent = 0; sent < request.size();) {
        const ssize_t count =
            ::send(socket_.get(), request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
        if (count > 0) {
            sent += static_cast<std::size_t>(count);
        } else if (errno != EAGAIN ||
                   wait_fd(socket_.get(), POLLOUT, deadline, stop) != WaitResult::ready) {
            return std::nullopt;
        }
    }
    const auto header = receive(4, deadline, stop);
    if (!header) {
        return std::nullopt;
    }
    const std::uint32_t length = WireReader(*header).uint32();
    return length <= k_longest_message ? receive(length, deadline, stop) : std::nullopt;
}

std::optional<std::string> SshAgent::receive(std::size_t length,
                                             Deadline deadline,
                                             const std::stop_token& stop) {
    std::string bytes(length, '\0');
    for (std::size_t done = 0; done < length;) {
        const ssize_t count = ::recv(socket_.get(), bytes.data() + done, length - done, 0);
        if (count > 0) {
            done += static_cast<std::size_t>(count);
        } else if (count == 0 || errno != EAGAIN ||
                   wait_fd(socket_.get(), POLLIN, deadline, stop) != WaitResult::ready) {
            return std::nullopt;
        }
    }
    return bytes;
}

}  // namespace lockstep
