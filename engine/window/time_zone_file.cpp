#include "base/error.hpp"
#include "engine/window/time_zone.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

// The format of the files: RFC 8536 (version 2 and later), with a rule in the manner of POSIX's TZ
// for what comes after the last change that is written out.
namespace lockstep {

namespace {

using std::chrono::days;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::year;

constexpr int k_last_year = 2100;

/// Reads from a text what fits, and remembers when something did not.
class Bytes {
  public:
    explicit Bytes(std::string_view text) : text_(text) {}

    [[nodiscard]] bool failed() const { return failed_; }

    [[nodiscard]] bool at_end() const { return text_.empty(); }

    std::string_view take(std::size_t count) {
        failed_ = failed_ || count > text_.size();
        const std::string_view taken = failed_ ? std::string_view{} : text_.substr(0, count);
        text_.remove_prefix(taken.size());
        return taken;
    }

    /// Big-endian, of two's complement where all 8 bytes are read.
    std::int64_t integer(std::size_t size) {
        std::uint64_t value = 0;
        for (const char byte : take(size)) {
            value = (value << 8U) | static_cast<unsigned char>(byte);
        }
        return size == 4 ? static_cast<std::int32_t>(static_cast<std::uint32_t>(value))
                         : static_cast<std::int64_t>(value);
    }

    bool skip(char c) {
        const bool is = text_.starts_with(c);
        text_.remove_prefix(is ? 1 : 0);
        return is;
    }

    int number() {
        int value = 0;
        std::size_t digits = 0;
        for (; digits < text_.size() && digits < 4; ++digits) {
            if (text_[digits] < '0' || text_[digits] > '9') {
                break;
            }
            value = value * 10 + (text_[digits] - '0');
        }
        failed_ = failed_ || digits == 0;
        text_.remove_prefix(digits);
        return value;
    }

    /// `-3:30`, `+5`, `2:00:00`
    seconds clock() {
        const bool negative = skip('-');
        if (!negative) {
            skip('+');
        }
        seconds value = std::chrono::hours{number()};
        if (skip(':')) {
            value += std::chrono::minutes{number()};
        }
        if (skip(':')) {
            value += seconds{number()};
        }
        return negative ? -value : value;
    }

    /// `CET`, `<+0330>`
    std::string abbreviation() {
        const bool quoted = skip('<');
        std::size_t length = 0;
        while (length < text_.size() &&
               (quoted ? text_[length] != '>' : is_letter(text_[length]))) {
            ++length;
        }
        std::string name(take(length));
        failed_ = failed_ || (quoted && !skip('>')) || name.empty();
        return name;
    }

  private:
    static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

    std::string_view text_;
    bool failed_ = false;
};

struct Header {
    std::int64_t utc_flags, standard_flags, leaps, times, types, characters;

    [[nodiscard]] std::size_t size(std::size_t time_size) const {
        return static_cast<std::size_t>(times) * (time_size + 1) +
               static_cast<std::size_t>(types) * 6 + static_cast<std::size_t>(characters) +
               static_cast<std::size_t>(leaps) * (time_size + 4) +
               static_cast<std::size_t>(standard_flags) + static_cast<std::size_t>(utc_flags);
    }
};

std::optional<Header> read_header(Bytes& bytes) {
    const bool known = bytes.take(4) == "TZif";
    const std::string_view version = bytes.take(1);
    bytes.take(15);
    std::array<std::int64_t, 6> counts{};
    for (std::int64_t& count : counts) {
        count = bytes.integer(4);
        if (count < 0 || count > 100'000) {
            return std::nullopt;
        }
    }
    if (!known || bytes.failed() || version < "2") {
        return std::nullopt;
    }
    return Header{counts[0], counts[1], counts[2], counts[3], counts[4], counts[5]};
}

/// On which day of a year, and at which time of it, clocks change.
struct YearlyRule {
    enum class Kind { weekday, day_without_leap, day } kind = Kind::day;
    int month = 1, week = 1, day = 0;
    seconds time = std::chrono::hours{2};

    static YearlyRule read(Bytes& text) {
        YearlyRule rule;
        if (text.skip('M')) {
            rule.kind = Kind::weekday;
            rule.month = text.number();
            text.skip('.');
            rule.week = text.number();
            text.skip('.');
            rule.day = text.number();
        } else {
            rule.kind = text.skip('J') ? Kind::day_without_leap : Kind::day;
            rule.day = text.number();
        }
        if (text.skip('/')) {
            rule.time = text.clock();
        }
        return rule;
    }

    [[nodiscard]] bool ok() const {
        return kind != Kind::weekday ||
               (month >= 1 && month <= 12 && week >= 1 && week <= 5 && day >= 0 && day <= 6);
    }

