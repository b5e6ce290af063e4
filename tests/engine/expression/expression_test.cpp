#include "engine/expression/expression.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

namespace lockstep {
namespace {

Scope scope() {
    const Value healthy(Value::Map{{"name", "n1"},
                                   {"version", PackageVersion("1:4.0.7-1.pgdg120+1")},
                                   {"lag", 100},
                                   {"patroni", Value::Map{{"running", true}}}});
    const Value silent(Value::Map{{"name", "n2"},
                                  {"version", Value::unknown("n2 did not answer")},
                                  {"lag", Value()},
                                  {"patroni", Value()}});
    return {
        {"members", Value::List{healthy, silent}},
        {"member", healthy},
        {"inputs",
         Value::Map{{"target", "4.0.10"}, {"count", 3}, {"password", Value::secret("hunter2")}}},
        {"step", Value::unknown("step probe has not run")}};
}

Expression parsed(const std::string& text) {
    return Expression::parse(text, {"book.yaml", 10, 5});
}

Evaluation evaluated(const std::string& text) {
    return parsed(text).evaluate(scope());
}

Value value_of(const std::string& text) {
    const Evaluation result = evaluated(text);
    if (const auto* const error = std::get_if<EvaluationError>(&result)) {
        ADD_FAILURE() << text << ": " << error->message;
        return {};
    }
    if (std::holds_alternative<Value::Unknown>(result)) {
        ADD_FAILURE() << text << ": unknown";
        return {};
    }
    return std::get<Value>(result);
}

EvaluationError error_of(const std::string& text) {
    const Evaluation result = evaluated(text);
    if (const auto* const error = std::get_if<EvaluationError>(&result)) {
        return *error;
    }
    ADD_FAILURE() << text << " is no error";
    return {};
}

// "what(), then the hint", of the error that parsing throws.
std::string refusal_of(const std::string& text) {
    try {
        (void)parsed(text);
    } catch (const InputError& error) {
        return error.what() + (error.hint().empty() ? "" : " | " + error.hint());
    }
    ADD_FAILURE() << text << " is not refused";
    return {};
}

bool holds(const std::string& text) {
    const Value value = value_of(text);
    return value.kind() == Value::Kind::boolean && value.as_bool();
}

std::string why_not(const std::string& text) {
    std::string why;
    for (const Reason& reason : parsed(text).why_not(scope())) {
        why +=
            (why.empty() ? "" : "; ") + (reason.of.empty() ? "" : reason.of + ": ") + reason.text;
    }
    return why;
}

TEST(Expression, SaysWhatKeepsAConditionFromBeingTrue) {
    EXPECT_EQ(why_not("member.lag == 5 and inputs.count == 3"), "n1: lag is 100");
    EXPECT_EQ(why_not("members.all(m, m.name == 'n1' or m.lag == 100)"),
              "n2: name is 'n2'; n2: lag is null");
    EXPECT_EQ(why_not("members.any(m, m.name == 'n3')"), "n1: name is 'n1'; n2: name is 'n2'");
    EXPECT_EQ(why_not("not (member.lag == 100)"), "n1: lag is 100");
    EXPECT_EQ(why_not("not members.any(m, m.name == 'n2')"), "n2: name is 'n2'");
    EXPECT_EQ(why_not("members.all(m, m.version == version('1'))"),
              "n1: version is '1:4.0.7-1.pgdg120+1'; n2: version is not known");
    EXPECT_EQ(why_not("inputs.password == 'x'"), "");
    EXPECT_EQ(why_not("step == 1"), "step is not known");
}

TEST(Expression, KeepsItsTextAndPlace) {
    const Expression expression = parsed("member.lag < 5");
    EXPECT_EQ(expression.text(), "member.lag < 5");
    EXPECT_EQ(expression.where().text(), "book.yaml:10:5");
}

TEST(Expression, PointsAtWhatItDoesNotUnderstand) {
    EXPECT_EQ(refusal_of("1 + )"), "book.yaml:10:9: unexpected ')'");
    EXPECT_EQ(refusal_of("(1 + 2"),
              "book.yaml:10:11: expected ')' after an expression in parentheses, found the end of "
              "the expression");
    EXPECT_EQ(refusal_of("'é' + 'é' )"), "book.yaml:10:15: unexpected ')'");
}

TEST(Expression, PointsIntoLaterLines) {
    EXPECT_EQ(refusal_of("true &&\n  false )"), "book.yaml:11:13: unexpected ')'");
}

TEST(Expression, PointsAtTheFileWhereThereIsNoLine) {
    try {
        (void)Expression::parse("1 +", {"--set", 0, 0});
        FAIL();
    } catch (const InputError& error) {
        EXPECT_STREQ(error.what(), "--set: unexpected the end of the expression");
    }
}

TEST(Expression, ExplainsCommonMistakesOfSyntax) {
    EXPECT_EQ(refusal_of("a = 1"),
              "book.yaml:10:7: '=' means nothing here | Equality is written ==.");
    EXPECT_EQ(refusal_of("a & b"),
              "book.yaml:10:7: '&' means nothing here | \"And\" is written && or and.");
    EXPECT_EQ(refusal_of("a not in b"),
              "book.yaml:10:7: unexpected \"not\" | \"Not in\" is written not (x in list).");
    EXPECT_EQ(refusal_of("lag < 16MB"),
              "book.yaml:10:11: a number is followed by letters | Sizes and lengths of time are "
              "written bytes('16MB') and duration('2m').");
    EXPECT_EQ(refusal_of("a.package.in"),
              "book.yaml:10:15: expected a field's name after '.', found \"in\" | Write ['in'].");
}

TEST(Expression, SuggestsFunctionsAndMethods) {
    EXPECT_EQ(refusal_of("versoin('1')"),
              "book.yaml:10:5: there is no function versoin() | did you mean \"version\"?");
    EXPECT_EQ(refusal_of("m.fliter(x, x)"),
              "book.yaml:10:7: there is no method .fliter() | did you mean \"filter\"?");
    EXPECT_EQ(refusal_of("startsWith(m, 'a')"),
              "book.yaml:10:5: there is no function startsWith() | It is written behind a value: "
              "name.startsWith('pg').");
    EXPECT_EQ(refusal_of("'1'.version()"),
              "book.yaml:10:9: there is no method .version() | It is written in front of its "
              "arguments: version('4.0.7').");
    EXPECT_EQ(refusal_of("all(m, true)").substr(0, 45),
              "book.yaml:10:5: there is no function all() | ");
}

TEST(Expression, FindsMistakesInConstantsBeforeTheRun) {
    EXPECT_EQ(refusal_of("lag < bytes('16 apples')"),
              "book.yaml:10:11: bytes() of \"16 apples\", which is not a size | Sizes are written "
              "16MB, 1GB, 512kB: whole numbers with a unit.");
    EXPECT_NE(refusal_of("duration('2')").find("not a length of time"), std::string::npos);
    EXPECT_NE(refusal_of("version('latest')").find("not a version"), std::string::npos);
    EXPECT_NE(refusal_of("name.matches('(')").find("missing )"), std::string::npos);
    EXPECT_NE(refusal_of("version(15.10)").find("15.10 is not 15.1"), std::string::npos);
}

TEST(Expression, SuggestsNamesAndFields) {
    EXPECT_EQ(error_of("membr.lag").message, "undefined name \"membr\"");
    EXPECT_EQ(error_of("membr.lag").hint, "did you mean \"member\"?");
    EXPECT_EQ(error_of("member.lagg").message, "member has no field \"lagg\"");
    EXPECT_EQ(error_of("member.lagg").hint, "did you mean \"lag\"?");
    EXPECT_EQ(error_of("member['lagg']").hint, "did you mean \"lag\"?");
    EXPECT_EQ(error_of("member.shoe").hint, "there is: lag, name, patroni, version");
    EXPECT_EQ(error_of("members.all(node, nod.lag > 1)").hint, "did you mean \"node\"?");
}

TEST(Expression, SaysThatAFactIsNull) {
    const EvaluationError error = error_of("members[1].patroni.running");
    EXPECT_EQ(error.message, "members[1].patroni is null and has no field \"running\"");
    EXPECT_EQ(error.hint, "Ask first: members[1].patroni != null && …");
    EXPECT_EQ(error_of("members[1].lag < 5").hint, "One side is null: ask with != null first.");
}

TEST(Expression, ExplainsTheMixingOfKinds) {
    EXPECT_EQ(error_of("member.version < '4.1'").message, "cannot compare version and string");
    EXPECT_EQ(error_of("member.version == inputs.target").hint,
              "Make a version of the string: version('4.0.7').");
    EXPECT_EQ(error_of("duration('1m') > '30s'").hint,
              "Make a duration of the string: duration('2m').");
    EXPECT_EQ(error_of("inputs.count + inputs.target").message, "cannot add int and string");
    EXPECT_EQ(error_of("inputs.count / 'a'").message, "cannot divide int by string");
    EXPECT_EQ(error_of("not member.name == 'n1'").hint,
              "It binds tighter than == and in: write not (a == b).");
    EXPECT_EQ(error_of("member.lag && true").message,
              "member.lag is int, and a condition must be bool");
    EXPECT_EQ(error_of("members.name").hint,
              "Of one element: list[0].name; of all: list.map(x, x.name).");
    EXPECT_EQ(error_of("members[7]").message, "members has no element [7], it has 2");
    EXPECT_EQ(error_of("'4.0' in inputs.target").hint,
              "Whether a string is a part of another is asked with text.contains('part').");
}

TEST(Expression, ShortensLongTextsInMessages) {
    const std::string message = error_of("[" + std::string(200, '1').substr(0, 15) +
                                         ",\n   'a string that is rather long', 'and another one "
                                         "behind it'].name")
                                    .message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
    EXPECT_NE(message.find("…"), std::string::npos);
    EXPECT_LT(message.size(), 120U);
}

TEST(Expression, ReadsTheFieldsOfVersions) {
    EXPECT_EQ(value_of("member.version.upstream").as_string(), "4.0.7");
    EXPECT_EQ(value_of("member.version.revision").as_string(), "1.pgdg120+1");
    EXPECT_EQ(value_of("member.version.epoch").as_integer(), 1);
    EXPECT_EQ(value_of("member.version.major").as_integer(), 4);
    EXPECT_EQ(value_of("member.version.minor").as_integer(), 0);
    EXPECT_EQ(value_of("member.version.patch").as_integer(), 7);
    EXPECT_EQ(value_of("member.version.text").as_string(), "1:4.0.7-1.pgdg120+1");
    EXPECT_TRUE(holds("has(member.version.major)"));
    EXPECT_FALSE(holds("has(member.version.majro)"));
    EXPECT_EQ(error_of("member.version.majro").hint, "did you mean \"major\"?");
}

TEST(Expression, OrdersVersionsAsDpkgDoes) {
    EXPECT_TRUE(holds("version('4.0.7') < version(inputs.target)"));
    EXPECT_TRUE(holds("version('4.0.7~rc1') < version('4.0.7')"));
    EXPECT_TRUE(holds("version('1:1.0') > version('9.9')"));
    EXPECT_TRUE(holds("version('1.0') == version('1.00')"));
    EXPECT_TRUE(holds("member.version >= member.version"));
    EXPECT_TRUE(holds("version(member.version) == member.version"));
    EXPECT_TRUE(holds("version(inputs.target) in [version('1.0'), version('4.0.10')]"));
    EXPECT_TRUE(holds("member.version.upstream == version('4.0.7').upstream"));
}

TEST(Expression, ComparesSizesAndLengthsOfTime) {
    EXPECT_TRUE(holds("member.lag < bytes('1kB')"));
    EXPECT_TRUE(holds("bytes('16MB') == 16777216"));
    EXPECT_TRUE(holds("duration('2m') + duration('30s') == duration('150s')"));
    EXPECT_TRUE(holds("duration('1h') > duration('59m')"));
}

TEST(Expression, NamesWhatMakesItUnknown) {
    const Evaluation result = evaluated("step.stdout.contains('ready')");
    ASSERT_TRUE(std::holds_alternative<Value::Unknown>(result));
    EXPECT_EQ(std::get<Value::Unknown>(result).because, "step probe has not run");
    const Evaluation member = evaluated("members.all(m, m.version >= version('1.0'))");
    ASSERT_TRUE(std::holds_alternative<Value::Unknown>(member));
    EXPECT_EQ(std::get<Value::Unknown>(member).because, "n2 did not answer");
}

TEST(Expression, DecidesWhereOneMemberIsEnough) {
    EXPECT_FALSE(holds("members.all(m, m.version >= version('2:0'))"));
    EXPECT_TRUE(holds("members.any(m, m.version >= version('1:1.0'))"));
    EXPECT_TRUE(holds("members.any(m, m.patroni.running)")) << "the other one is an error";
    EXPECT_TRUE(holds("members.filter(m, m.patroni != null).all(m, m.patroni.running)"));
}

TEST(Expression, TaintsWhatIsMadeOfSecrets) {
    for (const char* const text : {"inputs.password",
                                   "inputs['password']",
                                   "inputs.password + '!'",
                                   "'!' + inputs.password",
                                   "upper(inputs.password)",
                                   "string(inputs.password)",
                                   "size(inputs.password)",
                                   "[inputs.password]",
                                   "[[inputs.password]]",
                                   "[inputs.password][0]",
                                   "['a'] + [inputs.password]",
                                   "{'k': inputs.password}",
                                   "{inputs.password: 1}",
                                   "{'k': inputs.password}.k",
                                   "join(['a', inputs.password], ' ')",
                                   "join(['a', 'b'], inputs.password)",
                                   "['a'].map(x, x + inputs.password)",
                                   "[inputs.password].filter(x, true)",
                                   "[inputs.password].map(x, x)[0]",
                                   "true ? inputs.password : 'a'"}) {
        EXPECT_TRUE(value_of(text).tainted()) << text;
    }
}

TEST(Expression, DoesNotTaintTheNeighboursOfSecrets) {
    EXPECT_FALSE(value_of("inputs").tainted());
    EXPECT_FALSE(value_of("inputs.target").tainted());
    EXPECT_FALSE(value_of("inputs.password == 'a'").tainted());
    EXPECT_FALSE(value_of("inputs.password != 'a' ? 'long' : 'short'").tainted());
}

TEST(Expression, KeepsSecretsOutOfMessages) {
    for (const char* const text : {"int(inputs.password)",
                                   "double(inputs.password)",
                                   "version(inputs.password)",
                                   "bytes(inputs.password)",
                                   "duration(inputs.password)",
                                   "'a'.matches(inputs.password + '(')",
                                   "member[inputs.password]",
                                   "{inputs.password: 1}.field",
                                   "{inputs.password: 1}['field']",
                                   "{inputs.password: 1, inputs.password: 2}",
                                   "inputs.password < 5"}) {
        const EvaluationError error = error_of(text);
        EXPECT_EQ((error.message + error.hint).find("hunter2"), std::string::npos) << text;
    }
}

TEST(Expression, CanBeAskedByManyThreads) {
    const Expression expression = parsed("members.any(m, m.name.matches('^n[12]$'))");
    const Scope shared = scope();
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n) {
        threads.emplace_back([&] {
            for (int round = 0; round < 50; ++round) {
                EXPECT_TRUE(std::get<Value>(expression.evaluate(shared)).as_bool());
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
}

std::set<std::string> reads(const std::string& text) {
    return parsed(text).reads();
}

using Paths = std::set<std::string>;

TEST(ExpressionReads, NamesTheLongestPaths) {
    EXPECT_EQ(reads("member.wal.bytes < bytes('1GB')"), Paths{"member.wal.bytes"});
    EXPECT_EQ(reads("a.b + a['c'] + a.d[0].e"), (Paths{"a.b", "a.c", "a.d[].e"}));
    EXPECT_EQ(reads("has(a.b) ? a.b : c"), (Paths{"a.b", "c"}));
    EXPECT_EQ(reads("a.name.startsWith(b) && !c.d && -e < f"),
              (Paths{"a.name", "b", "c.d", "e", "f"}));
    EXPECT_EQ(reads("[a, {b: c}]"), (Paths{"a", "b", "c"}));
    EXPECT_EQ(reads("version(inputs.target).major"), Paths{"inputs.target"});
    EXPECT_EQ(reads("1 + 2"), Paths{});
}

TEST(ExpressionReads, StopsWhereThePathIsNotStatic) {
    EXPECT_EQ(reads("facts[name].size"), (Paths{"facts", "name"}));
    EXPECT_EQ(reads("(a ? b : c).d"), (Paths{"a", "b", "c"}));
}

TEST(ExpressionReads, PutsTheRangeInPlaceOfTheVariable) {
    EXPECT_EQ(reads("members.all(m, m.patroni.running)"),
              (Paths{"members", "members[].patroni.running"}));
    EXPECT_EQ(reads("cluster.members.filter(m, m.up).map(n, n.name)"),
              (Paths{"cluster.members", "cluster.members[].name", "cluster.members[].up"}));
    EXPECT_EQ(reads("a.all(x, x.b.any(y, y.c == x.d))"),
              (Paths{"a", "a[].b", "a[].b[].c", "a[].d"}));
    EXPECT_EQ(reads("['n1'].all(m, m == member.name)"), Paths{"member.name"});
    EXPECT_EQ(reads("members.map(member, member.lag)"), (Paths{"members", "members[].lag"}));
    EXPECT_EQ(reads("members.map(m, m.up, m.lag)"),
              (Paths{"members", "members[].lag", "members[].up"}));
}

TEST(ExpressionLimits, RefusesLongTexts) {
    EXPECT_NO_THROW((void)parsed("'" + std::string(4094, 'a') + "'"));
    EXPECT_EQ(refusal_of("'" + std::string(4095, 'a') + "'"),
              "book.yaml:10:5: the expression is longer than 4096 characters");
}

TEST(ExpressionLimits, RefusesDeepNesting) {
    const auto wrapped = [](const std::string& open, int times, const std::string& close) {
        std::string text = "1";
        for (int n = 0; n < times; ++n) {
            text = open + text + close;
        }
        return text;
    };
    EXPECT_NO_THROW((void)parsed(wrapped("(", 60, ")")));
    for (const std::string& text : {wrapped("(", 1000, ")"),
                                    wrapped("[", 1000, "]"),
                                    wrapped("!", 1000, ""),
                                    wrapped("-", 1000, ""),
                                    wrapped("", 1000, "[0]"),
                                    wrapped("", 1000, ".a"),
                                    wrapped("", 1000, "+1"),
                                    wrapped("int(", 500, ")"),
                                    wrapped("true?1:", 500, "")}) {
        EXPECT_NE(refusal_of(text).find("64 levels"), std::string::npos) << text.substr(0, 20);
    }
}

TEST(ExpressionLimits, TakesLongChainsOfConditions) {
    std::string text = "true";
    for (int n = 0; n < 300; ++n) {
        text += " && true";
    }
    EXPECT_TRUE(holds(text));
}

TEST(ExpressionLimits, EndsWhatTakesTooLong) {
    const std::string ten = "[0,1,2,3,4,5,6,7,8,9]";
    std::string loops = "true";
    for (int n = 0; n < 12; ++n) {
        loops = ten + ".all(x" + std::to_string(n) + ", " + loops + ")";
    }
    EXPECT_EQ(error_of(loops).message, "the expression takes too long to evaluate");
    EXPECT_EQ(error_of("true || " + loops + " ? 1 / 0 : 1").message, "division by zero");
}

TEST(ExpressionLimits, BoundsTheSizeOfResults) {
    std::string strings = "['0123456789abcdef']";
    std::string lists = "[[1, 2]]";
    for (int n = 0; n < 55; ++n) {
        strings += ".map(x, x + x)";
        lists += ".map(x, [x, x])";
    }
    EXPECT_EQ(error_of(strings).message, "the expression takes too long to evaluate");
    EXPECT_EQ(error_of(lists).message, "the expression takes too long to evaluate");
}

TEST(ExpressionLimits, BoundsTheDepthOfResults) {
    std::string text = "[1]";
    for (int n = 0; n < 20; ++n) {
        text += ".map(x, [[[[[[[x]]]]]]])";
    }
    EXPECT_EQ(error_of(text).message, "the expression makes a value that is nested too deeply");
}

TEST(ExpressionLimits, AnswersAtOnceForPatternsThatExplodeElsewhere) {
    Scope facts = {{"text", std::string(50'000, 'a') + "!"}};
    const auto result =
        Expression::parse("text.matches('^(a+)+$')", {"file", 1, 1}).evaluate(facts);
    EXPECT_FALSE(std::get<Value>(result).as_bool());
}

TEST(ExpressionLimits, RefusesPatternsThatAreTooLarge) {
    EXPECT_NE(refusal_of("name.matches('((a{100}){100}){100}')").find("is not valid"),
              std::string::npos);
    EXPECT_NE(refusal_of("name.matches('" + std::string(1025, 'a') + "')").find("1024"),
              std::string::npos);
}

}  // namespace
}  // namespace lockstep
