#include "tests/scenarios/world.hpp"

namespace lockstep {
namespace {

using namespace std::chrono_literals;

/// Runs that move the leader themselves. `move` takes it to the member `to`, which makes a
/// timeline, and gives the one that led another postmaster.
class Moving : public World {
  protected:
    Moving() {
        runner.previews["move"] = [](const StepCall& call, const ClusterFacts& seen) {
            Preview preview;
            const std::string to = call.with.at("to").as_string();
            preview.acts_within = 5s;
            if (seen.leader == to) {
                preview.verdict = Verdict::wont;
                preview.because = to + " leads";
                return preview;
            }
            if (!call.led_by.empty() && seen.leader != call.led_by) {
                preview.blocked_by.push_back(
                    {.id = "cluster.leader_moved",
                     .message = seen.leader + " leads, not " + call.led_by});
            }
            preview.operations.push_back({Operation::Kind::http, seen.leader + " -> " + to});
            preview.undo.push_back({{Operation::Kind::http, to + " -> " + seen.leader},
                                    "move",
                                    {},
                                    {{"to", seen.leader}}});
            preview.leads_after = to;
            preview.effect = [to](ClusterFacts& later) { lead(later, to); };
            return preview;
        };
        runner.workers["move"] = [this](const StepCall& call, ClusterFacts& now) {
            const std::string to = call.with.at("to").as_string();
            ++happened["move to " + to];
            lead(now, to);
            StepResult result{.message = to + " leads"};
            result.learned = [to](ClusterFacts& facts) { lead(facts, to); };
            return result;
        };
        runner.workers["fragile"] = [this](const StepCall& call, ClusterFacts&) {
            ++happened[call.id + " on " + call.member];
            return StepResult{.message = "once"};
        };
    }

    static void lead(ClusterFacts& facts, const std::string& name) {
        if (facts.leader == name) {
            return;
        }
        for (MemberFacts& member : facts.members) {
            const bool leads = member.name == name;
            if (member.is_leader()) {
                member.postgres.started_at = "later";
            }
            member.role = leads ? "leader" : "replica";
            member.state = leads ? "running" : "streaming";
            member.in_recovery = !leads;
        }
        facts.leader = name;
        facts.timeline = facts.timeline.value_or(0) + 1;
    }

    void start_over() {
        journal = FakeJournal();
        runner.spool.clear();
        runner.forget_events();
        lead(runner.facts, "n1");
        runner.facts.timeline = 1;
        for (MemberFacts& member : runner.facts.members) {
            member.postgres.started_at = "then";
        }
        happened.clear();
    }

    static constexpr const char* k_guards = "guards: [leader_unchanged, postgres_not_restarted]\n";
    static constexpr const char* k_move = R"(
- {id: gate, uses: look}
- {id: before, on: leader, uses: fragile, undo: none}
- {id: move, uses: move, with: {to: n2}}
- {id: leader, on: leader, uses: fragile, undo: none}
- {id: replicas, on: replicas, uses: fragile, undo: none}
- {id: end, uses: look}
)";
};

TEST_F(Moving, PlansLaterRolesByTheFactsAsTheyWillBe) {
    const Plan planned = plan(k_move, k_guards);
    EXPECT_TRUE(planned.ready());
    EXPECT_EQ(verdict(planned, "before", "n1"), "will");
    EXPECT_EQ(verdict(planned, "before", "n2"), "no such step");
    EXPECT_EQ(verdict(planned, "move"), "will");
    EXPECT_EQ(verdict(planned, "leader", "n1"), "wont");
    EXPECT_EQ(verdict(planned, "leader", "n2"), "may");
    EXPECT_EQ(verdict(planned, "replicas", "n1"), "may");
    EXPECT_EQ(verdict(planned, "replicas", "n2"), "wont");
}

TEST_F(Moving, TakesTheLeaderOfThenAndItsGuardsTakeTheMoveFromWhereItWent) {
    const RunEnd end = run(plan(k_move, k_guards));
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_EQ(started(),
              (Names{"gate",
                     "before on n1",
                     "move",
                     "leader on n2",
                     "replicas on n1",
                     "replicas on n3",
                     "end"}));
    EXPECT_EQ(state_of("leader", "n1"), "skipped");
}

TEST_F(Moving, LeavesABlockWithWhomItBegan) {
    const char* steps = R"(
- {id: first, uses: move, with: {to: n2}}
- id: block
  on: leader
  steps: [{id: a, uses: fragile, undo: none}, {id: b, uses: fragile, undo: none}]
)";
    runner.workers["fragile"] = [](const StepCall& call, ClusterFacts& now) {
        if (call.id == "block.a") {
            lead(now, "n3");
        }
        return StepResult{};
    };
    const RunEnd end = run(plan(steps));
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_EQ(started(), (Names{"first", "block.a on n2", "block.b on n2"}));
}

