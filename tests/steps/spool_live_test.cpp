#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/shell_quote.hpp"
#include "steps/spool.hpp"
#include "tests/transport/test_sshd.hpp"

#include <gtest/gtest.h>

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <thread>
#include <vector>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

/// The processes whose parent is `parent` and which are an sshd's.
std::vector<pid_t> sshds_of(pid_t parent) {
    std::vector<pid_t> found;
    for (const auto& entry : fs::directory_iterator("/proc")) {
        std::ifstream stream(entry.path() / "stat");
        pid_t pid = 0;
        pid_t its_parent = 0;
        std::string name;
        std::string state;
        stream >> pid >> name >> state >> its_parent;
        if (stream && its_parent == parent && name.starts_with("(sshd")) {
            found.push_back(pid);
        }
    }
    return found;
}

/// Waits up to ten seconds.
bool eventually(const std::function<bool()>& condition) {
    for (int attempt = 0; attempt < 1000 && !condition(); ++attempt) {
        std::this_thread::sleep_for(10ms);
    }
    return condition();
}

/// What a member may have: its /bin/sh, and util-linux's flock and `setsid -f` or not.
struct Member {
    std::string name;
    std::string shell;
    bool util_linux = true;
};

std::vector<Member> members() {
    std::vector<Member> there;
    for (const Member& member : {Member{"dash", "/bin/dash"},
                                 Member{"dash_alone", "/bin/dash", false},
                                 Member{"bash", "/bin/bash --posix"},
                                 Member{"busybox", "/bin/busybox sh", false}}) {
        const std::string program = member.shell.substr(0, member.shell.find(' '));
        if (::access(program.c_str(), X_OK) == 0) {
            there.push_back(member);
        }
    }
    return there;
}

std::string replace_all(std::string text, const std::string& from, const std::string& to) {
    for (std::size_t at = text.find(from); at != std::string::npos;
         at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
    }
    return text;
}

/// A real sshd and the real script, with the member's folders in a temporary one. A job is never a
/// unit of this machine's systemd here.
class SpoolLive : public testing::TestWithParam<Member> {
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
        const bool root = ::geteuid() == 0;
        base_ = root ? dir_.path("lib") : sshd_->dir().path(".local/state/lockstep");
        session_ = make_libssh2_session(sshd_->endpoint());
        static int count = 0;
        job_.key = "r1.step.n1." + std::to_string(++count);
        job_.scope = "orders";
        job_.fence = 5;
        job_.command.script = "echo hello";
    }

    [[nodiscard]] std::string as_root(const std::string& script) const {
        std::string text = replace_all(script, "/var/lib/lockstep", base_);
        text = replace_all(text, "/run/lockstep", dir_.path("run"));
        text = replace_all(text, "/run/systemd/system", dir_.path("none"));
        text = replace_all(text, "/bin/sh ", GetParam().shell + " ");
        if (!GetParam().util_linux) {
            text = replace_all(text, "flock", "no-such-flock");
            text = replace_all(text, "setsid -f", "setsid --no-such-option");
        }
        text = replace_all(text, broken_, "no-such-program");
        return GetParam().shell + " -c " + shell_quote(text);
    }

    SpoolEnd run(const SpoolJob& job,
                 const std::function<void(const SpoolAccepted&)>& on_accepted = {},
                 std::chrono::milliseconds timeout = 60s) {
        return run_on(*session_, job, on_accepted, timeout);
    }

    SpoolEnd run_on(SshSession& session,
                    const SpoolJob& job,
                    const std::function<void(const SpoolAccepted&)>& on_accepted = {},
                    std::chrono::milliseconds timeout = 60s) {
        SystemClock clock;
        return run_spooled(
            session,
            [this](const std::string& script) { return as_root(script); },
            job,
            clock,
            Deadline::after(timeout),
            {},
            on_accepted);
    }

    SpoolEnd run(const std::string& script) {
        job_.command.script = script;
        return run(job_);
    }

    /// A new connection, as another engine would have.
    SpoolEnd attach() {
        SpoolJob job = job_;
        job.attach_only = true;
        return run_on(*make_libssh2_session(sshd_->endpoint()), job);
    }

    std::string out_of(const std::string& script) {
        const CommandResult result =
            session_->run({.script = as_root(script)}, Deadline::after(60s), {});
        EXPECT_EQ(result.err, "");
        return result.out;
    }

    /// The path of one of the job's files.
    [[nodiscard]] std::string file(const std::string& name) const {
        return base_ + "/spool/" + job_.key + "/" + name;
    }

    /// The process named in one of the job's files, once it is there.
    [[nodiscard]] pid_t process(const std::string& name) const {
        pid_t pid = 0;
        EXPECT_TRUE(eventually([&] {
            std::istringstream words(fs::exists(file(name)) ? read_file(file(name)) : "");
            return static_cast<bool>(words >> pid);
        })) << name;
        return pid;
    }

    static void cut_connections() {
        for (const pid_t listener : sshds_of(::getpid())) {
            for (const pid_t connection : sshds_of(listener)) {
                ::kill(connection, SIGKILL);
            }
        }
    }

    /// Whether a file below what the member keeps holds the text.
    [[nodiscard]] bool is_on_disk(const std::string& text) const {
        for (const std::string& folder : {base_, dir_.path("run")}) {
            if (!fs::exists(folder)) {
                continue;
            }
            for (const auto& entry : fs::recursive_directory_iterator(folder)) {
                if (entry.is_regular_file() &&
                    read_file(entry.path()).find(text) != std::string::npos) {
                    return true;
                }
            }
        }
        return false;
    }

    static std::unique_ptr<TestSshd> sshd_;
    TempDir dir_;
    std::string base_;
    std::unique_ptr<SshSession> session_;
    SpoolJob job_;
    std::string broken_ =
        "no-such-program";  ///< a word of the script for a program that is missing
};

