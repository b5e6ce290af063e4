#include "base/known_secrets.hpp"
#include "tests/scenarios/story.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using namespace std::chrono_literals;

class Language : public Story {
  protected:
    /// What a step waits for in a plan, by id.
    static Names after(const Plan& planned, const std::string& id) {
        for (const PlannedStep& step : planned.steps) {
            if (step.id == id) {
                Names names;
                for (const std::size_t before : step.after) {
                    names.push_back(planned.steps[before].id);
                }
                return names;
            }
        }
        return {"no such step"};
    }

    /// What an action was given, in order.
    void keep_texts(const std::string& action) {
        runner.workers[action] = [this](const StepCall& call, ClusterFacts&) {
            const auto text = call.with.find("text");
            texts.push_back(text == call.with.end() ? "" : text->second.as_string());
            return StepResult{};
        };
    }

    void let_look_give(nlohmann::json output) {
        runner.workers["look"] = [output](const StepCall&, ClusterFacts&) {
            return StepResult{.output = output};
        };
    }

    Names texts;
};

using Needs = Language;
using Always = Language;
using Until = Language;
using Register = Language;
using Calling = Language;
using Order = Language;

TEST_F(Needs, LetStepsRunSideBySideAndJoinThem) {
    const Plan planned = plan(R"(
- {id: first, uses: look}
- {id: left, uses: change, needs: [first]}
- {id: right, uses: change, needs: [first]}
- {id: alone, uses: look, needs: []}
- {id: last, uses: look}
)");
    EXPECT_EQ(after(planned, "left"), Names{"first"});
    EXPECT_EQ(after(planned, "right"), Names{"first"});
    EXPECT_EQ(after(planned, "alone"), Names{});
    EXPECT_EQ(after(planned, "last"), (Names{"left", "right", "alone"}));
    EXPECT_EQ(run(planned).exit_code, 0);
}

TEST_F(Needs, GoThroughBlocks) {
    const Plan planned = plan(R"(
- id: block
  steps: [{id: a, uses: look}, {id: b, uses: look, needs: []}]
- {id: beside, uses: look, needs: []}
- {id: then, uses: look, needs: [block]}
)");
    EXPECT_EQ(after(planned, "then"), (Names{"block.a", "block.b"}));
    EXPECT_EQ(after(planned, "beside"), Names{});
}

TEST_F(Always, IsDoneAfterASuccess) {
    EXPECT_EQ(
        run(plan("- {id: one, uses: change}\n", "always: [{id: told, uses: look}]\n")).exit_code,
        0);
    EXPECT_EQ(started(), (Names{"one", "told"}));
}

TEST_F(Always, IsDoneAfterAFailureAndAgainAfterTheResume) {
    make_fail("change", StepOutcome::failed);
    const RunEnd end = run(plan("- {id: one, uses: change}\n- {id: two, uses: look}\n",
                                "always: [{id: told, uses: look}, {id: also, uses: look}]\n"));
    EXPECT_EQ(end.exit_code, 10);
    EXPECT_EQ(started(), (Names{"one", "told", "also"}));
    runner.describe("change");
    EXPECT_EQ(resume().exit_code, 0);
    EXPECT_EQ(started(), (Names{"one", "told", "also", "one", "two", "told", "also"}));
}

TEST_F(Always, IsDoneAfterARollbackAndIsNoPartOfIt) {
    runner.previews["change"] = [](const StepCall&, const ClusterFacts&) {
        Preview preview;
        preview.undo.push_back({{Operation::Kind::ssh, "revert"}, "revert", {}, {{"what", "it"}}});
        return preview;
    };
    make_fail("fragile", StepOutcome::failed);
    const RunEnd end =
        run(plan("- {id: one, uses: change}\n- {id: two, uses: fragile, undo: none}\n",
                 "on_failure: rollback\nalways: [{id: tidy, uses: change}]\n"));
    EXPECT_EQ(end.exit_code, 11) << end.message;
    EXPECT_EQ(started().back(), "tidy");
    EXPECT_EQ(state_of("one"), "undone");
    EXPECT_EQ(state_of("tidy"), "succeeded");
}

TEST_F(Always, ThatFailsFailsARunThatHadSucceededAndDoesNotKeepTheNextFromBeingDone) {
    make_fail("fragile", StepOutcome::failed);
    const RunEnd end = run(plan("- {id: one, uses: change}\n",
                                "always: [{id: tidy, uses: fragile}, {id: told, uses: look}]\n"));
    EXPECT_EQ(end.exit_code, 10);
    EXPECT_EQ(end.message, "tidy: went wrong");
    EXPECT_EQ(started(), (Names{"one", "tidy", "told"}));
}

