#pragma once

#include <chrono>
#include <stop_token>
#include <string>

namespace lockstep {

/// Time as the engine sees it: a seam, so that tests never sleep.
class Clock {
  public:
    using Steady = std::chrono::steady_clock::time_point;
    using Wall = std::chrono::system_clock::time_point;

    virtual ~Clock() = default;

    /// For durations and deadlines.
    [[nodiscard]] virtual Steady steady_now() = 0;

    /// Time since this machine booted, the time that it was suspended included: for leases, which
    /// run out meanwhile. steady_now() stands still in suspend (clock_gettime(2)).
    [[nodiscard]] virtual std::chrono::milliseconds since_boot() {
        return std::chrono::floor<std::chrono::milliseconds>(steady_now().time_since_epoch());
    }

    /// For what a person or another host reads.
    [[nodiscard]] virtual Wall wall_now() = 0;
    /// Returns early, with false, when a stop is requested.
    virtual bool sleep_for(std::chrono::milliseconds length, std::stop_token stop) = 0;
};

/// The machine's own clocks.
class SystemClock final : public Clock {
  public:
    [[nodiscard]] Steady steady_now() override;
    [[nodiscard]] std::chrono::milliseconds since_boot() override;
    [[nodiscard]] Wall wall_now() override;
    bool sleep_for(std::chrono::milliseconds length, std::stop_token stop) override;
};

/// `2026-11-23T08:25:01.123Z`, as in every record and JSON document.
[[nodiscard]] std::string to_iso8601(Clock::Wall at);
/// The other way; the epoch for a text of another form.
[[nodiscard]] Clock::Wall from_iso8601(const std::string& text);

}  // namespace lockstep
