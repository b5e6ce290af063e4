#include "base/error.hpp"
#include "cluster/pending_restart.hpp"
#include "tests/fakes/restarting_cluster.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

class PatroniRestart : public testing::Test {
  protected:
    static StepCall pending(const std::string& member) {
        return step_call("patroni.restart", member, {{"if_pending", true}});
    }

    /// As a run does it: judged by the facts that the steps before it left.
    StepResult go_on(const StepCall& call) {
        StepResult result = world.run(call, facts);
        if (result.learned) {
            result.learned(facts);
        }
        return result;
    }

    RestartingCluster world;
    ClusterFacts facts;
};

TEST_F(PatroniRestart, IsPlannedWithTheExactRequest) {
    world.is_pending("max_connections", "200");
    const Preview preview = world.preview(pending("n2"));
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_TRUE(preview.blocked_by.empty());
    EXPECT_EQ(preview.because, "PostgreSQL there waits for a restart: max_connections");
    EXPECT_EQ(preview.operations.at(0).text,
              R"(POST http://10.0.0.12:8008/restart {"restart_pending":true})");
    EXPECT_TRUE(preview.needs_no_undo);
    EXPECT_TRUE(world.restarted.empty());
}

TEST_F(PatroniRestart, HasNothingToDoWhereNothingIsPending) {
    EXPECT_EQ(world.preview(pending("n2")).verdict, Verdict::wont);
    EXPECT_EQ(world.run(pending("n2")).outcome, StepOutcome::already_done);
    EXPECT_TRUE(world.restarted.empty());
}

TEST_F(PatroniRestart, HasNothingToDoWhereTheVersionRuns) {
    const auto below = [](const char* version) {
        return step_call("patroni.restart", "n2", {{"if_version_below", version}});
    };
    EXPECT_EQ(world.preview(below("17.11")).verdict, Verdict::wont);
    const Preview preview = world.preview(below("17.12"));
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_EQ(preview.operations.at(0).text,
              R"(POST http://10.0.0.12:8008/restart {"postgres_version":"17.12"})");
}

TEST_F(PatroniRestart, GoesReplicasFirstWhereAValueIsRaised) {
    world.is_pending("max_connections", "200");
    facts = world.observe();
    EXPECT_EQ(ids_of(world.preview(pending("n1"), facts).blocked_by), (Names{"restart.order"}));
    for (const char* member : {"n2", "n3", "n1"}) {
        EXPECT_TRUE(world.preview(pending(member), facts).blocked_by.empty()) << member;
        const StepResult result = go_on(pending(member));
        EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
        EXPECT_TRUE(contains(result.message, "max_connections = 200")) << result.message;
    }
    EXPECT_EQ(world.fell, Names{});
    EXPECT_EQ(world.restarted, (Names{"n2", "n3", "n1"}));
}

TEST_F(PatroniRestart, GoesLeaderFirstWhereAValueIsLowered) {
    world.is_pending("max_connections", "50");
    facts = world.observe();
    EXPECT_EQ(ids_of(world.preview(pending("n2"), facts).blocked_by), (Names{"restart.order"}));
    for (const char* member : {"n1", "n2", "n3"}) {
        EXPECT_TRUE(world.preview(pending(member), facts).blocked_by.empty()) << member;
        world.members.at(member).status["xlog"]["replayed_location"] = 83887680;
        EXPECT_EQ(go_on(pending(member)).outcome, StepOutcome::succeeded) << member;
    }
    EXPECT_EQ(world.runs_with("n3", "max_connections"), "50");
}

TEST_F(PatroniRestart, OfWhatOthersDependOnIsForeseenByThePlan) {
    world.is_pending("max_connections", "200");
    facts = world.observe();
    for (const char* member : {"n2", "n3", "n1"}) {
        const Preview preview = world.preview(pending(member), facts);
        EXPECT_TRUE(preview.blocked_by.empty()) << member;
        preview.effect(facts);
        EXPECT_EQ(world.preview(pending(member), facts).verdict, Verdict::wont) << member;
    }
}

TEST_F(PatroniRestart, WaitsUntilAReplicaHasReplayedWhatLowersItsValue) {
    world.is_pending("max_connections", "50");
    facts = world.observe();
    go_on(pending("n1"));
    // It stands before the leader's position: its control file still has the old value.
    EXPECT_EQ(go_on(pending("n2")).outcome, StepOutcome::failed);
    EXPECT_EQ(world.restarted, (Names{"n1"}));
}

TEST_F(PatroniRestart, NeedsTheDirectionAlsoWherePatroniDoesNotTellIt) {
    world.is_pending("max_connections", "200");
    for (auto& [name, member] : world.members) {
        member.status.erase("pending_restart_reason");  // Patroni before 3.3.0
    }
    facts = world.observe();
    EXPECT_EQ(moves_of_restart(facts, *facts.find("n1")),
              (std::vector<SettingMove>{{"max_connections", 100, 200}}));
    EXPECT_EQ(ids_of(world.preview(pending("n1"), facts).blocked_by), (Names{"restart.order"}));
    EXPECT_TRUE(world.preview(pending("n2"), facts).blocked_by.empty());
}

