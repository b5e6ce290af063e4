#pragma once

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <string>
#include <string_view>

namespace lockstep {

/// ASCII letters in lower case.
[[nodiscard]] inline std::string lower(std::string_view text) {
    std::string low(text);
    std::transform(low.begin(), low.end(), low.begin(), [](unsigned char c) {
        return static_cast<char>(std::tolower(c));
    });
    return low;
}

/// ASCII: what the locale says is nobody's business here.
[[nodiscard]] inline bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// Whether the text contains one of the pieces.
[[nodiscard]] inline bool has_any(std::string_view text,
                                  std::initializer_list<std::string_view> pieces) {
    return std::any_of(pieces.begin(), pieces.end(), [text](std::string_view piece) {
        return text.find(piece) != std::string_view::npos;
    });
}

}  // namespace lockstep
