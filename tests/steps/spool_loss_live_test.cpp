#include "tests/steps/spool_live.hpp"

#include <optional>

// What may go wrong: lost connections, late starts, older locks, kills, reboots.
namespace lockstep {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

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
                [this, &end] { end = run_on(*make_ssh_session(sshd_->endpoint()), job_); });
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

TEST_P(SpoolLive, BeginsOnceThoughItsWrapperIsLaunchedTwice) {
    run("echo x >>" + dir_.path("count"));
    for (const auto& entry : fs::directory_iterator(file(""))) {
        const std::string name = entry.path().filename();
        if (name.starts_with("cmd.")) {
            out_of("/bin/sh " + file("wrapper") + " " + name.substr(4) + " '' 2>/dev/null");
        }
    }
    EXPECT_EQ(read_file(dir_.path("count")), "x\n");
}

TEST_P(SpoolLive, BeginsNothingBeforeAllOfItHasArrived) {
    job_.command.script = "echo x >>" + dir_.path("count");
    job_.command.stdin_data = "input";
    const std::string request = on_stdin(make_request(job_, "cut", {"us", 1}, 0), "cut");
    for (const std::size_t missing : {std::size_t{2}, std::size_t{6}, std::size_t{12}}) {
        say(request.substr(0, request.size() - missing));
        EXPECT_FALSE(fs::exists(file("started"))) << missing;
        EXPECT_FALSE(is_on_disk("inpu")) << missing;
    }
    EXPECT_EQ(run(job_).result.exit_status, 0);
    EXPECT_EQ(read_file(dir_.path("count")), "x\n");
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

// A start of this process may have been on its way when its connection was lost, and get through.
TEST_P(SpoolLive, DoesNotBeginWhatWasOnItsWayWhenItWasFoundAbsent) {
    job_.command.script = "echo x >>" + dir_.path("count");
    const std::string early = on_stdin(make_request(job_, "early", {"us", 1}, 0), "early");
    job_.attach_only = true;
    EXPECT_NE(say(on_stdin(make_request(job_, "look", {"us", 2}, 0), "look")).find("@look absent"),
              std::string::npos);
    EXPECT_NE(say(early).find("@early absent"), std::string::npos);
    EXPECT_FALSE(fs::exists(dir_.path("count")));
    job_.attach_only = false;
    EXPECT_NE(say(on_stdin(make_request(job_, "late", {"us", 3}, 0), "late")).find("@late ended 0"),
              std::string::npos);
    EXPECT_NE(say(early).find("@early ended 0"), std::string::npos);
    EXPECT_EQ(read_file(dir_.path("count")), "x\n");
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

TEST_P(SpoolLive, IsNotAbsentWhenItBeganWhileItWasLookedFor) {
    replaced_ = "! withdraw \"it was";
    replacement_ = "echo \"$$ 1 $boot\" >\"$job/started\"; ! withdraw \"it was";
    const SpoolEnd end = attach();
    EXPECT_EQ(end.kind, SpoolEnd::Kind::died) << end.why;
    EXPECT_TRUE(end.adopted);
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

TEST_P(SpoolLive, SaysDiedWhenItsRecordIsEmpty) {
    fs::create_directories(file(""));
    std::ofstream(file("started")) << "";
    const SpoolEnd end = run("echo x >" + dir_.path("count"));
    EXPECT_EQ(end.kind, SpoolEnd::Kind::died);
    EXPECT_NE(end.why.find("empty"), std::string::npos) << end.why;
    EXPECT_FALSE(fs::exists(dir_.path("count")));
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
    replaced_ = "setsid";
    replacement_ = "no-such-program";
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
    replaced_.clear();
    EXPECT_EQ(run("echo begun").result.out, "begun\n");
}

}  // namespace
}  // namespace lockstep
