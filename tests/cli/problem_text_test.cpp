#include "cli/problem_text.hpp"

#include "engine/runbook/rules.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

const Terminal k_plain(false, false);

InputError problem(const std::string& rule, int line = 2, const std::string& hint = "Mend it.") {
    return InputError({"a b.yaml", line, line == 0 ? 0 : 4}, "it is wrong", hint, rule)
        .in(std::make_shared<const std::string>("one: 1\ntwo: 2\n"));
}

TEST(ProblemText, ShowsThePlaceTheRuleTheLineAndTheHint) {
    EXPECT_EQ(problems_text({problem("runbook.value")}, k_plain),
              "error: a b.yaml:2:4: it is wrong [runbook.value]\n"
              "  2 | two: 2\n"
              "    |    ^\n"
              "HINT:  Mend it.\n");
}

TEST(ProblemText, CallsAWarningOne) {
    EXPECT_TRUE(problems_text({problem("undo.missing")}, k_plain).starts_with("warning: "));
}

TEST(ProblemText, ShowsNoLineOfAFileThatIsWrongAsAWhole) {
    EXPECT_EQ(problems_text({problem("yaml.limit", 0, "")}, k_plain),
              "error: a b.yaml: it is wrong [yaml.limit]\n");
}

TEST(ProblemText, EndsAfterAHundred) {
    const std::vector<InputError> many(103, problem("runbook.value"));
    const std::string text = problems_text(many, k_plain);
    EXPECT_TRUE(text.ends_with("… and 3 more\n"));
    EXPECT_EQ(std::ranges::count(text, '^'), 100);
}

TEST(ProblemJson, IsValidWithWarningsAlone) {
    EXPECT_TRUE(problems_json({}).at("valid"));
    EXPECT_TRUE(problems_json({problem("undo.missing")}).at("valid"));
    EXPECT_FALSE(problems_json({problem("undo.missing"), problem("yaml.tag")}).at("valid"));
}

TEST(ProblemJson, SaysEverythingOfAnError) {
    const nlohmann::json expected = {{"rule", "runbook.value"},
                                     {"severity", "error"},
                                     {"file", "a b.yaml"},
                                     {"line", 2},
                                     {"column", 4},
                                     {"message", "it is wrong"},
                                     {"hint", "Mend it."}};
    EXPECT_EQ(problems_json({problem("runbook.value")}).at("errors").at(0), expected);
}

TEST(ProblemSarif, HasEveryRuleAndPointsAtTheOneThatIsBroken) {
    const auto document = problems_sarif({problem("undo.missing"), problem("yaml.limit", 0)});
    EXPECT_EQ(document.at("version"), "2.1.0");
    const auto& run = document.at("runs").at(0);
    const auto& rules = run.at("tool").at("driver").at("rules");
    ASSERT_EQ(rules.size(), rule_table().size());
    const auto& result = run.at("results").at(0);
    EXPECT_EQ(rules.at(result.at("ruleIndex").get<std::size_t>()).at("id"), "undo.missing");
    EXPECT_EQ(result.at("level"), "warning");
    const auto& place = result.at("locations").at(0).at("physicalLocation");
    EXPECT_EQ(place.at("artifactLocation").at("uri"), "a%20b.yaml");
    EXPECT_EQ(place.at("region").at("startLine"), 2);
    EXPECT_EQ(place.at("region").at("startColumn"), 4);
    const auto& whole = run.at("results").at(1).at("locations").at(0).at("physicalLocation");
    EXPECT_FALSE(whole.contains("region"));
}

TEST(Rules, AreNamedOnceAndExplained) {
    std::vector<std::string_view> ids;
    for (const RuleRow& rule : rule_table()) {
        EXPECT_TRUE(rule.help.ends_with('.')) << rule.id;
        EXPECT_EQ(std::ranges::count(ids, rule.id), 0) << rule.id;
        ids.push_back(rule.id);
    }
}

}  // namespace
}  // namespace lockstep
