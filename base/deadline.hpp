#pragma once

#include <algorithm>
#include <chrono>

namespace lockstep {

/// A point in time after which nobody waits any longer (a timeout is a length, a deadline a point).
class Deadline {
  public:
    using SteadyClock = std::chrono::steady_clock;

    static Deadline after(std::chrono::milliseconds timeout) {
        return Deadline(SteadyClock::now() + timeout);
    }

    explicit Deadline(SteadyClock::time_point at) : at_(at) {}

    [[nodiscard]] SteadyClock::time_point at() const { return at_; }

    [[nodiscard]] bool expired() const { return SteadyClock::now() >= at_; }

    /// What is left, rounded up, never negative: fit for poll().
    [[nodiscard]] std::chrono::milliseconds remaining() const {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(at_ - SteadyClock::now());
        return std::max(left, std::chrono::milliseconds{0});
    }

    /// The earlier of this deadline and one `timeout` from now.
    [[nodiscard]] Deadline within(std::chrono::milliseconds timeout) const {
        return Deadline(std::min(at_, SteadyClock::now() + timeout));
    }

  private:
    SteadyClock::time_point at_;
};

}  // namespace lockstep
