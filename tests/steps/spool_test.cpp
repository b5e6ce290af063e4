#include "steps/spool/spool.hpp"

#include "base/error.hpp"
#include "base/shell_quote.hpp"
#include "tests/fakes/fake_clock.hpp"
#include "tests/fakes/fake_spool.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Kind = TransportError::Kind;

/// A connection that does, attempt by attempt, what the test says; one more is a failure.
class ScriptedSession final : public SshSession {
  public:
    using Attempt = std::function<CommandResult(const RemoteCommand&)>;

    CommandResult run(const RemoteCommand& command, Deadline, std::stop_token) override {
        seen.push_back(command);
        if (attempts.empty()) {
            ADD_FAILURE() << "one attempt too many";
            throw TransportError(Kind::host_key, "one attempt too many");
        }
        const Attempt attempt = std::move(attempts.front());
        attempts.pop_front();
        return attempt(command);
    }

    [[nodiscard]] std::string peer() const override { return "root@n1:22"; }

    std::deque<Attempt> attempts;
    std::vector<RemoteCommand> seen;
};

class Spool : public testing::Test {
  protected:
    Spool() {
        job_.key = "r1.install.n1.1";
        job_.scope = "orders";
        job_.fence = 7;
        job_.command.script = "echo hello";
    }

    SpoolEnd run(Deadline deadline = Deadline::after(1h)) {
        return run_spooled(
            session_,
            job_,
            clock_,
            deadline,
            stop_.get_token(),
            [this](const SpoolAccepted& accepted) { accepted_.push_back(accepted); });
    }

    void answer(const std::string& lines) {
        answer([lines](const SpoolQuestion&) { return lines; });
    }

    /// The member says `here` and then what `lines` gives; each line of it becomes a control line.
    void answer(const std::function<std::string(const SpoolQuestion&)>& lines) {
        session_.attempts.push_back([lines](const RemoteCommand& sent) {
            const SpoolQuestion question(sent);
            sent.on_output(question.line("here"));
            std::istringstream stream(lines(question));
            for (std::string line; std::getline(stream, line);) {
                sent.on_output(question.line(line));
            }
            return CommandResult{};
        });
    }

    /// The connection breaks after the member said `lines`.
    void answer_and_break(Kind kind, const std::string& lines = {}) {
        answer(lines);
        session_.attempts.back() =
            [kind, said = session_.attempts.back()](const RemoteCommand& sent) -> CommandResult {
            said(sent);
            throw TransportError(kind, "it broke");
        };
    }

    /// Nothing gets through.
    void fail(Kind kind) {
        session_.attempts.push_back([kind](const RemoteCommand&) -> CommandResult {
            throw TransportError(kind, "it failed", "Do something.");
        });
    }

    Kind kind_of_failure(Deadline deadline = Deadline::after(1h)) {
        try {
            run(deadline);
            ADD_FAILURE() << "it ended";
        } catch (const TransportError& error) {
            message_ = error.what();
            hint_ = error.hint();
            return error.kind();
        }
        return Kind::protocol;
    }

    ScriptedSession session_;
    FakeClock clock_;
    std::stop_source stop_;
    SpoolJob job_;
    std::vector<SpoolAccepted> accepted_;
    std::string message_;
    std::string hint_;
};

constexpr const char* k_fresh = "accepted b1 42 fresh\n";
constexpr const char* k_adopted = "accepted b1 42 adopted\n";

TEST_F(Spool, GivesTheStatusAndBothOutputs) {
    session_.attempts.push_back(spooled([](const RemoteCommand& command) {
        EXPECT_EQ(command.script, "echo hello");
        EXPECT_EQ(command.stdin_data, "a secret");
        return CommandResult{.exit_status = 3, .out = "to out\n", .err = "to err"};
    }));
    job_.command.stdin_data = "a secret";
    const SpoolEnd end = run();
    EXPECT_EQ(end.kind, SpoolEnd::Kind::ended);
    EXPECT_EQ(end.result.exit_status, 3);
    EXPECT_EQ(end.result.out, "to out\n");
    EXPECT_EQ(end.result.err, "to err");
    EXPECT_FALSE(end.adopted);
}

TEST_F(Spool, TellsOnceThatTheMemberHasIt) {
    answer_and_break(Kind::lost, k_fresh);
    answer(std::string(k_adopted) + "beat\nended 0");
    const SpoolEnd end = run();
    EXPECT_TRUE(end.adopted);
    ASSERT_EQ(accepted_.size(), 1U);
    EXPECT_EQ(accepted_[0].boot_id, "b1");
    EXPECT_EQ(accepted_[0].pid, 42);
    EXPECT_FALSE(accepted_[0].found_running_or_ended);
    EXPECT_EQ(clock_.sleeps(), std::vector<std::chrono::milliseconds>{500ms});
}