TEST_F(PatroniRestart, IsOutOfOrderWhereNobodyKnowsWhatTheOthersRunWith) {
    world.is_pending("max_connections", "200");
    facts = world.observe();
    facts.find("n2")->postgres.settings.erase("max_connections");
    facts.find("n3")->postgres.settings["max_connections"] = "200";
    const Preview preview = world.preview(pending("n1"), facts);
    ASSERT_EQ(ids_of(preview.blocked_by), (Names{"restart.order"}));
    EXPECT_TRUE(contains(preview.blocked_by[0].message, "n2 is not known to run"));
}

TEST_F(PatroniRestart, DoesNotBelieveThatItWasRestartedSuccessfully) {
    world.is_pending("max_connections", "200");
    world.stays_as_it_is = true;
    const StepResult result = world.run(pending("n2"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(contains(result.message, "runs since 2026-11-23")) << result.message;
}

TEST_F(PatroniRestart, FailsWhereItStillWaitsForOneAfterwards) {
    world.is_pending("max_connections", "200");
    world.shadowed["max_connections"] = "100";
    facts = world.observe();
    const StepResult result = go_on(pending("n2"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(contains(result.message, "still waits for a restart: max_connections"));
    EXPECT_TRUE(contains(result.hint, "pg_settings"));
    // And it is not tried for ever.
    StepCall again = pending("n2");
    again.at_start = std::make_shared<const ClusterFacts>(facts);
    EXPECT_EQ(ids_of(world.preview(again).blocked_by), (Names{"restart.still_pending"}));
}

TEST_F(PatroniRestart, FailsWhereItDoesNotComeBackAndSaysWhere) {
    world.is_pending("max_connections", "200");
    world.breaks = "n2";
    const StepResult result = world.run(pending("n2"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(contains(result.message, "503: restart failed")) << result.message;
    EXPECT_TRUE(contains(result.hint, "log on n2")) << result.hint;
}

TEST_F(PatroniRestart, WithoutAConditionIsDoneOnceInARun) {
    const StepCall always = step_call("patroni.restart", "n2");
    StepCall in_run = always;
    in_run.at_start = std::make_shared<const ClusterFacts>(world.observe());
    EXPECT_EQ(world.preview(in_run).operations.at(0).text, "POST http://10.0.0.12:8008/restart {}");
    EXPECT_EQ(world.run(in_run).outcome, StepOutcome::succeeded);
    EXPECT_EQ(world.preview(in_run).verdict, Verdict::wont) << "a lost answer is settled by this";
    EXPECT_EQ(world.run(in_run).outcome, StepOutcome::already_done);
    EXPECT_EQ(world.restarted, (Names{"n2"}));
}

TEST_F(PatroniRestart, IsRefusedWhereItCannotGo) {
    const StepCall call = step_call("patroni.restart", "n2");
    ClusterFacts now = world.observe();
    now.paused = true;
    EXPECT_EQ(ids_of(world.preview(call, now).blocked_by), (Names{"cluster.paused"}));
    now = world.observe();
    now.find("n2")->state = "starting";
    const Preview starting = world.preview(call, now);
    ASSERT_EQ(ids_of(starting.blocked_by), (Names{"postgres.not_running"}));
    EXPECT_TRUE(starting.blocked_by[0].passing);
    EXPECT_FALSE(starting.effect) << "a look tells nothing while it is under way";
    now.find("n2")->state = "start failed";
    EXPECT_FALSE(world.preview(call, now).blocked_by.at(0).passing);
    now = world.observe();
    now.patroni_write_refused = true;
    EXPECT_EQ(ids_of(world.preview(call, now).blocked_by), (Names{"patroni.write_refused"}));
    world.is_dead("n2");
    EXPECT_EQ(ids_of(world.preview(call).blocked_by), (Names{"member.unreachable"}));
}

TEST_F(PatroniRestart, OfALeaderSaysWhereNobodyCouldTakeOver) {
    const StepCall call = step_call("patroni.restart", "n1");
    EXPECT_TRUE(world.preview(call).notes.empty());
    ClusterFacts now = world.observe();
    now.find("n2")->state = "stopped";
    now.find("n3")->tags["nofailover"] = true;
    EXPECT_EQ(world.preview(call, now).notes,
              (Names{"nobody could take over if it does not come back: no replica streams"}));
}

TEST_F(PatroniRestart, WhoseAnswerIsLostIsInDoubtAndKnowsForHowLongItMayAct) {
    world.http.fail(
        "POST " + FakeCluster::url("n2", "/restart"), TransportError::Kind::timeout, "no answer");
    const StepCall call = step_call("patroni.restart", "n2");
    EXPECT_EQ(world.preview(call).acts_within, std::chrono::seconds{60});
    EXPECT_THROW(world.run(call), TransportError);
}

}  // namespace
}  // namespace lockstep
