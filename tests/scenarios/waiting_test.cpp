#include "tests/scenarios/story.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using namespace std::chrono_literals;

class Waiting : public Story {
  protected:
    [[nodiscard]] const ApprovalProgress& approval(const std::string& gate) const {
        return *state->approval(gate);
    }

    [[nodiscard]] std::vector<std::string> told(const std::string& event) const {
        std::vector<std::string> texts;
        for (const auto& [target, notification] : runner.notifications) {
            if (notification.event == event) {
                texts.push_back(target + ": " + notification.text);
            }
        }
        return texts;
    }

    static constexpr const char* k_asked = R"(
- {id: gate, uses: look}
- {id: go, uses: ask, with: {message: "The backup is there?"}}
- {id: change, uses: change}
)";
};

using Approvals = Waiting;
using Windows = Waiting;
using Told = Waiting;

TEST_F(Approvals, EndARunThatNobodyHasAnsweredWithNothingChanged) {
    const RunEnd end = run(plan(k_asked));
    EXPECT_EQ(end.exit_code, 14);
    EXPECT_EQ(state->phase(), RunPhase::waiting);
    EXPECT_EQ(started(), Names{"gate"});
    EXPECT_EQ(approval("go").message, "The backup is there?");
    EXPECT_EQ(end.waiting_for, Names{"go waits for an approval"});
    EXPECT_FALSE(still_waits_for(*state, journal.answers("run"), clock.wall_now()).empty());
}

TEST_F(Approvals, LetAResumedRunGoOnAndLookAgainAtItsGates) {
    (void)run(plan(k_asked));
    answer("go", "bert@jump2", true, "ticket 7");
    EXPECT_TRUE(still_waits_for(*state, journal.answers("run"), clock.wall_now()).empty());
    const RunEnd end = resume();
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_EQ(started(), (Names{"gate", "gate", "change"}));
    EXPECT_EQ(state->find("go", "")->message, "approved by bert@jump2: ticket 7");
}

TEST_F(Approvals, AreNotGivenByWhoStartedTheRun) {
    (void)run(plan(k_asked));
    answer("go", "anna@jump2");
    EXPECT_EQ(resume().exit_code, 14);
    EXPECT_EQ(approval("go").answers.front().why_not,
              "anna started this run, and somebody else has to approve it");
    EXPECT_EQ(started(), (Names{"gate", "gate"}));
}

TEST_F(Approvals, AskForAsManyDifferentPeopleAsTheRunbookSays) {
    inventory.groups["dba"] = {"bert", "carl@jump1"};
    people.inventory = &inventory;
    (void)run(plan(R"(
- {id: change, uses: change, approval: {count: 2, from: [dba]}}
)"));
    answer("change", "bert@jump1");
    answer("change", "bert@jump2");
    answer("change", "carl@jump9");
    answer("change", "dora@jump1");
    EXPECT_EQ(resume().exit_code, 14);
    const auto& answers = approval("change").answers;
    EXPECT_EQ(answers[0].why_not, "");
    EXPECT_EQ(answers[1].why_not, "bert has approved it already");
    EXPECT_EQ(answers[2].why_not, "carl@jump9 is not among those who are asked: dba");
    EXPECT_EQ(answers[3].why_not, "dora@jump1 is not among those who are asked: dba");
    answer("change", "carl@jump1");
    EXPECT_EQ(resume().exit_code, 0);
    EXPECT_EQ(started(), Names{"change"});
}

TEST_F(Approvals, ThatAreRefusedFailTheStepAndAreAskedAnewOnAResume) {
    (void)run(plan(k_asked));
    answer("go", "bert@jump2", false, "not on a Friday");
    RunEnd end = resume();
    EXPECT_EQ(end.exit_code, 4);
    EXPECT_EQ(end.message, "go: rejected by bert@jump2: not on a Friday");
    EXPECT_EQ(resume().exit_code, 14);
    answer("go", "bert@jump2");
    end = resume();
    EXPECT_EQ(end.exit_code, 0) << end.message;
}

TEST_F(Approvals, ExpireAndThenCountForNothing) {
    const char* steps = R"(
- {id: change, uses: change, approval: {expires: 1h}}
)";
    (void)run(plan(steps));
    clock.advance(2h);
    EXPECT_TRUE(still_waits_for(*state, journal.answers("run"), clock.wall_now()).empty());
    answer("change", "bert@jump2");
    const RunEnd end = resume();
    EXPECT_EQ(end.exit_code, 4) << end.message;
    EXPECT_EQ(approval("change").answers.front().why_not, "it came too late");
    EXPECT_TRUE(started().empty());
}