TEST_F(Spool, SendsNoSecretInTheScript) {
    answer(std::string(k_fresh) + "ended 0");
    job_.command.stdin_data = "swordfish";
    job_.command.script = "psql -f secret_name";
    run();
    EXPECT_EQ(session_.seen[0].script.find("swordfish"), std::string::npos);
    EXPECT_EQ(session_.seen[0].script.find("secret_name"), std::string::npos);
    EXPECT_TRUE(session_.seen[0].script.starts_with(": lockstep r1.install.n1.1\n"));
    EXPECT_EQ(session_.seen[0].quiet_limit, 15s);
}

TEST_F(Spool, NeedsNoStdinForAShortCommand) {
    const std::string long_one = "true " + std::string(5000, 'x');
    const std::string many_quotes = "true " + std::string(400, '\'');
    for (const std::string& script : {std::string("echo 'hello'"), long_one, many_quotes}) {
        std::string arrived;
        session_.attempts.push_back(spooled([&](const RemoteCommand& command) {
            arrived = command.script;
            return CommandResult{};
        }));
        job_.command.script = script;
        run();
        EXPECT_EQ(arrived, script);
        EXPECT_EQ(session_.seen.back().stdin_data.empty(), script.starts_with("echo")) << script;
        EXPECT_LT(shell_quote(shell_quote(session_.seen.back().script)).size(), 32'000U);
    }
}

TEST_F(Spool, AsksAgainWithTheSameKeyAndAnotherNonce) {
    answer_and_break(Kind::lost);
    answer(std::string(k_adopted) + "ended 0");
    run();
    const SpoolQuestion first(session_.seen[0]);
    const SpoolQuestion second(session_.seen[1]);
    EXPECT_EQ(first.key, second.key);
    EXPECT_EQ(first.command.script, second.command.script);
    EXPECT_EQ(first.process, second.process);
    EXPECT_LT(first.number, second.number);
    EXPECT_NE(first.nonce, second.nonce);
}

TEST_F(Spool, TakesUpTheOutputWhereItBrokeOff) {
    std::string seen;
    job_.command.on_output = [&seen](std::string_view piece) { seen += piece; };
    session_.attempts.push_back([](const RemoteCommand& sent) -> CommandResult {
        const SpoolQuestion question(sent);
        sent.on_output(question.line("here") + question.line("accepted b1 42 fresh") +
                       question.line("out") + "abc" + question.line("err") + "half of it");
        throw TransportError(Kind::lost, "it broke");
    });
    session_.attempts.push_back([](const RemoteCommand& sent) {
        const SpoolQuestion question(sent);
        EXPECT_EQ(question.sent, "3");
        sent.on_output(question.line("here") + question.line("accepted b1 42 adopted") +
                       question.ended({.out = "def", .err = "all of it"}));
        return CommandResult{};
    });
    const SpoolEnd end = run();
    EXPECT_EQ(end.result.out, "abcdef");
    EXPECT_EQ(end.result.err, "all of it");
    EXPECT_EQ(seen, "abcdef");
}

TEST_F(Spool, SaysThatTheOutputWasCut) {
    job_.command.output_limit = 4;
    session_.attempts.push_back(
        spooled([](const RemoteCommand&) { return CommandResult{.out = "12345", .err = "1234"}; }));
    const SpoolEnd end = run();
    EXPECT_EQ(end.result.out, "1234");
    EXPECT_TRUE(end.result.out_truncated);
    EXPECT_FALSE(end.result.err_truncated);
}

TEST_F(Spool, PassesOnThatItNeverReachedTheMember) {
    for (const Kind kind : {Kind::connect, Kind::auth, Kind::host_key}) {
        fail(kind);
        EXPECT_EQ(kind_of_failure(), kind);
    }
    EXPECT_TRUE(accepted_.empty());
}

TEST_F(Spool, ConnectsAgainAndAgainOnceTheMemberMayHaveIt) {
    fail(Kind::lost);
    fail(Kind::connect);
    fail(Kind::connect);
    answer(std::string(k_adopted) + "ended 0");
    EXPECT_EQ(run().kind, SpoolEnd::Kind::ended);
}

TEST_F(Spool, IsContentWithAnAnswerThatWasCompleteWhenTheConnectionBroke) {
    answer_and_break(Kind::lost, std::string(k_fresh) + "ended 3");
    EXPECT_EQ(run().result.exit_status, 3);
}

TEST_F(Spool, SaysLostWhenTheMemberIsNotToBeHadByTheDeadline) {
    fail(Kind::lost);
    EXPECT_EQ(kind_of_failure(Deadline::after(0ms)), Kind::lost);
    EXPECT_NE(hint_.find("lockstep resume"), std::string::npos) << hint_;
}

TEST_F(Spool, SaysLostWhenItIsNotLetInAgain) {
    for (const Kind kind : {Kind::auth, Kind::host_key}) {
        answer_and_break(Kind::lost, k_fresh);
        fail(kind);
        EXPECT_EQ(kind_of_failure(), Kind::lost);
        EXPECT_NE(message_.find("it failed"), std::string::npos) << message_;
    }
}

TEST_F(Spool, DoesNotConnectAgainAfterAStop) {
    session_.attempts.push_back([this](const RemoteCommand&) -> CommandResult {
        stop_.request_stop();
        throw TransportError(Kind::lost, "it broke");
    });
    EXPECT_EQ(kind_of_failure(), Kind::cancelled);
}

TEST_F(Spool, PassesOnTimeoutAndCancellation) {
    for (const Kind kind : {Kind::timeout, Kind::cancelled}) {
        fail(kind);
        EXPECT_EQ(kind_of_failure(), kind);
    }
}

TEST_F(Spool, RefusesWhereANewerLockWasSeen) {
    answer("fenced 9");
    const SpoolEnd end = run();
    EXPECT_EQ(end.kind, SpoolEnd::Kind::fenced);
    EXPECT_NE(end.why.find("lock 9 of this cluster, and ours is 7"), std::string::npos) << end.why;
}

TEST_F(Spool, SaysAbsentOnlyWhenItWasJustLooking) {
    job_.attach_only = true;
    answer("absent b1 there was nothing");
    const SpoolEnd end = run();
    EXPECT_EQ(end.kind, SpoolEnd::Kind::absent);
    EXPECT_EQ(end.boot_id, "b1");
    EXPECT_TRUE(SpoolQuestion(session_.seen[0]).attach_only);
    EXPECT_EQ(SpoolQuestion(session_.seen[0]).command.script, "");

    job_.attach_only = false;
    answer("absent b1 given up");
    try {
        run();
        ADD_FAILURE();
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("given up"), std::string::npos) << error.what();
    }
}

