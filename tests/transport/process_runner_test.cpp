#include "transport/process_runner.hpp"

#include "base/error.hpp"
#include "base/known_secrets.hpp"
#include "base/unique_fd.hpp"
#include "temp_dir.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Kind = TransportError::Kind;

CommandResult run(const LocalCommand& command) {
    return make_process_runner()->run(command, Deadline::after(10s), {});
}

CommandResult run_sh(const std::string& script) {
    return run({.argv = {"sh", "-c", script}});
}

std::optional<TransportError> failure(const LocalCommand& command,
                                      std::chrono::milliseconds timeout,
                                      std::stop_token stop = {}) {
    try {
        make_process_runner()->run(command, Deadline::after(timeout), stop);
    } catch (const TransportError& error) {
        return error;
    }
    return std::nullopt;
}

TEST(ProcessRunner, KeepsStdoutAndStderrApart) {
    const CommandResult result = run_sh("echo out; echo err >&2; exit 3");
    EXPECT_EQ(result.exit_status, 3);
    EXPECT_EQ(result.out, "out\n");
    EXPECT_EQ(result.err, "err\n");
}

TEST(ProcessRunner, PassesArgumentsWithoutAShell) {
    const CommandResult result = run({.argv = {"printf", "%s|", "a b", "$HOME", "it's", "", "*"}});
    EXPECT_EQ(result.out, "a b|$HOME|it's||*|");
}

TEST(ProcessRunner, InheritsNoVariableThatMayHoldASecret) {
    remember_secret_variable("LC_LOCKSTEP_TEST");
    const std::map<std::string, std::string> ours{{"LC_LOCKSTEP_TEST", "by name"},
                                                  {"LC_LOCKSTEP_OTHER", "harmless"},
                                                  {"LOCKSTEP_APPROVAL_KEY", "k"},
                                                  {"VAULT_TOKEN", "t"},
                                                  {"http_proxy", "http://u:p@proxy:3128"},
                                                  {"https_proxy", "http://proxy:3128"}};
    for (const auto& [name, value] : ours) {
        ::setenv(name.c_str(), value.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
    }
    const CommandResult result = run({.argv = {"env"}, .env = {{"GIVEN", "x"}}});
    for (const auto& [name, value] : ours) {
        ::unsetenv(name.c_str());  // NOLINT(concurrency-mt-unsafe)
    }
    forget_secrets();
    std::set<std::string> names;
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);) {
        names.insert(line.substr(0, line.find('=')));
    }
    EXPECT_TRUE(names.contains("PATH"));
    EXPECT_TRUE(names.contains("GIVEN"));
    EXPECT_TRUE(names.contains("LC_LOCKSTEP_OTHER"));
    EXPECT_TRUE(names.contains("https_proxy"));
    for (const char* name :
         {"LC_LOCKSTEP_TEST", "LOCKSTEP_APPROVAL_KEY", "VAULT_TOKEN", "http_proxy"}) {
        EXPECT_FALSE(names.contains(name)) << name;
    }
}

