#pragma once

#include "base/deadline.hpp"

#include <stop_token>

namespace lockstep {

enum class WaitResult { ready, deadline, cancelled };

/// Waits for poll() `events` on `fd` until the deadline or a stop request. A stop request wakes it
/// at once. The one place in transport/ where a thread sleeps, but for what curl and Boost.Asio do.
[[nodiscard]] WaitResult wait_fd(int fd, short events, Deadline deadline, std::stop_token stop);

}  // namespace lockstep
