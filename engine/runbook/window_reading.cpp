#include "engine/runbook/window_reading.hpp"

#include "engine/window/time_zone.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

namespace lockstep::runbook_reading {

namespace {

using std::chrono::local_seconds;
using std::chrono::minutes;
using yaml::Node;

/// Longer than a week a weekly time would run into itself.
constexpr std::chrono::days k_longest_weekly{7};
constexpr std::array<std::string_view, 7> k_days{"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
constexpr const char* k_time_hint = "Write hours and minutes in quotes: \"22:00\".";
constexpr const char* k_date_hint = "Write 2026-12-20 or 2026-12-20 18:00.";

std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
    int value = 0;
    for (std::size_t n = at; n < at + count; ++n) {
        if (n >= text.size() || text[n] < '0' || text[n] > '9') {
            return std::nullopt;
        }
        value = value * 10 + (text[n] - '0');
    }
    return value;
}

std::optional<minutes> parse_time(std::string_view text) {
    const auto hour = digits(text, 0, 2);
    const auto minute = digits(text, 3, 2);
    if (text.size() != 5 || text[2] != ':' || !hour || !minute || *hour > 23 || *minute > 59) {
        return std::nullopt;
    }
    return std::chrono::hours{*hour} + minutes{*minute};
}

/// A date, or a date and a time of day with a blank or a T between them.
std::optional<local_seconds> parse_date(std::string_view text) {
    using namespace std::chrono;
    const auto y = digits(text, 0, 4);
    const auto m = digits(text, 5, 2);
    const auto d = digits(text, 8, 2);
    if (!y || !m || !d || text[4] != '-' || text[7] != '-') {
        return std::nullopt;
    }
    const year_month_day date{
        year{*y}, month{static_cast<unsigned>(*m)}, day{static_cast<unsigned>(*d)}};
    const bool with_time = text.size() > 10;
    const auto time = with_time ? parse_time(text.substr(11)) : minutes{0};
    if (!date.ok() || !time || (with_time && text[10] != ' ' && text[10] != 'T')) {
        return std::nullopt;
    }
    return local_days{date} + *time;
}

/// The value of a key by `parse`; a problem where it is there and does not fit.
template <class Value>
std::optional<Value> read_parsed(Reading& reading,
                                 const Node& node,
                                 const std::string& what,
                                 std::optional<Value> (*parse)(std::string_view),
                                 const char* hint) {
    const auto value = node.is(Node::Kind::scalar) ? parse(node.text) : std::nullopt;
    if (!value) {
        reading.problems.add(node.where, what + ", not " + node.describe(), hint);
    }
    return value;
}

std::string read_text_value(Reading& reading, const Node& node, const std::string& what) {
    std::string text;
    reading.problems.attempt([&] {
        text = yaml::as_string(node, what);
        if (text.empty() || text.find('\0') != std::string::npos) {
            throw InputError(node.where, what + " is empty");
        }
    });
    return text;
}

std::optional<std::size_t> read_day(Reading& reading, const Node& node, std::string_view text) {
    const auto found = std::find(k_days.begin(), k_days.end(), text);
    if (found == k_days.end()) {
        reading.problems.add(node.where,
                             "\"" + std::string(text) + "\" is no day of the week",
                             "Write mon, tue, wed, thu, fri, sat or sun, or a range: mon-fri.");
        return std::nullopt;
    }
    return static_cast<std::size_t>(found - k_days.begin());
}

/// `sat`, or `fri-mon`.
void read_range(Reading& reading, const Node& node, std::bitset<7>& days) {
    if (!node.is(Node::Kind::scalar)) {
        reading.problems.add(node.where, "a day must be a text, not " + node.describe());
        return;
    }
    const std::size_t dash = node.text.find('-');
    const auto first = read_day(reading, node, std::string_view(node.text).substr(0, dash));
    const auto last = dash == std::string::npos
                          ? first
                          : read_day(reading, node, std::string_view(node.text).substr(dash + 1));
    if (!first || !last) {
        return;
    }
    const std::size_t count = (*last + 7 - *first) % 7 + 1;
    for (std::size_t n = 0; n < count; ++n) {
        const std::size_t day = (*first + n) % 7;
        if (days.test(day)) {
            reading.problems.add(node.where, std::string(k_days.at(day)) + " is listed twice");
            return;
        }
        days.set(day);
    }
}

std::bitset<7> read_days(Reading& reading, const Node* node) {
    std::bitset<7> days;
    if (node == nullptr || (node->is(Node::Kind::list) && node->items.empty())) {
        return days.set();
    }
    if (!node->is(Node::Kind::list)) {
        read_range(reading, *node, days);
    }
    for (const Node& item : node->items) {
        read_range(reading, item, days);
    }
    return days;
}

std::optional<WeeklyTime> read_weekly_time(Reading& reading, const Node& node) {
    if (!check_keys(reading, node, "weekly", "weekly")) {
        return std::nullopt;
    }
    WeeklyTime time;
    time.days = read_days(reading, node.find("days"));
    if (const Node* from = node.find("from")) {
        time.from =
            read_parsed(reading, *from, "from must be a time of day", parse_time, k_time_hint)
                .value_or(minutes{0});
    } else {
        reading.problems.add(node.where, "weekly needs `from`", k_time_hint, "runbook.missing");
    }
    const Node* length = node.find("for");
    const Node* to = node.find("to");
    if ((length == nullptr) == (to == nullptr)) {
        reading.problems.add(node.where,
                             "weekly needs either `for` or `to`",
                             "Write how long it lasts (for: 4h), or when it ends (to: \"02:00\").");
    }
    if (length != nullptr) {
        time.length = read_duration(reading, *length, "for");
        if (time.length && (*time.length > k_longest_weekly || *time.length < minutes{1})) {
            reading.problems.add(length->where, "for must be from 1m to 7d, not " + length->text);
        }
    }
    if (to != nullptr) {
        time.to = read_parsed(reading, *to, "to must be a time of day", parse_time, k_time_hint);
    }
    return time;
}

std::optional<Freeze> read_freeze(Reading& reading, const Node& node) {
    if (!check_keys(reading, node, "freeze", "a freeze")) {
        return std::nullopt;
    }
    Freeze freeze;
    if (const Node* because = node.find("because")) {
        freeze.because = read_text_value(reading, *because, "because");
    }
    const Node* from = node.find("from");
    const Node* to = node.find("to");
    const Node* calendar = node.find("calendar");
    if (calendar != nullptr) {
        freeze.calendar = read_text_value(reading, *calendar, "calendar");
    }
    if ((from == nullptr) != (to == nullptr) || (from == nullptr) == (calendar == nullptr)) {
        reading.problems.add(node.where,
                             "a freeze needs either `from` and `to`, or `calendar`",
                             "{from: 2026-12-20, to: 2027-01-06, because: year end}; the day of "
                             "`to` is open again.");
        return freeze;
    }
    if (from != nullptr && to != nullptr) {
        const auto begin =
            read_parsed(reading, *from, "from must be a date", parse_date, k_date_hint);
        const auto end = read_parsed(reading, *to, "to must be a date", parse_date, k_date_hint);
        freeze.from = begin.value_or(local_seconds{});
        freeze.to = end.value_or(local_seconds{});
        if (begin && end && *begin >= *end) {
            reading.problems.add(
                to->where, "this freeze ends before it begins", "The day of `to` is open again.");
        }
    }
    return freeze;
}

/// The items of a list, each read by `read`.
template <class Item>
std::vector<Item> read_list(Reading& reading,
                            const Node& node,
                            const std::string& what,
                            std::optional<Item> (*read)(Reading&, const Node&)) {
    std::vector<Item> items;
    if (!node.is(Node::Kind::list) || node.items.empty()) {
        reading.problems.add(
            node.where,
            what + " must be a list, not " +
                (node.items.empty() && node.is(Node::Kind::list) ? "an empty one"
                                                                 : node.describe()));
    }
    for (const Node& item : node.items) {
        if (auto value = read(reading, item)) {
            items.push_back(std::move(*value));
        }
    }
    return items;
}

std::string read_time_zone(Reading& reading, const Node& window) {
    const Node* node = window.find("time_zone");
    if (node == nullptr) {
        reading.problems.add(window.where,
                             "window needs `time_zone`",
                             "Write an IANA name: time_zone: Europe/Berlin.");
        return {};
    }
    std::string name = read_text_value(reading, *node, "time_zone");
    if (!name.empty()) {
        try {
            static_cast<void>(load_time_zone(name));
        } catch (const Error& error) {
            reading.problems.add(node->where, error.what(), error.hint());
        }
    }
    return name;
}

/// As clocks usually have it.
std::chrono::milliseconds usual_length(const WeeklyTime& time) {
    if (time.length || !time.to) {
        return time.length.value_or(std::chrono::milliseconds{0});
    }
    return *time.to > time.from ? *time.to - time.from
                                : *time.to - time.from + std::chrono::hours{24};
}

void read_cutoff(Reading& reading, const Node& node, WindowSpec& window) {
    window.cutoff =
        read_duration(reading, node, "cutoff", true).value_or(std::chrono::milliseconds{0});
    // Times that adjoin are one: only the sum tells that none can be longer.
    std::chrono::milliseconds together{0};
    for (const WeeklyTime& time : window.weekly) {
        together += usual_length(time);
    }
    if (window.calendar.empty() && window.mode == WindowSpec::Mode::open && together.count() > 0 &&
        together <= window.cutoff && together < std::chrono::hours{24}) {
        reading.problems.add(node.where,
                             "cutoff leaves nothing of this window: its times are not longer",
                             "Nothing is started in the last part of a window that cutoff names.");
    }
}

}  // namespace

WindowSpec read_window(Reading& reading, const Node& node) {
    WindowSpec window;
    window.where = node.where;
    window.folder = std::filesystem::path(node.where.file).parent_path().string();
    if (!check_keys(reading, node, "window", "window")) {
        return window;
    }
    window.time_zone = read_time_zone(reading, node);
    const Node* weekly = node.find("weekly");
    const Node* calendar = node.find("calendar");
    if (weekly == nullptr && calendar == nullptr) {
        reading.problems.add(node.where,
                             "window needs `weekly` or `calendar`",
                             "weekly: [{days: [sat, sun], from: \"22:00\", for: 4h}]");
    }
    if (weekly != nullptr) {
        window.weekly = read_list<WeeklyTime>(reading, *weekly, "weekly", read_weekly_time);
    }
    if (calendar != nullptr) {
        window.calendar = read_text_value(reading, *calendar, "calendar");
    }
    if (const Node* mode = node.find("mode")) {
        window.mode = read_one_of(reading, *mode, "mode", {"open", "closed"}) == "closed"
                          ? WindowSpec::Mode::closed
                          : WindowSpec::Mode::open;
    }
    if (const Node* freezes = node.find("freezes")) {
        window.freezes = read_list<Freeze>(reading, *freezes, "freezes", read_freeze);
    }
    if (const Node* cutoff = node.find("cutoff")) {
        read_cutoff(reading, *cutoff, window);
    }
    return window;
}

}  // namespace lockstep::runbook_reading
