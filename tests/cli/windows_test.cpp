#include "cli/commands.hpp"
#include "tests/transport/temp_dir.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace lockstep {
namespace {

/// A runbook whose window has a calendar, and a freeze that cannot be read.
class WindowsExplain : public testing::Test {
  protected:
    WindowsExplain() {
        folder.write("m.ics",
                     "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nSUMMARY:night\n"
                     "DTSTART:20200101T220000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY\nEND:VEVENT\n"
                     "BEGIN:VEVENT\nUID:2\nSUMMARY:reminder\nDTSTART:20200101T220000Z\nEND:VEVENT\n"
                     "BEGIN:VTODO\nUID:3\nEND:VTODO\nEND:VCALENDAR\n");
        folder.write("f.ics", "BEGIN:VCALENDAR\nBEGIN:VTODO\nUID:3\nEND:VTODO\nEND:VCALENDAR\n");
        options.runbooks = {folder.write("r.yaml",
                                         "runbook: nightly\n"
                                         "window: {time_zone: UTC, calendar: m.ics, "
                                         "freezes: [{calendar: f.ics}]}\n"
                                         "steps: [{id: a, uses: local.run, "
                                         "with: {argv: [\"true\"], read_only: true}}]\n")};
        options.explain_calendars = true;
    }

    std::string printed() {
        testing::internal::CaptureStdout();
        EXPECT_EQ(command_windows(options), 0);
        return testing::internal::GetCapturedStdout();
    }

    TempDir folder;
    Options options;
};

TEST_F(WindowsExplain, SaysWhatIsLeftOutAndWhy) {
    const std::string text = printed();
    EXPECT_NE(
        text.find("CLOSED  the runbook: f.ics: has nothing that closes anything: only 1 VTODO"),
        std::string::npos)
        << text;
    EXPECT_NE(text.find("      m.ics: 2 entries, 36"), std::string::npos) << text;
    EXPECT_NE(text.find(" in the year ahead; 2 left out:\n"
                        "        event \"reminder\": it has no length\n"
                        "        1 VTODO: no events\n"
                        "      f.ics (freeze): closes the window\n"
                        "        f.ics: has nothing that closes anything: only 1 VTODO\n"
                        "        HINT: Remove the file, or let it have events with a length.\n"),
              std::string::npos)
        << text;
    options.explain_calendars = false;
    EXPECT_EQ(printed().find("left out"), std::string::npos);
}

TEST_F(WindowsExplain, SaysTheSameAsJson) {
    options.output = Output::json;
    const auto calendars = nlohmann::json::parse(printed())["windows"][0]["calendars"];
    ASSERT_EQ(calendars.size(), 2U);
    EXPECT_EQ(calendars[0]["left_out"][0],
              (nlohmann::json{{"what", "event \"reminder\""}, {"why", "it has no length"}}));
    EXPECT_EQ(calendars[1]["refused"], "f.ics: has nothing that closes anything: only 1 VTODO");
    EXPECT_EQ(calendars[1]["freeze"], true);
}

}  // namespace
}  // namespace lockstep
