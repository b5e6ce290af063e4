#include "engine/window/calendar.hpp"

#include "engine/window/calendar_series.hpp"
#include "engine/window/calendar_text.hpp"

#include <libical/ical.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

// libical takes files apart and walks through rules, both in local times that it knows no zone of.
// What instant a local time is, TimeZone says: libical 3.0's own zones are found by names that it
// makes paths of, and they approximate the files of tzdata by yearly rules.
namespace lockstep {

using calendar_series::Event;
using calendar_series::Length;
using calendar_series::Moment;
using std::chrono::days;
using std::chrono::local_seconds;
using std::chrono::seconds;
using std::chrono::sys_seconds;

namespace {

/// Of rules, over all events of a file. A daily event of 50 years needs as many.
constexpr std::size_t k_most_occurrences = 20'000;
/// What libical does to find them, hits or not: about a second of work.
constexpr long long k_most_steps = 200'000;
constexpr std::size_t k_most_zones = 50;

struct FreeComponent {
    void operator()(icalcomponent* component) const { icalcomponent_free(component); }
};

struct FreeIterator {
    void operator()(icalrecur_iterator* iterator) const { icalrecur_iterator_free(iterator); }
};

local_seconds local_of(const icaltimetype& time) {
    const local_seconds midnight = calendar_series::midnight_of(time.year, time.month, time.day);
    return time.is_date != 0
               ? midnight
               : midnight + calendar_series::time_of_day(time.hour, time.minute, time.second);
}

icaltimetype time_of(local_seconds local, bool is_date) {
    const auto day = floor<days>(local);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(local - day);
    icaltimetype time = icaltime_null_time();
    time.year = static_cast<int>(date.year());
    time.month = static_cast<int>(static_cast<unsigned>(date.month()));
    time.day = static_cast<int>(static_cast<unsigned>(date.day()));
    time.is_date = is_date ? 1 : 0;
    if (!is_date) {
        time.hour = static_cast<int>(clock.hours().count());
        time.minute = static_cast<int>(clock.minutes().count());
        time.second = static_cast<int>(clock.seconds().count());
    }
    return time;
}

/// How long a step of a rule is, at least, and what it costs.
struct Step {
    days length;
    long long cost;
};

/// Throws Error for what is not supported.
Step step_of(const icalrecurrencetype& rule) {
    if (rule.rscale != nullptr || rule.interval < 1) {
        throw Error("its RRULE has RSCALE, or no INTERVAL, which is not supported");
    }
    switch (rule.freq) {
        case ICAL_DAILY_RECURRENCE:
            return {days{rule.interval}, 1};
        case ICAL_WEEKLY_RECURRENCE:
            return {days{7 * rule.interval}, 2};
        case ICAL_MONTHLY_RECURRENCE:
            return {days{28 * rule.interval}, 5};
        case ICAL_YEARLY_RECURRENCE:
            return {days{365 * rule.interval}, 20};
        default:
            throw Error("its RRULE is by the hour, minute or second, which is not supported",
                        "Write DAILY with BYHOUR.");
    }
}

/// Whether an occurrence is after UNTIL, which is a date, a local time or one of UTC.
bool is_after(const Moment& first, local_seconds at, const icaltimetype& until) {
    if (icaltime_is_null_time(until) != 0) {
        return false;
    }
    const local_seconds last = local_of(until);
    if (until.is_date != 0) {
        return at >= last + days{1};
    }
    return icaltime_is_utc(until) != 0
               ? first.instant_of(at).time_since_epoch() > last.time_since_epoch()
               : at > last;
}

Length length_of(const icaldurationtype& duration) {
    if (duration.is_neg != 0 || duration.days > 100'000 || duration.weeks > 10'000 ||
        duration.hours > 1'000'000 || duration.minutes > 100'000'000) {
        throw Error("its length makes no sense");
    }
    return {days{duration.days} + days{7 * duration.weeks},
            std::chrono::hours{duration.hours} + std::chrono::minutes{duration.minutes} +
                seconds{duration.seconds}};
}

icalproperty* first_of(icalcomponent* component, icalproperty_kind kind) {
    return icalcomponent_get_first_property(component, kind);
}

int count_of(icalcomponent* component, icalproperty_kind kind) {
    return icalcomponent_count_properties(component, kind);
}

std::string text_of(icalcomponent* component, icalproperty_kind kind) {
    icalproperty* property = first_of(component, kind);
    const char* text =
        property == nullptr ? nullptr : icalvalue_get_text(icalproperty_get_value(property));
    return text == nullptr ? "" : text;
}

/// Other words may be misspelt ones (CANCELED).
bool is_cancelled(icalcomponent* event) {
    icalproperty* property = first_of(event, ICAL_STATUS_PROPERTY);
    const icalproperty_status status =
        property == nullptr ? ICAL_STATUS_CONFIRMED : icalproperty_get_status(property);
    if (status != ICAL_STATUS_CONFIRMED && status != ICAL_STATUS_TENTATIVE &&
        status != ICAL_STATUS_CANCELLED) {
        throw Error("its STATUS is not CONFIRMED, TENTATIVE or CANCELLED");
    }
    return status == ICAL_STATUS_CANCELLED;
}

template <class Act>
void for_each_property(icalcomponent* component, icalproperty_kind kind, Act act) {
    for (icalproperty* property = first_of(component, kind); property != nullptr;
         property = icalcomponent_get_next_property(component, kind)) {
        act(property);
    }
}

template <class Act>
void for_each_component(icalcomponent* parent, icalcomponent_kind kind, Act act) {
    for (icalcompiter at = icalcomponent_begin_component(parent, kind);
         icalcompiter_deref(&at) != nullptr;
         icalcompiter_next(&at)) {
        act(icalcompiter_deref(&at));
    }
}

/// libical puts what it could not read aside and goes on.
void refuse_errors(icalcomponent* component) {
    if (icalproperty* property = first_of(component, ICAL_XLICERROR_PROPERTY)) {
        const char* text = icalproperty_get_xlicerror(property);
        throw Error("cannot be understood" +
                    (text == nullptr ? "" : ": " + calendar_text(text, 200)));
    }
    for_each_component(component, ICAL_ANY_COMPONENT, refuse_errors);
}

/// A file, taken apart.
class Calendar {
  public:
    Calendar(const std::string& text, const TimeZone& zone, Span wanted)
        : zone_(zone), wanted_(wanted), root_(icalparser_parse_string(text.c_str())) {
        if (!root_ || icalcomponent_isa(root_.get()) != ICAL_VCALENDAR_COMPONENT) {
            throw Error("is no iCalendar file");
        }
        refuse_errors(root_.get());
        icalproperty* method = first_of(root_.get(), ICAL_METHOD_PROPERTY);
        if (method != nullptr && icalproperty_get_method(method) == ICAL_METHOD_CANCEL) {
            throw Error("takes back events (METHOD:CANCEL) instead of naming them");
        }
    }

