#include "base/units.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace lockstep {
namespace {

using std::chrono::milliseconds;

TEST(ParseDuration, ReadsEachUnit) {
    EXPECT_EQ(parse_duration("500ms"), milliseconds(500));
    EXPECT_EQ(parse_duration("30s"), milliseconds(30'000));
    EXPECT_EQ(parse_duration("2m"), milliseconds(120'000));
    EXPECT_EQ(parse_duration("3h"), milliseconds(3 * 3'600'000));
    EXPECT_EQ(parse_duration("1d"), milliseconds(24 * 3'600'000));
    EXPECT_EQ(parse_duration("0s"), milliseconds(0));
}

TEST(ParseDuration, ReadsUnitsFromTheLargestToTheSmallest) {
    EXPECT_EQ(parse_duration("1h30m"), milliseconds(5'400'000));
    EXPECT_EQ(parse_duration("1d2h3m4s5ms"), milliseconds(93'784'005));
    EXPECT_EQ(parse_duration("1m90s"), milliseconds(150'000));
}

TEST(ParseDuration, RefusesEverythingElse) {
    for (const char* const text : {"",
                                   "30",
                                   "s",
                                   "-1s",
                                   "+1s",
                                   "1.5s",
                                   "1 s",
                                   " 1s",
                                   "1s ",
                                   "30m1h",
                                   "1m1m",
                                   "1x",
                                   "1S",
                                   "1h30",
                                   "1min",
                                   "9223372036854775807s",
                                   "9223372036854775808ms",
                                   "106751991167d2h999999999h"}) {
        EXPECT_FALSE(parse_duration(text)) << text;
    }
}

TEST(ParseDuration, ReadsTheLongestThatFits) {
    EXPECT_EQ(parse_duration("9223372036854775807ms"),
              milliseconds(std::numeric_limits<std::int64_t>::max()));
}

TEST(ParseBytes, CountsInPowersOf1024) {
    EXPECT_EQ(parse_bytes("100"), 100);
    EXPECT_EQ(parse_bytes("100B"), 100);
    EXPECT_EQ(parse_bytes("512kB"), 512 * 1024);
    EXPECT_EQ(parse_bytes("16MB"), 16 * 1024 * 1024);
    EXPECT_EQ(parse_bytes("16MiB"), 16 * 1024 * 1024);
    EXPECT_EQ(parse_bytes("1GB"), 1024 * 1024 * 1024);
    EXPECT_EQ(parse_bytes("1GiB"), 1024 * 1024 * 1024);
    EXPECT_EQ(parse_bytes("2TB"), std::int64_t{2} << 40);
    EXPECT_EQ(parse_bytes("0"), 0);
}

TEST(ParseBytes, ReadsWhatPostgresqlPrintsForPeople) {
    EXPECT_EQ(parse_bytes("16 MB"), 16 * 1024 * 1024);
}

TEST(ParseBytes, RefusesEverythingElse) {
    for (const char* const text : {"",
                                   "MB",
                                   "-1MB",
                                   "1.5GB",
                                   "16mb",
                                   "16M",
                                   "16  MB",
                                   "16 ",
                                   " 16MB",
                                   "16MB ",
                                   "16 apples",
                                   "9223372036854775808",
                                   "9223372036854775807kB"}) {
        EXPECT_FALSE(parse_bytes(text)) << text;
    }
}

TEST(FormatDuration, ShowsTwoUnitsAtMost) {
    EXPECT_EQ(format_duration(milliseconds(0)), "0 ms");
    EXPECT_EQ(format_duration(milliseconds(350)), "350 ms");
    EXPECT_EQ(format_duration(milliseconds(1000)), "1 s");
    EXPECT_EQ(format_duration(milliseconds(4200)), "4.2 s");
    EXPECT_EQ(format_duration(milliseconds(4249)), "4.2 s");
    EXPECT_EQ(format_duration(milliseconds(60'000)), "1 min");
    EXPECT_EQ(format_duration(milliseconds(80'000)), "1 min 20 s");
    EXPECT_EQ(format_duration(milliseconds(3'600'000)), "1 h");
    EXPECT_EQ(format_duration(milliseconds(5'430'000)), "1 h 30 min");
    EXPECT_EQ(format_duration(milliseconds(93'600'000)), "1 d 2 h");
}

TEST(FormatDuration, RoundsWithoutShowingSixtySeconds) {
    EXPECT_EQ(format_duration(milliseconds(59'949)), "59.9 s");
    EXPECT_EQ(format_duration(milliseconds(59'950)), "1 min");
    EXPECT_EQ(format_duration(milliseconds(119'600)), "2 min");
    EXPECT_EQ(format_duration(milliseconds(3'599'600)), "1 h");
}

TEST(FormatDuration, HasASignAndNoOverflow) {
    EXPECT_EQ(format_duration(milliseconds(-350)), "-350 ms");
    EXPECT_EQ(format_duration(milliseconds::min()).front(), '-');
    EXPECT_FALSE(format_duration(milliseconds::max()).empty());
}

TEST(FormatBytes, KeepsTwoOrThreeDigits) {
    EXPECT_EQ(format_bytes(0), "0 B");
    EXPECT_EQ(format_bytes(100), "100 B");
    EXPECT_EQ(format_bytes(1023), "1023 B");
    EXPECT_EQ(format_bytes(1024), "1 kB");
    EXPECT_EQ(format_bytes(12 * 1024), "12 kB");
    EXPECT_EQ(format_bytes(160 * 1024 * 1024), "160 MB");
    EXPECT_EQ(format_bytes(1'503'238'554), "1.4 GB");
    EXPECT_EQ(format_bytes(1024 * 1024 - 1), "1 MB");
    EXPECT_EQ(format_bytes(-2048), "-2 kB");
}

TEST(FormatBytes, HasNoOverflow) {
    EXPECT_EQ(format_bytes(std::numeric_limits<std::int64_t>::max()), "8 EB");
    EXPECT_EQ(format_bytes(std::numeric_limits<std::int64_t>::min()), "-8 EB");
}

}  // namespace
}  // namespace lockstep
