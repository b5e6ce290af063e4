#include "engine/window/calendar_rules.hpp"

#include "engine/window/recurrence.hpp"

#include <algorithm>
#include <iterator>

namespace lockstep::calendar_series {

using std::chrono::days;
using std::chrono::local_seconds;
using std::chrono::seconds;
using Starts = std::vector<local_seconds>;

namespace {

/// Of rules, over all events of a file. A daily event of 50 years needs as many.
constexpr std::size_t k_most_occurrences = 20'000;
/// Looking for them, hits or not: at most about a second of work.
constexpr long long k_most_steps = 200'000;

/// What it costs to go through the periods of a rule.
long long cost_of(const Recurrence& rule, seconds length) {
    const auto [period, cost] = [&]() -> std::pair<days, long long> {
        switch (rule.by) {
            case Recurrence::By::day:
                return {days{1}, 1};
            case Recurrence::By::week:
                return {days{7}, 2};
            case Recurrence::By::month:
                return {days{28}, 5};
            case Recurrence::By::year:
                break;
        }
        return {days{365}, 20};
    }();
    const auto days_named = static_cast<long long>(rule.weekdays.size()) / 20 + 1;
    return cost * days_named * (std::max<long long>(length / (period * rule.interval), 0) + 1);
}

/// Whether an occurrence is after UNTIL.
bool is_after(const Moment& first,
              local_seconds at,
              const Recurrence::Until& until,
              CalendarUse use) {
    const bool opens = use == CalendarUse::opens;
    if (until.is_date) {
        return !first.is_date && opens ? at > until.at : at >= until.at + days{1};
    }
    const bool later = until.is_utc
                           ? first.instant_of(at).time_since_epoch() > until.at.time_since_epoch()
                           : at > until.at;
    if (!first.is_date) {
        return later;
    }
    const bool later_day = at > std::chrono::floor<days>(until.at);
    return opens ? later || later_day : later && later_day;
}

Starts walk(const Recurrence& rule,
            const Moment& first,
            local_seconds end,
            CalendarUse use,
            FirstWeek first_week,
            Budget& budget) {
    budget.charge_steps(cost_of(rule, end - first.local));
    Starts starts;
    for_each_start(rule, first.local, end, first.is_date, first_week, [&](local_seconds at) {
        if (starts.size() == rule.count || (rule.until && is_after(first, at, *rule.until, use))) {
            return false;
        }
        budget.charge_occurrence();
        starts.push_back(at);
        return true;
    });
    return starts;
}

}  // namespace

void Budget::charge_steps(long long steps) {
    steps_ += steps;
    if (steps_ > k_most_steps) {
        throw Error("its RRULE reaches back too far", "Let it begin later.");
    }
}

void Budget::charge_occurrence() {
    if (++occurrences_ > k_most_occurrences) {
        throw Error("its RRULE makes too many occurrences", "Let it begin later.");
    }
}

Starts starts_of_rule(const std::string& rule_text,
                      const Moment& first,
                      local_seconds end,
                      CalendarUse use,
                      Budget& budget) {
    const Recurrence rule = parse_recurrence(rule_text);
    if (first.local >= end) {
        return {};
    }
    Starts starts = walk(rule, first, end, use, FirstWeek::whole, budget);
    const bool by_place = rule.by == Recurrence::By::week && !rule.positions.empty();
    Starts others = by_place ? walk(rule, first, end, use, FirstWeek::from_start, budget) : starts;
    const auto begins = [&](const Starts& some) {
        return !some.empty() && some.front() == first.local;
    };
    // RFC 5545, 3.8.5.3: COUNT counts DTSTART, and a DTSTART that does not fit is left open.
    if (use == CalendarUse::opens && !begins(starts) && !begins(others)) {
        for (Starts* some : {&starts, &others}) {
            some->resize(some->size() - (some->size() == rule.count ? 1 : 0));
        }
    }
    Starts result;
    const auto combine = [&](auto how) {
        how(starts.begin(), starts.end(), others.begin(), others.end(), std::back_inserter(result));
    };
    if (use == CalendarUse::opens) {
        combine([](auto... at) { std::set_intersection(at...); });
    } else {
        combine([](auto... at) { std::set_union(at...); });
    }
    return result;
}

Starts starts_of(const std::vector<std::string>& rules,
                 const Moment& first,
                 local_seconds end,
                 CalendarUse use,
                 Budget& budget) {
    Starts all;
    if (rules.empty() || (use == CalendarUse::closes && first.local < end)) {
        all.push_back(first.local);
    }
    for (const std::string& rule : rules) {
        const Starts starts = starts_of_rule(rule, first, end, use, budget);
        all.insert(all.end(), starts.begin(), starts.end());
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

}  // namespace lockstep::calendar_series
