#include "engine/window/time_zone.hpp"

#include "base/error.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <ctime>

namespace lockstep {
namespace {

using std::chrono::hours;
using std::chrono::local_days;
using std::chrono::local_seconds;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::year;

local_seconds local(int y, unsigned m, unsigned d, int hour = 0, int minute = 0) {
    return local_days{year{y} / std::chrono::month{m} / std::chrono::day{d}} + hours{hour} +
           minutes{minute};
}

sys_seconds utc(int y, unsigned m, unsigned d, int hour = 0, int minute = 0) {
    return sys_seconds{local(y, m, d, hour, minute).time_since_epoch()};
}

std::string message_for(const std::string& name) {
    try {
        static_cast<void>(load_time_zone(name));
    } catch (const Error& error) {
        return error.what() + (" | " + error.hint());
    }
    return "";
}

TEST(TimeZones, SkipAnHourInSpringAndRepeatOneInAutumn) {
    const TimeZone berlin = load_time_zone("Europe/Berlin");
    EXPECT_EQ(berlin.instant(local(2027, 3, 28, 1, 59)), utc(2027, 3, 28, 0, 59));
    EXPECT_EQ(berlin.instant(local(2027, 3, 28, 2, 30)), utc(2027, 3, 28, 1, 0));
    EXPECT_EQ(berlin.instant(local(2027, 3, 28, 3, 0)), utc(2027, 3, 28, 1, 0));
    EXPECT_EQ(berlin.instant(
                  local(2027, 3, 28, 2, 30), TimeZone::Twice::first, TimeZone::Skipped::as_before),
              utc(2027, 3, 28, 1, 30));
    EXPECT_EQ(berlin.instant(local(2026, 10, 25, 2, 30)), utc(2026, 10, 25, 0, 30));
    EXPECT_EQ(berlin.instant(local(2026, 10, 25, 2, 30), TimeZone::Twice::last),
              utc(2026, 10, 25, 1, 30));
    EXPECT_EQ(berlin.instant(local(2026, 10, 25, 3, 0), TimeZone::Twice::last),
              utc(2026, 10, 25, 2, 0));
    EXPECT_EQ(berlin.abbreviation(utc(2026, 10, 25, 0, 59)), "CEST");
    EXPECT_EQ(berlin.abbreviation(utc(2026, 10, 25, 1, 0)), "CET");
}

TEST(TimeZones, ThatNeverChangeHaveOneOffset) {
    const TimeZone kolkata = load_time_zone("Asia/Kolkata");
    EXPECT_EQ(kolkata.instant(local(2026, 11, 28, 22, 0)), utc(2026, 11, 28, 16, 30));
    EXPECT_EQ(kolkata.abbreviation(utc(2099, 7, 1)), "IST");
    const TimeZone utc_zone = load_time_zone("UTC");
    EXPECT_EQ(utc_zone.instant(local(2026, 11, 28, 22, 0)), utc(2026, 11, 28, 22, 0));
    EXPECT_EQ(utc_zone.abbreviation(utc(2026, 11, 28)), "UTC");
}

// Midnight itself is skipped in Santiago; Lord Howe changes by half an hour; Nuuk's rule counts
// from a negative hour.
TEST(TimeZones, WithUnusualRulesAreRight) {
    const TimeZone santiago = load_time_zone("America/Santiago");
    EXPECT_EQ(santiago.instant(local(2027, 9, 5)), utc(2027, 9, 5, 4));
    EXPECT_EQ(santiago.local(utc(2027, 9, 5, 4)), local(2027, 9, 5, 1));
    const TimeZone howe = load_time_zone("Australia/Lord_Howe");
    EXPECT_EQ(howe.instant(local(2027, 4, 4, 1, 45), TimeZone::Twice::last) -
                  howe.instant(local(2027, 4, 4, 1, 45)),
              minutes{30});
    const TimeZone nuuk = load_time_zone("America/Nuuk");
    EXPECT_EQ(nuuk.local(utc(2050, 3, 27, 0, 59)), local(2050, 3, 26, 22, 59));
    EXPECT_EQ(nuuk.local(utc(2050, 3, 27, 1, 0)), local(2050, 3, 27, 0, 0));
}

// The C library reads the same files; it is asked only here, where no other thread is.
TEST(TimeZones, AgreeWithTheCLibraryFrom1970To2099) {
    for (const char* name : {"Europe/Berlin",
                             "America/New_York",
                             "Asia/Kolkata",
                             "Europe/Dublin",
                             "Africa/Casablanca",
                             "America/Santiago",
                             "Australia/Lord_Howe",
                             "Pacific/Apia",
                             "Asia/Tehran",
                             "Etc/GMT+5",
                             "EST5EDT",
                             "UTC"}) {
        const TimeZone zone = load_time_zone(name);
        ASSERT_EQ(::setenv("TZ", name, 1), 0);
        ::tzset();
        for (sys_seconds at = utc(1970, 1, 1); at < utc(2100, 1, 1); at += hours{31}) {
            const std::time_t time = at.time_since_epoch().count();
            std::tm parts{};
            ASSERT_NE(::localtime_r(&time, &parts), nullptr);
            ASSERT_EQ(zone.local(at).time_since_epoch() - at.time_since_epoch(),
                      seconds{parts.tm_gmtoff})
                << name << " " << time;
            ASSERT_EQ(zone.abbreviation(at), parts.tm_zone) << name << " " << time;
        }
    }
    ::unsetenv("TZ");
    ::tzset();
}

TEST(TimeZones, AreFoundByNamesAndNotByPaths) {
    for (const char* name : {"",
                             "../../etc/passwd",
                             "../zoneinfo/UTC",
                             "Europe/../UTC",
                             "/usr/share/zoneinfo/UTC",
                             "/UTC",
                             "Europe",
                             "zone.tab",
                             "localtime",
                             "posixrules",
                             "right/UTC",
                             "Factory",
                             "Mars/Olympus"}) {
        EXPECT_TRUE(
            message_for(name).starts_with("there is no time zone \"" + std::string(name) + "\" | "))
            << message_for(name);
    }
    EXPECT_EQ(message_for("Mars/Olympus"),
              "there is no time zone \"Mars/Olympus\" | Write an IANA name, such as Europe/Berlin "
              "or UTC.");
    EXPECT_EQ(message_for("europe/berlin"),
              "there is no time zone \"europe/berlin\" | did you mean \"Europe/Berlin\"?");
    EXPECT_EQ(message_for("Europe/Belrin"),
              "there is no time zone \"Europe/Belrin\" | did you mean \"Europe/Berlin\"?");
}

TEST(TimeZones, AreNotMadeOfFilesThatAreCutOffOrOthers) {
    for (const std::string& bytes : {std::string(), std::string("TZif"), std::string(200, '2')}) {
        EXPECT_THROW(static_cast<void>(parse_time_zone(bytes, "X")), Error);
    }
    const std::string header = "TZif2" + std::string(15, '\0') + std::string(24, '\0');
    EXPECT_THROW(static_cast<void>(parse_time_zone(header + header, "X")), Error) << "no types";
    std::string counts = "TZif2" + std::string(15, '\0');
    counts += std::string(16, '\0') + std::string("\0\0\0\1\0\0\0\4", 8);
    const std::string type("\0\0\x0e\x10\0\0", 6);
    const std::string whole = header + counts + type + std::string("ABC\0", 4) + "\nABC-1\n";
    EXPECT_EQ(parse_time_zone(whole, "X").local(utc(2026, 1, 1)), local(2026, 1, 1, 1));
    for (std::size_t size = 0; size + 8 < whole.size(); ++size) {
        EXPECT_THROW(static_cast<void>(parse_time_zone(whole.substr(0, size), "X")), Error) << size;
    }
    EXPECT_THROW(
        static_cast<void>(parse_time_zone(
            header + counts + type + std::string("ABC\0", 4) + "\nABC-1DEF,M13.1.0,M1.1.0\n", "X")),
        Error);
}

}  // namespace
}  // namespace lockstep
