#include "transport/exec_trailer.hpp"

#include "base/error.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace lockstep {
namespace {

using namespace std::string_literals;

constexpr const char* k_stream = "out\036put\036lockstep n0nce 137\036\nlater";
// As a member says it that has a word of its own.
constexpr const char* k_stream_with_word =
    "o\036lockstep n0nce +c0ffee-1\036\nut\036put\036lockstep c0ffee-1 137\036\nlater";

TEST(TrailerScanner, CutsTheTrailerAndWhatFollowsIt) {
    TrailerScanner scanner("n0nce");
    EXPECT_EQ(scanner.feed(k_stream), "out\036put");
    EXPECT_EQ(scanner.status(), 137);
    EXPECT_EQ(scanner.feed("more"), "");
    EXPECT_EQ(scanner.take_rest(), "");
}

TEST(TrailerScanner, FindsATrailerBrokenAtAnyByte) {
    for (const std::string stream : {k_stream, k_stream_with_word}) {
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
}

TEST(TrailerScanner, TakesOneWordAndThenNoNonce) {
    for (const std::string others : {"\036lockstep n 0\036\n",
                                     "\036lockstep n +bad\036\n\036lockstep bad 0\036\n",
                                     "\036lockstep a1 +bad\036\n\036lockstep bad 0\036\n"}) {
        TrailerScanner scanner("n");
        EXPECT_EQ(scanner.feed("\036lockstep n +a1\036\n" + others), others);
        EXPECT_FALSE(scanner.status());
        EXPECT_EQ(scanner.feed("\036lockstep a1 4\036\n"), "");
        EXPECT_EQ(scanner.status(), 4);
    }
    for (const std::string none : {"\036lockstep n +\036\n",
                                   "\036lockstep n +x\036\n",
                                   "\036lockstep n +aa\036 \n",
                                   "\036lockstep n +01234567-0123-0123-0123-0123456789ab0\036\n"}) {
        TrailerScanner scanner("n");
        EXPECT_EQ(scanner.feed(none) + scanner.take_rest(), none);
        EXPECT_EQ(scanner.feed("\036lockstep n 1\036\n"), "");
        EXPECT_EQ(scanner.status(), 1);
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

/// Its output and status, as they are read.
std::pair<std::string, std::optional<int>> result_of(const std::string& script,
                                                     const std::string& redirected = "") {
    TrailerScanner scanner("n0nce");
    const std::string out = scanner.feed(output_of(wrap_script(script, "n0nce") + redirected));
    return {out, scanner.status()};
}

TEST(WrapScript, ReportsTheStatusOnBothStreams) {
    EXPECT_EQ(result_of("echo hi; exit 3"), std::pair("hi\n"s, std::optional(3)));
    EXPECT_EQ(result_of("echo hi; exit 3", " 2>&1 >/dev/null"), std::pair(""s, std::optional(3)));
}

/// The nonce is in an argv, which everybody on a member may read, and write into what is printed.
TEST(WrapScript, ReportsNoStatusThatItsOutputSays) {
    const std::string others = "\036lockstep n0nce 0\036\n";
    EXPECT_EQ(result_of("printf '\\036lockstep n0nce 0\\036\\n'; exit 3"),
              std::pair(others, std::optional(3)));
}

TEST(WrapScript, PassesTheScriptUnchanged) {
    const std::string script = "cat <<'END'\n'\\''!\\\\ $x \"`\"\nEND";
    EXPECT_EQ(result_of(script), std::pair("'\\''!\\\\ $x \"`\"\n"s, std::optional(0)));
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
