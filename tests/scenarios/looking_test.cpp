#include "tests/scenarios/story.hpp"

#include <algorithm>

namespace lockstep {
namespace {

/// Runs of which every step only looks: what is left out, what is done together, and what is not.
class Looking : public Story {
  protected:
    [[nodiscard]] bool is_on_record(RecordKind kind, const StepCall& call) {
        return std::ranges::any_of(journal.records("run"), [&](const JournalRecord& record) {
            return record.kind == kind && record.step == call.id && record.member == call.member;
        });
    }

    /// What was announced of a run with these steps.
    std::vector<std::string> read_ahead_of(const std::string& steps) {
        runner.read_ahead.clear();
        journal = FakeJournal();
        EXPECT_EQ(run(plan(steps)).exit_code, 0);
        return runner.read_ahead;
    }
};

constexpr const char* k_on_all = R"(
- id: all
  on: members
  strategy: {batch: all}
  steps: [{id: a, uses: peek}, {id: b, uses: peek}]
)";

TEST_F(Looking, AsksForNoMoreThanWhoTheMembersAre) {
    const Plan planned = plan(k_on_all);
    EXPECT_FALSE(planned.examined);
    EXPECT_EQ(runner.depths, (std::vector<bool>{false}));
    EXPECT_EQ(runner.count("diagnose"), 0);
    EXPECT_EQ(run(planned).exit_code, 0);
    EXPECT_EQ(runner.count("lock for run"), 0);
    EXPECT_EQ(runner.count("clean up run"), 0);
}

/// Nor does whoever goes on with it need the members by SSH.
TEST_F(Looking, TakesNoLockWhenItIsResumed) {
    make_fail("peek", StepOutcome::failed);
    EXPECT_EQ(run(plan(k_on_all)).exit_code, 4);
    runner.lock_held_by = "somebody";
    make_fail("peek", StepOutcome::succeeded);
    const RunEnd end = resume();
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_EQ(runner.count("lock for run"), 0);
}

TEST_F(Looking, AsksForAllFactsWhereAnythingNeedsThem) {
    for (const char* steps :
         {"- {id: a, on: n1, uses: change}",
          "- {id: a, on: n1, uses: look}",
          "- {id: a, on: n1, uses: peek, when: member.timeline == 1}",
          "- {id: a, on: n1, uses: peek, with: {text: \"${{ cluster.paused }}\"}}",
          "- {id: a, on: member.timeline == 1, uses: peek}",
          "- {id: a, uses: peek, strategy: {order: member.lag_bytes}}"}) {
        runner.depths.clear();
        EXPECT_TRUE(plan(steps).examined) << steps;
        EXPECT_EQ(runner.depths, (std::vector<bool>{true})) << steps;
    }
    EXPECT_TRUE(plan("- {id: a, on: n1, uses: peek}", "guards: [leader_unchanged]\n").examined);
    EXPECT_TRUE(plan("- {id: a, on: n1, uses: peek}", "heals: [slot.stuck]\n").examined);
    EXPECT_TRUE(
        plan("- {id: a, on: n1, uses: peek}", "vars: {v: \"${{ cluster.paused }}\"}\n").examined);
    EXPECT_FALSE(
        plan("- {id: a, on: n1, uses: peek, with: {text: \"${{ member.name }}\"}}").examined);
}

TEST_F(Looking, StartsNothingWhoseIntentIsNotOnRecord) {
    runner.workers["peek"] = [this](const StepCall& call, ClusterFacts&) {
        EXPECT_TRUE(is_on_record(RecordKind::step_intent, call)) << call.id << call.member;
        return StepResult{};
    };
    EXPECT_EQ(run(plan(k_on_all)).exit_code, 0);
    // Of the first steps the intents; then their results with the intents of the second ones.
    EXPECT_EQ(journal.together, (std::vector<std::size_t>{3, 6, 3}));
}

TEST_F(Looking, TellsNobodyOfWhatIsNotOnRecordYet) {
    std::size_t told = 0;
    listener = [&](const JournalRecord& record, const RunState&) {
        ++told;
        EXPECT_EQ(record.seq, static_cast<std::int64_t>(told));
        EXPECT_GE(journal.records("run").size(), told);
    };
    EXPECT_EQ(run(plan(k_on_all)).exit_code, 0);
    EXPECT_EQ(told, journal.records("run").size());
}

TEST_F(Looking, RecordsAChangeAtOnceAndWhatWasBeforeItFirst) {
    runner.workers["change"] = [this](const StepCall& call, ClusterFacts&) {
        EXPECT_TRUE(is_on_record(RecordKind::step_intent, call));
        return StepResult{};
    };
    EXPECT_EQ(run(plan(R"(
- {id: seen, on: n1, uses: peek}
- {id: work, on: n1, uses: change, needs: []}
- {id: more, on: n2, uses: change}
)"))
                  .exit_code,
              0);
    std::int64_t last = 0;
    for (const JournalRecord& record : journal.records("run")) {
        EXPECT_EQ(record.seq, ++last);
    }
}

TEST_F(Looking, EndsWithNothingStartedWhereTheRecordCannotBeWritten) {
    const Plan planned = plan(k_on_all);
    journal.fail_at = 3;  // after the run's start: of three intents the second
    EXPECT_THROW(run(planned), JournalError);
    EXPECT_TRUE(started().empty());
}

TEST_F(Looking, AnnouncesTheStepsThatFollowOnTheSameMember) {
    EXPECT_EQ(read_ahead_of(R"(
- id: all
  on: replicas
  steps: [{id: a, uses: peek}, {id: b, uses: peek, register: b}, {id: c, uses: peek}]
)"),
              (Names{"all.b after all.a on n2",
                     "all.c after all.a on n2",
                     "all.b after all.a on n3",
                     "all.c after all.a on n3"}));
}

TEST_F(Looking, AnnouncesNothingThatDependsOnMoreThanASuccess) {
    const auto second = [](const std::string& first, const std::string& then) {
        return "- id: all\n  on: n2\n  steps: [{id: a, uses: peek" + first +
               "}, {id: b, uses: peek" + then + "}]\n";
    };
    EXPECT_FALSE(read_ahead_of(second("", "")).empty());
    EXPECT_FALSE(read_ahead_of(second(", register: x", "")).empty());
    runner.workers["peek"] = [](const StepCall&, ClusterFacts&) {
        return StepResult{.output = {{"stdout", "{}"}, {"stderr", ""}, {"exit", 0}}};
    };
    EXPECT_EQ(read_ahead_of(second(", register: x", ", with: {text: \"${{ steps.x.stdout }}\"}")),
              Names{});
    EXPECT_EQ(read_ahead_of(second(", register: x", ", when: steps.x.exit == 0")), Names{});
    EXPECT_EQ(read_ahead_of(second(", register: {name: x, as: json}", "")), Names{});
    EXPECT_EQ(read_ahead_of(second(", until: result.exit == 0, retry: {attempts: 2}", "")),
              Names{});
    EXPECT_EQ(read_ahead_of("- {id: a, on: n2, uses: peek}\n- {id: b, on: n3, uses: peek}\n"),
              Names{});
    EXPECT_EQ(read_ahead_of("- {id: a, on: n2, uses: peek}\n- {id: b, on: n2, uses: look}\n"),
              Names{});
    EXPECT_EQ(read_ahead_of("- {id: a, uses: peek, strategy: {batch: all}}\n"
                            "- {id: b, uses: peek, strategy: {batch: all}}\n"),
              Names{});
}

TEST_F(Looking, AnnouncesNothingThatSomebodyHasToApprove) {
    const Plan planned = plan(R"(
- {id: a, on: n2, uses: peek}
- {id: b, on: n2, uses: peek, approval: {from: [bert]}}
)");
    EXPECT_EQ(run(planned).exit_code, 14);
    EXPECT_TRUE(runner.read_ahead.empty());
}

TEST_F(Looking, GoesThroughASecondDeathAtAnyRecord) {
    const auto start_over = [this] {
        journal = FakeJournal();
        runner.asked.clear();
        runner.forget_events();
    };
    const Plan planned = plan(k_on_all);
    EXPECT_EQ(run(planned).exit_code, 0);
    const int records = journal.appended();
    for (int n = 2; n <= records; ++n) {
        for (const bool written : {false, true}) {
            start_over();
            (written ? journal.die_after : journal.die_before) = n;
            RunEnd end;
            try {
                end = run(planned);
            } catch (const FakeJournal::Death&) {
                journal.die_after = journal.die_before = 0;
                end = resume();
            }
            EXPECT_EQ(end.exit_code, 0) << n << written;
            EXPECT_EQ(state_of("all.b", "n3"), "succeeded") << n << written;
        }
    }
}

TEST_F(Looking, SpreadsByAnExpression) {
    const auto after = [this](const std::string& batch) {
        const Plan planned =
            plan("- {id: a, on: members, uses: peek, strategy: {batch: inputs.b}}\n",
                 "inputs: {b: {type: string, default: \"" + batch + "\"}}\n");
        Names names;
        for (const PlannedStep& step : planned.steps) {
            names.push_back(std::to_string(step.after.size()));
        }
        for (const Finding& finding : planned.blocked_by) {
            names.push_back(finding.message);
        }
        return names;
    };
    EXPECT_EQ(after("1"), (Names{"0", "1", "1"}));
    EXPECT_EQ(after("2"), (Names{"0", "0", "2"}));
    EXPECT_EQ(after("all"), (Names{"0", "0", "0"}));
    EXPECT_EQ(after("67%"), (Names{"0", "0", "0"}));
    const Names wrong = after("some");
    ASSERT_EQ(wrong.size(), 4U);
    EXPECT_NE(wrong.back().find("some is no number of members, part or all"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
