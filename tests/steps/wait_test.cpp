#include "steps/actions/condition.hpp"
#include "tests/fakes/fake_cluster.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Kind = TransportError::Kind;

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

Expression expression(const std::string& text) {
    return Expression::parse(text, {"runbook.yaml", 7, 11});
}

StepCall call_of(const std::string& uses,
                 const std::string& that,
                 const std::string& member = "n2") {
    StepCall call = step_call(uses, member);
    call.expressions.emplace("that", expression(that));
    return call;
}

class WaitFor : public testing::Test {
  protected:
    FakeCluster world;
};

TEST_F(WaitFor, EndsAtOnceWhenItHolds) {
    const StepResult result = world.run(call_of("wait_for", "member.state == 'streaming'"));
    EXPECT_EQ(result.outcome, StepOutcome::succeeded);
    EXPECT_EQ(result.message, "holds after 0 ms");
    EXPECT_TRUE(world.clock.sleeps().empty());
}

TEST_F(WaitFor, LooksAgainUntilItHolds) {
    const ClusterFacts facts = world.observe();
    world.is_paused();
    for (auto& [name, member] : world.members) {
        member.says_paused = false;
        member.loops_until_it_knows = 4;
    }
    const StepResult result = world.run(call_of("wait_for", "members.all(m, m.paused)"), facts);
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(result.message, "holds after 800 ms");
    ClusterFacts later;
    result.learned(later);
    EXPECT_TRUE(later.find("n3")->paused);
}

TEST_F(WaitFor, SaysWhatTheValuesWereWhenItGivesUp) {
    StepCall call = call_of("wait_for", "member.state == 'running' and member.timeline > 4");
    call.timeout = 3s;
    call.with.emplace("every", Value(1000ms));
    const StepResult result = world.run(call);
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(contains(result.message, "(n2: state is 'streaming', timeline is 4; waited 3 s)"))
        << result.message;
    EXPECT_EQ(world.clock.sleeps(), (std::vector<std::chrono::milliseconds>{1s, 1s, 1s}));
    EXPECT_EQ(ids_of(result.findings), (Names{"runbook.assertion"}));
}

TEST_F(WaitFor, SaysTheRunbooksOwnMessage) {
    StepCall call = call_of("wait_for", "member.timeline > 4");
    call.timeout = 1s;
    call.with.emplace("message", "n2 must be on a new timeline");
    const StepResult result = world.run(call);
    EXPECT_TRUE(contains(result.message, "n2 must be on a new timeline (n2: timeline is 4"))
        << result.message;
}

TEST_F(WaitFor, WaitsForWhatIsNotKnownYet) {
    world.is_dead("n2");
    StepCall call = call_of("wait_for", "member.patroni.running == '4.0.7'");
    call.timeout = 2s;
    const StepResult result = world.run(call);
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(world.clock.sleeps().size(), 10U);
    EXPECT_TRUE(contains(result.message, "n2: patroni.running is not known (")) << result.message;
    EXPECT_TRUE(contains(result.message, "refused")) << result.message;
}

// Its own deadline cuts the last look: the error of that is nobody's trouble.
TEST_F(WaitFor, TellsTheLastWholeLookAndNotTheErrorOfOneThatWasCutOff) {
    world.members.at("n3").status["replication_state"] = "in archive recovery";
    const ClusterFacts facts = world.observe();
    int looks = 0;
    world.http.compute("GET " + FakeCluster::url("n3", "/patroni"), [&](const HttpRequest&) {
        if (++looks == 5) {
            for (const char* name : {"n1", "n2", "n3"}) {
                world.is_dead(name);
            }
        }
        return HttpResponse{200, world.members.at("n3").status.dump(), ""};
    });
    StepCall call = call_of("wait_for", "members.all(m, m.is_leader or m.state == 'streaming')");
    call.timeout = 1s;
    const StepResult result = world.run(call, facts);
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(contains(result.message,
                         "(n3: is_leader is false, state is 'in archive recovery'; waited 1 s)"))
        << result.message;
    EXPECT_EQ(result.hint, "");
}

