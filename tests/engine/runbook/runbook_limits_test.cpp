#include "engine/runbook/runbook.hpp"
#include "tests/engine/runbook/runbook_vocabulary.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace lockstep {
namespace {

const std::string k_head = "runbook: r\nsteps:\n";

std::string repeated(std::size_t count, const std::function<std::string(std::size_t)>& part) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
        text += part(i);
    }
    return text;
}

std::string repeated(std::size_t count, const std::string& part) {
    return repeated(count, [&](std::size_t) { return part; });
}

using testing_vocabulary::errors_of;

std::string rule_of(const std::string& text) {
    const auto errors = errors_of(text);
    return errors.empty() ? "valid" : errors.front().rule();
}

TEST(RunbookLimits, RefuseABombOfAliasesAtItsFirstAnchor) {
    std::string text = "a: &a [x, x, x, x, x, x, x, x, x]\n";
    for (char name = 'b'; name < 'z'; ++name) {
        const std::string before(1, static_cast<char>(name - 1));
        text += std::string(1, name) + ": &" + name + " [" + repeated(8, "*" + before + ", ") +
                "*" + before + "]\n";
    }
    const auto errors = errors_of(text);
    ASSERT_EQ(errors.size(), 1U);
    EXPECT_EQ(errors.front().rule(), "yaml.anchor");
    EXPECT_EQ(errors.front().where().text(), "f:1:4");
}

TEST(RunbookLimits, RefuseAFileThatIsTooLarge) {
    EXPECT_EQ(rule_of(k_head + repeated(140'000, "# " + std::string(72, 'x') + "\n")),
              "yaml.limit");
}

TEST(RunbookLimits, RefuseALineThatIsTooLong) {
    EXPECT_EQ(rule_of(repeated(100'000, "- ") + "x\n"), "yaml.limit");
}

TEST(RunbookLimits, RefuseDepthOfBrackets) {
    EXPECT_EQ(
        rule_of("runbook: r\nsteps:\n" + repeated(100'000, " [\n") + repeated(100'000, " ]\n")),
        "yaml.limit");
    EXPECT_EQ(rule_of("runbook: r\nsteps: " + repeated(30'000, "[") + repeated(30'000, "]")),
              "yaml.limit");
    EXPECT_EQ(rule_of("runbook: r\nsteps: " + repeated(30'000, "{a: ")), "yaml.limit");
}

TEST(RunbookLimits, RefuseDepthOfBlocks) {
    EXPECT_EQ(rule_of(repeated(2'500, [](std::size_t i) { return std::string(i, ' ') + "a:\n"; })),
              "yaml.limit");
    EXPECT_EQ(rule_of(repeated(30'000, "- ") + "x\n"), "yaml.limit");
}

TEST(RunbookLimits, RefuseMoreValuesThanAnybodyWrites) {
    EXPECT_EQ(rule_of("runbook: r\nsteps:\n" + repeated(210'000, "- a\n")), "yaml.limit");
}

TEST(RunbookLimits, TakeTenThousandSteps) {
    EXPECT_EQ(rule_of(k_head + repeated(10'000,
                                        [](std::size_t i) {
                                            return "  - {id: s" + std::to_string(i) +
                                                   ", uses: wal.verify}\n";
                                        })),
              "valid");
}

TEST(RunbookLimits, CountTheErrorsBehindTheFirstThousand) {
    const auto errors = errors_of(k_head + repeated(5'000, "  - {id: s, uses: wal.verify}\n"));
    ASSERT_EQ(errors.size(), 1'001U);
    EXPECT_EQ(errors.back().message(), "3999 more problems");
    EXPECT_EQ(errors.back().rule(), "yaml.limit");
    EXPECT_EQ(errors.at(999).where().line, 1'003);
}

TEST(RunbookLimits, KnowTheColumnsOfALineWithThousandsOfValues) {
    const std::string line = repeated(9'000, "ä, ");
    const auto errors = errors_of("runbook: r\nheals: [" + line + "{a: 1}]\nsteps: 1\n");
    ASSERT_GT(errors.size(), 2U);
    EXPECT_EQ(errors.at(0).where().text(), "f:2:9");
    EXPECT_EQ(errors.at(900).where().text(), "f:2:2709");
}

}  // namespace
}  // namespace lockstep
