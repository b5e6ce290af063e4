#include "base/error.hpp"
#include "transport/ssh_session.hpp"
#include "transport/tcp_connect.hpp"
#include "with_sshd.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Kind = TransportError::Kind;

std::string name_of(const testing::TestParamInfo<SshClient>& info) {
    return info.param == SshClient::openssh ? "OpenSSH" : "libssh2";
}

/// What a session promises, whichever client carries it.
class SshSessionLive : public WithSshd<testing::TestWithParam<SshClient>> {
  protected:
    void SetUp() override {
        WithSshd::SetUp();
        if (IsSkipped()) {
            return;
        }
        SshEndpoint endpoint = sshd_->endpoint();
        endpoint.client = GetParam();
        session_ = make_ssh_session(endpoint);
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

    std::unique_ptr<SshSession> session_;
    std::string message_;
};

INSTANTIATE_TEST_SUITE_P(By,
                         SshSessionLive,
                         testing::Values(SshClient::libssh2, SshClient::openssh),
                         name_of);

TEST_P(SshSessionLive, KeepsStdoutAndStderrApart) {
    const CommandResult result = run("echo to out; echo to err >&2");
    EXPECT_EQ(result.exit_status, 0);
    EXPECT_EQ(result.out, "to out\n");
    EXPECT_EQ(result.err, "to err\n");
    EXPECT_FALSE(result.out_truncated);
}

TEST_P(SshSessionLive, GivesTheStatusOfTheLastCommand) {
    EXPECT_EQ(run("true; false").exit_status, 1);
    EXPECT_EQ(run("/nonexistent/program").exit_status, 127);
}

TEST_P(SshSessionLive, GivesTheStatusOfExit) {
    EXPECT_EQ(run("exit 3").exit_status, 3);
    EXPECT_EQ(run("set -e\nfalse\necho not reached").exit_status, 1);
}

TEST_P(SshSessionLive, GivesTheStatusOfASyntaxError) {
    EXPECT_EQ(run("if true; then").exit_status, 2);
}

TEST_P(SshSessionLive, GivesTheSignalThatEndedTheScript) {
    EXPECT_EQ(run("kill -9 $$").exit_status, 137);
    EXPECT_EQ(run("kill -TERM $$").exit_status, 143);
}

TEST_P(SshSessionLive, RunsAnEmptyScript) {
    EXPECT_EQ(run("").exit_status, 0);
}

TEST_P(SshSessionLive, PassesEveryCharacterOfTheScript) {
    const CommandResult result =
        run("printf '%s' 'it'\\''s \"$HOME\" \\\\ ! `x`'\necho \"two\nlines\"");
    EXPECT_EQ(result.out, "it's \"$HOME\" \\\\ ! `x`two\nlines\n");
}

TEST_P(SshSessionLive, KeepsBinaryOutputByteByByte) {
    const CommandResult result = run("printf '\\000\\036lockstep \\377\\r\\n\\000'");
    EXPECT_EQ(result.out, std::string("\0\036lockstep \377\r\n\0", 15));
}

TEST_P(SshSessionLive, CapsTheOutputAndStillKnowsTheStatus) {
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

TEST_P(SshSessionLive, ReadsALongOutputWhole) {
    RemoteCommand command;
    command.script = "head -c 5000000 /dev/zero | tr '\\0' x";
    command.output_limit = 6'000'000;
    EXPECT_EQ(run(command).out, std::string(5'000'000, 'x'));
}

TEST_P(SshSessionLive, WritesStdinWhileItReadsTheAnswer) {
    RemoteCommand command;
    command.script = "cat";
    command.stdin_data = std::string(5'000'000, 'y');
    command.output_limit = 6'000'000;
    const CommandResult result = run(command);
    EXPECT_EQ(result.exit_status, 0);
    EXPECT_EQ(result.out, command.stdin_data);
}

TEST_P(SshSessionLive, EndsAlthoughNobodyReadsStdin) {
    RemoteCommand command;
    command.script = "exit 5";
    command.stdin_data = std::string(8'000'000, 'z');
    EXPECT_EQ(run(command).exit_status, 5);
    EXPECT_EQ(run("echo next").out, "next\n");
}

TEST_P(SshSessionLive, GivesAnEmptyStdinAnEnd) {
    EXPECT_EQ(run("cat; echo done").out, "done\n");
}

TEST_P(SshSessionLive, DoesNotWaitForAChildInTheBackground) {
    const auto begin = std::chrono::steady_clock::now();
    const CommandResult result = run("sleep 5 & echo started; exit 3");
    EXPECT_EQ(result.exit_status, 3);
    EXPECT_EQ(result.out, "started\n");
    EXPECT_EQ(run("echo next").out, "next\n");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
}

TEST_P(SshSessionLive, HandsOutTheOutputAsItComes) {
    RemoteCommand command;
    command.script = "echo one; echo two";
    std::string seen;
    command.on_output = [&seen](std::string_view piece) { seen += piece; };
    EXPECT_EQ(run(command).out, "one\ntwo\n");
    EXPECT_EQ(seen, "one\ntwo\n");
}

TEST_P(SshSessionLive, SaysTimeoutWhenTheCommandDoesNotEndInTime) {
    ASSERT_EQ(run("true").exit_status, 0);  // a login may take longer
    RemoteCommand command;
    command.script = "sleep 5";
    EXPECT_EQ(kind_of_failure(command, 500ms), Kind::timeout);
    EXPECT_EQ(run("echo again").out, "again\n");
}

TEST_P(SshSessionLive, SaysTimeoutAlthoughTheOutputKeepsFlowing) {
    ASSERT_EQ(run("true").exit_status, 0);  // a login may take longer
    RemoteCommand command;
    command.script = "while :; do echo busy; done";
    EXPECT_EQ(kind_of_failure(command, 500ms), Kind::timeout);
}

TEST_P(SshSessionLive, SaysLostWhenNothingIsHeardForTooLong) {
    RemoteCommand command;
    command.script = "echo begun; sleep 30";
    command.quiet_limit = 300ms;
    EXPECT_EQ(kind_of_failure(command, 20s), Kind::lost);
    EXPECT_NE(message_.find("nothing was heard"), std::string::npos) << message_;
    EXPECT_EQ(run("echo again").out, "again\n");
}

TEST_P(SshSessionLive, IsNotQuietWhileItTalks) {
    RemoteCommand command;
    command.script = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done";
    command.quiet_limit = 2s;
    EXPECT_EQ(run(command).out, "1\n2\n3\n4\n5\n6\n");
}

TEST_P(SshSessionLive, SaysTimeoutWhenTheDeadlineIsBeforeTheQuietLimit) {
    ASSERT_EQ(run("true").exit_status, 0);  // a login may take longer
    RemoteCommand command;
    command.script = "sleep 5";
    command.quiet_limit = 5s;
    EXPECT_EQ(kind_of_failure(command, 300ms), Kind::timeout);
}

TEST_P(SshSessionLive, StopsWaitingAtOnceWhenToldTo) {
    ASSERT_EQ(run("true").exit_status, 0);  // a login may take longer
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

TEST_P(SshSessionLive, SaysLostWhenTheConnectionIsCut) {
    RemoteCommand command;
    command.script = k_kill_connection;
    EXPECT_EQ(kind_of_failure(command, 10s), Kind::lost);
}

TEST_P(SshSessionLive, ConnectsAgainAfterALoss) {
    RemoteCommand command;
    command.script = k_kill_connection;
    EXPECT_EQ(kind_of_failure(command, 10s), Kind::lost);
    EXPECT_EQ(run("echo again").out, "again\n");
}

TEST_P(SshSessionLive, ReplacesAConnectionThatDiedInTheMeantime) {
    EXPECT_EQ(
        run("( sleep 0.2; " + std::string(k_kill_connection) + ") >/dev/null 2>&1 &").exit_status,
        0);
    std::this_thread::sleep_for(500ms);
    EXPECT_EQ(run("echo again").out, "again\n");
}

TEST_P(SshSessionLive, SaysLostWhenTheShellOutsideIsKilled) {
    RemoteCommand command;
    command.script = "echo some words; kill -9 $PPID";
    EXPECT_EQ(kind_of_failure(command, 10s), Kind::lost);
    EXPECT_NE(message_.find("some words"), std::string::npos) << message_;
}

TEST_P(SshSessionLive, RefusesAScriptThatIsTooLong) {
    EXPECT_THROW(run(std::string(40'000, ' ')), Error);
}

TEST_P(SshSessionLive, RunsManyCommandsOnOneLogin) {
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

/// Servers with a configuration of their own.
class SshServerLive : public testing::TestWithParam<SshClient> {
  protected:
    void SetUp() override {
        if (!TestSshd::installed()) {
            GTEST_SKIP() << "no /usr/sbin/sshd";
        }
    }

    static SshEndpoint endpoint_of(const TestSshd& sshd) {
        SshEndpoint endpoint = sshd.endpoint();
        endpoint.client = GetParam();
        return endpoint;
    }
};

INSTANTIATE_TEST_SUITE_P(By,
                         SshServerLive,
                         testing::Values(SshClient::libssh2, SshClient::openssh),
                         name_of);

TEST_P(SshServerLive, SpeaksToALoginShellThatIsNoisy) {
    const TestSshd sshd("Banner @DIR@banner\nSetEnv HOME=@DIR@ BASH_ENV=@DIR@.bashrc\n");
    sshd.dir().write("banner", "Be careful.\n");
    sshd.dir().write(".bashrc", "echo welcome; echo take care >&2\n");
    const auto session = make_ssh_session(endpoint_of(sshd));
    const CommandResult result =
        session->run({.script = "echo answer; exit 3"}, Deadline::after(10s), {});
    EXPECT_EQ(result.exit_status, 3);
    EXPECT_NE(result.out.find("answer\n"), std::string::npos);
}

// OpenSSH 9.2, sshd_config(5): ChannelTimeout closes the channel and leaves the command running.
TEST_P(SshServerLive, SaysLostWhenTheServerClosesTheChannel) {
    const TestSshd sshd("ChannelTimeout session:*=1\n");
    const auto session = make_ssh_session(endpoint_of(sshd));
    try {
        session->run({.script = "sleep 6; exit 7"}, Deadline::after(10s), {});
        ADD_FAILURE();
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), Kind::lost) << error.what();
    }
}

TEST_P(SshServerLive, RunsOneCommandAfterAnotherWhereMaxSessionsIsOne) {
    const TestSshd sshd("MaxSessions 1\n");
    const auto session = make_ssh_session(endpoint_of(sshd));
    for (int status = 0; status < 5; ++status) {
        const std::string script = "sleep 3 & exit " + std::to_string(status);
        EXPECT_EQ(session->run({.script = script}, Deadline::after(10s), {}).exit_status, status);
    }
}

TEST_P(SshServerLive, SaysThatMaxSessionsForbidsEverySession) {
    const TestSshd sshd("MaxSessions 0\n");
    const auto session = make_ssh_session(endpoint_of(sshd));
    try {
        session->run({.script = "true"}, Deadline::after(10s), {});
        ADD_FAILURE();
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), Kind::connect) << error.what();
        EXPECT_NE(error.hint().find("MaxSessions"), std::string::npos) << error.hint();
    }
}

TEST_P(SshServerLive, LogsInOnAllSessionsWhereMaxStartupsIsSmall) {
    const TestSshd sshd("MaxStartups 1:100:1\n");
    std::atomic<int> good = 0;
    {
        std::vector<std::jthread> threads;
        for (int n = 0; n < 4; ++n) {
            threads.emplace_back([&] {
                const auto session = make_ssh_session(endpoint_of(sshd));
                try {
                    good +=
                        session->run({.script = "exit 3"}, Deadline::after(30s), {}).exit_status;
                } catch (const TransportError& error) {
                    ADD_FAILURE() << error.what();
                }
            });
        }
    }
    EXPECT_EQ(good, 12);
}

TEST_P(SshServerLive, SaysWhatAForcedCommandSays) {
    const TestSshd sshd("ForceCommand echo this account is for backups\n");
    const auto session = make_ssh_session(endpoint_of(sshd));
    try {
        session->run({.script = "true"}, Deadline::after(10s), {});
        ADD_FAILURE();
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), Kind::lost);
        EXPECT_NE(std::string(error.what()).find("this account is for backups"), std::string::npos)
            << error.what();
    }
}

TEST_P(SshServerLive, IsTriedAgainWhileItRefusesConnections) {
    TestSshd sshd;
    sshd.stop();
    const auto session = make_ssh_session(endpoint_of(sshd));
    const std::jthread starter([&sshd] {
        std::this_thread::sleep_for(100ms);
        sshd.start();
    });
    EXPECT_EQ(session->run({.script = "exit 3"}, Deadline::after(10s), {}).exit_status, 3);
}

// OpenSSH 9.2, sshd_config(5), MaxStartups: above it, new connections are closed at once.
TEST_P(SshServerLive, IsTriedAgainWhileItHasTooManyLogins) {
    const TestSshd sshd("MaxStartups 1:100:1\n");
    TcpAttempt first =
        tcp_connect("127.0.0.1", static_cast<std::uint16_t>(sshd.port()), Deadline::after(5s), {});
    ASSERT_TRUE(first.socket);
    const std::jthread closer([&first] {
        std::this_thread::sleep_for(150ms);
        first.socket.reset();
    });
    const auto session = make_ssh_session(endpoint_of(sshd));
    EXPECT_EQ(session->run({.script = "exit 3"}, Deadline::after(10s), {}).exit_status, 3);
    EXPECT_NE(sshd.log().find("MaxStartups"), std::string::npos) << sshd.log();
}

TEST_P(SshServerLive, SaysConnectWhenNobodyListens) {
    SshEndpoint endpoint;
    endpoint.client = GetParam();
    endpoint.config_file = "none";
    endpoint.host = "127.0.0.1";
    endpoint.port = static_cast<std::uint16_t>(free_port());
    endpoint.user = "nobody";
    try {
        make_ssh_session(endpoint)->run({.script = "true"}, Deadline::after(10s), {});
        ADD_FAILURE();
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), Kind::connect);
        EXPECT_NE(std::string(error.what()).find("Connection refused"), std::string::npos);
    }
}

}  // namespace
}  // namespace lockstep
