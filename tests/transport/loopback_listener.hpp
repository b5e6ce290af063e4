#pragma once

#include "base/unique_fd.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <stdexcept>

namespace lockstep {

/// A socket that listens on a free port of 127.0.0.1.
struct LoopbackListener {
    UniqueFd fd;
    int port = 0;
};

inline LoopbackListener listen_on_loopback() {
    LoopbackListener listener{UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener.fd.get(), generic, length) != 0 || ::listen(listener.fd.get(), 8) != 0 ||
        ::getsockname(listener.fd.get(), generic, &length) != 0) {
        throw std::runtime_error("cannot listen");
    }
    listener.port = ntohs(address.sin_port);
    return listener;
}

}  // namespace lockstep
