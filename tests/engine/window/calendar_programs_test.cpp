#include "engine/window/calendar.hpp"
#include "tests/engine/window/window_texts.hpp"

#include <gtest/gtest.h>

#include <map>

// Calendars in the forms of the programs that people export them from, with what else those write.
// Written for this test.
namespace lockstep {
namespace {

using window_texts::Texts;
using window_texts::utc;

CalendarReading reading_of(const std::string& text, CalendarUse use) {
    const auto from = std::chrono::floor<std::chrono::seconds>(utc("2026-11-01 00:00"));
    return read_calendar(
        text, load_time_zone("Europe/Berlin"), {from, from + std::chrono::days{60}}, use);
}

Texts times(const std::string& text, CalendarUse use = CalendarUse::opens) {
    Texts texts;
    for (const CalendarEvent& found : reading_of(text, use).events) {
        texts.push_back(local_text(found.span.from, "Europe/Berlin") + " to " +
                        local_text(found.span.to, "Europe/Berlin") + ": " + found.summary);
    }
    return texts;
}

Texts left_out(const std::string& text, CalendarUse use = CalendarUse::opens) {
    return window_texts::left_out_of(reading_of(text, use));
}

// Outlook: a zone of Windows from 1601 on, UIDs of 112 digits, a DTSTART that the rule does not
// meet, a reminder without length.
constexpr const char* k_outlook = R"(BEGIN:VCALENDAR
PRODID:-//Microsoft Corporation//Outlook 16.0 MIMEDIR//EN
VERSION:2.0
METHOD:PUBLISH
X-CALSTART:20261101T000000Z
X-WR-RELCALID:{0000002E-2A2A-3B3B-4C4C-000000000001}
X-PRIMARY-CALENDAR:TRUE
BEGIN:VTIMEZONE
TZID:W. Europe Standard Time
BEGIN:STANDARD
DTSTART:16011028T030000
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010325T020000
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
END:DAYLIGHT
END:VTIMEZONE
BEGIN:VEVENT
CLASS:PUBLIC
CREATED:20261001T080000Z
DESCRIPTION:Hosts of the shop\, one after the other.\n
DTEND;TZID="W. Europe Standard Time":20261111T020000
DTSTAMP:20261001T080000Z
DTSTART;TZID="W. Europe Standard Time":20261110T220000
LAST-MODIFIED:20261001T080000Z
PRIORITY:5
RRULE:FREQ=WEEKLY;COUNT=3;BYDAY=TU,WE
SEQUENCE:0
SUMMARY;LANGUAGE=en-us:Patch night
TRANSP:OPAQUE
UID:040000008200E00074C5B7101A82E00800000000A0B1C2D3E4F5D801000000000000000
	01000000011112222333344445555666677778888
X-ALT-DESC;FMTTYPE=text/html:<html><body>Hosts: one after the other</body></html>
X-MICROSOFT-CDO-BUSYSTATUS:BUSY
X-MICROSOFT-CDO-IMPORTANCE:1
BEGIN:VALARM
TRIGGER:-PT15M
ACTION:DISPLAY
DESCRIPTION:Reminder
END:VALARM
END:VEVENT
BEGIN:VEVENT
DTEND;TZID="W. Europe Standard Time":20261112T090000
DTSTAMP:20261001T080000Z
DTSTART;TZID="W. Europe Standard Time":20261112T090000
SUMMARY;LANGUAGE=en-us:Call the vendor
UID:040000008200E00074C5B7101A82E00800000000A0B1C2D3E4F5D801000000000000000
	01000000011112222333344445555666677779999
END:VEVENT
BEGIN:VEVENT
DTEND;TZID="W. Europe Standard Time":20261124T020000
DTSTAMP:20261001T080000Z
DTSTART;TZID="W. Europe Standard Time":20261123T220000
RRULE:FREQ=MONTHLY;BYDAY=-1TU;COUNT=3
SUMMARY;LANGUAGE=en-us:Month end
UID:040000008200E00074C5B7101A82E00800000000A0B1C2D3E4F5D801000000000000000
	0100000001111222233334444555566667777AAAA
END:VEVENT
END:VCALENDAR
)";

TEST(CalendarPrograms, OutlookIsRead) {
    EXPECT_EQ(times(k_outlook),
              (Texts{"Tue 10 Nov 2026 22:00 CET to Wed 11 Nov 2026 02:00 CET: Patch night",
                     "Wed 11 Nov 2026 22:00 CET to Thu 12 Nov 2026 02:00 CET: Patch night",
                     "Tue 17 Nov 2026 22:00 CET to Wed 18 Nov 2026 02:00 CET: Patch night",
                     "Tue 24 Nov 2026 22:00 CET to Wed 25 Nov 2026 02:00 CET: Month end",
                     "Tue 29 Dec 2026 22:00 CET to Wed 30 Dec 2026 02:00 CET: Month end"}));
    EXPECT_EQ(left_out(k_outlook),
              (Texts{"event \"Month end\", DTSTART: its RRULE does not meet it",
                     "event \"Call the vendor\": it has no length"}));
    EXPECT_EQ(times(k_outlook, CalendarUse::closes).at(3),
              "Mon 23 Nov 2026 22:00 CET to Tue 24 Nov 2026 02:00 CET: Month end");
}

// Google: all by IANA names or UTC, changes of a series as events of their own, an unknown
// property.
constexpr const char* k_google = R"(BEGIN:VCALENDAR
PRODID:-//Google Inc//Google Calendar 70.9054//EN
VERSION:2.0
CALSCALE:GREGORIAN
METHOD:PUBLISH
X-WR-CALNAME:Operations
X-WR-TIMEZONE:Europe/Berlin
BEGIN:VEVENT
DTSTART;TZID=Europe/Berlin:20261102T220000
DTEND;TZID=Europe/Berlin:20261102T230000
RRULE:FREQ=WEEKLY;WKST=MO;UNTIL=20261124T225959Z;BYDAY=MO
EXDATE;TZID=Europe/Berlin:20261109T220000
DTSTAMP:20261001T080000Z
UID:1a2b3c4d5e@calendar.example
ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED;CN="Ops:
  night shift";X-NUM-GUESTS=0:mailto:ops@shop.example
SEQUENCE:2
STATUS:CONFIRMED
SUMMARY:Patches
TRANSP:TRANSPARENT
END:VEVENT
BEGIN:VEVENT
DTSTART;TZID=Europe/Berlin:20261117T220000
DTEND;TZID=Europe/Berlin:20261117T230000
DTSTAMP:20261001T080000Z
UID:1a2b3c4d5e@calendar.example
RECURRENCE-ID;TZID=Europe/Berlin:20261116T220000
SEQUENCE:3
STATUS:CONFIRMED
SUMMARY:Patches\, moved
END:VEVENT
BEGIN:VEVENT
DTSTART;VALUE=DATE:20261224
DTEND;VALUE=DATE:20261227
DTSTAMP:20261001T080000Z
UID:6f7a8b9c0d@calendar.example
CLASS:PRIVATE
SUMMARY:Christmas
CONFERENCE-URL:none
END:VEVENT
BEGIN:VEVENT
DTSTART:20261201T210000Z
DTEND:20261201T220000Z
UID:11aa22bb@calendar.example
STATUS:CANCELLED
SUMMARY:Dropped
END:VEVENT
END:VCALENDAR
)";

