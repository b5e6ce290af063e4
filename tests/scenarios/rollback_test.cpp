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

/// What commands printed lies there as it was printed.
TEST_F(GoingBack, RemovesWhatIsOnMembersAtTheEndOfTheRunAndOfTheWayBack) {
    EXPECT_EQ(run(plan(k_upgrade)).exit_code, 0);
    EXPECT_EQ(runner.count("clean up run"), 1);
    EXPECT_EQ(roll_back().exit_code, 0);
    EXPECT_EQ(runner.count("clean up run"), 2);
}

TEST_F(GoingBack, RemovesWhatIsOnMembersOfARunThatFailed) {
    broken = "n3";
    EXPECT_EQ(run(plan(k_upgrade)).exit_code, 10);
    EXPECT_EQ(runner.count("clean up run"), 1);
}

TEST_F(GoingBack, RemovesWhatIsOnMembersOfARunThatWentBackByItself) {
    broken = "n3";
    EXPECT_EQ(run(plan(k_upgrade, "on_failure: rollback\n")).exit_code, 11);
    EXPECT_EQ(runner.count("clean up run"), 1);
}

TEST_F(GoingBack, RemovesWhatIsOnMembersWhereTheWayBackFails) {
    broken = "n3";
    runner.workers["revert"] = [](const StepCall&, ClusterFacts&) {
        return StepResult{.outcome = StepOutcome::failed, .message = "the disk is full"};
    };
    EXPECT_EQ(run(plan(k_upgrade, "on_failure: rollback\n")).exit_code, 12);
    EXPECT_EQ(runner.count("clean up run"), 1);
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
    accepted = {"package.no_way_back@n9"};
    EXPECT_THROW(plan(k_upgrade), UsageError);
}

TEST_F(GoingBack, CanBeGoneWithoutOnAMemberThatIsNamedAlthoughThePlanSeesNothingAgainstIt) {
    accepted = {"package.no_way_back@n2"};  // what the run could not keep: a full disk
    const Plan planned = plan(k_upgrade);
    EXPECT_TRUE(planned.ready());
    EXPECT_EQ(verdict(planned, "keep:old", "n2"), "no such step");
    EXPECT_EQ(verdict(planned, "keep:old", "n3"), "will");
    EXPECT_EQ(planned.accepted.size(), 1U);
    accepted = {"package.no_way_back"};
    EXPECT_THROW(plan(k_upgrade), UsageError) << "of all: of those that have none";
}

Undo revert_to(const std::string& member, const std::string& version) {
    return {{Operation::Kind::ssh, "revert " + member}, "revert", member, {{"what", version}}};
}

TEST_F(GoingBack, EndsOnVersionsThatGoTogetherWithNoMemberDoneTwice) {
    runner.reconciliation.calls = {revert_to("n3", "older")};
    const Plan planned = plan(k_upgrade);
    ASSERT_EQ(run(planned).exit_code, 0);
    EXPECT_EQ(roll_back().exit_code, 0) << "what the plan mended is as it should be";
    EXPECT_EQ(happened["revert n3"], 1) << "straight there, not over what it was";
    EXPECT_EQ(version_of("n3"), "older");
    EXPECT_EQ(version_of("n2"), "old");
    ASSERT_FALSE(state->notes().empty());
    EXPECT_NE(state->notes().back().find("n3 has older, and had old: so that the versions go"),
              std::string::npos)
        << state->notes().back();
}

TEST_F(GoingBack, LeavesAMemberAloneThatTheRunHasNotComeTo) {
    runner.reconciliation.calls = {revert_to("n2", "older"), revert_to("n3", "older")};
    broken = "n2";
    EXPECT_EQ(run(plan(k_upgrade, "on_failure: rollback\n")).exit_code, 11);
    EXPECT_EQ(version_of("n2"), "older");
    EXPECT_EQ(version_of("n3"), "old");
    EXPECT_EQ(happened["revert n3"], 0);
}

