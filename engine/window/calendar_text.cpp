#include "engine/window/calendar_text.hpp"

#include "base/error.hpp"
#include "base/suggest.hpp"
#include "base/trusted_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

namespace lockstep {

namespace {

constexpr std::size_t k_largest_file = std::size_t{1} << 20;
constexpr std::size_t k_most_levels = 8;
constexpr std::size_t k_most_lines = 1000;
constexpr std::ptrdiff_t k_most_commas = 400;
constexpr std::size_t k_most_unknown = 20;

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

/// Of a line: what is before its parameters and value, in capitals, without the group that vCard
/// would have (item1.DTSTART).
std::string name_of(std::string_view line) {
    const std::string_view name = line.substr(0, line.find_first_of(":;"));
    return upper(name.substr(name.rfind('.') + 1));
}

/// RFC 5545, 7986, 9073 and 9253, but for what times depend on.
bool says_nothing_of_times(const std::string& name) {
    static const std::set<std::string> names{"ACKNOWLEDGED",
                                             "ATTACH",
                                             "ATTENDEE",
                                             "CATEGORIES",
                                             "CLASS",
                                             "COLOR",
                                             "COMMENT",
                                             "CONCEPT",
                                             "CONFERENCE",
                                             "CONTACT",
                                             "CREATED",
                                             "DESCRIPTION",
                                             "GEO",
                                             "IMAGE",
                                             "LAST-MODIFIED",
                                             "LINK",
                                             "LOCATION",
                                             "NAME",
                                             "ORGANIZER",
                                             "PRIORITY",
                                             "PRODID",
                                             "REFID",
                                             "REFRESH-INTERVAL",
                                             "RELATED-TO",
                                             "REQUEST-STATUS",
                                             "RESOURCES",
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

/// Misspelt they would change times without a word.
const std::vector<std::string>& names_that_say_times() {
    static const std::vector<std::string> names{"DTSTART",
                                                "DTEND",
                                                "DURATION",
                                                "RRULE",
                                                "EXRULE",
                                                "RDATE",
                                                "EXDATE",
                                                "RECURRENCE-ID",
                                                "STATUS",
                                                "FREEBUSY",
                                                "TZID",
                                                "TZOFFSETFROM",
                                                "TZOFFSETTO",
                                                "CALSCALE",
                                                "METHOD"};
    return names;
}

/// Directly in a VCALENDAR.
const std::vector<std::string>& components_that_hold_times() {
    static const std::vector<std::string> names{"VEVENT", "VFREEBUSY", "VTIMEZONE"};
    return names;
}

bool is_one_of(const std::string& name, const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

/// Throws Error for a name that somebody may have meant as one of `names`.
void refuse_misspelt(const std::string& name, const std::vector<std::string>& names) {
    const std::string near = did_you_mean(name, names);
    if (near.starts_with("did")) {
        throw Error("has " + calendar_text(name) + ", which is not known: " + near,
                    "Correct it, or call it X-" + calendar_text(name) + ".");
    }
}

/// After the name and its parameters, whose quoted values may have colons.
std::string value_of(std::string_view line) {
    bool quoted = false;
    for (std::size_t at = 0; at < line.size(); ++at) {
        quoted = quoted != (line[at] == '"');
        if (line[at] == ':' && !quoted) {
            return std::string(line.substr(at + 1));
        }
    }
    return "";
}

bool is_digits(std::string_view text, std::size_t most) {
    return !text.empty() && text.size() <= most &&
           text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// Follows BEGIN and END, and keeps what is needed.
class Core {
  public:
    void line(const std::string& text) {
        const std::string name = name_of(text);
        if (name == "BEGIN" && upper(text).starts_with(name)) {
            begin(text);
        } else if (name == "END" && upper(text).starts_with(name)) {
            end(text);
        } else if (open_.empty() && !text.empty()) {
            throw Error("is no iCalendar file");
        } else if (!text.empty() && dropped_from_ == 0) {
            property(name, text);
        }
    }

    CalendarCore take() {
        if (!open_.empty() || result_.calendars.empty()) {
            throw Error(open_.empty() ? "is no iCalendar file"
                                      : "is cut off: END:" + calendar_text(open_.back().name) +
                                            " is missing");
        }
        return std::move(result_);
    }

  private:
    struct Component {
        std::string name;
        std::size_t lines = 0;
    };

    void begin(const std::string& text) {
        const std::string name =
            upper(std::string_view(text).substr(std::min<std::size_t>(6, text.size())));
        if ((name == "VCALENDAR") != open_.empty()) {
            throw Error(open_.empty() ? "is no iCalendar file" : "has a VCALENDAR inside of one");
        }
        const bool holds_times = is_one_of(name, components_that_hold_times());
        if (holds_times && open_.size() != 1) {
            throw Error("has a " + name + " that is not directly in VCALENDAR");
        }
        open_.push_back({name});
        if (open_.size() > k_most_levels) {
            throw Error("has too many levels of BEGIN");
        }
        if (open_.size() == 1) {
            result_.calendars.emplace_back();
        } else if (open_.size() == 2 && !holds_times) {
            if (!name.starts_with("X-")) {
                refuse_misspelt(name, components_that_hold_times());
            }
            ++result_.other_components[calendar_text(name)];
            dropped_from_ = 2;
        } else if (dropped_from_ == 0 && open_.size() > 2 && !is_part_of_zone(name)) {
            dropped_from_ = open_.size();
        }
        keep("BEGIN:" + name);
    }

    [[nodiscard]] bool is_part_of_zone(const std::string& name) const {
        static const std::vector<std::string> parts{"STANDARD", "DAYLIGHT"};
        if (open_.size() != 3 || open_[1].name != "VTIMEZONE") {
            return false;
        }
        if (!is_one_of(name, parts)) {
            refuse_misspelt(name, parts);
        }
        return is_one_of(name, parts);
    }

    void end(const std::string& text) {
        if (open_.empty() || "END:" + open_.back().name != upper(text)) {
            throw Error("is no iCalendar file: " + calendar_text(text) + " without its BEGIN");
        }
        keep(upper(text));
        dropped_from_ = dropped_from_ == open_.size() ? 0 : dropped_from_;
        open_.pop_back();
    }

    void property(const std::string& name, const std::string& text) {
        const std::string value = value_of(text);
        const bool is_empty = text.ends_with(':') && (name == "SUMMARY" || name == "UID");
        // No more than a hint at which of two is newer.
        const bool is_stamp =
            name == "DTSTAMP" &&
            (value.size() != 16 || value[8] != 'T' || value.back() != 'Z' ||
             !is_digits(value.substr(0, 8), 8) || !is_digits(value.substr(9, 6), 6));
        if (says_nothing_of_times(name) || is_empty || is_stamp) {
            return;
        }
        if (!is_one_of(name, names_that_say_times()) &&
            !is_one_of(name, {"SUMMARY", "UID", "SEQUENCE", "DTSTAMP"})) {
            other_property(name, text);
            return;
        }
        if (name == "CALSCALE") {
            if (upper(value) != "GREGORIAN") {
                throw Error("is not of the Gregorian calendar (CALSCALE)");
            }
            return;
        }
        if (name == "SEQUENCE" && !is_digits(value, 9)) {
            throw Error("has a SEQUENCE that is no number");
        }
        if (++open_.back().lines > k_most_lines ||
            std::count(text.begin(), text.end(), ',') > k_most_commas) {
            throw Error(name == "SUMMARY" ? "has a SUMMARY that is too long"
                                          : "has too many lines or values in one " +
                                                calendar_text(open_.back().name));
        }
        if (name == "RRULE" || name == "EXRULE") {
            if (value.empty()) {
                throw Error("has an " + name + " without a value");
            }
            keep((name == "RRULE" ? "COMMENT:" : "CONTACT:") + value);
            return;
        }
        const std::size_t rest = text.find_first_of(":;");
        keep(rest == std::string::npos ? name : name + text.substr(rest));
    }

    void other_property(const std::string& name, const std::string& text) {
        if (name.empty() || text.find(':') == std::string::npos ||
            name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != std::string::npos) {
            throw Error("has a line that is none of iCalendar: " + calendar_text(text));
        }
        refuse_misspelt(name, names_that_say_times());
        if (result_.unknown_properties.size() < k_most_unknown) {
            result_.unknown_properties.insert(calendar_text(name));
        }
    }

    void keep(const std::string& line) {
        if (dropped_from_ == 0) {
            result_.calendars.back().append(line).append("\r\n");
        }
    }

    std::vector<Component> open_;
    std::size_t dropped_from_ = 0;  ///< the level of what is dropped with all in it; 0: nothing
    CalendarCore result_;
};

}  // namespace

CalendarCore calendar_core(const std::string& text) {
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