TEST_F(Moving, DoesNotAllowAnyOtherMove) {
    runner.workers["look"] = [](const StepCall& call, ClusterFacts& now) {
        if (call.id == "gate") {
            lead(now, "n3");
        }
        return StepResult{};
    };
    const RunEnd end = run(plan(k_move, k_guards));
    EXPECT_EQ(end.exit_code, 4);
    EXPECT_NE(end.message.find("the leader changed from n1 to n3"), std::string::npos)
        << end.message;
    EXPECT_EQ(happened["move to n2"], 0);
}

TEST_F(Moving, DoesNotAllowThatItMovesOnAfterwards) {
    runner.workers["fragile"] = [](const StepCall& call, ClusterFacts& now) {
        if (call.id == "leader") {
            lead(now, "n3");
        }
        return StepResult{};
    };
    const RunEnd end = run(plan(k_move, k_guards));
    EXPECT_EQ(end.exit_code, 10);
    EXPECT_NE(end.message.find("from n2 to n3"), std::string::npos) << end.message;
}

TEST_F(Moving, DoesNotAllowThatAnotherPostmasterIsRestarted) {
    runner.workers["fragile"] = [](const StepCall& call, ClusterFacts& now) {
        if (call.id == "leader") {
            now.find("n3")->postgres.started_at = "later";
        }
        return StepResult{};
    };
    const RunEnd end = run(plan(k_move, k_guards));
    EXPECT_EQ(end.exit_code, 10);
    EXPECT_NE(end.message.find("PostgreSQL on n3 was restarted"), std::string::npos) << end.message;
}

TEST_F(Moving, IsTakenBackByAMoveToWhoLedBefore) {
    ASSERT_EQ(run(plan(k_move, k_guards)).exit_code, 0);
    const RunEnd end = roll_back();
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_EQ(runner.facts.leader, "n1");
    EXPECT_EQ(happened["move to n1"], 1);
}

TEST_F(Moving, DiesAtAnyRecordAndIsResumedToTheSameEnd) {
    int records = 1;
    for (int n = 0; n <= 2 * records; ++n) {
        start_over();
        const Plan planned = plan(k_move, k_guards);
        (n % 2 == 0 ? journal.die_after : journal.die_before) = (n + 1) / 2;
        RunEnd end;
        try {
            end = run(planned);
        } catch (const FakeJournal::Death&) {
            journal.die_after = journal.die_before = 0;
            end = resume();
        }
        records = n == 0 ? journal.appended() : records;
        const std::string where = "dies at " + std::to_string(n) + "/2: " + end.message;
        ASSERT_TRUE(end.exit_code == 0 || n == 2 * records) << where;
        ASSERT_EQ(runner.facts.leader, "n2") << where;
        ASSERT_EQ(most_often(), 1) << where;
        ASSERT_EQ(happened["leader on n2"], 1) << where;
        ASSERT_EQ(happened["replicas on n1"], 1) << where;
        ASSERT_EQ(happened["leader on n1"], 0) << where;
    }
    EXPECT_GT(records, 12);
}

TEST_F(Moving, ThatDiedMeanwhileIsNotResumedWhereSomebodyElseLeads) {
    for (const char* leader : {"n3", "n2"}) {
        start_over();
        const Plan planned = plan("- {id: move, uses: move, with: {to: n2}}\n", k_guards);
        journal.die_after = 2;
        EXPECT_THROW(run(planned), FakeJournal::Death);
        journal.die_after = 0;
        lead(runner.facts, "n3");
        lead(runner.facts, leader);  // n2 by way of n3 is two timelines on
        EXPECT_EQ(resume().exit_code, 17) << leader;
    }
}

}  // namespace
}  // namespace lockstep
