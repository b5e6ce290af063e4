#include "tests/scenarios/world.hpp"

namespace lockstep {
namespace {

class Resume : public World {
  protected:
    /// Runs until the engine dies right after that record of the first run.
    void die_after(const Plan& planned, RecordKind kind, const std::string& step) {
        listener = [=](const JournalRecord& record, const RunState&) {
            if (record.kind == kind && record.step == step) {
                throw FakeJournal::Death{};
            }
        };
        EXPECT_THROW((void)run(planned), FakeJournal::Death);
        listener = {};
    }
};

TEST_F(Resume, FollowsWhatTheMemberStillRunsAndDoesNotStartItAgain) {
    const Plan planned = plan(k_upgrade);
    die_after(planned, RecordKind::step_intent, "replicas.change");
    // The command had reached the member, and its end was there before anybody came back.
    runner.facts.find("n2")->patroni.installed = "new";
    runner.spool[journal.records("run").back().payload.at("key")] = {.message = "new"};
    EXPECT_EQ(resume().exit_code, 0);
    EXPECT_EQ(happened["change n2"], 0);
    EXPECT_EQ(runner.count("follow replicas.change on n2"), 1);
    EXPECT_EQ(state_of("replicas.change", "n2"), "succeeded");
}

TEST_F(Resume, StartsAnewWhatNeverReachedTheMember) {
    die_after(plan(k_upgrade), RecordKind::step_intent, "replicas.change");
    EXPECT_EQ(resume().exit_code, 0);
    EXPECT_EQ(happened["change n2"], 1);
}

TEST_F(Resume, AsksAPersonAboutAStepThatNobodyCanKnow) {
    const Plan planned = plan(k_upgrade);
    die_after(planned, RecordKind::step_intent, "script");
    runner.spool[journal.records("run").back().payload.at("key")] = {
        .outcome = StepOutcome::in_doubt,
        .open = OpenEnd::died,
        .message = "the host was rebooted"};
    RunEnd end = resume();
    EXPECT_EQ(end.exit_code, 13);
    EXPECT_NE(end.hint.find("--done 'script@n2'"), std::string::npos) << end.hint;
    EXPECT_TRUE(runner.facts.paused) << "the pause must not go while something is in doubt";
    end = resume({.answers = {.done = {"script@n2"}}});
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_EQ(happened["fragile n2"], 0);
    EXPECT_FALSE(runner.facts.paused);
}

TEST_F(Resume, DoesAgainWhatAPersonSaysWasNotDone) {
    const Plan planned = plan(k_upgrade);
    die_after(planned, RecordKind::step_intent, "script");
    runner.spool[journal.records("run").back().payload.at("key")] = {
        .outcome = StepOutcome::in_doubt, .open = OpenEnd::died};
    EXPECT_EQ(resume({.answers = {.redo = {"script"}}}).exit_code, 0);
    EXPECT_EQ(happened["fragile n2"], 1);
}

TEST_F(Resume, LetsTheStepsOwnVerifyDecide) {
    for (const bool in_place : {true, false}) {
        journal = FakeJournal();
        runner.spool.clear();
        happened.clear();
        int looks = 0;
        runner.workers["look"] = [&](const StepCall&, ClusterFacts&) {
            const bool seen = in_place || ++looks > 1;  // not there at first, there once it is done
            return StepResult{.outcome = seen ? StepOutcome::succeeded : StepOutcome::failed};
        };
        const Plan planned = plan("- {id: script, on: n2, uses: fragile, verify: {uses: look}}\n");
        die_after(planned, RecordKind::step_intent, "script");
        runner.spool[journal.records("run").back().payload.at("key")] = {
            .outcome = StepOutcome::in_doubt, .open = OpenEnd::died};
        EXPECT_EQ(resume().exit_code, 0);
        EXPECT_EQ(happened["fragile n2"], in_place ? 0 : 1);
    }
}

TEST_F(Resume, FollowsWhatTheRunbookSaysOfAStepInDoubt) {
    for (const auto& [policy, code] :
         std::map<std::string, int>{{"retry", 0}, {"fail", 10}, {"ask", 13}}) {
        journal = FakeJournal();
        runner.spool.clear();
        const Plan planned =
            plan("- {id: script, on: n2, uses: fragile, in_doubt: " + policy + "}\n");
        die_after(planned, RecordKind::step_intent, "script");
        runner.spool[journal.records("run").back().payload.at("key")] = {
            .outcome = StepOutcome::in_doubt, .open = OpenEnd::died};
        EXPECT_EQ(resume().exit_code, code) << policy;
    }
}

TEST_F(Resume, RefusesAClusterThatIsNoLongerTheOneItLeft) {
    die_after(plan(k_upgrade), RecordKind::step_result, "replicas.change");
    runner.facts.leader = "n3";
    runner.facts.timeline = 2;
    const RunEnd end = resume();
    EXPECT_EQ(end.exit_code, 17);
    EXPECT_NE(end.message.find("the leader was n1 and is n3"), std::string::npos) << end.message;
    EXPECT_NE(end.message.find("the timeline was 1 and is 2"), std::string::npos) << end.message;
    EXPECT_EQ(happened["change n3"], 0);
    EXPECT_EQ(resume().exit_code, 17) << "what was refused once is the same cluster still";
    EXPECT_EQ(happened["change n3"], 0);
}

TEST_F(Resume, RefusesWhenSomebodyLiftedItsPause) {
    die_after(plan(k_upgrade), RecordKind::step_result, "replicas.change");
    runner.facts.paused = false;
    const RunEnd end = resume();
    EXPECT_EQ(end.exit_code, 17);
    EXPECT_NE(end.message.find("lifted"), std::string::npos) << end.message;
}

TEST_F(Resume, RefusesWhenAPackageWasChangedByOthers) {
    die_after(plan(k_upgrade), RecordKind::step_result, "replicas.change");
    runner.facts.find("n1")->patroni.installed = "other";
    EXPECT_EQ(resume().exit_code, 17);
}

TEST_F(Resume, PausesAgainAfterACtrlCGaveThePauseBack) {
    const Plan planned = plan(k_upgrade);
    std::stop_source stop;
    listener = [&](const JournalRecord& record, const RunState&) {
        if (record.kind == RecordKind::step_result && record.step == "replicas.change") {
            stop.request_stop();
        }
    };
    EXPECT_EQ(run(planned, stop.get_token()).exit_code, 130);
    EXPECT_FALSE(runner.facts.paused);
    listener = {};
    const RunEnd end = resume();
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_TRUE(all_are("new"));
    EXPECT_EQ(most_often(), 1);
    EXPECT_FALSE(runner.facts.paused);
}

TEST_F(Resume, GoesOnAfterAFailureThatSomebodyMended) {
    broken = "n3";
    const Plan planned = plan(k_upgrade);
    EXPECT_EQ(run(planned).exit_code, 10);
    EXPECT_FALSE(runner.facts.paused);
    broken.clear();
    runner.facts.find("n3")->patroni.installed = "old";
    const RunEnd end = resume();
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_TRUE(all_are("new"));
    EXPECT_EQ(happened["change n2"], 1);
    EXPECT_EQ(happened["change n3"], 2);
}

TEST_F(Resume, SaysWhenThereIsNothingToDo) {
    run(plan(k_upgrade));
    EXPECT_EQ(nothing_to_resume(*state), "it has succeeded");
}

TEST_F(Resume, StopsAskingForItselfWhenEnginesKeepDying) {
    const Plan planned = plan(k_upgrade);
    die_after(planned, RecordKind::step_intent, "leader");
    for (int n = 0; n < 5; ++n) {
        listener = [](const JournalRecord& record, const RunState&) {
            if (record.kind == RecordKind::lock_taken) {
                throw FakeJournal::Death{};
            }
        };
        EXPECT_THROW((void)resume(), FakeJournal::Death) << n;
    }
    listener = {};
    const RunEnd end = resume();
    EXPECT_EQ(end.exit_code, 13);
    EXPECT_NE(end.hint.find("--once-more"), std::string::npos);
    EXPECT_EQ(resume({.once_more = true}).exit_code, 0);
}

TEST_F(Resume, DoesNothingWhileAnotherRunHasTheCluster) {
    die_after(plan(k_upgrade), RecordKind::step_result, "replicas.change");
    runner.lock_held_by = "somebody";
    const std::size_t before = journal.records("run").size();
    EXPECT_THROW((void)resume(), LockHeldError);
    EXPECT_EQ(journal.records("run").size(), before);
}

TEST_F(Resume, KeepsTheOutputsThatLaterStepsRead) {
    const std::string steps =
        "- {id: a, uses: look, register: answer}\n- {id: b, uses: fragile}\n"
        "- {id: c, uses: look, with: {text: \"${{ steps.answer.text }}\"}}\n";
    std::string text;
    runner.workers["look"] = [&](const StepCall& call, ClusterFacts&) {
        StepResult result;
        if (call.id == "c") {
            text = call.with.at("text").as_string();
        }
        result.output = {{"text", "said before the crash"}};
        return result;
    };
    die_after(plan(steps), RecordKind::step_result, "b");
    EXPECT_EQ(resume().exit_code, 0);
    EXPECT_EQ(text, "said before the crash");
}

class Locked : public World {};

TEST_F(Locked, NothingIsBegunWhileAnotherRunHasTheCluster) {
    const Plan planned = plan(k_upgrade);
    runner.lock_held_by = "somebody";
    EXPECT_THROW((void)start_run(setup(planned), header_of(planned), {}), LockHeldError);
    EXPECT_TRUE(journal.headers.empty());
    EXPECT_TRUE(started().empty());
}

TEST_F(Locked, ALostLockStopsTheNextChangeAndKeepsThePause) {
    const Plan planned = plan(k_upgrade);
    listener = [this](const JournalRecord& record, const RunState&) {
        if (record.kind == RecordKind::step_result && record.step == "replicas.change") {
            runner.lock_problem = "run other has it";
        }
    };
    const RunEnd end = run(planned);
    EXPECT_EQ(end.exit_code, 10);
    EXPECT_NE(end.message.find("run other has it"), std::string::npos);
    EXPECT_EQ(happened["change n3"], 0);
    EXPECT_TRUE(runner.facts.paused) << "it is not ours to lift any more";
    EXPECT_EQ(runner.released.back(), "hold");
}

TEST_F(Locked, ARunThatChangesNothingNeedsNoLock) {
    for (MemberFacts& member : runner.facts.members) {
        member.patroni.installed = "new";
    }
    const Plan planned = plan("- {id: work, on: members, uses: change}\n");
    runner.lock_held_by = "somebody";
    EXPECT_EQ(run(planned).exit_code, 0);
}

TEST_F(Resume, GoesOnWhereTheRunItselfSilencedTheLeader) {
    broken = "n1";
    make_fail("release", StepOutcome::failed);
    EXPECT_EQ(run(plan(k_upgrade)).exit_code, 10);
    ASSERT_FALSE(state->temporaries().empty());
    runner.facts.leader = "";  // its key expires once its daemon is dead
    runner.facts.timeline.reset();
    const RunEnd end = resume();
    EXPECT_NE(end.exit_code, 17) << end.message;
}

// A leader whose PostgreSQL is just restarted has no timeline that anybody could see.
TEST_F(Resume, GoesOnInTheMiddleOfWhatItBeganOnTheLeader) {
    for (const std::string on : {"n1", "n2"}) {
        journal = FakeJournal();
        runner.spool.clear();
        runner.facts.timeline = 1;
        die_after(plan("- {id: script, on: " + on + ", uses: fragile, undo: none}\n"),
                  RecordKind::step_intent,
                  "script");
        runner.facts.timeline.reset();
        const std::string message = resume().message;
        EXPECT_EQ(message.find("the timeline was 1 and is null") == std::string::npos, on == "n1")
            << on << ": " << message;
    }
}

TEST_F(Resume, IsRefusedWhereTheLeaderIsGoneAndNothingWasChangedOnIt) {
    broken = "n2";
    make_fail("release", StepOutcome::failed);
    EXPECT_EQ(run(plan(k_upgrade)).exit_code, 10);
    runner.facts.leader = "";
    EXPECT_EQ(resume().exit_code, 17);
}

}  // namespace
}  // namespace lockstep
