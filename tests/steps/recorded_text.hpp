#pragma once

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

namespace lockstep {

/// What a real member answered once, from tests/steps/recorded/. Its markers carry this nonce.
inline constexpr const char* k_recorded_nonce = "00112233445566778899aabbccddeeff";

inline std::string recorded_text(const std::string& name) {
    std::ifstream stream(std::string(LOCKSTEP_SOURCE_DIR) + "/tests/steps/recorded/" + name);
    if (!stream) {
        throw std::runtime_error("no recording " + name);
    }
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
}

inline std::string replaced(std::string text, const std::string& what, const std::string& with) {
    for (std::size_t at = text.find(what); at != std::string::npos;
         at = text.find(what, at + with.size())) {
        text.replace(at, what.size(), with);
    }
    return text;
}

/// The lines of one section of a recording, replaced by others.
inline std::string with_section(const std::string& text,
                                const std::string& name,
                                const std::string& lines,
                                int status) {
    const std::string marker = std::string("@") + k_recorded_nonce;
    const std::string begin = marker + " begin " + name + "\n";
    const std::size_t from = text.find(begin) + begin.size();
    const std::string end = "\n" + marker + " end ";
    const std::size_t to = text.find(end, from);
    const std::size_t line_end = text.find('\n', to + 1);
    return text.substr(0, from) + lines + end + std::to_string(status) + text.substr(line_end);
}

}  // namespace lockstep
