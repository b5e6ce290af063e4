#include "engine/window/calendar.hpp"

#include "base/error.hpp"
#include "tests/engine/window/window_texts.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

using window_texts::Texts;
using window_texts::utc;

/// Lines between BEGIN and END of a calendar.
std::string calendar(const std::string& lines) {
    return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n" + lines + "END:VCALENDAR\r\n";
}

std::string event(const std::string& lines) {
    return "BEGIN:VEVENT\n" + lines + "END:VEVENT\n";
}

CalendarReading reading_of(const std::string& text, CalendarUse use = CalendarUse::opens) {
    const auto from = std::chrono::floor<std::chrono::seconds>(utc("2026-11-01 00:00"));
    return read_calendar(
        text, load_time_zone("Europe/Berlin"), {from, from + std::chrono::days{366}}, use);
}

/// The first ones by time, in Berlin, with their summaries.
Texts first(const std::string& text, std::size_t count = 4, CalendarUse use = CalendarUse::opens) {
    std::vector<CalendarEvent> events = reading_of(text, use).events;
    std::sort(events.begin(), events.end(), [](const auto& a, const auto& b) {
        return a.span.from < b.span.from;
    });
    Texts texts;
    for (const CalendarEvent& found : events) {
        texts.push_back(local_text(found.span.from, "Europe/Berlin") + " to " +
                        local_text(found.span.to, "Europe/Berlin") +
                        (found.summary.empty() ? "" : ": " + found.summary));
    }
    texts.resize(std::min(count, texts.size()));
    return texts;
}

Texts left_out(const std::string& text, CalendarUse use = CalendarUse::opens) {
    return window_texts::left_out_of(reading_of(text, use));
}

