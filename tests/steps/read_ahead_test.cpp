#include "base/error.hpp"
#include "steps/live_runner.hpp"
#include "tests/fakes/fake_cluster.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

/// Commands that are announced and started one by one, on a member whose scripts really run.
class AheadOfSteps : public testing::Test {
  protected:
    AheadOfSteps() {
        world.members.at("n2").commands = [this](const std::string& script) {
            scripts.push_back(script);
            if (trouble) {
                throw *trouble;
            }
            return make_process_runner()->run(
                {.argv = {"/bin/sh", "-c", script}}, Deadline::after(30s), {});
        };
        facts = std::make_shared<const ClusterFacts>(world.observe());
        scripts.clear();
    }

    static StepCall call(const std::string& id, const std::string& shell) {
        StepCall made = step_call("ssh.run", "n2", {{"shell", shell}, {"read_only", true}});
        made.id = id;
        return made;
    }

    static StepCall with_ahead(const std::vector<StepCall>& calls) {
        StepCall first = calls.front();
        for (std::size_t i = 1; i < calls.size(); ++i) {
            first.read_ahead.push_back(std::make_shared<const StepCall>(calls[i]));
        }
        return first;
    }

    StepResult start(LiveRunner& runner, StepCall what) {
        runner.start(7, std::move(what), facts);
        for (int tries = 0; tries < 600; ++tries) {
            if (const auto event = runner.wait(100ms)) {
                EXPECT_EQ(event->index, 7U);
                return event->result;
            }
        }
        ADD_FAILURE() << "it never ends";
        return {};
    }

    static std::string out(const StepResult& result) {
        return result.output.is_object() ? result.output.at("stdout").get<std::string>()
                                         : result.message;
    }

    FakeCluster world;
    std::shared_ptr<const ClusterFacts> facts;
    std::vector<std::string> scripts;
    std::optional<TransportError> trouble;
};

TEST_F(AheadOfSteps, ShareARoundTripAndHaveResultsOfTheirOwn) {
    LiveRunner runner(world.cluster, world.factory(), world.clock, {});
    const std::vector<StepCall> calls{
        call("a", "echo 1"), call("b", "echo 2; echo e >&2"), call("c", "echo 3")};
    EXPECT_EQ(out(start(runner, with_ahead(calls))), "1\n");
    const StepResult second = start(runner, calls[1]);
    EXPECT_EQ(out(second), "2\n");
    EXPECT_EQ(second.output.at("stderr"), "e\n");
    EXPECT_EQ(out(start(runner, calls[2])), "3\n");
    EXPECT_EQ(scripts.size(), 1U);
    EXPECT_EQ(out(start(runner, calls[2])), "3\n") << "what was taken is not given twice";
    EXPECT_EQ(scripts.size(), 2U);
}

TEST_F(AheadOfSteps, AreNotDoneAfterOneThatFails) {
    LiveRunner runner(world.cluster, world.factory(), world.clock, {});
    const std::vector<StepCall> calls{
        call("a", "echo 1"), call("b", "exit 4"), call("c", "echo 3")};
    EXPECT_EQ(out(start(runner, with_ahead(calls))), "1\n");
    EXPECT_EQ(start(runner, calls[1]).outcome, StepOutcome::failed);
    EXPECT_EQ(scripts.size(), 1U);
    EXPECT_EQ(out(start(runner, calls[2])), "3\n");  // whoever starts it all the same gets it
    EXPECT_EQ(scripts.size(), 2U);
}

TEST_F(AheadOfSteps, CountOnlyWhereWhatIsStartedIsWhatWasAnnounced) {
    LiveRunner runner(world.cluster, world.factory(), world.clock, {});
    EXPECT_EQ(out(start(runner, with_ahead({call("a", "echo 1"), call("b", "echo 2")}))), "1\n");
    EXPECT_EQ(out(start(runner, call("b", "echo other"))), "other\n");
}

TEST_F(AheadOfSteps, AreForgottenOnceTheyAreDropped) {
    LiveRunner runner(world.cluster, world.factory(), world.clock, {});
    EXPECT_EQ(out(start(runner, with_ahead({call("a", "echo 1"), call("b", "echo 2")}))), "1\n");
    runner.drop_read_ahead();
    EXPECT_EQ(out(start(runner, call("b", "echo 2"))), "2\n");
    EXPECT_EQ(scripts.size(), 2U);
}

TEST_F(AheadOfSteps, LeaveOutWhatMayChangeSomethingOrReads) {
    LiveRunner runner(world.cluster, world.factory(), world.clock, {});
    StepCall reads = call("b", "cat");
    reads.with["stdin"] = Value("text");
    StepCall changes = step_call("ssh.run", "n2", {{"shell", "echo 2"}});
    changes.id = "b";
    for (const StepCall& next : {reads, changes}) {
        scripts.clear();
        EXPECT_EQ(out(start(runner, with_ahead({call("a", "echo 1"), next}))), "1\n");
        EXPECT_EQ(scripts, (std::vector<std::string>{"echo 1"}));
        runner.drop_read_ahead();
    }
}

TEST_F(AheadOfSteps, AreRunAloneOnAMemberThatCannotDoThemTogether) {
    LiveRunner runner(world.cluster, world.factory(), world.clock, {});
    world.members.at("n2").commands = [this](const std::string& script) {
        scripts.push_back(script);
        CommandResult result;
        result.exit_status = script == "echo 1" ? 0 : 71;
        return result;
    };
    EXPECT_EQ(start(runner, with_ahead({call("a", "echo 1"), call("b", "echo 2")})).outcome,
              StepOutcome::succeeded);
    EXPECT_EQ(scripts.size(), 2U);
    EXPECT_EQ(scripts.back(), "echo 1");
}

TEST_F(AheadOfSteps, SayOfTheFirstWhatALostConnectionMeansForIt) {
    LiveRunner runner(world.cluster, world.factory(), world.clock, {});
    const StepCall first = with_ahead({call("a", "echo 1"), call("b", "echo 2")});
    trouble = TransportError(TransportError::Kind::connect, "refused");
    EXPECT_EQ(start(runner, first).outcome, StepOutcome::unreachable);
    trouble = TransportError(TransportError::Kind::lost, "gone");
    const StepOutcome together = start(runner, first).outcome;
    EXPECT_EQ(together, start(runner, call("a", "echo 1")).outcome);
    trouble.reset();
    EXPECT_EQ(out(start(runner, call("b", "echo 2"))), "2\n");
}

TEST_F(AheadOfSteps, BeginNoMoreThanOneCommandLineHolds) {
    LiveRunner runner(world.cluster, world.factory(), world.clock, {});
    std::vector<StepCall> calls;
    for (int n = 0; n < 20; ++n) {
        calls.push_back(
            call("s" + std::to_string(n), "printf %.1s '" + std::string(3000, 'x') + "'"));
    }
    EXPECT_EQ(out(start(runner, with_ahead(calls))), "x");
    for (int n = 1; n < 20; ++n) {
        EXPECT_EQ(out(start(runner, calls[static_cast<std::size_t>(n)])), "x");
    }
    for (const std::string& script : scripts) {
        EXPECT_LT(script.size(), 30'000U);
    }
}

}  // namespace
}  // namespace lockstep