TEST(CalendarPrograms, GoogleIsRead) {
    EXPECT_EQ(times(k_google),
              (Texts{"Mon 2 Nov 2026 22:00 CET to Mon 2 Nov 2026 23:00 CET: Patches",
                     "Tue 17 Nov 2026 22:00 CET to Tue 17 Nov 2026 23:00 CET: Patches, moved",
                     "Mon 23 Nov 2026 22:00 CET to Mon 23 Nov 2026 23:00 CET: Patches",
                     "Thu 24 Dec 2026 00:00 CET to Sun 27 Dec 2026 00:00 CET: Christmas"}));
    EXPECT_EQ(left_out(k_google),
              (Texts{"event \"Dropped\": it is cancelled",
                     "property CONFERENCE-URL: it is not known, and no times depend on it"}));
}

// Exchange: zones by their names in Windows without a VTIMEZONE, UTC as a URL, busy times.
constexpr const char* k_exchange = R"(BEGIN:VCALENDAR
METHOD:PUBLISH
PRODID:Microsoft Exchange Server 2010
VERSION:2.0
X-WR-CALNAME:Calendar
BEGIN:VEVENT
UID:EX-1
SUMMARY:Busy
DTSTART;TZID=Eastern Standard Time:20261110T160000
DTEND;TZID=Eastern Standard Time:20261110T170000
CLASS:PUBLIC
PRIORITY:5
TRANSP:OPAQUE
STATUS:CONFIRMED
SEQUENCE:0
X-MICROSOFT-CDO-INSTTYPE:0
END:VEVENT
BEGIN:VEVENT
UID:EX-2
SUMMARY:Moved
RRULE:FREQ=DAILY;UNTIL=20261113T210000Z;INTERVAL=1
DTSTART;TZID="tzone://Microsoft/Utc":20261111T210000
DTEND;TZID="tzone://Microsoft/Utc":20261111T220000
SEQUENCE:1
END:VEVENT
BEGIN:VEVENT
UID:EX-2
SUMMARY:Moved once
RECURRENCE-ID;TZID="tzone://Microsoft/Utc":20261112T210000
DTSTART;TZID="tzone://Microsoft/Utc":20261112T190000
DTEND;TZID="tzone://Microsoft/Utc":20261112T200000
SEQUENCE:1
END:VEVENT
BEGIN:VEVENT
UID:EX-2
SUMMARY:Moved twice
RECURRENCE-ID;TZID="tzone://Microsoft/Utc":20261112T210000
DTSTART;TZID="tzone://Microsoft/Utc":20261112T180000
DTEND;TZID="tzone://Microsoft/Utc":20261112T190000
SEQUENCE:2
END:VEVENT
END:VCALENDAR
BEGIN:VCALENDAR
METHOD:PUBLISH
VERSION:2.0
BEGIN:VFREEBUSY
DTSTART:20261101T000000Z
DTEND:20270101T000000Z
FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:20261120T230000Z/20261121T230000Z
END:VFREEBUSY
END:VCALENDAR
)";

