#include "engine/window/calendar.hpp"

#include "base/error.hpp"
#include "engine/window/calendar_text.hpp"

#include <libical/ical.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

// libical takes files apart and walks through rules, both in local times that it knows no zone of.
// What instant a local time is, TimeZone says: libical 3.0's own zones are found by names that it
// makes paths of, and they approximate the files of tzdata by yearly rules.
namespace lockstep {

using std::chrono::days;
using std::chrono::local_days;
using std::chrono::local_seconds;
using std::chrono::seconds;
using std::chrono::sys_seconds;

namespace {

/// Steps of rules, over all events of a file. A daily event of 50 years needs as many.
constexpr std::size_t k_most_occurrences = 20'000;
/// What libical does to find them, hits or not: about a second of work.
constexpr long long k_most_steps = 400'000;
constexpr std::size_t k_longest_summary = 80;

struct FreeComponent {
    void operator()(icalcomponent* component) const { icalcomponent_free(component); }
};

struct FreeIterator {
    void operator()(icalrecur_iterator* iterator) const { icalrecur_iterator_free(iterator); }
};

/// A date or a time as the file has it, with what tells its instant.
struct Moment {
    local_seconds local;
    bool is_date = false;
    const TimeZone* zone = nullptr;  ///< of the Calendar, or outlives it

    /// A day that clocks begin late begins when they do; of a time of day RFC 5545 says more.
    [[nodiscard]] sys_seconds instant_of(local_seconds at) const {
        return zone->instant(
            at,
            TimeZone::Twice::first,
            is_date ? TimeZone::Skipped::moment_of_change : TimeZone::Skipped::as_before);
    }

    [[nodiscard]] sys_seconds instant() const { return instant_of(local); }
};

/// RFC 5545, 3.8.5.3: what comes from DTEND takes the same time at each occurrence; days and weeks
/// of DURATION, and those of events by date, are days as clocks have them.
struct Length {
    days nominal{0};
    seconds exact{0};