std::unique_ptr<TestSshd> SpoolLive::sshd_;

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
        EXPECT_TRUE(dir_.write("go", "") != "");
    });
    EXPECT_EQ(end.result.exit_status, 0);
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(seen.boot_id + "\n", read_file("/proc/sys/kernel/random/boot_id"));
    EXPECT_FALSE(seen.found_running_or_ended);
}

TEST_P(SpoolLive, RunsAKeyOnce) {
    job_.command.script = "echo x >>" + dir_.path("count") + "; cat " + dir_.path("count");
    EXPECT_EQ(run(job_).result.out, "x\n");
    const SpoolEnd again = run(job_);
    EXPECT_EQ(again.result.out, "x\n");
    EXPECT_TRUE(again.adopted);
    EXPECT_EQ(read_file(dir_.path("count")), "x\n");
}

TEST_P(SpoolLive, RunsAKeyOnceThoughManyStartItTogether) {
    job_.command.script = "echo x >>" + dir_.path("count") + "; sleep 0.5; exit 6";
    job_.command.stdin_data = "input";
    constexpr int k_starters = 6;
    std::vector<std::optional<SpoolEnd>> ends(k_starters);
    {
        std::vector<std::jthread> threads;
        for (auto& end : ends) {
            threads.emplace_back(
                [this, &end] { end = run_on(*make_libssh2_session(sshd_->endpoint()), job_); });
        }
    }
    int fresh = 0;
    for (const auto& end : ends) {
        ASSERT_TRUE(end);
        EXPECT_EQ(end->kind, SpoolEnd::Kind::ended);
        EXPECT_EQ(end->result.exit_status, 6);
        fresh += end->adopted ? 0 : 1;
    }
    EXPECT_EQ(fresh, 1);
    EXPECT_EQ(read_file(dir_.path("count")), "x\n");
    EXPECT_FALSE(is_on_disk("input"));
}

TEST_P(SpoolLive, FollowsACommandThatOutlivedItsConnection) {
    job_.command.script = "echo before; while ! [ -e " + dir_.path("go") +
                          " ]; do sleep 0.02; done; echo after; echo x >>" + dir_.path("count") +
                          "; exit 4";
    int calls = 0;
    std::jthread cutter;
    const SpoolEnd end = run(job_, [&](const SpoolAccepted& /*accepted*/) {
        ++calls;
        cutter = std::jthread([this] {
            cut_connections();
            std::this_thread::sleep_for(200ms);
            dir_.write("go", "");
        });
    });
    EXPECT_EQ(end.kind, SpoolEnd::Kind::ended);
    EXPECT_EQ(end.result.exit_status, 4);
    EXPECT_EQ(end.result.out, "before\nafter\n");
    EXPECT_TRUE(end.adopted);
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(read_file(dir_.path("count")), "x\n");
}

