#include "cluster/diagnosis.hpp"
#include "tests/fakes/fake_cluster.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

class Check : public testing::Test {
  protected:
    static StepCall check(const std::string& refuse_on = "critical") {
        return step_call("check", "", {{"refuse_on", refuse_on}});
    }

    FakeCluster world;
};

TEST_F(Check, FindsNothingInAHealthyCluster) {
    EXPECT_TRUE(diagnose(world.observe(), world.cluster).empty());
    EXPECT_TRUE(world.preview(check("warning")).blocked_by.empty());
    const StepResult result = world.run(check("warning"));
    EXPECT_EQ(result.outcome, StepOutcome::succeeded);
    EXPECT_EQ(result.message, "no finding");
}

TEST_F(Check, RefusesOnWarningsOnlyWhereItIsAskedTo) {
    world.members.at("n2").status["pending_restart"] = true;
    EXPECT_TRUE(world.preview(check()).blocked_by.empty());
    EXPECT_EQ(world.run(check()).outcome, StepOutcome::succeeded);
    EXPECT_EQ(ids_of(world.preview(check("warning")).blocked_by),
              (Names{"postgres.pending_restart"}));
    const StepResult result = world.run(check("warning"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(ids_of(result.findings), (Names{"postgres.pending_restart"}));
    EXPECT_EQ(result.last_lines.size(), 1U);
}

TEST_F(Check, RefusesOnWhatIsCritical) {
    world.members.at("n3").status["timeline"] = 3;
    EXPECT_EQ(ids_of(world.preview(check()).blocked_by), (Names{"replication.timeline"}));
    EXPECT_EQ(world.run(check()).outcome, StepOutcome::failed);
}

TEST_F(Check, LetsPassWhatTheRunbookHeals) {
    world.members.at("n2").status["pending_restart"] = true;
    world.members.at("n3").status["timeline"] = 3;
    StepCall call = check("warning");
    call.heals = {"replication.timeline"};
    EXPECT_EQ(ids_of(world.preview(call).blocked_by), (Names{"postgres.pending_restart"}));
    EXPECT_EQ(ids_of(world.run(call).findings), (Names{"postgres.pending_restart"}));
}

TEST_F(Check, LetsPassWhatIsIgnoredForAReason) {
    world.members.at("n2").status["pending_restart"] = true;
    StepCall call = check("warning");
    call.with.emplace("ignore",
                      Value(Value::Map{{"postgres.pending_restart", "planned for Sunday"}}));
    EXPECT_TRUE(world.preview(call).blocked_by.empty());
    const StepResult result = world.run(call);
    EXPECT_EQ(result.outcome, StepOutcome::succeeded);
    ASSERT_EQ(result.unproven.size(), 1U);
    EXPECT_NE(result.unproven[0].find("planned for Sunday"), std::string::npos);
}

TEST_F(Check, CallsAMemberThatCannotBeReachedUnreachable) {
    world.is_dead("n3");
    const StepResult result = world.run(check());
    EXPECT_EQ(result.outcome, StepOutcome::unreachable);
    EXPECT_TRUE(result.message.starts_with("member.unreachable: ")) << result.message;
}

TEST_F(Check, LooksAgainWhenItRuns) {
    const ClusterFacts facts = world.observe();
    world.members.at("n3").status["timeline"] = 3;
    const StepResult result = world.run(check(), facts);
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    ClusterFacts later;
    result.learned(later);
    EXPECT_EQ(later.find("n3")->timeline, 3);
}

}  // namespace
}  // namespace lockstep
