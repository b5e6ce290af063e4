#pragma once

#include <span>
#include <string>
#include <string_view>

namespace lockstep {

/// `text` as one word of a POSIX shell, whatever it holds: `it's` becomes `'it'\''s'`. Words made
/// of harmless characters alone stay as they are, so that a rendered command is easy to read.
/// Throws Error for a NUL byte: no argv can carry one.
[[nodiscard]] std::string shell_quote(std::string_view text);

/// `NAME='VALUE'` and a line end: what sets a variable in a script.
[[nodiscard]] std::string shell_assignment(std::string_view name, std::string_view value);

/// The words quoted and joined by single spaces.
[[nodiscard]] std::string shell_join(std::span<const std::string> words);

}  // namespace lockstep
