#include "base/error.hpp"
#include "test_sshd.hpp"
#include "transport/ssh_session.hpp"
#include "transport/tcp_connect.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <thread>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Kind = TransportError::Kind;

class SshSessionLive : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (TestSshd::installed()) {
            sshd_ = std::make_unique<TestSshd>();
        }
    }

    static void TearDownTestSuite() { sshd_.reset(); }

    void SetUp() override {
        if (sshd_ == nullptr) {
            GTEST_SKIP() << "no /usr/sbin/sshd";
        }
        session_ = make_libssh2_session(sshd_->endpoint());
    }

    CommandResult run(const RemoteCommand& command, std::chrono::milliseconds timeout = 10s) {
        return session_->run(command, Deadline::after(timeout), {});
    }

    CommandResult run(const std::string& script) {
        RemoteCommand command;
        command.script = script;
        return run(command);
    }

    /// The kind of error that running the command ends in.
    Kind kind_of_failure(const RemoteCommand& command, std::chrono::milliseconds timeout) {
        try {
            const CommandResult result = run(command, timeout);
            ADD_FAILURE() << "it ended with status " << result.exit_status;
        } catch (const TransportError& error) {
            message_ = error.what();
            return error.kind();
        }
        return Kind::protocol;
    }

    static std::unique_ptr<TestSshd> sshd_;
    std::unique_ptr<SshSession> session_;
    std::string message_;
};

std::unique_ptr<TestSshd> SshSessionLive::sshd_;

TEST_F(SshSessionLive, KeepsStdoutAndStderrApart) {
    const CommandResult result = run("echo to out; echo to err >&2");
    EXPECT_EQ(result.exit_status, 0);
    EXPECT_EQ(result.out, "to out\n");
    EXPECT_EQ(result.err, "to err\n");
    EXPECT_FALSE(result.out_truncated);
}

TEST_F(SshSessionLive, GivesTheStatusOfTheLastCommand) {
    EXPECT_EQ(run("true; false").exit_status, 1);
    EXPECT_EQ(run("/nonexistent/program").exit_status, 127);
}

TEST_F(SshSessionLive, GivesTheStatusOfExit) {
    EXPECT_EQ(run("exit 3").exit_status, 3);
    EXPECT_EQ(run("set -e\nfalse\necho not reached").exit_status, 1);
}

TEST_F(SshSessionLive, GivesTheStatusOfASyntaxError) {
    EXPECT_EQ(run("if true; then").exit_status, 2);
}

TEST_F(SshSessionLive, GivesTheSignalThatEndedTheScript) {
    EXPECT_EQ(run("kill -9 $$").exit_status, 137);
    EXPECT_EQ(run("kill -TERM $$").exit_status, 143);
}

TEST_F(SshSessionLive, RunsAnEmptyScript) {
    EXPECT_EQ(run("").exit_status, 0);
}

TEST_F(SshSessionLive, PassesEveryCharacterOfTheScript) {
    const CommandResult result =
        run("printf '%s' 'it'\\''s \"$HOME\" \\\\ ! `x`'\necho \"two\nlines\"");
    EXPECT_EQ(result.out, "it's \"$HOME\" \\\\ ! `x`two\nlines\n");
}

TEST_F(SshSessionLive, KeepsBinaryOutputByteByByte) {
    const CommandResult result = run("printf '\\000\\036lockstep \\377\\r\\n\\000'");
    EXPECT_EQ(result.out, std::string("\0\036lockstep \377\r\n\0", 15));
}

TEST_F(SshSessionLive, CapsTheOutputAndStillKnowsTheStatus) {
    RemoteCommand command;
    command.script = "head -c 2000000 /dev/zero; head -c 2000000 /dev/zero >&2; exit 4";
    command.output_limit = 1000;
    const CommandResult result = run(command);
    EXPECT_EQ(result.exit_status, 4);
    EXPECT_EQ(result.out.size(), 1000U);
    EXPECT_TRUE(result.out_truncated);
    EXPECT_EQ(result.err.size(), 1000U);
    EXPECT_TRUE(result.err_truncated);
}

TEST_F(SshSessionLive, ReadsALongOutputWhole) {
    RemoteCommand command;
    command.script = "head -c 5000000 /dev/zero | tr '\\0' x";
    command.output_limit = 6'000'000;
    EXPECT_EQ(run(command).out, std::string(5'000'000, 'x'));
}

TEST_F(SshSessionLive, WritesStdinWhileItReadsTheAnswer) {
    RemoteCommand command;
    command.script = "cat";
    command.stdin_data = std::string(5'000'000, 'y');
    command.output_limit = 6'000'000;
    const CommandResult result = run(command);
    EXPECT_EQ(result.exit_status, 0);
    EXPECT_EQ(result.out, command.stdin_data);
}

