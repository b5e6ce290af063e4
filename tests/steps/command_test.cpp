#include "base/error.hpp"
#include "tests/fakes/fake_cluster.hpp"
#include "transport/process_runner.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

Value list(const Names& words) {
    return Value(Value::List(words.begin(), words.end()));
}

/// What a person, a member's name or a version could hold.
const Names k_hostile{"plain",
                      "",
                      "two words",
                      "it's",
                      "a\"b",
                      "line\nbreak",
                      "$(touch /tmp/owned)",
                      "`id`",
                      "; rm -rf /",
                      "&& true",
                      "> /dev/null",
                      "*",
                      "~root",
                      "-rf",
                      "$HOME",
                      "back\\slash",
                      "'\\''",
                      "!history",
                      "#comment",
                      "tab\there",
                      "größe",
                      "A=b",
                      "4.0.7-3~deb13u1"};

/// What a real shell of this machine prints for a script.
std::string shell(const std::string& script) {
    const auto runner = make_process_runner();
    const CommandResult result =
        runner->run({.argv = {"sh", "-c", script}}, Deadline::after(std::chrono::seconds{30}), {});
    EXPECT_EQ(result.exit_status, 0) << script << ": " << result.err;
    return result.out;
}

class SshRun : public testing::Test {
  protected:
    SshRun() {
        world.members.at("n2").commands = [this](const std::string&) { return answer; };
    }

    /// n2 then runs scripts for real, with a sudo that asks for nothing.
    void becomes_root_by_sudo() {
        world.cluster.ssh.become = Become::sudo;
        world.cluster.ssh.user = "ops";
        world.members.at("n2").commands = [](const std::string& script) {
            const std::string sudo = "sudo() { shift 2; \"$@\"; }\n";
            return make_process_runner()->run({.argv = {"sh", "-c", sudo + script}},
                                              Deadline::after(std::chrono::seconds{30}),
                                              {});
        };
    }

    static StepCall run(Value::Map with) { return step_call("ssh.run", "n2", std::move(with)); }

    static StepCall argv(const Names& words, Value::Map more = {}) {
        more.emplace("argv", list(words));
        return run(std::move(more));
    }

    FakeCluster world;
    CommandResult answer;
};

TEST_F(SshRun, ShowsAndSendsTheSameText) {
    const StepCall call = argv({"echo", "it's", "a b", "$(id)", "x\ny", ""});
    const Preview preview = world.preview(call);
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_FALSE(preview.read_only);
    ASSERT_EQ(preview.operations.size(), 1U);
    EXPECT_EQ(preview.operations[0].text, "echo 'it'\\''s' 'a b' '$(id)' 'x\ny' ''");
    world.run(call);
    EXPECT_EQ(world.commands_on("n2"), (Names{preview.operations[0].text}));
}

TEST_F(SshRun, PassesEveryWordAsItIsThroughARealShell) {
    for (const std::string& word : k_hostile) {
        const StepCall call = argv({"printf", "%s|", word, "end"});
        EXPECT_EQ(shell(world.preview(call).operations.at(0).text), word + "|end|") << word;
    }
}

TEST_F(SshRun, PassesVariablesAsTheyAreThroughARealShell) {
    for (const std::string& word : k_hostile) {
        const Value env(Value::Map{{"LOCKSTEP_TEST", Value(word)}});
        const StepCall by_argv = argv({"sh", "-c", "printf %s \"$LOCKSTEP_TEST\""}, {{"env", env}});
        EXPECT_EQ(shell(world.preview(by_argv).operations.at(0).text), word) << word;
        const StepCall by_shell = run({{"shell", "printf %s \"$LOCKSTEP_TEST\""}, {"env", env}});
        EXPECT_EQ(shell(world.preview(by_shell).operations.at(0).text), word) << word;
    }
}

