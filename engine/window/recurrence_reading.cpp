#include "base/error.hpp"
#include "engine/window/calendar_series.hpp"
#include "engine/window/calendar_text.hpp"
#include "engine/window/recurrence.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace lockstep {

namespace {

constexpr std::size_t k_most_times_of_day = 1440;

Error not_a_rule(std::string_view part) {
    return Error("its RRULE is not understood: " + calendar_text(std::string(part)));
}

int read_number(std::string_view text, std::size_t most_digits) {
    int value = 0;
    if (text.empty() || text.size() > most_digits) {
        throw not_a_rule(text);
    }
    for (const char c : text) {
        if (c < '0' || c > '9') {
            throw not_a_rule(text);
        }
        value = value * 10 + (c - '0');
    }
    return value;
}

/// `5`, `+5`, `-5`; never 0.
int read_signed(std::string_view text) {
    const bool negative = text.starts_with('-');
    const bool has_sign = negative || text.starts_with('+');
    const int value = read_number(text.substr(has_sign ? 1 : 0), 3);
    if (value == 0) {
        throw not_a_rule(text);
    }
    return negative ? -value : value;
}

/// What stands between commas or semicolons, up to the last one.
template <class Act>
void for_each_part(std::string_view text, char separator, Act act) {
    while (true) {
        const std::size_t end = text.find(separator);
        act(text.substr(0, end));
        if (end == std::string_view::npos) {
            return;
        }
        text.remove_prefix(end + 1);
    }
}

std::set<int> read_list(std::string_view text, int least, int most) {
    std::set<int> values;
    for_each_part(text, ',', [&](std::string_view part) {
        const int value = least < 0 ? read_signed(part) : read_number(part, 2);
        if (value < least || value > most) {
            throw not_a_rule(part);
        }
        values.insert(value);
    });
    return values;
}

std::chrono::weekday read_weekday(std::string_view text) {
    static constexpr std::array<std::string_view, 7> k_days{
        "SU", "MO", "TU", "WE", "TH", "FR", "SA"};
    const auto found = std::find(k_days.begin(), k_days.end(), text);
    if (found == k_days.end()) {
        throw not_a_rule(text);
    }
    return std::chrono::weekday{static_cast<unsigned>(found - k_days.begin())};
}

std::vector<Recurrence::Weekday> read_weekdays(std::string_view text) {
    std::vector<Recurrence::Weekday> days;
    for_each_part(text, ',', [&](std::string_view part) {
        if (part.size() < 2) {
            throw not_a_rule(part);
        }
        const std::string_view ordinal = part.substr(0, part.size() - 2);
        days.push_back({ordinal.empty() ? 0 : read_signed(ordinal),
                        read_weekday(part.substr(part.size() - 2))});
        if (days.size() > 400 || std::abs(days.back().ordinal) > 53) {
            throw not_a_rule(part);
        }
    });
    return days;
}

/// `20261130`, `20261130T220000`, `20261130T220000Z`
Recurrence::Until read_until(std::string_view text) {
    const auto digits = [&](std::size_t at, std::size_t count) {
        return read_number(text.substr(at, count), 4);
    };
    const bool is_date = text.size() == 8;
    const bool is_utc = text.size() == 16 && text.back() == 'Z';
    if (!is_date && !is_utc && text.size() != 15) {
        throw not_a_rule(text);
    }
    Recurrence::Until until{
        calendar_series::midnight_of(digits(0, 4), digits(4, 2), digits(6, 2)), is_date, is_utc};
    if (!is_date) {
        if (text[8] != 'T') {
            throw not_a_rule(text);
        }
        until.at += calendar_series::time_of_day(digits(9, 2), digits(11, 2), digits(13, 2));
    }
    return until;
}

Recurrence::By read_frequency(std::string_view text) {
    static constexpr std::array<std::string_view, 4> k_known{
        "DAILY", "WEEKLY", "MONTHLY", "YEARLY"};
    if (text == "HOURLY" || text == "MINUTELY" || text == "SECONDLY") {
        throw Error("its RRULE is by the hour, minute or second, which is not supported",
                    "Write DAILY with BYHOUR.");
    }
    const auto found = std::find(k_known.begin(), k_known.end(), text);
    if (found == k_known.end()) {
        throw not_a_rule(text);
    }
    return static_cast<Recurrence::By>(found - k_known.begin());
}

void read_part(Recurrence& rule, std::string_view name, std::string_view value) {
    if (name == "FREQ") {
        rule.by = read_frequency(value);
    } else if (name == "INTERVAL") {
        rule.interval = read_number(value, 4);
    } else if (name == "COUNT") {
        rule.count = static_cast<std::size_t>(read_number(value, 9));
    } else if (name == "UNTIL") {
        rule.until = read_until(value);
    } else if (name == "WKST") {
        rule.week_start = read_weekday(value);
    } else if (name == "BYDAY") {
        rule.weekdays = read_weekdays(value);
    } else if (name == "BYMONTH") {
        rule.months = read_list(value, 1, 12);
    } else if (name == "BYWEEKNO") {
        rule.week_numbers = read_list(value, -53, 53);
    } else if (name == "BYYEARDAY") {
        rule.year_days = read_list(value, -366, 366);
    } else if (name == "BYMONTHDAY") {
        rule.month_days = read_list(value, -31, 31);
    } else if (name == "BYHOUR") {
        rule.hours = read_list(value, 0, 23);
    } else if (name == "BYMINUTE") {
        rule.minutes = read_list(value, 0, 59);
    } else if (name == "BYSECOND") {
        rule.seconds = read_list(value, 0, 59);
    } else if (name == "BYSETPOS") {
        rule.positions = read_list(value, -366, 366);
    } else if (!name.starts_with("X-")) {
        throw Error("its RRULE has " + calendar_text(std::string(name)) +
                    ", which is not supported");
    }
}

/// RFC 5545, 3.3.10, where it says MUST NOT; and where programs differ in what they make of it.
const char* makes_no_sense(const Recurrence& rule) {
    using By = Recurrence::By;
    const bool has_ordinals =
        std::any_of(rule.weekdays.begin(), rule.weekdays.end(), [](const Recurrence::Weekday& day) {
            return day.ordinal != 0;
        });
    const bool has_days =
        !rule.weekdays.empty() || !rule.month_days.empty() || !rule.year_days.empty();
    const bool by_times = !rule.hours.empty() || !rule.minutes.empty() || !rule.seconds.empty();
    if (rule.count && rule.until) {
        return "COUNT and UNTIL together";
    }
    if (has_ordinals && (rule.by < By::month || !rule.week_numbers.empty())) {
        return "numbered BYDAY by the day or week, or with BYWEEKNO";
    }
    if (!rule.month_days.empty() && rule.by == By::week) {
        return "BYMONTHDAY by the week";
    }
    if (!rule.year_days.empty() && rule.by != By::year) {
        return "BYYEARDAY, but not by the year";
    }
    if (!rule.week_numbers.empty() && (rule.by != By::year || !has_days)) {
        return rule.by == By::year ? "BYWEEKNO without days" : "BYWEEKNO, but not by the year";
    }
    if (!rule.positions.empty() && !has_days && rule.months.empty() && !by_times) {
        return "BYSETPOS alone";
    }
    return nullptr;
}

}  // namespace

