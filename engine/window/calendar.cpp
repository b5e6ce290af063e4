#include "engine/window/calendar.hpp"

#include "engine/window/calendar_rules.hpp"
#include "engine/window/calendar_series.hpp"
#include "engine/window/calendar_text.hpp"
#include "engine/window/windows_zones.hpp"

#include <libical/ical.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

// libical takes files apart, into local times that it knows no zone of, and no more. What its rules
// come to calendar_rules.hpp says, and what instant a local time is, TimeZone: libical 3.0 expands
// part of the rules only, and its zones, found by names that it makes paths of, approximate the
// files of tzdata by yearly rules.
namespace lockstep {

using calendar_series::Budget;
using calendar_series::Busy;
using calendar_series::Event;
using calendar_series::leave_out;
using calendar_series::Length;
using calendar_series::Moment;
using std::chrono::days;
using std::chrono::local_seconds;
using std::chrono::seconds;
using std::chrono::sys_seconds;

namespace {

constexpr std::size_t k_most_zones = 50;

struct FreeComponent {
    void operator()(icalcomponent* component) const { icalcomponent_free(component); }
};

local_seconds local_of(const icaltimetype& time) {
    const local_seconds midnight = calendar_series::midnight_of(time.year, time.month, time.day);
    return time.is_date != 0
               ? midnight
               : midnight + calendar_series::time_of_day(time.hour, time.minute, time.second);
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

template <class Act>
void for_each_property(icalcomponent* component, icalproperty_kind kind, Act act) {
    for (icalproperty* property = first_of(component, kind); property != nullptr;
         property = icalcomponent_get_next_property(component, kind)) {
        act(property);
    }
}

std::vector<std::string> texts_of(icalcomponent* component, icalproperty_kind kind) {
    std::vector<std::string> texts;
    for_each_property(component, kind, [&](icalproperty* property) {
        const char* text = icalvalue_get_text(icalproperty_get_value(property));
        texts.emplace_back(text == nullptr ? "" : text);
    });
    return texts;
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

/// What is asked of a file.
struct Asked {
    const TimeZone& zone;
    Span wanted;
    CalendarUse use;
    Budget budget;
};

/// A VCALENDAR, taken apart.
class Calendar {
  public:
    Calendar(const std::string& text, Asked& asked)
        : asked_(asked), root_(icalparser_parse_string(text.c_str())) {
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
    void add_events(std::vector<Event>& all, CalendarReading& reading) {
        for_each_component(root_.get(), ICAL_VEVENT_COMPONENT, [&](icalcomponent* component) {
            Event event{.uid = text_of(component, ICAL_UID_PROPERTY),
                        .summary = calendar_text(text_of(component, ICAL_SUMMARY_PROPERTY))};
            named(event, [&] { read_event(component, event, reading); });
            all.push_back(std::move(event));
        });
    }

    void add_busy(Busy& busy, CalendarReading& reading) {
        for_each_component(root_.get(), ICAL_VFREEBUSY_COMPONENT, [&](icalcomponent* component) {
            ++reading.entries;
            if (asked_.use == CalendarUse::opens) {
                leave_out(reading, "VFREEBUSY", "busy times open nothing");
                return;
            }
            icalproperty* start = first_of(component, ICAL_DTSTART_PROPERTY);
            icalproperty* end = first_of(component, ICAL_DTEND_PROPERTY);
            if (start == nullptr || end == nullptr) {
                throw Error("VFREEBUSY does not say from when to when it is (DTSTART and DTEND)");
            }
            busy.published.push_back({read_moment(start, icalproperty_get_dtstart(start)).instant(),
                                      read_moment(end, icalproperty_get_dtend(end)).instant()});
            for_each_property(component, ICAL_FREEBUSY_PROPERTY, [&](icalproperty* property) {
                icalparameter* type =
                    icalproperty_get_first_parameter(property, ICAL_FBTYPE_PARAMETER);
                if (type == nullptr || icalparameter_get_fbtype(type) != ICAL_FBTYPE_FREE) {
                    const Span span = read_period(property, icalproperty_get_freebusy(property));
                    busy.periods.push_back({span, "busy"});
                }
            });
        });
    }

  private:
    void read_event(icalcomponent* component, Event& event, CalendarReading& reading) {
        ++reading.entries;
        event.cancelled = is_cancelled(component);
        event.several = count_of(component, ICAL_COMMENT_PROPERTY) > 0 ||
                        count_of(component, ICAL_RDATE_PROPERTY) > 0;
        icalproperty* start = first_of(component, ICAL_DTSTART_PROPERTY);
        if (count_of(component, ICAL_DTSTART_PROPERTY) != 1) {
            throw Error("it needs one DTSTART");
        }
        event.start = read_moment(start, icalproperty_get_dtstart(start));
        read_version(component, event);
        if (!event.cancelled) {
            event.length = read_length(component, event.start);
            read_occurrences(component, event, reading);
        }
    }

    /// What it is an event of, and which of several.
    void read_version(icalcomponent* component, Event& event) {
        if (icalproperty* id = first_of(component, ICAL_RECURRENCEID_PROPERTY)) {
            icalparameter* range = icalproperty_get_first_parameter(id, ICAL_RANGE_PARAMETER);
            if (range != nullptr && icalparameter_get_range(range) != ICAL_RANGE_THISANDFUTURE) {
                throw Error("it changes a range of occurrences that is not known (RANGE)",
                            "RFC 5545 has THISANDFUTURE alone.");
            }
            event.replaces_rest = range != nullptr;
            event.replaces = read_moment(id, icalproperty_get_recurrenceid(id));
        }
        if (icalproperty* sequence = first_of(component, ICAL_SEQUENCE_PROPERTY)) {
            event.sequence = icalproperty_get_sequence(sequence);
        }
        if (icalproperty* stamp = first_of(component, ICAL_DTSTAMP_PROPERTY)) {
            const char* text = icaltime_as_ical_string(icalproperty_get_dtstamp(stamp));
            event.stamp = text == nullptr ? "" : text;
        }
    }

    void read_occurrences(icalcomponent* component, Event& event, CalendarReading& reading) {
        const std::vector<std::string> rules = texts_of(component, ICAL_COMMENT_PROPERTY);
        const std::vector<local_seconds> starts =
            starts_of(rules, event.start, end(), asked_.use, asked_.budget);
        for (const local_seconds at : starts) {
            event.spans.push_back(event.length.from(event.start, at));
        }
        if (event.start.local < end() && (starts.empty() || starts.front() != event.start.local)) {
            leave_out(reading, event.name() + ", DTSTART", "its RRULE does not meet it");
        }
        for_each_property(component, ICAL_RDATE_PROPERTY, [&](icalproperty* property) {
            event.spans.push_back(read_rdate(event, property));
        });
        std::vector<Moment> of_another_kind;
        for_each_property(component, ICAL_EXDATE_PROPERTY, [&](icalproperty* property) {
            const Moment moment = read_moment(property, icalproperty_get_exdate(property));
            if (moment.is_date == event.start.is_date) {
                event.excluded.insert(moment.instant());
            } else {
                of_another_kind.push_back(moment);
            }
        });
        exclude_days(of_another_kind, event, reading);
        // What is taken out is what may be meant where the rest is what is certain.
        const CalendarUse others =
            asked_.use == CalendarUse::opens ? CalendarUse::closes : CalendarUse::opens;
        for (const std::string& rule : texts_of(component, ICAL_CONTACT_PROPERTY)) {
            for (const local_seconds at :
                 starts_of_rule(rule, event.start, end(), others, asked_.budget)) {
                event.excluded.insert(event.start.instant_of(at));
            }
        }
    }

    /// EXDATE by date of a series by time, or the other way round. KOrganizer and Evolution write a
    /// date and mean all that begins on it; to others it is no occurrence of the series. The day
    /// may be one of either zone.
    void exclude_days(const std::vector<Moment>& given, Event& event, CalendarReading& reading) {
        if (given.empty()) {
            return;
        }
        if (asked_.use == CalendarUse::closes) {
            leave_out(reading,
                      event.name() + ", EXDATE",
                      "of it and DTSTART one is a date and the other is not, and what it takes out "
                      "is not certain");
            return;
        }
        const auto days_of = [&](sys_seconds at) {
            return std::array{std::chrono::floor<days>(event.start.zone->local(at)),
                              std::chrono::floor<days>(asked_.zone.local(at))};
        };
        std::set<std::chrono::local_days> gone;
        for (const Moment& moment : given) {
            gone.insert(std::chrono::floor<days>(moment.local));
            if (!moment.is_date) {
                const auto on = days_of(moment.instant());
                gone.insert(on.begin(), on.end());
            }
        }
        for (const Span& span : event.spans) {
            const auto on = days_of(span.from);
            if (gone.contains(on[0]) || gone.contains(on[1])) {
                event.excluded.insert(span.from);
            }
        }
    }

    /// By local clocks, wherever they are.
    [[nodiscard]] local_seconds end() const {
        return local_seconds{asked_.wanted.to.time_since_epoch()} + days{2} +
               calendar_series::k_farthest_move;
    }

    Length read_length(icalcomponent* component, const Moment& start) {
        icalproperty* end = first_of(component, ICAL_DTEND_PROPERTY);
        icalproperty* duration = first_of(component, ICAL_DURATION_PROPERTY);
        if (count_of(component, ICAL_DTEND_PROPERTY) + count_of(component, ICAL_DURATION_PROPERTY) >
            1) {
            throw Error("it has more than one DTEND or DURATION");
        }
        if (end != nullptr) {
            return length_to(start, read_moment(end, icalproperty_get_dtend(end)), asked_.use);
        }
        const Length length = duration != nullptr ? length_of(icalproperty_get_duration(duration))
                                                  : Length{days{start.is_date ? 1 : 0}, seconds{0}};
        return checked_length(start, length, asked_.use);
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
        return read_period(property, value.period);
    }

    Span read_period(icalproperty* property, const icalperiodtype& period) {
        const Moment from = read_moment(property, period.start);
        const Span span = icaltime_is_null_time(period.end) == 0
                              ? Span{from.instant(), read_moment(property, period.end).instant()}
                              : length_of(period.duration).from(from, from.local);
        if (span.from >= span.to) {
            throw Error("a period ends before it begins");
        }
        return span;
    }

    Moment read_moment(icalproperty* property, const icaltimetype& time) {
        Moment moment{local_of(time), time.is_date != 0, &asked_.zone};
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
            const std::string known_as = iana_name_of(name);
            if (known_as.empty()) {
                throw Error("TZID \"" + calendar_text(name) +
                            "\" is no IANA name and none of Windows, and the file has no VTIMEZONE "
                            "of it");
            }
            zones_.emplace(name, load_time_zone(known_as));
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
            const std::vector<std::string> rules = texts_of(part, ICAL_COMMENT_PROPERTY);
            for (const std::string& rule : rules) {
                for (const local_seconds at :
                     starts_of_rule(rule, first, end(), CalendarUse::closes, asked_.budget)) {
                    add(at);
                }
            }
            if (rules.empty()) {
                add(first.local);
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

    Asked& asked_;
    const TimeZone utc_{"UTC", seconds{0}, {}};
    std::unique_ptr<icalcomponent, FreeComponent> root_;
    std::map<std::string, TimeZone> zones_;  ///< those that were asked for
};

/// Where nothing of a freeze is understood it is not known what is frozen.
void note_others(const CalendarCore& core, bool none, CalendarUse use, CalendarReading& reading) {
    std::string others;
    for (const auto& [name, count] : core.other_components) {
        const std::string what = std::to_string(count) + " " + name;
        others += (others.empty() ? "" : ", ") + what;
        if (use == CalendarUse::closes && name == "VAVAILABILITY") {
            throw Error("has VAVAILABILITY, which is not supported",
                        "Export busy times as events or VFREEBUSY.");
        }
        leave_out(reading, what, "no events");
    }
    if (use == CalendarUse::closes && none && (reading.entries > 0 || !others.empty())) {
        throw Error("has nothing that closes anything: " +
                        (reading.entries > 0 ? "its events have no length" : "only " + others),
                    "Remove the file, or let it have events with a length.");
    }
    for (const std::string& name : core.unknown_properties) {
        leave_out(reading, "property " + name, "it is not known, and no times depend on it");
    }
}

/// By time, each once: an occurrence may come of its series and of an event of its own.
void sort_once(std::vector<CalendarEvent>& events) {
    std::sort(events.begin(), events.end(), [](const CalendarEvent& a, const CalendarEvent& b) {
        return std::tie(a.span.from, a.span.to, a.summary) <
               std::tie(b.span.from, b.span.to, b.summary);
    });
    events.erase(std::unique(events.begin(), events.end()), events.end());
}

}  // namespace

CalendarReading read_calendar(const std::string& text,
                              const TimeZone& zone,
                              Span wanted,
                              CalendarUse use) {
    static std::mutex one_at_a_time;
    const std::lock_guard lock(one_at_a_time);
    icalerror_set_errors_are_fatal(0);
    const CalendarCore core = calendar_core(text);
    Asked asked{zone, wanted, use, {}};
    CalendarReading reading;
    std::vector<std::unique_ptr<Calendar>> calendars;
    std::vector<Event> events;
    Busy busy;
    for (const std::string& part : core.calendars) {
        calendars.push_back(std::make_unique<Calendar>(part, asked));
        calendars.back()->add_events(events, reading);
        calendars.back()->add_busy(busy, reading);
    }
    const std::size_t empty = add_occurrences(events, wanted, reading);
    add_busy(std::move(busy), wanted, reading);
    note_others(core, empty == reading.entries, use, reading);
    sort_once(reading.events);
    return reading;
}

}  // namespace lockstep
