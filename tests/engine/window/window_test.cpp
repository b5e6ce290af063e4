#include "engine/window/window.hpp"

#include "tests/engine/window/window_texts.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace lockstep {
namespace {

using window_texts::Texts;
using window_texts::texts_of;
using window_texts::utc;
using window_texts::window_of;
using namespace std::chrono_literals;

const char* const k_weekend =
    "time_zone: Europe/Berlin\n"
    "weekly: [{days: [sat, sun], from: \"22:00\", for: 4h}]\n"
    "cutoff: 30m\n";

std::string with_lines(const std::string& text) {
    return k_weekend + text;
}

TEST(Window, IsOpenFromItsBeginToJustBeforeItsEndAcrossMidnight) {
    const WindowSpec window = window_of(k_weekend);
    EXPECT_FALSE(look(window, utc("2026-11-28 21:00") - 1ms).open);
    for (const auto now : {utc("2026-11-28 21:00"), utc("2026-11-29 01:00") - 1ms}) {
        const WindowView view = look(window, now);
        EXPECT_TRUE(view.open);
        EXPECT_EQ(view.until, utc("2026-11-29 01:00"));
        EXPECT_EQ(view.next, std::nullopt);
        EXPECT_EQ(view.because, "");
    }
    EXPECT_FALSE(look(window, utc("2026-11-29 01:00")).open);
}

TEST(Window, SaysWhenItOpensWhileItIsClosed) {
    const WindowView view = look(window_of(k_weekend), utc("2026-11-26 02:00"));
    EXPECT_FALSE(view.open);
    EXPECT_EQ(view.until, std::nullopt);
    EXPECT_EQ(view.next, utc("2026-11-28 21:00"));
    EXPECT_EQ(view.because, "it opens Sat 28 Nov 2026 22:00 CET (Europe/Berlin)");
}

TEST(Window, LeavesTheTimeToItsCutoffForStartingThings) {
    const WindowSpec window = window_of(k_weekend);
    const auto left = [&](const char* text) {
        const auto now = utc(text);
        return time_left(window, look(window, now), now);
    };
    EXPECT_EQ(left("2026-11-28 21:00"), 3h + 30min);
    EXPECT_EQ(left("2026-11-29 00:30"), 0ms);
    EXPECT_EQ(left("2026-11-29 00:45"), -15min);
    EXPECT_EQ(left("2026-11-29 01:00"), 0ms) << "closed";
}

TEST(Window, HasNoLimitOfTimeWhereItDoesNotClose) {
    const WindowSpec window =
        window_of("time_zone: Europe/Berlin\nweekly: [{from: \"00:00\", to: \"00:00\"}]\n");
    const auto now = utc("2026-11-26 02:00");
    const WindowView view = look(window, now);
    EXPECT_TRUE(view.open);
    EXPECT_EQ(view.until, std::nullopt);
    EXPECT_EQ(time_left(window, view, now), std::nullopt);
    EXPECT_EQ(openings(window, now, 5), (std::vector<Opening>{{now, now + 366 * 24h}}));
}

TEST(Window, TakesRangesOfDaysAndSeveralTimes) {
    const WindowSpec window = window_of(
        "time_zone: UTC\n"
        "weekly:\n"
        "  - {days: fri-mon, from: \"01:00\", to: \"02:00\"}\n"
        "  - {days: wed, from: \"23:30\", to: \"00:30\"}\n");
    EXPECT_EQ(texts_of(window, "2026-11-25 00:00", 6),
              (Texts{"Wed 25 Nov 2026 23:30 UTC to Thu 26 Nov 2026 00:30 UTC",
                     "Fri 27 Nov 2026 01:00 UTC to Fri 27 Nov 2026 02:00 UTC",
                     "Sat 28 Nov 2026 01:00 UTC to Sat 28 Nov 2026 02:00 UTC",
                     "Sun 29 Nov 2026 01:00 UTC to Sun 29 Nov 2026 02:00 UTC",
                     "Mon 30 Nov 2026 01:00 UTC to Mon 30 Nov 2026 02:00 UTC",
                     "Wed 2 Dec 2026 23:30 UTC to Thu 3 Dec 2026 00:30 UTC"}));
}

TEST(Window, MakesOneOfTimesThatOverlapOrAdjoin) {
    const WindowSpec window = window_of(
        "time_zone: Asia/Kolkata\n"
        "weekly:\n"
        "  - {days: [sat], from: \"20:00\", to: \"22:00\"}\n"
        "  - {days: [sat], from: \"22:00\", for: 3h}\n"
        "  - {days: [sun], from: \"00:30\", for: 2h}\n");
    EXPECT_EQ(texts_of(window, "2026-11-26 02:00", 1),
              (Texts{"Sat 28 Nov 2026 20:00 IST to Sun 29 Nov 2026 02:30 IST"}));
    EXPECT_EQ(openings(window, utc("2026-11-26 02:00"), 1).front().from, utc("2026-11-28 14:30"));
}

TEST(Window, RemembersATimeThatBeganAWeekAgo) {
    const WindowSpec window =
        window_of("time_zone: UTC\nweekly: [{days: [mon], from: \"08:00\", for: 6d23h}]\n");
    EXPECT_EQ(look(window, utc("2026-11-30 06:59")).until, utc("2026-11-30 07:00"));
    EXPECT_EQ(look(window, utc("2026-11-30 07:00")).next, utc("2026-11-30 08:00"));
}

TEST(Window, IsClosedInAFreezeWhateverElseIsSaid) {
    const WindowSpec window = window_of(
        with_lines("freezes:\n"
                   "  - {from: 2026-11-28 23:00, to: 2026-11-29T00:30, because: stock taking}\n"
                   "  - {from: 2026-12-05, to: 2026-12-07}\n"));
    EXPECT_EQ(texts_of(window, "2026-11-28 20:00", 4),
              (Texts{"Sat 28 Nov 2026 22:00 CET to Sat 28 Nov 2026 23:00 CET",
                     "Sun 29 Nov 2026 00:30 CET to Sun 29 Nov 2026 02:00 CET",
                     "Sun 29 Nov 2026 22:00 CET to Mon 30 Nov 2026 02:00 CET",
                     "Mon 7 Dec 2026 00:00 CET to Mon 7 Dec 2026 02:00 CET"}));
    EXPECT_EQ(look(window, utc("2026-11-28 21:30")).until, utc("2026-11-28 22:00"));
    EXPECT_EQ(look(window, utc("2026-11-28 22:30")).because,
              "frozen until Sun 29 Nov 2026 00:30 CET: stock taking; it opens Sun 29 Nov 2026 "
              "00:30 CET (Europe/Berlin)");
    EXPECT_EQ(look(window, utc("2026-12-05 22:00")).because,
              "frozen until Mon 7 Dec 2026 00:00 CET; it opens Mon 7 Dec 2026 00:00 CET "
              "(Europe/Berlin)");
}

TEST(Window, DoesNotOpenInAFreezeOfYears) {
    const WindowSpec window =
        window_of(with_lines("freezes: [{from: 2026-01-01, to: 9999-12-31, because: retired}]\n"));
    const WindowView view = look(window, utc("2026-11-28 22:00"));
    EXPECT_FALSE(view.open);
    EXPECT_EQ(view.next, std::nullopt);
    EXPECT_EQ(view.because,
              "frozen until Fri 31 Dec 9999 00:00 CET: retired; it does not open within a year");
    EXPECT_TRUE(openings(window, utc("2026-11-28 22:00"), 5).empty());
}

TEST(Window, OfModeClosedIsOpenOutsideItsTimes) {
    const WindowSpec window = window_of(
        "time_zone: America/New_York\n"
        "mode: closed\n"
        "weekly: [{days: mon-fri, from: \"08:00\", to: \"18:00\"}]\n"
        "freezes: [{from: 2026-11-28, to: 2026-11-29}]\n");
    EXPECT_EQ(texts_of(window, "2026-11-27 12:00", 3),
              (Texts{"Fri 27 Nov 2026 07:00 EST to Fri 27 Nov 2026 08:00 EST",
                     "Fri 27 Nov 2026 18:00 EST to Sat 28 Nov 2026 00:00 EST",
                     "Sun 29 Nov 2026 00:00 EST to Mon 30 Nov 2026 08:00 EST"}));
    EXPECT_EQ(look(window, utc("2026-11-27 15:00")).because,
              "it opens Fri 27 Nov 2026 18:00 EST (America/New_York)");
    EXPECT_TRUE(look(window, utc("2026-11-26 02:00")).open);
}

TEST(Window, LastsAsLongAsForSaysWhateverClocksDo) {
    const WindowSpec window =
        window_of("time_zone: Europe/Berlin\nweekly: [{days: [sat], from: \"22:00\", for: 8h}]\n");
    EXPECT_EQ(texts_of(window, "2027-03-27 12:00", 1),
              (Texts{"Sat 27 Mar 2027 22:00 CET to Sun 28 Mar 2027 07:00 CEST"}));
    EXPECT_EQ(texts_of(window, "2026-10-24 12:00", 1),
              (Texts{"Sat 24 Oct 2026 22:00 CEST to Sun 25 Oct 2026 05:00 CET"}));
}

TEST(Window, EndsWhenClocksShowWhatToSays) {
    for (const auto& [zone, spring, autumn] :
         {std::tuple{"Europe/Berlin", "2027-03-27 12:00", "2026-10-24 12:00"},
          std::tuple{"America/New_York", "2027-03-13 15:00", "2026-10-31 15:00"}}) {
        const WindowSpec window =
            window_of("time_zone: " + std::string(zone) +
                      "\nweekly: [{days: [sat], from: \"22:00\", to: \"06:00\"}]\n");
        const Opening short_one = openings(window, utc(spring), 1).front();
        const Opening long_one = openings(window, utc(autumn), 1).front();
        EXPECT_EQ(short_one.to - short_one.from, 7h) << zone;
        EXPECT_EQ(long_one.to - long_one.from, 9h) << zone;
    }
}

TEST(Window, BeginsAfterTheGapWhereClocksSkipItsBegin) {
    const WindowSpec berlin =
        window_of("time_zone: Europe/Berlin\nweekly: [{days: [sun], from: \"02:30\", for: 1h}]\n");
    EXPECT_EQ(texts_of(berlin, "2027-03-28 00:00", 1),
              (Texts{"Sun 28 Mar 2027 03:00 CEST to Sun 28 Mar 2027 04:00 CEST"}));
    const WindowSpec new_york = window_of(
        "time_zone: America/New_York\nweekly: [{days: [sun], from: \"02:30\", to: \"03:30\"}]\n");
    EXPECT_EQ(texts_of(new_york, "2027-03-14 05:00", 1),
              (Texts{"Sun 14 Mar 2027 03:00 EDT to Sun 14 Mar 2027 03:30 EDT"}));
}

TEST(Window, IsLeftOutOnADayOnWhichClocksSkipAllOfIt) {
    const WindowSpec window = window_of(
        "time_zone: Europe/Berlin\nweekly: [{days: [sun], from: \"02:10\", to: \"02:50\"}]\n");
    EXPECT_EQ(texts_of(window, "2027-03-22 00:00", 1),
              (Texts{"Sun 4 Apr 2027 02:10 CEST to Sun 4 Apr 2027 02:50 CEST"}));
}

TEST(Window, BeginsAtTheFirstOfTwoTimesThatClocksShowAlike) {
    const WindowSpec berlin =
        window_of("time_zone: Europe/Berlin\nweekly: [{days: [sun], from: \"02:30\", for: 2h}]\n");
    EXPECT_EQ(texts_of(berlin, "2026-10-25 00:00", 1),
              (Texts{"Sun 25 Oct 2026 02:30 CEST to Sun 25 Oct 2026 03:30 CET"}));
    const WindowSpec new_york = window_of(
        "time_zone: America/New_York\nweekly: [{days: [sun], from: \"01:30\", for: 2h}]\n");
    EXPECT_EQ(texts_of(new_york, "2026-11-01 04:00", 1),
              (Texts{"Sun 1 Nov 2026 01:30 EDT to Sun 1 Nov 2026 02:30 EST"}));
}

// 02:30 comes twice on the 25th of October.
TEST(Window, EndsAtTheTimeOfTwoThatLeavesLessOpen) {
    const std::string times =
        "time_zone: Europe/Berlin\nweekly: [{days: [sun], from: \"01:00\", to: \"02:30\"}]\n";
    EXPECT_EQ(texts_of(window_of(times), "2026-10-24 12:00", 1),
              (Texts{"Sun 25 Oct 2026 01:00 CEST to Sun 25 Oct 2026 02:30 CEST"}));
    EXPECT_EQ(look(window_of(times + "mode: closed\n"), utc("2026-10-25 00:00")).because,
              "it opens Sun 25 Oct 2026 02:30 CET (Europe/Berlin)");
    EXPECT_EQ(
        look(window_of("time_zone: Europe/Berlin\nweekly: [{from: \"00:00\", to: \"00:00\"}]\n"
                       "freezes: [{from: 2026-10-25 02:30, to: 2026-10-25 02:45}]\n"),
             utc("2026-10-25 01:00"))
            .because,
        "frozen until Sun 25 Oct 2026 02:45 CET; it opens Sun 25 Oct 2026 02:45 CET "
        "(Europe/Berlin)");
}

TEST(Window, IsRightOnBothChangesOfEachYearTo2037) {
    const WindowSpec window = window_of(
        "time_zone: Europe/Berlin\nweekly: [{days: [sun], from: \"00:00\", to: \"06:00\"}]\n");
    for (int year = 2026; year <= 2037; ++year) {
        int odd = 0;
        for (const Opening& opening :
             openings(window, utc(std::to_string(year) + "-02-01 12:00"), 45)) {
            const auto length = opening.to - opening.from;
            odd += length == 5h || length == 7h ? 1 : 0;
            EXPECT_TRUE(length >= 5h && length <= 7h) << year;
        }
        EXPECT_EQ(odd, 2) << year;
    }
}

TEST(Window, BeginsAtTheMomentItIsAskedForWhereItIsOpen) {
    EXPECT_EQ(texts_of(window_of(k_weekend), "2026-11-28 23:00", 1),
              (Texts{"Sun 29 Nov 2026 00:00 CET to Sun 29 Nov 2026 02:00 CET"}));
    EXPECT_TRUE(openings(window_of(k_weekend), utc("2026-11-28 23:00"), 0).empty());
    EXPECT_EQ(openings(window_of(k_weekend), utc("2026-11-28 23:00"), 1000).size(), 106U);
}

TEST(Window, IsClosedWhereItsTimeZoneIsNotKnown) {
    WindowSpec window = window_of(k_weekend);
    window.time_zone = "../../etc/passwd";
    const WindowView view = look(window, utc("2026-11-28 22:00"));
    EXPECT_FALSE(view.open);
    EXPECT_EQ(view.because, "there is no time zone \"../../etc/passwd\"");
    EXPECT_THROW(static_cast<void>(openings(window, utc("2026-11-28 22:00"), 1)), Error);
}

/// A folder for calendars.
class WindowCalendar : public testing::Test {
  protected:
    WindowCalendar() {
        std::string pattern = testing::TempDir() + "lockstep-window-XXXXXX";
        folder = mkdtemp(pattern.data());
    }