    /// What they point to lives as long as this.
    std::vector<Event> events() {
        std::vector<Event> all;
        for_each_component(root_.get(), ICAL_VEVENT_COMPONENT, [&](icalcomponent* component) {
            Event event{.uid = calendar_text(text_of(component, ICAL_UID_PROPERTY)),
                        .summary = calendar_text(text_of(component, ICAL_SUMMARY_PROPERTY))};
            named(event, [&] { read_event(component, event); });
            all.push_back(std::move(event));
        });
        return all;
    }

  private:
    void read_event(icalcomponent* component, Event& event) {
        event.cancelled = is_cancelled(component);
        event.several = count_of(component, ICAL_RRULE_PROPERTY) > 0 ||
                        count_of(component, ICAL_RDATE_PROPERTY) > 0;
        icalproperty* start = first_of(component, ICAL_DTSTART_PROPERTY);
        if (count_of(component, ICAL_DTSTART_PROPERTY) != 1) {
            throw Error("it needs one DTSTART");
        }
        event.start = read_moment(start, icalproperty_get_dtstart(start));
        if (icalproperty* id = first_of(component, ICAL_RECURRENCEID_PROPERTY)) {
            if (icalproperty_get_first_parameter(id, ICAL_RANGE_PARAMETER) != nullptr) {
                throw Error(
                    "it changes all occurrences from one on (RANGE), which is not supported",
                    "Write the changed series as an event of its own.");
            }
            event.replaces = read_moment(id, icalproperty_get_recurrenceid(id));
        }
        if (!event.cancelled) {
            event.length = read_length(component, event.start);
            read_occurrences(component, event);
        }
    }

