#pragma once

#include "base/error.hpp"
#include "engine/window/calendar.hpp"

#include <optional>

/// What a calendar means once it is taken apart: which occurrences its series come to.
namespace lockstep::calendar_series {

/// A date or a time as the file has it, with what tells its instant.
struct Moment {
    std::chrono::local_seconds local;
    bool is_date = false;
    const TimeZone* zone = nullptr;  ///< outlives it

    /// What it would be at another local time.
    [[nodiscard]] std::chrono::sys_seconds instant_of(std::chrono::local_seconds at) const;

    [[nodiscard]] std::chrono::sys_seconds instant() const { return instant_of(local); }
};

/// RFC 5545, 3.8.5.3: what comes from DTEND takes the same time at each occurrence; days and weeks
/// of DURATION, and those of events by date, are days as clocks have them.
struct Length {
    std::chrono::days nominal{0};
    std::chrono::seconds exact{0};

    /// From `at`, by the clocks of `start`.
    [[nodiscard]] Span from(const Moment& start, std::chrono::local_seconds at) const;
};

/// Throw Error for a date or a time of day that does not exist.
[[nodiscard]] std::chrono::local_seconds midnight_of(int year, int month, int day);
[[nodiscard]] std::chrono::seconds time_of_day(int hour, int minute, int second);

/// Throws Error for what is no length of an event that begins like this.
[[nodiscard]] Length checked_length(const Moment& start, const Length& length);
/// From DTSTART to DTEND, checked.
[[nodiscard]] Length length_to(const Moment& start, const Moment& end);

/// A VEVENT.
struct Event {
    std::string uid;  ///< may be empty
    std::string summary;
    bool cancelled = false;
    bool several = false;  ///< it has RRULE or RDATE
    Moment start;
    Length length;
    std::optional<Moment> replaces;  ///< RECURRENCE-ID
    std::vector<Span> spans;         ///< of all its occurrences, the excluded ones among them
    std::vector<Moment> excluded;    ///< EXDATE
};

/// Runs `act`, with the event's name before the message of the Error that it may throw.
template <class Act>
void named(const Event& event, Act act) {
    try {
        act();
    } catch (const Error& error) {
        const std::string& name = event.summary.empty() ? event.uid : event.summary;
        throw Error(name.empty() ? error.what() : "event \"" + name + "\": " + error.what(),
                    error.hint());
    }
}

/// What of them touches `wanted`. Throws Error for what contradicts itself.
[[nodiscard]] std::vector<CalendarEvent> occurrences(const std::vector<Event>& events, Span wanted);

}  // namespace lockstep::calendar_series
