#include "engine/run/unproven.hpp"
#include "tests/scenarios/world.hpp"

namespace lockstep {
namespace {

using namespace std::chrono_literals;

/// What was sent and not seen to end: commands that outlive whoever waits for them, requests that
/// act when nobody waits any more.
class OpenCalls : public World {
  protected:
    OpenCalls() {
        runner.clock = &clock;
        runner.pace = [this](const StepCall& call) {
            const auto found = slow.find(call.id);
            FakeRunner::Pace how;
            if (found != slow.end()) {
                how = found->second;
                slow.erase(found);  // once
            }
            return how;
        };
        for (const char* action : {"hold", "release"}) {
            runner.previews[action] = [within = runner.previews.at(action)](
                                          const StepCall& call, const ClusterFacts& seen) {
                Preview preview = within(call, seen);
                preview.acts_within = 5s;
                return preview;
            };
        }
    }

    /// Planned while nothing takes time.
    Plan plan_of(const std::string& steps, const std::string& head = "") {
        const auto pace = std::exchange(runner.pace, nullptr);
        Plan planned = plan(steps, head);
        runner.pace = pace;
        return planned;
    }

    ~OpenCalls() override {
        clock.advance(10min);
        runner.catch_up();
        EXPECT_EQ(runner.violations, std::vector<std::string>{});
    }

    OpenCalls(const OpenCalls&) = delete;
    OpenCalls& operator=(const OpenCalls&) = delete;

