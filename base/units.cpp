#include "base/units.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace lockstep {

namespace {

struct Unit {
    std::string_view name;
    std::int64_t factor;
};

constexpr std::int64_t k_second = 1000;
constexpr std::int64_t k_minute = 60 * k_second;
constexpr std::int64_t k_hour = 60 * k_minute;
constexpr std::int64_t k_day = 24 * k_hour;

constexpr std::array<Unit, 5> k_time_units = {
    {{"d", k_day}, {"h", k_hour}, {"m", k_minute}, {"s", k_second}, {"ms", 1}}};

// PostgreSQL 15, "Setting Parameters": B, kB, MB, GB, TB, the multiplier being 1024.
constexpr std::array<Unit, 11> k_size_units = {{{"", 1},
                                                {"B", 1},
                                                {"kB", std::int64_t{1} << 10},
                                                {"KB", std::int64_t{1} << 10},
                                                {"KiB", std::int64_t{1} << 10},
                                                {"MB", std::int64_t{1} << 20},
                                                {"MiB", std::int64_t{1} << 20},
                                                {"GB", std::int64_t{1} << 30},
                                                {"GiB", std::int64_t{1} << 30},
                                                {"TB", std::int64_t{1} << 40},
                                                {"TiB", std::int64_t{1} << 40}}};

template <std::size_t n>
std::optional<std::int64_t> factor_of(const std::array<Unit, n>& units, std::string_view name) {
    for (const Unit& unit : units) {
        if (unit.name == name) {
            return unit.factor;
        }
    }
    return std::nullopt;
}

// Takes the digits off the front of `text`.
std::optional<std::int64_t> take_number(std::string_view& text) {
    std::int64_t number = 0;
    if (text.empty() || !is_digit(text.front())) {
        return std::nullopt;  // from_chars would take a minus
    }
    const auto [stop, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc{}) {
        return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
    return number;
}

std::optional<std::int64_t> scaled(std::int64_t number, std::int64_t factor) {
    if (number > std::numeric_limits<std::int64_t>::max() / factor) {
        return std::nullopt;
    }
    return number * factor;
}

// `tenths` of a unit, without a `.0`.
std::string with_tenth(std::int64_t tenths) {
    std::string text = std::to_string(tenths / 10);
    if (tenths % 10 != 0) {
        text += "." + std::to_string(tenths % 10);
    }
    return text;
}

std::string two_parts(std::int64_t big,
                      std::string_view big_name,
                      std::int64_t small,
                      std::string_view small_name) {
    std::string text = std::to_string(big).append(" ").append(big_name);
    if (small != 0) {
        text.append(" ").append(std::to_string(small)).append(" ").append(small_name);
    }
    return text;
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
    std::int64_t total = 0;
    std::int64_t last_factor = std::numeric_limits<std::int64_t>::max();
    if (text.empty()) {
        return std::nullopt;
    }
    while (!text.empty()) {
        const auto number = take_number(text);
        std::size_t letters = 0;
        while (letters < text.size() && !is_digit(text[letters])) {
            ++letters;
        }
        const auto factor = factor_of(k_time_units, text.substr(0, letters));
        if (!number || !factor || *factor >= last_factor) {
            return std::nullopt;  // `30m1h` and `1m1m` are more likely mistakes than meant
        }
        const auto length = scaled(*number, *factor);
        if (!length || *length > std::numeric_limits<std::int64_t>::max() - total) {
            return std::nullopt;
        }
        total += *length;
        last_factor = *factor;
        text.remove_prefix(letters);
    }
    return std::chrono::milliseconds{total};
}

std::optional<std::int64_t> parse_bytes(std::string_view text) {
    const auto number = take_number(text);
    if (!number) {
        return std::nullopt;
    }
    if (text.size() > 1 && text.front() == ' ') {
        text.remove_prefix(1);  // `16 MB`, as pg_size_pretty() writes it
    }
    const auto factor = factor_of(k_size_units, text);
    return factor ? scaled(*number, *factor) : std::nullopt;
}

std::string format_duration(std::chrono::milliseconds length) {
    const std::int64_t count = length.count();
    if (count < 0) {
        // The most negative count has no positive twin; a millisecond less does not show.
        const auto positive = -std::max(count, -std::numeric_limits<std::int64_t>::max());
        return "-" + format_duration(std::chrono::milliseconds{positive});
    }
    if (count < k_second) {
        return std::to_string(count) + " ms";
    }
    if (const std::int64_t tenths = count / 100 + (count % 100 >= 50 ? 1 : 0); tenths < 600) {
        return with_tenth(tenths) + " s";
    }
    const std::int64_t seconds = count / k_second + (count % k_second >= 500 ? 1 : 0);
    if (seconds < 3600) {
        return two_parts(seconds / 60, "min", seconds % 60, "s");
    }
    const std::int64_t minutes = seconds / 60;
    if (minutes < k_day / k_minute) {
        return two_parts(minutes / 60, "h", minutes % 60, "min");
    }
    const std::int64_t hours = minutes / 60;
    return two_parts(hours / 24, "d", hours % 24, "h");
}

std::string format_bytes(std::int64_t bytes) {
    constexpr std::array<std::string_view, 7> k_names = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    if (bytes < 0) {
        return "-" + format_bytes(-std::max(bytes, -std::numeric_limits<std::int64_t>::max()));
    }
    auto amount = static_cast<double>(bytes);
    std::size_t unit = 0;
    // 1023.5 would be shown as 1024 of the smaller unit.
    while (amount >= 1023.5 && unit + 1 < k_names.size()) {
        amount /= 1024;
        ++unit;
    }
    const bool with_fraction = unit > 0 && amount < 9.95;
    const std::int64_t tenths =
        with_fraction ? std::llround(amount * 10) : std::llround(amount) * 10;
    return with_tenth(tenths).append(" ").append(k_names[unit]);
}

std::string counted(std::int64_t count, std::string_view what) {
    return std::to_string(count) + " " + std::string(what) + (count == 1 ? "" : "s");
}

}  // namespace lockstep
