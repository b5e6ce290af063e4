#include "transport/exec_trailer.hpp"

#include "base/error.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <memory>

namespace lockstep {
namespace {

constexpr const char* k_stream = "out\036put\036lockstep n0nce 137\036\nlater";

TEST(TrailerScanner, CutsTheTrailerAndWhatFollowsIt) {
    TrailerScanner scanner("n0nce");
    EXPECT_EQ(scanner.feed(k_stream), "out\036put");
    EXPECT_EQ(scanner.status(), 137);
    EXPECT_EQ(scanner.feed("more"), "");
    EXPECT_EQ(scanner.take_rest(), "");
}

TEST(TrailerScanner, FindsATrailerBrokenAtAnyByte) {
    const std::string stream = k_stream;
    for (std::size_t first = 0; first <= stream.size(); ++first) {
        for (std::size_t second = first; second <= stream.size(); ++second) {
            TrailerScanner scanner("n0nce");
            std::string out = scanner.feed(stream.substr(0, first));
            out += scanner.feed(stream.substr(first, second - first));
            out += scanner.feed(stream.substr(second));
            ASSERT_EQ(out, "out\036put") << first << " " << second;
            ASSERT_EQ(scanner.status(), 137) << first << " " << second;
        }
    }
}

TEST(TrailerScanner, TakesAnotherNonceForOutput) {
    TrailerScanner scanner("n0nce");
    EXPECT_EQ(scanner.feed("\036lockstep other 0\036\n"), "\036lockstep other 0\036\n");
    EXPECT_FALSE(scanner.status());
}

TEST(TrailerScanner, TakesAMalformedTrailerForOutput) {
    TrailerScanner scanner("n");
    const std::string stream =
        "\036lockstep n x\036\n\036lockstep n 12345\036\n\036lockstep n 1 \036\n";
    EXPECT_EQ(scanner.feed(stream) + scanner.take_rest(), stream);
    EXPECT_FALSE(scanner.status());
    EXPECT_EQ(scanner.feed("\036lockstep n 1\036\n"), "");
    EXPECT_EQ(scanner.status(), 1);
}

TEST(TrailerScanner, GivesBackAtTheEndWhatItHeldBack) {
    TrailerScanner scanner("n0nce");
    EXPECT_EQ(scanner.feed("text\036lockstep n0n"), "text");
    EXPECT_EQ(scanner.take_rest(), "\036lockstep n0n");
    EXPECT_FALSE(scanner.status());
}

TEST(CappedText, KeepsTheBeginning) {
    CappedText text(5);
    text.append("abc");
    EXPECT_FALSE(text.truncated());
    text.append("de");
    EXPECT_FALSE(text.truncated());
    text.append("f");
    EXPECT_TRUE(text.truncated());
    EXPECT_EQ(text.text(), "abcde");
}

struct ClosePipe {
    void operator()(FILE* pipe) const noexcept { ::pclose(pipe); }
};

/// What /bin/sh prints as a login shell would run it.
std::string output_of(const std::string& command) {
    const std::unique_ptr<FILE, ClosePipe> pipe(::popen(command.c_str(), "r"));
    std::string text;
    std::array<char, 4096> piece{};
    std::size_t length = 0;
    while ((length = std::fread(piece.data(), 1, piece.size(), pipe.get())) > 0) {
        text.append(piece.data(), length);
    }
    return text;
}

TEST(WrapScript, ReportsTheStatusOnBothStreams) {
    EXPECT_EQ(output_of(wrap_script("echo hi; exit 3", "n0nce")), "hi\n\036lockstep n0nce 3\036\n");
    EXPECT_EQ(output_of(wrap_script("echo hi; exit 3", "n0nce") + " 2>&1 >/dev/null"),
              "\036lockstep n0nce 3\036\n");
}

TEST(WrapScript, PassesTheScriptUnchanged) {
    const std::string script = "cat <<'END'\n'\\''!\\\\ $x \"`\"\nEND";
    EXPECT_EQ(output_of(wrap_script(script, "n")), "'\\''!\\\\ $x \"`\"\n\036lockstep n 0\036\n");
}

// fish takes a backslash inside single quotes for an escape, csh an exclamation mark anywhere.
TEST(WrapScript, PutsNothingIntoQuotesThatALoginShellMightRead) {
    const std::string command = wrap_script("echo \\ '!'", "n");
    bool quoted = false;
    for (std::size_t at = 0; at < command.size(); ++at) {
        if (command[at] == '\'') {
            quoted = !quoted;
        } else if (!quoted && command[at] == '\\') {
            ++at;
        } else {
            EXPECT_TRUE(!quoted || (command[at] != '\\' && command[at] != '!')) << at;
        }
    }
    EXPECT_FALSE(quoted);
}

TEST(WrapScript, RefusesWhatCannotBeSent) {
    EXPECT_THROW(static_cast<void>(wrap_script(std::string("a\0b", 3), "n")), Error);
    EXPECT_THROW(static_cast<void>(wrap_script(std::string(40'000, 'x'), "n")), Error);
}

}  // namespace
}  // namespace lockstep
