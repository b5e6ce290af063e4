#include "cli/terminal.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

const Terminal k_plain(false, false);
const Terminal k_colour(true, true);

TEST(Columns, CountCharactersAndNotBytes) {
    EXPECT_EQ(columns(""), 0U);
    EXPECT_EQ(columns("n1"), 2U);
    EXPECT_EQ(columns("größe"), 5U);
    EXPECT_EQ(columns("… →"), 3U);
    EXPECT_EQ(columns("a\nb"), 2U);
}

TEST(Printable, TakesTheTeethOutOfControlCharacters) {
    EXPECT_EQ(printable("\x1b[31mred\x1b[0m"), "?[31mred?[0m");
    EXPECT_EQ(printable("a\rb\x07"
                        "c\x7f"),
              "a?b?c?");
    EXPECT_EQ(printable("two\nlines\tand größe …"), "two\nlines\tand größe …");
    EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a?b");
}

// U+0080 to U+009F are control characters, too: U+009B begins a sequence as ESC [ does.
TEST(Printable, KnowsTheControlCharactersAboveAscii) {
    EXPECT_EQ(printable("\xc2\x9b"
                        "31mred"),
              "?31mred");
    EXPECT_EQ(printable("\xc2\x80\xc2\x9f"), "??");
    EXPECT_EQ(printable("\xc2\xa0\xc2\xb7"), "\xc2\xa0\xc2\xb7");
    EXPECT_EQ(printable("\xc2"), "?");
    EXPECT_EQ(printable("\x9b"
                        "1m\xff\xe2\x82"),
              "?1m???");
}

// A name of a member that reads as another one.
TEST(Printable, ShowsWhatWouldTurnTheTextAround) {
    EXPECT_EQ(printable("n1\u202E2n\u2066x\u200F\u2028y"), "n1?2n?x??y");
    EXPECT_EQ(one_line("a\u200Bb\nc"), "a?b c");
}

TEST(Paint, IsColourOnlyWhereAPersonLooks) {
    EXPECT_EQ(k_plain.paint("bad", Tone::bad), "bad");
    EXPECT_EQ(k_colour.paint("bad", Tone::bad), "\033[1;31mbad\033[0m");
    EXPECT_EQ(k_colour.paint("plain", Tone::plain), "plain");
}

TEST(Wrap, LeavesAShortLineAlone) {
    EXPECT_EQ(wrap("a few words", 4), "a few words");
    EXPECT_EQ(wrap("", 4), "");
}

TEST(Wrap, BreaksAtSpacesAndIndents) {
    EXPECT_EQ(wrap("aaa bbb ccc", 2, 9), "aaa bbb\n  ccc");
    EXPECT_EQ(wrap("aaa bbb ccc", 2, 10), "aaa bbb\n  ccc");
    EXPECT_EQ(wrap("aaa bbb ccc", 2, 13), "aaa bbb ccc");
}

TEST(Wrap, CountsCharactersAndNotBytes) {
    EXPECT_EQ(wrap("äää ööö", 0, 7), "äää ööö");
}

TEST(Wrap, PutsAWordThatIsTooLongOnALineOfItsOwn) {
    EXPECT_EQ(wrap("a bbbbbbbbbbbb c", 2, 8), "a\n  bbbbbbbbbbbb\n  c");
    EXPECT_EQ(wrap("bbbbbbbbbbbb c", 2, 8), "bbbbbbbbbbbb\n  c");
}

TEST(Wrap, LetsNoControlCharacterThrough) {
    EXPECT_EQ(wrap("a\x1b[2J b", 0), "a?[2J b");
}

TEST(Table, AlignsItsColumns) {
    Table table({"A", "LONG", "C"});
    table.add({"größe", "x", "1"});
    table.add({"b", "yyyyyy", "2"});
    EXPECT_EQ(table.text(k_plain),
              "  A      LONG    C\n"
              "  größe  x       1\n"
              "  b      yyyyyy  2\n");
}

TEST(Table, AlignsUnderColour) {
    Table table({"A", "B"});
    table.add({"x", "y"}, {Tone::bad});
    EXPECT_EQ(table.text(k_colour),
              "  \033[2mA\033[0m  \033[2mB\033[0m\n"
              "  \033[1;31mx\033[0m  y\n");
}

// A member's name comes from the network: it must not draw lines of its own.
TEST(Table, KeepsACellOnItsLine) {
    Table table({"A", "B"});
    table.add({"n1\nOK - all is well", "\x1b[2J"});
    EXPECT_EQ(table.text(k_plain),
              "  A                    B\n"
              "  n1 OK - all is well  ?[2J\n");
}

}  // namespace
}  // namespace lockstep
