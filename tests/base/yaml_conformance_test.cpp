#include "base/yaml.hpp"
#include "tests/base/yaml_cases.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>

namespace lockstep::yaml {
namespace {

std::string escaped(const std::string& text) {
    std::string shown;
    for (const char c : text) {
        shown += c == '\n' ? "\\n" : c == '\t' ? "\\t" : c == '\\' ? "\\\\" : std::string(1, c);
    }
    return shown;
}

std::string tree_of(const Node& node) {
    std::string tree;
    switch (node.kind) {
        case Node::Kind::null:
            return "~";
        case Node::Kind::scalar:
            return "'" + escaped(node.text) + "'";
        case Node::Kind::list:
            for (const Node& item : node.items) {
                tree += (tree.empty() ? "" : ", ") + tree_of(item);
            }
            return "[" + tree + "]";
        case Node::Kind::map:
            for (const auto& [key, value] : node.entries) {
                tree += (tree.empty() ? "" : ", ") + escaped(key.text) + ": " + tree_of(value);
            }
            return "{" + tree + "}";
    }
    return "?";
}

/// The tree, or the place of what is wrong.
std::string verdict_on(const std::string& text) {
    try {
        return tree_of(parse(text, "f"));
    } catch (const InputError& error) {
        return std::to_string(error.where().line) + ":" + std::to_string(error.where().column);
    }
}

std::string hint_for(const std::string& text) {
    try {
        static_cast<void>(parse(text, "f"));
    } catch (const InputError& error) {
        return error.hint();
    }
    return {};
}

TEST(YamlConformance, ReadsWhatIsYaml) {
    for (const auto& [kind, text, tree] : yaml_cases::k_valid) {
        EXPECT_EQ(verdict_on(text), tree) << kind << ":\n" << text;
    }
}

TEST(YamlConformance, RefusesWhatIsNoneWhereItIsWrong) {
    for (const auto& [kind, text, place] : yaml_cases::k_invalid) {
        EXPECT_EQ(verdict_on(text), place) << kind << ":\n" << text;
        EXPECT_FALSE(hint_for(text).empty()) << text;
    }
}

TEST(YamlConformance, SaysTheSameOfLinesThatEndInCrlfOrInALastLineBreak) {
    for (const auto& [kind, text, tree] : yaml_cases::k_valid) {
        std::string crlf;
        for (const char* c = text; *c != '\0'; ++c) {
            crlf += *c == '\n' ? "\r\n" : std::string(1, *c);
        }
        EXPECT_EQ(verdict_on(crlf), tree) << kind << ":\n" << text;
        if (std::string(text).find_first_of("|>") == std::string::npos) {
            EXPECT_EQ(verdict_on(std::string(text) + "\n# c\n"), tree) << kind << ":\n" << text;
        }
    }
}

/// All of them also hold further down, where the file goes on after them.
TEST(YamlConformance, SaysTheSameBelowAKey) {
    for (const auto& [kind, text, tree] : yaml_cases::k_valid) {
        const std::string whole = text;
        const bool is_whole_document = whole.find("---") != std::string::npos;
        const bool counts_columns = whole.find_first_of("|>\t") != std::string::npos;
        if (is_whole_document || counts_columns) {
            continue;
        }
        std::string indented = "k:\n  ";
        for (const char c : whole) {
            indented += c == '\n' ? "\n  " : std::string(1, c);
        }
        EXPECT_EQ(verdict_on(indented + "\nl: m"), "{k: " + std::string(tree) + ", l: 'm'}")
            << kind << ":\n"
            << text;
    }
}

std::string repeated(std::size_t times, const std::string& text) {
    std::string result;
    result.reserve(times * text.size());
    for (std::size_t i = 0; i < times; ++i) {
        result += text;
    }
    return result;
}

/// A reader that looks at something again and again needs minutes for these.
TEST(YamlConformance, NeedsTimeInProportionToTheText) {
    const std::size_t many = 250'000;
    const auto begin = std::chrono::steady_clock::now();
    for (const std::string& text : {
             std::string(4 * many, '\n'),
             repeated(many, "#\n"),
             "a: " + repeated(many, "b\n "),
             "a: '" + repeated(many, "b\n ") + "'",
             "a: \"" + repeated(many, "\\n\n ") + "\"",
             "a: |\n" + repeated(many, " b\n"),
             "a: >\n" + std::string(4 * many, '\n') + " b",
             "a: b" + std::string(4 * many, '\n'),
             repeated(20, "- " + repeated(32'000, " ") + repeated(1'000, "'' ") + "\n"),
             repeated(20, repeated(32'000, " ") + "[" + repeated(1'000, "a ,") + "]\n"),
             repeated(6, "- [" + repeated(30'000, "a,") + "]\n"),
             repeated(100'000, "- |\n\n"),
             repeated(100'000, "- a\n\n\n\n"),
             repeated(190'000, "- 'a\n"),
             repeated(60, "- " + repeated(60'000, "[") + "\n"),
             repeated(200'000, "? "),
             repeated(30'000, "- "),
             repeated(30'000, "{a: "),
             repeated(30'000, "*a ") + repeated(30'000, "- &a\n"),
         }) {
        static_cast<void>(verdict_on(text));
    }
    std::string many_keys;
    for (int i = 0; i < 90'000; ++i) {
        many_keys += "key_" + std::to_string(i) + ": v\n";
    }
    EXPECT_EQ(parse(many_keys, "f").entries.size(), 90'000U);
    // Some seconds with the sanitizers on a busy machine.
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

}  // namespace
}  // namespace lockstep::yaml
