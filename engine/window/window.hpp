#pragma once

/// engine/window/: maintenance windows: when a runbook or a step of it may begin something, by
/// weekly times, freezes, calendars and time zones. It says whether a window is open and until
/// when; keeping steps waiting is for engine/run/gatekeeper.hpp. Pure but for the files that are
/// read with each look: calendars, and the time zones of /usr/share/zoneinfo. Read this file and
/// window.cpp first, then calendar.hpp, recurrence.hpp and time_zone.hpp.

#include "base/error.hpp"
#include "engine/window/calendar.hpp"
#include "engine/window/spans.hpp"

#include <bitset>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// Every week, by the clocks of the window's time zone. Either `length` or `to` is set.
struct WeeklyTime {
    std::bitset<7> days;                              ///< on which it begins; 0 is Monday
    std::chrono::minutes from{0};                     ///< since midnight
    std::optional<std::chrono::milliseconds> length;  ///< as it passes, whatever clocks do
    std::optional<std::chrono::minutes>
        to;  ///< since midnight; of the next day unless after `from`
};

/// A time in which the window is closed, whatever else is said: from and to, or a calendar.
struct Freeze {
    std::chrono::local_seconds from, to;  ///< [from, to), by the clocks of the window's time zone
    std::string calendar;                 ///< a file, as written; its events are freezes
    std::string because;                  ///< may be empty
};

/// `window:`, as written.
struct WindowSpec {
    enum class Mode {
        open,    ///< work is allowed in the times
        closed,  ///< work is allowed outside of them
    };

    std::string time_zone;  ///< an IANA name
    std::vector<WeeklyTime> weekly;
    std::string calendar;  ///< a file, as written; empty: none
    Mode mode = Mode::open;
    std::vector<Freeze> freezes;
    std::chrono::milliseconds cutoff{0};  ///< in this last part nothing is started
    SourceLocation where;
    std::string folder;  ///< of the runbook's file: calendars are relative to it
};

/// A time in which work is allowed: [from, to).
struct Opening {
    std::chrono::system_clock::time_point from, to;

    friend bool operator==(const Opening&, const Opening&) = default;
};

/// A window at one moment.
struct WindowView {
    bool open = false;
    /// Open: when it closes, the cutoff not subtracted; nullopt: not within a year.
    std::optional<std::chrono::system_clock::time_point> until;
    /// Closed: when it opens next; nullopt: not within a year, or not known.
    std::optional<std::chrono::system_clock::time_point> next;
    /// Closed: why, in plain words for messages: "it opens Sat 28 Nov 2026 22:00 CET
    /// (Europe/Berlin)", "frozen until …: year end; it opens …", "freezes.ics: cannot be read: …".
    std::string because;
};

/// Never throws for what is wrong with a file: a calendar or time zone that cannot be read or
/// understood makes the window closed, with the reason, also where other times of it are known.
[[nodiscard]] WindowView look(const WindowSpec& window, std::chrono::system_clock::time_point now);

/// What is left for starting things: until the window closes, less the cutoff. Nullopt: no limit.
/// Zero or less: nothing may start; so for a view that is not open.
[[nodiscard]] std::optional<std::chrono::milliseconds> time_left(
    const WindowSpec& window, const WindowView& view, std::chrono::system_clock::time_point now);

/// The next `count` openings that end after `from`, by time. One that is open at `from` begins
/// there. Freezes are cut out, adjoining ones are one, and what is later than a year is cut off.
/// Throws Error, with a hint where there is one, where look() says that it is not known.
[[nodiscard]] std::vector<Opening> openings(const WindowSpec& window,
                                            std::chrono::system_clock::time_point from,
                                            std::size_t count);

/// What a calendar of a window comes to, for people.
struct CalendarReport {
    std::string file;  ///< as written
    bool is_freeze = false;
    std::size_t entries = 0;
    std::size_t occurrences = 0;    ///< in the year from the moment that was asked for
    std::vector<LeftOut> left_out;  ///< what adds no time, and why
    std::string refused;            ///< why it closes the window; empty: it is understood
    std::string hint;               ///< what to do about that; may be empty
};

/// Of each calendar that the window names. Never throws for what is wrong with a file.
[[nodiscard]] std::vector<CalendarReport> calendar_reports(
    const WindowSpec& window, std::chrono::system_clock::time_point now);

/// For people: "Sat 28 Nov 2026 22:00 CET"; in UTC where the zone is not known.
[[nodiscard]] std::string local_text(std::chrono::system_clock::time_point at,
                                     const std::string& time_zone);

}  // namespace lockstep