TEST_F(WaitFor, ComparesAMemberWithHowItWasAtTheStart) {
    world.members.at("n2").status["replication_state"] = "in archive recovery";
    StepCall call = call_of("wait_for", "member.state == member.at_start.state");
    call.at_start = std::make_shared<const ClusterFacts>(world.observe());
    EXPECT_EQ(world.run(call).outcome, StepOutcome::succeeded);
    world.members.at("n2").status["replication_state"] = "streaming";
    call.timeout = 1s;
    const StepResult result = world.run(call);
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(contains(result.message, "at_start.state is 'in archive recovery'"))
        << result.message;
}

TEST_F(WaitFor, SeesWhatIsReceivedApartFromWhatIsReplayed) {
    world.members.at("n2").status["xlog"]["replayed_location"] = 1000;
    EXPECT_EQ(world.run(call_of("wait_for", "member.received == 83887680")).outcome,
              StepOutcome::succeeded);
    world.members.at("n2").status["xlog"]["received_location"] = 0;  // by the archive
    EXPECT_EQ(world.run(call_of("wait_for", "member.received == 1000")).outcome,
              StepOutcome::succeeded);
}

TEST_F(WaitFor, WaitsForAClusterThatCannotBeSeen) {
    const ClusterFacts facts = world.observe();
    for (const char* name : {"n1", "n2", "n3"}) {
        world.is_dead(name);
    }
    StepCall call = call_of("wait_for", "member.state == 'streaming'");
    call.timeout = 1s;
    const StepResult result = world.run(call, facts);
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(world.clock.sleeps().size(), 5U);
}

