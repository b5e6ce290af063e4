#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

namespace lockstep {

/// A rule of RFC 5545 (3.3.10) by the day, week, month or year. A list without entries is a part
/// that the rule does not have. libical 3.0 is not asked: it knows BYSETPOS by month and year only,
/// miscounts it with several times of day, and drops negative days of the month by day.
struct Recurrence {
    enum class By { day, week, month, year };

    /// When a series ends, that moment being part of it.
    struct Until {
        std::chrono::local_seconds at;
        bool is_date = false;
        bool is_utc = false;
    };

    struct Weekday {
        int ordinal = 0;  ///< of the month or year, negative from its end; 0: each
        std::chrono::weekday day;
    };

    By by = By::day;
    int interval = 1;
    std::optional<std::size_t> count;
    std::optional<Until> until;
    std::chrono::weekday week_start = std::chrono::Monday;
    std::set<int> months, week_numbers, year_days, month_days, hours, minutes, seconds, positions;
    std::vector<Weekday> weekdays;
};

/// Which days the first week of a rule by the week has, where BYSETPOS counts in it: the standard
/// does not say, and programs differ.
enum class FirstWeek { whole, from_start };

/// Throws Error for what is no rule, and for what the standard leaves open or forbids: rules by the
/// hour, minute or second, RSCALE, parts that are not known, given twice or without a meaning
/// beside the others, COUNT with UNTIL, BYWEEKNO without days, and more than 1440 times in a day.
[[nodiscard]] Recurrence parse_recurrence(std::string_view text);

/// Gives `take` the times of a rule from `first` (DTSTART) on and before `end`, by time, until it
/// says false. COUNT and UNTIL are for `take` to mind; `first` is among them only if it fits.
void for_each_start(const Recurrence& written,
                    std::chrono::local_seconds first,
                    std::chrono::local_seconds end,
                    bool by_date,  ///< times of day do not count
                    FirstWeek first_week,
                    const std::function<bool(std::chrono::local_seconds)>& take);

}  // namespace lockstep
