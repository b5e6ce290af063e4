#pragma once

#include <cstddef>
#include <string>

namespace lockstep {

/// What of an iCalendar text the times of its events depend on, for libical to parse: folded lines
/// put together (RFC 5545, 3.1), without components and properties that say nothing about times.
/// libical 3.0.16 needs time by the square of what it removes, and removes what has no value, as
/// many programs write it. Names that are not known stay, for it to refuse: they may be misspelt
/// ones.
///
/// Throws Error for what is not one complete VCALENDAR: other text around it, a BEGIN without its
/// END (a file that was cut off), more than 8 levels, no UTF-8, NULs; and for more values in a line
/// than libical takes (it drops those after the 500th without a word), or 1000 lines in one
/// component.
[[nodiscard]] std::string calendar_core(const std::string& text);

/// A text of the file for messages: on one line, without control characters, at
/// most about `most` bytes.
[[nodiscard]] std::string calendar_text(const std::string& text, std::size_t most = 80);

/// The text of such a file. Throws Error, without its name, for one that cannot be read, is no
/// regular file, or is larger than 1 MiB.
[[nodiscard]] std::string read_calendar_file(const std::string& path);

}  // namespace lockstep
