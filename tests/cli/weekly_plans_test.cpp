#include "tests/cli/plan_on.hpp"
#include "tests/fakes/restarting_cluster.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

/// What the shipped runbooks of the weekly work plan, and that their steps do it.
class WeeklyPlans : public testing::Test {
  protected:
    WeeklyPlans() { inventory.clusters.push_back(world.cluster); }

    Plan plan_of(const std::string& name, const std::map<std::string, std::string>& set = {}) {
        return plan_on(world, inventory, name, set);
    }

    /// `id member` of each step that changes something and will be done.
    static Names changes(const Plan& planned) {
        Names all;
        for (const PlannedStep& step : planned.steps) {
            if (step.changes && step.verdict == Verdict::will) {
                all.push_back(step.id + (step.member.empty() ? "" : " " + step.member));
            }
        }
        return all;
    }

    static Names refusals(const Plan& planned) {
        Names all;
        for (const Finding& finding : planned.blocked_by) {
            all.push_back(finding.id + ": " + finding.message);
        }
        return all;
    }

    /// Does the restarts of a plan as they stand in it. What a step learned the next one knows.
    void do_restarts(const Plan& planned) {
        ClusterFacts facts = world.observe();
        for (const PlannedStep& step : planned.steps) {
            if (step.uses != "patroni.restart" || step.verdict == Verdict::wont) {
                continue;
            }
            world.members.at(step.member).status["xlog"]["replayed_location"] = 83887680;
            const StepResult result =
                world.run(step_call("patroni.restart", step.member, {{"if_pending", true}}), facts);
            EXPECT_EQ(result.outcome, StepOutcome::succeeded) << step.member << result.message;
            if (result.learned) {
                result.learned(facts);
            }
        }
    }

    RestartingCluster world;
    Inventory inventory;
};

TEST_F(WeeklyPlans, RestartNobodyWhereNothingIsPending) {
    const Plan planned = plan_of("rolling-restart");
    EXPECT_EQ(refusals(planned), Names{});
    EXPECT_EQ(changes(planned), Names{});
    EXPECT_EQ(changes(plan_of("rolling-restart", {{"only_pending", "false"}})),
              (Names{"replicas.restart n2", "replicas.restart n3", "leader.restart n1"}));
}

TEST_F(WeeklyPlans, RestartReplicasFirstForWhatIsRaised) {
    world.is_pending("max_connections", "200");
    const Plan planned = plan_of("rolling-restart");
    EXPECT_EQ(refusals(planned), Names{});
    EXPECT_EQ(changes(planned),
              (Names{"replicas.restart n2", "replicas.restart n3", "leader.restart n1"}));
    do_restarts(planned);
    EXPECT_EQ(world.fell, Names{});
    EXPECT_EQ(world.runs_with("n1", "max_connections"), "200");
    EXPECT_EQ(changes(plan_of("rolling-restart")), Names{});
}

TEST_F(WeeklyPlans, RestartTheLeaderFirstForWhatIsLowered) {
    world.is_pending("max_connections", "50");
    const Plan planned = plan_of("rolling-restart");
    EXPECT_EQ(refusals(planned), Names{});
    EXPECT_EQ(changes(planned),
              (Names{"leader_before.restart n1", "replicas.restart n2", "replicas.restart n3"}));
    do_restarts(planned);
    EXPECT_EQ(world.runs_with("n3", "max_connections"), "50");
}

TEST_F(WeeklyPlans, RefuseTheWrongOrder) {
    world.is_pending("max_connections", "200");
    const std::string wrong =
        "runbook: wrong\nsteps:\n"
        "  - {id: gate, uses: check, with: {refuse_on: critical}}\n"
        "  - {id: restart, on: members, strategy: {batch: 1}, uses: patroni.restart, "
        "with: {if_pending: true}}\n";
    LiveRunner runner(world.cluster, world.factory(), world.clock);
    PlanRequest request;
    request.runbook =
        std::make_shared<const Runbook>(parse_runbook(wrong, "wrong.yaml", runbook_vocabulary()));
    request.inventory = &inventory;
    request.cluster = &world.cluster;
    request.actions = &action_catalog();
    const Plan planned = make_plan(request, runner, {});
    EXPECT_EQ(planned.refusal_code(), 4);
    ASSERT_EQ(planned.blocked_by.size(), 1U);
    EXPECT_EQ(planned.blocked_by[0].id, "restart.order");
    EXPECT_EQ(planned.blocked_by[0].member, "n1");
}

TEST_F(WeeklyPlans, RefuseOneRaisedAndAnotherLowered) {
    world.is_pending("max_connections", "200");
    for (auto& [name, member] : world.members) {
        member.status["pending_restart_reason"]["max_worker_processes"] = {{"old_value", "8"},
                                                                           {"new_value", "4"}};
    }
    const Plan planned = plan_of("rolling-restart");
    EXPECT_FALSE(planned.ready());
    EXPECT_NE(refusals(planned).at(0).find("restart.order"), std::string::npos);
}

TEST_F(WeeklyPlans, SetAParameterThatIsReloaded) {
    const Plan planned = plan_of("set-parameter", {{"name", "work_mem"}, {"value", "64MB"}});
    EXPECT_EQ(refusals(planned), Names{});
    EXPECT_EQ(changes(planned), (Names{"set"}));
}

TEST_F(WeeklyPlans, SetAParameterWithItsRestartsInTheRightOrder) {
    const auto set = [&](const char* value) {
        return plan_of("set-parameter", {{"name", "max_connections"}, {"value", value}});
    };
    const Plan up = set("200");
    EXPECT_EQ(refusals(up), Names{});
    EXPECT_EQ(changes(up),
              (Names{"set", "replicas.restart n2", "replicas.restart n3", "leader.restart n1"}));
    EXPECT_EQ(
        changes(set("50")),
        (Names{"set", "leader_before.restart n1", "replicas.restart n2", "replicas.restart n3"}));
    EXPECT_FALSE(world.config.contains("postgresql"));
}

TEST_F(WeeklyPlans, RefuseGarbageBeforeAnythingIsWritten) {
    EXPECT_EQ(plan_of("set-parameter", {{"name", "work_mem"}, {"value", "abc"}}).refusal_code(), 4);
    EXPECT_EQ(plan_of("set-parameter", {{"name", "wrok_mem"}, {"value", "8MB"}}).refusal_code(), 4);
    EXPECT_FALSE(world.config.contains("postgresql"));
}

TEST_F(WeeklyPlans, RemoveAParameterWhereNoValueIsGiven) {
    world.config["postgresql"]["parameters"]["work_mem"] = "8MB";
    const Plan planned = plan_of("set-parameter", {{"name", "work_mem"}});
    EXPECT_EQ(refusals(planned), Names{});
    EXPECT_EQ(changes(planned), (Names{"set"}));
}

TEST_F(WeeklyPlans, MakeAReplicaAnewAndNoLeader) {
    world.members.at("n1").statements = [](const SqlStatement&) {
        return SqlResult{{"sum"}, {{"1000000"}}};
    };
    world.members.at("n2").commands = [](const std::string&) {
        return command_result(0, "used=5000\nfree=200000\n");
    };
    const Plan planned = plan_of("reinit", {{"member", "n2"}});
    EXPECT_EQ(refusals(planned), Names{});
    EXPECT_EQ(changes(planned), (Names{"anew n2"}));
    EXPECT_EQ(plan_of("reinit", {{"member", "n1"}}).refusal_code(), 4);
    EXPECT_EQ(plan_of("reinit", {{"member", "n9"}}).refusal_code(), 4);
}

}  // namespace
}  // namespace lockstep