TEST_F(Approvals, ThatWereGivenInTimeAndNotUsedInTimeAreAskedForAgain) {
    (void)run(plan("- {id: change, uses: change, approval: {expires: 4h}}\n"));
    clock.advance(3h);
    answer("change", "bert@jump2");
    clock.advance(72h);
    EXPECT_EQ(resume().exit_code, 14);
    EXPECT_TRUE(started().empty());
    answer("change", "bert@jump2");
    EXPECT_EQ(resume().exit_code, 0);
}

TEST_F(Approvals, OfABlockThatWasBegunInTimeHoldForTheRestOfIt) {
    make_fail("change", StepOutcome::failed, "n3");
    (void)run(plan(R"(
- id: replicas
  on: replicas
  approval: {expires: 4h}
  steps: [{id: change, uses: change}]
)"));
    answer("replicas", "bert@jump2");
    EXPECT_EQ(resume().exit_code, 10);
    clock.advance(72h);
    runner.describe("change");
    EXPECT_EQ(resume().exit_code, 0);
}

TEST_F(Approvals, ArePartOfWhatKeepsTheWayBackFromBeingPrepared) {
    (void)run(plan(R"(
- {id: change, uses: change, approval: {}, undo: [{uses: revert, with: {what: it}}]}
)"));
    EXPECT_TRUE(started().empty());
    answer("change", "bert@jump2");
    EXPECT_EQ(resume().exit_code, 0);
    EXPECT_EQ(started(), (Names{"keep:it", "change"}));
}

TEST_F(Approvals, DoNotKeepARunWaitingWhoseWindowOpens) {
    const char* steps = R"(
- {id: first, uses: change, needs: [], window: {time_zone: UTC, weekly: [{from: "01:00", for: 1h}]}}
- {id: second, uses: change, needs: [], approval: {}}
)";
    (void)run(plan(steps));
    EXPECT_FALSE(still_waits_for(*state, {}, clock.wall_now()).empty());
    clock.advance(61min);
    EXPECT_TRUE(still_waits_for(*state, {}, clock.wall_now()).empty());
    EXPECT_EQ(resume().exit_code, 14);
    EXPECT_EQ(started(), Names{"first"});
}

TEST_F(Approvals, AreAskedAgainWhenTheyExpiredWhereTheRunbookSaysSo) {
    (void)run(plan(R"(
- {id: change, uses: change, approval: {expires: 1h, on_expire: ask_again}}
)"));
    clock.advance(2h);
    EXPECT_EQ(resume().exit_code, 14);
    EXPECT_EQ(approval("change").state, ApprovalProgress::State::open);
    answer("change", "bert@jump2");
    EXPECT_EQ(resume().exit_code, 0);
}

TEST_F(Approvals, OfAnotherPlanDoNotCount) {
    (void)run(plan(k_asked));
    journal.answer("run",
                   {.gate = "go",
                    .yes = true,
                    .by = "bert@jump2",
                    .at = to_iso8601(clock.wall_now()),
                    .plan_hash = "another"});
    EXPECT_EQ(resume().exit_code, 14);
    EXPECT_EQ(approval("go").answers.front().why_not, "it is about another plan");
}

TEST_F(Approvals, AreProvenByAKeyWhereTheInventoryHasOne) {
    people.key_of = [](const std::string& name) {
        return name == "bert" ? std::optional<std::string>("bert's key") : std::nullopt;
    };
    (void)run(plan(k_asked));
    answer("go", "bert@jump2");
    EXPECT_EQ(resume().exit_code, 14);
    EXPECT_EQ(approval("go").answers.front().why_not,
              "the inventory asks for a proof from bert, and there is none");
    Answer proven{.gate = "go",
                  .yes = true,
                  .by = "bert@jump2",
                  .at = to_iso8601(clock.wall_now()),
                  .plan_hash = journal.headers.back().plan_hash};
    proven.proof = proof_of(journal.headers.back(), proven, "carl's key");
    journal.answer("run", proven);
    EXPECT_EQ(resume().exit_code, 14);
    proven.proof = proof_of(journal.headers.back(), proven, "bert's key");
    journal.answer("run", proven);
    EXPECT_EQ(resume().exit_code, 0);
}

TEST_F(Approvals, AreProvenForTheRunAsItWasThen) {
    people.key_of = [](const std::string&) { return std::optional<std::string>("a key"); };
    (void)run(plan(k_asked));
    RunHeader& header = journal.headers.back();
    Answer proven{.gate = "go",
                  .yes = true,
                  .by = "bert@jump2",
                  .at = to_iso8601(clock.wall_now()),
                  .plan_hash = header.plan_hash};
    RunHeader reviewed = header;
    reviewed.plan["inventory_path"] = "/elsewhere/inventory.yaml";  // of what no plan's hash is
    reviewed.digest.clear();
    proven.proof = proof_of(reviewed, proven, "a key");
    journal.answer("run", proven);
    EXPECT_EQ(resume().exit_code, 14);
    EXPECT_EQ(approval("go").answers.front().why_not,
              "its proof was not made with the key of bert for this answer");
    proven.proof = proof_of(header, proven, "a key");
    journal.answer("run", proven);
    EXPECT_EQ(resume().exit_code, 0);
}

TEST_F(Approvals, OfAUserNamespaceCountWithAKeyAlone) {
    people.key_of = [](const std::string& name) {
        return name == "bert" ? std::optional<std::string>("bert's key") : std::nullopt;
    };
    (void)run(plan(k_asked));
    answer("go", "carl (user namespace)@jump2");
    EXPECT_EQ(resume().exit_code, 14);
    EXPECT_EQ(approval("go").answers.front().why_not,
              "nobody knows whose it is: it was given in a user namespace, without a key");
    Answer proven{.gate = "go",
                  .yes = true,
                  .by = "bert (user namespace)@jump2",
                  .at = to_iso8601(clock.wall_now()),
                  .plan_hash = journal.headers.back().plan_hash};
    proven.proof = proof_of(journal.headers.back(), proven, "bert's key");
    journal.answer("run", proven);
    EXPECT_EQ(resume().exit_code, 0);
}

TEST_F(Approvals, OfARunThatSomebodyUnknownStartedAreNobodys) {
    (void)run(plan(k_asked));
    journal.headers.back().started_by = "anna (user namespace)@jump1";
    answer("go", "bert@jump2");
    EXPECT_EQ(resume().exit_code, 14);
    EXPECT_NE(approval("go").answers.front().why_not.find("who started this run is not known"),
              std::string::npos);
    answer("go", "bert@jump2", false);
    EXPECT_EQ(resume().exit_code, 4) << "a no counts from everybody";
}

TEST_F(Approvals, OfABlockAreAskedOnceForAllMembers) {
    (void)run(plan(R"(
- id: replicas
  on: replicas
  approval: {}
  steps: [{id: change, uses: change}]
)"));
    EXPECT_EQ(state->approvals().size(), 1U);
    answer("replicas", "bert@jump2");
    EXPECT_EQ(resume().exit_code, 0);
    EXPECT_EQ(started().size(), 2U);
}

TEST_F(Approvals, OfAStepThatAsksAreAskedOnEachMember) {
    (void)run(plan(R"(
- id: replicas
  on: replicas
  steps: [{id: go, uses: ask}, {id: change, uses: change}]
)"));
    EXPECT_EQ(state->approvals().front().gate, "replicas.go@n2");
    answer("replicas.go@n2", "bert@jump2");
    EXPECT_EQ(resume().exit_code, 14);
    EXPECT_EQ(started(), Names{"replicas.change on n2"});
    answer("replicas.go@n3", "bert@jump2");
    EXPECT_EQ(resume().exit_code, 0);
}

TEST_F(Approvals, AreNotAskedForWhatIsNotDone) {
    const RunEnd end = run(plan(R"(
- {id: change, uses: change, when: "1 == 2", approval: {}}
)"));
    EXPECT_EQ(end.exit_code, 0);
    EXPECT_TRUE(state->approvals().empty());
}

TEST_F(Approvals, AreWaitedForInTheForegroundWhereThatIsAskedFor) {
    patience.wait = true;
    const Plan planned = plan(k_asked);
    runner.on_idle_wait = [this] {
        clock.advance(200ms);
        if (clock.steady_now() > Clock::Steady{} + 1h + 30s && journal.answers("run").empty()) {
            answer("go", "bert@jump2");
        }
    };
    const RunEnd end = start_run(setup(planned), header_of(planned), {});
    keep_state(planned);
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_EQ(started(), (Names{"gate", "change"}));
}

TEST_F(Approvals, DoNotKeepATemporaryChangeInForce) {
    patience.wait = true;
    const RunEnd end = run(plan(R"(
- {id: hold, uses: hold}
- {id: first, uses: change}
- {id: go, uses: ask}
- {id: second, uses: change}
- {id: release, uses: release}
)"));
    EXPECT_EQ(end.exit_code, 14);
    EXPECT_TRUE(state->temporaries().empty());
    EXPECT_EQ(started().back(), "release");
    answer("go", "bert@jump2");
    EXPECT_EQ(resume().exit_code, 0);
    EXPECT_EQ(started(), (Names{"hold", "first", "release", "hold", "second", "release"}));
}

TEST_F(Approvals, OfWhatIsDoneByHandMayComeFromWhoStartedTheRun) {
    (void)run(plan(R"(
- {id: drain, uses: by_hand, with: {instructions: Take it out of DNS}, register: drained}
- {id: change, uses: change, with: {text: "${{ steps.drained.comment }}"}}
)"));
    answer("drain", "anna@jump1", true, "ticket 9");
    std::string text;
    runner.workers["change"] = [&](const StepCall& call, ClusterFacts&) {
        text = call.with.at("text").as_string();
        return StepResult{};
    };
    EXPECT_EQ(resume().exit_code, 0);
    EXPECT_EQ(text, "ticket 9");
    EXPECT_EQ(state->find("drain", "")->message, "done, says anna@jump1: ticket 9");
}

// The fake clock begins on 1970-01-01 plus 50 years of 365 days: 2019-12-20, a Friday, 00:00 UTC.
constexpr const char* k_window =
    "window: {time_zone: UTC, weekly: [{days: [sat], from: \"22:00\", for: 4h}]}\n";

TEST_F(Windows, KeepEverythingFromBeingBegunOutsideOfThem) {
    const RunEnd end = run(plan(k_asked, k_window));
    EXPECT_EQ(end.exit_code, 14);
    EXPECT_TRUE(started().empty());
    EXPECT_EQ(end.not_before, "2019-12-21T22:00:00.000Z");
    EXPECT_FALSE(still_waits_for(*state, {}, clock.wall_now()).empty());
    clock.advance(47h);
    EXPECT_TRUE(still_waits_for(*state, {}, clock.wall_now()).empty());
}

TEST_F(Windows, LetTheRunGoOnInside) {
    const Plan planned = plan("- {id: change, uses: change}\n", k_window);
    EXPECT_FALSE(planned.window->open);
    (void)run(planned);
    clock.advance(47h);
    EXPECT_EQ(resume().exit_code, 0);
    EXPECT_EQ(started(), Names{"change"});
}

TEST_F(Windows, AreWaitedForInTheForegroundWhereThatIsAskedFor) {
    patience.wait = true;
    const Plan planned = plan("- {id: change, uses: change}\n", k_window);
    runner.on_idle_wait = [this] { clock.advance(1h); };
    EXPECT_EQ(start_run(setup(planned), header_of(planned), {}).exit_code, 0);
    EXPECT_GE(clock.steady_now(), Clock::Steady{} + 1h + 46h);
}

TEST_F(Windows, DoNotLetAStepBeginThatDoesNotFitIn) {
    clock.advance(46h + 3h);  // an hour is left
    const char* steps = R"(
- {id: short, uses: change, estimate: 10m}
- {id: long, uses: change, estimate: 50m, undo: [{uses: revert, with: {what: it}}]}
)";
    const RunEnd end = run(plan(steps, k_window));
    EXPECT_EQ(end.exit_code, 14);
    EXPECT_EQ(started(), (Names{"keep:it", "short"}));
    EXPECT_NE(end.message.find("it takes about 1 h 40 min with its way back, and 1 h are left"),
              std::string::npos)
        << end.message;
    EXPECT_EQ(end.not_before, "2019-12-28T22:00:00.000Z");
}

TEST_F(Windows, DoNotLetATemporaryChangeBeginWhoseEndDoesNotFitIn) {
    clock.advance(46h + 3h);
    const RunEnd end = run(plan(R"(
- {id: hold, uses: hold}
- {id: one, uses: change, estimate: 40m}
- {id: two, uses: change, estimate: 40m}
- {id: release, uses: release}
)",
                                k_window));
    EXPECT_EQ(end.exit_code, 14);
    EXPECT_TRUE(started().empty());
}

TEST_F(Windows, NeverKeepATemporaryChangeFromBeingGivenBack) {
    clock.advance(46h + 3h);
    runner.workers["change"] = [this](const StepCall&, ClusterFacts&) {
        clock.advance(2h);  // much longer than anybody thought
        return StepResult{};
    };
    const RunEnd end = run(plan(R"(
- {id: hold, uses: hold}
- {id: one, uses: change, estimate: 10m}
- {id: release, uses: release}
)",
                                k_window));
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_TRUE(state->temporaries().empty());
}

TEST_F(Windows, EndARunInTheMiddleWithNothingLeftInForce) {
    clock.advance(46h + 3h);
    runner.workers["change"] = [this](const StepCall&, ClusterFacts&) {
        clock.advance(50min);
        return StepResult{};
    };
    const RunEnd end = run(plan(R"(
- {id: hold, uses: hold}
- {id: one, uses: change, estimate: 10m}
- {id: two, uses: change, estimate: 11m}
- {id: release, uses: release}
)",
                                k_window));
    EXPECT_EQ(end.exit_code, 14) << end.message;
    EXPECT_EQ(started(), (Names{"hold", "one", "release"}));
    EXPECT_TRUE(state->temporaries().empty());
    EXPECT_TRUE(runner.released.back().empty());
}

TEST_F(Windows, OfAStepKeepThatStepWaiting) {
    const RunEnd end = run(plan(R"(
- {id: first, uses: change}
- {id: second, uses: change, window: {time_zone: UTC, weekly: [{from: "01:00", for: 1h}]}}
)"));
    EXPECT_EQ(end.exit_code, 14);
    EXPECT_EQ(started(), Names{"first"});
    EXPECT_EQ(end.not_before, "2019-12-20T01:00:00.000Z");
}

TEST_F(Windows, AreNoMatterWhereNothingIsToBeDone) {
    runner.previews["change"] = [](const StepCall&, const ClusterFacts&) {
        return Preview{.verdict = Verdict::wont, .because = "it is so"};
    };
    EXPECT_EQ(
        run(plan("- {id: gate, uses: look}\n- {id: change, uses: change}\n", k_window)).exit_code,
        0);
}

TEST_F(Windows, CountForNothingWhereSomebodySaysSo) {
    patience.override_window = true;
    EXPECT_EQ(run(plan("- {id: change, uses: change}\n", k_window)).exit_code, 0);
    EXPECT_EQ(state->notes().front().find("the windows do not count"), 0U);
}

TEST_F(Windows, CountForNothingOnAResumeWhereSomebodySaysSoWithTheReasonOnRecord) {
    EXPECT_EQ(run(plan("- {id: change, uses: change}\n", k_window)).exit_code, 14);
    patience.override_window = true;
    EXPECT_EQ(resume({.by = "bert@jump2", .reason = "the disk fills up"}).exit_code, 0);
    EXPECT_EQ(state->notes(), Names{"the windows do not count: the disk fills up"});
}

constexpr const char* k_notify =
    "notify: [{on: [start, approval, wait, failure, slow, end], to: [ops]}]\n";

TEST_F(Told, AreThoseWhomTheRunbookNames) {
    cluster.notify_targets = {"ops"};
    make_fail("change", StepOutcome::failed);
    (void)run(plan(k_asked, k_notify));
    EXPECT_EQ(told("start"), Names{"ops: story on orders was started by anna@jump1"});
    EXPECT_EQ(told("approval"), Names{"ops: go of story on orders waits for an approval"});
    EXPECT_TRUE(told("failure").empty());
    EXPECT_TRUE(told("end").empty());
    answer("go", "bert@jump2");
    (void)resume();
    EXPECT_EQ(told("failure").size(), 1U);
    EXPECT_EQ(told("end").size(), 1U);
}

TEST_F(Told, ThatCannotBeAreNotedAndFailNothing) {
    cluster.notify_targets = {"ops"};
    runner.notification_troubles_next = {"ops: HTTP 500"};
    const RunEnd end = run(plan("- {id: change, uses: change}\n", k_notify));
    EXPECT_EQ(end.exit_code, 0);
    EXPECT_EQ(state->notes(), Names{"not notified: ops: HTTP 500"});
}

TEST_F(Told, MustBeKnownToTheInventory) {
    const Plan planned = plan("- {id: change, uses: change}\n", k_notify);
    ASSERT_EQ(planned.blocked_by.size(), 1U);
    EXPECT_EQ(planned.blocked_by.front().id, "notify.unknown_target");
}

}  // namespace

}  // namespace lockstep