    [[nodiscard]] Span after(const Moment& start, local_seconds at) const {
        const sys_seconds from = start.instant_of(at);
        const sys_seconds day = nominal.count() == 0 ? from : start.instant_of(at + nominal);
        return {from, day + exact};
    }
};

/// The occurrences of a series that have an event of their own, or are cancelled.
struct Replaced {
    std::set<sys_seconds> starts;
    bool by_date = false;
    bool by_time = false;
};

struct Event {
    icalcomponent* component = nullptr;
    std::string uid;
    std::string summary;
    Moment start;
    Length length;
    std::optional<Moment> replaces;  ///< RECURRENCE-ID
    bool cancelled = false;
};

local_seconds local_of(const icaltimetype& time) {
    using namespace std::chrono;
    const year_month_day date{year{time.year},
                              month{static_cast<unsigned>(std::max(time.month, 0))},
                              day{static_cast<unsigned>(std::max(time.day, 0))}};
    const bool time_ok =
        time.is_date != 0 || (time.hour >= 0 && time.hour < 24 && time.minute >= 0 &&
                              time.minute < 60 && time.second >= 0 && time.second <= 60);
    if (time.year < 1 || time.year > 9999 || !date.ok() || !time_ok) {
        throw Error("there is a date or time that does not exist");
    }
    return time.is_date != 0
               ? local_seconds{local_days{date}}
               : local_days{date} + hours{time.hour} + minutes{time.minute} + seconds{time.second};
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

std::string text_of(icalcomponent* component, icalproperty_kind kind) {
    icalproperty* property = icalcomponent_get_first_property(component, kind);
    const char* text =
        property == nullptr ? nullptr : icalvalue_get_text(icalproperty_get_value(property));
    return text == nullptr ? "" : text;
}

/// On one line, and short: it goes to terminals.
std::string summary_of(icalcomponent* event) {
    std::string summary = text_of(event, ICAL_SUMMARY_PROPERTY);
    for (char& c : summary) {
        c = static_cast<unsigned char>(c) < ' ' || c == '\x7f' ? ' ' : c;
    }
    return summary.size() <= k_longest_summary ? summary
                                               : summary.substr(0, k_longest_summary) + "...";
}

/// Calls `act` with each property of a kind.
template <class Act>
void for_each_property(icalcomponent* component, icalproperty_kind kind, Act act) {
    for (icalproperty* property = icalcomponent_get_first_property(component, kind);
         property != nullptr;
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

std::size_t count_of(icalcomponent* component, icalproperty_kind kind) {
    return static_cast<std::size_t>(icalcomponent_count_properties(component, kind));
}

class Calendar {
  public:
    Calendar(const std::string& text, const TimeZone& zone, Span wanted)
        : zone_(zone), wanted_(wanted), root_(icalparser_parse_string(text.c_str())) {
        if (!root_ || icalcomponent_isa(root_.get()) != ICAL_VCALENDAR_COMPONENT) {
            throw Error("is no iCalendar file");
        }
        refuse_errors(root_.get());
        icalproperty* method = icalcomponent_get_first_property(root_.get(), ICAL_METHOD_PROPERTY);
        if (method != nullptr && icalproperty_get_method(method) == ICAL_METHOD_CANCEL) {
            throw Error("takes back events (METHOD:CANCEL) instead of naming them");
        }
    }

    std::vector<CalendarEvent> events() {
        std::vector<Event> all;
        for_each_component(root_.get(), ICAL_VEVENT_COMPONENT, [&](icalcomponent* component) {
            all.push_back(read_event(component));
        });
        std::set<std::string> series;
        std::set<std::string> cancelled;
        std::map<std::string, Replaced> replaced;
        for (const Event& event : all) {
            if (event.replaces) {
                Replaced& of_series = replaced[event.uid];
                of_series.starts.insert(event.replaces->instant());
                (event.replaces->is_date ? of_series.by_date : of_series.by_time) = true;
            } else if (!event.uid.empty() && !series.insert(event.uid).second) {
                throw Error("two events have the UID \"" + event.uid + "\"");
            } else if (event.cancelled) {
                cancelled.insert(event.uid);
            }
        }
        for (const Event& event : all) {
            if (event.cancelled || (event.replaces && cancelled.contains(event.uid))) {
                continue;
            }
            named(event, [&] { expand(event, event.replaces ? Replaced{} : replaced[event.uid]); });
        }
        return std::move(found_);
    }

  private:
    /// Runs `act`, with the event's name before the message of what it throws.
    template <class Act>
    static void named(const Event& event, Act act) {
        try {
            act();
        } catch (const Error& error) {
            const std::string& name = event.summary.empty() ? event.uid : event.summary;
            throw Error(name.empty() ? error.what() : "event \"" + name + "\": " + error.what(),
                        error.hint());
        }
    }

    /// libical puts what it could not read aside and goes on. Nothing that times depend on may be
    /// put aside; a property without a value that they do not depend on is what many programs
    /// write.
    static void refuse_errors(icalcomponent* component) {
        for_each_property(component, ICAL_XLICERROR_PROPERTY, [](icalproperty* property) {
            const char* text = icalproperty_get_xlicerror(property);
            if (text == nullptr || !is_harmless_calendar_error(text)) {
                throw Error(std::string("cannot be understood: ") +
                            (text == nullptr ? "libical says no more" : text));
            }
        });
        for_each_component(component, ICAL_ANY_COMPONENT, refuse_errors);
    }

    const TimeZone& zone_named(const std::string& name) {
        const auto known = zones_.find(name);
        if (known != zones_.end()) {
            return known->second;
        }
        try {
            return zones_.emplace(name, load_time_zone(name)).first->second;
        } catch (const Error&) {
            // By a name of its own then, as programs for Windows have them.
        }
        std::optional<TimeZone> own;
        for_each_component(root_.get(), ICAL_VTIMEZONE_COMPONENT, [&](icalcomponent* component) {
            if (!own && text_of(component, ICAL_TZID_PROPERTY) == name) {
                own = read_zone(component, name);
            }
        });
        if (!own) {
            throw Error("TZID \"" + name +
                        "\" is no IANA name, and the file has no VTIMEZONE of it");
        }
        return zones_.emplace(name, std::move(*own)).first->second;
    }

    /// Clocks change at the occurrences of its STANDARD and DAYLIGHT parts.
    TimeZone read_zone(icalcomponent* component, const std::string& name) {
        std::vector<TimeZone::Change> changes;
        std::vector<std::pair<sys_seconds, seconds>> before;
        for_each_component(component, ICAL_ANY_COMPONENT, [&](icalcomponent* part) {
            icalproperty* start = icalcomponent_get_first_property(part, ICAL_DTSTART_PROPERTY);
            if (start == nullptr) {
                throw Error("VTIMEZONE \"" + name + "\" is not complete");
            }
            const seconds from = offset_of(part, ICAL_TZOFFSETFROM_PROPERTY);
            const seconds to = offset_of(part, ICAL_TZOFFSETTO_PROPERTY);
            const std::string text = text_of(part, ICAL_TZNAME_PROPERTY);
            const TimeZone old(name, from, {});
            const Moment first{local_of(icalproperty_get_dtstart(start)), false, &old};
            const auto add = [&](local_seconds at) {
                changes.push_back({first.instant_of(at), to, text.empty() ? name : text});
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
        icalproperty* property = icalcomponent_get_first_property(part, kind);
        const seconds offset{
            property == nullptr ? 0 : icalvalue_get_utcoffset(icalproperty_get_value(property))};
        if (property == nullptr || offset > std::chrono::hours{24} ||
            offset < -std::chrono::hours{24}) {
            throw Error("a VTIMEZONE has no offset from UTC that makes sense");
        }
        return offset;
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

    Event read_event(icalcomponent* component) {
        Event event{.component = component,
                    .uid = text_of(component, ICAL_UID_PROPERTY),
                    .summary = summary_of(component)};
        named(event, [&] {
            icalproperty* status =
                icalcomponent_get_first_property(component, ICAL_STATUS_PROPERTY);
            event.cancelled =
                status != nullptr && icalproperty_get_status(status) == ICAL_STATUS_CANCELLED;
            icalproperty* start =
                icalcomponent_get_first_property(component, ICAL_DTSTART_PROPERTY);
            if (start == nullptr || count_of(component, ICAL_DTSTART_PROPERTY) > 1) {
                throw Error("it needs one DTSTART");
            }
            event.start = read_moment(start, icalproperty_get_dtstart(start));
            event.length = read_length(component, event.start);
            if (icalproperty* id =
                    icalcomponent_get_first_property(component, ICAL_RECURRENCEID_PROPERTY)) {
                if (icalproperty_get_first_parameter(id, ICAL_RANGE_PARAMETER) != nullptr) {
                    throw Error(
                        "it changes all occurrences from one on (RANGE), which is not "
                        "supported",
                        "Write the changed series as an event of its own.");
                }
                event.replaces = read_moment(id, icalproperty_get_recurrenceid(id));
            }
        });
        return event;
    }

    Length read_length(icalcomponent* component, const Moment& start) {
        icalproperty* end = icalcomponent_get_first_property(component, ICAL_DTEND_PROPERTY);
        icalproperty* duration =
            icalcomponent_get_first_property(component, ICAL_DURATION_PROPERTY);
        Length length;
        if (end != nullptr) {
            const Moment last = read_moment(end, icalproperty_get_dtend(end));
            if (last.is_date != start.is_date) {
                throw Error("of DTSTART and DTEND one is a date and the other is not");
            }
            length = last.is_date ? Length{floor<days>(last.local - start.local), seconds{0}}
                                  : Length{days{0}, last.instant() - start.instant()};
        } else if (duration != nullptr) {
            length = length_of(icalproperty_get_duration(duration));
        } else if (start.is_date) {
            length.nominal = days{1};
        }
        if (length.nominal + length.exact <= seconds{0}) {
            throw Error("it has no length", "Give it DTEND after DTSTART, or DURATION.");
        }
        return length;
    }

    static Length length_of(const icaldurationtype& duration) {
        if (duration.is_neg != 0 || duration.days > 100'000 || duration.weeks > 10'000 ||
            duration.hours > 1'000'000 || duration.minutes > 100'000'000) {
            throw Error("its length makes no sense");
        }
        return {days{duration.days} + days{7 * duration.weeks},
                std::chrono::hours{duration.hours} + std::chrono::minutes{duration.minutes} +
                    seconds{duration.seconds}};
    }

    void expand(const Event& event, const Replaced& replaced) {
        icalcomponent* component = event.component;
        if (event.replaces &&
            count_of(component, ICAL_RRULE_PROPERTY) + count_of(component, ICAL_RDATE_PROPERTY) >
                0) {
            throw Error("it replaces one occurrence by several");
        }
        if (event.start.is_date ? replaced.by_time : replaced.by_date) {
            throw Error("of DTSTART and RECURRENCE-ID one is a date and the other is not");
        }
        std::set<sys_seconds> gone = replaced.starts;
        for_each_property(component, ICAL_EXDATE_PROPERTY, [&](icalproperty* property) {
            const Moment moment = read_moment(property, icalproperty_get_exdate(property));
            if (moment.is_date != event.start.is_date) {
                throw Error("of DTSTART and EXDATE one is a date and the other is not");
            }
            gone.insert(moment.instant());
        });
        const auto add = [&](const Span& span) {
            if (!gone.contains(span.from) && span.from < wanted_.to && span.to > wanted_.from) {
                found_.push_back({span, event.summary});
            }
        };
        for (const local_seconds at : starts_of(component, event.start, true)) {
            add(event.length.after(event.start, at));
        }
        for_each_property(component, ICAL_RDATE_PROPERTY, [&](icalproperty* property) {
            add(read_rdate(event, property));
        });
    }

    Span read_rdate(const Event& event, icalproperty* property) {
        const icaldatetimeperiodtype value = icalproperty_get_rdate(property);
        if (icalperiodtype_is_null_period(value.period) != 0) {
            const Moment moment = read_moment(property, value.time);
            return event.length.after(moment, moment.local);
        }
        const Moment from = read_moment(property, value.period.start);
        if (icaltime_is_null_time(value.period.end) == 0) {
            return {from.instant(), read_moment(property, value.period.end).instant()};
        }
        return length_of(value.period.duration).after(from, from.local);
    }

    /// DTSTART, or the occurrences of the RRULE, up to the end of what is wanted.
    std::vector<local_seconds> starts_of(icalcomponent* component,
                                         const Moment& first,
                                         bool must_begin_with_first) {
        if (count_of(component, ICAL_RRULE_PROPERTY) > 1 ||
            count_of(component, ICAL_EXRULE_PROPERTY) > 0) {
            throw Error("it has more than one RRULE, or EXRULE, which is not supported");
        }
        icalproperty* property = icalcomponent_get_first_property(component, ICAL_RRULE_PROPERTY);
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

    /// Whether an occurrence is after UNTIL, which is a date, a local time or one of UTC.
    static bool is_after(const Moment& first, local_seconds at, const icaltimetype& until) {
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

    const TimeZone& zone_;
    const TimeZone utc_{"UTC", seconds{0}, {}};
    Span wanted_;
    std::unique_ptr<icalcomponent, FreeComponent> root_;
    std::map<std::string, TimeZone> zones_;  ///< those that were asked for; Moments point into it
    std::vector<CalendarEvent> found_;
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
    return Calendar(unfolded_calendar(text), zone, wanted).events();
}

}  // namespace lockstep