TEST_F(Always, IsReachedByAMemberThatCannotBeReached) {
    make_fail("change", StepOutcome::unreachable, "n2");
    const RunEnd end = run(
        plan("- {id: one, on: replicas, uses: change}\n", "always: [{id: told, uses: look}]\n"));
    EXPECT_EQ(end.exit_code, 16);
    EXPECT_EQ(started(), (Names{"one on n2", "told"}));
}

TEST_F(Always, EndsAlsoWhereTheLockIsLost) {
    runner.workers["fragile"] = [this](const StepCall&, ClusterFacts&) {
        runner.lock_problem = "another run has it";
        return StepResult{.outcome = StepOutcome::failed, .message = "went wrong"};
    };
    const RunEnd end = run(plan("- {id: one, uses: fragile, undo: none}\n",
                                "always: [{id: tidy, uses: change}, {id: told, uses: look}]\n"));
    EXPECT_EQ(end.exit_code, 10);
    EXPECT_EQ(state_of("tidy"), "failed");
    EXPECT_EQ(started(), (Names{"one", "told"}));
}

TEST_F(Always, IsDoneWhereAGateRefusesWhatHasAWayBackToPrepare) {
    make_fail("look", StepOutcome::failed);
    const RunEnd end = run(plan(R"(
- {id: gate, uses: look}
- {id: change, uses: change, undo: [{uses: revert, with: {what: it}}]}
)",
                                "always: [{id: tidy, uses: change}]\n"));
    EXPECT_EQ(end.exit_code, 4);
    EXPECT_EQ(started(), (Names{"gate", "tidy"}));
    EXPECT_FALSE(state->changed_anything());
}

TEST_F(Always, IsNotDoneWhileTheRunOnlyWaits) {
    EXPECT_EQ(run(plan("- {id: go, uses: ask}\n", "always: [{id: told, uses: look}]\n")).exit_code,
              14);
    EXPECT_TRUE(started().empty());
}