std::string refusal(const std::string& text, CalendarUse use = CalendarUse::opens) {
    try {
        static_cast<void>(reading_of(text, use));
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

TEST(Calendar, TakesEventsWithEndOrDuration) {
    EXPECT_EQ(first(calendar(event("UID:1\nSUMMARY:night\\, long\n"
                                   "DTSTART;TZID=Europe/Berlin:20261128T220000\n"
                                   "DTEND;TZID=Europe/Berlin:20261129T020000\n") +
                             event("UID:2\nDTSTART:20261130T210000Z\nDURATION:PT1H30M\n"))),
              (Texts{"Sat 28 Nov 2026 22:00 CET to Sun 29 Nov 2026 02:00 CET: night, long",
                     "Mon 30 Nov 2026 22:00 CET to Mon 30 Nov 2026 23:30 CET"}));
}

TEST(Calendar, TakesDatesAndTimesWithoutAZoneAsThoseOfTheWindow) {
    EXPECT_EQ(first(calendar(event("DTSTART:20261128T220000\nDTEND:20261129T020000\n") +
                             event("DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261227\n") +
                             event("DTSTART;VALUE=DATE:20261231\n"))),
              (Texts{"Sat 28 Nov 2026 22:00 CET to Sun 29 Nov 2026 02:00 CET",
                     "Thu 24 Dec 2026 00:00 CET to Sun 27 Dec 2026 00:00 CET",
                     "Thu 31 Dec 2026 00:00 CET to Fri 1 Jan 2027 00:00 CET"}));
}

TEST(Calendar, RepeatsByTheClocksOfTheEvent) {
    EXPECT_EQ(first(calendar(event("DTSTART;TZID=America/New_York:20261025T010000\n"
                                   "DTEND;TZID=America/New_York:20261025T030000\n"
                                   "RRULE:FREQ=WEEKLY;BYDAY=SU;COUNT=4\n"))),
              (Texts{"Sun 1 Nov 2026 06:00 CET to Sun 1 Nov 2026 08:00 CET",
                     "Sun 8 Nov 2026 07:00 CET to Sun 8 Nov 2026 09:00 CET",
                     "Sun 15 Nov 2026 07:00 CET to Sun 15 Nov 2026 09:00 CET"}));
}

TEST(Calendar, FindsTheSecondTuesdayOfEachMonthAfterYears) {
    EXPECT_EQ(first(calendar(event("DTSTART;TZID=Europe/Berlin:20200114T220000\nDURATION:PT2H\n"
                                   "RRULE:FREQ=MONTHLY;BYDAY=2TU\n")),
                    2),
              (Texts{"Tue 10 Nov 2026 22:00 CET to Wed 11 Nov 2026 00:00 CET",
                     "Tue 8 Dec 2026 22:00 CET to Wed 9 Dec 2026 00:00 CET"}));
}

TEST(Calendar, EndsASeriesAtUntilWhicheverWayItIsWritten) {
    const std::string series = "DTSTART;TZID=Europe/Berlin:20261128T220000\nDURATION:PT1H\nRRULE:";
    for (const char* until : {"20261130T210000Z", "20261130T220000"}) {
        EXPECT_EQ(first(calendar(event(series + "FREQ=DAILY;UNTIL=" + until + "\n"))).size(), 3U)
            << until;
    }
    const std::string by_date = calendar(event(series + "FREQ=DAILY;UNTIL=20261130\n"));
    EXPECT_EQ(first(by_date).size(), 2U) << "whether that day is part of it is not certain";
    EXPECT_EQ(first(by_date, 4, CalendarUse::closes).size(), 3U);
    EXPECT_EQ(first(calendar(event(series + "FREQ=DAILY;UNTIL=20261130T205959Z\n"))).size(), 2U);
}

TEST(Calendar, RepeatsDaysAsTheyAreInTheZoneOfTheWindow) {
    EXPECT_EQ(first(calendar(event("DTSTART;VALUE=DATE:20270321\nDTEND;VALUE=DATE:20270322\n"
                                   "RRULE:FREQ=WEEKLY;BYDAY=SU;UNTIL=20270411\n"
                                   "EXDATE;VALUE=DATE:20270404\n"))),
              (Texts{"Sun 21 Mar 2027 00:00 CET to Mon 22 Mar 2027 00:00 CET",
                     "Sun 28 Mar 2027 00:00 CET to Mon 29 Mar 2027 00:00 CEST",
                     "Sun 11 Apr 2027 00:00 CEST to Mon 12 Apr 2027 00:00 CEST"}));
}

TEST(Calendar, CountsFromTheBeginOfASeriesAndKeepsWhatStillLasts) {
    EXPECT_EQ(first(calendar(event("DTSTART:20261029T230000Z\nDURATION:P3D\n"
                                   "RRULE:FREQ=DAILY;INTERVAL=10;COUNT=3\n"))),
              (Texts{"Fri 30 Oct 2026 00:00 CET to Mon 2 Nov 2026 00:00 CET",
                     "Mon 9 Nov 2026 00:00 CET to Thu 12 Nov 2026 00:00 CET",
                     "Thu 19 Nov 2026 00:00 CET to Sun 22 Nov 2026 00:00 CET"}));
    EXPECT_EQ(first(calendar(event("DTSTART:20280101T000000Z\nDURATION:PT1H\n"
                                   "RRULE:FREQ=DAILY\n"))),
              Texts{})
        << "after all that is asked for";
}

TEST(Calendar, LeavesOutExdatesAndAddsRdates) {
    EXPECT_EQ(first(calendar(event("DTSTART;TZID=Europe/Berlin:20261128T220000\nDURATION:PT1H\n"
                                   "RRULE:FREQ=DAILY;COUNT=4\n"
                                   "EXDATE;TZID=Europe/Berlin:20261128T220000,20261130T220000\n"
                                   "EXDATE:20261201T210000Z\n"
                                   "RDATE;TZID=Europe/Berlin:20261205T220000\n"
                                   "RDATE;VALUE=PERIOD:20261206T210000Z/20261206T230000Z,"
                                   "20261207T210000Z/PT30M\n"))),
              (Texts{"Sun 29 Nov 2026 22:00 CET to Sun 29 Nov 2026 23:00 CET",
                     "Sat 5 Dec 2026 22:00 CET to Sat 5 Dec 2026 23:00 CET",
                     "Sun 6 Dec 2026 22:00 CET to Mon 7 Dec 2026 00:00 CET",
                     "Mon 7 Dec 2026 22:00 CET to Mon 7 Dec 2026 22:30 CET"}));
}

/// Programs differ in what that means: what is open in all readings, and closed in one.
TEST(Calendar, TakesExdatesOfAnotherKindThanItsSeriesAsLessIsOpen) {
    const std::string by_time =
        calendar(event("SUMMARY:x\nDTSTART;TZID=America/New_York:20261128T220000\nDURATION:PT1H\n"
                       "RRULE:FREQ=DAILY;COUNT=5\nEXDATE;VALUE=DATE:20261130\n"));
    EXPECT_EQ(first(by_time),
              (Texts{"Sun 29 Nov 2026 04:00 CET to Sun 29 Nov 2026 05:00 CET: x",
                     "Wed 2 Dec 2026 04:00 CET to Wed 2 Dec 2026 05:00 CET: x",
                     "Thu 3 Dec 2026 04:00 CET to Thu 3 Dec 2026 05:00 CET: x"}))
        << "the 30th in New York and the 30th in Berlin";
    EXPECT_EQ(first(by_time, 9, CalendarUse::closes).size(), 5U);
    EXPECT_EQ(left_out(by_time), Texts{});
    EXPECT_EQ(
        left_out(by_time, CalendarUse::closes),
        (Texts{"event \"x\", EXDATE: of it and DTSTART one is a date and the other is not, and "
               "what it takes out is not certain"}));
    const std::string by_date =
        calendar(event("SUMMARY:x\nDTSTART;VALUE=DATE:20261128\nRRULE:FREQ=DAILY;COUNT=4\n"
                       "EXDATE:20261128T233000Z\n"));
    EXPECT_EQ(first(by_date).size(), 2U) << "the 28th in UTC, the 29th in Berlin";
    EXPECT_EQ(first(by_date, 9, CalendarUse::closes).size(), 4U);
}

TEST(Calendar, ReplacesSingleOccurrences) {
    const std::string series = event(
        "UID:a\nDTSTART;TZID=Europe/Berlin:20261128T220000\nDURATION:PT1H\n"
        "RRULE:FREQ=DAILY;COUNT=3\n");
    EXPECT_EQ(first(calendar(series +
                             event("UID:a\nRECURRENCE-ID:20261129T210000Z\n"
                                   "DTSTART;TZID=Europe/Berlin:20261129T180000\nDURATION:PT2H\n") +
                             event("UID:a\nRECURRENCE-ID;TZID=Europe/Berlin:20261130T220000\n"
                                   "DTSTART;TZID=Europe/Berlin:20261130T220000\n"
                                   "STATUS:CANCELLED\n"))),
              (Texts{"Sat 28 Nov 2026 22:00 CET to Sat 28 Nov 2026 23:00 CET",
                     "Sun 29 Nov 2026 18:00 CET to Sun 29 Nov 2026 20:00 CET"}));
    EXPECT_EQ(refusal(calendar(series + event("UID:a\nRECURRENCE-ID;VALUE=DATE:20261129\n"
                                              "DTSTART:20261129T180000\nDURATION:PT2H\n"))),
              "event \"a\": of DTSTART and RECURRENCE-ID one is a date and the other is not");
    EXPECT_EQ(refusal(calendar(series + event("UID:a\nRECURRENCE-ID;RANGE=THISANDPRIOR:"
                                              "20261129T210000Z\nDTSTART:20261129T180000\n"
                                              "DURATION:PT2H\n"))),
              "event \"a\": it changes a range of occurrences that is not known (RANGE)");
    EXPECT_EQ(refusal(calendar(series + event("UID:a\nRECURRENCE-ID:20261129T210000Z\n"
                                              "DTSTART:20261129T180000\nDURATION:PT2H\n"
                                              "RRULE:FREQ=DAILY\n"))),
              "event \"a\": it replaces occurrences by a series of its own");
    EXPECT_EQ(refusal(calendar(event("SUMMARY:x\nRECURRENCE-ID:20261129T210000Z\n"
                                     "DTSTART:20261129T180000\nDURATION:PT2H\n"))),
              "event \"x\": it has RECURRENCE-ID and no UID");
}

TEST(Calendar, ChangesAllOccurrencesFromOneOn) {
    const std::string series = event(
        "UID:a\nDTSTART;TZID=Europe/Berlin:20270326T220000\nDURATION:PT1H\n"
        "RRULE:FREQ=DAILY;COUNT=5\n");
    const std::string rest =
        "UID:a\nRECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20270328T220000\n"
        "DTSTART;TZID=Europe/Berlin:20270328T200000\n";
    const std::string changed = event(rest + "SUMMARY:new\nDURATION:PT3H\n");
    EXPECT_EQ(first(calendar(series + changed), 5),
              (Texts{"Fri 26 Mar 2027 22:00 CET to Fri 26 Mar 2027 23:00 CET",
                     "Sat 27 Mar 2027 22:00 CET to Sat 27 Mar 2027 23:00 CET",
                     "Sun 28 Mar 2027 20:00 CEST to Sun 28 Mar 2027 23:00 CEST: new",
                     "Mon 29 Mar 2027 20:00 CEST to Mon 29 Mar 2027 23:00 CEST: new",
                     "Tue 30 Mar 2027 20:00 CEST to Tue 30 Mar 2027 23:00 CEST: new"}));
    EXPECT_EQ(first(calendar(series + changed +
                             event("UID:a\nRECURRENCE-ID;TZID=Europe/Berlin:20270329T220000\n"
                                   "DTSTART:20270329T050000Z\nDURATION:PT1H\n")),
                    5)
                  .at(3),
              "Mon 29 Mar 2027 07:00 CEST to Mon 29 Mar 2027 08:00 CEST");
    EXPECT_EQ(first(calendar(series + event(rest + "STATUS:CANCELLED\n"))).size(), 2U);
}

TEST(Calendar, TakesTheNewestOfWhatWasSentAgain) {
    const std::string series = event("UID:a\nDTSTART:20261128T210000Z\nDURATION:PT1H\n");
    const auto moved = [](const std::string& lines, const std::string& hour) {
        return event("UID:a\n" + lines + "DTSTART:20261128T" + hour + "0000Z\nDURATION:PT1H\n");
    };
    const Texts later{"Sat 28 Nov 2026 23:00 CET to Sun 29 Nov 2026 00:00 CET"};
    EXPECT_EQ(first(calendar(series + moved("SEQUENCE:1\n", "22"))), later);
    EXPECT_EQ(first(calendar(moved("SEQUENCE:10\nDTSTAMP:20260101T000000Z\n", "22") +
                             moved("SEQUENCE:9\nDTSTAMP:20260102T000000Z\n", "20"))),
              later);
    EXPECT_EQ(first(calendar(moved("DTSTAMP:20260102T000000Z\n", "22") +
                             moved("DTSTAMP:20260101T000000Z\n", "20"))),
              later);
    EXPECT_EQ(left_out(calendar(series + moved("SEQUENCE:1\n", "22"))),
              Texts{"event \"a\": another one of this UID counts"});
    EXPECT_EQ(first(calendar(series + series)).size(), 1U) << "the same twice";
    EXPECT_EQ(refusal(calendar(series + moved("", "22"))),
              "two events have the UID \"a\", and none is newer");
    EXPECT_EQ(first(calendar(series + event("UID:a\nSEQUENCE:1\nDTSTART:20261128T210000Z\n"
                                            "STATUS:CANCELLED\n"))),
              Texts{});
    // Outlook's are longer than what a message shows, and differ at their end.
    const std::string outlook = "UID:" + std::string(100, '0');
    EXPECT_EQ(first(calendar(event(outlook + "1\nDTSTART:20261128T210000Z\nDURATION:PT1H\n") +
                             event(outlook + "2\nDTSTART:20261129T210000Z\nDURATION:PT1H\n")))
                  .size(),
              2U);
}

TEST(Calendar, TakesTheNewestOfTwoEventsForOneOccurrence) {
    const std::string series =
        event("UID:a\nDTSTART:20261128T070000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=2\n");
    const auto moved = [](const std::string& lines, const std::string& hour) {
        return event("UID:a\nRECURRENCE-ID:20261129T070000Z\n" + lines + "DTSTART:20261129T" +
                     hour + "0000Z\nDURATION:PT1H\n");
    };
    const Texts twice{"Sat 28 Nov 2026 08:00 CET to Sat 28 Nov 2026 09:00 CET",
                      "Sun 29 Nov 2026 13:00 CET to Sun 29 Nov 2026 14:00 CET"};
    EXPECT_EQ(first(calendar(series + moved("SEQUENCE:1\n", "10") + moved("SEQUENCE:2\n", "12"))),
              twice);
    EXPECT_EQ(first(calendar(moved("SEQUENCE:2\n", "12") + moved("SEQUENCE:1\n", "10") + series)),
              twice);
    EXPECT_EQ(refusal(calendar(series + moved("", "10") + moved("", "12"))),
              "two events have the UID \"a\", and none is newer");
}

TEST(Calendar, LeavesOutWhatHasNoLength) {
    const std::string reminder = event("SUMMARY:reminder\nDTSTART:20261128T220000Z\n");
    const std::string night = event("DTSTART:20261128T220000Z\nDURATION:PT1H\n");
    const std::string day =
        event("SUMMARY:day\nDTSTART;VALUE=DATE:20261130\nDTEND;VALUE=DATE:20261130\n");
    for (const std::string& empty :
         {reminder,
          event("SUMMARY:reminder\nDTSTART:20261128T220000Z\nDTEND:20261128T220000Z\n"),
          event("SUMMARY:reminder\nDTSTART:20261128T220000Z\nDURATION:PT0S\n"
                "RRULE:FREQ=DAILY\n")}) {
        EXPECT_EQ(first(calendar(empty + night)).size(), 1U);
        EXPECT_EQ(left_out(calendar(empty + night), CalendarUse::closes),
                  Texts{"event \"reminder\": it has no length"});
        EXPECT_EQ(first(calendar(empty)), Texts{});
        EXPECT_EQ(refusal(calendar(empty), CalendarUse::closes),
                  "has nothing that closes anything: its events have no length");
    }
    // A day that ends when it begins: programs mean the day.
    EXPECT_EQ(first(calendar(day)), Texts{});
    EXPECT_EQ(first(calendar(day), 4, CalendarUse::closes),
              Texts{"Mon 30 Nov 2026 00:00 CET to Tue 1 Dec 2026 00:00 CET: day"});
}

TEST(Calendar, ClosesInBusyTimesAndWhereNoneArePublished) {
    const std::string busy =
        "BEGIN:VFREEBUSY\nUID:b\nDTSTART:20261101T000000Z\nDTEND:20270101T000000Z\n"
        "FREEBUSY:20261128T210000Z/PT2H,20261129T210000Z/20261129T220000Z\n"
        "FREEBUSY;FBTYPE=FREE:20261130T210000Z/PT2H\n"
        "FREEBUSY;FBTYPE=BUSY-TENTATIVE:20261201T210000Z/PT1H\nEND:VFREEBUSY\n";
    EXPECT_EQ(first(calendar(busy), 9, CalendarUse::closes),
              (Texts{"Sat 28 Nov 2026 22:00 CET to Sun 29 Nov 2026 00:00 CET: busy",
                     "Sun 29 Nov 2026 22:00 CET to Sun 29 Nov 2026 23:00 CET: busy",
                     "Tue 1 Dec 2026 22:00 CET to Tue 1 Dec 2026 23:00 CET: busy",
                     "Fri 1 Jan 2027 01:00 CET to Wed 3 Nov 2027 01:00 CET: no busy times are "
                     "published for it"}));
    EXPECT_EQ(first(calendar(busy)), Texts{});
    EXPECT_EQ(left_out(calendar(busy)), Texts{"VFREEBUSY: busy times open nothing"});
    EXPECT_EQ(refusal(calendar("BEGIN:VFREEBUSY\nFREEBUSY:20261128T210000Z/PT2H\nEND:VFREEBUSY\n"),
                      CalendarUse::closes),
              "VFREEBUSY does not say from when to when it is (DTSTART and DTEND)");
}

TEST(Calendar, ClosesByNameWhereNothingIsUnderstood) {
    const std::string task = "BEGIN:VTODO\nUID:t\nDUE:20261128T210000Z\nEND:VTODO\n";
    const std::string available =
        "BEGIN:VAVAILABILITY\nBEGIN:AVAILABLE\nDTSTART:20261128T210000Z\nEND:AVAILABLE\n"
        "END:VAVAILABILITY\n";
    const std::string night = event("DTSTART:20261128T220000Z\nDURATION:PT1H\n");
    EXPECT_EQ(refusal(calendar(task), CalendarUse::closes),
              "has nothing that closes anything: only 1 VTODO");
    EXPECT_EQ(left_out(calendar(task + task + night), CalendarUse::closes),
              Texts{"2 VTODO: no events"});
    EXPECT_EQ(refusal(calendar(available + night), CalendarUse::closes),
              "has VAVAILABILITY, which is not supported");
    EXPECT_EQ(first(calendar(available + night)).size(), 1U);
    EXPECT_EQ(refusal(calendar("BEGIN:VEVNT\nEND:VEVNT\n")),
              "has VEVNT, which is not known: did you mean \"VEVENT\"?");
    EXPECT_EQ(refusal(calendar("BEGIN:X-BOX\n" + night + "END:X-BOX\n")),
              "has a VEVENT that is not directly in VCALENDAR");
    EXPECT_EQ(refusal(calendar("CALSCALE:HEBREW\n" + night)),
              "is not of the Gregorian calendar (CALSCALE)");
    EXPECT_EQ(first(calendar(""), 4, CalendarUse::closes), Texts{}) << "it is known to be empty";
}

TEST(Calendar, PutsRulesTogetherAndTakesOutExceptionRules) {
    const std::string start = "UID:a\nDTSTART:20261128T210000Z\nDURATION:PT1H\n";
    EXPECT_EQ(
        first(calendar(event(start + "RRULE:FREQ=DAILY;COUNT=2\nRRULE:FREQ=WEEKLY;COUNT=2\n"))),
        (Texts{"Sat 28 Nov 2026 22:00 CET to Sat 28 Nov 2026 23:00 CET",
               "Sun 29 Nov 2026 22:00 CET to Sun 29 Nov 2026 23:00 CET",
               "Sat 5 Dec 2026 22:00 CET to Sat 5 Dec 2026 23:00 CET"}));
    EXPECT_EQ(
        first(calendar(event(start + "RRULE:FREQ=DAILY\nEXRULE:FREQ=WEEKLY;BYDAY=SU,MO,TU\n")), 2),
        (Texts{"Sat 28 Nov 2026 22:00 CET to Sat 28 Nov 2026 23:00 CET",
               "Wed 2 Dec 2026 22:00 CET to Wed 2 Dec 2026 23:00 CET"}));
}

TEST(Calendar, LeavesOutADtstartThatItsRuleDoesNotMeet) {
    const std::string sundays = calendar(
        event("UID:a\nDTSTART:20261128T210000Z\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;BYDAY=SU\n"));
    EXPECT_EQ(first(sundays, 1), Texts{"Sun 29 Nov 2026 22:00 CET to Sun 29 Nov 2026 23:00 CET"});
    EXPECT_EQ(left_out(sundays), Texts{"event \"a\", DTSTART: its RRULE does not meet it"});
    EXPECT_EQ(first(sundays, 1, CalendarUse::closes),
              Texts{"Sat 28 Nov 2026 22:00 CET to Sat 28 Nov 2026 23:00 CET"});
}

TEST(Calendar, IgnoresWhatIsCancelled) {
    EXPECT_EQ(
        first(calendar(event("UID:a\nDTSTART:20261128T220000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY\n"
                             "STATUS:CANCELLED\n") +
                       event("UID:a\nRECURRENCE-ID:20261129T220000Z\nDTSTART:20261129T180000Z\n"
                             "DURATION:PT2H\n") +
                       event("UID:b\nDTSTART:20261128T220000Z\nSTATUS:CANCELLED\n"))),
        Texts{});
}

// As PathJudgement writes it: the zone's name is its own, and its year is 1601.
TEST(Calendar, TakesTheZoneThatTheFileDescribes) {
    const std::string zone =
        "BEGIN:VTIMEZONE\nTZID:W. Europe Standard Time\n"
        "BEGIN:STANDARD\nDTSTART:16010101T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\n"
        "RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10\nEND:STANDARD\n"
        "BEGIN:DAYLIGHT\nDTSTART:16010101T020000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\n"
        "RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3\nEND:DAYLIGHT\nEND:VTIMEZONE\n";
    const std::string series = event(
        "DTSTART;TZID=W. Europe Standard Time:20270320T220000\n"
        "DTEND;TZID=W. Europe Standard Time:20270321T020000\nRRULE:FREQ=WEEKLY;COUNT=2\n");
    EXPECT_EQ(first(calendar(zone + series)),
              (Texts{"Sat 20 Mar 2027 22:00 CET to Sun 21 Mar 2027 02:00 CET",
                     "Sat 27 Mar 2027 22:00 CET to Sun 28 Mar 2027 03:00 CEST"}));
    for (const char* name :
         {"../../etc/passwd", "Nowhere Standard Time", "/etc/passwd", "/x/Nowhere/City"}) {
        EXPECT_EQ(
            refusal(calendar(event("DTSTART;TZID=" + std::string(name) + ":20261128T220000\n"))),
            "TZID \"" + std::string(name) +
                "\" is no IANA name and none of Windows, and the file has no VTIMEZONE of it");
    }
}

TEST(Calendar, KnowsZonesByTheNamesOfPrograms) {
    for (const auto& [name, begin] : std::vector<std::pair<std::string, std::string>>{
             {"Pacific Standard Time", "Sun 29 Nov 2026 07:00 CET"},
             {"India Standard Time", "Sat 28 Nov 2026 17:30 CET"},
             {"tzone://Microsoft/Utc", "Sat 28 Nov 2026 23:00 CET"},
             {"/freeassociation.sourceforge.net/Europe/London", "Sat 28 Nov 2026 23:00 CET"},
             {"/a.example/20050126_1/America/Argentina/Ushuaia", "Sun 29 Nov 2026 02:00 CET"}}) {
        EXPECT_EQ(
            first(calendar(event("DTSTART;TZID=\"" + name + "\":20261128T220000\nDURATION:PT1H\n")))
                .at(0)
                .find(begin),
            0U)
            << name;
    }
}

// RFC 5545: what comes from DTEND is as long each time, a DURATION of a day is a day of clocks, and
// a time that clocks skip is what it would have been.
TEST(Calendar, FollowsTheStandardWhereClocksChange) {
    EXPECT_EQ(first(calendar(event("SUMMARY:end\nDTSTART;TZID=Europe/Berlin:20270327T120000\n"
                                   "DTEND;TZID=Europe/Berlin:20270327T180000\n") +
                             event("SUMMARY:nominal\nDTSTART;TZID=Europe/Berlin:20270327T130000\n"
                                   "DURATION:P1D\n") +
                             event("SUMMARY:exact\nDTSTART;TZID=Europe/Berlin:20270327T140000\n"
                                   "DURATION:PT24H\n") +
                             event("SUMMARY:skipped\nDTSTART;TZID=Europe/Berlin:20270328T023000\n"
                                   "DURATION:PT1H\n"))),
              (Texts{"Sat 27 Mar 2027 12:00 CET to Sat 27 Mar 2027 18:00 CET: end",
                     "Sat 27 Mar 2027 13:00 CET to Sun 28 Mar 2027 13:00 CEST: nominal",
                     "Sat 27 Mar 2027 14:00 CET to Sun 28 Mar 2027 15:00 CEST: exact",
                     "Sun 28 Mar 2027 03:30 CEST to Sun 28 Mar 2027 04:30 CEST: skipped"}));
}

TEST(Calendar, ReadsWhatProgramsWriteAroundTheTimes) {
    EXPECT_EQ(
        first("\xEF\xBB\xBF" +
              calendar(
                  "X-WR-CALNAME:Ops\nREFRESH-INTERVAL;VALUE=DURATION:P1W\n" +
                  event("UID:1\nLOCATION:\nDESCRIPTION:\nX-EMPTY:\n"
                        "DTSTA\n RT:20261128T2100\n 00Z\nDURATION:PT1H\n"
                        "SUMMARY:a\\nb\\;c " +
                        std::string(100, 'x') +
                        "\nATTENDEE;broken\nBEGIN:VALARM\nACTION:DISPLAY\nTRIGGER:soon\nDTSTART:x\n"
                        "DESCRIPTION:x\nEND:VALARM\n"))),
        (Texts{"Sat 28 Nov 2026 22:00 CET to Sat 28 Nov 2026 23:00 CET: a b;c " +
               std::string(74, 'x') + "..."}));
    EXPECT_EQ(first(calendar("")), Texts{});
}

TEST(Calendar, IsRefusedWhereItIsNotComplete) {
    const std::string whole =
        calendar(event("UID:1\nDTSTART:20261128T220000Z\nDTEND:20261128T230000Z\n"));
    ASSERT_EQ(first(whole).size(), 1U);
    for (std::size_t size = 0; size + 2 < whole.size(); ++size) {
        EXPECT_NE(refusal(whole.substr(0, size)), "") << size;
    }
    EXPECT_EQ(refusal(whole.substr(0, whole.size() - 30)), "is cut off: END:VEVENT is missing");
    EXPECT_EQ(first(whole + whole).size(), 1U) << "several calendars are one";
    EXPECT_EQ(refusal(whole + "BEGIN:VCALENDAR\n"), "is cut off: END:VCALENDAR is missing");
    EXPECT_EQ(refusal("BEGIN:VCALENDAR\n" + whole + "END:VCALENDAR\n"),
              "has a VCALENDAR inside of one");
    EXPECT_EQ(refusal("<html>\n" + whole), "is no iCalendar file");
    EXPECT_EQ(refusal(std::string("BEGIN:VCALENDAR\0\nEND:VCALENDAR\n", 31)),
              "is no iCalendar file: it has a NUL in it");
    EXPECT_EQ(refusal(calendar(event("SUMMARY:\xC3(\n"))),
              "is no iCalendar file: it is not in UTF-8");
    std::string deep;
    for (int n = 0; n < 100'000; ++n) {
        deep += "BEGIN:VALARM\n";
    }
    EXPECT_EQ(refusal("BEGIN:VCALENDAR\n" + deep), "has too many levels of BEGIN");
    EXPECT_EQ(refusal(calendar(event(event("")))),
              "has a VEVENT that is not directly in VCALENDAR");
}

TEST(Calendar, IsRefusedRatherThanGuessedAt) {
    const std::string start = "SUMMARY:x\nDTSTART:20261128T220000Z\n";
    const std::string hour = start + "DURATION:PT1H\n";
    std::string commas;
    std::string lines;
    for (int n = 0; n < 1000; ++n) {
        commas += ",20261128T220000Z";
        lines += "EXDATE:20261128T220000Z\n";
    }
    const std::vector<std::pair<std::string, std::string>> cases{
        {start + "DTEND:20261128T215959Z\n", "event \"x\": it ends before it begins"},
        {start + "DTEND:20261128T2\n",
         "cannot be understood: Can't parse as DATE-TIME value in DTEND property. Removing entire "
         "property: 20261128T2"},
        {start + "DURATION:-PT1H\n", "event \"x\": its length makes no sense"},
        {start + "DURATION:\n",
         "cannot be understood: No value for DURATION property. Removing entire property:"},
        {start + "DTEND;VALUE=DATE:20261129\n",
         "event \"x\": of DTSTART and DTEND one is a date and the other is not"},
        {"SUMMARY:x\nDURATION:PT1H\n", "event \"x\": it needs one DTSTART"},
        {"SUMMARY:x\nDTSTART:20261328T220000Z\nDURATION:PT1H\n",
         "event \"x\": there is a date that does not exist"},
        {start + "DTEND:20261128T250000Z\n", "event \"x\": there is a time that does not exist"},
        {hour + "RRULE:FREQ=SECONDLY\n",
         "event \"x\": its RRULE is by the hour, minute or second, which is not supported"},
        {hour + "RRULE:FREQ=HOURLY;INTERVAL=6\n",
         "event \"x\": its RRULE is by the hour, minute or second, which is not supported"},
        {hour + "RRULE:FREQ=DAILY;BYHOUR=22;BYMINUTE=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,"
                "18,19,20,21,22,23,24,25,26,27,28,29,30;BYSECOND=0,1,2,3,4,5,6\n",
         "event \"x\": its RRULE makes too many occurrences"},
        {hour + "RRULE:FREQ=YEARLY;RSCALE=HEBREW\n",
         "event \"x\": its RRULE has RSCALE, which is not supported"},
        {hour + "RRULE:\n", "has an RRULE without a value"},
        {hour + "EXRULE:FREQ=HOURLY\n",
         "event \"x\": its RRULE is by the hour, minute or second, which is not supported"},
        {hour + "RRULE:FREQ=DALY\n", "event \"x\": its RRULE is not understood: DALY"},
        {hour + "RRUEL:FREQ=DAILY\n", "has RRUEL, which is not known: did you mean \"RRULE\"?"},
        {hour + "EXDATES:20261128T220000Z\n",
         "has EXDATES, which is not known: did you mean \"EXDATE\"?"},
        {hour + "SEQUENCE:two\n", "has a SEQUENCE that is no number"},
        {hour + "DTSTART:20261128T230000Z\n", "event \"x\": it needs one DTSTART"},
        {hour + "EXDATE:20261128T220000Z" + commas + "\n",
         "has too many lines or values in one VEVENT"},
        {hour + "STATUS:CANCELED\n",
         "event \"x\": its STATUS is not CONFIRMED, TENTATIVE or CANCELLED"},
        {"SUMMARY:x\nDTSTART;VALUE=DATE:20261128\nDURATION:PT4H\n",
         "event \"x\": it begins on a date and does not last whole days"},
        {hour + "RDATE;VALUE=DATE:20261130\n",
         "event \"x\": of DTSTART and RDATE one is a date and the other is not"},
        {hour + "RDATE;VALUE=PERIOD:20261207T210000Z/20261206T230000Z\n",
         "event \"x\": a period ends before it begins"},
        {hour + lines, "has too many lines or values in one VEVENT"},
        {hour + "garbage\n", "has a line that is none of iCalendar: garbage"},
    };
    for (const auto& [wrong, why] : cases) {
        EXPECT_EQ(refusal(calendar(event(wrong))), why) << wrong;
    }
    EXPECT_EQ(refusal(calendar("METHOD:CANCEL\n")),
              "takes back events (METHOD:CANCEL) instead of naming them");
}

// A rule that nothing ever fits, from long ago, many times over.
TEST(Calendar, IsGivenUpBeforeItTakesLong) {
    std::string events;
    for (int n = 0; n < 5000; ++n) {
        events += event(
            "DTSTART:16010101T000000\nDURATION:PT1H\n"
            "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30\n");
    }
    EXPECT_NE(refusal(calendar(events)), "");
    std::string zones;
    for (int n = 0; n < 51; ++n) {
        const std::string name = "Z" + std::to_string(n);
        zones += "BEGIN:VTIMEZONE\nTZID:" + name +
                 "\nBEGIN:STANDARD\nDTSTART:20000101T000000\nTZOFFSETFROM:+0100\n"
                 "TZOFFSETTO:+0100\nEND:STANDARD\nEND:VTIMEZONE\n" +
                 event("DTSTART;TZID=" + name + ":20261128T220000\nDURATION:PT1H\n");
    }
    EXPECT_EQ(refusal(calendar(zones)), "it is of one time zone too many");
    EXPECT_EQ(refusal(calendar(event("DTSTART:19000101T000000\nDURATION:PT1H\n"
                                     "RRULE:FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=0;BYSETPOS=4\n"
                                     "RRULE:FREQ=YEARLY;BYDAY=1MO,2MO;BYMONTH=2;BYMONTHDAY=30\n"
                                     "RRULE:FREQ=DAILY;BYMONTHDAY=32,-31\n"))),
              "its RRULE is not understood: 32");
    EXPECT_EQ(refusal(calendar(event("DTSTART:00010101T000000\nDURATION:PT1H\n"
                                     "RRULE:FREQ=DAILY\n"))),
              "its RRULE reaches back too far");
}

}  // namespace
}  // namespace lockstep
