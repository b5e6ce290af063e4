#pragma once

#include <string>

namespace lockstep {

/// The lines of an iCalendar text with folded ones put together (RFC 5545, 3.1), for a parser that
/// is not to be trusted with everything. Throws Error for what is not one complete VCALENDAR: other
/// text around it, a BEGIN without its END (a file that was cut off), more than 8 levels, NULs.
[[nodiscard]] std::string unfolded_calendar(const std::string& text);

/// Whether what libical says in an X-LIC-ERROR is of a property that times do not depend on:
/// programs write properties without a value, or newer than it.
[[nodiscard]] bool is_harmless_calendar_error(const std::string& message);

}  // namespace lockstep
