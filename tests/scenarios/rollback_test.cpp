#include "tests/scenarios/world.hpp"

namespace lockstep {
namespace {

class GoingBack : public World {};

TEST_F(GoingBack, TakesEverythingBackNewestFirstUnderThePause) {
    ASSERT_EQ(run(plan(k_upgrade)).exit_code, 0);
    runner.asked.clear();
    const RunEnd end = roll_back();
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_EQ(started(),
              (Names{"hold.again",
                     "leader on n1",
                     "replicas.change on n3",
                     "replicas.change on n2",
                     "hold.end"}));
    EXPECT_TRUE(all_are("old"));
    EXPECT_FALSE(runner.facts.paused);
    EXPECT_EQ(state->phase(), RunPhase::rolled_back);
    EXPECT_EQ(state_of("leader", "n1"), "undone");
    EXPECT_EQ(no_rollback(*state), "it is rolled back already");
}

TEST_F(GoingBack, DoesNotPauseAgainWhatIsStillPaused) {
    broken = "n1";
    const RunEnd end = run(plan(k_upgrade, "on_failure: rollback\n"));
    EXPECT_EQ(end.exit_code, 11);
    EXPECT_EQ(runner.count("start hold"), 1);
    EXPECT_TRUE(all_are("old"));
    EXPECT_FALSE(runner.facts.paused);
}

TEST_F(GoingBack, HappensByItselfOnlyWhereTheRunbookSaysSo) {
    broken = "n3";
    EXPECT_EQ(run(plan(k_upgrade)).exit_code, 10);
    EXPECT_EQ(version_of("n2"), "new");
    EXPECT_FALSE(runner.facts.paused);
    EXPECT_EQ(roll_back().exit_code, 0);
    EXPECT_TRUE(all_are("old"));
    EXPECT_FALSE(runner.facts.paused);
}

TEST_F(GoingBack, IsNotBegunByAProofThatFailsOnceThePauseIsLifted) {
    runner.workers["look"] = [](const StepCall& call, ClusterFacts&) {
        return StepResult{
            .outcome = call.id == "end" ? StepOutcome::failed : StepOutcome::succeeded,
            .message = "n2: state is 'running'"};
    };
    const RunEnd end = run(plan(k_upgrade, "on_failure: rollback\n"));
    EXPECT_EQ(end.exit_code, 10);
    EXPECT_EQ(end.phase, RunPhase::failed);
    EXPECT_NE(end.message.find("what was changed is kept"), std::string::npos) << end.message;
    EXPECT_NE(end.hint.find("`lockstep rollback run`"), std::string::npos) << end.hint;
    EXPECT_TRUE(all_are("new"));
    EXPECT_FALSE(runner.facts.paused);
    EXPECT_EQ(runner.count("start hold"), 1);
    EXPECT_EQ(roll_back().exit_code, 0);
    EXPECT_TRUE(all_are("old"));
}

TEST_F(GoingBack, IsBegunByAProofThatFailsInThePauseOrWhoseStepSaysSo) {
    const auto fails_at = [this](const std::string& id) {
        runner.workers["look"] = [id](const StepCall& call, ClusterFacts&) {
            return StepResult{
                .outcome = call.id == id ? StepOutcome::failed : StepOutcome::succeeded,
                .message = "no"};
        };
    };
    fails_at("replicas.seen");
    EXPECT_EQ(run(plan(k_upgrade, "on_failure: rollback\n")).exit_code, 11);
    EXPECT_TRUE(all_are("old"));
    journal.kept.clear();
    fails_at("end");
    std::string steps = k_upgrade;
    steps.replace(
        steps.find("{id: end, uses: look}"), 21, "{id: end, uses: look, on_failure: rollback}");
    EXPECT_EQ(run(plan(steps)).exit_code, 11);
    EXPECT_TRUE(all_are("old"));
}

TEST_F(GoingBack, IsNotBegunByWhatTheEndShowsOnceThePauseIsLifted) {
    runner.probe_report =
        ProbeReport{.writes = 10, .errors = 0, .longest_gap = std::chrono::milliseconds{1500}};
    const RunEnd end =
        run(plan(k_upgrade, "on_failure: rollback\nguards: [{write_probe: {max_gap: 1s}}]\n"));
    EXPECT_EQ(end.exit_code, 10);
    EXPECT_NE(end.message.find("what was changed is kept"), std::string::npos) << end.message;
    EXPECT_TRUE(all_are("new"));
}

TEST_F(GoingBack, ToleratesWhatNeverHappened) {
    broken = "n3";
    EXPECT_EQ(run(plan(k_upgrade)).exit_code, 10);
    runner.facts.find("n3")->patroni.installed = "old";  // it failed before it changed anything
    EXPECT_EQ(roll_back().exit_code, 0);
    EXPECT_EQ(happened["revert n3"], 0);
    EXPECT_EQ(happened["revert n2"], 1);
}

TEST_F(GoingBack, GoesOnWithTheOthersWhenOneUndoFailsAndSaysSo) {
    ASSERT_EQ(run(plan(k_upgrade)).exit_code, 0);
    const auto revert = runner.workers.at("revert");
    runner.workers["revert"] = [&](const StepCall& call, ClusterFacts& now) {
        return call.member == "n3"
                   ? StepResult{.outcome = StepOutcome::failed, .message = "the disk is full"}
                   : revert(call, now);
    };
    const RunEnd end = roll_back();
    EXPECT_EQ(end.exit_code, 12);
    EXPECT_EQ(state->phase(), RunPhase::rollback_failed);
    EXPECT_NE(end.message.find("the disk is full"), std::string::npos) << end.message;
    EXPECT_EQ(version_of("n1"), "old");
    EXPECT_EQ(version_of("n2"), "old");
    EXPECT_FALSE(runner.facts.paused);
    runner.workers["revert"] = revert;
    EXPECT_EQ(resume().exit_code, 11) << "the rest is taken back once it can be";
    EXPECT_TRUE(all_are("old"));
    EXPECT_EQ(happened["revert n1"], 1);
}

TEST_F(GoingBack, UsesTheUndoThatWasFrozenBeforeTheChange) {
    const std::string steps =
        "- {id: hold, uses: hold}\n- {id: a, on: n2, uses: change, "
        "undo: [{uses: revert, with: {what: \"${{ member.patroni.installed }}\"}}]}\n"
        "- {id: release, uses: release}\n";
    ASSERT_EQ(run(plan(steps)).exit_code, 0);
    EXPECT_EQ(roll_back().exit_code, 0);
    EXPECT_EQ(version_of("n2"), "old");
}

TEST_F(GoingBack, SaysWhatStaysWhereThereIsNoUndo) {
    const Plan planned = plan("- {id: script, on: n2, uses: fragile}\n");
    EXPECT_FALSE(planned.steps.at(0).no_way_back.empty());
    ASSERT_EQ(run(planned).exit_code, 0);
    const RunEnd end = roll_back();
    EXPECT_EQ(end.exit_code, 12);
    EXPECT_NE(end.message.find("script on n2"), std::string::npos) << end.message;
}

TEST_F(GoingBack, StopsAtThePointOfNoReturnForGood) {
    const std::string steps =
        "- {id: hold, uses: hold}\n- {id: a, on: n2, uses: change}\n"
        "- {id: leap, on: n1, uses: change, point_of_no_return: \"the old data are gone\"}\n"
        "- {id: b, on: n3, uses: change}\n- {id: release, uses: release}\n";
    broken = "n3";
    const RunEnd end = run(plan(steps, "on_failure: rollback\n"));
    EXPECT_EQ(end.exit_code, 10);
    EXPECT_EQ(version_of("n2"), "new");
    EXPECT_NE(no_rollback(*state).find("the old data are gone"), std::string::npos);
    EXPECT_FALSE(runner.facts.paused);
}

TEST_F(GoingBack, TakesBackWhatComesBeforeThePointOfNoReturn) {
    const std::string steps =
        "- {id: hold, uses: hold}\n- {id: a, on: n2, uses: change}\n"
        "- {id: leap, on: n1, uses: change, point_of_no_return: true}\n"
        "- {id: release, uses: release}\n";
    broken = "n2";
    EXPECT_EQ(run(plan(steps, "on_failure: rollback\n")).exit_code, 11);
    EXPECT_TRUE(all_are("old"));
}

TEST_F(GoingBack, IsPreparedBeforeTheFirstChangeOnceForEach) {
    const Plan planned = plan(k_upgrade);
    Names ids;
    for (const PlannedStep& step : planned.steps) {
        ids.push_back(step.id + (step.member.empty() ? "" : " on " + step.member));
    }
    const Names before(ids.begin(), ids.begin() + 5);
    EXPECT_EQ(before,
              (Names{"gate", "keep:old on n2", "keep:old on n3", "keep:old on n1", "hold"}));
    ASSERT_EQ(run(planned).exit_code, 0);
    EXPECT_EQ(started()[4], "hold");
}

TEST_F(GoingBack, IsRefusedBeforehandWhereItCannotBePreparedUnlessAcceptedByName) {
    runner.previews["prepare"] = [](const StepCall& call, const ClusterFacts&) {
        Preview preview;
        if (call.member == "n2") {
            preview.blocked_by.push_back({.id = "package.no_way_back",
                                          .member = "n2",
                                          .message = "nobody has the old package",
                                          .acceptable = true});
        }
        return preview;
    };
    EXPECT_EQ(plan(k_upgrade).refusal_code(), 4);
    EXPECT_FALSE(plan(k_upgrade).ready());
    accepted = {"package.no_way_back@n2"};
    const Plan planned = plan(k_upgrade);
    EXPECT_TRUE(planned.ready());
    EXPECT_EQ(planned.accepted.size(), 1U);
    ASSERT_EQ(run(planned).exit_code, 0);
    EXPECT_EQ(roll_back().exit_code, 12);
    EXPECT_EQ(version_of("n2"), "new");
    EXPECT_EQ(version_of("n3"), "old");
    accepted = {"package.no_way_back@n3"};
    EXPECT_THROW(plan(k_upgrade), UsageError);
}

TEST_F(GoingBack, EndsOnVersionsThatGoTogether) {
    runner.reconciliation.calls = {
        {{Operation::Kind::ssh, "revert n3"}, "revert", "n3", {{"what", "older"}}}};
    const Plan planned = plan(k_upgrade);
    ASSERT_EQ(run(planned).exit_code, 0);
    EXPECT_EQ(roll_back().exit_code, 0);
    EXPECT_EQ(happened["revert n3"], 2);
}

TEST_F(GoingBack, GivesBackThePauseOnlyWhereThatIsSafeAndIsLoudOtherwise) {
    broken = "n1";
    make_fail("release", StepOutcome::failed);
    const RunEnd end = run(plan(k_upgrade, "on_failure: rollback\n"));
    EXPECT_EQ(end.exit_code, 12) << "paused is not as it was before";
    EXPECT_TRUE(all_are("old"));
    ASSERT_FALSE(state->temporaries().empty());
    EXPECT_EQ(runner.released.back(), "hold");
    EXPECT_NE(state->notes().back().find("still in force"), std::string::npos);
}

TEST_F(GoingBack, WaitsForADaemonThatDoesNotAnswerYetButNotForEver) {
    for (const bool comes_back : {true, false}) {
        journal = FakeJournal();
        runner.spool.clear();
        for (MemberFacts& member : runner.facts.members) {
            member.patroni.installed = "old";
        }
        ASSERT_EQ(run(plan(k_upgrade)).exit_code, 0);
        const auto known = runner.previews.at("revert");
        int asked = 0;
        runner.previews["revert"] = [&](const StepCall& call, const ClusterFacts& seen) {
            Preview preview = known(call, seen);
            if (call.member == "n2" && (!comes_back || ++asked < 5)) {
                preview.blocked_by = {{.id = "patroni.not_paused",
                                       .message = "it is not known whether n2 is paused",
                                       .passing = true}};
            }
            return preview;
        };
        EXPECT_EQ(roll_back().exit_code, comes_back ? 0 : 12);
        EXPECT_EQ(version_of("n2"), comes_back ? "old" : "new");
        runner.previews["revert"] = known;
    }
}

TEST_F(GoingBack, GivesThePauseBackWhenItIsStoppedHalfWayAndGoesOnLater) {
    ASSERT_EQ(run(plan(k_upgrade)).exit_code, 0);
    std::stop_source stop;
    listener = [&](const JournalRecord& record, const RunState&) {
        if (record.kind == RecordKind::undo_result && record.step == "leader") {
            stop.request_stop();
        }
    };
    EXPECT_EQ(roll_back(stop.get_token()).exit_code, 130);
    EXPECT_FALSE(runner.facts.paused);
    EXPECT_EQ(version_of("n2"), "new");
    listener = {};
    EXPECT_EQ(roll_back().exit_code, 0);
    EXPECT_TRUE(all_are("old"));
    EXPECT_EQ(happened["revert n1"], 1);
}

TEST_F(GoingBack, IsNotSuccessWhileSomethingCriticalIsThereThatWasNotBefore) {
    ASSERT_EQ(run(plan(k_upgrade)).exit_code, 0);
    runner.findings = {
        {.id = "cluster.two_primaries", .severity = Severity::critical, .message = "two"}};
    EXPECT_EQ(roll_back().exit_code, 12);
}

}  // namespace
}  // namespace lockstep