TEST_F(SshSessionLive, EndsAlthoughNobodyReadsStdin) {
    RemoteCommand command;
    command.script = "exit 5";
    command.stdin_data = std::string(8'000'000, 'z');
    EXPECT_EQ(run(command).exit_status, 5);
    EXPECT_EQ(run("echo next").out, "next\n");
}

TEST_F(SshSessionLive, GivesAnEmptyStdinAnEnd) {
    EXPECT_EQ(run("cat; echo done").out, "done\n");
}

TEST_F(SshSessionLive, DoesNotWaitForAChildInTheBackground) {
    const auto begin = std::chrono::steady_clock::now();
    const CommandResult result = run("sleep 5 & echo started; exit 3");
    EXPECT_EQ(result.exit_status, 3);
    EXPECT_EQ(result.out, "started\n");
    EXPECT_EQ(run("echo next").out, "next\n");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
}

TEST_F(SshSessionLive, HandsOutTheOutputAsItComes) {
    RemoteCommand command;
    command.script = "echo one; echo two";
    std::string seen;
    command.on_output = [&seen](std::string_view piece) { seen += piece; };
    EXPECT_EQ(run(command).out, "one\ntwo\n");
    EXPECT_EQ(seen, "one\ntwo\n");
}

TEST_F(SshSessionLive, SaysTimeoutWhenTheCommandDoesNotEndInTime) {
    RemoteCommand command;
    command.script = "sleep 5";
    EXPECT_EQ(kind_of_failure(command, 500ms), Kind::timeout);
    EXPECT_EQ(run("echo again").out, "again\n");
}

TEST_F(SshSessionLive, SaysTimeoutAlthoughTheOutputKeepsFlowing) {
    RemoteCommand command;
    command.script = "while :; do echo busy; done";
    EXPECT_EQ(kind_of_failure(command, 500ms), Kind::timeout);
}

TEST_F(SshSessionLive, SaysLostWhenNothingIsHeardForTooLong) {
    RemoteCommand command;
    command.script = "echo begun; sleep 30";
    command.quiet_limit = 300ms;
    EXPECT_EQ(kind_of_failure(command, 20s), Kind::lost);
    EXPECT_NE(message_.find("nothing was heard"), std::string::npos) << message_;
    EXPECT_EQ(run("echo again").out, "again\n");
}

TEST_F(SshSessionLive, IsNotQuietWhileItTalks) {
    RemoteCommand command;
    command.script = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done";
    command.quiet_limit = 2s;
    EXPECT_EQ(run(command).out, "1\n2\n3\n4\n5\n6\n");
}

TEST_F(SshSessionLive, SaysTimeoutWhenTheDeadlineIsBeforeTheQuietLimit) {
    RemoteCommand command;
    command.script = "sleep 5";
    command.quiet_limit = 5s;
    EXPECT_EQ(kind_of_failure(command, 300ms), Kind::timeout);
}

TEST_F(SshSessionLive, StopsWaitingAtOnceWhenToldTo) {
    RemoteCommand command;
    command.script = "sleep 5";
    std::stop_source source;
    const std::jthread stopper([&source] {
        std::this_thread::sleep_for(300ms);
        source.request_stop();
    });
    const auto begin = std::chrono::steady_clock::now();
    try {
        session_->run(command, Deadline::after(10s), source.get_token());
        ADD_FAILURE();
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), Kind::cancelled);
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
}

// Goes up from the shell to the server's process for this connection.
constexpr const char* k_kill_connection =
    "p=$$; for up in 1 2 3 4 5 6; do p=$(cut -d' ' -f4 /proc/$p/stat); "
    "if [ \"$(cat /proc/$p/comm)\" = sshd ]; then kill -9 $p; break; fi; done; sleep 5";

TEST_F(SshSessionLive, SaysLostWhenTheConnectionIsCut) {
    RemoteCommand command;
    command.script = k_kill_connection;
    EXPECT_EQ(kind_of_failure(command, 10s), Kind::lost);
}

TEST_F(SshSessionLive, ConnectsAgainAfterALoss) {
    RemoteCommand command;
    command.script = k_kill_connection;
    EXPECT_EQ(kind_of_failure(command, 10s), Kind::lost);
    EXPECT_EQ(run("echo again").out, "again\n");
}

TEST_F(SshSessionLive, ReplacesAConnectionThatDiedInTheMeantime) {
    EXPECT_EQ(
        run("( sleep 0.2; " + std::string(k_kill_connection) + ") >/dev/null 2>&1 &").exit_status,
        0);
    std::this_thread::sleep_for(500ms);
    EXPECT_EQ(run("echo again").out, "again\n");
}