TEST(CalendarPrograms, ExchangeIsRead) {
    const Texts events{"Tue 10 Nov 2026 22:00 CET to Tue 10 Nov 2026 23:00 CET: Busy",
                       "Wed 11 Nov 2026 22:00 CET to Wed 11 Nov 2026 23:00 CET: Moved",
                       "Thu 12 Nov 2026 19:00 CET to Thu 12 Nov 2026 20:00 CET: Moved twice",
                       "Fri 13 Nov 2026 22:00 CET to Fri 13 Nov 2026 23:00 CET: Moved"};
    EXPECT_EQ(times(k_exchange), events);
    EXPECT_EQ(
        left_out(k_exchange),
        (Texts{"VFREEBUSY: busy times open nothing",
               "event \"Moved once\": another one of this UID for the same occurrence counts"}));
    Texts busy = events;
    busy.push_back("Sat 21 Nov 2026 00:00 CET to Sun 22 Nov 2026 00:00 CET: busy");
    EXPECT_EQ(times(k_exchange, CalendarUse::closes), busy);
}

// Confluence: own names without X-, an event that was sent again, a day that ends when it begins.
constexpr const char* k_confluence = R"(BEGIN:VCALENDAR
PRODID:-//Atlassian Confluence//Calendar Plugin 1.0//EN
VERSION:2.0
CALSCALE:GREGORIAN
X-WR-CALNAME:Releases
X-WR-CALDESC:
X-WR-TIMEZONE:Europe/Berlin
X-MIGRATED-FOR-USER-KEY:true
METHOD:PUBLISH
BEGIN:VTIMEZONE
TZID:Europe/Berlin
TZURL:http://tzurl.example/zoneinfo/Europe/Berlin
SINCE-DST:1980
X-LIC-LOCATION:Europe/Berlin
BEGIN:STANDARD
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
TZNAME:CET
DTSTART:19961027T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
DTSTAMP:20261001T080000Z
DTSTART;TZID=Europe/Berlin:20261103T180000
DTEND;TZID=Europe/Berlin:20261103T200000
SUMMARY:Release
CATEGORIES:other
SUBCALENDAR-ID:0f1e2d3c
PARENT-CALENDAR-ID:4b5a6978
PARENT-CALENDAR-NAME:
SUBSCRIPTION-ID:
SUBCALENDAR-TZ-ID:Europe/Berlin
SUBCALENDAR-NAME:Releases
EVENT-ID:1001
EVENT-ALLDAY:false
UID:20261001T080000Z--77@wiki.example
DESCRIPTION:
ORGANIZER;X-CONFLUENCE-USER-KEY=ff80;CN=ops;CUTYPE=INDIVIDUAL:mailto:ops@shop.example
RRULE:FREQ=MONTHLY;BYDAY=1TU;INTERVAL=1;UNTIL=20261231T180000Z
SEQUENCE:1
END:VEVENT
BEGIN:VEVENT
DTSTAMP:20260901T080000Z
DTSTART;TZID=Europe/Berlin:20261103T120000
DTEND;TZID=Europe/Berlin:20261103T130000
SUMMARY:Release\, as first planned
UID:20261001T080000Z--77@wiki.example
END:VEVENT
BEGIN:VEVENT
DTSTART;VALUE=DATE:20261110
DTEND;VALUE=DATE:20261110
SUMMARY:Freeze
EVENT-ALLDAY:true
UID:20261001T080000Z--78@wiki.example
END:VEVENT
END:VCALENDAR
)";