TEST_F(GoingBack, MendsAMemberThatThePlanDoesNotTouchWithTheLeaderThatMakesThePair) {
    runner.reconciliation.calls = {revert_to("n3", "older")};
    const std::string steps =
        "- {id: hold, uses: hold}\n- {id: b, on: n2, uses: change}\n"
        "- {id: a, on: n1, uses: change}\n- {id: release, uses: release}\n";
    const Plan planned = plan(steps);
    for (const PlannedStep& step : planned.steps) {
        EXPECT_EQ(step.undo_besides.size(), step.member == "n1" && step.id == "a" ? 1U : 0U);
    }
    EXPECT_TRUE(planned.advice.empty());
}

TEST_F(GoingBack, AddsNoMendingThatNothingCoversAndSaysWhatThatMeans) {
    runner.reconciliation.calls = {revert_to("n3", "older")};  // which wants a pause
    const Plan planned = plan("- {id: script, on: n2, uses: fragile, undo: [{uses: fragile}]}\n");
    EXPECT_TRUE(planned.ready());
    EXPECT_TRUE(planned.steps.at(0).undo_besides.empty());
    ASSERT_EQ(planned.advice.size(), 1U);
    EXPECT_EQ(planned.advice[0].id, "rollback.bad_pair");
    EXPECT_NE(planned.advice[0].remedy.find("-c orders"), std::string::npos);
}

TEST_F(GoingBack, IsNotBegunWhereItWouldEndInABadPair) {
    ASSERT_EQ(run(plan(k_upgrade)).exit_code, 0);
    // Since then somebody made the versions such that n1's of before must not stand beside them.
    runner.facts.config = {{"ttl", 30}};
    for (MemberFacts& member : runner.facts.members) {
        member.patroni.running = "4.0.2";
        member.postgres.running = "17.2";
    }
    const auto known = runner.previews.at("revert");
    runner.previews["revert"] = [known](const StepCall& call, const ClusterFacts& seen) {
        Preview preview = known(call, seen);
        if (call.member != "n1") {
            preview.verdict = Verdict::wont;
            preview.effect = {};
        } else {
            preview.effect = [](ClusterFacts& later) {
                later.find("n1")->patroni.running = "3.2.1";
            };
        }
        return preview;
    };
    const std::size_t on_record = journal.records("run").size();
    const RunEnd end = roll_back();
    EXPECT_EQ(end.exit_code, 4) << end.message;
    EXPECT_NE(end.message.find("3.2.1"), std::string::npos) << end.message;
    EXPECT_NE(end.hint.find("lockstep run patroni-upgrade -c orders --set target=3.2.1"),
              std::string::npos)
        << end.hint;
    EXPECT_EQ(journal.records("run").size(), on_record);
    EXPECT_EQ(state->phase(), RunPhase::succeeded);
    EXPECT_EQ(happened["revert n1"], 0);
}

TEST_F(GoingBack, IsNoSuccessWhereSomethingTheRunChangedIsNotAsItWas) {
    for (MemberFacts& member : runner.facts.members) {
        member.postgres.settings["max_connections"] = "100";
    }
    const Plan planned = plan(k_upgrade);
    for (MemberFacts& member : runner.facts.members) {  // as the run's script did
        member.postgres.settings["max_connections"] = "150";
    }
    ASSERT_EQ(run(planned).exit_code, 0);
    const RunEnd end = roll_back();
    EXPECT_EQ(end.exit_code, 12);
    EXPECT_NE(end.message.find("n1 runs with max_connections = 150, and ran with 100"),
              std::string::npos)
        << end.message;
    EXPECT_FALSE(state->has_more_to_take_back());
}

TEST_F(GoingBack, WaitsForARestartThatPassesAndComplainsOfOneThatStays) {
    for (const bool passes : {true, false}) {
        journal = FakeJournal();
        runner.spool.clear();
        for (MemberFacts& member : runner.facts.members) {
            member.patroni.installed = "old";
            member.pending_restart = false;
        }
        ASSERT_EQ(run(plan(k_upgrade)).exit_code, 0);
        int asked = 0;  // the way back leaves it with a setting that it does not run with yet
        runner.before_observe = [&, passes] {
            const bool pending = version_of("n3") == "old" && (!passes || ++asked < 20);
            runner.facts.find("n3")->pending_restart = pending;
        };
        const auto before = clock.steady_now();
        const RunEnd end = roll_back();
        runner.before_observe = {};
        EXPECT_EQ(end.exit_code, passes ? 0 : 12) << end.message;
        EXPECT_LT(clock.steady_now() - before, std::chrono::minutes{1});
    }
}

