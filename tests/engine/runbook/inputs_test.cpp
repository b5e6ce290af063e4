#include "engine/runbook/runbook.hpp"
#include "tests/engine/runbook/runbook_vocabulary.hpp"

#include <gtest/gtest.h>

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Given = std::map<std::string, std::string>;

Runbook runbook_with(const std::string& inputs) {
    return parse_runbook(
        "runbook: r\ninputs: {" + inputs + "}\nsteps: [{id: s, uses: wal.verify}]\n",
        "f",
        testing_vocabulary::vocabulary());
}

/// What the input `x` of this kind becomes.
Value read(const std::string& spec, const std::string& text) {
    return read_inputs(runbook_with("x: {" + spec + "}"), {{"x", text}}).at("x");
}

std::string error_of(const Runbook& runbook, const Given& given) {
    try {
        static_cast<void>(read_inputs(runbook, given));
    } catch (const UsageError& error) {
        return error.what();
    }
    return "no error";
}

std::string error_of(const std::string& spec, const std::string& text) {
    return error_of(runbook_with("x: {" + spec + "}"), {{"x", text}});
}

TEST(Inputs, ReadsEachTypeFromItsText) {
    EXPECT_EQ(read("type: string", "a b"), Value("a b"));
    EXPECT_EQ(read("type: int", "-12"), Value(-12));
    EXPECT_EQ(read("type: bool", "true"), Value(true));
    EXPECT_EQ(read("type: duration", "1h30m"), Value(Value::Duration(90min)));
    EXPECT_EQ(read("type: bytes", "16MB"), Value(std::int64_t{16} << 20));
    EXPECT_EQ(read("type: enum, values: [fast, slow]", "slow"), Value("slow"));
}

TEST(Inputs, KeepsAVersionAsTheTextThatItIs) {
    EXPECT_EQ(read("type: version", "4.0.10"), Value("4.0.10"));
    EXPECT_TRUE(error_of("type: version", "latest").starts_with("input x must be a version: "));
}

TEST(Inputs, ReadsListsByCommasOrAsJson) {
    EXPECT_EQ(read("type: list", "a, b,c"), Value(Value::List{"a", "b", "c"}));
    EXPECT_EQ(read("type: list", "a"), Value(Value::List{"a"}));
    EXPECT_EQ(read("type: list", ""), Value(Value::List{}));
    EXPECT_EQ(read("type: list", "[\"a,b\", \"c\"]"), Value(Value::List{"a,b", "c"}));
    EXPECT_EQ(read("type: list", "[]"), Value(Value::List{}));
    EXPECT_EQ(error_of("type: list", "a,,b"),
              "input x has an empty element; Separate the elements by single commas.");
    EXPECT_TRUE(error_of("type: list", ",").starts_with("input x has an empty element"));
    EXPECT_TRUE(error_of("type: list", "a,").starts_with("input x has an empty element"));
    EXPECT_TRUE(error_of("type: list", "[1]").starts_with("input x must be a list of texts"));
    EXPECT_TRUE(error_of("type: list", "[a").starts_with("input x must be a list of texts"));
}

TEST(Inputs, RefusesWhatIsNotOfTheType) {
    EXPECT_EQ(error_of("type: int", "1.5"), "input x must be an integer, not \"1.5\"");
    EXPECT_EQ(error_of("type: bool", "yes"), "input x must be true or false, not \"yes\"");
    EXPECT_TRUE(error_of("type: duration", "90").starts_with("input x must be a length of time"));
    EXPECT_TRUE(error_of("type: bytes", "lots").starts_with("input x must be a size"));
    EXPECT_EQ(error_of("type: enum, values: [fast, slow]", "fats"),
              "input x cannot be \"fats\"; did you mean \"fast\"?");
}

TEST(Inputs, MatchesThePatternAgainstTheWholeText) {
    const std::string spec = "type: string, pattern: \"a|bc\"";
    EXPECT_EQ(read(spec, "bc"), Value("bc"));
    EXPECT_EQ(error_of(spec, "abc"), "input x must match a|bc: \"abc\" does not");
    EXPECT_EQ(error_of(spec, "bc\n"), "input x must match a|bc: \"bc\n\" does not");
    EXPECT_TRUE(
        error_of("type: list, pattern: \"[a-z]\"", "a,B").starts_with("input x must match"));
}

TEST(Inputs, UsesDefaultsAndLeavesTheRestNull) {
    const Runbook runbook = runbook_with("a: {default: one}, b: {type: list}");
    const Value::Map values = read_inputs(runbook, {});
    EXPECT_EQ(values.at("a"), Value("one"));
    EXPECT_EQ(values.at("b"), Value());
}

TEST(Inputs, NamesEveryProblemOnALineOfItsOwn) {
    const Runbook runbook = runbook_with(
        "target: {type: version, required: true, description: what to install}, wait: {type: "
        "duration}");
    EXPECT_EQ(error_of(runbook, {{"wait", "soon"}, {"tarket", "4"}}),
              "runbook r has no input tarket; did you mean \"target\"?\n"
              "input target is required (what to install); give it as --set target=…\n"
              "input wait must be a length of time, not \"soon\"; Write it with a unit: 90s, 2m, "
              "1h30m, 500ms.");
}

TEST(Inputs, SaysWhenARunbookTakesNone) {
    EXPECT_EQ(error_of(runbook_with(""), {{"x", "1"}}), "runbook r has no input x; it takes none");
}

TEST(Inputs, ReadsSecretsFromWhereTheyAre) {
    setenv("LOCKSTEP_TEST_TOKEN", "hunter2", 1);
    const Value from_env = read("type: secret", "env:LOCKSTEP_TEST_TOKEN");
    EXPECT_TRUE(from_env.tainted());
    EXPECT_EQ(from_env.as_string(), "hunter2");

    const auto path = std::filesystem::path(testing::TempDir()) / "lockstep_inputs_test";
    std::ofstream(path) << "hunter3\nsecond line\n";
    std::filesystem::permissions(path, std::filesystem::perms(0644));
    EXPECT_NE(error_of("type: secret", "file:" + path.string()).find("readable by everybody"),
              std::string::npos);
    std::filesystem::permissions(path, std::filesystem::perms(0600));
    EXPECT_EQ(read("type: secret", "file:" + path.string()).as_string(), "hunter3");
    std::filesystem::remove(path);
}

TEST(Inputs, NeverShowsASecretThatWasGivenItself) {
    EXPECT_EQ(error_of("type: secret", "hunter2"),
              "input x is a secret: it must not stand on the command line; Say where it comes "
              "from: env:NAME or file:PATH.");
    unsetenv("LOCKSTEP_TEST_TOKEN");
    EXPECT_EQ(error_of("type: secret", "env:LOCKSTEP_TEST_TOKEN"),
              "input x comes from the environment variable LOCKSTEP_TEST_TOKEN, which is not set");
    EXPECT_EQ(
        error_of("type: secret", "file:/no/such/file"),
        "input x cannot be had: the secret's file /no/such/file cannot be read: No such file or "
        "directory; Check that it exists and that you may read it.");
}

}  // namespace
}  // namespace lockstep
