#include "engine/window/calendar_series.hpp"

#include <map>
#include <set>

namespace lockstep::calendar_series {

using std::chrono::days;
using std::chrono::local_seconds;
using std::chrono::seconds;
using std::chrono::sys_seconds;

namespace {

/// The occurrences of a series that have an event of their own, or are cancelled.
struct Replaced {
    std::set<sys_seconds> starts;
    bool by_date = false;
    bool by_time = false;
};

/// By UID.
std::map<std::string, Replaced> replaced_in(const std::vector<Event>& events) {
    std::map<std::string, Replaced> replaced;
    for (const Event& event : events) {
        if (event.replaces) {
            Replaced& of_series = replaced[event.uid];
            of_series.starts.insert(event.replaces->instant());
            (event.replaces->is_date ? of_series.by_date : of_series.by_time) = true;
        }
    }
    return replaced;
}

/// The UIDs of what is cancelled altogether.
std::set<std::string> cancelled_in(const std::vector<Event>& events) {
    std::set<std::string> seen;
    std::set<std::string> cancelled;
    for (const Event& event : events) {
        if (event.replaces || event.uid.empty()) {
            continue;
        }
        if (!seen.insert(event.uid).second) {
            throw Error("two events have the UID \"" + event.uid + "\"");
        }
        if (event.cancelled) {
            cancelled.insert(event.uid);
        }
    }
    return cancelled;
}

void add(const Event& event,
         const Replaced& replaced,
         Span wanted,
         std::vector<CalendarEvent>& found) {
    if (event.replaces && event.several) {
        throw Error("it replaces one occurrence by several");
    }
    if (event.start.is_date ? replaced.by_time : replaced.by_date) {
        throw Error("of DTSTART and RECURRENCE-ID one is a date and the other is not");
    }
    std::set<sys_seconds> gone = replaced.starts;
    for (const Moment& moment : event.excluded) {
        if (moment.is_date != event.start.is_date) {
            throw Error("of DTSTART and EXDATE one is a date and the other is not");
        }
        gone.insert(moment.instant());
    }
    for (const Span& span : event.spans) {
        // Empty is a day that a zone left out: Apia's 30 December 2011.
        const bool touches = span.from < span.to && span.from < wanted.to && span.to > wanted.from;
        if (touches && !gone.contains(span.from)) {
            found.push_back({span, event.summary});
        }
    }
}

}  // namespace

sys_seconds Moment::instant_of(local_seconds at) const {
    // A day that clocks begin late begins when they do; of a time of day RFC 5545 (3.3.5) says
    // more.
    return zone->instant(
        at,
        TimeZone::Twice::first,
        is_date ? TimeZone::Skipped::moment_of_change : TimeZone::Skipped::as_before);
}

Span Length::from(const Moment& start, local_seconds at) const {
    const sys_seconds begin = start.instant_of(at);
    return {begin, (nominal.count() == 0 ? begin : start.instant_of(at + nominal)) + exact};
}

local_seconds midnight_of(int year, int month, int day) {
    const std::chrono::year_month_day date{std::chrono::year{year},
                                           std::chrono::month{static_cast<unsigned>(month)},
                                           std::chrono::day{static_cast<unsigned>(day)}};
    // Of more than a byte chrono keeps some of the bits.
    if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 || day > 31 || !date.ok()) {
        throw Error("there is a date that does not exist");
    }
    return std::chrono::local_days{date};
}

seconds time_of_day(int hour, int minute, int second) {
    // 60: a leap second.
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) {
        throw Error("there is a time that does not exist");
    }
    return std::chrono::hours{hour} + std::chrono::minutes{minute} + seconds{second};
}

Length checked_length(const Moment& start, const Length& length) {
    if (start.is_date && length.exact != seconds{0}) {
        throw Error("it begins on a date and does not last whole days");
    }
    if (length.nominal + length.exact <= seconds{0}) {
        throw Error("it has no length", "Give it DTEND after DTSTART, or DURATION.");
    }
    return length;
}

Length length_to(const Moment& start, const Moment& end) {
    if (end.is_date != start.is_date) {
        throw Error("of DTSTART and DTEND one is a date and the other is not");
    }
    return checked_length(
        start,
        end.is_date ? Length{std::chrono::floor<days>(end.local - start.local), seconds{0}}
                    : Length{days{0}, end.instant() - start.instant()});
}

std::vector<CalendarEvent> occurrences(const std::vector<Event>& events, Span wanted) {
    const std::set<std::string> cancelled = cancelled_in(events);
    const std::map<std::string, Replaced> replaced = replaced_in(events);
    std::vector<CalendarEvent> found;
    for (const Event& event : events) {
        if (event.cancelled || cancelled.contains(event.uid)) {
            continue;
        }
        const auto of_series = event.replaces ? replaced.end() : replaced.find(event.uid);
        named(event, [&] {
            add(event, of_series == replaced.end() ? Replaced{} : of_series->second, wanted, found);
        });
    }
    return found;
}

}  // namespace lockstep::calendar_series