TEST_F(GoingBack, DoesNotAnswerForWhatSomebodyChangedAfterTheRun) {
    runner.facts.config = {{"ttl", 30}};
    ASSERT_EQ(run(plan(k_upgrade)).exit_code, 0);
    runner.facts.config = {{"ttl", 20}};
    const RunEnd end = roll_back();
    EXPECT_EQ(end.exit_code, 0) << end.message;
    ASSERT_FALSE(state->notes().empty());
    EXPECT_NE(state->notes().back().find("ttl: 20, and had 30"), std::string::npos);
}

TEST_F(GoingBack, OfARunThatOnlyWaitsEndsIt) {
    ASSERT_EQ(run(plan("- {id: go, uses: ask, with: {message: well}}\n"
                       "- {id: a, on: n2, uses: fragile}\n"))
                  .exit_code,
              14);
    EXPECT_TRUE(can_be_cancelled(*state));
    EXPECT_EQ(no_rollback(*state), "");
    runner.released.clear();
    EXPECT_EQ(roll_back().exit_code, 0);
    EXPECT_EQ(state->phase(), RunPhase::cancelled);
    EXPECT_EQ(runner.released, Names{""}) << "the lock goes, and nothing is left";
    EXPECT_EQ(nothing_to_resume(*state), "it was cancelled");
    EXPECT_FALSE(no_rollback(*state).empty());
    EXPECT_EQ(started(), Names{});
}

TEST_F(GoingBack, IsNotNeededToEndARunThatWaits) {
    const RunEnd waits =
        run(plan("- {id: hold, uses: hold}\n"
                 "- {id: a, on: n2, uses: change}\n"
                 "- {id: free, uses: release}\n"
                 "- {id: go, uses: ask, with: {message: well}}\n"
                 "- {id: b, uses: look}\n"));
    ASSERT_EQ(waits.exit_code, 14) << waits.message;
    EXPECT_EQ(no_cancel(*state), "");
    runner.released.clear();
    EXPECT_EQ(take_up(cancel_run, {}, {}).exit_code, 0);
    EXPECT_EQ(state->phase(), RunPhase::cancelled);
    EXPECT_EQ(runner.released, Names{""});
    EXPECT_EQ(nothing_to_resume(*state), "it was cancelled");
    EXPECT_EQ(no_cancel(*state), "it was cancelled: nothing of it goes on any more");
    EXPECT_EQ(version_of("n2"), "new") << "what was done stays";
    EXPECT_EQ(no_rollback(*state), "") << "and can still be taken back";
    const RunEnd back = roll_back();
    EXPECT_EQ(back.exit_code, 0) << back.message;
    EXPECT_EQ(state->phase(), RunPhase::rolled_back);
    EXPECT_EQ(version_of("n2"), "old");
}

TEST_F(GoingBack, IsTheWayOfARunThatDoesNotWait) {
    ASSERT_EQ(run(plan(k_upgrade)).exit_code, 0);
    EXPECT_NE(no_cancel(*state), "");
}

TEST_F(GoingBack, SaysNothingMoreOfTheLockThatAnEarlierEngineTookOver) {
    ASSERT_EQ(run(plan(k_upgrade)).exit_code, 0);
    std::vector<JournalRecord>& records = journal.kept.at("run");
    records.push_back({records.back().seq + 1,
                       records.back().at,
                       RecordKind::note,
                       "",
                       "",
                       {{"message", "took over the lock"}, {"passing", true}}});
    EXPECT_EQ(roll_back().exit_code, 0);
    for (const std::string& note : state->notes()) {
        EXPECT_EQ(note.find("took over"), std::string::npos);
    }
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