TEST_F(SshSessionLive, SaysLostWhenTheShellOutsideIsKilled) {
    RemoteCommand command;
    command.script = "echo some words; kill -9 $PPID";
    EXPECT_EQ(kind_of_failure(command, 10s), Kind::lost);
    EXPECT_NE(message_.find("some words"), std::string::npos) << message_;
}

TEST_F(SshSessionLive, RefusesAScriptThatIsTooLong) {
    EXPECT_THROW(run(std::string(40'000, ' ')), Error);
}

TEST_F(SshSessionLive, RunsManyCommandsOnOneLogin) {
    const auto login = std::chrono::steady_clock::now();
    ASSERT_EQ(run("true").exit_status, 0);
    const std::string before = sshd_->log();
    constexpr int k_commands = 100;
    const auto begin = std::chrono::steady_clock::now();
    RecordProperty("microseconds_to_log_in",
                   std::to_string((begin - login) / std::chrono::microseconds(1)));
    for (int index = 0; index < k_commands; ++index) {
        ASSERT_EQ(run("true").exit_status, 0);
    }
    const auto took = std::chrono::steady_clock::now() - begin;
    RecordProperty(
        "microseconds_per_command",
        std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(took).count() /
                       k_commands));
    EXPECT_EQ(sshd_->log().substr(before.size()).find("Accepted"), std::string::npos);
}

TEST(SshServerLive, SpeaksToALoginShellThatIsNoisy) {
    if (!TestSshd::installed()) {
        GTEST_SKIP() << "no /usr/sbin/sshd";
    }
    const TestSshd sshd("Banner @DIR@banner\nSetEnv HOME=@DIR@ BASH_ENV=@DIR@.bashrc\n");
    sshd.dir().write("banner", "Be careful.\n");
    sshd.dir().write(".bashrc", "echo welcome; echo take care >&2\n");
    const auto session = make_libssh2_session(sshd.endpoint());
    const CommandResult result =
        session->run({.script = "echo answer; exit 3"}, Deadline::after(10s), {});
    EXPECT_EQ(result.exit_status, 3);
    EXPECT_NE(result.out.find("answer\n"), std::string::npos);
}

// OpenSSH 9.2, sshd_config(5): ChannelTimeout closes the channel and leaves the command running.
TEST(SshServerLive, SaysLostWhenTheServerClosesTheChannel) {
    if (!TestSshd::installed()) {
        GTEST_SKIP() << "no /usr/sbin/sshd";
    }
    const TestSshd sshd("ChannelTimeout session:*=1\n");
    const auto session = make_libssh2_session(sshd.endpoint());
    try {
        session->run({.script = "sleep 6; exit 7"}, Deadline::after(10s), {});
        ADD_FAILURE();
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), Kind::lost) << error.what();
    }
}

TEST(SshServerLive, IsTriedAgainWhileItRefusesConnections) {
    if (!TestSshd::installed()) {
        GTEST_SKIP() << "no /usr/sbin/sshd";
    }
    TestSshd sshd;
    sshd.stop();
    const auto session = make_libssh2_session(sshd.endpoint());
    const std::jthread starter([&sshd] {
        std::this_thread::sleep_for(100ms);
        sshd.start();
    });
    EXPECT_EQ(session->run({.script = "exit 3"}, Deadline::after(10s), {}).exit_status, 3);
}

// OpenSSH 9.2, sshd_config(5), MaxStartups: above it, new connections are closed at once.
TEST(SshServerLive, IsTriedAgainWhileItHasTooManyLogins) {
    if (!TestSshd::installed()) {
        GTEST_SKIP() << "no /usr/sbin/sshd";
    }
    const TestSshd sshd("MaxStartups 1:100:1\n");
    TcpAttempt first =
        tcp_connect("127.0.0.1", static_cast<std::uint16_t>(sshd.port()), Deadline::after(5s), {});
    ASSERT_TRUE(first.socket);
    const std::jthread closer([&first] {
        std::this_thread::sleep_for(150ms);
        first.socket.reset();
    });
    const auto session = make_libssh2_session(sshd.endpoint());
    EXPECT_EQ(session->run({.script = "exit 3"}, Deadline::after(10s), {}).exit_status, 3);
    EXPECT_NE(sshd.log().find("MaxStartups"), std::string::npos) << sshd.log();
}

TEST(SshServerLive, SaysConnectWhenNobodyListens) {
    SshEndpoint endpoint;
    endpoint.host = "127.0.0.1";
    endpoint.port = static_cast<std::uint16_t>(free_port());
    endpoint.user = "nobody";
    try {
        make_libssh2_session(endpoint)->run({.script = "true"}, Deadline::after(10s), {});
        ADD_FAILURE();
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), Kind::connect);
        EXPECT_NE(std::string(error.what()).find("Connection refused"), std::string::npos);
    }
}

}  // namespace
}  // namespace lockstep
