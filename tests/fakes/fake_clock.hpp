#pragma once

#include "base/clock.hpp"

#include <mutex>
#include <vector>

namespace lockstep {

/// Time that passes only when somebody sleeps or the test says so.
class FakeClock final : public Clock {
  public:
    [[nodiscard]] Steady steady_now() override {
        const std::lock_guard lock(mutex_);
        return Steady{} + std::chrono::hours{1} + passed_;
    }

    [[nodiscard]] Wall wall_now() override {
        const std::lock_guard lock(mutex_);
        return Wall{} + std::chrono::hours{24 * 365 * 50} + passed_;
    }

    bool sleep_for(std::chrono::milliseconds length, std::stop_token stop) override {
        advance(length);
        const std::lock_guard lock(mutex_);
        sleeps_.push_back(length);
        return !stop.stop_requested();
    }

    void advance(std::chrono::milliseconds length) {
        const std::lock_guard lock(mutex_);
        passed_ += length;
    }

    [[nodiscard]] std::vector<std::chrono::milliseconds> sleeps() {
        const std::lock_guard lock(mutex_);
        return sleeps_;
    }

  private:
    std::mutex mutex_;
    std::chrono::milliseconds passed_{0};
    std::vector<std::chrono::milliseconds> sleeps_;
};

}  // namespace lockstep
