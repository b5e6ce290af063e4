#include "engine/window/recurrence.hpp"

#include <algorithm>

namespace lockstep {

using std::chrono::days;
using std::chrono::local_days;
using std::chrono::local_seconds;
using std::chrono::month;
using std::chrono::months;
using std::chrono::weekday;
using std::chrono::year;
using std::chrono::year_month_day;
using By = Recurrence::By;

namespace {

/// [from, to)
struct Days {
    local_days from, to;

    [[nodiscard]] int size() const { return static_cast<int>((to - from).count()); }
};

Days year_of(year y) {
    return {local_days{y / 1 / 1}, local_days{(y + std::chrono::years{1}) / 1 / 1}};
}

Days month_of(year_month_day date) {
    const auto of = date.year() / date.month();
    return {local_days{of / 1}, local_days{(of + months{1}) / 1}};
}

/// Number one is the first with four days in the year.
local_days first_week_of(year y, weekday week_start) {
    const local_days fourth{y / 1 / 4};
    return fourth - (weekday(fourth) - week_start);
}

/// Whether a list has a place in a row of `size`, counted from its begin or from its end.
bool has_place(const std::set<int>& list, int number, int size) {
    return list.empty() || list.contains(number) || list.contains(number - size - 1);
}

/// Of the week's year, which is another than the day's around the turn of years.
bool fits_week_number(const Recurrence& rule, local_days day, year y) {
    local_days begin = first_week_of(y, rule.week_start);
    local_days next = first_week_of(y + std::chrono::years{1}, rule.week_start);
    if (day >= next) {
        begin = next;
        next = first_week_of(y + std::chrono::years{2}, rule.week_start);
    } else if (day < begin) {
        next = begin;
        begin = first_week_of(y - std::chrono::years{1}, rule.week_start);
    }
    return has_place(rule.week_numbers,
                     static_cast<int>((day - begin).count() / 7) + 1,
                     static_cast<int>((next - begin).count() / 7));
}

bool fits_weekday(const Recurrence& rule, local_days day, const Days& in) {
    return rule.weekdays.empty() ||
           std::any_of(
               rule.weekdays.begin(), rule.weekdays.end(), [&](const Recurrence::Weekday& wanted) {
                   return weekday(day) == wanted.day &&
                          (wanted.ordinal == 0 ||
                           wanted.ordinal == (day - in.from).count() / 7 + 1 ||
                           wanted.ordinal == -((in.to - day).count() - 1) / 7 - 1);
               });
}

bool fits(const Recurrence& rule, local_days day) {
    const year_month_day date(day);
    if (!rule.months.empty() &&
        !rule.months.contains(static_cast<int>(static_cast<unsigned>(date.month())))) {
        return false;
    }
    const Days of_month = month_of(date);
    const Days of_year = year_of(date.year());
    // RFC 5545: by the year BYDAY counts in the year, with BYMONTH in the month.
    const bool in_year = rule.by == By::year && rule.months.empty();
    return has_place(rule.month_days,
                     static_cast<int>(static_cast<unsigned>(date.day())),
                     of_month.size()) &&
           has_place(rule.year_days,
                     static_cast<int>((day - of_year.from).count()) + 1,
                     of_year.size()) &&
           (rule.week_numbers.empty() || fits_week_number(rule, day, date.year())) &&
           fits_weekday(rule, day, in_year ? of_year : of_month);
}

/// With what the rule leaves to its DTSTART.
Recurrence completed(Recurrence rule, local_seconds first) {
    const auto day = std::chrono::floor<days>(first);
    const year_month_day date(day);
    if (!rule.weekdays.empty() || !rule.month_days.empty() || !rule.year_days.empty() ||
        !rule.week_numbers.empty() || rule.by == By::day) {
        return rule;
    }
    if (rule.by == By::week) {
        rule.weekdays = {{0, weekday(day)}};
        return rule;
    }
    rule.month_days = {static_cast<int>(static_cast<unsigned>(date.day()))};
    if (rule.by == By::year && rule.months.empty()) {
        rule.months = {static_cast<int>(static_cast<unsigned>(date.month()))};
    }
    return rule;
}

/// By time.
std::vector<std::chrono::seconds> times_of_day(const Recurrence& rule, local_seconds first) {
    const std::chrono::hh_mm_ss clock(first - std::chrono::floor<days>(first));
    const auto or_first = [](const std::set<int>& list, auto of_first) {
        return list.empty() ? std::set<int>{static_cast<int>(of_first.count())} : list;
    };
    std::vector<std::chrono::seconds> times;
    for (const int hour : or_first(rule.hours, clock.hours())) {
        for (const int minute : or_first(rule.minutes, clock.minutes())) {
            for (const int second : or_first(rule.seconds, clock.seconds())) {
                times.push_back(std::chrono::hours{hour} + std::chrono::minutes{minute} +
                                std::chrono::seconds{second});
            }
        }
    }
    return times;
}

/// The one that `day` is in.
Days period_of(const Recurrence& rule, local_days day) {
    switch (rule.by) {
        case By::day:
            return {day, day + days{1}};
        case By::week: {
            const local_days begin = day - (weekday(day) - rule.week_start);
            return {begin, begin + days{7}};
        }
        case By::month:
            return month_of(year_month_day(day));
        case By::year:
            break;
    }
    return year_of(year_month_day(day).year());
}

Days next_period(const Recurrence& rule, const Days& period) {
    const year_month_day begin(period.from);
    switch (rule.by) {
        case By::day:
            return period_of(rule, period.from + days{rule.interval});
        case By::week:
            return period_of(rule, period.from + days{7 * rule.interval});
        case By::month:
            return month_of(begin + months{rule.interval});
        case By::year:
            break;
    }
    return year_of(begin.year() + std::chrono::years{rule.interval});
}

/// Which of `size` BYSETPOS means.
std::set<std::size_t> places_of(const std::set<int>& positions, std::size_t size) {
    std::set<std::size_t> places;
    for (const int position : positions) {
        const auto back = static_cast<std::size_t>(std::abs(position));
        if (back <= size) {
            places.insert(position > 0 ? back - 1 : size - back);
        }
    }
    return places;
}

}  // namespace

void for_each_start(const Recurrence& written,
                    local_seconds first,
                    local_seconds end,
                    bool by_date,
                    FirstWeek first_week,
                    const std::function<bool(local_seconds)>& take) {
    const Recurrence rule = completed(written, first);
    const auto times = by_date ? std::vector{std::chrono::seconds{0}} : times_of_day(rule, first);
    const local_days first_day = std::chrono::floor<days>(first);
    std::vector<local_days> set;
    for (Days period = period_of(rule, first_day); period.from < end;
         period = next_period(rule, period)) {
        const bool begins_late = rule.by == By::week && first_week == FirstWeek::from_start;
        set.clear();
        for (local_days day = begins_late ? std::max(period.from, first_day) : period.from;
             day < period.to;
             day += days{1}) {
            if (fits(rule, day)) {
                set.push_back(day);
            }
        }
        const std::size_t size = set.size() * times.size();
        const auto goes_on = [&](std::size_t place) {
            const local_seconds at = set[place / times.size()] + times[place % times.size()];
            return at < first || (at < end && take(at));
        };
        for (std::size_t place = 0; rule.positions.empty() && place < size; ++place) {
            if (!goes_on(place)) {
                return;
            }
        }
        for (const std::size_t place : places_of(rule.positions, size)) {
            if (!goes_on(place)) {
                return;
            }
        }
    }
}

}  // namespace lockstep
