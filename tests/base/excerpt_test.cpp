#include "base/excerpt.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

/// Line and caret, one below the other.
std::string shown(const std::string& text, int line, int column, std::size_t width = 60) {
    const auto found = source_excerpt(text, {"f", line, column}, width);
    return found ? found->line + "\n" + found->caret : "none";
}

TEST(Excerpt, PointsAtTheColumn) {
    EXPECT_EQ(shown("a: 1\nb: [2\nc: 3\n", 2, 4), "b: [2\n   ^");
    EXPECT_EQ(shown("a: 1", 1, 1), "a: 1\n^");
}

TEST(Excerpt, PointsBehindTheLineWhereSomethingIsMissing) {
    EXPECT_EQ(shown("ab\n", 1, 3), "ab\n  ^");
    EXPECT_EQ(shown("ab\n", 1, 99), "ab\n  ^");
}

TEST(Excerpt, ShowsATabAsFourColumns) {
    EXPECT_EQ(shown("\ta: 1", 1, 2), "    a: 1\n    ^");
}

TEST(Excerpt, CountsCharactersAndPointsAtTheirColumns) {
    EXPECT_EQ(shown("ä: ö", 1, 4), "ä: ö\n   ^");
    EXPECT_EQ(shown("日本: x", 1, 5), "日本: x\n      ^");
    EXPECT_EQ(shown("e\u0301: x", 1, 5), "e\u0301: x\n   ^");
}

TEST(Excerpt, CutsALongLineAroundThePlace) {
    const std::string text = std::string(200, 'a') + "!" + std::string(200, 'b');
    EXPECT_EQ(shown(text, 1, 201, 12), "…aaaaa!bbbb…\n      ^");
    EXPECT_EQ(shown(text, 1, 1, 12), "aaaaaaaaaa…\n^");
    EXPECT_EQ(shown(text, 1, 401, 12), "…bbbbbbbbbb\n          ^");
}

TEST(Excerpt, SpoilsNoTerminal) {
    EXPECT_EQ(shown("a\x1b[31m\x07", 1, 2), "a?[31m?\n ^");
    EXPECT_EQ(shown("a\xff\xc3", 1, 3), "a??\n  ^");
    EXPECT_EQ(shown("a\u202eb", 1, 3), "a?b\n  ^");
}

TEST(Excerpt, LeavesOutWhatIsNoPartOfTheLine) {
    EXPECT_EQ(shown("\xEF\xBB\xBF"
                    "a: 1\r\nb: 2\r\n",
                    1,
                    4),
              "a: 1\n   ^");
}

TEST(Excerpt, IsNoneWhereThereIsNoSuchLine) {
    EXPECT_EQ(shown("a", 2, 1), "none");
    EXPECT_EQ(shown("a", 0, 0), "none");
}

}  // namespace
}  // namespace lockstep
