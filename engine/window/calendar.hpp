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
};

/// The occurrences of the events of an iCalendar text (RFC 5545) that touch `wanted`, in no order.
///
/// Understood are VEVENT with DTSTART, DTEND or DURATION, RRULE, RDATE (with periods), EXDATE,
/// RECURRENCE-ID for single occurrences, and STATUS:CANCELLED. A TZID is an IANA name, or the name
/// of a VTIMEZONE of the file. Dates and times without a zone are those of `zone`.
///
/// Throws Error, without the file's name, for all that it would otherwise have to guess at: what is
/// no complete calendar, what libical reports an error in, an event without length, a DTSTART
/// that its RRULE does not meet, EXRULE, RANGE=THISANDFUTURE, other scales than the Gregorian
/// calendar, a rule by the second or minute, and more than 20,000 occurrences up to the end of
/// `wanted`.
///
/// May be called from any thread: libical keeps state in globals, so that a lock lets one in at a
/// time.
[[nodiscard]] std::vector<CalendarEvent> calendar_events(const std::string& text,
                                                         const TimeZone& zone,
                                                         Span wanted);

}  // namespace lockstep
