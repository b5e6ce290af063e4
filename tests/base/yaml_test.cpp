#include "base/yaml.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

namespace lockstep::yaml {
namespace {

using Kind = Node::Kind;

Node parse(const std::string& text) {
    return yaml::parse(text, "f");
}

/// What the InputError says that `act` throws, with its hint.
std::string error_of(const std::function<void()>& act) {
    try {
        act();
    } catch (const InputError& error) {
        return error.what() + std::string(error.hint().empty() ? "" : " | ") + error.hint();
    }
    return "no error";
}

std::string error_of(const std::string& text) {
    return error_of([&] { static_cast<void>(parse(text)); });
}

TEST(Yaml, KeepsTheOrderAndThePlacesOfKeysAndValues) {
    const Node root = parse("b: 1\na:\n  - x\n  - \"y\"\n");
    ASSERT_TRUE(root.is(Kind::map));
    ASSERT_EQ(root.entries.size(), 2U);
    EXPECT_EQ(root.entries[0].first.text, "b");
    EXPECT_EQ(root.entries[1].first.where.text(), "f:2:1");
    const Node& list = root.entries[1].second;
    ASSERT_EQ(list.items.size(), 2U);
    EXPECT_EQ(list.items[1].where.text(), "f:4:5");
}

TEST(Yaml, TellsPlainTextsFromQuotedOnes) {
    const Node root = parse("[1, \"1\", '1']");
    EXPECT_TRUE(root.items[0].plain);
    EXPECT_FALSE(root.items[1].plain);
    EXPECT_FALSE(root.items[2].plain);
}

TEST(Yaml, KnowsWhereTheTextOfAScalarBegins) {
    const Node root = parse("a: x\nb: 'x'\nc: |\n\n    x\n");
    EXPECT_EQ(root.find("a")->text_where.text(), "f:1:4");
    EXPECT_EQ(root.find("b")->text_where.text(), "f:2:5");
    EXPECT_EQ(root.find("c")->text_where.text(), "f:5:5");
    EXPECT_FALSE(root.find("c")->plain);
}

TEST(Yaml, CountsColumnsInCharactersNotBytes) {
    const Node root = parse("é: [ü, x]");
    EXPECT_EQ(root.find("é")->items[1].where.text(), "f:1:8");
}

TEST(Yaml, ReadsAnEmptyDocumentAsNothing) {
    for (const char* text : {"", "\n\n", "# only a comment\n", "---\n", "~"}) {
        const Node root = parse(text);
        EXPECT_TRUE(root.is(Kind::null)) << text;
        EXPECT_EQ(root.where.file, "f") << text;
    }
}

TEST(Yaml, FindsNothingForAKeyThatIsNotThere) {
    EXPECT_EQ(parse("a: 1").find("b"), nullptr);
    EXPECT_EQ(parse("[a]").find("a"), nullptr);
}

TEST(Yaml, AcceptsAByteOrderMarkAndCrlf) {
    const Node root = parse(
        "\xEF\xBB\xBF"
        "a: 1\r\nb: |\r\n  x\r\n  y\r\n");
    EXPECT_EQ(root.entries[0].first.where.text(), "f:1:1");
    EXPECT_EQ(root.find("a")->text, "1");
    EXPECT_EQ(root.find("b")->text, "x\ny\n");
}

TEST(Yaml, AcceptsOneDocumentBetweenItsMarkers) {
    EXPECT_EQ(parse("---\na: 1\n...\n# the end\n").find("a")->text, "1");
}

TEST(Yaml, RefusesDuplicateKeysAtTheSecondAndNamesTheFirst) {
    EXPECT_EQ(error_of("a: 1\nb: 2\na: 3"),
              "f:3:1: duplicate key \"a\" | The first one is on line 1.");
    EXPECT_EQ(error_of("x: {a: 1, \"a\": 2}"),
              "f:1:11: duplicate key \"a\" | The first one is on line 1.");
}

TEST(Yaml, AcceptsTheSameKeyInDifferentMaps) {
    EXPECT_EQ(parse("a: {a: 1}\nb: {a: 2}").entries.size(), 2U);
}

TEST(Yaml, RefusesAnchorsAliasesAndMergeKeys) {
    EXPECT_TRUE(error_of("a: &x 1").starts_with("f:1:4: anchors are not allowed: &x"));
    EXPECT_TRUE(error_of("a: *x").starts_with("f:1:4: aliases are not allowed"));
    EXPECT_TRUE(error_of("&x [*x]").starts_with("f:1:1: anchors are not allowed"));
    EXPECT_TRUE(error_of("a: {<<: {b: 1}}").starts_with("f:1:5: merge keys are not allowed: <<"));
}

TEST(Yaml, RefusesTagsAndTeachesNot) {
    for (const char* text :
         {"when: !a", "when: !a b", "when: !!str 1", "when: ! x", "when: !<!> x", "when: !"}) {
        const std::string error = error_of(text);
        EXPECT_TRUE(error.starts_with("f:1:7: tags are not allowed")) << text << ": " << error;
        EXPECT_NE(error.find("`not a`"), std::string::npos) << error;
    }
    EXPECT_TRUE(error_of("!t\na: 1").starts_with("f:1:1: tags are not allowed"));
    EXPECT_TRUE(error_of("- ! [a]").starts_with("f:1:3: tags are not allowed"));
}

TEST(Yaml, RefusesBracesThatLookLikeATemplate) {
    const std::string expected =
        ": {{ }} without quotes is a map in YAML, not a template | Quote it, or write ${{ }}.";
    EXPECT_EQ(error_of("v: {{ x }}"), "f:1:4" + expected);
    EXPECT_EQ(error_of("v: {{ x }}/bin"), "f:1:4" + expected);
    EXPECT_EQ(error_of("v: [{{ x }}]"), "f:1:5" + expected);
    EXPECT_EQ(parse("v: ${{ x }}/bin").find("v")->text, "${{ x }}/bin");
}

TEST(Yaml, RefusesKeysThatAreNoText) {
    for (const char* text : {"? [a]\n: b", "~: x", "{{a: 1}, x: 2}", ": x", "[a]: x"}) {
        const std::string error = error_of(text);
        EXPECT_NE(error, "no error") << text;
    }
    EXPECT_EQ(error_of("? [a]\n: b"),
              "f:1:3: a key must be a text | Close its bracket if it is not meant to be a key; "
              "quote it if it "
              "is a text.");
}

TEST(Yaml, RefusesSecondDocumentsAndTextAfterTheEnd) {
    EXPECT_TRUE(error_of("a: 1\n---\nb: 2").starts_with("f:2:1: a second document begins here"));
    EXPECT_TRUE(error_of("a: 1\n...\njunk").starts_with("f:3:1: a second document begins here"));
    EXPECT_TRUE(error_of("a: 1\n... junk").starts_with("f:2:5: a second document begins here"));
    EXPECT_TRUE(error_of("- a\nb: 1").starts_with("f:2:1: a second document begins here"));
    EXPECT_TRUE(error_of("---\n---\na: 1").starts_with("f:2:1: a second document"));
}

TEST(Yaml, RefusesDirectives) {
    EXPECT_TRUE(error_of("# c\n\n%YAML 1.1\n---\na: 1").starts_with("f:3:1: directives are not"));
    EXPECT_EQ(parse("a: |\n  x\n  %y\n").find("a")->text, "x\n%y\n");
}

TEST(Yaml, SaysWhatIsWrongAndWhatToDo) {
    EXPECT_EQ(error_of("a:\n\tb: 1"),
              "f:2:1: a tab where only spaces indent | Indent with spaces.");
    EXPECT_TRUE(error_of("a: b: c").starts_with("f:1:5: a second \": \" in one line | Quote a"));
    EXPECT_TRUE(error_of("a: \"x\" y").starts_with("f:1:8: text after the end of a value | A new"));
    EXPECT_EQ(error_of("a: @x"), "f:1:4: a text may not begin with @ here | Quote it.");
    EXPECT_EQ(error_of("a: 'b'# c"),
              "f:1:7: a comment needs a blank before its # | Quote a text that holds a #.");
    EXPECT_EQ(error_of("a: {\n  b: c\n}"),
              "f:3:1: a closing bracket that is indented too little | Indent it with more spaces "
              "than what the bracket belongs to.");
    EXPECT_TRUE(error_of("a: [b\nc: d")
                    .starts_with("f:1:4: this [ is still open on line 2, which is indented too "
                                 "little | Close it before"));
    EXPECT_TRUE(error_of("a: \"\\.\"").starts_with("f:1:5: YAML has no such escape | In single"));
}

TEST(Yaml, RefusesAKeyOfMoreThan1024Characters) {
    const std::string name(1024, 'a');
    EXPECT_EQ(parse(name + ": b").entries.size(), 1U);
    EXPECT_TRUE(error_of(name + "a: b").starts_with("f:1:1026: a key longer than 1024 characters"));
}

TEST(Yaml, PointsAtTheKeyWhoseValueIsMissing) {
    EXPECT_EQ(parse("a: 1\nb:\n\nc: 2").find("b")->where.text(), "f:2:1");
    EXPECT_EQ(parse("a: 1\nb: ~").find("b")->where.text(), "f:2:1");
    EXPECT_EQ(parse("{a: 1, b: null}").find("b")->where.text(), "f:1:8");
}

TEST(Yaml, PointsAtTheBracketThatIsNeverClosed) {
    EXPECT_TRUE(error_of("a: 1\nb: [1, 2\n").starts_with("f:2:4: this [ is never closed"));
    EXPECT_TRUE(error_of("a: {b: [1]").starts_with("f:1:4: this { is never closed"));
}

TEST(Yaml, RefusesWhatIsNotUtf8) {
    for (const char* text :
         {"a: \xFF", "a: \xC0\xAF", "a: \xED\xA0\x80", "a: \xE2\x82", "\xFE\xFF"}) {
        EXPECT_NE(error_of(text).find("this is not UTF-8"), std::string::npos) << text;
    }
    EXPECT_TRUE(error_of("a: 1\nb: \xF5\x80\x80\x80").starts_with("f:2:4: this is not UTF-8"));
}

TEST(Yaml, RefusesCharactersThatReadersDisagreeAbout) {
    EXPECT_TRUE(
        error_of(std::string("a: \0", 4)).starts_with("f:1:4: the control character U+0000"));
    EXPECT_TRUE(error_of("a: \x04").starts_with("f:1:4: the control character U+0004"));
    EXPECT_TRUE(error_of("a: \x7F").starts_with("f:1:4: the control character U+007F"));
    EXPECT_TRUE(error_of("a: 1\rb: 2").starts_with("f:1:5: a carriage return without"));
    EXPECT_TRUE(error_of("a: \xE2\x80\xA8").starts_with("f:1:4: the character U+2028 is a line"));
    EXPECT_TRUE(error_of("a: \xE2\x80\xAE").starts_with("f:1:4: the character U+202E changes"));
    EXPECT_TRUE(error_of("a: \xEF\xBB\xBF").starts_with("f:1:4: a byte order mark in the middle"));
    EXPECT_EQ(parse("a: \xF0\x9F\x90\x98").find("a")->text, "\xF0\x9F\x90\x98");
}

TEST(Yaml, RefusesMoreThan64Levels) {
    EXPECT_EQ(parse(std::string(64, '[') + std::string(64, ']')).kind, Kind::list);
    EXPECT_EQ(error_of(std::string(65, '[') + std::string(65, ']')), "f:1:65: more than 64 levels");
    EXPECT_EQ(error_of(std::string(60'000, '[')), "f:1:65: more than 64 levels");
    std::string blocks;
    for (int i = 0; i < 10'000; ++i) {
        blocks += "- ";
    }
    EXPECT_EQ(error_of(blocks), "f:1:129: more than 64 levels");
    std::string lines;
    for (std::size_t i = 0; i < 200; ++i) {
        lines += std::string(i, ' ') + "a:\n";
    }
    EXPECT_EQ(error_of(lines), "f:65:65: more than 64 levels");
}

TEST(Yaml, RefusesTextsThatAreTooLarge) {
    EXPECT_EQ(error_of(std::string(4 * 1024 * 1024 + 1, '\n')),
              "f: larger than 4 MiB | Is this the right file?");
    EXPECT_TRUE(error_of("a: 1\n" + std::string(70'000, '[')).starts_with("f:2:1: a line longer"));
    std::string many;
    for (int i = 0; i < 200'001; ++i) {
        many += "- a\n";
    }
    EXPECT_TRUE(error_of(many).ends_with("more than 200000 values"));
}

TEST(Yaml, SaysWhyAFileCannotBeRead) {
    const auto parse_path = [](const std::string& path) {
        return error_of([&] { static_cast<void>(parse_file(path)); });
    };
    EXPECT_TRUE(
        parse_path("/no/such/file.yaml").starts_with("/no/such/file.yaml: no such file | "));
    EXPECT_TRUE(parse_path("/").starts_with("/: is a directory | "));
}

TEST(Yaml, ReadsAFile) {
    const auto path = std::filesystem::path(testing::TempDir()) / "lockstep_yaml_test.yaml";
    std::ofstream(path) << "a: 1\n";
    EXPECT_EQ(parse_file(path.string()).find("a")->where.file, path.string());
    std::filesystem::remove(path);
}

TEST(Yaml, RefusesAQuoteThatIsNeverClosed) {
    const std::string why =
        "this quote is never closed | Everything after it would be part of the "
        "text.";
    EXPECT_EQ(error_of("a: 1\nb: \"one\nc: 2\n"), "f:2:4: " + why);
    EXPECT_EQ(error_of("a: 'it''s\n"), "f:1:4: " + why);
    EXPECT_EQ(error_of("a: \"\\\"\n"), "f:1:4: " + why);
    EXPECT_EQ(error_of("a: \"one\n  two\"\nb: 'it''s'\nc: \"\\\\\"\n"), "no error");
}

TEST(YamlScalar, ReadsBooleansByTheCoreRulesOnly) {
    EXPECT_TRUE(as_bool(parse("true"), "x"));
    EXPECT_FALSE(as_bool(parse("False"), "x"));
    for (const char* text : {"yes", "on", "y", "1", "\"true\"", "tRue", "~", "[true]"}) {
        EXPECT_TRUE(error_of([&] {
                        static_cast<void>(as_bool(parse(text), "x"));
                    }).starts_with("f:1:1: x must be true or false, not "))
            << text;
    }
}

TEST(YamlScalar, ReadsIntegersByTheCoreRulesOnly) {
    EXPECT_EQ(as_integer(parse("-12"), "x"), -12);
    EXPECT_EQ(as_integer(parse("+12"), "x"), 12);
    EXPECT_EQ(as_integer(parse("0"), "x"), 0);
    EXPECT_EQ(as_integer(parse("0x1F"), "x"), 31);
    EXPECT_EQ(as_integer(parse("0o17"), "x"), 15);
    EXPECT_EQ(as_integer(parse("-9223372036854775808"), "x"), INT64_MIN);
    for (const char* text : {"010",
                             "1_000",
                             "1e3",
                             "1.0",
                             "\"1\"",
                             "-0x1",
                             "0x",
                             "-",
                             "+-1",
                             "a",
                             "9223372036854775808",
                             "{a: 1}"}) {
        EXPECT_TRUE(error_of([&] {
                        static_cast<void>(as_integer(parse(text), "x"));
                    }).starts_with("f:1:1: x must be an integer"))
            << text;
    }
}

TEST(YamlScalar, KeepsTextsAsTheyAreWritten) {
    EXPECT_EQ(as_string(parse("15.10"), "x"), "15.10");
    EXPECT_EQ(as_string(parse("\"\""), "x"), "");
    EXPECT_EQ(error_of([] { static_cast<void>(as_string(parse("[a]"), "name")); }),
              "f:1:1: name must be a text, not a list");
}

TEST(YamlScalar, RefusesUnknownKeysWithASuggestion) {
    const Node map = parse("port: 1\nusr: x");
    EXPECT_EQ(error_of([&] {
                  refuse_unknown_keys(map, {"port", "user"}, "ssh");
              }),
              "f:2:1: unknown key \"usr\" in ssh | did you mean \"user\"?");
}

TEST(Node, DescribesItselfForMessages) {
    EXPECT_EQ(parse("~").describe(), "nothing");
    EXPECT_EQ(parse("[]").describe(), "a list");
    EXPECT_EQ(parse("{}").describe(), "a map");
    EXPECT_EQ(parse("abc").describe(), "the text 'abc'");
    EXPECT_EQ(parse("|\n  a\n  b").describe(), "the text 'a…'");
    EXPECT_EQ(parse(std::string(39, 'x') + "éé").describe(),
              "the text '" + std::string(39, 'x') + "…'");
}

}  // namespace
}  // namespace lockstep::yaml