// As the other actions render what comes from outside: versions, packages, services.
TEST_F(SshRun, IsNotTheOnlyActionThatQuotes) {
    world.is_paused();
    for (const std::string& word : k_hostile) {
        StepCall install =
            step_call("package.install", "n2", {{"package", Value("x")}, {"version", word}});
        install.probed = {{"installed", "0"},
                          {"available", Names{word}},
                          {"described", ""},
                          {"candidates", Names{word}},
                          {"audit", ""},
                          {"busy", ""},
                          {"held", false},
                          {"policy", Names{}},
                          {"side_effects", Names{}}};
        const std::string text = world.preview(install).operations.at(0).text;
        const std::string name = "apt-get";
        const std::size_t at = text.find(name);
        EXPECT_EQ(shell("apt_get() { for w; do :; done; printf %s \"$w\"; }; apt_get" +
                        text.substr(at + name.size())),
                  "x=" + word);
        const StepCall restart = step_call("service.restart", "n2", {{"service", word}});
        EXPECT_EQ(shell("systemctl() { printf %s \"$3\"; }; " +
                        world.preview(restart).operations.at(0).text),
                  word);
    }
}

TEST_F(SshRun, TakesTheFirstWordForACommandWhateverItHolds) {
    const std::string text = world.preview(argv({"A=b", "true", "x y"})).operations.at(0).text;
    EXPECT_EQ(text, "'A=b' true 'x y'");
    EXPECT_EQ(shell(text + " 2>/dev/null || printf $?"), "127");
    EXPECT_EQ(world.preview(argv({"A=it's"})).operations.at(0).text, "'A=it'\\''s'");
    for (const char* word : {"if", "time", "while", "for", "done", "case"}) {
        const std::string line = world.preview(argv({word, "x"})).operations.at(0).text;
        EXPECT_EQ(line, std::string("'") + word + "' x");
        EXPECT_EQ(shell("PATH=/nowhere; " + line + " 2>/dev/null || printf $?"), "127");
    }
}

TEST_F(SshRun, RefusesAVariableThatIsNone) {
    for (const char* name : {"", "1A", "A B", "A;reboot", "A-B", "A=", "$(id)"}) {
        const Value env(Value::Map{{name, "x"}});
        EXPECT_THROW((void)world.preview(argv({"true"}, {{"env", env}})), Error) << name;
    }
}

TEST_F(SshRun, RefusesWhatNoCommandLineCanHold) {
    EXPECT_THROW((void)world.preview(argv({"echo", std::string("a\0b", 3)})), Error);
}

TEST_F(SshRun, RefusesASecretOnACommandLine) {
    const Value secret = Value::secret("hunter2");
    Value::List words{Value("login"), secret};
    EXPECT_THROW((void)world.preview(run({{"argv", Value(words)}})), Error);
    EXPECT_THROW((void)world.preview(run({{"shell", secret}})), Error);
    const StepCall in_env = argv({"true"}, {{"env", Value(Value::Map{{"PASSWORD", secret}})}});
    try {
        world.run(in_env);
        FAIL() << "sent";
    } catch (const Error& error) {
        EXPECT_TRUE(contains(error.hint(), "stdin")) << error.hint();
        EXPECT_FALSE(contains(error.what(), "hunter2"));
    }
    EXPECT_TRUE(world.commands_on("n2").empty());
}

TEST_F(SshRun, PassesASecretByItsStandardInput) {
    std::string stdin_data;
    world.ssh.on("10.0.0.12", [&](const RemoteCommand& command) {
        stdin_data = command.stdin_data;
        EXPECT_FALSE(contains(command.script, "hunter2"));
        return CommandResult{};
    });
    ClusterFacts facts = FakeCluster().observe();
    EXPECT_EQ(world.run(argv({"cat"}, {{"stdin", Value::secret("hunter2")}}), facts).outcome,
              StepOutcome::succeeded);
    EXPECT_EQ(stdin_data, "hunter2");
}

