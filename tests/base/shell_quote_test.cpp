#include "base/shell_quote.hpp"

#include "base/error.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <memory>
#include <vector>

namespace lockstep {
namespace {

using Words = std::vector<std::string>;

/// What a real shell makes of a command line: its words, each behind a `|`.
std::string words_of(const std::string& line) {
    const std::string script = "printf '|%s' " + line;
    // The text is passed by the environment of a fixed command line: popen() has a shell of its
    // own, which must not see it.
    ::setenv("LOCKSTEP_TEST_SCRIPT", script.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(
        ::popen("sh -c \"$LOCKSTEP_TEST_SCRIPT\"", "r"), ::pclose);
    std::string out;
    std::array<char, 256> piece{};
    std::size_t length = 0;
    while ((length = std::fread(piece.data(), 1, piece.size(), pipe.get())) > 0) {
        out.append(piece.data(), length);
    }
    return out;
}

TEST(ShellQuote, LeavesHarmlessWordsReadable) {
    for (const char* word :
         {"patroni", "patroni=4.0.7-3", "/var/lib", "a,b", "user@host:1", "50%"}) {
        EXPECT_EQ(shell_quote(word), word);
    }
}

TEST(ShellQuote, QuotesEverythingElse) {
    EXPECT_EQ(shell_quote(""), "''");
    EXPECT_EQ(shell_quote("it's"), "'it'\\''s'");
    EXPECT_EQ(shell_quote("4.0.7-3~deb13u1"), "'4.0.7-3~deb13u1'");
    EXPECT_EQ(shell_quote("$(id)"), "'$(id)'");
    EXPECT_EQ(shell_quote("a\nb"), "'a\nb'");
}

TEST(ShellQuote, KeepsEveryByteThroughARealShell) {
    std::string all;
    for (int byte = 1; byte < 256; ++byte) {
        const std::string one(1, static_cast<char>(byte));
        all += one;
        EXPECT_EQ(words_of(shell_quote(one)), "|" + one) << "byte " << byte;
    }
    EXPECT_EQ(words_of(shell_quote(all)), "|" + all);
}

TEST(ShellQuote, KeepsWordsApart) {
    const Words words{"", "a b", "'", "''", "$(id)", ";", "\n", "\\", "end"};
    EXPECT_EQ(words_of(shell_join(words)), "||a b|'|''|$(id)|;|\n|\\|end");
    EXPECT_EQ(shell_join(Words{}), "");
}

TEST(ShellQuote, IsSafeToNest) {
    const std::string inner = "printf '|%s' " + shell_join(Words{"it's", "$(id)"});
    EXPECT_EQ(words_of("\"$(sh -c " + shell_quote(inner) + ")\""), "||it's|$(id)");
}

TEST(ShellQuote, RefusesANulByte) {
    EXPECT_THROW((void)shell_quote(std::string_view("a\0b", 3)), Error);
}

}  // namespace
}  // namespace lockstep
