#include "base/shell_quote.hpp"

#include "base/error.hpp"

namespace lockstep {

namespace {

bool is_harmless(char c) {
    constexpr std::string_view k_harmless =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,";
    return k_harmless.find(c) != std::string_view::npos;
}

}  // namespace

std::string shell_quote(std::string_view text) {
    bool harmless = !text.empty();
    for (const char c : text) {
        if (c == '\0') {
            throw Error("a value with a NUL byte cannot be passed to a command");
        }
        harmless = harmless && is_harmless(c);
    }
    if (harmless) {
        return std::string(text);
    }
    std::string quoted = "'";
    for (const char c : text) {
        if (c == '\'') {
            quoted += "'\\''";
        } else {
            quoted += c;
        }
    }
    return quoted + "'";
}

std::string shell_assignment(std::string_view name, std::string_view value) {
    return std::string(name) + "=" + shell_quote(value) + "\n";
}

std::string shell_join(std::span<const std::string> words) {
    std::string line;
    for (const std::string& word : words) {
        line += (line.empty() ? "" : " ") + shell_quote(word);
    }
    return line;
}

}  // namespace lockstep
