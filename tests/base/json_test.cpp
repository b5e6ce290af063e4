#include "base/json.hpp"

#include <gtest/gtest.h>

#include <string>

namespace lockstep {
namespace {

std::string nested(std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
}

std::string nested_maps(std::size_t depth) {
    std::string text;
    for (std::size_t n = 0; n < depth; ++n) {
        text += "{\"a\":";
    }
    return text + "1" + std::string(depth, '}');
}

TEST(ReadJson, GivesWhatIsWritten) {
    const std::string text =
        R"({"a":[1,-2,2.5,"x\nü",true,false,null,{}],"b":{"c":[[],{"d":[0]}],"e":""},"f":18446744073709551615})";
    const ReadJson read = read_json(text);
    ASSERT_TRUE(read.ok()) << read.trouble;
    EXPECT_EQ(read.document, nlohmann::json::parse(text));
    EXPECT_EQ(read.document.dump(), nlohmann::json::parse(text).dump());
    for (const char* one : {"7", "\"x\"", "null", " true ", "[]", "{}"}) {
        EXPECT_EQ(read_json(one).document, nlohmann::json::parse(one)) << one;
    }
}

TEST(ReadJson, TakesTheLastOfTwoMembersOfOneName) {
    EXPECT_EQ(read_json(R"({"a": {"b": [1]}, "a": {"c": 2}})").document.dump(), R"({"a":{"c":2}})");
}

TEST(ReadJson, SaysThatTextIsNoJson) {
    for (const char* text : {"",
                             " ",
                             "nul",
                             "[1",
                             "{\"a\"",
                             "[1] 2",
                             "{1: 2}",
                             "'a'",
                             "\"\xff\"",
                             "[1,]",
                             "1e999",
                             "\"a\nb\"",
                             "[[[[\x01"}) {
        const ReadJson read = read_json(text);
        EXPECT_EQ(read.trouble, "is no JSON") << text;
        EXPECT_TRUE(read.document.is_discarded()) << text;
    }
}

TEST(ReadJson, TakesNothingThatNestsTooDeeply) {
    EXPECT_TRUE(read_json(nested(64)).ok());
    EXPECT_TRUE(read_json(nested_maps(64)).ok());
    for (const std::size_t depth : {65U, 1'000U, 100'000U, 1'500'000U}) {
        EXPECT_EQ(read_json(nested(depth)).trouble, "nests deeper than 64 levels") << depth;
        // Half of it, as a peer that goes away leaves it.
        EXPECT_EQ(read_json(std::string(depth, '[')).trouble, "nests deeper than 64 levels");
    }
    EXPECT_EQ(read_json(nested_maps(100'000)).trouble, "nests deeper than 64 levels");
    EXPECT_EQ(read_json("{\"ttl\":30,\"x\":" + nested(64) + "}").trouble,
              "nests deeper than 64 levels");
}

// An answer that was as deep as may be is in records of ours, below a few levels.
TEST(ReadJson, ReadsAgainWhatWasRecordedOfIt) {
    const nlohmann::json record = {
        {"payload", {{"output", {{"json", read_json(nested(64)).document}}}}}};
    EXPECT_EQ(read_json(record.dump()).trouble, "nests deeper than 64 levels");
    EXPECT_EQ(read_json(record.dump(), k_own_json).document, record);
    EXPECT_FALSE(read_json(nested(100'000), k_own_json).ok());
}

TEST(ReadJson, TakesNothingThatIsTooMuch) {
    const JsonLimits limits{.bytes = 40, .values = 5, .text = 6};
    EXPECT_TRUE(read_json("[1,2,3,4]", limits).ok());
    EXPECT_EQ(read_json("[1,2,3,4,5]", limits).trouble, "holds more than 5 values");
    EXPECT_EQ(read_json("{\"a\":{\"b\":{\"c\":{\"d\":[0]}}}}", limits).trouble,
              "holds more than 5 values");
    EXPECT_TRUE(read_json("[\"123456\"]", limits).ok());
    EXPECT_EQ(read_json("[\"1234567\"]", limits).trouble, "holds a text of more than 6 bytes");
    EXPECT_EQ(read_json("{\"1234567\":1}", limits).trouble, "holds a text of more than 6 bytes");
    EXPECT_EQ(read_json(std::string(41, ' '), limits).trouble, "is longer than 40 bytes");
    EXPECT_FALSE(read_json(std::string((std::size_t{1} << 20) + 1, ' '), k_status_json).ok());
}

}  // namespace
}  // namespace lockstep
