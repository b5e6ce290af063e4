#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lockstep {

struct CodePoint {
    char32_t value = 0;
    std::size_t length = 0;  ///< in bytes; 0: this is not UTF-8
};

/// The character that begins at `offset`, by RFC 3629, section 4: no overlong forms, no surrogates,
/// nothing above U+10FFFF.
[[nodiscard]] CodePoint decode_utf8(std::string_view text, std::size_t offset);

/// Of a character of several bytes: not its first.
[[nodiscard]] inline bool is_continuation(char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

/// `code` is a character: no surrogate, and at most U+10FFFF.
void append_utf8(std::string& text, char32_t code);

/// Whether a character is not shown but decides how others are: control characters (line end and
/// tab among them), the controls of bidirectional text, which make a name read as another one, line
/// separators, and what has no width (Unicode 15: categories Cc, Zl, Zp and most of Cf; fillers;
/// tags).
[[nodiscard]] bool is_hidden(char32_t c);

/// The text with a `?` for each of them but those in `kept`, and for each byte that is no UTF-8.
[[nodiscard]] std::string without_hidden(std::string_view text, std::string_view kept = {});

/// The mark of a byte that cannot be read, in what is shown and recorded: U+FFFD.
inline constexpr std::string_view k_unreadable = "\xEF\xBF\xBD";

/// The text with a mark for each byte that is not of UTF-8, for JSON can hold nothing else. A `?`
/// in names, which are typed and compared.
[[nodiscard]] std::string as_utf8(std::string_view text, std::string_view mark = "?");

}  // namespace lockstep
