#include "transport/wait_fd.hpp"

#include "base/error.hpp"
#include "base/unique_fd.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <system_error>
#include <utility>

namespace lockstep {

namespace {

UniqueFd make_wakeup() {
    UniqueFd wakeup(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wakeup) {
        throw Error("cannot create an eventfd: " + std::generic_category().message(errno));
    }
    return wakeup;
}

void wake(int wakeup) noexcept {
    const std::uint64_t one = 1;
    // The counter cannot overflow by one write, and there is nobody to tell about a failure.
    [[maybe_unused]] const ssize_t written = ::write(wakeup, &one, sizeof(one));
}

/// One poll() that a signal does not shorten. True when something is ready.
bool poll_until(std::array<pollfd, 2>& fds, Deadline deadline) {
    constexpr std::chrono::milliseconds k_longest{60'000};  // poll() takes an int
    while (true) {
        const auto left = deadline.remaining();
        const int count =
            ::poll(fds.data(), fds.size(), static_cast<int>(std::min(left, k_longest).count()));
        if (count > 0) {
            return true;
        }
        if (count == 0 && left <= k_longest) {
            return false;
        }
        if (count < 0 && errno != EINTR) {
            throw Error("poll failed: " + std::generic_category().message(errno));
        }
    }
}

}  // namespace

WaitResult wait_fd(int fd, short events, Deadline deadline, std::stop_token stop) {
    if (stop.stop_requested()) {
        return WaitResult::cancelled;
    }
    // A negative descriptor is ignored by poll().
    std::array<pollfd, 2> fds{pollfd{fd, events, 0}, pollfd{-1, POLLIN, 0}};
    if (!stop.stop_possible()) {
        return poll_until(fds, deadline) ? WaitResult::ready : WaitResult::deadline;
    }
    const UniqueFd wakeup = make_wakeup();
    fds[1].fd = wakeup.get();
    // Declared after the descriptor: its destructor waits for a callback that is running.
    const std::stop_callback on_stop(std::move(stop), [&wakeup]() noexcept { wake(wakeup.get()); });
    if (!poll_until(fds, deadline)) {
        return WaitResult::deadline;
    }
    return fds[1].revents != 0 ? WaitResult::cancelled : WaitResult::ready;
}

}  // namespace lockstep
