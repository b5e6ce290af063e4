#pragma once

#include <charconv>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

/// Reading the lines that our script on a member prints.
namespace lockstep::script_lines {

/// nullopt: it is not a number as a whole.
template <typename Number>
[[nodiscard]] std::optional<Number> parse_number(std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

[[nodiscard]] inline std::vector<std::string> words(const std::string& line) {
    std::istringstream stream(line);
    std::vector<std::string> found;
    for (std::string word; stream >> word;) {
        found.push_back(word);
    }
    return found;
}

/// The value behind `key=` on the last line that starts so; empty: there is none.
[[nodiscard]] inline std::string last_value(const std::vector<std::string>& lines,
                                            std::string_view key) {
    for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
        if (line->starts_with(key) && line->size() > key.size() && (*line)[key.size()] == '=') {
            return line->substr(key.size() + 1);
        }
    }
    return {};
}

}  // namespace lockstep::script_lines
