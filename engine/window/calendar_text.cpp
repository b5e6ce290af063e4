#include "engine/window/calendar_text.hpp"

#include "base/error.hpp"
#include "base/trusted_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
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
constexpr std::size_t k_most_lines = 1000;
constexpr std::ptrdiff_t k_most_commas = 400;

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

/// Of a line: what is before its parameters and value, in capitals.
std::string name_of(std::string_view line) {
    return upper(line.substr(0, line.find_first_of(":;")));
}

/// RFC 5545, 7986 and 9073, but for what times depend on.
bool says_nothing_of_times(const std::string& name) {
    static const std::set<std::string> names{"ATTACH",
                                             "ATTENDEE",
                                             "CALSCALE",
                                             "CATEGORIES",
                                             "CLASS",
                                             "COLOR",
                                             "COMMENT",
                                             "CONFERENCE",
                                             "CONTACT",
                                             "CREATED",
                                             "DESCRIPTION",
                                             "DTSTAMP",
                                             "GEO",
                                             "IMAGE",
                                             "LAST-MODIFIED",
                                             "LOCATION",
                                             "NAME",
                                             "ORGANIZER",
                                             "PRIORITY",
                                             "PRODID",
                                             "REFRESH-INTERVAL",
                                             "RELATED-TO",
                                             "REQUEST-STATUS",
                                             "RESOURCES",
                                             "SEQUENCE",
                                             "SOURCE",
                                             "STRUCTURED-DATA",
                                             "STYLED-DESCRIPTION",
                                             "TRANSP",
                                             "TZNAME",
                                             "TZURL",
                                             "URL",
                                             "VERSION"};
    return names.contains(name) || name.starts_with("X-");
}

bool holds_times(const std::string& component) {
    return component == "VCALENDAR" || component == "VEVENT" || component == "VTIMEZONE" ||
           component == "STANDARD" || component == "DAYLIGHT";
}

/// Follows BEGIN and END, and keeps what is needed.
class Core {
  public:
    void line(const std::string& text) {
        const std::string name = name_of(text);
        if (name == "BEGIN") {
            begin(text);
        } else if (name == "END") {
            end(text);
        } else if (open_.empty() && !text.empty()) {
            throw Error("is no iCalendar file");
        } else if (!text.empty() && dropped_from_ == 0) {
            property(name, text);
        }
    }

    std::string take() {
        if (!ended_) {
            throw Error(open_.empty() ? "is no iCalendar file"
                                      : "is cut off: END:" + calendar_text(open_.back().name) +
                                            " is missing");
        }
        return std::move(kept_);
    }

  private:
    struct Component {
        std::string name;
        std::size_t lines = 0;
    };

    void begin(const std::string& text) {
        const std::string name =
            upper(std::string_view(text).substr(std::min<std::size_t>(6, text.size())));
        if (ended_ || (open_.empty() && name != "VCALENDAR")) {
            throw Error(ended_ ? "holds more than one calendar" : "is no iCalendar file");
        }
        open_.push_back({name});
        if (open_.size() > k_most_levels) {
            throw Error("has too many levels of BEGIN");
        }
        if (dropped_from_ == 0 && !holds_times(name)) {
            dropped_from_ = open_.size();
        }
        keep("BEGIN:" + name);
    }

    void end(const std::string& text) {
        if (open_.empty() || "END:" + open_.back().name != upper(text)) {
            throw Error("is no iCalendar file: " + calendar_text(text) + " without its BEGIN");
        }
        keep(upper(text));
        dropped_from_ = dropped_from_ == open_.size() ? 0 : dropped_from_;
        open_.pop_back();
        ended_ = open_.empty();
    }

    void property(const std::string& name, const std::string& text) {
        if (says_nothing_of_times(name) || upper(text) == "SUMMARY:") {
            return;
        }
        if (++open_.back().lines > k_most_lines ||
            std::count(text.begin(), text.end(), ',') > k_most_commas) {
            throw Error(name == "SUMMARY" ? "has a SUMMARY that is too long"
                                          : "has too many lines or values in one " +
                                                calendar_text(open_.back().name));
        }
        keep(text);
    }

    void keep(const std::string& line) {
        if (dropped_from_ == 0) {
            kept_.append(line).append("\r\n");
        }
    }

    std::vector<Component> open_;
    std::size_t dropped_from_ = 0;  ///< the level of what is dropped with all in it; 0: nothing
    bool ended_ = false;
    std::string kept_;
};

}  // namespace

std::string calendar_core(const std::string& text) {
    if (text.find('\0') != std::string::npos) {
        throw Error("is no iCalendar file: it has a NUL in it");
    }
    std::string_view rest(text);
    if (rest.starts_with("\xEF\xBB\xBF")) {
        rest.remove_prefix(3);
    }
    Core core;
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
        // A character may be folded, too.
        if (!is_utf8(line)) {
            throw Error("is no iCalendar file: it is not in UTF-8");
        }
        core.line(without_end(line));
    }
    return core.take();
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

std::string read_calendar_file(const std::string& path) {
    const auto cannot = [](const std::string& why) { return Error("cannot be read: " + why); };
    std::error_code failed;
    const auto status = std::filesystem::status(path, failed);
    // Opening a pipe would wait for somebody to write to it.
    if (failed || !std::filesystem::is_regular_file(status)) {
        throw cannot(failed ? failed.message() : "it is no regular file");
    }
    // Whoever can write it decides when others' hosts are changed.
    if (const std::string who = who_else_may_write(path, FoundBy::name); !who.empty()) {
        throw Error("is not used: " + who);
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
