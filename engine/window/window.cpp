#include "engine/window/window.hpp"

#include "engine/window/calendar_text.hpp"
#include "engine/window/time_zone.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>

namespace lockstep {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::local_days;
using std::chrono::seconds;
using std::chrono::sys_seconds;
using std::chrono::system_clock;

namespace {

constexpr days k_year{366};
/// A weekly time that began this long ago may still last: see the limit of `for` in its reading.
constexpr days k_longest_weekly{8};

struct Frozen {
    Span span;
    std::string because;
};

/// What a window comes to over a stretch of time, and a little more on both sides.
struct Survey {
    std::vector<Span> open;
    std::vector<Frozen> frozen;
};

Span stretch(system_clock::time_point from) {
    const sys_seconds begin = floor<seconds>(from);
    return {begin, begin + k_year};
}

/// What its calendar is for.
CalendarUse use_of(const WindowSpec& window) {
    return window.mode == WindowSpec::Mode::open ? CalendarUse::opens : CalendarUse::closes;
}

/// Its file's name, as written, leads the message of a failure.
CalendarReading reading_of(const WindowSpec& window,
                           const std::string& calendar,
                           const TimeZone& zone,
                           Span wanted,
                           CalendarUse use) {
    try {
        const auto path = std::filesystem::path(window.folder) / calendar;
        return read_calendar(read_calendar_file(path.string()), zone, wanted, use);
    } catch (const Error& error) {
        throw Error(calendar + ": " + error.what(), error.hint());
    }
}

/// Where clocks show a time twice, what leaves less open counts.
void add_weekly(const WeeklyTime& time,
                const TimeZone& zone,
                WindowSpec::Mode mode,
                Span wanted,
                std::vector<Span>& spans) {
    const auto end_twice =
        mode == WindowSpec::Mode::open ? TimeZone::Twice::first : TimeZone::Twice::last;
    const local_days last = floor<days>(zone.local(wanted.to)) + days{1};
    for (local_days day = floor<days>(zone.local(wanted.from)) - k_longest_weekly; day <= last;
         day += days{1}) {
        if (!time.days.test(std::chrono::weekday(day).iso_encoding() - 1)) {
            continue;
        }
        const sys_seconds from = zone.instant(day + time.from);
        if (time.length) {
            spans.push_back({from, from + floor<seconds>(*time.length)});
        } else if (time.to) {
            const local_days end_day = *time.to > time.from ? day : day + days{1};
            spans.push_back({from, zone.instant(end_day + *time.to, end_twice)});
        }
    }
}

std::vector<Frozen> frozen_in(const WindowSpec& window, const TimeZone& zone, Span wanted) {
    std::vector<Frozen> frozen;
    for (const Freeze& freeze : window.freezes) {
        if (freeze.calendar.empty()) {
            frozen.push_back(
                {{zone.instant(freeze.from), zone.instant(freeze.to, TimeZone::Twice::last)},
                 freeze.because});
            continue;
        }
        const CalendarReading calendar =
            reading_of(window, freeze.calendar, zone, wanted, CalendarUse::closes);
        for (const CalendarEvent& event : calendar.events) {
            frozen.push_back({event.span, freeze.because.empty() ? event.summary : freeze.because});
        }
    }
    return frozen;
}

Survey survey(const WindowSpec& window, const TimeZone& zone, Span wanted) {
    std::vector<Span> times;
    for (const WeeklyTime& time : window.weekly) {
        add_weekly(time, zone, window.mode, wanted, times);
    }
    if (!window.calendar.empty()) {
        const CalendarReading calendar =
            reading_of(window, window.calendar, zone, wanted, use_of(window));
        for (const CalendarEvent& event : calendar.events) {
            times.push_back(event.span);
        }
    }
    times = merged(std::move(times));
    if (window.mode == WindowSpec::Mode::closed) {
        times = without({{wanted.from - days{1}, wanted.to + days{1}}}, times);
    }
    Survey result{{}, frozen_in(window, zone, wanted)};
    std::vector<Span> cuts;
    for (const Frozen& frozen : result.frozen) {
        cuts.push_back(frozen.span);
    }
    result.open = without(times, merged(std::move(cuts)));
    return result;
}

std::string text_of(sys_seconds at, const TimeZone& zone) {
    static constexpr std::array k_days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr std::array k_months{
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const auto local = zone.local(at);
    const auto day = floor<days>(local);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss time(local - day);
    std::array<char, 64> text{};
    const int length = std::snprintf(text.data(),
                                     text.size(),
                                     "%s %u %s %d %02d:%02d ",
                                     k_days.at(std::chrono::weekday(day).c_encoding()),
                                     static_cast<unsigned>(date.day()),
                                     k_months.at(static_cast<unsigned>(date.month()) - 1),
                                     static_cast<int>(date.year()),
                                     static_cast<int>(time.hours().count()),
                                     static_cast<int>(time.minutes().count()));
    return std::string(text.data(), static_cast<std::size_t>(std::max(length, 0))) +
           zone.abbreviation(at);
}

/// Of the freezes that hold at the moment the one that lasts longest; null: none.
const Frozen* freeze_at(const std::vector<Frozen>& frozen, sys_seconds now) {
    const Frozen* found = nullptr;
    for (const Frozen& freeze : frozen) {
        if (freeze.span.holds(now) && (found == nullptr || freeze.span.to > found->span.to)) {
            found = &freeze;
        }
    }
    return found;
}

WindowView view_of(const Survey& seen, const TimeZone& zone, Span wanted) {
    const auto here = std::find_if(seen.open.begin(), seen.open.end(), [&](const Span& span) {
        return span.to > wanted.from && span.from < wanted.to;
    });
    WindowView view;
    if (here != seen.open.end() && here->from <= wanted.from) {
        view.open = true;
        if (here->to <= wanted.to) {
            view.until = here->to;
        }
        return view;
    }
    if (const Frozen* frozen = freeze_at(seen.frozen, wanted.from)) {
        view.because = "frozen until " + text_of(frozen->span.to, zone) +
                       (frozen->because.empty() ? "; " : ": " + frozen->because + "; ");
    }
    if (here == seen.open.end()) {
        view.because += "it does not open within a year";
    } else {
        view.next = here->from;
        view.because += "it opens " + text_of(here->from, zone) + " (" + zone.name() + ")";
    }
    return view;
}

}  // namespace

WindowView look(const WindowSpec& window, system_clock::time_point now) {
    try {
        const TimeZone zone = load_time_zone(window.time_zone);
        const Span wanted = stretch(now);
        return view_of(survey(window, zone, wanted), zone, wanted);
    } catch (const std::exception& error) {
        WindowView unknown;
        unknown.because = error.what();
        return unknown;
    }
}

std::optional<std::chrono::milliseconds> time_left(const WindowSpec& window,
                                                   const WindowView& view,
                                                   system_clock::time_point now) {
    if (!view.open) {
        return std::chrono::milliseconds{0};
    }
    if (!view.until) {
        return std::nullopt;
    }
    return floor<std::chrono::milliseconds>(*view.until - now) - window.cutoff;
}

std::vector<Opening> openings(const WindowSpec& window,
                              system_clock::time_point from,
                              std::size_t count) {
    const Span wanted = stretch(from);
    const Survey seen = survey(window, load_time_zone(window.time_zone), wanted);
    std::vector<Opening> result;
    for (const Span& span : seen.open) {
        const Span here{std::max(span.from, wanted.from), std::min(span.to, wanted.to)};
        if (here.from < here.to && here.to > from && result.size() < count) {
            result.push_back({std::max<system_clock::time_point>(here.from, from), here.to});
        }
    }
    return result;
}

std::vector<CalendarReport> calendar_reports(const WindowSpec& window,
                                             system_clock::time_point now) {
    std::vector<CalendarReport> reports;
    const auto add = [&](const std::string& file, bool is_freeze, CalendarUse use) {
        CalendarReport report{.file = file, .is_freeze = is_freeze};
        try {
            const TimeZone zone = load_time_zone(window.time_zone);
            CalendarReading reading = reading_of(window, file, zone, stretch(now), use);
            report.entries = reading.entries;
            report.occurrences = reading.events.size();
            report.left_out = std::move(reading.left_out);
        } catch (const Error& error) {
            report.refused = error.what();
            report.hint = error.hint();
        } catch (const std::exception& error) {
            report.refused = error.what();
        }
        reports.push_back(std::move(report));
    };
    if (!window.calendar.empty()) {
        add(window.calendar, false, use_of(window));
    }
    for (const Freeze& freeze : window.freezes) {
        if (!freeze.calendar.empty()) {
            add(freeze.calendar, true, CalendarUse::closes);
        }
    }
    return reports;
}

std::string local_text(system_clock::time_point at, const std::string& time_zone) {
    const auto second = floor<seconds>(at);
    try {
        return text_of(second, load_time_zone(time_zone));
    } catch (const Error&) {
        return text_of(second, TimeZone("UTC", seconds{0}, {}));
    }
}

}  // namespace lockstep
