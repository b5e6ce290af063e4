#pragma once

#include "engine/window/calendar_series.hpp"

#include <string>
#include <vector>

/// The times that the rules of an event come to, by what the calendar is for.
namespace lockstep::calendar_series {

/// What the rules of a file may cost together, whatever it says.
class Budget {
  public:
    /// Throws Error once it is used up.
    void charge_steps(long long steps);
    void charge_occurrence();

  private:
    long long steps_ = 0;
    std::size_t occurrences_ = 0;
};

/// The starts before `end` of an event with these rules (RRULE; several are put together), by time.
/// Without a rule it is `first` alone. Throws Error for what parse_recurrence() refuses.
///
/// Where the standard does not say what is meant, `use` decides: a time is in or out as less is
/// open then. It does so for a DTSTART that its rule does not meet (and whether COUNT counts it),
/// an UNTIL that is a date where DTSTART is a time or the other way round, and BYSETPOS in the
/// first week of a rule by the week.
[[nodiscard]] std::vector<std::chrono::local_seconds> starts_of(
    const std::vector<std::string>& rules,
    const Moment& first,
    std::chrono::local_seconds end,
    CalendarUse use,
    Budget& budget);

/// The times of one rule as they are, before `end`: `first` is not among them unless it fits.
[[nodiscard]] std::vector<std::chrono::local_seconds> starts_of_rule(const std::string& rule_text,
                                                                     const Moment& first,
                                                                     std::chrono::local_seconds end,
                                                                     CalendarUse use,
                                                                     Budget& budget);

}  // namespace lockstep::calendar_series
