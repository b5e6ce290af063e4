#include "tests/steps/spool_live.hpp"

#include "base/shell_quote.hpp"

#include <sys/stat.h>

#include <optional>
#include <utility>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

std::string name_of(const testing::TestParamInfo<Member>& member) {
    return member.param.name;
}

INSTANTIATE_TEST_SUITE_P(Members, SpoolLive, testing::ValuesIn(members()), name_of);

TEST_P(SpoolLive, GivesTheStatusAndBothOutputs) {
    const SpoolEnd end = run("echo to out; echo to err >&2; exit 7");
    EXPECT_EQ(end.kind, SpoolEnd::Kind::ended);
    EXPECT_EQ(end.result.exit_status, 7);
    EXPECT_EQ(end.result.out, "to out\n");
    EXPECT_EQ(end.result.err, "to err\n");
    EXPECT_FALSE(end.adopted);
    EXPECT_FALSE(end.result.out_truncated);
}

TEST_P(SpoolLive, GivesEveryKindOfStatus) {
    const std::vector<std::pair<std::string, int>> cases{{"true", 0},
                                                         {"", 0},
                                                         {"false", 1},
                                                         {"exit 255", 255},
                                                         {"set -e\nfalse\nexit 3", 1},
                                                         {"/nonexistent/program", 127},
                                                         {"kill -9 $$", 137},
                                                         {"kill -TERM $$", 143}};
    for (const auto& [script, status] : cases) {
        job_.key += "x";
        const SpoolEnd end = run(script);
        EXPECT_EQ(end.kind, SpoolEnd::Kind::ended) << script;
        EXPECT_EQ(end.result.exit_status, status) << script;
    }
    job_.key += "x";
    EXPECT_EQ(run("if true; then").result.exit_status, 2);
}

TEST_P(SpoolLive, PassesEveryByteOfScriptAndOutput) {
    const SpoolEnd end =
        run("printf '%s' 'it'\\''s \"$HOME\" \\\\ ! `x`'\nprintf '\\000\\n@\\036\\377\\r\\n\\000'");
    EXPECT_EQ(end.result.out, "it's \"$HOME\" \\\\ ! `x`" + std::string("\0\n@\036\377\r\n\0", 8));
}