    ~WindowCalendar() override { std::filesystem::remove_all(folder); }

    void write(const std::string& name, const std::string& events) const {
        std::ofstream(folder + "/" + name) << "BEGIN:VCALENDAR\n" << events << "END:VCALENDAR\n";
    }

    [[nodiscard]] WindowSpec window(const std::string& lines) const {
        WindowSpec spec = window_of("time_zone: Europe/Berlin\n" + lines);
        spec.folder = folder;
        return spec;
    }

    [[nodiscard]] std::string because(const std::string& lines,
                                      const std::string& now = "2026-11-28 22:00") const {
        const WindowView view = look(window(lines), utc(now));
        EXPECT_FALSE(view.open);
        EXPECT_EQ(view.next.has_value(), view.because.find("it opens") != std::string::npos);
        return view.because;
    }

    std::string folder;
};

TEST_F(WindowCalendar, AddsItsEventsToTheWeeklyTimes) {
    write("m.ics",
          "BEGIN:VEVENT\nDTSTART:20261129T020000\nDURATION:PT1H\n"
          "RRULE:FREQ=WEEKLY;BYDAY=SU\nEND:VEVENT\n");
    EXPECT_EQ(texts_of(window("calendar: m.ics\n"
                              "weekly: [{days: [sat], from: \"22:00\", for: 4h}]\n"),
                       "2026-11-26 02:00",
                       2),
              (Texts{"Sat 28 Nov 2026 22:00 CET to Sun 29 Nov 2026 03:00 CET",
                     "Sat 5 Dec 2026 22:00 CET to Sun 6 Dec 2026 03:00 CET"}));
    EXPECT_EQ(texts_of(window("calendar: m.ics\nmode: closed\n"), "2026-11-28 23:00", 2),
              (Texts{"Sun 29 Nov 2026 00:00 CET to Sun 29 Nov 2026 02:00 CET",
                     "Sun 29 Nov 2026 03:00 CET to Sun 6 Dec 2026 02:00 CET"}));
}

TEST_F(WindowCalendar, FreezesInItsEventsAndSaysWhy) {
    write("f.ics",
          "BEGIN:VEVENT\nSUMMARY:year end\nDTSTART;VALUE=DATE:20261220\n"
          "DTEND;VALUE=DATE:20270107\nEND:VEVENT\n");
    const std::string times = "weekly: [{days: [sat], from: \"22:00\", for: 4h}]\n";
    EXPECT_EQ(because(times + "freezes: [{calendar: f.ics}]\n", "2026-12-26 22:00"),
              "frozen until Thu 7 Jan 2027 00:00 CET: year end; it opens Sat 9 Jan 2027 22:00 CET "
              "(Europe/Berlin)");
    EXPECT_EQ(because(times + "freezes: [{calendar: f.ics, because: no}]\n", "2026-12-26 22:00"),
              "frozen until Thu 7 Jan 2027 00:00 CET: no; it opens Sat 9 Jan 2027 22:00 CET "
              "(Europe/Berlin)");
}

TEST_F(WindowCalendar, ThatCannotBeReadOrUnderstoodClosesTheWindow) {
    const std::string always = "weekly: [{from: \"00:00\", to: \"00:00\"}]\n";
    write("m.ics", "BEGIN:VEVENT\nEND:VEVENT\n");
    std::filesystem::create_directory(folder + "/d.ics");
    ASSERT_EQ(mkfifo((folder + "/p.ics").c_str(), 0600), 0);
    std::ofstream(folder + "/big.ics") << std::string((1U << 20U) + 1, ' ');
    for (const std::string& lines :
         {std::string("calendar: "), std::string("freezes:\n - calendar: ")}) {
        EXPECT_EQ(because(always + lines + "missing.ics\n"),
                  "missing.ics: cannot be read: No such file or directory");
        EXPECT_EQ(because(always + lines + "m.ics\n"), "m.ics: it needs one DTSTART");
        EXPECT_EQ(because(always + lines + "d.ics\n"),
                  "d.ics: cannot be read: it is no regular file");
        EXPECT_EQ(because(always + lines + "p.ics\n"),
                  "p.ics: cannot be read: it is no regular file");
        EXPECT_EQ(because(always + lines + "big.ics\n"),
                  "big.ics: cannot be read: it is larger than 1 MiB");
    }
    EXPECT_EQ(because("calendar: m.ics\nmode: closed\n"), "m.ics: it needs one DTSTART");
    EXPECT_THROW(
        static_cast<void>(openings(window("calendar: m.ics\n"), utc("2026-11-28 22:00"), 1)),
        Error);
}

// A time that nanoseconds do not hold must not come out as one that they do.
TEST_F(WindowCalendar, MayReachToTheEndOfYears) {
    write("m.ics", "BEGIN:VEVENT\nDTSTART:00010101T000000Z\nDTEND:99991231T000000Z\nEND:VEVENT\n");
    const WindowSpec spec = window("calendar: m.ics\n");
    const auto now = utc("2026-11-28 22:00");
    EXPECT_TRUE(look(spec, now).open);
    EXPECT_EQ(look(spec, now).until, std::nullopt);
    EXPECT_EQ(openings(spec, now, 2), (std::vector<Opening>{{now, now + 366 * 24h}}));
}

TEST_F(WindowCalendar, IsReadAgainWithEachLook) {
    const std::string lines = "calendar: m.ics\n";
    EXPECT_EQ(because(lines), "m.ics: cannot be read: No such file or directory");
    write("m.ics", "BEGIN:VEVENT\nDTSTART:20261128T220000Z\nDURATION:PT1H\nEND:VEVENT\n");
    EXPECT_TRUE(look(window(lines), utc("2026-11-28 22:00")).open);
    write("m.ics", "");
    EXPECT_EQ(because(lines), "it does not open within a year");
}

TEST(LocalText, IsOfUtcWhereTheZoneIsNotKnown) {
    EXPECT_EQ(local_text(utc("2026-11-28 21:00"), "Europe/Berlin"), "Sat 28 Nov 2026 22:00 CET");
    EXPECT_EQ(local_text(utc("2026-11-28 21:00"), "nowhere"), "Sat 28 Nov 2026 21:00 UTC");
}

TEST(Spans, AreCutWhereOthersCoverThem) {
    const auto at = [](int second) {
        return std::chrono::sys_seconds{std::chrono::seconds{second}};
    };
    const auto span = [&](int from, int to) { return Span{at(from), at(to)}; };
    EXPECT_EQ(merged({span(5, 6), span(1, 3), span(3, 4), span(2, 2), span(9, 8), span(1, 2)}),
              (std::vector<Span>{span(1, 4), span(5, 6)}));
    EXPECT_EQ(without({span(0, 10), span(20, 30)}, {span(2, 3), span(5, 22), span(30, 40)}),
              (std::vector<Span>{span(0, 2), span(3, 5), span(22, 30)}));
    EXPECT_EQ(without({span(0, 10), span(20, 30)}, {span(0, 40)}), std::vector<Span>{});
    EXPECT_EQ(without({span(0, 10)}, {}), std::vector<Span>{span(0, 10)});
}

}  // namespace
}  // namespace lockstep
