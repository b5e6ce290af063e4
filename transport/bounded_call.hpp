#pragma once

#include "base/unique_fd.hpp"
#include "transport/wait_fd.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

namespace lockstep {

/// Runs a call that cannot be interrupted (getaddrinfo, PQcancel) on a thread of its own and waits
/// for it no longer than the deadline. Nothing when it is not done by then: the thread goes on
/// alone, so `call` owns everything it touches and must not throw.
template <class Result>
std::optional<Result> bounded_call(std::function<Result()> call,
                                   Deadline deadline,
                                   const std::stop_token& stop) {
    struct Shared {
        UniqueFd done{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
        std::optional<Result> result;
    };

    // Shared: whoever of the two is later, the caller or the thread, frees it.
    const auto shared = std::make_shared<Shared>();
    std::thread([shared, call = std::move(call)] {
        shared->result = call();
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t written = ::write(shared->done.get(), &one, sizeof(one));
    }).detach();
    if (wait_fd(shared->done.get(), POLLIN, deadline, stop) != WaitResult::ready) {
        return std::nullopt;
    }
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t taken = ::read(shared->done.get(), &count, sizeof(count));
    return std::move(shared->result);
}

}  // namespace lockstep
