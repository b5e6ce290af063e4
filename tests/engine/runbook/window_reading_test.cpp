#include "engine/runbook/window_reading.hpp"

#include "tests/engine/window/window_texts.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using window_texts::problems_of;
using window_texts::window_of;
using namespace std::chrono_literals;

std::string problems(const std::string& yaml) {
    WindowSpec window;
    return problems_of(yaml, window);
}

TEST(WindowReading, KeepsAllThatIsWritten) {
    const WindowSpec window = window_of(
        "time_zone: Europe/Berlin\n"
        "weekly:\n"
        "  - {days: [sat, mon-wed], from: \"22:00\", for: 4h}\n"
        "  - {days: [], from: 06:30, to: \"06:45\"}\n"
        "calendar: maintenance.ics\n"
        "mode: closed\n"
        "freezes:\n"
        "  - {from: 2026-12-20, to: 2027-01-06 18:00, because: year end}\n"
        "  - {calendar: freezes.ics}\n"
        "cutoff: 30m\n");
    EXPECT_EQ(window.time_zone, "Europe/Berlin");
    ASSERT_EQ(window.weekly.size(), 2U);
    EXPECT_EQ(window.weekly[0].days, std::bitset<7>("0100111"));
    EXPECT_EQ(window.weekly[0].from, 22h);
    EXPECT_EQ(window.weekly[0].length, 4h);
    EXPECT_EQ(window.weekly[0].to, std::nullopt);
    EXPECT_TRUE(window.weekly[1].days.all());
    EXPECT_EQ(window.weekly[1].to, 6h + 45min);
    EXPECT_EQ(window.calendar, "maintenance.ics");
    EXPECT_EQ(window.mode, WindowSpec::Mode::closed);
    ASSERT_EQ(window.freezes.size(), 2U);
    EXPECT_EQ(window.freezes[0].because, "year end");
    EXPECT_EQ(window.freezes[0].to - window.freezes[0].from, 17 * 24h + 18h);
    EXPECT_EQ(window.freezes[1].calendar, "freezes.ics");
    EXPECT_EQ(window.cutoff, 30min);
    EXPECT_EQ(window.folder, "books");
    EXPECT_EQ(window.where.text(), "books/f.yaml:1:1");
}

TEST(WindowReading, CollectsAllErrorsWithTheirPlacesAndHints) {
    EXPECT_EQ(
        problems("time_zone: Europe/Berlni\n"
                 "weekly:\n"
                 "  - {days: [sat, sut], from: 25:00, for: 4h}\n"
                 "  - {days: mon-fri, form: \"22:00\", for: 8d}\n"
                 "  - {days: [mon, sun-tue], from: \"22:00\", for: 1h, to: \"23:00\"}\n"
                 "mode: shut\n"
                 "freezes:\n"
                 "  - {from: 2026-02-30, to: 2026-03-01}\n"
                 "  - {from: 2026-03-01, to: 2026-03-01}\n"
                 "  - {because: x}\n"
                 "  - {from: 2026-03-01, to: 2026-03-02, calendar: x.ics}\n"
                 "cutoff: 30\n"),
        "books/f.yaml:1:12: there is no time zone \"Europe/Berlni\" (did you mean "
        "\"Europe/Berlin\"?)\n"
        "books/f.yaml:3:18: \"sut\" is no day of the week (Write mon, tue, wed, thu, fri, sat or "
        "sun, or a range: mon-fri.)\n"
        "books/f.yaml:3:30: from must be a time of day, not the text '25:00' (Write hours and "
        "minutes in quotes: \"22:00\".)\n"
        "books/f.yaml:4:5: weekly needs `from` (Write hours and minutes in quotes: \"22:00\".)\n"
        "books/f.yaml:4:21: unknown key \"form\" in weekly (did you mean \"from\"?)\n"
        "books/f.yaml:4:41: for must be from 1m to 7d, not 8d\n"
        "books/f.yaml:5:5: weekly needs either `for` or `to` (Write how long it lasts (for: 4h), "
        "or when it ends (to: \"02:00\").)\n"
        "books/f.yaml:5:18: mon is listed twice\n"
        "books/f.yaml:6:7: \"shut\" is no mode (there is: open, closed)\n"
        "books/f.yaml:8:12: from must be a date, not the text '2026-02-30' (Write 2026-12-20 or "
        "2026-12-20 18:00.)\n"
        "books/f.yaml:9:28: this freeze ends before it begins (The day of `to` is open again.)\n"
        "books/f.yaml:10:5: a freeze needs either `from` and `to`, or `calendar` ({from: "
        "2026-12-20, to: 2027-01-06, because: year end}; the day of `to` is open again.)\n"
        "books/f.yaml:11:5: a freeze needs either `from` and `to`, or `calendar` ({from: "
        "2026-12-20, to: 2027-01-06, because: year end}; the day of `to` is open again.)\n"
        "books/f.yaml:12:9: cutoff must be a length of time, not the text '30' (Write it with a "
        "unit: 90s, 2m, 1h30m, 500ms.)\n");
}

TEST(WindowReading, AsksForATimeZoneAndForTimes) {
    EXPECT_EQ(problems("mode: open\n"),
              "books/f.yaml:1:1: window needs `time_zone` (Write an IANA name: time_zone: "
              "Europe/Berlin.)\n"
              "books/f.yaml:1:1: window needs `weekly` or `calendar` (weekly: [{days: [sat, sun], "
              "from: \"22:00\", for: 4h}])\n");
    EXPECT_EQ(problems("[]\n"), "books/f.yaml:1:1: window must be a map, not a list\n");
    EXPECT_EQ(problems("time_zone: UTC\nweekly: []\nfreezes: x\ncalendar: \"\"\n"),
              "books/f.yaml:2:9: weekly must be a list, not an empty one\n"
              "books/f.yaml:3:10: freezes must be a list, not the text 'x'\n"
              "books/f.yaml:4:11: calendar is empty\n");
}

TEST(WindowReading, RefusesACutoffThatLeavesNothing) {
    const std::string times =
        "time_zone: UTC\n"
        "weekly: [{from: \"23:45\", to: \"00:15\"}, {from: \"00:15\", for: 10m}]\n";
    EXPECT_EQ(problems(times + "cutoff: 40m\n"),
              "books/f.yaml:3:9: cutoff leaves nothing of this window: its times are not longer "
              "(Nothing is started in the last part of a window that cutoff names.)\n");
    EXPECT_EQ(problems(times + "cutoff: 39m\n"), "");
    EXPECT_EQ(problems(times + "cutoff: 2h\nmode: closed\n"), "");
    EXPECT_EQ(problems(times + "cutoff: 2h\ncalendar: x.ics\n"), "");
}

}  // namespace
}  // namespace lockstep
