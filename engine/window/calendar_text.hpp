#pragma once

#include <cstddef>
#include <string>

namespace lockstep {

/// The lines of an iCalendar text with folded ones put together (RFC 5545, 3.1), for a parser that
/// is not to be trusted with everything. Throws Error for what is not one complete VCALENDAR: other
/// text around it, a BEGIN without its END (a file that was cut off), more than 8 levels, no UTF-8,
/// NULs.
[[nodiscard]] std::string unfolded_calendar(const std::string& text);

/// A text of the file for messages: on one line, without control characters, at
/// most about `most` bytes.
[[nodiscard]] std::string calendar_text(const std::string& text, std::size_t most = 80);

/// Whether what libical says in an X-LIC-ERROR is of a property that times do not depend on:
/// programs write properties without a value, or newer than it.
[[nodiscard]] bool is_harmless_calendar_error(const std::string& message);

/// The text of such a file. Throws Error, without its name, for one that cannot be read, is no
/// regular file, or is larger than 1 MiB.
[[nodiscard]] std::string read_calendar_file(const std::string& path);

}  // namespace lockstep