Recurrence parse_recurrence(std::string_view text) {
    Recurrence rule;
    std::set<std::string> seen;
    std::string capitals(text);
    for (char& c : capitals) {
        c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    for_each_part(capitals, ';', [&](std::string_view part) {
        const std::size_t equals = part.find('=');
        if (part.empty()) {
            return;  // programs end a rule with a semicolon
        }
        if (equals == std::string_view::npos ||
            !seen.insert(std::string(part.substr(0, equals))).second) {
            throw not_a_rule(part);
        }
        read_part(rule, part.substr(0, equals), part.substr(equals + 1));
    });
    if (!seen.contains("FREQ") || rule.interval == 0 || rule.count == std::size_t{0}) {
        throw not_a_rule(text);
    }
    if (const char* wrong = makes_no_sense(rule)) {
        throw Error(std::string("its RRULE has ") + wrong + ", which has no certain meaning");
    }
    const auto at_least_one = [](const std::set<int>& set) {
        return std::max<std::size_t>(set.size(), 1);
    };
    if (at_least_one(rule.hours) * at_least_one(rule.minutes) * at_least_one(rule.seconds) >
        k_most_times_of_day) {
        throw Error("its RRULE makes too many occurrences", "Let it name fewer times of a day.");
    }
    return rule;
}

}  // namespace lockstep
