#include "transport/tcp_connect.hpp"

#include "base/error.hpp"
#include "transport/bounded_call.hpp"
#include "transport/wait_fd.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace lockstep {

namespace {

using Kind = TransportError::Kind;

struct FreeAddresses {
    void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

struct Lookup {
    int status = 0;
    std::vector<std::string> addresses;
};

std::string numeric(const addrinfo& address) {
    std::array<char, NI_MAXHOST> text{};
    const int rc = ::getnameinfo(
        address.ai_addr, address.ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST);
    return rc == 0 ? std::string(text.data()) : std::string();
}

Addresses get_addresses(const std::string& host, const std::string& port, int flags, int& status) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    addrinfo* list = nullptr;
    status = ::getaddrinfo(host.c_str(), port.empty() ? nullptr : port.c_str(), &hints, &list);
    return Addresses(status == 0 ? list : nullptr);
}

Lookup look_up(const std::string& host, int flags) {
    Lookup lookup;
    const Addresses list = get_addresses(host, {}, flags, lookup.status);
    for (const addrinfo* one = list.get(); one != nullptr; one = one->ai_next) {
        lookup.addresses.push_back(numeric(*one));
    }
    return lookup;
}

void set_option(int fd, int level, int name, int value) {
    // Best effort: a connection without the option is slower, not wrong.
    [[maybe_unused]] const int rc = ::setsockopt(fd, level, name, &value, sizeof(value));
}

void tune(int fd) {
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    // A silent host is dead after 15 s + 4 x 10 s, whether or not we have anything to send.
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 15);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 55'000);
}

/// Connects to one address. Gives an errno, 0 when connected.
int connect_one(UniqueFd& socket,
                const addrinfo& address,
                Deadline deadline,
                const std::stop_token& stop) {
    socket = UniqueFd(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) {
        return errno;
    }
    int error = 0;
    if (::connect(socket.get(), address.ai_addr, address.ai_addrlen) != 0) {
        error = errno;
    }
    if (error == EINPROGRESS) {
        switch (wait_fd(socket.get(), POLLOUT, deadline, stop)) {
            case WaitResult::cancelled:
                throw TransportError(Kind::cancelled, "cancelled while connecting");
            case WaitResult::deadline:
                return ETIMEDOUT;
            case WaitResult::ready:
                break;
        }
        socklen_t length = sizeof(error);
        if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
            error = errno;
        }
    }
    if (error == 0) {
        tune(socket.get());
    }
    return error;
}

}  // namespace

std::vector<std::string> resolve_host(const std::string& host,
                                      Deadline deadline,
                                      const std::stop_token& stop) {
    Lookup numeric_lookup = look_up(host, AI_NUMERICHOST);
    if (numeric_lookup.status == 0) {
        return std::move(numeric_lookup.addresses);
    }
    // getaddrinfo() cannot be interrupted, and a dead resolver keeps it for many seconds
    // (resolv.conf(5): timeout x attempts x nameservers).
    std::optional<Lookup> lookup =
        bounded_call<Lookup>([host] { return look_up(host, AI_ADDRCONFIG); }, deadline, stop);
    if (!lookup) {
        if (stop.stop_requested()) {
            throw TransportError(Kind::cancelled, "cancelled while resolving " + host);
        }
        throw TransportError(Kind::connect,
                             "cannot resolve " + host + ": no answer in time",
                             "Check the name server of this machine.");
    }
    if (lookup->status != 0) {
        throw TransportError(Kind::connect,
                             "cannot resolve " + host + ": " + ::gai_strerror(lookup->status),
                             "Check the spelling of the host, or give its address.");
    }
    return std::move(lookup->addresses);
}

TcpAttempt tcp_connect(const std::string& host,
                       std::uint16_t port,
                       Deadline deadline,
                       const std::stop_token& stop) {
    const std::vector<std::string> addresses = resolve_host(host, deadline, stop);
    TcpAttempt attempt;
    attempt.refused = true;
    for (std::size_t index = 0; index < addresses.size(); ++index) {
        int status = 0;
        const Addresses list = get_addresses(
            addresses[index], std::to_string(port), AI_NUMERICHOST | AI_NUMERICSERV, status);
        if (!list) {
            continue;
        }
        // An address that swallows packets must not use up the time of the next one.
        const auto share = deadline.remaining() / static_cast<int>(addresses.size() - index);
        const int error = connect_one(attempt.socket, *list, deadline.within(share), stop);
        if (error == 0) {
            attempt.problem.clear();
            return attempt;
        }
        attempt.refused = attempt.refused && error == ECONNREFUSED;
        attempt.problem += (attempt.problem.empty() ? "" : "; ") + addresses[index] + ": " +
                           std::generic_category().message(error);
    }
    attempt.socket.reset();
    return attempt;
}

}  // namespace lockstep
