#include "steps/lock/cluster_lock_script.hpp"

#include "base/error.hpp"
#include "tests/fakes/shell_host.hpp"
#include "tests/steps/recorded_text.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

namespace lockstep {
namespace {

using Act = LockScript::Act;
using State = LockAnswer::State;

const char* const k_ann = "aaaaaaaaaaaaaaaa";
const char* const k_bob = "bbbbbbbbbbbbbbbb";

LockScript script(Act act, const std::string& id = k_ann) {
    LockScript script;
    script.act = act;
    script.nonce = "00112233445566778899aabbccddeeff";
    script.scope = "orders";
    script.mine.id = id;
    script.mine.run = id == k_ann ? "run-a" : "run-b";
    script.mine.who = id == k_ann ? "ann@ops1" : "bob@ops2";
    script.mine.host = "ops";
    script.mine.engine = "boot pid:[1] 77 8";
    return script;
}

LockScript renewal(std::int64_t fence, bool ours = true, const std::string& id = k_ann) {
    LockScript renew = script(Act::renew, id);
    renew.mine.fence = fence;
    renew.ours = ours;
    return renew;
}

LockAnswer on(const ShellHost& host, const LockScript& script) {
    return read_answer(script, host.run({.script = render(script)}));
}

std::string lock_text(const std::string& id,
                      std::int64_t expires_in,
                      const std::string& left = {}) {
    const std::int64_t now = std::time(nullptr);
    return "id=" + id + "\nrun=run-b\nwho=bob@ops2\nsince=" + std::to_string(now - 100) +
           "\nrenewed=" + std::to_string(now + expires_in - 60) +
           "\nexpires=" + std::to_string(now + expires_in) + "\nfence=4\nleft=" + left + "\n";
}

mode_t mode_of(const std::string& path) {
    struct stat status {};

    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777U;
}

TEST(LockScript, TakesAFreeMember) {
    const ShellHost host;
    const LockAnswer answer = on(host, script(Act::take));
    EXPECT_EQ(answer.state, State::ours);
    EXPECT_EQ(answer.fence, 0);
    EXPECT_FALSE(answer.lock);
    EXPECT_EQ(mode_of(host.folder()), 0700U);
    EXPECT_EQ(mode_of(host.path("lock.orders")), 0600U);
    const LockAnswer look = on(host, script(Act::look));
    ASSERT_TRUE(look.lock);
    EXPECT_EQ(look.lock->id, k_ann);
    EXPECT_EQ(look.lock->run, "run-a");
    EXPECT_EQ(look.lock->who, "ann@ops1");
    EXPECT_EQ(look.lock->host, "ops");
    EXPECT_EQ(look.lock->engine, "boot pid:[1] 77 8");
    EXPECT_EQ(look.lock->left, "");
    EXPECT_EQ(look.lock->expires, look.lock->renewed + 60);
    EXPECT_EQ(look.lock->since, look.lock->renewed);
    EXPECT_NEAR(static_cast<double>(look.now), static_cast<double>(std::time(nullptr)), 30);
}

TEST(LockScript, LeavesAnothersLockAlone) {
    const ShellHost host;
    on(host, script(Act::take));
    const std::string before = host.file("lock.orders");
    const LockAnswer answer = on(host, script(Act::take, k_bob));
    EXPECT_EQ(answer.state, State::held);
    ASSERT_TRUE(answer.lock);
    EXPECT_EQ(answer.lock->id, k_ann);
    EXPECT_EQ(host.file("lock.orders"), before);
}

TEST(LockScript, TakesOverAnExpiredLockAndTellsWhose) {
    const ShellHost host;
    host.write("lock.orders", lock_text(k_bob, -5, "patroni.pause"));
    const LockAnswer answer = on(host, script(Act::take));
    EXPECT_EQ(answer.state, State::ours);
    ASSERT_TRUE(answer.lock);
    EXPECT_EQ(answer.lock->id, k_bob);
    EXPECT_EQ(answer.lock->left, "patroni.pause");
    EXPECT_NE(host.file("lock.orders").find("id=aaaa"), std::string::npos);
}

TEST(LockScript, TakesOverTheLockOfAnEngineThatIsGoneAndOfNoOther) {
    const ShellHost host;
    host.write("lock.orders", lock_text(k_bob, 50));
    LockScript take = script(Act::take);
    take.gone = "cccccccccccccccc";
    EXPECT_EQ(on(host, take).state, State::held);
    take.gone = k_bob;
    EXPECT_EQ(on(host, take).state, State::ours);
}

TEST(LockScript, TakesItsOwnLockAgainAndKeepsSinceWhen) {
    const ShellHost host;
    host.write("lock.orders", lock_text(k_ann, 50));
    EXPECT_EQ(on(host, script(Act::take)).state, State::ours);
    const LockAnswer look = on(host, script(Act::look));
    EXPECT_GE(look.lock->renewed - look.lock->since, 100);
}

TEST(LockScript, ExpiresADamagedLockByItsAge) {
    const ShellHost host;
    host.write("lock.orders", "garbage\n");
    const LockAnswer held = on(host, script(Act::take));
    EXPECT_EQ(held.state, State::held);
    EXPECT_EQ(held.lock->id, "");
    EXPECT_GT(held.lock->expires, held.now);
    LockScript impatient = script(Act::take);
    impatient.ttl = std::chrono::seconds{0};
    EXPECT_EQ(on(host, impatient).state, State::ours);
}

TEST(LockScript, RefusesAMemberWhoseFenceCannotBeRead) {
    const ShellHost host;
    for (const char* damaged : {"", "x\n", "-1\n", "1 2\n"}) {
        host.write("fence.orders", damaged);
        try {
            on(host, script(Act::take));
            ADD_FAILURE() << "taken with the fence " << damaged;
        } catch (const Error& error) {
            EXPECT_NE(std::string(error.what()).find("holds no number"), std::string::npos);
        }
    }
    EXPECT_FALSE(host.has("lock.orders"));
}

TEST(LockScript, ReadsAFenceOf18Digits) {
    const ShellHost host;
    host.write("fence.orders", "999999999999999998\n");
    EXPECT_EQ(on(host, script(Act::take)).fence, 999'999'999'999'999'998);
    EXPECT_EQ(on(host, renewal(999'999'999'999'999'999)).state, State::ours);
    LockScript back = renewal(7);
    EXPECT_EQ(on(host, back).state, State::lost);
    back.odd_fence = 4;
    EXPECT_EQ(on(host, back).state, State::lost) << "that is not what was judged";
    back.odd_fence = 999'999'999'999'999'999;
    EXPECT_EQ(on(host, back).state, State::ours);
    EXPECT_EQ(host.file("fence.orders"), "7\n");
}

std::string refusal_of(const ShellHost& host, Act act) {
    try {
        on(host, script(act));
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.hint()).find("lockstep-engine"), std::string::npos);
        return error.what();
    }
    ADD_FAILURE() << "not refused";
    return {};
}

TEST(LockScript, TouchesNothingThatSomebodyElseMayHaveMade) {
    namespace fs = std::filesystem;
    const ShellHost host;
    const std::string other = fs::path(host.path("x")).parent_path().parent_path() / "other";
    fs::create_directories(other);
    const std::vector<std::pair<std::string, std::function<void()>>> cases{
        {"lockstep is not what lockstep made: it is a symbolic link",
         [&] { fs::create_directory_symlink(other, host.folder()); }},
        {"lockstep is not what lockstep made: others may write to it",
         [&] {
             fs::create_directory(host.folder());
             fs::permissions(host.folder(), fs::perms::all);
         }},
        {"lockstep is not what lockstep made: it is neither a folder nor a file",
         [&] { ASSERT_EQ(::mkfifo(host.folder().c_str(), 0600), 0); }},
        {"fence.orders is not what lockstep made: it is a symbolic link",
         [&] {
             fs::create_directory(host.folder());
             fs::create_symlink(other + "/fence", host.path("fence.orders"));
         }},
        {"lock.orders is not what lockstep made: others may write to it",
         [&] {
             host.write("lock.orders", lock_text(k_bob, 50));
             fs::permissions(host.path("lock.orders"), fs::perms::all);
         }},
        {"started is not what lockstep made: it is neither a folder nor a file",
         [&] {
             fs::create_directories(host.path("spool/r.x"));
             ASSERT_EQ(::mkfifo(host.path("spool/r.x/started").c_str(), 0600), 0);
         }},
    };
    for (const auto& [why, make] : cases) {
        make();
        for (const Act act : {Act::look, Act::take, Act::renew, Act::reset_fence}) {
            EXPECT_NE(refusal_of(host, act).find(why), std::string::npos) << why;
        }
        EXPECT_TRUE(fs::is_empty(other));
        fs::remove_all(host.folder());
    }
    if (::geteuid() != 0) {
        return;
    }
    fs::create_directory(host.folder());
    ASSERT_EQ(::chown(host.folder().c_str(), 65534, 65534), 0);
    for (const Act act : {Act::look, Act::take, Act::renew, Act::reset_fence}) {
        EXPECT_NE(refusal_of(host, act).find("it belongs to "), std::string::npos);
    }
    EXPECT_TRUE(fs::is_empty(host.folder()));

    struct stat status {};

    ASSERT_EQ(::stat(host.folder().c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 65534U) << "nothing is mended that somebody else made";
}

TEST(LockScript, IsRefusedWhileACommandOfAnotherRunRuns) {
    const ShellHost host;
    host.runs_command("run-b.restart.n1.1");
    const LockAnswer answer = on(host, script(Act::take));
    EXPECT_EQ(answer.state, State::busy);
    ASSERT_EQ(answer.commands.size(), 1U);
    EXPECT_EQ(answer.commands[0].key, "run-b.restart.n1.1");
    EXPECT_EQ(answer.commands[0].run(), "run-b");
    EXPECT_FALSE(host.has("lock.orders"));
    EXPECT_EQ(on(host, script(Act::take, k_bob)).state, State::ours);  // its own
}

// Two clusters may have members on one host: each has its own lock, and its own commands.
TEST(LockScript, IsNotRefusedForACommandOnAnotherCluster) {
    const ShellHost host;
    host.runs_command("run-b.restart.n1.1");
    host.write("spool/run-b.restart.n1.1/scope", "orders\n");
    EXPECT_EQ(on(host, script(Act::take)).state, State::busy);
    host.write("spool/run-b.restart.n1.1/scope", "billing\n");
    EXPECT_EQ(on(host, script(Act::take)).state, State::ours);
}

TEST(LockScript, IsNotRefusedForCommandsThatRunNoLonger) {
    const ShellHost host;
    const std::string start = ShellHost::own_start();
    host.write("spool/run-b.ended/started", start + "\n");
    host.write("spool/run-b.ended/rc", "ended 0\n");
    host.write("spool/run-b.died/started", "1 1 " + start.substr(start.rfind(' ') + 1) + "\n");
    host.write("spool/run-b.rebooted/started", start + "0\n");
    host.write("spool/run-b.withdrawn/started", "- me it did not start\n");
    host.write("spool/run-b.unstarted/cmd", "true\n");
    EXPECT_EQ(on(host, script(Act::take)).state, State::ours);
}

TEST(LockScript, FindsACommandWhoseWrapperIsGone) {
    const ShellHost host;
    const std::string start = ShellHost::own_start();
    host.write("spool/run-b.left/started", "1 1 " + start.substr(start.rfind(' ') + 1) + "\n");
    host.write("spool/run-b.left/command", start.substr(0, start.rfind(' ')) + "\n");
    EXPECT_EQ(on(host, script(Act::take)).state, State::busy);
}

TEST(LockScript, RaisesTheFenceWithItsRenewal) {
    const ShellHost host;
    host.write("fence.orders", "7\n");
    EXPECT_EQ(on(host, script(Act::take)).fence, 7);
    EXPECT_EQ(on(host, renewal(8)).state, State::ours);
    EXPECT_EQ(host.file("fence.orders"), "8\n");
    EXPECT_EQ(mode_of(host.path("fence.orders")), 0600U);
    EXPECT_NE(host.file("lock.orders").find("\nfence=8\n"), std::string::npos);
}

TEST(LockScript, RenewsALockThatHasExpiredWhileNobodyTookIt) {
    const ShellHost host;
    host.write("lock.orders", lock_text(k_ann, -500));
    EXPECT_EQ(on(host, renewal(4)).state, State::ours);
    const LockAnswer look = on(host, script(Act::look));
    EXPECT_GT(look.lock->expires, look.now);
    EXPECT_EQ(look.lock->run, "run-a");
}

TEST(LockScript, FindsItsLockLostWhenAnotherHasIt) {
    const ShellHost host;
    for (const int expires_in : {50, -50}) {
        host.write("lock.orders", lock_text(k_bob, expires_in));
        const std::string before = host.file("lock.orders");
        const LockAnswer answer = on(host, renewal(9));
        EXPECT_EQ(answer.state, State::lost);
        EXPECT_EQ(answer.lock->id, k_bob);
        EXPECT_EQ(host.file("lock.orders"), before);
    }
}

TEST(LockScript, FindsItsLockLostWhenTheFenceIsGreater) {
    const ShellHost host;
    host.write("lock.orders", lock_text(k_ann, 50));
    host.write("fence.orders", "5\n");
    const LockAnswer answer = on(host, renewal(4));
    EXPECT_EQ(answer.state, State::lost);
    EXPECT_EQ(answer.fence, 5);
    EXPECT_EQ(host.file("fence.orders"), "5\n");
}

TEST(LockScript, ComesToAMemberThatDoesNotHaveIt) {
    const ShellHost host;
    host.write("fence.orders", "3\n");
    EXPECT_EQ(on(host, renewal(4, false)).state, State::ours);
    EXPECT_EQ(host.file("fence.orders"), "4\n");
    host.write("lock.orders", lock_text(k_bob, 50));
    EXPECT_EQ(on(host, renewal(4, false)).state, State::held);
    host.write("lock.orders", lock_text(k_bob, -50));
    EXPECT_EQ(on(host, renewal(4, false)).state, State::ours);
}

TEST(LockScript, DoesNotRenewPastACommandOfAnotherRun) {
    const ShellHost host;
    host.runs_command("run-b.install");
    LockScript renew = renewal(4, false);
    renew.look_for_commands = true;
    EXPECT_EQ(on(host, renew).state, State::busy);
    EXPECT_FALSE(host.has("lock.orders"));
    EXPECT_FALSE(host.has("fence.orders"));
}

TEST(LockScript, ReleasesItsOwnLockAlone) {
    const ShellHost host;
    EXPECT_EQ(on(host, script(Act::release)).state, State::nothing);
    EXPECT_FALSE(host.has(""));
    on(host, renewal(6, false));
    EXPECT_EQ(on(host, script(Act::release, k_bob)).state, State::nothing);
    EXPECT_TRUE(host.has("lock.orders"));
    EXPECT_EQ(on(host, script(Act::release)).state, State::released);
    EXPECT_FALSE(host.has("lock.orders"));
    EXPECT_EQ(host.file("fence.orders"), "6\n");
}

TEST(LockScript, LeavesAnExpiredLockThatSaysWhatIsLeft) {
    const ShellHost host;
    on(host, renewal(6, false));
    LockScript release = script(Act::release);
    release.mine.left = "patroni.pause";
    EXPECT_EQ(on(host, release).state, State::released);
    const LockAnswer look = on(host, script(Act::look));
    EXPECT_EQ(look.lock->left, "patroni.pause");
    EXPECT_LE(look.lock->expires, look.now);
    EXPECT_EQ(look.lock->fence, 6);
}

TEST(LockScript, PutsBackTheLockThatWasThereBefore) {
    const ShellHost host;
    host.write("lock.orders", lock_text(k_bob, -500, "patroni.pause"));
    const LockAnswer taken = on(host, script(Act::take));
    LockScript release = script(Act::release);
    release.before = taken.lock;
    EXPECT_EQ(on(host, release).state, State::released);
    const LockAnswer look = on(host, script(Act::look));
    EXPECT_EQ(look.lock->id, k_bob);
    EXPECT_EQ(look.lock->left, "patroni.pause");
    EXPECT_EQ(look.lock->expires, taken.lock->expires);
    EXPECT_EQ(look.lock->since, taken.lock->since);
}

TEST(LockScript, UnlocksByIdAndRaisesTheFence) {
    const ShellHost host;
    EXPECT_EQ(on(host, script(Act::unlock)).state, State::nothing);
    on(host, renewal(6, false));
    EXPECT_EQ(on(host, script(Act::unlock, k_bob)).state, State::nothing);
    EXPECT_EQ(host.file("fence.orders"), "6\n");
    EXPECT_EQ(on(host, script(Act::unlock)).state, State::removed);
    EXPECT_FALSE(host.has("lock.orders"));
    EXPECT_EQ(host.file("fence.orders"), "7\n");
    EXPECT_EQ(on(host, renewal(6)).state, State::lost);
}

TEST(LockScript, LooksWithoutLeavingATrace) {
    const ShellHost host;
    EXPECT_EQ(on(host, script(Act::look)).state, State::nothing);
    EXPECT_FALSE(host.has(""));
}

TEST(LockScript, KeepsClustersApart) {
    const ShellHost host;
    LockScript other = script(Act::take, k_bob);
    other.scope = "../billing x";
    EXPECT_EQ(on(host, script(Act::take)).state, State::ours);
    EXPECT_EQ(on(host, other).state, State::ours);
    EXPECT_TRUE(host.has(lock_file_name("../billing x")));
    EXPECT_EQ(lock_file_name("../billing x").find('/'), std::string::npos);
}

TEST(LockScript, QuotesWhateverANameHolds) {
    const ShellHost host;
    LockScript take = script(Act::take);
    take.mine.who = "o'neil $(touch /tmp/x) `id` \"q\"@ops\nid=forged";
    EXPECT_EQ(on(host, take).state, State::ours);
    const LockAnswer look = on(host, script(Act::look));
    EXPECT_EQ(look.lock->who, "o'neil $(touch /tmp/x) `id` \"q\"@ops?id=forged");
    EXPECT_EQ(look.lock->id, k_ann);
}

TEST(LockScript, SaysWhyItCannotWrite) {
    const ShellHost host;
    std::ofstream(host.folder()) << "a file";
    try {
        on(host, script(Act::take));
        ADD_FAILURE() << "taken";
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("cannot be made"), std::string::npos)
            << error.what();
        EXPECT_FALSE(error.hint().empty());
    }
}

/// How many of eight that come at once get the lock, with the guard that this command finds.
std::ptrdiff_t winners_of_a_race(const ShellHost& host, const std::string& looks_for_flock) {
    std::vector<State> states(8, State::nothing);
    {
        std::vector<std::jthread> threads;
        for (std::size_t n = 0; n < states.size(); ++n) {
            threads.emplace_back([&, n] {
                const LockScript take = script(Act::take, "id" + std::to_string(n));
                std::string text = replaced(render(take), "command -v flock", looks_for_flock);
                // Slow between looking and writing: unguarded, all would see a free lock.
                text.insert(text.find("if commands_of_others"), "sleep 0.2\n");
                try {
                    states[n] = read_answer(take, host.run({.script = text})).state;
                } catch (const Error&) {
                    states[n] = State::nothing;  // the guard was busy for too long
                }
            });
        }
    }
    return std::ranges::count(states, State::ours);
}

TEST(LockScript, IsTakenByOneOfManyAtOnce) {
    for (const char* looks_for_flock : {"command -v flock", "command -v there-is-no-flock"}) {
        const ShellHost host;
        EXPECT_EQ(winners_of_a_race(host, looks_for_flock), 1) << looks_for_flock;
        EXPECT_FALSE(host.has("guard.d"));
    }
}

TEST(LockScript, TakesAGuardFromNobody) {
    const ShellHost host;
    on(host, script(Act::take));
    std::filesystem::create_directory(host.folder() + "/guard.d");
    std::filesystem::last_write_time(
        host.folder() + "/guard.d",
        std::filesystem::file_time_type::clock::now() - std::chrono::hours{1});
    const LockScript take = script(Act::take);
    std::string text = replaced(render(take), "command -v flock", "command -v there-is-no-flock");
    text = replaced(text, "patience=4", "patience=0");
    try {
        (void)read_answer(take, host.run({.script = text}));
        ADD_FAILURE() << "taken";
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("somebody else keeps"), std::string::npos)
            << error.what();
    }
    EXPECT_TRUE(host.has("guard.d"));
}

/// The states of one life of the lock in a shell.
std::vector<State> life_in(const std::vector<std::string>& shell) {
    const ShellHost host;
    host.runs_command("run-b.install");
    std::vector<State> states;
    for (const LockScript& step : {script(Act::take),
                                   script(Act::take, k_bob),
                                   renewal(3, true, k_bob),
                                   script(Act::take),
                                   script(Act::unlock, k_bob)}) {
        states.push_back(read_answer(step, host.run_with(shell, render(step))).state);
    }
    return states;
}

TEST(LockScript, RunsInOtherShells) {
    const std::vector<State> expected = {
        State::busy, State::ours, State::ours, State::held, State::removed};
    const std::vector<std::vector<std::string>> shells = {
        {"/bin/dash"}, {"/bin/bash", "--posix"}, {"/bin/busybox", "sh"}};
    for (const std::vector<std::string>& shell : shells) {
        if (std::filesystem::exists(shell[0])) {
            EXPECT_EQ(life_in(shell), expected) << shell[0];
        }
    }
}

TEST(LockAnswer, WithoutAVerdictIsNone) {
    const LockScript take = script(Act::take);
    CommandResult result;
    EXPECT_THROW((void)read_answer(take, result), Error);
    result.out = "@00112233445566778899aabbccddeeff state=ours\n";
    EXPECT_EQ(read_answer(take, result).state, State::ours);
    result.exit_status = 1;
    EXPECT_THROW((void)read_answer(take, result), Error);
    result = {};
    result.out = "Welcome!\nstate=ours\n@ffffffffffffffffffffffffffffffff state=ours\n";
    EXPECT_THROW((void)read_answer(take, result), Error);
    result.exit_status = 1;
    result.err = "sudo: a password is required \xFF\n";
    try {
        (void)read_answer(take, result);
        ADD_FAILURE() << "an answer";
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("a password is required"), std::string::npos);
    }
}

TEST(LockId, IsRandom) {
    EXPECT_EQ(make_lock_id().size(), 16U);
    EXPECT_NE(make_lock_id(), make_lock_id());
}

}  // namespace
}  // namespace lockstep