    void read_occurrences(icalcomponent* component, Event& event) {
        for (const local_seconds at : starts_of(component, event.start, true)) {
            event.spans.push_back(event.length.from(event.start, at));
        }
        for_each_property(component, ICAL_RDATE_PROPERTY, [&](icalproperty* property) {
            event.spans.push_back(read_rdate(event, property));
        });
        for_each_property(component, ICAL_EXDATE_PROPERTY, [&](icalproperty* property) {
            event.excluded.push_back(read_moment(property, icalproperty_get_exdate(property)));
        });
    }

    Length read_length(icalcomponent* component, const Moment& start) {
        icalproperty* end = first_of(component, ICAL_DTEND_PROPERTY);
        icalproperty* duration = first_of(component, ICAL_DURATION_PROPERTY);
        if (count_of(component, ICAL_DTEND_PROPERTY) + count_of(component, ICAL_DURATION_PROPERTY) >
            1) {
            throw Error("it has more than one DTEND or DURATION");
        }
        if (end != nullptr) {
            return length_to(start, read_moment(end, icalproperty_get_dtend(end)));
        }
        return duration != nullptr
                   ? checked_length(start, length_of(icalproperty_get_duration(duration)))
                   : checked_length(start, Length{days{start.is_date ? 1 : 0}, seconds{0}});
    }

    Span read_rdate(const Event& event, icalproperty* property) {
        const icaldatetimeperiodtype value = icalproperty_get_rdate(property);
        if (icalperiodtype_is_null_period(value.period) != 0) {
            const Moment moment = read_moment(property, value.time);
            if (moment.is_date != event.start.is_date) {
                throw Error("of DTSTART and RDATE one is a date and the other is not");
            }
            return event.length.from(moment, moment.local);
        }
        const Moment from = read_moment(property, value.period.start);
        const Span span =
            icaltime_is_null_time(value.period.end) == 0
                ? Span{from.instant(), read_moment(property, value.period.end).instant()}
                : length_of(value.period.duration).from(from, from.local);
        if (span.from >= span.to) {
            throw Error("a period of its RDATE ends before it begins");
        }
        return span;
    }

    Moment read_moment(icalproperty* property, const icaltimetype& time) {
        Moment moment{local_of(time), time.is_date != 0, &zone_};
        icalparameter* parameter = icalproperty_get_first_parameter(property, ICAL_TZID_PARAMETER);
        const char* name = parameter == nullptr ? nullptr : icalparameter_get_tzid(parameter);
        if (icaltime_is_utc(time) != 0) {
            moment.zone = &utc_;
        } else if (name != nullptr && !moment.is_date) {
            moment.zone = &zone_named(name);
        }
        return moment;
    }

    const TimeZone& zone_named(const std::string& name) {
        const auto known = zones_.find(name);
        if (known != zones_.end()) {
            return known->second;
        }
        if (zones_.size() >= k_most_zones) {
            throw Error("it is of one time zone too many");
        }
        try {
            return zones_.emplace(name, load_time_zone(name)).first->second;
        } catch (const Error&) {
            // By a name of its own then, as programs for Windows have them.
        }
        for_each_component(root_.get(), ICAL_VTIMEZONE_COMPONENT, [&](icalcomponent* component) {
            if (text_of(component, ICAL_TZID_PROPERTY) == name && !zones_.contains(name)) {
                zones_.emplace(name, read_zone(component, calendar_text(name)));
            }
        });
        if (!zones_.contains(name)) {
            throw Error("TZID \"" + calendar_text(name) +
                        "\" is no IANA name, and the file has no VTIMEZONE of it");
        }
        return zones_.at(name);
    }

    /// Clocks change at the occurrences of its STANDARD and DAYLIGHT parts.
    TimeZone read_zone(icalcomponent* component, const std::string& name) {
        std::vector<TimeZone::Change> changes;
        std::vector<std::pair<sys_seconds, seconds>> before;
        for_each_component(component, ICAL_ANY_COMPONENT, [&](icalcomponent* part) {
            icalproperty* start = first_of(part, ICAL_DTSTART_PROPERTY);
            if (start == nullptr) {
                throw Error("VTIMEZONE \"" + name + "\" is not complete");
            }
            const seconds from = offset_of(part, ICAL_TZOFFSETFROM_PROPERTY);
            const seconds to = offset_of(part, ICAL_TZOFFSETTO_PROPERTY);
            const TimeZone old(name, from, {});
            const Moment first{local_of(icalproperty_get_dtstart(start)), false, &old};
            const auto add = [&](local_seconds at) {
                changes.push_back({first.instant_of(at), to, name});
                before.emplace_back(first.instant_of(at), from);
            };
            // Windows begins in 1601, on a day that is not one of the rule.
            for (const local_seconds at : starts_of(part, first, false)) {
                add(at);
            }
            for_each_property(part, ICAL_RDATE_PROPERTY, [&](icalproperty* property) {
                add(local_of(icalproperty_get_rdate(property).time));
            });
        });
        if (changes.empty()) {
            throw Error("VTIMEZONE \"" + name + "\" is not complete");
        }
        return {name, std::min_element(before.begin(), before.end())->second, std::move(changes)};
    }

