#include "base/package_version.hpp"

#include "base/error.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {
namespace {

TEST(PackageVersion, HasEpochUpstreamAndRevision) {
    const PackageVersion version("1:4.0.7-1.pgdg120+1");
    EXPECT_EQ(version.epoch(), 1);
    EXPECT_EQ(version.upstream(), "4.0.7");
    EXPECT_EQ(version.revision(), "1.pgdg120+1");
    EXPECT_EQ(version.text(), "1:4.0.7-1.pgdg120+1");
}

TEST(PackageVersion, MayBeUpstreamAlone) {
    const PackageVersion version("4.0.7");
    EXPECT_EQ(version.epoch(), 0);
    EXPECT_EQ(version.upstream(), "4.0.7");
    EXPECT_EQ(version.revision(), "");
}

TEST(PackageVersion, ReadsVersionsOfRpm) {
    const PackageVersion version("4.0.7-1PGDG.rhel9");
    EXPECT_EQ(version.upstream(), "4.0.7");
    EXPECT_EQ(version.revision(), "1PGDG.rhel9");
    EXPECT_EQ(PackageVersion("15.4_1^git3-2").upstream(), "15.4_1^git3");
}

TEST(PackageVersion, TakesTheLastHyphenForTheRevision) {
    const PackageVersion version("2.0-rc1-3");
    EXPECT_EQ(version.upstream(), "2.0-rc1");
    EXPECT_EQ(version.revision(), "3");
}

TEST(PackageVersion, HasNumbersInItsUpstreamPart) {
    const PackageVersion version("2:9.6.24-1");
    EXPECT_EQ(version.part(0), 9);
    EXPECT_EQ(version.part(1), 6);
    EXPECT_EQ(version.part(2), 24);
    EXPECT_EQ(version.part(3), 0);
    EXPECT_EQ(version.part(-1), 0);
}

TEST(PackageVersion, HasNoPartsBehindLetters) {
    EXPECT_EQ(PackageVersion("17~beta1").part(0), 17);
    EXPECT_EQ(PackageVersion("17~beta1").part(1), 0);
    EXPECT_EQ(PackageVersion("4.0.7rc2.9").part(2), 7);
    EXPECT_EQ(PackageVersion("4.0.7rc2.9").part(3), 0);
    EXPECT_EQ(PackageVersion("4.010").part(1), 10);
    EXPECT_EQ(PackageVersion("4.0.0").part(2), 0);
}

TEST(PackageVersion, SaturatesPartsThatAreTooLarge) {
    EXPECT_EQ(PackageVersion("20231231235959.1").part(0), std::numeric_limits<int>::max());
}

TEST(PackageVersion, RefusesWhatIsNoVersion) {
    for (const char* const text : {"",
                                   " ",
                                   "v4.0.7",
                                   "latest",
                                   "4.0 7",
                                   "4.0.7 ",
                                   "1:",
                                   ":4.0",
                                   "x:4.0",
                                   "-1:4.0",
                                   "99999999999:4.0",
                                   "1:2:3",
                                   "4.0-",
                                   "-1",
                                   "4.0/5",
                                   "4.0;rm",
                                   "4.\xc3\xa9"}) {
        EXPECT_THROW((void)PackageVersion(text), Error) << text;
    }
}

TEST(PackageVersion, SaysWhatIsWrongWithAText) {
    try {
        (void)PackageVersion("v4.0.7");
        FAIL();
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "\"v4.0.7\" is not a version: it does not start with a digit");
        EXPECT_NE(error.hint().find("for example"), std::string::npos);
    }
}

// Each is smaller than the next one. Sources: Debian policy 5.6.12, dpkg's t-version.c, and the
// packages of apt.postgresql.org.
TEST(PackageVersion, IsOrderedAsDpkgDoes) {
    const std::vector<std::string> ascending = {"0~~",
                                                "0~~a",
                                                "0~",
                                                "0",
                                                "0a",
                                                "0+",
                                                "1.0~beta1~svn1245",
                                                "1.0~beta1",
                                                "1.0",
                                                "1.0-0.1",
                                                "1.0-1~bpo12+1",
                                                "1.0-1",
                                                "1.0-1+b1",
                                                "1.0-1.1",
                                                "1.0-10",
                                                "1.0a",
                                                "1.0+dfsg",
                                                "1.0.0",
                                                "1.2",
                                                "1.10",
                                                "4.0.6-1.pgdg110+1",
                                                "4.0.7-1.pgdg110+1",
                                                "4.0.7-1.pgdg120+1",
                                                "4.0.7-2.pgdg110+1",
                                                "4.0.10-1.pgdg120+1",
                                                "4.1.0~rc1-1",
                                                "4.1.0-1",
                                                "15~beta4-1",
                                                "15.4-1",
                                                "15.10-1",
                                                "1:0.1",
                                                "2:0.0"};
    for (std::size_t i = 0; i < ascending.size(); ++i) {
        for (std::size_t j = 0; j < ascending.size(); ++j) {
            const PackageVersion a(ascending[i]);
            const PackageVersion b(ascending[j]);
            EXPECT_EQ(a < b, i < j) << a.text() << " " << b.text();
            EXPECT_EQ(a == b, i == j) << a.text() << " " << b.text();
        }
    }
}

