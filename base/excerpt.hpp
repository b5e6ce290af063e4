#pragma once

#include "base/error.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace lockstep {

/// A line of a file for a screen, and what points at a column of it.
struct Excerpt {
    std::string line;
    std::string caret;  ///< spaces, then `^`
};

/// The line at `where`, made safe for a terminal: a tab becomes four spaces, a control character or
/// what is not UTF-8 a `?`. Of a line wider than `width` columns, what is around the place, with …
/// where it was cut. nullopt where the text has no such line.
[[nodiscard]] std::optional<Excerpt> source_excerpt(std::string_view text,
                                                    const SourceLocation& where,
                                                    std::size_t width);

}  // namespace lockstep
