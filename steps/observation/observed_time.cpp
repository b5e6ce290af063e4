#include "steps/observation/observed_time.hpp"

#include "base/clock.hpp"

#include <chrono>
#include <cstdio>
#include <ctime>

namespace lockstep {

namespace {

struct DateTime {
    int year = 0;
    int month = 0;
    int day = 0;
    int hour = 0;
    int minute = 0;
    int second = 0;
};

std::int64_t utc_seconds(const DateTime& at) {
    std::tm parts{};
    parts.tm_year = at.year - 1900;
    parts.tm_mon = at.month - 1;
    parts.tm_mday = at.day;
    parts.tm_hour = at.hour;
    parts.tm_min = at.minute;
    parts.tm_sec = at.second;
    return timegm(&parts);
}

// The length of `YYYY-MM-DD HH:MM:SS` at the begin of the text, or 0.
std::size_t read_date_time(const std::string& text, DateTime& at) {
    int length = 0;
    const int fields = std::sscanf(text.c_str(),
                                   "%4d-%2d-%2d%*1[ T]%2d:%2d:%2d%n",
                                   &at.year,
                                   &at.month,
                                   &at.day,
                                   &at.hour,
                                   &at.minute,
                                   &at.second,
                                   &length);
    return fields == 6 && length > 0 ? static_cast<std::size_t>(length) : 0;
}

// `.123456` in milliseconds; moves `at` behind it.
int read_millis(const std::string& text, std::size_t& at) {
    if (at >= text.size() || text[at] != '.') {
        return 0;
    }
    ++at;
    int millis = 0;
    int weight = 100;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
        millis += weight * (text[at] - '0');
        weight /= 10;
    }
    return millis;
}

// `+01`, `+0130`, `-01:30`, `Z`, `UTC`; nullopt for anything else: an abbreviation such as `CST`
// means several zones.
std::optional<std::int64_t> read_offset(std::string text) {
    text.erase(0, text.find_first_not_of(' '));
    if (text == "Z" || text == "UTC" || text == "GMT") {
        return 0;
    }
    int hours = 0;
    int minutes = 0;
    if (text.empty() || (text[0] != '+' && text[0] != '-') ||
        (std::sscanf(text.c_str() + 1, "%2d:%2d", &hours, &minutes) < 2 &&
         std::sscanf(text.c_str() + 1, "%2d%2d", &hours, &minutes) < 1)) {
        return std::nullopt;
    }
    const std::int64_t seconds = hours * 3600 + minutes * 60;
    return text[0] == '-' ? -seconds : seconds;
}

std::optional<std::chrono::milliseconds> utc_time(const std::string& text) {
    DateTime at;
    std::size_t length = read_date_time(text, at);
    if (length == 0) {
        return std::nullopt;
    }
    const int millis = read_millis(text, length);
    const auto offset = read_offset(text.substr(length));
    if (!offset) {
        return std::nullopt;
    }
    return std::chrono::seconds{utc_seconds(at) - *offset} + std::chrono::milliseconds{millis};
}

}  // namespace

std::string to_utc(std::string_view text) {
    const auto at = utc_time(std::string(text));
    return at ? to_iso8601(std::chrono::system_clock::time_point{*at}) : std::string();
}

std::optional<std::int64_t> seconds_of_utc(const std::string& text) {
    const auto at = utc_time(text);
    return at ? std::optional(std::chrono::floor<std::chrono::seconds>(*at).count()) : std::nullopt;
}

std::optional<std::int64_t> systemd_time(const std::string& text) {
    const std::size_t space = text.find(' ');
    DateTime at;
    if (space == std::string::npos || read_date_time(text.substr(space + 1), at) == 0 ||
        !text.ends_with(" UTC")) {
        return std::nullopt;
    }
    return utc_seconds(at);
}

}  // namespace lockstep
