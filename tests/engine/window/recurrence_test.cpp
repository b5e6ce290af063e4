#include "engine/window/recurrence.hpp"

#include "base/error.hpp"
#include "engine/window/calendar.hpp"
#include "engine/window/calendar_rules.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <sstream>

namespace lockstep {
namespace {

using calendar_series::Budget;
using calendar_series::Moment;
using std::chrono::days;
using std::chrono::local_seconds;
using Starts = std::vector<local_seconds>;

const TimeZone k_utc{"UTC", std::chrono::seconds{0}, {}};

/// `20261130`, `20261130T2200` or `20261130T220000`
local_seconds local(const std::string& text) {
    const auto number = [&](std::size_t at, std::size_t count) {
        return std::stoi(text.substr(at, count));
    };
    const local_seconds day =
        calendar_series::midnight_of(number(0, 4), number(4, 2), number(6, 2));
    return text.size() == 8
               ? day
               : day + calendar_series::time_of_day(
                           number(9, 2), number(11, 2), text.size() == 15 ? number(13, 2) : 0);
}

std::string text(local_seconds at) {
    const auto day = std::chrono::floor<days>(at);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(at - day);
    std::array<char, 40> buffer{};
    std::snprintf(buffer.data(),
                  buffer.size(),
                  "%04d%02u%02uT%02d%02d",
                  static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()),
                  static_cast<unsigned>(date.day()),
                  static_cast<int>(clock.hours().count()),
                  static_cast<int>(clock.minutes().count()));
    return buffer.data();
}

/// The first six starts in ten years.
std::string starts(const std::string& first,
                   const std::string& rule,
                   CalendarUse use = CalendarUse::opens) {
    Budget budget;
    const Moment start{local(first), first.size() == 8, &k_utc};
    std::string texts;
    std::size_t count = 0;
    for (const local_seconds at :
         calendar_series::starts_of({rule}, start, start.local + days{3660}, use, budget)) {
        texts += ++count > 6 ? "" : (count == 1 ? "" : " ") + text(at).substr(0, first.size());
    }
    return texts;
}

std::string refusal(const std::string& rule) {
    try {
        static_cast<void>(parse_recurrence(rule));
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

TEST(Recurrence, CountsPlacesInTheSetOfADayOrWeek) {
    EXPECT_EQ(starts("20261130", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1,-1"),
              "20261130 20261204 20261207 20261211 20261214 20261218");
    EXPECT_EQ(starts("20261130T1700", "FREQ=DAILY;BYHOUR=9,12,17;BYSETPOS=-1;COUNT=2"),
              "20261130T1700 20261201T1700");
    EXPECT_EQ(starts("20230530T1500", "FREQ=MONTHLY;BYDAY=-1TU;BYHOUR=3,15;BYSETPOS=-1;COUNT=2"),
              "20230530T1500 20230627T1500");
    EXPECT_EQ(starts("20260228", "FREQ=MONTHLY;BYMONTHDAY=-1,1,28;BYSETPOS=3,-1;COUNT=4"),
              "20260228 20260331 20260430 20260531")
        << "28 February is named twice, and is one day";
}

TEST(Recurrence, TakesNegativeDaysOfTheMonthByDay) {
    EXPECT_EQ(starts("20261130", "FREQ=DAILY;BYMONTHDAY=-1,-2,30"),
              "20261130 20261230 20261231 20270130 20270131 20270227");
}

TEST(Recurrence, KnowsWeeksOfTheYearAroundItsTurn) {
    // ISO 8601: 2026 has 53 weeks; its first begins on 29 December 2025.
    EXPECT_EQ(starts("20251229", "FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO;COUNT=3"),
              "20251229 20270104 20280103");
    EXPECT_EQ(starts("20261228", "FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO;COUNT=2"), "20261228 20321227");
    EXPECT_EQ(starts("20261228", "FREQ=YEARLY;BYWEEKNO=-1;BYDAY=MO,SU;COUNT=4"),
              "20261228 20270103 20271227 20280102");
    EXPECT_EQ(starts("20251229", "FREQ=YEARLY;BYWEEKNO=-53;BYDAY=MO;COUNT=2"), "20251229 20311229")
        << "the first week of years that have 53";
    EXPECT_EQ(starts("20260104", "FREQ=YEARLY;BYWEEKNO=1;BYDAY=SU;WKST=SU;COUNT=2"),
              "20260104 20270103");
}

TEST(Recurrence, CountsDaysFromBothEndsOfTheYear) {
    EXPECT_EQ(starts("20271231", "FREQ=YEARLY;BYYEARDAY=366,-1;COUNT=3"),
              "20271231 20281231 20291231");
    EXPECT_EQ(starts("20240229", "FREQ=YEARLY"), "20240229 20280229 20320229");
    EXPECT_EQ(starts("20240229", "FREQ=YEARLY;BYYEARDAY=60;COUNT=3"), "20240229 20250301 20260301");
    EXPECT_EQ(starts("20261231", "FREQ=MONTHLY;COUNT=3"), "20261231 20270131 20270331");
}

TEST(Recurrence, NumbersDaysInTheMonthOrTheYear) {
    EXPECT_EQ(starts("20261130", "FREQ=MONTHLY;BYDAY=-1MO;COUNT=3"), "20261130 20261228 20270125");
    EXPECT_EQ(starts("20260518", "FREQ=YEARLY;BYDAY=20MO;COUNT=2"), "20260518 20270517");
    EXPECT_EQ(starts("20261029", "FREQ=YEARLY;BYMONTH=10;BYDAY=-1TH,2MO;COUNT=3"),
              "20261029 20271011 20271028");
    EXPECT_EQ(starts("20261105", "FREQ=YEARLY;BYMONTH=11;BYDAY=TH;COUNT=5"),
              "20261105 20261112 20261119 20261126 20271104");
    EXPECT_EQ(starts("20261106", "FREQ=MONTHLY;BYDAY=FR,-1MO;COUNT=5"),
              "20261106 20261113 20261120 20261127 20261130");
}

// RFC 5545, 3.8.5.3: its own examples of WKST.
TEST(Recurrence, BeginsWeeksWhereTheRuleSays) {
    const std::string rule = "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=";
    EXPECT_EQ(starts("19970805", rule + "MO"), "19970805 19970810 19970819 19970824");
    EXPECT_EQ(starts("19970805", rule + "SU"), "19970805 19970817 19970819 19970831");
}

// What the standard leaves open: less is open, and more is frozen.
TEST(Recurrence, IsWhatIsCertainToOpenAndWhatIsPossibleToClose) {
    constexpr auto closes = CalendarUse::closes;
    const std::string sundays = "FREQ=WEEKLY;BYDAY=SU;COUNT=2";
    EXPECT_EQ(starts("20261130", sundays), "20261206") << "COUNT may count a DTSTART that misses";
    EXPECT_EQ(starts("20261130", sundays, closes), "20261130 20261206 20261213");
    const std::string until = "FREQ=DAILY;UNTIL=20261201";
    EXPECT_EQ(starts("20261130T2200", until), "20261130T2200");
    EXPECT_EQ(starts("20261130T2200", until, closes), "20261130T2200 20261201T2200");
    EXPECT_EQ(starts("20261130T0000", until), "20261130T0000 20261201T0000");
    const std::string week = "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=2;COUNT=2";
    EXPECT_EQ(starts("20261202", week), "20261209") << "a Wednesday, which begins the first week";
    EXPECT_EQ(starts("20261202", week, closes), "20261202 20261204 20261209");
}

TEST(Recurrence, EndsAtUntilWhicheverWayItIsWritten) {
    EXPECT_EQ(starts("20261130T2200", "FREQ=DAILY;UNTIL=20261201T220000Z"),
              "20261130T2200 20261201T2200");
    EXPECT_EQ(starts("20261130T2200", "FREQ=DAILY;UNTIL=20261201T215959"), "20261130T2200");
    EXPECT_EQ(starts("20261130", "FREQ=DAILY;UNTIL=20261201"), "20261130 20261201");
    EXPECT_EQ(starts("20261130", "FREQ=DAILY;UNTIL=20261201T230000Z"), "20261130 20261201");
}

TEST(Recurrence, DoesNotCountTimesOfDayWhereAllIsByDate) {
    EXPECT_EQ(starts("20261130", "FREQ=DAILY;BYHOUR=9,12;COUNT=2"), "20261130 20261201");
}

TEST(Recurrence, RefusesWhatHasNoCertainMeaning) {
    const std::vector<std::pair<std::string, std::string>> cases{
        {"", "its RRULE is not understood: "},
        {"FREQ=DALY", "its RRULE is not understood: DALY"},
        {"BYDAY=MO", "its RRULE is not understood: BYDAY=MO"},
        {"FREQ=DAILY;INTERVAL=0", "its RRULE is not understood: FREQ=DAILY;INTERVAL=0"},
        {"FREQ=DAILY;COUNT=0", "its RRULE is not understood: FREQ=DAILY;COUNT=0"},
        {"FREQ=DAILY;COUNT=-1", "its RRULE is not understood: -1"},
        {"FREQ=DAILY;FREQ=WEEKLY", "its RRULE is not understood: FREQ=WEEKLY"},
        {"FREQ=DAILY;BYHOUR", "its RRULE is not understood: BYHOUR"},
        {"FREQ=DAILY;BYHOUR=24", "its RRULE is not understood: 24"},
        {"FREQ=DAILY;BYHOUR=9,", "its RRULE is not understood: "},
        {"FREQ=DAILY;BYDAY=XX", "its RRULE is not understood: XX"},
        {"FREQ=DAILY;BYDAY=M", "its RRULE is not understood: M"},
        {"FREQ=MONTHLY;BYDAY=0MO", "its RRULE is not understood: 0"},
        {"FREQ=MONTHLY;BYDAY=54MO", "its RRULE is not understood: 54MO"},
        {"FREQ=MONTHLY;BYMONTHDAY=32", "its RRULE is not understood: 32"},
        {"FREQ=MONTHLY;BYMONTHDAY=0", "its RRULE is not understood: 0"},
        {"FREQ=MONTHLY;BYMONTH=1,13", "its RRULE is not understood: 13"},
        {"FREQ=YEARLY;BYYEARDAY=-367", "its RRULE is not understood: -367"},
        {"FREQ=YEARLY;BYSETPOS=1000", "its RRULE is not understood: 1000"},
        {"FREQ=DAILY;UNTIL=2026", "its RRULE is not understood: 2026"},
        {"FREQ=DAILY;UNTIL=20261301", "there is a date that does not exist"},
        {"FREQ=DAILY;UNTIL=20261201T2", "its RRULE is not understood: 20261201T2"},
        {"FREQ=DAILY;BYMOTNH=1", "its RRULE has BYMOTNH, which is not supported"},
        {"FREQ=DAILY;COUNT=2;UNTIL=20261201",
         "its RRULE has COUNT and UNTIL together, which has no certain meaning"},
        {"FREQ=WEEKLY;BYDAY=1MO",
         "its RRULE has numbered BYDAY by the day or week, or with BYWEEKNO, which has no certain "
         "meaning"},
        {"FREQ=YEARLY;BYWEEKNO=2;BYDAY=1MO",
         "its RRULE has numbered BYDAY by the day or week, or with BYWEEKNO, which has no certain "
         "meaning"},
        {"FREQ=WEEKLY;BYMONTHDAY=1",
         "its RRULE has BYMONTHDAY by the week, which has no certain meaning"},
        {"FREQ=MONTHLY;BYYEARDAY=1",
         "its RRULE has BYYEARDAY, but not by the year, which has no certain meaning"},
        {"FREQ=MONTHLY;BYWEEKNO=1",
         "its RRULE has BYWEEKNO, but not by the year, which has no certain meaning"},
        {"FREQ=YEARLY;BYWEEKNO=1",
         "its RRULE has BYWEEKNO without days, which has no certain meaning"},
        {"FREQ=DAILY;BYSETPOS=1", "its RRULE has BYSETPOS alone, which has no certain meaning"},
    };
    for (const auto& [rule, why] : cases) {
        EXPECT_EQ(refusal(rule), why) << rule;
    }
    EXPECT_EQ(refusal("freq=daily;x-own=1;interval=2;"), "");
}

/// A rule, and what python-dateutil makes of it.
struct Judged {
    std::string first, rule;
    local_seconds end;
    Starts starts;
};

std::vector<Judged> judged_rules(const std::string& seed, const std::string& count) {
    const std::string script =
        LOCKSTEP_SOURCE_DIR "/tests/engine/window/recurrence_oracle.py " + seed + " " + count;
    // A python of its own that comes first may lack what Debian's has.
    const std::string command =
        "for p in python3 /usr/bin/python3; do "
        "\"$p\" -c 'import dateutil' 2>/dev/null && exec \"$p\" " +
        script + "; done; echo 'python3-dateutil is missing: ./setup --tests' >&2; exit 1";
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    std::string output;
    std::array<char, 65536> buffer{};
    for (std::size_t size = 0; (size = fread(buffer.data(), 1, buffer.size(), pipe.get())) > 0;) {
        output.append(buffer.data(), size);
    }
    std::vector<Judged> rules;
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream fields(line);
        Judged judged;
        std::string end;
        std::getline(fields, judged.first, '|');
        std::getline(fields, judged.rule, '|');
        std::getline(fields, end, '|');
        judged.end = local(end);
        for (std::string start; std::getline(fields, start, ',');) {
            judged.starts.push_back(local(start));
        }
        rules.push_back(judged);
    }
    return rules;
}

/// By the whole way: an event of a minute, or a day, with the rule.
Starts starts_by_calendar(const Judged& judged, CalendarUse use) {
    const bool by_date = judged.first.size() == 8;
    const std::string event = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART" +
                              std::string(by_date ? ";VALUE=DATE:" : ":") + judged.first +
                              "\r\nDURATION:" + (by_date ? "P1D" : "PT1M") +
                              "\r\nRRULE:" + judged.rule + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    const std::chrono::sys_seconds from{local(judged.first).time_since_epoch()};
    const std::chrono::sys_seconds to{judged.end.time_since_epoch()};
    Starts found;
    for (const CalendarEvent& occurrence :
         read_calendar(event, k_utc, {from, std::max(to, from + days{1})}, use).events) {
        const local_seconds at{occurrence.span.from.time_since_epoch()};
        if (at < judged.end) {
            found.push_back(at);
        }
    }
    std::sort(found.begin(), found.end());
    return found;
}

std::string missing(const Starts& from, const Starts& in) {
    for (const local_seconds at : from) {
        if (!std::binary_search(in.begin(), in.end(), at)) {
            return text(at);
        }
    }
    return "";
}

Starts after_first_week(Starts starts, const Judged& judged) {
    const local_seconds week_later = local(judged.first) + days{7};
    std::erase_if(starts, [&](local_seconds at) { return at < week_later; });
    return starts;
}

// LOCKSTEP_RULES=20000 plays that many, LOCKSTEP_RULE_SEED=7 the same ones again.
TEST(Recurrence, IsWhatPythonDateutilMakesOfIt) {
    const char* given = std::getenv("LOCKSTEP_RULE_SEED");
    const std::string seed = given != nullptr ? given : std::to_string(std::random_device{}());
    const char* wanted = std::getenv("LOCKSTEP_RULES");
    const std::string count = wanted != nullptr ? wanted : "500";
    std::printf("LOCKSTEP_RULE_SEED=%s, %s rules\n", seed.c_str(), count.c_str());
    const std::vector<Judged> rules = judged_rules(seed, count);
    ASSERT_EQ(rules.size(), std::stoul(count)) << "LOCKSTEP_RULE_SEED=" << seed;
    std::size_t compared = 0;
    std::size_t narrower = 0;
    for (const Judged& judged : rules) {
        SCOPED_TRACE("LOCKSTEP_RULE_SEED=" + seed + " DTSTART:" + judged.first +
                     " RRULE:" + judged.rule);
        const Starts opens = starts_by_calendar(judged, CalendarUse::opens);
        const Starts closes = starts_by_calendar(judged, CalendarUse::closes);
        ASSERT_EQ(missing(opens, judged.starts), "") << "open too much";
        ASSERT_EQ(missing(judged.starts, closes), "") << "frozen too little";
        // Else the standard leaves it open: see starts_of().
        const bool meets = !judged.starts.empty() && judged.starts.front() == local(judged.first);
        const bool first_week = judged.rule.find("FREQ=WEEKLY") != std::string::npos &&
                                judged.rule.find("BYSETPOS") != std::string::npos;
        const bool counts = judged.rule.find("COUNT") != std::string::npos;
        if (meets && !first_week) {
            ASSERT_EQ(opens, judged.starts);
            ASSERT_EQ(closes, judged.starts);
        } else if (!first_week) {
            ASSERT_LE(closes.size(), judged.starts.size() + 1) << "only DTSTART more";
            ASSERT_GE(opens.size() + (counts ? 1 : 0), judged.starts.size());
        } else if (!counts) {
            ASSERT_EQ(after_first_week(opens, judged), after_first_week(judged.starts, judged));
            ASSERT_EQ(after_first_week(closes, judged), after_first_week(judged.starts, judged));
        }
        compared += judged.starts.size();
        narrower += opens == judged.starts ? 0 : 1;
    }
    EXPECT_GT(compared, rules.size() * 10) << "hardly anything was compared";
    EXPECT_LT(narrower * 5, rules.size()) << "too much is left open by the standard";
}

}  // namespace
}  // namespace lockstep
