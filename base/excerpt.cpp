#include "base/excerpt.hpp"

#include "base/utf8.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace lockstep {

namespace {

/// A character as it is shown.
struct Glyph {
    std::string text;
    std::size_t width = 1;  ///< in columns
};

unsigned bits_at(std::string_view text, std::size_t at) {
    return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
}

/// Columns, after Unicode's East Asian width W and F, and marks that stand on the character before.
std::size_t width_of(char32_t c) {
    constexpr std::array<std::pair<char32_t, char32_t>, 9> k_wide{{{0x1100, 0x115F},
                                                                   {0x2E80, 0xA4CF},
                                                                   {0xAC00, 0xD7A3},
                                                                   {0xF900, 0xFAFF},
                                                                   {0xFE30, 0xFE6F},
                                                                   {0xFF00, 0xFF60},
                                                                   {0xFFE0, 0xFFE6},
                                                                   {0x1F300, 0x1FAFF},
                                                                   {0x20000, 0x3FFFD}}};
    if ((c >= 0x300 && c <= 0x36F) || (c >= 0x200B && c <= 0x200F) || c == 0xFEFF) {
        return 0;
    }
    return std::ranges::any_of(
               k_wide, [c](const auto& range) { return c >= range.first && c <= range.second; })
               ? 2
               : 1;
}

/// The character that begins at `at`, which is moved behind it. Columns of a location count what is
/// no continuation byte, and so does this.
Glyph next_glyph(std::string_view line, std::size_t& at) {
    const std::size_t begin = at++;
    while (at < line.size() && is_continuation(line[at])) {
        ++at;
    }
    const unsigned first = bits_at(line, begin);
    const std::size_t length = at - begin;
    if (first < 0x80) {
        if (first == '\t') {
            return {"    ", 4};
        }
        const bool shown = length == 1 && first >= 0x20 && first != 0x7F;
        return {shown ? std::string(1, line[begin]) : "?", 1};
    }
    const std::size_t wanted = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    char32_t value = first & (0xFFU >> (wanted + 1));
    for (std::size_t i = 1; i < length; ++i) {
        value = (value << 6U) | (bits_at(line, begin + i) & 0x3FU);
    }
    // Those that change the order of what follows (CVE-2021-42574) and C1 controls are not shown.
    const bool shown = length == wanted && first >= 0xC2 && first <= 0xF4 && value >= 0xA0 &&
                       !(value >= 0x2028 && value <= 0x202E) &&
                       !(value >= 0x2066 && value <= 0x2069);
    return shown ? Glyph{std::string(line.substr(begin, length)), width_of(value)} : Glyph{"?", 1};
}

std::optional<std::string_view> line_of(std::string_view text, int number) {
    constexpr std::string_view k_byte_order_mark = "\xEF\xBB\xBF";
    if (text.starts_with(k_byte_order_mark)) {
        text.remove_prefix(k_byte_order_mark.size());
    }
    for (int line = 1; line < number; ++line) {
        const std::size_t end = text.find('\n');
        if (end == std::string_view::npos) {
            return std::nullopt;
        }
        text.remove_prefix(end + 1);
    }
    std::string_view line = text.substr(0, text.find('\n'));
    if (line.ends_with('\r')) {
        line.remove_suffix(1);
    }
    return number < 1 ? std::nullopt : std::optional(line);
}

}  // namespace

std::optional<Excerpt> source_excerpt(std::string_view text,
                                      const SourceLocation& where,
                                      std::size_t width) {
    const auto line = line_of(text, where.line);
    if (!line) {
        return std::nullopt;
    }
    std::vector<Glyph> glyphs;
    for (std::size_t at = 0; at < line->size();) {
        glyphs.push_back(next_glyph(*line, at));
    }
    // Grow from the place to both sides, until the width is used up.
    const std::size_t column = static_cast<std::size_t>(std::max(where.column, 1)) - 1;
    const std::size_t place = std::min(column, glyphs.size());
    std::size_t first = place;
    std::size_t last = place;
    const std::size_t room = std::max<std::size_t>(width, 8) - 2;  // for … on each side
    std::size_t used = 0;
    for (bool grown = true; grown;) {
        grown = false;
        if (last < glyphs.size() && used + glyphs[last].width <= room) {
            used += glyphs[last++].width;
            grown = true;
        }
        if (first > 0 && used + glyphs[first - 1].width <= room) {
            used += glyphs[--first].width;
            grown = true;
        }
    }
    Excerpt shown;
    shown.line = first > 0 ? "…" : "";
    shown.caret = first > 0 ? " " : "";
    for (std::size_t i = first; i < last; ++i) {
        shown.line += glyphs[i].text;
        shown.caret += i < place ? std::string(glyphs[i].width, ' ') : "";
    }
    shown.line += last < glyphs.size() ? "…" : "";
    shown.caret += "^";
    return shown;
}

}  // namespace lockstep
