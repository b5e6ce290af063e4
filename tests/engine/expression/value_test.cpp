#include "engine/expression/value.hpp"

#include "base/error.hpp"
#include "engine/expression/expression_limits.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <limits>
#include <string>

namespace lockstep {
namespace {

using nlohmann::json;

TEST(Value, IsNullByDefault) {
    EXPECT_EQ(Value().kind(), Value::Kind::null);
    EXPECT_EQ(Value().kind_name(), "null");
}

TEST(Value, KnowsItsKind) {
    EXPECT_EQ(Value(true).kind_name(), "bool");
    EXPECT_EQ(Value(1).kind_name(), "int");
    EXPECT_EQ(Value(1.5).kind_name(), "double");
    EXPECT_EQ(Value("a").kind_name(), "string");
    EXPECT_EQ(Value(Value::List{}).kind_name(), "list");
    EXPECT_EQ(Value(Value::Map{}).kind_name(), "map");
    EXPECT_EQ(Value(PackageVersion("1.0")).kind_name(), "version");
    EXPECT_EQ(Value(std::chrono::milliseconds(1)).kind_name(), "duration");
    EXPECT_EQ(Value::unknown("why").kind_name(), "unknown");
}

TEST(Value, RemembersWhyItIsUnknown) {
    const Value value = Value::unknown("n2 did not answer");
    EXPECT_TRUE(value.is_unknown());
    EXPECT_EQ(value.unknown_because(), "n2 did not answer");
}

TEST(Value, ThrowsWhenReadAsAnotherKind) {
    EXPECT_THROW((void)Value(1).as_string(), std::bad_variant_access);
    EXPECT_THROW((void)Value("a").as_list(), std::bad_variant_access);
    EXPECT_THROW((void)Value().as_bool(), std::bad_variant_access);
}

TEST(Value, IsWrittenAsTextTheWayItIsInserted) {
    EXPECT_EQ(Value().to_text(), "null");
    EXPECT_EQ(Value(true).to_text(), "true");
    EXPECT_EQ(Value(-5).to_text(), "-5");
    EXPECT_EQ(Value(1.0).to_text(), "1");
    EXPECT_EQ(Value(0.1).to_text(), "0.1");
    EXPECT_EQ(Value(1e300).to_text(), "1e+300");
    EXPECT_EQ(Value(std::numeric_limits<double>::infinity()).to_text(), "+Inf");
    EXPECT_EQ(Value("as it is\n").to_text(), "as it is\n");
    EXPECT_EQ(Value(PackageVersion("1:2.3-4")).to_text(), "1:2.3-4");
    EXPECT_EQ(Value(std::chrono::seconds(90)).to_text(), "90s");
    EXPECT_EQ(Value(std::chrono::milliseconds(1500)).to_text(), "1500ms");
    EXPECT_EQ(Value(Value::List{1, "a", Value()}).to_text(), R"([1,"a",null])");
    EXPECT_EQ(Value(Value::Map{{"b", 1}, {"a", Value::List{}}}).to_text(), R"({"a":[],"b":1})");
}

TEST(Value, ReadsJson) {
    const Value value =
        Value::from_json(json::parse(R"({"a": [1, -2, 1.5, "x", true, null], "b": {}})"));
    EXPECT_TRUE(value == Value(Value::Map{{"a", Value::List{1, -2, 1.5, "x", true, Value()}},
                                          {"b", Value::Map{}}}));
}

TEST(Value, ReadsNumbersBeyondIntAsDouble) {
    EXPECT_EQ(Value::from_json(json::parse("9223372036854775807")).as_integer(),
              std::numeric_limits<std::int64_t>::max());
    EXPECT_EQ(Value::from_json(json::parse("9223372036854775808")).kind(), Value::Kind::real);
}

TEST(Value, RefusesJsonThatIsNestedTooDeeply) {
    const auto nested = [](std::size_t depth) {
        return json::parse(std::string(depth, '[') + std::string(depth, ']'));
    };
    EXPECT_NO_THROW((void)Value::from_json(nested(128)));
    EXPECT_THROW((void)Value::from_json(nested(130)), Error);
    EXPECT_THROW((void)Value::from_json(nested(100'000)), Error);
}

TEST(Value, SaysHowDeepItNests) {
    Value value(7);
    EXPECT_FALSE(nests_deeper_than(value, 0));
    for (int level = 0; level < 128; ++level) {
        value = level % 2 == 0 ? Value(Value::List{1, value}) : Value(Value::Map{{"a", value}});
    }
    EXPECT_FALSE(nests_deeper_than(value, 128));
    EXPECT_TRUE(nests_deeper_than(value, 127));
    EXPECT_TRUE(nests_deeper_than(Value(Value::List{}), 0));
}

TEST(Value, WritesJson) {
    const Value value(Value::Map{{"list", Value::List{1, 2.5, "x", false, Value()}},
                                 {"version", PackageVersion("4.0.7")},
                                 {"length", std::chrono::milliseconds(90'000)},
                                 {"open", Value::unknown("later")}});
    EXPECT_EQ(value.to_json(),
              json::parse(R"({"list": [1, 2.5, "x", false, null], "version": "4.0.7",
                              "length": "90s", "open": null})"));
}

TEST(Value, HidesSecretsInJsonAtAnyDepth) {
    const Value value(Value::Map{{"password", Value::secret("hunter2")}, {"user", "app"}});
    EXPECT_EQ(value.to_json().dump(), R"({"password":"***","user":"app"})");
    EXPECT_EQ(value.with_taint().to_json().dump(), R"("***")");
    EXPECT_EQ(Value::secret("hunter2").to_json().dump(), R"("***")");
}

TEST(Value, ShowsSecretsInText) {
    EXPECT_EQ(Value::secret("hunter2").to_text(), "hunter2");
    EXPECT_EQ(Value(Value::List{Value::secret("hunter2")}).to_text(), R"(["hunter2"])");
}

TEST(Value, WritesTextThatIsNotUtf8) {
    EXPECT_EQ(Value("\xff").to_text(), "\xff");
    EXPECT_EQ(Value(Value::List{"\xff"}).to_text(), "[\"\xef\xbf\xbd\"]");
}

TEST(Value, IsTaintedOnlyWhereItIsSaid) {
    EXPECT_FALSE(Value("a").tainted());
    EXPECT_TRUE(Value::secret("a").tainted());
    EXPECT_TRUE(Value(1).with_taint().tainted());
}

TEST(Value, IsEqualByKindAndContent) {
    EXPECT_TRUE(Value(1) == Value(1));
    EXPECT_FALSE(Value(1) == Value(1.0));
    EXPECT_FALSE(Value("1") == Value(1));
    EXPECT_TRUE(Value() == Value());
    EXPECT_TRUE(Value("a") == Value::secret("a"));
    EXPECT_TRUE(Value(PackageVersion("1.0")) == Value(PackageVersion("1.00")));
    EXPECT_TRUE(Value(Value::List{1}) == Value(Value::List{1}));
    EXPECT_FALSE(Value(Value::List{1}) == Value(Value::List{2}));
    EXPECT_TRUE(Value::unknown("a") == Value::unknown("a"));
    EXPECT_FALSE(Value::unknown("a") == Value::unknown("b"));
}

}  // namespace
}  // namespace lockstep
