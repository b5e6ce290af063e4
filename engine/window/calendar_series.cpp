#include "engine/window/calendar_series.hpp"

#include "engine/window/calendar_text.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace lockstep::calendar_series {

using std::chrono::days;
using std::chrono::local_seconds;
using std::chrono::seconds;
using std::chrono::sys_seconds;

namespace {

constexpr std::size_t k_most_left_out = 1000;

/// What other events of its UID make of a series.
struct Series {
    std::set<sys_seconds> replaced;  ///< starts of occurrences with an event of their own
    /// RANGE=THISANDFUTURE, by the time from which on they count.
    std::map<sys_seconds, const Event*> from_here_on;
    bool by_date = false;
    bool by_time = false;
    bool cancelled = false;  ///< altogether
};

bool same_times(const Event& a, const Event& b) {
    return a.cancelled == b.cancelled && a.start.instant() == b.start.instant() &&
           a.start.is_date == b.start.is_date && a.spans == b.spans && a.excluded == b.excluded;
}

bool is_empty(const Event& event) {
    return event.length.nominal + event.length.exact == seconds{0} &&
           std::all_of(event.spans.begin(), event.spans.end(), [](const Span& span) {
               return span.from >= span.to;
           });
}

/// What tells an event, or the occurrence that it is about, from all others.
struct Identity {
    std::string uid;
    bool replaces, replaces_rest;
    sys_seconds at;

    auto operator<=>(const Identity&) const =
        default;  // NOLINT(modernize-use-nullptr): a slip of 14
};

/// Of several of one UID, or of one occurrence, the newest (RFC 5546, 2.1.5). An event without a
/// UID is like no other.
std::vector<const Event*> newest_of(const std::vector<Event>& events, CalendarReading& reading) {
    std::map<Identity, const Event*> newest;
    std::vector<const Event*> without_uid;
    const auto age = [](const Event& event) { return std::tie(event.sequence, event.stamp); };
    for (const Event& event : events) {
        if (event.uid.empty()) {
            without_uid.push_back(&event);
            continue;
        }
        const Identity identity{event.uid,
                                event.replaces.has_value(),
                                event.replaces_rest,
                                event.replaces ? event.replaces->instant() : sys_seconds{}};
        const Event*& known = newest.try_emplace(identity, &event).first->second;
        if (known == &event) {
            continue;
        }
        if (age(event) == age(*known) && !same_times(event, *known)) {
            throw Error(
                "two events have the UID \"" + calendar_text(event.uid) + "\", and none is newer",
                "The one with the higher SEQUENCE counts, or the later DTSTAMP.");
        }
        const bool newer = age(event) > age(*known);
        leave_out(reading,
                  (newer ? *known : event).name(),
                  event.replaces ? "another one of this UID for the same occurrence counts"
                                 : "another one of this UID counts");
        known = newer ? &event : known;
    }
    for (const auto& [identity, event] : newest) {
        without_uid.push_back(event);
    }
    return without_uid;
}

/// By UID.
std::map<std::string, Series> series_of(const std::vector<const Event*>& events) {
    std::map<std::string, Series> all;
    for (const Event* event : events) {
        if (event->replaces && event->uid.empty()) {
            named(*event, [] { throw Error("it has RECURRENCE-ID and no UID"); });
        }
        if (event->uid.empty()) {
            continue;
        }
        Series& series = all[event->uid];
        if (!event->replaces) {
            series.cancelled = event->cancelled;
            continue;
        }
        (event->replaces->is_date ? series.by_date : series.by_time) = true;
        if (event->replaces_rest) {
            series.from_here_on.emplace(event->replaces->instant(), event);
        } else {
            series.replaced.insert(event->replaces->instant());
        }
    }
    return all;
}

/// An occurrence as the last change before it that goes for all that follow has it: as far from its
/// time, by the clocks there, as the changed occurrence is from its own.
CalendarEvent changed(const Event& master, const Span& span, const Series& series) {
    const auto after = series.from_here_on.upper_bound(span.from);
    if (after == series.from_here_on.begin()) {
        return {span, master.summary};
    }
    const auto& [from, change] = *std::prev(after);
    if (change->cancelled) {
        return {{span.from, span.from}, ""};
    }
    const TimeZone& zone = *change->start.zone;
    const seconds moved = change->start.local - zone.local(from);
    if (abs(moved) > k_farthest_move) {
        throw Error("it moves all that follow by more than a month, which is not supported",
                    "Write the changed series as an event of its own.");
    }
    return {change->length.from(change->start, zone.local(span.from) + moved), change->summary};
}

void add(const Event& event, const Series& series, Span wanted, CalendarReading& reading) {
    if (event.replaces && event.several) {
        throw Error("it replaces occurrences by a series of its own");
    }
    if (!event.replaces && (event.start.is_date ? series.by_time : series.by_date)) {
        throw Error("of DTSTART and RECURRENCE-ID one is a date and the other is not");
    }
    for (const Span& span : event.spans) {
        if (event.excluded.contains(span.from) ||
            (!event.replaces && series.replaced.contains(span.from))) {
            continue;
        }
        const CalendarEvent found =
            event.replaces ? CalendarEvent{span, event.summary} : changed(event, span, series);
        // Empty is also a day that a zone left out: Apia's 30 December 2011.
        if (found.span.from < found.span.to && found.span.from < wanted.to &&
            found.span.to > wanted.from) {
            reading.events.push_back(found);
        }
    }
}

}  // namespace

