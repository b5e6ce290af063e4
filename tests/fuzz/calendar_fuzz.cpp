#include "base/error.hpp"
#include "engine/window/calendar.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

// The first two bytes as a day from 1970 on, the rest as a calendar. Whatever it is: events that
// touch what was asked for, with texts that go into JSON and onto a line, or an Error; nothing
// else, and soon. What is asked for a month is what is so of the year.
namespace {

using namespace lockstep;
using std::chrono::days;

void require(bool holds) {
    if (!holds) {
        std::abort();
    }
}

void check_text(const std::string& text) {
    require(!nlohmann::json(text).dump().empty());  // throws for what is no UTF-8
    require(
        std::none_of(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\x1b'; }));
}

/// By time, cut to `counted`; nullopt: an Error.
std::optional<std::vector<Span>> spans(
    const std::string& text, const TimeZone& zone, Span wanted, Span counted, CalendarUse use) {
    try {
        const CalendarReading reading = read_calendar(text, zone, wanted, use);
        std::vector<Span> result;
        for (const CalendarEvent& event : reading.events) {
            require(event.span.from < wanted.to && event.span.to > wanted.from);
            require(event.span.from < event.span.to);
            check_text(event.summary);
            result.push_back(
                {std::max(event.span.from, counted.from), std::min(event.span.to, counted.to)});
        }
        for (const LeftOut& entry : reading.left_out) {
            check_text(entry.what + entry.why);
        }
        return merged(std::move(result));
    } catch (const Error& error) {
        require(*error.what() != '\0');
        check_text(error.what());
        return std::nullopt;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const TimeZone zone = load_time_zone("Europe/Berlin");
    if (size < 2) {
        return 0;
    }
    const std::chrono::sys_days day{days{data[0] * 256 + data[1]}};
    const std::string text(reinterpret_cast<const char*>(data) + 2, size - 2);
    const Span year{day, day + days{366}};
    const Span month{day, day + days{30}};
    const auto of_year = spans(text, zone, year, month, CalendarUse::opens);
    const auto of_month = spans(text, zone, month, month, CalendarUse::opens);
    require(!of_year || !of_month || *of_year == *of_month);
    // What is open for certain is not more than what may be closed.
    const auto closed = spans(text, zone, month, month, CalendarUse::closes);
    require(!of_month || !closed || without(*of_month, *closed).empty());
    return 0;
}
