#pragma once

#include "base/error.hpp"
#include "engine/window/calendar.hpp"

#include <optional>
#include <set>

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

/// Throws Error for what is no length of an event that begins like this. A day without length
/// (programs write DTEND = DTSTART for it) closes all of it, and opens nothing.
[[nodiscard]] Length checked_length(const Moment& start, const Length& length, CalendarUse use);
/// From DTSTART to DTEND, checked.
[[nodiscard]] Length length_to(const Moment& start, const Moment& end, CalendarUse use);

/// RANGE=THISANDFUTURE may move what comes so much later into a stretch of time that is asked for.
constexpr std::chrono::days k_farthest_move{31};

/// A VEVENT.
struct Event {
    std::string uid;  ///< may be empty; as it is: what tells long ones apart is at their end
    std::string summary;
    int sequence = 0;
    std::string stamp;  ///< DTSTAMP, which is by time as text, too; may be empty
    bool cancelled = false;
    bool several = false;  ///< it has RRULE or RDATE
    Moment start;
    Length length;
    std::optional<Moment> replaces;  ///< RECURRENCE-ID
    bool replaces_rest = false;      ///< RANGE=THISANDFUTURE
    std::vector<Span> spans;         ///< of all its occurrences, the excluded ones among them
    std::set<std::chrono::sys_seconds> excluded;  ///< starts of some of them: EXDATE, EXRULE

    /// For messages: `event "year end"`.
    [[nodiscard]] std::string name() const;
};

/// Runs `act`, with the event's name before the message of the Error that it may throw.
template <class Act>
void named(const Event& event, Act act) {
    try {
        act();
    } catch (const Error& error) {
        const bool has_name = !event.summary.empty() || !event.uid.empty();
        throw Error((has_name ? event.name() + ": " : "") + error.what(), error.hint());
    }
}

/// Notes something that adds no time.
void leave_out(CalendarReading& reading, std::string what, std::string why);

/// Adds what of them touches `wanted`, and those that are left out; gives how many have no length.
/// Throws Error for what contradicts itself.
std::size_t add_occurrences(const std::vector<Event>& events,
                            Span wanted,
                            CalendarReading& reading);

/// The periods of all VFREEBUSY of a file, and those that they were published for.
struct Busy {
    std::vector<CalendarEvent> periods;
    std::vector<Span> published;
};

/// Adds what of them touches `wanted`, and all of it for which no busy times are published.
void add_busy(Busy busy, Span wanted, CalendarReading& reading);

}  // namespace lockstep::calendar_series