void leave_out(CalendarReading& reading, std::string what, std::string why) {
    if (reading.left_out.size() < k_most_left_out) {
        reading.left_out.push_back({std::move(what), std::move(why)});
    }
}

std::string Event::name() const {
    const std::string& text = summary.empty() ? calendar_text(uid) : summary;
    return text.empty() ? "an event without a name" : "event \"" + text + "\"";
}

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

Length checked_length(const Moment& start, const Length& length, CalendarUse use) {
    if (start.is_date && length.exact != seconds{0}) {
        throw Error("it begins on a date and does not last whole days");
    }
    if (length.nominal + length.exact < seconds{0}) {
        throw Error("it ends before it begins");
    }
    const bool is_empty = length.nominal + length.exact == seconds{0};
    return is_empty && start.is_date && use == CalendarUse::closes ? Length{days{1}, seconds{0}}
                                                                   : length;
}

Length length_to(const Moment& start, const Moment& end, CalendarUse use) {
    if (end.is_date != start.is_date) {
        throw Error("of DTSTART and DTEND one is a date and the other is not");
    }
    return checked_length(
        start,
        end.is_date ? Length{std::chrono::floor<days>(end.local - start.local), seconds{0}}
                    : Length{days{0}, end.instant() - start.instant()},
        use);
}

std::size_t add_occurrences(const std::vector<Event>& events,
                            Span wanted,
                            CalendarReading& reading) {
    const std::vector<const Event*> counted = newest_of(events, reading);
    const std::map<std::string, Series> all = series_of(counted);
    const Series none;
    std::size_t empty = 0;
    for (const Event* event : counted) {
        const auto found = all.find(event->uid);
        const Series& series = found == all.end() ? none : found->second;
        if (event->cancelled || series.cancelled) {
            leave_out(reading, event->name(), "it is cancelled");
        } else if (event->replaces_rest && series.replaced.contains(event->replaces->instant())) {
            continue;  // that occurrence has an event of its own
        } else if (is_empty(*event) && (event->replaces || series.from_here_on.empty())) {
            leave_out(reading, event->name(), "it has no length");
            ++empty;
        } else {
            named(*event, [&] { add(*event, series, wanted, reading); });
        }
    }
    return empty;
}

void add_busy(Busy busy, Span wanted, CalendarReading& reading) {
    if (busy.published.empty()) {
        return;
    }
    const Span whole{wanted.from - days{1}, wanted.to + days{1}};
    for (const Span& span : without({whole}, merged(std::move(busy.published)))) {
        busy.periods.push_back({span, "no busy times are published for it"});
    }
    for (const CalendarEvent& period : busy.periods) {
        if (period.span.from < wanted.to && period.span.to > wanted.from) {
            reading.events.push_back(period);
        }
    }
}

}  // namespace lockstep::calendar_series