TEST(PackageVersion, IsEqualWhereOnlyZeroesDiffer) {
    EXPECT_EQ(PackageVersion("1.01"), PackageVersion("1.1"));
    EXPECT_EQ(PackageVersion("0:1.0"), PackageVersion("1.0"));
    EXPECT_EQ(PackageVersion("1.0-0"), PackageVersion("1.0"));
    EXPECT_NE(PackageVersion("1.0"), PackageVersion("1.0.0"));
}

TEST(PackageVersion, ComparesNumbersOfAnyLength) {
    EXPECT_LT(PackageVersion("99999999999999999999999998"),
              PackageVersion("99999999999999999999999999"));
    EXPECT_LT(PackageVersion("9999999999999999999"), PackageVersion("10000000000000000000"));
}

TEST(PackageVersion, HasATotalOrder) {
    std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same in every run
    const auto some = [&random] {
        constexpr std::string_view k_characters = "0019.~+a-";
        std::string text = "1";
        for (auto n = random() % 6; n > 0; --n) {
            text += k_characters[random() % k_characters.size()];
        }
        return text.back() == '-' ? text + "1" : text;
    };
    for (int n = 0; n < 2000; ++n) {
        const PackageVersion a(some());
        const PackageVersion b(some());
        const PackageVersion c(some());
        EXPECT_EQ(a<b, b> a);
        EXPECT_EQ(a == b, b == a);
        EXPECT_TRUE(!(a <= b && b <= c) || a <= c) << a.text() << b.text() << c.text();
    }
}

struct RpmOrder {
    const char* older;
    const char* newer;  ///< nullptr: `older` and `same` are the same
    const char* same;
};

// rpm 4.20, tests/rpmvercmp.at, as far as its versions begin with a digit, and what PGDG has.
TEST(PackageVersion, IsOrderedAsRpmDoesForRpm) {
    const std::vector<RpmOrder> orders{
        {"1.0", nullptr, "1.0"},
        {"1.0", "2.0", nullptr},
        {"2.0", "2.0.1", nullptr},
        {"2.0.1", "2.0.1a", nullptr},
        {"5.5p1", "5.5p2", nullptr},
        {"5.5p1", "5.5p10", nullptr},
        {"10xyz", "10.1xyz", nullptr},
        {"6.0", "6.0.rc1", nullptr},
        {"10a1", "10b2", nullptr},
        {"1.0.rc1", "1.0.1", nullptr},
        {"2.0", nullptr, "2_0"},
        {"2_0", nullptr, "2.0"},
        {"10.0001", nullptr, "10.1"},
        {"10.0001", "10.0039", nullptr},
        {"4.999.9", "5.0", nullptr},
        {"20101121", "20101122", nullptr},
        {"1.0~rc1", "1.0", nullptr},
        {"1.0~rc1", "1.0~rc2", nullptr},
        {"1.0~rc1~git123", "1.0~rc1", nullptr},
        {"1.0", "1.0^", nullptr},
        {"1.0", "1.0^git1", nullptr},
        {"1.0^git1", "1.0^git2", nullptr},
        {"1.0^git1", "1.01", nullptr},
        {"1.0^20160101", "1.0.1", nullptr},
        {"1.0^20160101^git1", nullptr, "1.0^20160101^git1"},
        {"1.0~rc1", "1.0~rc1^git1", nullptr},
        {"1.0^git1~pre", "1.0^git1", nullptr},
        {"4.0.7-1PGDG.rhel9", "4.0.7-2PGDG.rhel9", nullptr},
        {"4.0.7-9PGDG.rhel9", "4.0.7-10PGDG.rhel9", nullptr},
        {"4.0.7-9PGDG.rhel9", "1:3.0.2-1PGDG.rhel9", nullptr},
        {"4.0.7", nullptr, "4.0.7-1PGDG.rhel9"},
    };
    for (const RpmOrder& each : orders) {
        const PackageVersion a(each.older);
        const PackageVersion b(each.newer != nullptr ? each.newer : each.same);
        const auto there = compare_as_rpm(a, b);
        const auto back = compare_as_rpm(b, a);
        EXPECT_EQ(std::is_lt(there), each.newer != nullptr) << a.text() << " " << b.text();
        EXPECT_EQ(std::is_gt(back), each.newer != nullptr) << a.text() << " " << b.text();
        EXPECT_EQ(std::is_eq(there), each.newer == nullptr) << a.text() << " " << b.text();
    }
}

}  // namespace
}  // namespace lockstep