TEST_F(WaitFor, StopsAtAnErrorForItWillNotPass) {
    const StepResult result = world.run(call_of("wait_for", "member.state > 4"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(contains(result.message, "runbook.yaml:7")) << result.message;
    EXPECT_TRUE(world.clock.sleeps().empty());
}

TEST_F(WaitFor, TakesNothingButTrueForTrue) {
    const StepResult result = world.run(call_of("wait_for", "member.state"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(contains(result.message, "not true or false")) << result.message;
}

TEST_F(WaitFor, IsCancelledWhenTold) {
    const ClusterFacts facts = world.observe();
    std::stop_source stop;
    ActionContext context = world.context(facts, stop.get_token());
    StepCall call = call_of("wait_for", "member.state == 'running'");
    world.http.compute("GET " + FakeCluster::url("n2", "/patroni"), [&](const HttpRequest&) {
        stop.request_stop();
        return HttpResponse{200, world.members.at("n2").status.dump(), ""};
    });
    try {
        EXPECT_EQ(find_action_code("wait_for").run(call, context).outcome, StepOutcome::cancelled);
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), Kind::cancelled);
    }
}

TEST_F(WaitFor, IsRefusedByAPlanOnlyForAnError) {
    EXPECT_TRUE(world.preview(call_of("wait_for", "member.timeline > 99")).blocked_by.empty());
    EXPECT_EQ(ids_of(world.preview(call_of("wait_for", "member.state > 4")).blocked_by),
              (Names{"runbook.assertion"}));
}

TEST_F(WaitFor, IsRefusedByAPlanWhereItCanNeverComeTrue) {
    const auto refused = [&](const char* that, const char* member, bool foreseen = true) {
        StepCall call = call_of("wait_for", that, member);
        call.foreseen = foreseen;
        const auto found = world.preview(call).blocked_by;
        return found.empty() ? std::string() : found.front().message;
    };
    const char* streams = "member.state == 'streaming'";
    world.members.at("n2").status["replication_state"] = "in archive recovery";
    EXPECT_EQ(refused(streams, "n2"), "");  // it may begin to
    world.members.at("n2").status["tags"] = {{"nostream", true}};
    EXPECT_TRUE(contains(refused(streams, "n2"), "n2: state is 'in archive recovery'"))
        << refused(streams, "n2");
    EXPECT_EQ(refused(streams, "n2", false), "");
    EXPECT_EQ(refused(streams, "n3"), "");
    EXPECT_EQ(refused("member.role == 'leader' and not member.in_recovery", "n1"), "");
    world.members.at("n1").role = "standby_leader";
    world.members.at("n1").status["role"] = "standby_leader";
    EXPECT_TRUE(contains(refused("member.role == 'leader'", "n1"), "n1: role is 'standby_leader'"));
    EXPECT_EQ(refused("cluster.leader == 'n3'", "n1"), "");
}

TEST_F(WaitFor, KnowsNoResultYetWhereAStepIsJudgedByIt) {
    StepCall call = call_of("wait_for", "result.ready and member.name == 'n9'", "n2");
    call.foreseen = true;
    call.scope.emplace("result", Value::unknown("step a has not run"));
    EXPECT_EQ(ids_of(world.preview(call).blocked_by), (Names{"runbook.assertion"}));
    call.expressions.insert_or_assign("that", expression("result.ready and member.name == 'n2'"));
    EXPECT_TRUE(world.preview(call).blocked_by.empty());
}

TEST_F(WaitFor, SeesInputsAndTheStartOfTheRun) {
    StepCall call = call_of("wait_for", "member.patroni.running == inputs.v and run.timeline == 4");
    call.scope.emplace("inputs", Value(Value::Map{{"v", "4.0.7"}}));
    call.scope.emplace("run", Value(Value::Map{{"timeline", 4}}));
    EXPECT_EQ(world.run(call).outcome, StepOutcome::succeeded);
}

TEST(ConditionDepth, IsFullOnlyForFactsThatARestCallDoesNotGive) {
    for (const char* quick :
         {"member.state == 'x'", "members.all(m, m.patroni.running == '4')", "cluster.paused"}) {
        EXPECT_EQ(depth_for(expression(quick)), Depth::quick) << quick;
    }
    for (const char* full : {"member.patroni.installed == 'x'",
                             "members.all(m, m.wal.bytes < 5)",
                             "member.disk.free_bytes > 1",
                             "member.slots.size() == 0",
                             "member.unit.active_state == 'active'",
                             "has(member.slots)",
                             "members.exists(m, m == member)",
                             "cluster.members.exists(m, m.slots.size() > 1)",
                             "members.all(m, [m].size() == 1)",
                             "members == []"}) {
        EXPECT_EQ(depth_for(expression(full)), Depth::full) << full;
    }
}

class Assert : public testing::Test {
  protected:
    FakeCluster world;
};

TEST_F(Assert, HoldsOrRefuses) {
    EXPECT_TRUE(world.preview(call_of("assert", "member.timeline == 4")).blocked_by.empty());
    EXPECT_EQ(world.run(call_of("assert", "member.timeline == 4")).outcome, StepOutcome::succeeded);
    const Preview preview = world.preview(call_of("assert", "member.timeline == 5"));
    ASSERT_EQ(ids_of(preview.blocked_by), (Names{"runbook.assertion"}));
    EXPECT_EQ(preview.blocked_by[0].message,
              "`member.timeline == 5` is not true (n2: timeline is 4)");
    EXPECT_EQ(world.run(call_of("assert", "member.timeline == 5")).outcome, StepOutcome::failed);
}

TEST_F(Assert, LooksAgainBeforeItSaysSo) {
    const ClusterFacts facts = world.observe();
    world.members.at("n2").status["timeline"] = 5;
    EXPECT_EQ(world.run(call_of("assert", "member.timeline == 4"), facts).outcome,
              StepOutcome::failed);
}

TEST_F(Assert, IsNotKnownInAPlanButNeverPassesForTrueInARun) {
    world.is_dead("n2");
    const StepCall call = call_of("assert", "member.patroni.running == '4.0.7'");
    const Preview preview = world.preview(call);
    EXPECT_EQ(preview.verdict, Verdict::may);
    EXPECT_TRUE(preview.blocked_by.empty());
    EXPECT_EQ(world.run(call).outcome, StepOutcome::failed);
}

TEST(Sleep, PassesTheTimeAndStopsWhenTold) {
    FakeCluster world;
    const StepCall call = step_call("sleep", "", {{"for", Value(90s)}});
    EXPECT_EQ(world.run(call).message, "waited 1 min 30 s");
    std::stop_source stop;
    stop.request_stop();
    EXPECT_EQ(world.run(call, ClusterFacts{}, stop.get_token()).outcome, StepOutcome::cancelled);
}

}  // namespace
}  // namespace lockstep
