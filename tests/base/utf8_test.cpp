#include "base/utf8.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(WithoutHidden, LeavesWhatIsShown) {
    const std::string shown = "n1-größe … → 数据 \xC2\xA0 ✓ Ω";
    EXPECT_EQ(without_hidden(shown), shown);
    EXPECT_EQ(without_hidden("a\nb\tc", "\n"), "a\nb?c");
}

TEST(WithoutHidden, ReplacesControlCharactersAndWhatIsNoUtf8) {
    EXPECT_EQ(without_hidden("\x1b[31m\x07\r\x7f"), "?[31m???");
    EXPECT_EQ(without_hidden("\xC2\x9B"
                             "31m"),
              "?31m");
    EXPECT_EQ(without_hidden("a\xff"), "a?");
}

// U+202E makes `n1‮2n` read as `n12n` turned around.
TEST(WithoutHidden, ReplacesWhatChangesHowOthersAreRead) {
    for (const char* hidden :
         {"\u00AD", "\u061C", "\u115F", "\u180E", "\u200B", "\u200D", "\u200E", "\u200F",
          "\u2028", "\u2029", "\u202A", "\u202B", "\u202C", "\u202D", "\u202E", "\u2060",
          "\u2066", "\u2067", "\u2068", "\u2069", "\u3164", "\uFEFF", "\uFFA0", "\U000E0041"}) {
        EXPECT_EQ(without_hidden(std::string("n1") + hidden + "2n"), "n1?2n") << hidden;
    }
    for (const char32_t c : {U'a', U' ', U'é', U'‐', U'†', U'‰', U'₠', U'─', U'😀'}) {
        EXPECT_FALSE(is_hidden(c)) << static_cast<unsigned>(c);
    }
}

}  // namespace
}  // namespace lockstep