TEST_F(SshRun, IsJudgedByItsExitStatus) {
    answer = command_result(3, "out\n", "one\n\ntwo\n");
    const StepResult result = world.run(argv({"false"}));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(result.message, "exit status 3");
    EXPECT_EQ(result.last_lines, (Names{"one", "two"}));
    EXPECT_EQ(result.output.at("exit"), 3);
    EXPECT_EQ(result.output.at("stdout"), "out\n");
    EXPECT_EQ(world.run(argv({"false"}, {{"ok_exit", list({"0", "3"})}})).outcome,
              StepOutcome::succeeded);
    EXPECT_EQ(world.run(argv({"false"}, {{"ok_exit", list({"0", "1"})}})).outcome,
              StepOutcome::failed);
}

// Found before anything is sent, not when it is over.
TEST_F(SshRun, RefusesAnExitStatusThatIsNone) {
    for (const char* code : {"none", "1x", "", "-1", "256", "99999999999999"}) {
        const StepCall call = argv({"true"}, {{"ok_exit", list({code})}});
        EXPECT_THROW((void)world.preview(call), Error) << code;
        EXPECT_THROW(world.run(call), Error) << code;
    }
    EXPECT_TRUE(world.commands_on("n2").empty());
}

TEST_F(SshRun, ShowsTheEndOfWhatItPrinted) {
    std::string out;
    for (int line = 1; line <= 20; ++line) {
        out += std::to_string(line) + "\n";
    }
    answer = command_result(1, out);
    const StepResult result = world.run(argv({"seq", "20"}));
    ASSERT_EQ(result.last_lines.size(), 8U);
    EXPECT_EQ(result.last_lines.front(), "13");
}

TEST_F(SshRun, ChangesNothingWhereItIsSaidSo) {
    EXPECT_TRUE(world.preview(argv({"uptime"}, {{"read_only", true}})).read_only);
}

TEST_F(SshRun, IsRefusedWhereTheMemberCannotBeReached) {
    world.members.at("n2").ssh_error = TransportError(TransportError::Kind::connect, "refused");
    EXPECT_EQ(ids_of(world.preview(argv({"true"})).blocked_by), (Names{"member.unreachable"}));
}

TEST_F(SshRun, BecomesRootUnlessToldOtherwise) {
    becomes_root_by_sudo();
    world.run(argv({"id", "-u"}));
    world.run(argv({"id", "-u"}, {{"become", false}}));
    const Names commands = world.commands_on("n2");
    ASSERT_EQ(commands.size(), 2U);
    EXPECT_TRUE(contains(commands[0], "sudo -n -- /bin/sh -c "));
    EXPECT_EQ(commands[1], "id -u");
}

TEST_F(SshRun, KeepsItsWordsUnderSudo) {
    becomes_root_by_sudo();
    for (const std::string& word : k_hostile) {
        EXPECT_EQ(world.run(argv({"printf", "%s", word})).output.at("stdout"), word);
    }
}

class LocalRun : public testing::Test {
  protected:
    FakeCluster world;
};

TEST_F(LocalRun, InvolvesNoShell) {
    world.processes.answer = [](const LocalCommand& command) {
        EXPECT_EQ(command.argv, (Names{"echo", "$(id)", "a b"}));
        EXPECT_EQ(command.env.at("TOKEN"), "hunter2");
        EXPECT_EQ(command.stdin_data, "hunter3");
        return command_result(0, "done\n");
    };
    const StepCall call =
        step_call("local.run",
                  "",
                  {{"argv", list({"echo", "$(id)", "a b"})},
                   {"env", Value(Value::Map{{"TOKEN", Value::secret("hunter2")}})},
                   {"stdin", Value::secret("hunter3")}});
    const Preview preview = world.preview(call);
    EXPECT_EQ(preview.operations.at(0).kind, Operation::Kind::local);
    EXPECT_EQ(preview.operations.at(0).text, "echo '$(id)' 'a b'");
    const StepResult result = world.run(call);
    EXPECT_EQ(result.outcome, StepOutcome::succeeded);
    EXPECT_EQ(result.output.at("stdout"), "done\n");
}

TEST_F(LocalRun, RefusesASecretAmongItsWords) {
    const Value::List words{Value("login"), Value::secret("hunter2")};
    EXPECT_THROW((void)world.preview(step_call("local.run", "", {{"argv", Value(words)}})), Error);
}

}  // namespace
}  // namespace lockstep