TEST(ProcessRunner, StartsWithEverySignalAsItIsByDefault) {
    sigset_t blocked;
    sigset_t before;
    ::sigfillset(&blocked);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
    const auto pipe_before = ::signal(SIGPIPE, SIG_IGN);  // NOLINT(concurrency-mt-unsafe)
    const CommandResult masks = run({.argv = {"grep", "-E", "Sig(Blk|Ign):", "/proc/self/status"}});
    const auto begin = std::chrono::steady_clock::now();
    const CommandResult timed = run({.argv = {"timeout", "0.2", "sleep", "8"}});
    const auto took = std::chrono::steady_clock::now() - begin;
    ::signal(SIGPIPE, pipe_before);  // NOLINT(concurrency-mt-unsafe)
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    EXPECT_EQ(masks.out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    EXPECT_EQ(timed.exit_status, 124);
    EXPECT_LT(took, 7s);
}

TEST(ProcessRunner, GivesTheSignalThatEndedIt) {
    EXPECT_EQ(run_sh("kill -9 $$").exit_status, 137);
}

TEST(ProcessRunner, WritesStdinAndEndsIt) {
    const std::string data(3'000'000, 's');
    LocalCommand command{.argv = {"cat"}, .stdin_data = data, .output_limit = 4'000'000};
    EXPECT_EQ(run(command).out, data);
    EXPECT_EQ(run({.argv = {"cat"}}).out, "");
}

TEST(ProcessRunner, DoesNotMindWhenStdinIsNotRead) {
    EXPECT_EQ(run({.argv = {"true"}, .stdin_data = std::string(3'000'000, 's')}).exit_status, 0);
}

TEST(ProcessRunner, CapsTheOutput) {
    LocalCommand command{.argv = {"head", "-c", "3000000", "/dev/zero"}, .output_limit = 1000};
    const CommandResult result = run(command);
    EXPECT_EQ(result.exit_status, 0);
    EXPECT_EQ(result.out.size(), 1000U);
    EXPECT_TRUE(result.out_truncated);
    EXPECT_FALSE(result.err_truncated);
}

TEST(ProcessRunner, AddsToTheEnvironment) {
    const CommandResult result = run(
        {.argv = {"sh", "-c", "echo $GREETING; test -n \"$PATH\""}, .env = {{"GREETING", "hi"}}});
    EXPECT_EQ(result.out, "hi\n");
    EXPECT_EQ(result.exit_status, 0);
}

TEST(ProcessRunner, LeaksNoDescriptor) {
    // Deliberately without O_CLOEXEC.
    const UniqueFd leaky(::open("/dev/null", O_RDONLY));  // NOLINT
    ASSERT_TRUE(leaky);
    // ls itself opens the directory: the fourth.
    const CommandResult result = run({.argv = {"ls", "/proc/self/fd"}});
    EXPECT_EQ(result.out, "0\n1\n2\n3\n");
}

TEST(ProcessRunner, DoesNotWaitForAGrandchildInTheBackground) {
    const auto begin = std::chrono::steady_clock::now();
    const CommandResult result = run_sh("sleep 3 & echo started");
    EXPECT_EQ(result.out, "started\n");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
}

TEST(ProcessRunner, WaitsForAProcessThatClosedItsOutput) {
    EXPECT_EQ(run_sh("exec >&- 2>&-; sleep 0.2; exit 4").exit_status, 4);
}

TEST(ProcessRunner, SaysConnectWhenThereIsNoSuchProgram) {
    for (const char* program : {"no-such-program", "/no/such/program", "/etc/passwd"}) {
        const auto error = failure({.argv = {program}}, 5s);
        ASSERT_TRUE(error) << program;
        EXPECT_EQ(error->kind(), Kind::connect) << error->what();
    }
}

TEST(ProcessRunner, KillsTheWholeGroupAtTheDeadline) {
    const TempDir dir;
    const auto begin = std::chrono::steady_clock::now();
    const auto error = failure(
        {.argv = {"sh", "-c", "sleep 30 & echo $! > " + dir.path("pid") + "; wait"}}, 200ms);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::timeout);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s);
    const pid_t grandchild = std::atoi(read_file(dir.path("pid")).c_str());
    ASSERT_GT(grandchild, 0);
    // Whoever adopts it may take a moment to reap it.
    const std::string stat = read_file("/proc/" + std::to_string(grandchild) + "/stat");
    EXPECT_TRUE(stat.empty() || stat.find(") Z ") != std::string::npos) << stat;
}

TEST(ProcessRunner, KillsWhoeverIgnoresTheFirstSignal) {
    const auto begin = std::chrono::steady_clock::now();
    const auto error =
        failure({.argv = {"sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"}}, 100ms);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::timeout);
    const auto took = std::chrono::steady_clock::now() - begin;
    EXPECT_GE(took, 2s);
    EXPECT_LT(took, 4s);
}

TEST(ProcessRunner, IsWokenByAStopRequest) {
    std::stop_source source;
    const std::jthread stopper([&source] {
        std::this_thread::sleep_for(100ms);
        source.request_stop();
    });
    const auto error = failure({.argv = {"sleep", "30"}}, 20s, source.get_token());
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::cancelled);
}

TEST(ProcessRunner, RunsManyAtTheSameTime) {
    std::vector<std::jthread> threads;
    for (int index = 0; index < 8; ++index) {
        threads.emplace_back([index] {
            const CommandResult result = run_sh("echo " + std::to_string(index));
            EXPECT_EQ(result.out, std::to_string(index) + "\n");
        });
    }
}

}  // namespace
}  // namespace lockstep