TEST_P(SpoolLive, AdoptsWhatEndedWhileNobodyLooked) {
    job_.command.script = "sleep 0.7; echo late; echo bad >&2; exit 9";
    try {
        run(job_, {}, 400ms);
        ADD_FAILURE() << "it ended in time";
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), TransportError::Kind::timeout) << error.what();
    }
    EXPECT_TRUE(eventually([this] { return fs::exists(file("rc")); }));
    const SpoolEnd end = attach();
    EXPECT_EQ(end.kind, SpoolEnd::Kind::ended);
    EXPECT_EQ(end.result.exit_status, 9);
    EXPECT_EQ(end.result.out, "late\n");
    EXPECT_EQ(end.result.err, "bad\n");
    EXPECT_TRUE(end.adopted);
}

TEST_P(SpoolLive, DoesNotBeginWhatItOnlyLooksFor) {
    const SpoolEnd end = attach();
    EXPECT_EQ(end.kind, SpoolEnd::Kind::absent);
    EXPECT_EQ(end.boot_id + "\n", read_file("/proc/sys/kernel/random/boot_id"));
    EXPECT_EQ(attach().kind, SpoolEnd::Kind::absent);
}

TEST_P(SpoolLive, MayBeginWhatThisProcessHasFoundAbsent) {
    EXPECT_EQ(attach().kind, SpoolEnd::Kind::absent);
    EXPECT_EQ(run("echo begun").result.out, "begun\n");
    EXPECT_EQ(attach().result.out, "begun\n");
}

// The start of an engine that is gone may still be on its way when the next one looks.
TEST_P(SpoolLive, DoesNotBeginWhatAnotherProcessHasFoundAbsent) {
    EXPECT_EQ(attach().kind, SpoolEnd::Kind::absent);
    std::string text = read_file(file("started"));
    ASSERT_TRUE(text.starts_with("- "));
    std::ofstream(file("started")) << "- another" << text.substr(text.find(' ', 2));
    try {
        run("echo x >" + dir_.path("count"));
        ADD_FAILURE();
    } catch (const TransportError&) {
        ADD_FAILURE() << "nothing is in doubt";
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("before it began"), std::string::npos)
            << error.what();
    }
    EXPECT_FALSE(fs::exists(dir_.path("count")));
}

TEST_P(SpoolLive, RefusesAnOlderLock) {
    EXPECT_EQ(run("true").kind, SpoolEnd::Kind::ended);
    EXPECT_EQ(read_file(base_ + "/fence.orders"), "5\n");
    std::ofstream(base_ + "/fence.orders") << "6\n";
    job_.key += "x";
    job_.command.stdin_data = "input";
    const SpoolEnd end = run("echo x >" + dir_.path("count"));
    EXPECT_EQ(end.kind, SpoolEnd::Kind::fenced);
    EXPECT_FALSE(fs::exists(dir_.path("count")));
    EXPECT_FALSE(is_on_disk("input"));

    job_.fence = 7;
    EXPECT_EQ(run("true").kind, SpoolEnd::Kind::ended);
    EXPECT_EQ(read_file(base_ + "/fence.orders"), "7\n");
    job_.key += "x";
    job_.scope = "another";
    job_.fence = 1;
    EXPECT_EQ(run("true").kind, SpoolEnd::Kind::ended);
}

TEST_P(SpoolLive, DoesNotTakeAnUnreadableFenceForNone) {
    fs::create_directories(base_);
    std::ofstream(base_ + "/fence.orders") << "";
    EXPECT_THROW(run("true"), Error);
    std::ofstream(base_ + "/fence.orders") << "7x\n";
    EXPECT_THROW(run("true"), Error);
}

TEST_P(SpoolLive, SaysDiedWhenWrapperAndCommandAreKilled) {
    job_.command.script = "echo begun; exec sleep 60";
    const SpoolEnd end = run(job_, [this](const SpoolAccepted& accepted) {
        const pid_t command = process("command");
        EXPECT_TRUE(eventually([this] { return read_file(file("out")) == "begun\n"; }));
        ::kill(static_cast<pid_t>(accepted.pid), SIGKILL);
        ::kill(command, SIGKILL);
    });
    EXPECT_EQ(end.kind, SpoolEnd::Kind::died);
    EXPECT_EQ(end.result.out, "begun\n");
    EXPECT_NE(end.result.exit_status, 0);
    EXPECT_NE(end.why.find("killed"), std::string::npos) << end.why;
    EXPECT_EQ(attach().kind, SpoolEnd::Kind::died);
    EXPECT_EQ(run(job_).kind, SpoolEnd::Kind::died);
}

