#include "engine/window/calendar_text.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <set>
#include <string_view>
#include <system_error>
#include <vector>

namespace lockstep {

namespace {

constexpr std::size_t k_largest_file = std::size_t{1} << 20;
constexpr std::size_t k_most_levels = 8;

bool is_continuation(char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

/// How many bytes the UTF-8 character at the beginning has; 0: it is none (RFC 3629).
std::size_t character_size(std::string_view text) {
    const auto byte = [&](std::size_t n) { return static_cast<unsigned char>(text[n]); };
    const unsigned char first = byte(0);
    const std::size_t size = first < 0x80                     ? 1
                             : first >= 0xC2 && first <= 0xDF ? 2
                             : first >= 0xE0 && first <= 0xEF ? 3
                             : first >= 0xF0 && first <= 0xF4 ? 4
                                                              : 0;
    if (size > text.size()) {
        return 0;
    }
    for (std::size_t n = 1; n < size; ++n) {
        if (!is_continuation(text[n])) {
            return 0;
        }
    }
    const bool wrong = size > 2 && ((first == 0xE0 && byte(1) < 0xA0) ||  // longer than it must be
                                    (first == 0xED && byte(1) > 0x9F) ||  // surrogates
                                    (first == 0xF0 && byte(1) < 0x90) ||
                                    (first == 0xF4 && byte(1) > 0x8F));  // past the last one
    return wrong ? 0 : size;
}

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const std::size_t size = character_size(text);
        if (size == 0) {
            return false;
        }
        text.remove_prefix(size);
    }
    return true;
}

std::string upper(std::string_view text) {
    std::string result(text);
    for (char& c : result) {
        c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    return result;
}

std::string without_end(std::string_view line) {
    while (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r')) {
        line.remove_suffix(1);
    }
    return std::string(line);
}

/// Follows BEGIN and END.
class Levels {
  public:
    void line(const std::string& text) {
        const std::string word = upper(std::string_view(text).substr(0, 6));
        if (word == "BEGIN:") {
            const std::string name = upper(std::string_view(text).substr(6));
            if (ended_ || (open_.empty() && name != "VCALENDAR")) {
                throw Error(ended_ ? "holds more than one calendar" : "is no iCalendar file");
            }
            open_.push_back(name);
            if (open_.size() > k_most_levels) {
                throw Error("has too many levels of BEGIN");
            }
        } else if (word.starts_with("END:")) {
            if (open_.empty() || open_.back() != upper(std::string_view(text).substr(4))) {
                throw Error("is no iCalendar file: " + calendar_text(text) + " without its BEGIN");
            }
            open_.pop_back();
            ended_ = open_.empty();
        } else if (open_.empty() && !text.empty()) {
            throw Error("is no iCalendar file");
        }
    }

    void end() const {
        if (!ended_) {
            throw Error(open_.empty()
                            ? "is no iCalendar file"
                            : "is cut off: END:" + calendar_text(open_.back()) + " is missing");
        }
    }

  private:
    std::vector<std::string> open_;
    bool ended_ = false;
};

/// The word between two pieces of a message; empty: it has not these pieces.
std::string word_between(const std::string& message, std::string_view begin, std::string_view end) {
    const std::size_t at = message.find(begin);
    if (at == std::string::npos) {
        return {};
    }
    const std::size_t from = at + begin.size();
    const std::size_t to = end.empty() ? message.size() : message.find(end, from);
    return to == std::string::npos ? "" : upper(without_end(message.substr(from, to - from)));
}

}  // namespace

std::string unfolded_calendar(const std::string& text) {
    if (text.find('\0') != std::string::npos) {
        throw Error("is no iCalendar file: it has a NUL in it");
    }
    std::string_view rest(text);
    if (rest.starts_with("\xEF\xBB\xBF")) {
        rest.remove_prefix(3);
    }
    Levels levels;
    std::string result;
    while (!rest.empty()) {
        std::string line;
        do {
            line.append(rest.substr(0, rest.find('\n')));
            if (line.ends_with('\r')) {
                line.pop_back();
            }
            rest.remove_prefix(std::min(rest.find('\n'), rest.size() - 1) + 1);
            if (rest.starts_with(' ') || rest.starts_with('\t')) {
                rest.remove_prefix(1);
            } else {
                break;
            }
        } while (!rest.empty());
        line = without_end(line);
        levels.line(line);
        if (!line.empty()) {
            result.append(line).append("\r\n");
        }
    }
    if (!is_utf8(result)) {
        throw Error("is no iCalendar file: it is not in UTF-8");
    }
    levels.end();
    return result;
}

std::string calendar_text(const std::string& text, std::size_t most) {
    std::string result;
    std::string_view rest(text);
    while (!rest.empty() && result.size() < most) {
        // Messages of libical are cut off anywhere.
        const std::size_t size = character_size(rest);
        const bool shown = size > 1 || (size == 1 && rest[0] >= ' ' && rest[0] != '\x7f');
        result += shown ? rest.substr(0, size) : " ";
        rest.remove_prefix(std::max<std::size_t>(size, 1));
    }
    return rest.empty() ? result : result + "...";
}

bool is_harmless_calendar_error(const std::string& message) {
    static const std::set<std::string> matters{"DTSTART",
                                               "DTEND",
                                               "DURATION",
                                               "RRULE",
                                               "RDATE",
                                               "EXDATE",
                                               "EXRULE",
                                               "RECURRENCE-ID",
                                               "STATUS",
                                               "UID",
                                               "METHOD",
                                               "TZID",
                                               "TZOFFSETFROM",
                                               "TZOFFSETTO"};
    // Of RFC 7986 and 9073, which libical 3.0.16 does not know all of. Other unknown names may be
    // misspelt ones that matter.
    static const std::set<std::string> newer{"NAME",
                                             "REFRESH-INTERVAL",
                                             "SOURCE",
                                             "COLOR",
                                             "IMAGE",
                                             "CONFERENCE",
                                             "STRUCTURED-DATA",
                                             "STYLED-DESCRIPTION"};
    const std::string empty = word_between(message, "No value for ", " property.");
    const std::string unread = word_between(message, " value in ", " property.");
    const std::string unknown = word_between(message, "Parse error in property name: ", "");
    if (!empty.empty() || !unread.empty()) {
        return !matters.contains(empty.empty() ? unread : empty);
    }
    return newer.contains(unknown);
}

std::string read_calendar_file(const std::string& path) {
    const auto cannot = [](const std::string& why) { return Error("cannot be read: " + why); };
    std::error_code failed;
    const auto status = std::filesystem::status(path, failed);
    // Opening a pipe would wait for somebody to write to it.
    if (failed || !std::filesystem::is_regular_file(status)) {
        throw cannot(failed ? failed.message() : "it is no regular file");
    }
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    std::string text(k_largest_file + 1, '\0');
    if (!file) {
        throw cannot(std::system_category().message(errno));
    }
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (file.bad() || !file.eof()) {
        throw cannot(file.bad() ? "reading fails" : "it is larger than 1 MiB");
    }
    return text;
}

}  // namespace lockstep
