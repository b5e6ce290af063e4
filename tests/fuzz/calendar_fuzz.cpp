#include "base/error.hpp"
#include "engine/window/calendar.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

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

/// The number of events; -1: an Error.
long count(const std::string& text, const TimeZone& zone, Span wanted, Span counted) {
    try {
        long result = 0;
        for (const CalendarEvent& event : calendar_events(text, zone, wanted)) {
            require(event.span.from < wanted.to && event.span.to > wanted.from);
            require(event.span.from < event.span.to);
            check_text(event.summary);
            result += event.span.from < counted.to && event.span.to > counted.from ? 1 : 0;
        }
        return result;
    } catch (const Error& error) {
        require(*error.what() != '\0');
        check_text(error.what());
        return -1;
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
    const long of_year = count(text, zone, year, month);
    const long of_month = count(text, zone, month, month);
    require(of_year < 0 || of_month < 0 || of_year == of_month);
    return 0;
}
