#include "tests/cli/plan_on.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

/// The incident: leader 3.2.1, replicas 4.0.2. What the shipped runbooks plan for their way back.
class IncidentPlans : public testing::Test {
  protected:
    IncidentPlans() {
        make_incident(world);
        inventory.clusters.push_back(world.cluster);
    }

    Plan plan_of(const std::string& name, const std::map<std::string, std::string>& set = {}) {
        Plan planned = plan_on(world, inventory, name, set);
        for (const Finding& finding : planned.blocked_by) {
            ADD_FAILURE() << finding.id << ": " << finding.message;
        }
        return planned;
    }

    /// `MEMBER VERSION` of every undo that is a package, in the order of the plan.
    static Names packages_back(const Plan& planned) {
        Names all;
        for (const PlannedStep& step : planned.steps) {
            for (const Undo& undo : step.whole_undo()) {
                if (undo.uses == "package.restore" && step.verdict != Verdict::wont) {
                    all.push_back(undo.member + " " + undo.with.at("version").get<std::string>());
                }
            }
        }
        std::ranges::sort(all);
        return all;
    }

    FakeCluster world;
    Inventory inventory;
};

TEST_F(IncidentPlans, TakeEachMemberOfAnUpgradeStraightToOneGoodVersion) {
    const Plan planned = plan_of("patroni-upgrade", {{"target", "4.0.7-3~deb13u1"}});
    EXPECT_EQ(packages_back(planned), (Names{"n1 3.2.1-1", "n2 3.2.1-1", "n3 3.2.1-1"}));
    for (const PlannedStep& step : planned.steps) {
        EXPECT_TRUE(!step.made || step.id == "keep:patroni=3.2.1-1") << step.id;
        EXPECT_TRUE(step.undo_besides.empty() || step.undo_besides[0].member == step.member)
            << "each goes back where the run had come to it, and nowhere else";
    }
}

TEST_F(IncidentPlans, LeaveAlignedReplicasWhereTheyAre) {
    EXPECT_EQ(packages_back(plan_of("patroni-align-replicas")),
              (Names{"n2 3.2.1-1", "n3 3.2.1-1"}));
}

TEST_F(IncidentPlans, MendReplicasThatAreNotTouchedWithTheLeaderThatGoesBack) {
    const Plan planned = plan_of("patroni-upgrade", {{"target", "4.0.2-1"}});
    EXPECT_EQ(packages_back(planned), (Names{"n1 3.2.1-1", "n2 3.2.1-1", "n3 3.2.1-1"}));
}

// A change that can never be proven would be made, waited for and taken back.
TEST_F(IncidentPlans, DecideAnUntilThatTodaysFactsDecide) {
    world.members.at("n2").status["replication_state"] = "in archive recovery";
    world.members.at("n2").status["tags"] = {{"nostream", true}};
    const auto blocked = [&](const std::string& rest, const std::string& member) {
        Names ids;
        const std::string text = "runbook: x\nsteps:\n- id: a\n  on: " + member +
                                 "\n  uses: ssh.run\n  with: {argv: ['true'], read_only: true}\n" +
                                 rest;
        for (const Finding& finding : plan_text(world, inventory, text).blocked_by) {
            ids.push_back(finding.id);
        }
        return ids;
    };
    const std::string until =
        "  retry: {attempts: 2}\n  until: result.exit == 0 and member.state == 'streaming'\n";
    EXPECT_EQ(blocked(until, "n2"), Names{"runbook.assertion"});
    EXPECT_EQ(blocked(until, "n3"), Names{});
}

TEST_F(IncidentPlans, AddNoPackageToTheWayBackOfOneThatPausesNothing) {
    const Plan planned = plan_of("patroni-relieve-wal");
    EXPECT_EQ(packages_back(planned), Names{});
    const auto told = std::ranges::find(planned.advice, "rollback.bad_pair", &Finding::id);
    ASSERT_NE(told, planned.advice.end());
    EXPECT_NE(told->remedy.find("lockstep run patroni-align-replicas -c orders"),
              std::string::npos);
}

// Most repositories have the newest version alone. The pair is there before and after.
TEST_F(IncidentPlans, RefuseNoneThatChangesNoVersionWhereNoRepositoryHasTheLeaders) {
    for (auto& [name, member] : world.members) {
        member.seen["version=4.1.5-2\n"] = "version=4.0.2-1\n";
    }
    const Plan planned = plan_of("patroni-relieve-wal");
    const auto told = std::ranges::find(planned.advice, "rollback.bad_pair", &Finding::id);
    ASSERT_NE(told, planned.advice.end());
    EXPECT_NE(told->message.find("no repository of n2 has 3.2.1-1"), std::string::npos)
        << told->message;
    const Plan upgrade =
        plan_on(world, inventory, "patroni-upgrade", {{"target", "4.0.7-3~deb13u1"}});
    EXPECT_NE(std::ranges::find(upgrade.blocked_by, "rollback.bad_pair", &Finding::id),
              upgrade.blocked_by.end());
}

}  // namespace
}  // namespace lockstep