TEST_F(Spool, SaysThatItDiedAndOfWhat) {
    answer(std::string(k_adopted) + "died boot b2");
    SpoolEnd end = run();
    EXPECT_EQ(end.kind, SpoolEnd::Kind::died);
    EXPECT_EQ(end.boot_id, "b2");
    EXPECT_NE(end.why.find("booted anew"), std::string::npos) << end.why;
    answer(std::string(k_adopted) + "died gone b1");
    end = run();
    EXPECT_NE(end.why.find("killed"), std::string::npos) << end.why;
    EXPECT_NE(end.result.exit_status, 0);
}

TEST_F(Spool, IsAFailureWhereNothingBeganWhenTheMemberSaysSo) {
    answer("failed cannot write to /var/lib/lockstep/spool/x");
    try {
        run();
        ADD_FAILURE();
    } catch (const TransportError&) {
        ADD_FAILURE() << "nothing is in doubt";
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("cannot write to /var"), std::string::npos)
            << error.what();
    }
}

TEST_F(Spool, IsAFailureWhereNothingBeganWhenSudoRefuses) {
    session_.attempts.push_back([](const RemoteCommand&) {
        return CommandResult{.exit_status = 1, .err = "sudo: a password is required\n"};
    });
    try {
        run();
        ADD_FAILURE();
    } catch (const TransportError&) {
        ADD_FAILURE() << "nothing is in doubt";
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("a password is required"), std::string::npos)
            << error.what();
    }
}

TEST_F(Spool, IsInDoubtWhenTheMemberCannotBeAskedAgain) {
    answer_and_break(Kind::lost);
    answer("failed cannot write to /var/lib/lockstep/spool/x");
    EXPECT_EQ(kind_of_failure(), Kind::lost);
}

TEST_F(Spool, AsksAgainWhenTheScriptBreaksOffButNotForEver) {
    answer("");
    answer(std::string(k_fresh) + "ended 0");
    EXPECT_EQ(run().kind, SpoolEnd::Kind::ended);
    for (int attempt = 0; attempt < 5; ++attempt) {
        answer("");
    }
    EXPECT_EQ(kind_of_failure(), Kind::lost);
}

TEST_F(Spool, WaitsForOthersWhoStartSomething) {
    answer("busy /var/lib/lockstep/guard is held");
    answer(std::string(k_fresh) + "ended 0");
    EXPECT_EQ(run().kind, SpoolEnd::Kind::ended);
    answer("busy /var/lib/lockstep/guard is held");
    EXPECT_THROW(run(Deadline::after(0ms)), Error);
}

TEST_F(Spool, DoesNotTakeAnUnreadableStatusForSuccess) {
    answer(std::string(k_fresh) + "ended");
    answer(std::string(k_adopted) + "ended x");
    answer(std::string(k_adopted) + "ended 5");
    EXPECT_EQ(run().result.exit_status, 5);
}

TEST_F(Spool, RefusesAKeyThatCannotNameAFolder) {
    for (const char* key : {"", ".", "..", "a/b", "-rf", "a b", "a\nb", "a'b"}) {
        job_.key = key;
        EXPECT_THROW(run(), Error) << key;
    }
    job_.key = std::string(300, 'a');
    EXPECT_THROW(run(), Error);
    EXPECT_TRUE(session_.seen.empty());
}

TEST_F(Spool, RefusesAScriptWithANulByte) {
    job_.command.script = std::string("a\0b", 3);
    EXPECT_THROW(run(), Error);
}

}  // namespace
}  // namespace lockstep
