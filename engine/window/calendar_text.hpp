#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace lockstep {

/// An iCalendar text, for libical to parse.
struct CalendarCore {
    /// Of each VCALENDAR what times depend on.
    std::vector<std::string> calendars;
    /// Components of calendars that are no VEVENT, VFREEBUSY or VTIMEZONE: how many of each.
    std::map<std::string, std::size_t> other_components;
    std::set<std::string> unknown_properties;  ///< left out as well
};

/// What of an iCalendar text the times of its events depend on: folded lines put together (RFC
/// 5545, 3.1), without other components and properties. libical 3.0.16 needs time by the square of
/// what it removes, and removes what has no value, as many programs write it. Rules are read by
/// recurrence.hpp: RRULE comes as COMMENT and EXRULE as CONTACT, whose values libical leaves alone.
/// A name that is not known is left out (RFC 5545, 3.8.8.1), unless it is nearly that of something
/// that times depend on.
///
/// Throws Error for what is not made of complete VCALENDARs: other text around them, a BEGIN
/// without its END (a file that was cut off), more than 8 levels, no UTF-8, NULs; for a name that
/// may be a misspelt one; and for more values in a line than libical takes (it drops those after
/// the 500th without a word), or 1000 lines in one component.
[[nodiscard]] CalendarCore calendar_core(const std::string& text);

/// A text of the file for messages: on one line, without control characters, at
/// most about `most` bytes.
[[nodiscard]] std::string calendar_text(const std::string& text, std::size_t most = 80);

/// The text of such a file. Throws Error, without its name, for one that cannot be read, is no
/// regular file, or is larger than 1 MiB.
[[nodiscard]] std::string read_calendar_file(const std::string& path);

}  // namespace lockstep
