#include "engine/window/calendar_series.hpp"

#include <map>
#include <set>

namespace lockstep::calendar_series {

using std::chrono::local_seconds;
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