TEST(CalendarPrograms, ConfluenceIsRead) {
    const Texts releases{"Tue 3 Nov 2026 18:00 CET to Tue 3 Nov 2026 20:00 CET: Release",
                         "Tue 1 Dec 2026 18:00 CET to Tue 1 Dec 2026 20:00 CET: Release"};
    EXPECT_EQ(times(k_confluence), releases);
    EXPECT_EQ(times(k_confluence, CalendarUse::closes),
              (Texts{releases[0],
                     "Tue 10 Nov 2026 00:00 CET to Wed 11 Nov 2026 00:00 CET: Freeze",
                     releases[1]}));
    const Texts left = left_out(k_confluence);
    EXPECT_EQ(left.at(0), "event \"Release, as first planned\": another one of this UID counts");
    EXPECT_EQ(left.at(1), "event \"Freeze\": it has no length");
    EXPECT_EQ(left.size(), 2 + 9U) << "its own names, each";
}

// Thunderbird: zones behind a prefix without a VTIMEZONE, tasks beside events, alarms that were
// seen, RANGE.
constexpr const char* k_thunderbird = R"(BEGIN:VCALENDAR
PRODID:-//Mozilla.org/NONSGML Mozilla Calendar V1.1//EN
VERSION:2.0
BEGIN:VTODO
CREATED:20261001T080000Z
UID:5c1d-todo
SUMMARY:Order disks
DUE;TZID=Europe/Berlin:20261120T120000
PERCENT-COMPLETE:50
END:VTODO
BEGIN:VEVENT
CREATED:20261001T080000Z
LAST-MODIFIED:20261002T080000Z
DTSTAMP:20261002T080000Z
UID:5c1d-event
SUMMARY:Night
RRULE:FREQ=DAILY;COUNT=3
DTSTART;TZID=/mozilla.org/20050126_1/Europe/Berlin:20261110T220000
DTEND;TZID=/mozilla.org/20050126_1/Europe/Berlin:20261110T230000
X-MOZ-GENERATION:4
X-MOZ-LASTACK:20261001T080000Z
LINK;LINKREL="SOURCE";VALUE=URI:https://wiki.example/night
BEGIN:VALARM
ACTION:DISPLAY
TRIGGER;VALUE=DURATION:-PT5M
ACKNOWLEDGED:20261001T080000Z
END:VALARM
END:VEVENT
BEGIN:VEVENT
UID:5c1d-event
SUMMARY:Night\, earlier
RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=/mozilla.org/20050126_1/Europe/Berlin:20261111T220000
DTSTART;TZID=/mozilla.org/20050126_1/Europe/Berlin:20261111T200000
DTEND;TZID=/mozilla.org/20050126_1/Europe/Berlin:20261111T220000
DTSTAMP:20261002T080000Z
END:VEVENT
END:VCALENDAR
)";

TEST(CalendarPrograms, ThunderbirdIsRead) {
    EXPECT_EQ(times(k_thunderbird),
              (Texts{"Tue 10 Nov 2026 22:00 CET to Tue 10 Nov 2026 23:00 CET: Night",
                     "Wed 11 Nov 2026 20:00 CET to Wed 11 Nov 2026 22:00 CET: Night, earlier",
                     "Thu 12 Nov 2026 20:00 CET to Thu 12 Nov 2026 22:00 CET: Night, earlier"}));
    EXPECT_EQ(left_out(k_thunderbird), Texts{"1 VTODO: no events"});
    EXPECT_EQ(times(k_thunderbird, CalendarUse::closes), times(k_thunderbird));
}

}  // namespace
}  // namespace lockstep