TEST_P(SpoolLive, IsNotOverWhileTheCommandRunsThoughItsWrapperWasKilled) {
    job_.command.script = "while ! [ -e " + dir_.path("go") + " ]; do sleep 0.02; done; echo x >" +
                          dir_.path("count");
    std::jthread releaser;
    const SpoolEnd end = run(job_, [&](const SpoolAccepted& accepted) {
        EXPECT_NE(process("command"), 0);
        ::kill(static_cast<pid_t>(accepted.pid), SIGKILL);
        releaser = std::jthread([this] {
            std::this_thread::sleep_for(400ms);
            dir_.write("go", "");
        });
    });
    EXPECT_EQ(end.kind, SpoolEnd::Kind::died);
    EXPECT_TRUE(fs::exists(dir_.path("count")));
}

TEST_P(SpoolLive, SaysDiedAfterAReboot) {
    ASSERT_EQ(run("echo begun").kind, SpoolEnd::Kind::ended);
    fs::remove(file("rc"));
    std::istringstream words(read_file(file("started")));
    std::string pid;
    std::string since;
    words >> pid >> since;
    // Even if a process of the same number and age is there now.
    std::ofstream(file("started"))
        << ::getpid() << " " << since << " 11111111-2222-3333-4444-555555555555\n";
    const SpoolEnd end = attach();
    EXPECT_EQ(end.kind, SpoolEnd::Kind::died);
    EXPECT_NE(end.why.find("booted anew"), std::string::npos) << end.why;
    EXPECT_EQ(end.boot_id + "\n", read_file("/proc/sys/kernel/random/boot_id"));
    EXPECT_EQ(end.result.out, "begun\n");
}

TEST_P(SpoolLive, DoesNotTakeAnotherProcessForTheJob) {
    ASSERT_EQ(run("true").kind, SpoolEnd::Kind::ended);
    fs::remove(file("rc"));
    fs::remove(file("command"));
    std::istringstream words(read_file(file("started")));
    std::string pid;
    std::string since;
    std::string boot;
    words >> pid >> since >> boot;
    std::ofstream(file("started")) << ::getpid() << " " << since << " " << boot << "\n";
    EXPECT_EQ(attach().kind, SpoolEnd::Kind::died);
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
        const auto other = make_libssh2_session(sshd_->endpoint());
        const CommandResult list =
            other->run({.script = as_root(spool_list_script())}, Deadline::after(60s), {});
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
        const auto other = make_libssh2_session(sshd_->endpoint());
        for (const char* of : {"r1", "r3"}) {
            const CommandResult result =
                other->run({.script = as_root(spool_clean_script(of))}, Deadline::after(60s), {});
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

TEST_P(SpoolLive, SaysWhyItCannotStart) {
    fs::create_directories(fs::path(base_).parent_path());
    fs::remove_all(base_);
    std::ofstream(base_.c_str()) << "in the way";
    try {
        run("true");
        ADD_FAILURE();
    } catch (const TransportError&) {
        ADD_FAILURE() << "nothing is in doubt";
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("cannot make " + base_), std::string::npos)
            << error.what();
    }
    fs::remove(base_);
}

TEST_P(SpoolLive, HasNotBegunWhatCouldNotBeLaunched) {
    broken_ = "setsid";
    job_.command.stdin_data = "input";
    try {
        run("echo begun");
        ADD_FAILURE();
    } catch (const TransportError&) {
        ADD_FAILURE() << "nothing is in doubt";
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("did not start"), std::string::npos)
            << error.what();
        EXPECT_NE(std::string(error.what()).find("not found"), std::string::npos) << error.what();
    }
    EXPECT_FALSE(is_on_disk("input"));
    broken_ = "no-such-program";
    EXPECT_EQ(run("echo begun").result.out, "begun\n");
}

}  // namespace
}  // namespace lockstep
