#include "base/clock.hpp"

#include <array>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <mutex>

namespace lockstep {

Clock::Steady SystemClock::steady_now() {
    return std::chrono::steady_clock::now();
}

std::chrono::milliseconds SystemClock::since_boot() {
    timespec at{};
    // Cannot fail: the clock exists since Linux 2.6.39, and the pointer is good.
    static_cast<void>(::clock_gettime(CLOCK_BOOTTIME, &at));
    return std::chrono::floor<std::chrono::milliseconds>(std::chrono::seconds{at.tv_sec} +
                                                         std::chrono::nanoseconds{at.tv_nsec});
}

Clock::Wall SystemClock::wall_now() {
    return std::chrono::system_clock::now();
}

bool SystemClock::sleep_for(std::chrono::milliseconds length, std::stop_token stop) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    wake.wait_for(lock, stop, length, [] { return false; });
    return !stop.stop_requested();
}

std::string to_iso8601(Clock::Wall at) {
    const auto whole = std::chrono::floor<std::chrono::seconds>(at);
    const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(at - whole).count();
    const std::time_t seconds = std::chrono::system_clock::to_time_t(whole);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    std::array<char, 24> date{};
    std::array<char, 8> fraction{};
    const size_t length = std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &parts);
    const int extra =
        std::snprintf(fraction.data(), fraction.size(), ".%03dZ", static_cast<int>(millis));
    return std::string(date.data(), length) + std::string(fraction.data(), extra > 0 ? 5 : 0);
}

Clock::Wall from_iso8601(const std::string& text) {
    std::tm parts{};
    const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
    int millis = 0;
    if (rest == nullptr || std::sscanf(rest, ".%3dZ", &millis) != 1) {
        return {};
    }
    return std::chrono::system_clock::from_time_t(timegm(&parts)) +
           std::chrono::milliseconds{millis};
}

}  // namespace lockstep