    /// As clocks show it before they change.
    [[nodiscard]] sys_seconds in(year y) const {
        using namespace std::chrono;
        const auto m = std::chrono::month{static_cast<unsigned>(month)};
        const weekday on{static_cast<unsigned>(day % 7)};
        if (kind == Kind::weekday) {
            const sys_days date = week == 5 ? sys_days{y / m / on[last]}
                                            : sys_days{y / m / on[static_cast<unsigned>(week)]};
            return date + time;
        }
        const bool after_leap_day = kind == Kind::day_without_leap && y.is_leap() && day >= 60;
        const int from_start = kind == Kind::day || after_leap_day ? day : day - 1;
        return sys_days{y / January / 1} + days{from_start} + time;
    }
};

/// Adds the changes of `CET-1CEST,M3.5.0,M10.5.0/3` after those that are there.
bool add_rule(std::string_view text, std::vector<TimeZone::Change>& changes) {
    if (text.empty()) {
        return true;
    }
    Bytes rule(text);
    const std::string standard = rule.abbreviation();
    const seconds standard_offset = -rule.clock();
    if (rule.failed()) {
        return false;
    }
    const bool written_out = !changes.empty();
    if (rule.at_end()) {
        if (!written_out) {
            changes.push_back({sys_seconds{}, standard_offset, standard});
        }
        return true;
    }
    const std::string daylight = rule.abbreviation();
    const seconds offset = rule.skip(',') ? standard_offset + std::chrono::hours{1} : -rule.clock();
    rule.skip(',');
    const YearlyRule begins = YearlyRule::read(rule);
    rule.skip(',');
    const YearlyRule ends = YearlyRule::read(rule);
    if (rule.failed() || !rule.at_end() || !begins.ok() || !ends.ok()) {
        return false;
    }
    const sys_seconds known =
        written_out ? changes.back().at : sys_seconds{sys_days{year{1970} / 1 / 1}};
    for (year y = std::chrono::year_month_day{std::chrono::floor<days>(known)}.year();
         y <= year{k_last_year};
         ++y) {
        const TimeZone::Change to_daylight{begins.in(y)-standard_offset, offset, daylight};
        const TimeZone::Change to_standard{ends.in(y)-offset, standard_offset, standard};
        for (const auto& change : {to_daylight, to_standard}) {
            if (change.at > known) {
                changes.push_back(change);
            }
        }
    }
    return true;
}

struct LocalType {
    seconds offset{0};
    std::size_t abbreviation = 0;
};

/// The second, 64-bit part of a file.
std::optional<TimeZone> read_body(Bytes& bytes, const Header& header, const std::string& name) {
    std::vector<TimeZone::Change> changes(static_cast<std::size_t>(header.times));
    for (auto& change : changes) {
        change.at = sys_seconds{seconds{bytes.integer(8)}};
    }
    const std::string_view indexes = bytes.take(changes.size());
    std::vector<LocalType> types(static_cast<std::size_t>(header.types));
    for (LocalType& type : types) {
        type.offset = seconds{bytes.integer(4)};
        bytes.take(1);  // whether it is daylight saving time
        type.abbreviation = static_cast<std::size_t>(static_cast<unsigned char>(
            bytes.failed() ? '\0' : static_cast<char>(bytes.integer(1))));
    }
    const std::string names(bytes.take(static_cast<std::size_t>(header.characters)));
    bytes.take(static_cast<std::size_t>(header.standard_flags + header.utc_flags));
    if (bytes.failed() || header.leaps != 0 || types.empty()) {
        return std::nullopt;
    }
    for (std::size_t n = 0; n < changes.size(); ++n) {
        const auto index = static_cast<std::size_t>(static_cast<unsigned char>(indexes[n]));
        if (index >= types.size() || types[index].abbreviation >= names.size()) {
            return std::nullopt;
        }
        changes[n].offset = types[index].offset;
        changes[n].abbreviation = names.c_str() + types[index].abbreviation;
    }
    // Some files begin with a change that is older than the universe.
    const sys_seconds year_1800{sys_days{year{1800} / 1 / 1}};
    std::erase_if(changes, [&](const auto& change) { return change.at < year_1800; });
    std::string rule;
    for (bytes.skip('\n'); !bytes.at_end() && !bytes.skip('\n');) {
        rule += bytes.take(1);
    }
    if (!add_rule(rule, changes)) {
        return std::nullopt;
    }
    return TimeZone(name, types.front().offset, std::move(changes));
}

}  // namespace

TimeZone parse_time_zone(const std::string& bytes, const std::string& name) {
    Bytes reader(bytes);
    const auto first = read_header(reader);
    if (first) {
        reader.take(first->size(4));
        if (const auto second = read_header(reader)) {
            if (auto zone = read_body(reader, *second, name)) {
                return *zone;
            }
        }
    }
    throw Error("time zone " + name + ": its file is not understood",
                "Install tzdata as Debian has it.");
}

}  // namespace lockstep