TEST_F(Until, RepeatsWhatSucceededUntilItIsTrue) {
    int count = 0;
    runner.workers["fragile"] = [&](const StepCall&, ClusterFacts&) {
        return StepResult{.output = {{"stdout", ++count < 3 ? "not yet" : "ready"}, {"exit", 0}}};
    };
    const RunEnd end = run(plan(R"(
- id: one
  uses: fragile
  undo: none
  retry: {attempts: 5, delay: 1s}
  until: result.stdout == 'ready'
)"));
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_EQ(count, 3);
}

TEST_F(Until, FailsOnceAllAttemptsAreUsedUp) {
    let_look_give({{"stdout", "not yet"}});
    const RunEnd end = run(plan(R"(
- {id: one, uses: look, retry: {attempts: 3}, until: result.stdout == 'ready'}
)"));
    EXPECT_EQ(end.exit_code, 4);
    EXPECT_EQ(end.message, "one: `result.stdout == 'ready'` is not true yet");
    EXPECT_EQ(started().size(), 3U);
}

TEST_F(Register, ReadsTextLinesAndJson) {
    keep_texts("change");
    let_look_give({{"stdout", "[\"a\", \"b\"]\n"}, {"exit", 0}});
    const RunEnd end = run(plan(R"(
- {id: a, uses: look, register: {name: text, as: text}}
- {id: b, uses: look, register: {name: lines, as: lines}}
- {id: c, uses: look, register: {name: json, as: json}}
- {id: d, uses: look, register: {name: second, as: json, select: "result[1]"}}
- {id: e, uses: change, with: {text: "${{ steps.text }}"}}
- {id: f, uses: change, with: {text: "${{ steps.lines[0] }}"}}
- {id: g, uses: change, with: {text: "${{ steps.json[0] }}"}}
- {id: h, uses: change, with: {text: "${{ steps.second }}"}}
)"));
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_EQ(texts, (Names{"[\"a\", \"b\"]", "[\"a\", \"b\"]", "a", "b"}));
}

TEST_F(Register, FailsAStepWhoseOutputIsNotWhatItSays) {
    let_look_give({{"stdout", "no JSON"}});
    const RunEnd end = run(plan("- {id: a, uses: look, register: {name: x, as: json}}\n"));
    EXPECT_EQ(end.exit_code, 4);
    EXPECT_EQ(end.message, "a: it was done, but what it gave is no JSON");
}

TEST_F(Register, IsTheSameForAnEngineThatGoesOn) {
    keep_texts("change");
    let_look_give({{"stdout", "one\ntwo\n"}});
    make_fail("fragile", StepOutcome::failed);
    (void)run(plan(R"(
- {id: a, uses: look, register: {name: lines, as: lines}}
- {id: b, uses: change, with: {text: "${{ steps.lines[1] }}"}}
- {id: c, uses: fragile, undo: none}
- {id: d, uses: change, with: {text: "${{ steps.lines[0] }}"}}
)"));
    runner.describe("fragile");
    EXPECT_EQ(resume().exit_code, 0);
    EXPECT_EQ(texts, (Names{"two", "one"}));
}

TEST_F(Register, GivesAStepWhatWasRegisteredOnItsOwnMember) {
    keep_texts("change");
    runner.workers["look"] = [](const StepCall& call, ClusterFacts&) {
        return StepResult{.output = {{"stdout", call.member}, {"exit", 0}}};
    };
    const RunEnd end = run(plan(R"(
- {id: a, on: members, uses: look, register: {name: seen, as: text}}
- {id: b, on: members, uses: change, with: {text: "${{ member.name }} saw ${{ steps.seen }}"}}
- {id: c, on: n1, uses: look, register: {name: first, as: text}}
- {id: d, on: n2, uses: change, with: {text: "${{ steps.first }} before ${{ member.name }}"}}
)"));
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_EQ(texts, (Names{"n1 saw n1", "n2 saw n2", "n3 saw n3", "n1 before n2"}));
}

/// A step is given the outputs that it reads: by name, by one that is worked out, or all of them.
TEST_F(Register, GivesWhateverWayItIsReadByTheStepOrABlockAroundIt) {
    keep_texts("change");
    runner.workers["look"] = [](const StepCall& call, ClusterFacts&) {
        return StepResult{.output = {{"stdout", "of " + call.id}, {"exit", 0}}};
    };
    const RunEnd end = run(plan(R"yaml(
- {id: a, uses: look, register: {name: one, as: text}}
- {id: b, uses: look, register: {name: two, as: text}}
- {id: c, for_each: "['one', 'two']", uses: change, with: {text: "${{ steps[item] }}"}}
- {id: d, uses: change, with: {text: "${{ size(steps) }} of them, ${{ steps['two'] }}"}}
- id: e
  when: has(steps.one) && steps.two == 'of b'
  steps:
    - {id: f, when: "steps.all(name, steps[name] != '')", uses: change, with: {text: "${{ [steps][0].one }}"}}
)yaml"));
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_EQ(texts, (Names{"of a", "of b", "2 of them, of b", "of a"}));
}

TEST_F(Register, ReadsAlsoWhatAnEarlierEngineStarted) {
    keep_texts("change");
    runner.spooled = {"fragile"};
    runner.workers["fragile"] = [](const StepCall&, ClusterFacts&) {
        return StepResult{.output = {{"stdout", "one\ntwo\n"}, {"exit", 0}}};
    };
    journal.die_after = 4;  // the member has the command, and nobody saw its end
    const Plan planned = plan(R"(
- {id: a, uses: fragile, undo: none, register: {name: lines, as: lines}}
- {id: b, uses: change, with: {text: "${{ steps.lines[1] }}"}}
)");
    EXPECT_THROW((void)run(planned), FakeJournal::Death);
    journal.die_after = 0;
    const RunEnd end = resume();
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_EQ(texts, Names{"two"});
    EXPECT_EQ(runner.count("start a"), 1);
}

TEST_F(Register, KeepsWhatAFailedStepPrintedForARunThatGoesOn) {
    runner.workers["look"] = [](const StepCall&, ClusterFacts&) {
        return StepResult{.outcome = StepOutcome::failed,
                          .message = "exit status 3",
                          .output = {{"stdout", "no\n"}, {"exit", 3}}};
    };
    keep_texts("change");
    const Plan planned = plan(R"y(
- {id: a, uses: look, on_failure: continue, register: r}
- {id: t, uses: look, on_failure: continue, register: {name: text, as: text}}
- {id: j, uses: look, on_failure: continue, register: {name: json, as: json}}
- {id: b, when: "steps.r.exit != 0 && !has(steps.json)", uses: change, with: {text: "${{ steps.text }}"}}
)y");
    journal.die_after = 8;  // an engine that goes on knows the same
    EXPECT_THROW((void)run(planned), FakeJournal::Death);
    journal.die_after = 0;
    const RunEnd end = resume();
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_EQ(texts, Names{"no"});
}

/// What a later step was given, and whether it was a secret.
TEST_F(Register, OfAnOutputWithAHiddenSecretIsASecretWhereItWas) {
    std::vector<std::pair<std::string, bool>> given;
    runner.workers["look"] = [](const StepCall&, ClusterFacts&) {
        return StepResult{.output = {{"stdout", "token ***\nplain\n"}, {"exit", 0}},
                          .holds_secret = true};
    };
    runner.workers["change"] = [&](const StepCall& call, ClusterFacts&) {
        const Value& text = call.with.at("text");
        given.emplace_back(text.to_text(), text.tainted());
        return StepResult{};
    };
    const Plan planned = plan(R"(
- {id: a, uses: look, register: r}
- {id: l, uses: look, register: {name: lines, as: lines}}
- {id: s, uses: look, register: {name: part, as: text, select: "result + '!'"}}
- {id: b, uses: change, with: {text: "${{ steps.r.stdout }}"}}
- {id: c, uses: change, with: {text: "${{ steps.r.exit }}"}}
- {id: d, uses: change, with: {text: "${{ steps.lines[1] }} ${{ steps.lines[0] }}"}}
- {id: e, uses: change, with: {text: "${{ steps.lines[1] }}"}}
- {id: f, uses: change, with: {text: "${{ steps.part }}"}}
)");
    journal.die_after = 8;  // taint is on record, too
    EXPECT_THROW((void)run(planned), FakeJournal::Death);
    journal.die_after = 0;
    EXPECT_EQ(resume().exit_code, 0);
    ASSERT_GE(given.size(), 5U);
    const std::vector<std::pair<std::string, bool>> last(given.end() - 5, given.end());
    EXPECT_EQ(last,
              (std::vector<std::pair<std::string, bool>>{{"token ***\nplain\n", true},
                                                         {"0", false},
                                                         {"plain token ***", true},
                                                         {"plain", false},
                                                         {"***", true}}));
    for (const JournalRecord& record : journal.records("run")) {
        if (record.kind == RecordKind::step_intent && record.step == "d") {
            EXPECT_EQ(record.payload.at("with").at("text"), "***");
        }
    }
}

TEST_F(Register, HidesWhatJsonHadEscaped) {
    remember_secret("hunter2secret");
    let_look_give({{"stdout", R"({"a": "\u0068unter2secret"})"}});
    EXPECT_EQ(run(plan("- {id: a, uses: look, register: {name: r, as: json}}\n")).exit_code, 0);
    forget_secrets();
    EXPECT_EQ(state->find("a", "")->output.dump(), R"({"a":"***"})");
    EXPECT_TRUE(state->find("a", "")->holds_secret);
}

TEST_F(Register, OfOneItemTwiceIsRefused) {
    const Plan planned = plan("- {id: a, for_each: \"['x', 'x']\", uses: change}\n");
    ASSERT_EQ(planned.blocked_by.size(), 1U);
    EXPECT_NE(planned.blocked_by.front().message.find("has x twice"), std::string::npos);
}

TEST_F(Order, OfNobodyIsSaid) {
    const Plan planned = plan("- {id: one, on: sync, uses: change}\n");
    ASSERT_EQ(planned.advice.size(), 1U);
    EXPECT_EQ(planned.advice.front().message,
              "step one is done nowhere: no member is selected by `on: sync`");
}

TEST_F(Order, IsByAnyExpressionOverTheMember) {
    (void)run(plan(R"(
- {id: one, on: members, uses: change, strategy: {order: "-member.lag_bytes"}}
)"));
    EXPECT_EQ(started(), (Names{"one on n3", "one on n2", "one on n1"}));
}

TEST_F(Order, ThatIsNotKnownIsNoOrder) {
    const Plan planned = plan(R"(
- {id: one, on: members, uses: change, strategy: {order: "member.position"}}
)");
    ASSERT_FALSE(planned.blocked_by.empty());
    EXPECT_EQ(planned.blocked_by.front().id, "runbook.selection");
}

constexpr const char* k_called = R"(
runbook: inner
inputs: {text: {type: string, required: true}, times: {type: int, default: 2}}
vars: {whole: "${{ inputs.text }} x${{ inputs.times }}"}
heals: [slot.stuck]
guards: [leader_unchanged]
steps:
  - {id: look, uses: look, register: {name: seen, as: text}}
  - {id: change, uses: change, with: {text: "${{ vars.whole }} ${{ steps.seen }}"}}
)";

TEST_F(Calling, PutsAnotherRunbookInWithItsOwnNames) {
    files["inner"] = k_called;
    keep_texts("change");
    let_look_give({{"stdout", "seen\n"}});
    const Plan planned = plan(R"(
- {id: up, uses: runbook, with: {name: inner, inputs: {text: "${{ vars.text }}", times: 3}}}
- {id: again, uses: runbook, when: "vars.text == 'hello'", with: {name: inner, inputs: {text: other}}}
- {id: end, uses: change, with: {text: "${{ vars.text }}"}}
)",
                              "vars: {text: hello}\n");
    EXPECT_TRUE(planned.ready());
    EXPECT_EQ(planned.runbook->heals, Names{"slot.stuck"});
    EXPECT_EQ(planned.runbook->guards.size(), 1U);
    EXPECT_EQ(run(planned).exit_code, 0);
    EXPECT_EQ(texts, (Names{"hello x3 seen", "other x2 seen", "hello"}));
    EXPECT_EQ(started(), (Names{"up.look", "up.change", "again.look", "again.change", "end"}));
}

TEST_F(Calling, IsPinnedWithTheRunAndGoesOnAfterAFailure) {
    files["inner"] = k_called;
    keep_texts("change");
    let_look_give({{"stdout", "seen"}});
    make_fail("change", StepOutcome::failed);
    const Plan planned = plan(R"(
- id: each
  for_each: "['a', 'b']"
  steps: [{id: up, uses: runbook, with: {name: inner, inputs: {text: "${{ item }}"}}}]
)");
    EXPECT_EQ(planned.to_json().at("runbook_parts").at("inner"), k_called);
    (void)run(planned);
    keep_texts("change");
    const RunEnd end = resume();
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_EQ(texts, (Names{"a x2 seen", "b x2 seen"}));
}

TEST_F(Calling, ChangesTheHashOfThePlanWithWhatIsCalled) {
    files["inner"] = k_called;
    const char* steps = "- {id: up, uses: runbook, with: {name: inner, inputs: {text: x}}}\n";
    const std::string before = plan(steps).hash;
    files["inner"] += "# changed\n";
    EXPECT_NE(plan(steps).hash, before);
}

TEST_F(Calling, IsRefusedWhereItWouldNeverEnd) {
    files["inner"] = "runbook: inner\nsteps: [{id: a, uses: runbook, with: {name: outer}}]\n";
    files["outer"] = "runbook: outer\nsteps: [{id: a, uses: runbook, with: {name: inner}}]\n";
    try {
        (void)plan("- {id: up, uses: runbook, with: {name: inner}}\n");
        FAIL();
    } catch (const InputErrors& errors) {
        EXPECT_EQ(errors.errors().front().rule(), "runbook.cycle");
    }
}

TEST_F(Calling, SaysWhatIsWrongWithTheInputs) {
    files["inner"] = k_called;
    try {
        (void)plan(
            "- {id: up, uses: runbook, with: {name: inner, inputs: {times: many, txet: x}}}\n");
        FAIL();
    } catch (const InputErrors& errors) {
        ASSERT_EQ(errors.errors().size(), 3U);
        EXPECT_NE(std::string(errors.what()).find("needs the input text"), std::string::npos);
        EXPECT_NE(std::string(errors.what()).find("must be an integer"), std::string::npos);
        EXPECT_NE(std::string(errors.what()).find("has no input \"txet\""), std::string::npos);
    }
}

TEST_F(Calling, SaysWhatIsWrongInsideOfWhatItCalls) {
    files["inner"] = "runbook: inner\nsteps: [{id: a, uses: lok}]\n";
    try {
        (void)plan("- {id: up, uses: runbook, with: {name: inner}}\n");
        FAIL();
    } catch (const InputErrors& errors) {
        EXPECT_EQ(errors.errors().front().where().file, "inner");
        EXPECT_EQ(errors.errors().front().rule(), "runbook.unknown_action");
    }
}

}  // namespace

}  // namespace lockstep