    static seconds offset_of(icalcomponent* part, icalproperty_kind kind) {
        icalproperty* property = first_of(part, kind);
        const seconds offset{
            property == nullptr ? 0 : icalvalue_get_utcoffset(icalproperty_get_value(property))};
        if (property == nullptr || offset > std::chrono::hours{24} ||
            offset < -std::chrono::hours{24}) {
            throw Error("a VTIMEZONE has no offset from UTC that makes sense");
        }
        return offset;
    }

    /// DTSTART, or the occurrences of the RRULE, up to the end of what is wanted.
    std::vector<local_seconds> starts_of(icalcomponent* component,
                                         const Moment& first,
                                         bool must_begin_with_first) {
        if (count_of(component, ICAL_RRULE_PROPERTY) > 1 ||
            count_of(component, ICAL_EXRULE_PROPERTY) > 0) {
            throw Error("it has more than one RRULE, or EXRULE, which is not supported");
        }
        icalproperty* property = first_of(component, ICAL_RRULE_PROPERTY);
        if (property == nullptr) {
            return {first.local};
        }
        icalrecurrencetype rule = icalproperty_get_rrule(property);
        const icaltimetype until = rule.until;
        const auto count = static_cast<std::size_t>(std::max(rule.count, 0));
        // libical compares local times with it; it also ends its search where nothing ever fits.
        const local_seconds end =
            local_seconds{wanted_.to.time_since_epoch()} + std::chrono::hours{48};
        rule.until = time_of(end, first.is_date);
        rule.count = 0;
        charge(step_of(rule), end - first.local);
        std::vector<local_seconds> starts;
        if (first.local >= end) {
            return starts;
        }
        const std::unique_ptr<icalrecur_iterator, FreeIterator> iterator(
            icalrecur_iterator_new(rule, time_of(first.local, first.is_date)));
        while (iterator != nullptr && (count == 0 || starts.size() < count)) {
            const icaltimetype next = icalrecur_iterator_next(iterator.get());
            if (icaltime_is_null_time(next) != 0 || is_after(first, local_of(next), until)) {
                break;
            }
            if (++occurrences_ > k_most_occurrences) {
                throw Error("its RRULE makes too many occurrences", "Let it begin later.");
            }
            starts.push_back(local_of(next));
        }
        // RFC 5545, 3.8.5.3: what a series is whose start its own rule does not meet is undefined.
        if (must_begin_with_first && (starts.empty() || starts.front() != first.local)) {
            throw Error("its RRULE does not meet its DTSTART",
                        "Let DTSTART be the first occurrence.");
        }
        return starts;
    }

    void charge(const Step& step, seconds length) {
        steps_ += step.cost * (std::max<long long>(length / step.length, 0) + 1);
        if (steps_ > k_most_steps) {
            throw Error("its RRULE reaches back too far", "Let it begin later.");
        }
    }

    const TimeZone& zone_;
    const TimeZone utc_{"UTC", seconds{0}, {}};
    Span wanted_;
    std::unique_ptr<icalcomponent, FreeComponent> root_;
    std::map<std::string, TimeZone> zones_;  ///< those that were asked for
    std::size_t occurrences_ = 0;
    long long steps_ = 0;
};

}  // namespace

std::vector<CalendarEvent> calendar_events(const std::string& text,
                                           const TimeZone& zone,
                                           Span wanted) {
    static std::mutex one_at_a_time;
    const std::lock_guard lock(one_at_a_time);
    icalerror_set_errors_are_fatal(0);
    Calendar calendar(calendar_core(text), zone, wanted);
    return calendar_series::occurrences(calendar.events(), wanted);
}

}  // namespace lockstep
