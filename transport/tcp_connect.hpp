#pragma once

#include "base/deadline.hpp"
#include "base/unique_fd.hpp"

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

namespace lockstep {

/// The numeric addresses of a host, in the resolver's order. A numeric host is its own answer and
/// asks nobody. Throws TransportError: connect when there is none in time, or cancelled.
[[nodiscard]] std::vector<std::string> resolve_host(const std::string& host,
                                                    Deadline deadline,
                                                    const std::stop_token& stop);

/// One try to connect: a socket, or why there is none.
struct TcpAttempt {
    UniqueFd socket;
    std::string problem;
    bool refused = false;  ///< every address said no at once: a later try may well succeed
};

/// A connected, non-blocking socket with TCP_NODELAY (without it an SSH exec takes 40 ms more:
/// delayed ACK against Nagle) and keepalives that notice a dead host within a minute. Tries the
/// addresses in turn. Throws TransportError: connect when the name does not resolve, or cancelled.
[[nodiscard]] TcpAttempt tcp_connect(const std::string& host,
                                     std::uint16_t port,
                                     Deadline deadline,
                                     const std::stop_token& stop);

}  // namespace lockstep
