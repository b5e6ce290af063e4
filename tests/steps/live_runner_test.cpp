#include "steps/live_runner.hpp"

#include "base/known_secrets.hpp"
#include "tests/fakes/fake_cluster.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

/// A step that does something here, and looks afterwards: the commands `drain` and `is-drained`.
class VerifyOfAStep : public testing::Test {
  protected:
    StepResult run(std::function<CommandResult()> look) {
        world.processes.answer = [look = std::move(look)](const LocalCommand& command) {
            return command.argv.front() == "drain" ? CommandResult{} : look();
        };
        StepCall call = call_of("drain", false);
        call.verify = std::make_shared<const StepCall>(call_of("is-drained", true));
        LiveRunner runner(world.cluster, world.factory(), world.clock, {});
        runner.start(0, std::move(call), std::make_shared<const ClusterFacts>());
        const auto event = runner.wait(60s);
        return event ? event->result : StepResult{.message = "it did not end"};
    }

    static StepCall call_of(const char* program, bool read_only) {
        StepCall call;
        call.id = "drain";
        call.uses = "local.run";
        call.with["argv"] = Value(Value::List{Value(program)});
        call.with["read_only"] = Value(read_only);
        return call;
    }

    FakeCluster world;
};

TEST_F(VerifyOfAStep, ThatHoldsLetsItSucceed) {
    const StepResult result = run([] { return CommandResult{}; });
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
}

TEST_F(VerifyOfAStep, ThatSaysNoFailsIt) {
    const StepResult result = run([] {
        CommandResult no;
        no.exit_status = 1;
        return no;
    });
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(result.message.starts_with("done, but its verify says no: ")) << result.message;
}

TEST_F(VerifyOfAStep, ThatCannotLookLeavesItInDoubtAndNotAsOneThatNeverBegan) {
    const StepResult result = run([]() -> CommandResult {
        throw TransportError(TransportError::Kind::connect, "connection refused");
    });
    EXPECT_EQ(result.outcome, StepOutcome::in_doubt);
    EXPECT_EQ(result.message, "done, but its verify could not look: connection refused");
}

/// What a command prints, by the time the engine has it.
class HiddenSecrets : public VerifyOfAStep {
  protected:
    ~HiddenSecrets() override { forget_secrets(); }

    StepResult printed(CommandResult result) {
        remember_secret("hunter2secret");
        world.processes.answer = [result = std::move(result)](const LocalCommand&) {
            return result;
        };
        LiveRunner runner(world.cluster, world.factory(), world.clock, {});
        runner.start(0, call_of("print", true), std::make_shared<const ClusterFacts>());
        const auto event = runner.wait(60s);
        return event ? event->result : StepResult{.message = "it did not end"};
    }
};

TEST_F(HiddenSecrets, AreInNoOutput) {
    const StepResult result = printed({.out = "a hunter2secret\n", .err = "aHVudGVyMnNlY3JldA=="});
    EXPECT_TRUE(result.holds_secret);
    EXPECT_EQ(result.output.at("stdout"), "a ***\n");
    EXPECT_EQ(result.output.at("stderr"), "***");
}

TEST_F(HiddenSecrets, AreInNoLastLinesAndNotInPartWhereAnOutputWasCut) {
    const StepResult result =
        printed({.exit_status = 1, .err = "one\nhunter2secret\nhunter2s", .err_truncated = true});
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(result.last_lines, (std::vector<std::string>{"one", "***", "***"}));
    EXPECT_EQ(result.output.at("stderr"), "one\n***\n***");
}

TEST_F(HiddenSecrets, LeaveAnOutputWithoutOneAsItIs) {
    const StepResult result = printed({.out = "hunter\n"});
    EXPECT_FALSE(result.holds_secret);
    EXPECT_EQ(result.output.at("stdout"), "hunter\n");
}

TEST_F(VerifyOfAStep, WhoseProgramIsMissingHasFailedAndNoMemberIsUnreachable) {
    world.processes.answer = [](const LocalCommand&) -> CommandResult {
        throw TransportError(TransportError::Kind::connect, "drain: cannot be started");
    };
    LiveRunner runner(world.cluster, world.factory(), world.clock, {});
    runner.start(0, call_of("drain", true), std::make_shared<const ClusterFacts>());
    const auto event = runner.wait(60s);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->result.outcome, StepOutcome::failed);
    EXPECT_EQ(event->result.message, "drain: cannot be started");
}

}  // namespace
}  // namespace lockstep
