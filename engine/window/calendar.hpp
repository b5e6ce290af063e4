#pragma once

#include "engine/window/spans.hpp"
#include "engine/window/time_zone.hpp"

#include <string>
#include <vector>

namespace lockstep {

/// An event, or one occurrence of it.
struct CalendarEvent {
    Span span;
    std::string summary;  ///< on one line, without control characters; may be empty

    friend bool operator==(const CalendarEvent&, const CalendarEvent&) = default;
};

/// What the times of a calendar are for: work is allowed in them, or it is not (a freeze, and
/// `mode: closed`). Where a file leaves open what it means, what leaves less open counts.
enum class CalendarUse { opens, closes };

/// An entry that is understood and adds no time, or something of a file that is not looked at.
struct LeftOut {
    std::string what;  ///< `event "year end"`, `3 VTODO`
    std::string why;
};

/// What a calendar comes to.
struct CalendarReading {
    std::vector<CalendarEvent> events;  ///< occurrences that touch what was asked for, by time
    std::vector<LeftOut> left_out;      ///< the first 1000
    std::size_t entries = 0;  ///< VEVENT and VFREEBUSY, those that are left out among them
};

/// The occurrences of the events of an iCalendar text (RFC 5545) that touch `wanted`.
///
/// Understood are VEVENT with DTSTART, DTEND or DURATION, RRULE, EXRULE, RDATE (with periods),
/// EXDATE, RECURRENCE-ID for one occurrence or for all from one on, STATUS:CANCELLED, and of
/// several with one UID the newest (SEQUENCE, then DTSTAMP); and for closing the periods of
/// VFREEBUSY, with all that is before and after what it is published for. A TZID is an IANA name,
/// that of a VTIMEZONE of the file, an IANA name behind a prefix (/example.org/Europe/Berlin), or
/// one of Windows. Dates and times without a zone are those of `zone`.
///
/// Throws Error, without the file's name, for all that it would otherwise have to guess at: what is
/// no complete calendar, what libical reports an error in, an event that ends before it begins, a
/// rule that parse_recurrence() refuses, two events of one UID of which none is newer,
/// VAVAILABILITY where it would close, names that may be misspelt, entries none of which closes
/// anything where that is what they are for, and more than 20,000 occurrences up to the end of
/// `wanted`.
///
/// May be called from any thread: libical keeps state in globals, so that a lock lets one in at a
/// time.
[[nodiscard]] CalendarReading read_calendar(const std::string& text,
                                            const TimeZone& zone,
                                            Span wanted,
                                            CalendarUse use);

}  // namespace lockstep