    std::map<std::string, FakeRunner::Pace> slow;  ///< how the next call of a step goes
};

constexpr const char* k_held = R"(
- {id: hold, uses: hold}
- {id: leader, on: leader, uses: change}
- {id: release, uses: release}
)";

TEST_F(OpenCalls, OfAPauseThatLandsAfterItsAnswerWasGivenUpIsFoundOutAndGivenBack) {
    slow["hold"] = {.acts_after = 14s, .no_answer = true};
    const RunEnd end = run(plan_of(k_held));
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_EQ(version_of("n1"), "new");
    clock.advance(1min);
    runner.catch_up();
    EXPECT_FALSE(runner.facts.paused);
}

TEST_F(OpenCalls, OfAPauseAreInTheLockBeforeItIsInForceAndNoLonger) {
    std::vector<std::string> signs;
    for (const char* action : {"hold", "release"}) {
        runner.workers[action] = [this, &signs, within = runner.workers.at(action)](
                                     const StepCall& call, ClusterFacts& now) {
            signs.push_back(call.uses + ": " + runner.lock_sign);
            return within(call, now);
        };
    }
    const Plan planned = plan_of(k_held);
    journal.count_from_here();
    EXPECT_EQ(run(planned).exit_code, 0);
    EXPECT_EQ(signs, (std::vector<std::string>{"hold: hold", "release: hold"}));
    EXPECT_EQ(runner.released.back(), "");
}

TEST_F(OpenCalls, OfALockThatCannotBeSignedStopBeforeThePause) {
    const Plan planned = plan_of(k_held);
    runner.lock_problem = "the lock of orders could not be renewed";
    const RunEnd end = run(planned);
    EXPECT_EQ(end.exit_code, 4) << end.message;
    EXPECT_FALSE(runner.facts.paused);
}

TEST_F(OpenCalls, OfAPauseThatNeverLandsFailsWhenItCanLandNoMore) {
    slow["hold"] = {.never_acts = true, .no_answer = true};
    const RunEnd end = run(plan_of(k_held));
    EXPECT_EQ(end.exit_code, 10) << end.message;
    EXPECT_NE(end.message.find("its answer was lost, and it had no effect"), std::string::npos);
    EXPECT_EQ(version_of("n1"), "old");
    EXPECT_EQ(runner.released.back(), "");
}

TEST_F(OpenCalls, OfAPauseAreWaitedForAlsoWhereSomebodyElsePausesMeanwhile) {
    slow["hold"] = {.acts_after = 14s, .no_answer = true};
    runner.at(clock.wall_now() + 11s, [this] { runner.facts.paused = true; });
    const RunEnd end = run(plan_of(k_held));
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_TRUE(runner.still_open().empty()) << "it may land after the run";
}

TEST_F(OpenCalls, OfAPauseThatIsMadeAgainAreSettledBeforeThat) {
    broken = "n1";
    ASSERT_EQ(run(plan_of(k_held)).exit_code, 10);
    broken.clear();
    slow["hold"] = {.never_acts = true, .no_answer = true};
    std::stop_source stop;
    runner.at(clock.wall_now() + 12s, [&] { stop.request_stop(); });
    ASSERT_EQ(resume({}, stop.get_token()).exit_code, 13);
    const RunEnd end = resume();
    EXPECT_EQ(end.exit_code, 0) << end.message;
    EXPECT_TRUE(state->open_calls().empty()) << "nobody ever settles it";
}

TEST_F(OpenCalls, OfACommandThatOutlivesItsTimeoutIsFollowedAndNeverStartedTwice) {
    slow["start"] = {.acts_after = 25s};
    const RunEnd end = run(plan_of("- {id: start, on: n2, uses: fragile, timeout: 3s}\n"));
    EXPECT_EQ(end.exit_code, 13) << end.message;
    EXPECT_NE(runner.released.back().find("start on n2"), std::string::npos)
        << "the lock says nothing: " << runner.released.back();
    ASSERT_EQ(state->open_calls().size(), 1U);
    EXPECT_EQ(state->open_calls().front().end, OpenEnd::still_running);
    EXPECT_EQ(resume().exit_code, 0);
    EXPECT_EQ(happened["fragile n2"], 1);
    EXPECT_TRUE(state->open_calls().empty());
}

TEST_F(OpenCalls, KeepARollbackFromEndingBeforeTheyDo) {
    slow["leader"] = {.acts_after = 60s};
    std::string steps = k_held;
    steps.replace(steps.find("uses: change"), 12, "uses: change, timeout: 3s");
    EXPECT_EQ(run(plan_of(steps)).exit_code, 13);
    EXPECT_TRUE(runner.facts.paused) << "given back under a command that still runs";
    EXPECT_EQ(roll_back().exit_code, 0);
    EXPECT_EQ(version_of("n1"), "old");
    EXPECT_EQ(happened["change n1"], 1);
    EXPECT_FALSE(runner.facts.paused);
}

TEST_F(OpenCalls, OfAnUndoEndTheWayBackThereWithThePauseInForceAndASign) {
    ASSERT_EQ(run(plan_of(k_held)).exit_code, 0);
    slow["leader"] = {.acts_after = 60s};
    runner.at(clock.wall_now() + 5s, [this] { runner.cancel_all(); });
    const RunEnd end = roll_back();
    EXPECT_EQ(end.exit_code, 13) << end.message;
    EXPECT_TRUE(runner.facts.paused) << "lifted under an undo that still runs";
    EXPECT_NE(runner.released.back().find("leader on n1"), std::string::npos);
    EXPECT_EQ(roll_back().exit_code, 0);
    EXPECT_EQ(happened["revert n1"], 1) << "a second copy of the undo";
    EXPECT_EQ(version_of("n1"), "old");
}

TEST_F(OpenCalls, OfADeadEngineKeepThePauseWhereTheirMemberCannotBeAsked) {
    ASSERT_EQ(run(plan_of(k_held)).exit_code, 0);
    slow["leader"] = {.acts_after = 5min};
    journal.count_from_here();
    journal.die_after = 6;  // the intent of the undo
    EXPECT_THROW((void)roll_back(), FakeJournal::Death);
    journal.die_after = 0;
    ASSERT_EQ(journal.records("run").back().kind, RecordKind::undo_intent);
    clock.advance(1min);
    slow["leader"] = {.unreachable = true};
    const RunEnd end = roll_back();
    EXPECT_EQ(end.exit_code, 13) << end.message;
    EXPECT_TRUE(runner.facts.paused) << "lifted under an undo that still runs";
    EXPECT_EQ(roll_back().exit_code, 0);
    EXPECT_EQ(happened["revert n1"], 1);
}

TEST_F(OpenCalls, OfAPauseKeepTheirSignWhereTheClusterCannotBeSeen) {
    slow["leader"] = {.acts_after = 60s};
    std::string steps = k_held;
    steps.replace(steps.find("uses: change"), 12, "uses: change, timeout: 3s");
    EXPECT_EQ(run(plan_of(steps)).exit_code, 13);
    ASSERT_TRUE(runner.facts.paused);
    runner.before_observe = [] { throw Error("nobody answers"); };
    EXPECT_THROW((void)resume(), Error);
    EXPECT_TRUE(runner.lock_sign.starts_with("hold")) << runner.lock_sign;
    runner.before_observe = nullptr;
    EXPECT_EQ(resume().exit_code, 0);
}

TEST_F(OpenCalls, SurviveTheEngineAndAreWaitedForByTheNext) {
    slow["hold"] = {.acts_after = 9s};
    journal.die_after = 4;  // the intent of the pause
    const Plan planned = plan_of(k_held);
    EXPECT_THROW((void)run(planned), FakeJournal::Death);
    journal.die_after = 0;
    EXPECT_EQ(resume().exit_code, 0);
    EXPECT_EQ(runner.count("start hold"), 1) << "sent twice";
    EXPECT_FALSE(runner.facts.paused);
}

TEST_F(OpenCalls, OfADeadEngineLeaveAGapThatIsNotProven) {
    journal.die_after = 4;
    const Plan planned = plan_of(k_held);
    EXPECT_THROW((void)run(planned), FakeJournal::Death);
    journal.die_after = 0;
    clock.advance(142s);
    EXPECT_EQ(resume().exit_code, 0);
    ASSERT_EQ(state->gaps().size(), 1U);
    const std::vector<std::string> open = unproven(header_of(planned), *state);
    EXPECT_TRUE(std::ranges::any_of(open, [](const std::string& text) {
        return text.find("for 142 s") != std::string::npos ||
               text.find("for 2 min 22 s") != std::string::npos;
    })) << (open.empty() ? "nothing is said" : open.front());
}

TEST_F(OpenCalls, AStepThatCannotBeMadeIsAFailureWithEverythingGivenBack) {
    const Plan planned = plan_of(k_held, "always: [{id: told, uses: look}]\n");
    runner.previews["change"] = [](const StepCall&, const ClusterFacts&) -> Preview {
        throw Error("`never` is not a length of time", "Write 30s.");
    };
    const RunEnd end = run(planned);
    EXPECT_EQ(end.exit_code, 10);
    EXPECT_NE(end.message.find("is not a length of time"), std::string::npos) << end.message;
    EXPECT_EQ(state_of("leader", "n1"), "failed");
    EXPECT_EQ(state_of("told"), "succeeded") << "what is always done was not";
    EXPECT_FALSE(runner.facts.paused);
}

TEST_F(OpenCalls, AreNoneOfWhatOnlyLooks) {
    const Plan planned = plan_of("- {id: seen, uses: look, retry: {attempts: 3, delay: 1s}}\n");
    slow["seen"] = {.acts_after = 30s};
    EXPECT_EQ(run(planned).exit_code, 0) << "an answer that is late is a failure like any other";
    EXPECT_EQ(runner.count("start seen"), 2);
}

}  // namespace
}  // namespace lockstep