TEST_P(SpoolLive, RunsAScriptThatIsTooLongForACommandLine) {
    const SpoolEnd end = run("# " + std::string(200'000, 'x') + "\necho end");
    EXPECT_EQ(end.result.out, "end\n");
}

TEST_P(SpoolLive, TellsAtOnceThatTheMemberHasIt) {
    job_.command.script = "while ! [ -e " + dir_.path("go") + " ]; do sleep 0.02; done";
    int calls = 0;
    SpoolAccepted seen;
    const SpoolEnd end = run(job_, [&](const SpoolAccepted& accepted) {
        ++calls;
        seen = accepted;
        EXPECT_FALSE(fs::exists(file("rc")));
        EXPECT_EQ(accepted.pid, process("started"));
        dir_.write("go", "");
    });
    EXPECT_EQ(end.result.exit_status, 0);
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(seen.boot_id + "\n", read_file("/proc/sys/kernel/random/boot_id"));
    EXPECT_FALSE(seen.found_running_or_ended);
}

TEST_P(SpoolLive, CutsALongOutput) {
    job_.command.output_limit = 1000;
    job_.command.script =
        "head -c 5000000 /dev/zero | tr '\\0' x; head -c 5000000 /dev/zero >&2; exit 4";
    for (const bool streams : {false, true}) {
        std::size_t streamed = 0;
        if (streams) {
            job_.key += "x";
            job_.command.on_output = [&](std::string_view piece) { streamed += piece.size(); };
        }
        const SpoolEnd end = run(job_);
        EXPECT_EQ(end.result.exit_status, 4);
        EXPECT_EQ(end.result.out, std::string(1000, 'x'));
        EXPECT_TRUE(end.result.out_truncated);
        EXPECT_EQ(end.result.err.size(), 1000U);
        EXPECT_TRUE(end.result.err_truncated);
        EXPECT_LE(streamed, 1001U);
    }
}

TEST_P(SpoolLive, GivesALongOutputWhole) {
    job_.command.output_limit = 6'000'000;
    job_.command.script = "head -c 5000000 /dev/zero | tr '\\0' x";
    const SpoolEnd end = run(job_);
    EXPECT_EQ(end.result.out, std::string(5'000'000, 'x'));
    EXPECT_FALSE(end.result.out_truncated);
}

TEST_P(SpoolLive, TakesTheTextOfACommandAsItIs) {
    const std::string hard =
        "-n it's \\0 \\c %s $HOME `id` $(id) \"q\" \t \x80\xff\x81 \xc3\xa4\n*\n";
    for (const std::size_t times : {1U, 10U, 500U}) {  // in the script, and by stdin
        std::string text;
        for (std::size_t i = 0; i < times; ++i) {
            text += hard;
        }
        job_.key += "x";
        job_.command.script = "printf %s " + shell_quote(text);
        EXPECT_EQ(run(job_).result.out, text) << times;
    }
}

TEST_P(SpoolLive, HandsOutTheOutputWhileItRuns) {
    std::string seen;
    job_.command.on_output = [&](std::string_view piece) {
        seen += piece;
        if (seen == "one\n") {
            dir_.write("go", "");
        }
    };
    job_.command.script =
        "echo one; while ! [ -e " + dir_.path("go") + " ]; do sleep 0.02; done; echo two";
    const SpoolEnd end = run(job_);
    EXPECT_EQ(seen, "one\ntwo\n");
    EXPECT_EQ(end.result.out, "one\ntwo\n");
}

TEST_P(SpoolLive, DeliversStdinAndLeavesNothingOfIt) {
    job_.command.stdin_data = std::string("sword\0fish\n\n", 12) + std::string(300'000, 's');
    job_.command.output_limit = 400'000;
    job_.command.script = "ls " + dir_.path("run") + " 2>/dev/null; cat; sleep 0.3";
    std::optional<bool> on_disk;
    const SpoolEnd end = run(job_, [&](const SpoolAccepted& /*accepted*/) {
        EXPECT_NE(process("command"), 0);
        on_disk = is_on_disk("sword\n") || is_on_disk(std::string("sword\0fish", 10));
    });
    EXPECT_EQ(end.result.out, job_.command.stdin_data.append(""));
    ASSERT_TRUE(on_disk);
    // The command prints it, so it is in `out`; nowhere else.
    fs::remove(file("out"));
    EXPECT_FALSE(is_on_disk("fish"));
}

TEST_P(SpoolLive, GivesAnEmptyStdinAnEnd) {
    EXPECT_EQ(run("cat; echo done").result.out, "done\n");
}

TEST_P(SpoolLive, DoesNotWaitForAChildInTheBackground) {
    const auto begin = std::chrono::steady_clock::now();
    const SpoolEnd end = run("sleep 20 & echo $!; exit 3");
    EXPECT_EQ(end.result.exit_status, 3);
    const pid_t child = std::stoi(end.result.out);
    EXPECT_EQ(::kill(child, 0), 0) << "it does not outlive the command";
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 15s);
    ::kill(child, SIGKILL);
}

TEST_P(SpoolLive, RunsTheCommandAsALoginWould) {
    // Without `setsid -f` the shell starts it with SIGINT and SIGQUIT ignored.
    const std::string signals = GetParam().util_linux ? "Sig[IB]" : "SigB";
    const std::string script =
        "umask; pwd; echo $HOME; readlink /proc/self/fd/8 /proc/self/fd/9; grep " + signals +
        " /proc/self/status";
    const CommandResult plain =
        session_->run({.script = "umask 022; " + script}, Deadline::after(10s), {});
    EXPECT_EQ(run(script).result.out, plain.out);
}

TEST_P(SpoolLive, KeepsItsFilesToItself) {
    job_.command.stdin_data = "input";
    run("cat; : >" + dir_.path("made"));
    for (const std::string& path : {base_, file(""), file("out"), dir_.path("made")}) {
        struct stat status {};

        ASSERT_EQ(::stat(path.c_str(), &status), 0) << path;
        EXPECT_EQ(status.st_mode & 077U, path == dir_.path("made") ? 044U : 0U) << path;
    }
}

TEST_P(SpoolLive, ListsWhatIsThere) {
    EXPECT_EQ(out_of(spool_list_script()), "");
    const std::string ended = job_.key;
    run("true");
    job_.key += ".died";
    const std::string died = job_.key;
    run("kill -9 $PPID; exit 0");
    job_.key += ".absent";
    attach();
    job_.key += ".running";
    job_.command.script = "while ! [ -e " + dir_.path("go") + " ]; do sleep 0.02; done";
    run(job_, [&](const SpoolAccepted& /*accepted*/) {
        const auto other = make_ssh_session(sshd_->endpoint());
        const CommandResult list =
            other->run({.script = on_member(spool_list_script())}, Deadline::after(60s), {});
        const std::vector<std::pair<std::string, std::string>> wanted{
            {ended, "ended"}, {died, "died"}, {job_.key, "running"}};
        std::istringstream words(list.out);
        for (const auto& [key, state] : wanted) {
            std::string its_key;
            std::string its_state;
            int age = -1;
            words >> its_key >> its_state >> age;
            EXPECT_EQ(its_key, "spool=" + key);
            EXPECT_EQ(its_state, state);
            EXPECT_GE(age, 0);
            EXPECT_LT(age, 600);
        }
        std::string more;
        EXPECT_FALSE(words >> more) << list.out;
        dir_.write("go", "");
    });
}

TEST_P(SpoolLive, CleansWhatARunLeftAndWhatIsOld) {
    const auto entries = [this] {
        std::string names;
        for (const char* name : {"r1.a", "r1.b", "r12.a", "r2.a", "r3.old", "r3.run"}) {
            names += fs::exists(base_ + "/spool/" + name) ? std::string(name) + " " : "";
        }
        return names;
    };
    for (const char* key : {"r1.a", "r12.a", "r2.a", "r3.old"}) {
        job_.key = key;
        run("true");
    }
    fs::last_write_time(base_ + "/spool/r3.old", fs::file_time_type::clock::now() - 200h);
    job_.key = "r3.run";
    SpoolJob running = job_;
    running.command.script = "while ! [ -e " + dir_.path("go") + " ]; do sleep 0.02; done";
    run(running, [&](const SpoolAccepted& /*accepted*/) {
        EXPECT_TRUE(eventually([this] { return fs::exists(file("command")); }));
        fs::last_write_time(base_ + "/spool/r3.run", fs::file_time_type::clock::now() - 200h);
        const auto other = make_ssh_session(sshd_->endpoint());
        for (const char* of : {"r1", "r3"}) {
            const CommandResult result =
                other->run({.script = on_member(spool_clean_script(of))}, Deadline::after(60s), {});
            EXPECT_EQ(result.exit_status, 0);
            EXPECT_EQ(result.out + result.err, "");
        }
        EXPECT_EQ(entries(), "r12.a r2.a r3.run ");
        dir_.write("go", "");
    });
    out_of(spool_clean_script("r3"));
    EXPECT_EQ(entries(), "r12.a r2.a ");
    EXPECT_EQ(out_of(spool_clean_script("none")), "");
}

}  // namespace
}  // namespace lockstep
