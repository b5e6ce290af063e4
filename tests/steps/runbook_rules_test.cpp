#include "engine/runbook/runbook_rules.hpp"

#include "engine/runbook/rules.hpp"
#include "steps/catalog.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace lockstep {
namespace {

/// `line rule` of what is found in these steps: the first stands on line 9.
std::vector<std::string> found_in(const std::string& steps, const std::string& head = {}) {
    std::string text = "runbook: r\n" + head;
    text += std::string(7 - static_cast<std::size_t>(std::ranges::count(text, '\n')), '\n');
    text += "steps:\n" + steps;
    std::vector<std::string> found;
    const auto note = [&](const InputError& problem) {
        found.push_back(std::to_string(problem.where().line) + " " + problem.rule());
    };
    try {
        const Runbook runbook = parse_runbook(text, "f", runbook_vocabulary());
        for (const InputError& problem : check_runbook(runbook, action_catalog())) {
            EXPECT_TRUE(find_rule(problem.rule())->warning) << problem.what();
            note(problem);
        }
    } catch (const InputErrors& errors) {
        for (const InputError& error : errors.errors()) {
            note(error);
        }
    }
    return found;
}

using Found = std::vector<std::string>;

const std::string k_gate = "  - {id: gate, uses: check, with: {refuse_on: critical}}\n";
const std::string k_command = "on: leader, uses: ssh.run, with: {argv: [x]}";

TEST(RunbookRules, FindNothingInTheShippedRunbooks) {
    std::size_t count = 0;
    for (const auto& file : std::filesystem::directory_iterator(LOCKSTEP_SOURCE_DIR "/runbooks")) {
        const Runbook runbook = load_runbook(file.path().string(), runbook_vocabulary());
        for (const InputError& problem : check_runbook(runbook, action_catalog())) {
            ADD_FAILURE() << problem.what();
        }
        ++count;
    }
    EXPECT_GE(count, 3U);
}

TEST(RunbookRules, MissTheUndoOfAChangeWhoseActionHasNone) {
    EXPECT_EQ(found_in(k_gate + "  - {id: a, " + k_command + "}\n"), Found{"10 undo.missing"});
    EXPECT_EQ(found_in(k_gate + "  - {id: a, uses: patroni.pause}\n"), Found{});
}

TEST(RunbookRules, TakeEachAnswerToTheQuestionOfUndo) {
    for (const char* answer : {"undo: none",
                               "undo: [{uses: ssh.run, with: {argv: [y]}}]",
                               "point_of_no_return: the old one cannot read it"}) {
        EXPECT_EQ(found_in(k_gate + "  - {id: a, " + k_command + ", " + answer + "}\n"), Found{});
    }
}

TEST(RunbookRules, WantNoUndoOfWhatOnlyLooks) {
    EXPECT_EQ(found_in("  - {id: a, on: leader, uses: ssh.run, "
                       "with: {argv: [x], read_only: true}}\n"
                       "  - {id: b, uses: sql.query, with: {query: select 1}}\n"),
              Found{});
}

TEST(RunbookRules, WantNoUndoWhereNobodyGoesBackTo) {
    EXPECT_EQ(found_in(k_gate + "  - {id: a, " + k_command + ", point_of_no_return: it is so}\n" +
                       "  - {id: b, " + k_command + ", on_failure: continue}\n"),
              Found{});
}

TEST(RunbookRules, MissAGateBeforeTheFirstChange) {
    EXPECT_EQ(found_in("  - {id: a, uses: patroni.pause}\n"
                       "  - {id: b, uses: patroni.resume}\n" +
                       k_gate),
              Found{"9 gate.missing"});
    EXPECT_EQ(found_in("  - {id: ok, uses: assert, with: {that: not cluster.paused}}\n"
                       "  - {id: a, uses: patroni.pause}\n"),
              Found{});
}

TEST(RunbookRules, RefuseAGuardThatAStepBreaksByItsWork) {
    const std::string restart = k_gate + "  - {id: a, on: leader, uses: patroni.restart}\n";
    EXPECT_EQ(found_in(restart, "guards: [postgres_not_restarted]\n"), Found{"10 guard.broken"});
    EXPECT_EQ(found_in(restart, "guards: [leader_unchanged]\n"), Found{});
}

TEST(RunbookRules, SeeAGateInsideOfABlock) {
    EXPECT_EQ(found_in("  - id: block\n"
                       "    on: members\n"
                       "    steps:\n"
                       "      - {id: ok, uses: wait_for, with: {that: member.state == 'x'}}\n"
                       "      - {id: a, uses: service.stop, with: {service: x}}\n"),
              Found{});
}

TEST(RunbookRules, RefuseAnOutputThatTheActionDoesNotHave) {
    const std::string probe =
        "  - {id: a, uses: sql.query, with: {query: select 1}, register: p}\n";
    EXPECT_EQ(found_in(probe + "  - {id: b, uses: assert, with: {that: size(steps.p.rows) == 1}}\n"
                               "  - {id: c, uses: assert, with: {that: steps.p.row == null}}\n"
                               "  - {id: d, when: steps.p.lines == null, uses: slots.verify}\n"),
              (Found{"11 output.unknown", "12 output.unknown"}));
}

TEST(RunbookRules, KnowNothingOfOutputsThatNobodyDeclares) {
    EXPECT_EQ(found_in("  - {id: a, uses: slots.verify, register: p}\n"
                       "  - {id: b, uses: assert, with: {that: steps.p.anything == 1}}\n"),
              Found{});
}

TEST(RunbookRules, FindStepsThatNoRunComesTo) {
    EXPECT_EQ(found_in("  - {id: a, when: 1 > 2, uses: slots.verify}\n"
                       "  - {id: b, for_each: '[]', uses: slots.verify}\n"
                       "  - {id: c, uses: assert, with: {that: 'false'}}\n"
                       "  - {id: d, uses: slots.verify}\n"
                       "  - {id: e, uses: slots.verify}\n"),
              (Found{"9 step.unreachable", "10 step.unreachable", "12 step.unreachable"}));
}

TEST(RunbookRules, ComePastAnAssertionThatMayFail) {
    EXPECT_EQ(found_in("  - {id: a, uses: assert, with: {that: 'false'}, on_failure: continue}\n"
                       "  - {id: b, uses: assert, with: {that: 'false'}, when: cluster.paused}\n"
                       "  - {id: c, uses: assert, with: {that: cluster.paused}}\n"
                       "  - {id: d, uses: slots.verify}\n"),
              Found{});
}

TEST(RunbookRules, WarnOfARawValueInAShellText) {
    const std::string head = "inputs: {x: {}}\n";
    const std::string step = "  - {id: a, on: leader, uses: ssh.run, with: {read_only: true, ";
    EXPECT_EQ(found_in(step + "shell: 'echo ${{ inputs.x | raw }}'}}\n", head),
              Found{"9 shell.raw"});
    EXPECT_EQ(found_in(step + "shell: 'echo ${{ inputs.x }}'}}\n", head), Found{});
}

TEST(RunbookRules, WarnOfAStepThatCanEndARunForGood) {
    const std::string turn = "  - {id: a, " + k_command + ", point_of_no_return: it is so}\n";
    EXPECT_EQ(found_in(k_gate + turn + "  - {id: b, " + k_command + "}\n"),
              Found{"11 return.stuck"});
    EXPECT_EQ(found_in(k_gate + turn + "  - {id: b, " + k_command + ", retry: {attempts: 3}}\n"),
              Found{});
    EXPECT_EQ(found_in(k_gate + turn + "  - {id: b, uses: patroni.pause}\n"), Found{});
}

TEST(RunbookRules, FollowNeedsInWhatComesBefore) {
    const std::string gate = "  - {id: gate, uses: check, with: {refuse_on: critical}}\n";
    EXPECT_EQ(found_in(gate + "  - {id: a, needs: [], uses: patroni.pause}\n"),
              Found{"10 gate.missing"});
    EXPECT_EQ(found_in(gate + "  - {id: a, needs: [gate], uses: patroni.pause}\n"
                              "  - {id: b, needs: [a], uses: patroni.resume}\n"),
              Found{});
}

TEST(RunbookRules, TakeAnApprovalForAGate) {
    EXPECT_EQ(found_in("  - {id: a, uses: patroni.pause, approval: {}}\n"
                       "  - {id: b, uses: patroni.resume}\n"),
              Found{});
}

TEST(RunbookRules, WantNoUndoOfWhatIsAlwaysDone) {
    EXPECT_EQ(found_in(k_gate, "always: [{id: z, " + k_command + "}]\n"), Found{});
}

TEST(RunbookRules, DoNotKnowTheFieldsOfAnOutputThatIsReadAsJson) {
    EXPECT_EQ(found_in("  - {id: a, uses: local.run, with: {argv: [x], read_only: true}, "
                       "register: {name: p, as: json}}\n"
                       "  - {id: b, uses: assert, with: {that: steps.p.anything == 1}}\n"),
              Found{});
}

TEST(RunbookRules, FollowASecretThroughVariables) {
    const std::string head =
        "inputs: {pw: {type: secret}}\n"
        "vars: {url: '${{ \"x\" + inputs.pw }}'}\n";
    const std::string step = "  - {id: a, uses: local.run, with: {read_only: true, ";
    EXPECT_EQ(found_in(step + "argv: [a, '${{ vars.url }}']}}\n", head),
              Found{"9 secret.misplaced"});
    EXPECT_EQ(found_in(step + "argv: [a], stdin: '${{ vars.url }}', "
                              "env: {PW: '${{ inputs.pw }}'}}}\n",
                       head),
              Found{});
    EXPECT_EQ(found_in("  - {id: a, on: leader, uses: ssh.run, with: {read_only: true, "
                       "argv: [a], env: {PW: '${{ inputs.pw }}'}}}\n",
                       head),
              Found{"9 secret.misplaced"});
}

}  // namespace
}  // namespace lockstep
