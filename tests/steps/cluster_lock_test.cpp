#include "steps/lock/cluster_lock.hpp"

#include "base/error.hpp"
#include "tests/fakes/fake_clock.hpp"
#include "tests/fakes/fake_http.hpp"
#include "tests/fakes/fake_processes.hpp"
#include "tests/fakes/fake_ssh.hpp"
#include "tests/fakes/shell_host.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <deque>
#include <latch>
#include <thread>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using testing::AssertionFailure;
using testing::AssertionResult;
using testing::AssertionSuccess;

// Long enough for any machine where an answer is awaited, and short where none will come.
constexpr auto k_long = 60s;
constexpr auto k_short = 20ms;

AssertionResult holds(const std::string& text, const std::vector<std::string>& parts) {
    for (const std::string& part : parts) {
        if (text.find(part) == std::string::npos) {
            return AssertionFailure() << "no \"" << part << "\" in: " << text;
        }
    }
    return AssertionSuccess();
}

/// Three members on which the lock's scripts really run. Tests cut them off, and act on their files
/// as others would.
class ClusterLockTest : public testing::Test {
  protected:
    ClusterLockTest() {
        cluster.name = "orders";
        facts.name = "orders";
        for (const char* name : {"n3", "n1", "n2"}) {  // not in the order of taking
            MemberFacts member;
            member.name = name;
            member.host = name;
            facts.members.push_back(member);
            hosts.emplace_back();
            mend(name);
        }
        ConnectionFactory factory;
        factory.ssh = ssh.factory();
        factory.http = http.factory();
        factory.process = processes.factory();
        connections.emplace(cluster, std::move(factory));
    }

    ShellHost& host(const std::string& name) {
        return hosts.at(static_cast<std::size_t>(name[1] - '1'));
    }

    void mend(const std::string& name) {
        ssh.on(name,
               [this, name](const RemoteCommand& command) { return host(name).run(command); });
    }

    void cut_off(const std::string& name) {
        ssh.fail(name, TransportError::Kind::connect, "no route to " + name);
    }

    ClusterLock make_lock(LockTiming timing = {.every = 1h}) {
        return {*connections, clock, facts, "orders", timing};
    }

    static LockOwner ann() { return {"aaaaaaaaaaaaaaaa", "run-a", "ann@ops1"}; }

    static LockOwner bob() { return {"bbbbbbbbbbbbbbbb", "run-b", "bob@ops2"}; }

    /// The lock of another, on one member.
    void write_lock(const std::string& name,
                    std::int64_t expires_in,
                    const std::string& left = {},
                    const std::string& engine = {}) {
        const std::int64_t now = std::time(nullptr);
        host(name).write("lock.orders",
                         "id=cccccccccccccccc\nrun=run-c\nwho=eve@ops3\nengine=" + engine +
                             "\nsince=" + std::to_string(now - 180) +
                             "\nrenewed=" + std::to_string(now + expires_in - 60) + "\nexpires=" +
                             std::to_string(now + expires_in) + "\nfence=4\nleft=" + left + "\n");
    }

    AssertionResult has_lock_of(const std::string& name, const std::string& run) {
        const std::string text = host(name).file("lock.orders");
        if (run.empty() ? text.empty() : text.find("run=" + run + "\n") != std::string::npos) {
            return AssertionSuccess();
        }
        return AssertionFailure() << name << " has: " << text;
    }

    /// What is in the way, once it says that: a member may answer after the majority has.
    std::string trouble_about(ClusterLock& lock,
                              const std::vector<std::string>& parts,
                              std::chrono::milliseconds patience) {
        std::string trouble;
        for (int n = 0; n < 1000 && !holds(trouble, parts); ++n) {
            clock.advance(51s);
            trouble = lock.trouble(patience, {});
        }
        return trouble;
    }

    std::string refusal(const LockOwner& owner) {
        ClusterLock lock = make_lock();
        try {
            lock.take(owner, {});
        } catch (const LockHeldError& error) {
            return std::string(error.what()) + " HINT: " + error.hint();
        }
        ADD_FAILURE() << "the lock was taken";
        return {};
    }

    Cluster cluster;
    ClusterFacts facts;
    FakeSsh ssh;
    FakeHttp http;
    FakeProcesses processes;
    FakeClock clock;
    std::deque<ShellHost> hosts;
    std::optional<Connections> connections;
};

TEST_F(ClusterLockTest, IsTakenOnEveryMemberInOrderWithOneFence) {
    host("n2").write("fence.orders", "41\n");
    ClusterLock lock = make_lock();
    EXPECT_EQ(lock.fence(), 0);
    const LockGrant grant = lock.take(ann(), {});
    EXPECT_EQ(grant.fence, 42);
    EXPECT_EQ(lock.fence(), 42);
    EXPECT_TRUE(grant.notes.empty()) << grant.notes[0];
    for (const char* name : {"n1", "n2", "n3"}) {
        const std::string files = host(name).file("lock.orders") + host(name).file("fence.orders");
        EXPECT_TRUE(holds(files, {"run=run-a\nwho=ann@ops1\n", "\nfence=42\n", "left=\n42\n"}));
    }
    EXPECT_EQ(lock.trouble(0ms, {}), "");
}

TEST_F(ClusterLockTest, IsTakenInTheOrderOfNames) {
    ClusterLock lock = make_lock();
    lock.take(ann(), {});
    const auto seen = ssh.seen();
    ASSERT_GE(seen.size(), 6U);  // the first three: all are met at once
    EXPECT_EQ(seen[3].first + seen[4].first + seen[5].first, "n1n2n3");
}

TEST_F(ClusterLockTest, KeepsASecondRunOut) {
    ClusterLock lock = make_lock();
    lock.take(ann(), {});
    EXPECT_TRUE(holds(refusal(bob()),
                      {"another run holds the cluster orders: run run-a by ann@ops1",
                       "seen on n1",
                       "taken ",
                       "expires in ",
                       "`lockstep unlock orders --lock-id aaaaaaaaaaaaaaaa`"}));
    EXPECT_TRUE(has_lock_of("n1", "run-a"));
    EXPECT_EQ(lock.trouble(0ms, {}), "");
}

TEST_F(ClusterLockTest, IsFreeAfterItsRelease) {
    ClusterLock first = make_lock();
    EXPECT_EQ(first.take(ann(), {}).fence, 1);
    first.release("");
    EXPECT_FALSE(host("n1").has("lock.orders"));
    EXPECT_NE(first.trouble(0ms, {}), "");
    ClusterLock second = make_lock();
    const LockGrant grant = second.take(bob(), {});
    EXPECT_EQ(grant.fence, 2);
    EXPECT_TRUE(grant.notes.empty());
}

TEST_F(ClusterLockTest, StaysWithWhatTheRunLeft) {
    ClusterLock first = make_lock();
    first.take(ann(), {});
    first.release("patroni.pause");
    EXPECT_TRUE(holds(host("n2").file("lock.orders"), {"run=run-a\n", "left=patroni.pause\n"}));
    ClusterLock second = make_lock();
    const LockGrant grant = second.take(bob(), {});
    EXPECT_EQ(grant.left_behind, "patroni.pause");
    ASSERT_EQ(grant.notes.size(), 1U);
    EXPECT_TRUE(holds(grant.notes[0],
                      {"took over the lock of run run-a by ann@ops1, expired ",
                       "that run left patroni.pause",
                       "(on n1, n2 and n3)"}));
}

TEST_F(ClusterLockTest, SaysWhatItsRunWouldLeaveBeforeThatIsInForce) {
    ClusterLock lock = make_lock();
    lock.take(ann(), {});
    EXPECT_EQ(lock.sign("patroni.pause", 30s, {}), "");
    const auto signed_on = [&] {
        int members = 0;
        for (const char* name : {"n1", "n2", "n3"}) {
            members += holds(host(name).file("lock.orders"), {"left=patroni.pause\n"}) ? 1 : 0;
        }
        return members;
    };
    EXPECT_GE(signed_on(), 2) << "no majority has it";
    lock.sign_later("");
    for (int n = 0; n < 1000 && signed_on() > 0; ++n) {
        std::this_thread::sleep_for(10ms);
    }
    EXPECT_EQ(signed_on(), 0);
    EXPECT_EQ(lock.trouble(0ms, {}), "");
}

TEST_F(ClusterLockTest, WithoutASignOnAMajorityIsNoLockToChangeAnythingUnder) {
    ClusterLock lock = make_lock();
    lock.take(ann(), {});
    cut_off("n1");
    cut_off("n3");
    EXPECT_TRUE(holds(lock.sign("patroni.pause", 50ms, {}), {"could not be renewed in time"}));
}

TEST_F(ClusterLockTest, IsToldOnceThoughAnotherLocksAgeDiffersByMember) {
    for (const char* name : {"n1", "n2", "n3"}) {
        const auto expired = std::time(nullptr) - (name[1] - '0') * 5;
        host(name).write("lock.orders",
                         "id=eeeeeeeeeeeeeeee\nrun=run-e\nwho=eve@ops3\nhost=ops3\n"
                         "engine=\nsince=" +
                             std::to_string(expired - 60) + "\nexpires=" + std::to_string(expired) +
                             "\nfence=7\nleft=\n");
    }
    ClusterLock lock = make_lock();
    const LockGrant grant = lock.take(ann(), {});
    ASSERT_EQ(grant.notes.size(), 1U);
    EXPECT_TRUE(holds(grant.notes[0], {"eve@ops3, expired ", "(on n1, n2 and n3)"}));
}

TEST_F(ClusterLockTest, IsTakenWithoutAMemberThatIsAway) {
    cut_off("n2");
    ClusterLock lock = make_lock();
    const LockGrant grant = lock.take(ann(), {});
    ASSERT_EQ(grant.notes.size(), 1U);
    EXPECT_EQ(grant.notes[0], "the lock is not on n2: no route to n2");
}

TEST_F(ClusterLockTest, NeedsAMajorityOfAllMembers) {
    cut_off("n2");
    cut_off("n3");
    ClusterLock lock = make_lock();
    try {
        lock.take(ann(), {});
        ADD_FAILURE() << "taken on one member of three";
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), TransportError::Kind::connect);
        EXPECT_TRUE(
            holds(error.what(),
                  {"on 1 of 3 members, and needs 2", "n2: no route to n2", "n3: no route to n3"}));
    }
    EXPECT_FALSE(host("n1").has("lock.orders"));
    EXPECT_EQ(lock.fence(), 0);
    EXPECT_NE(lock.trouble(0ms, {}), "");
}

TEST_F(ClusterLockTest, IsNotTakenWhereTheScriptDoesNotWork) {
    for (const char* name : {"n1", "n2"}) {
        ssh.on(name, [](const RemoteCommand&) {
            CommandResult result;
            result.exit_status = 1;
            result.err = "sudo: a password is required\n";
            return result;
        });
    }
    ClusterLock lock = make_lock();
    try {
        lock.take(ann(), {});
        ADD_FAILURE() << "taken";
    } catch (const TransportError& error) {
        EXPECT_TRUE(holds(error.what(), {"n1: sudo: a password is required"}));
    }
}

TEST_F(ClusterLockTest, IsGivenBackWhereItWasTakenWhenALaterMemberRefuses) {
    write_lock("n1", -500, "patroni.pause");
    write_lock("n2", 40);
    write_lock("n3", 40);
    EXPECT_TRUE(holds(refusal(ann()), {"run run-c by eve@ops3", "seen on n2", "taken 3 min"}));
    EXPECT_TRUE(has_lock_of("n1", "run-c"));
    EXPECT_TRUE(holds(host("n1").file("lock.orders"), {"left=patroni.pause"}));
    EXPECT_TRUE(has_lock_of("n2", "run-c"));
    EXPECT_TRUE(has_lock_of("n3", "run-c"));
}

TEST_F(ClusterLockTest, OfACrashedEngineOfThisMachineIsTakenAtOnce) {
    // Another process of this boot that has ended: its pid is ours now, its start is not.
    const std::string own = own_engine_process();
    write_lock("n1", 50, {}, own.substr(0, own.rfind(' ')) + " 1");
    ClusterLock lock = make_lock();
    const LockGrant grant = lock.take({ann().id, "run-c", "eve@ops3"}, {});
    ASSERT_EQ(grant.notes.size(), 1U);
    EXPECT_TRUE(holds(grant.notes[0], {"run run-c by eve@ops3, whose engine is gone", "(on n1)"}));
}

TEST_F(ClusterLockTest, OfTheSameRunIsNotTakenFromAnEngineThatMayLive) {
    for (const std::string& engine : {own_engine_process(), std::string("elsewhere pid:[1] 2 3")}) {
        write_lock("n1", 50, {}, engine);
        write_lock("n2", 50, {}, engine);
        EXPECT_TRUE(holds(refusal({ann().id, "run-c", "eve@ops3"}), {"another run holds"}));
    }
}

TEST_F(ClusterLockTest, IsRefusedWhileACommandOfAnotherRunRuns) {
    write_lock("n2", -500);
    host("n2").runs_command("run-c.install.n2.1");
    EXPECT_TRUE(holds(refusal(ann()),
                      {"another run's command still runs on n2",
                       "run-c.install.n2.1 of run run-c, started ",
                       "Wait until it has ended"}));
    EXPECT_FALSE(host("n1").has("lock.orders"));
    EXPECT_TRUE(has_lock_of("n2", "run-c"));
}

TEST_F(ClusterLockTest, FindsACommandThatStartedAfterItLooked) {
    ssh.on("n1", [this](const RemoteCommand& command) {
        CommandResult result = host("n1").run(command);
        if (host("n1").has("lock.orders")) {
            host("n1").runs_command("run-c.install.n1.1");
        }
        return result;
    });
    EXPECT_TRUE(holds(refusal(ann()), {"another run's command still runs on n1"}));
    for (const char* name : {"n1", "n2", "n3"}) {
        EXPECT_FALSE(host(name).has("lock.orders")) << name;
    }
}

TEST_F(ClusterLockTest, IsGivenBackWhenTakingIsCancelled) {
    std::stop_source stop;
    ssh.on("n2", [&](const RemoteCommand& command) {
        stop.request_stop();
        return host("n2").run(command);
    });
    ClusterLock lock = make_lock();
    try {
        lock.take(ann(), stop.get_token());
        ADD_FAILURE() << "taken";
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), TransportError::Kind::cancelled);
    }
    EXPECT_FALSE(host("n1").has("lock.orders"));
    EXPECT_FALSE(host("n2").has("lock.orders"));
}

TEST_F(ClusterLockTest, IsGivenBackWhereTheAnswerToTakingItWasLost) {
    write_lock("n3", 50);
    std::atomic<int> taken{0};
    ssh.on("n1", [&](const RemoteCommand& command) {
        CommandResult result = host("n1").run(command);
        if (host("n1").has("lock.orders") && taken++ == 0) {
            throw TransportError(TransportError::Kind::lost, "the connection broke");
        }
        return result;
    });
    refusal(ann());
    EXPECT_FALSE(host("n1").has("lock.orders"));
}

TEST_F(ClusterLockTest, SaysNothingTwiceWhileItIsValid) {
    ClusterLock lock = make_lock();
    lock.take(ann(), {});
    const std::size_t before = ssh.seen().size();
    clock.advance(49s);
    EXPECT_EQ(lock.trouble(k_long, {}), "");
    EXPECT_EQ(ssh.seen().size(), before);
}

TEST_F(ClusterLockTest, IsRenewedBeforeItIsReliedOnAfterAFreeze) {
    ClusterLock lock = make_lock();
    lock.take(ann(), {});
    const std::size_t before = ssh.seen().size();
    clock.advance(51s);
    EXPECT_NE(lock.trouble(0ms, {}), "");
    EXPECT_EQ(lock.trouble(k_long, {}), "");
    EXPECT_GT(ssh.seen().size(), before);
}

TEST_F(ClusterLockTest, IsNotValidByAnAnswerThatCameTooLate) {
    ClusterLock lock = make_lock();
    lock.take(ann(), {});
    clock.advance(51s);
    for (const char* name : {"n1", "n2", "n3"}) {
        ssh.on(name, [this, name](const RemoteCommand& command) {
            clock.advance(51s);  // frozen while the answer was on its way
            return host(name).run(command);
        });
    }
    EXPECT_TRUE(holds(lock.trouble(k_short, {}), {"could not be renewed in time"}));
}

TEST_F(ClusterLockTest, MissesRenewalsUntilItRunsOutAndRecovers) {
    ClusterLock lock = make_lock();
    lock.take(ann(), {});
    cut_off("n1");
    cut_off("n3");
    clock.advance(49s);
    EXPECT_EQ(lock.trouble(0ms, {}), "");
    clock.advance(1s);
    EXPECT_NE(lock.trouble(0ms, {}), "");
    EXPECT_TRUE(holds(trouble_about(lock, {"no route to n1", "no route to n3"}, k_short),
                      {"could not be renewed in time on 2 of 3 members",
                       "n1: no route to n1",
                       "n3: no route to n3"}));
    mend("n3");
    EXPECT_EQ(lock.trouble(k_long, {}), "");
}

TEST_F(ClusterLockTest, DoesNotWaitForAMemberThatHangs) {
    std::latch released(1);
    ClusterLock lock = make_lock();
    lock.take(ann(), {});
    ssh.on("n2", [&](const RemoteCommand&) -> CommandResult {
        released.wait();
        throw TransportError(TransportError::Kind::timeout, "no answer");
    });
    clock.advance(51s);
    EXPECT_EQ(lock.trouble(k_long, {}), "");
    released.count_down();
}

TEST_F(ClusterLockTest, IsLostForGoodWhenAnotherRunHasIt) {
    ClusterLock lock = make_lock();
    lock.take(ann(), {});
    write_lock("n2", 50);
    write_lock("n3", 50);
    const std::string trouble = trouble_about(lock, {"is lost"}, k_long);
    EXPECT_TRUE(holds(trouble, {"is lost: on n", "it is held by run run-c by eve@ops3"}));
    write_lock("n2", -50);
    EXPECT_EQ(lock.trouble(k_long, {}), trouble);
    EXPECT_TRUE(has_lock_of("n2", "run-c"));
    lock.release("");
    EXPECT_TRUE(has_lock_of("n2", "run-c"));
    EXPECT_FALSE(host("n1").has("lock.orders"));
}

TEST_F(ClusterLockTest, IsLostForGoodWhenTheFenceWasRaised) {
    ClusterLock lock = make_lock();
    lock.take(ann(), {});
    (void)break_lock(*connections, facts, "orders", ann().id, {});
    EXPECT_TRUE(
        holds(trouble_about(lock, {"is lost"}, k_long), {"is lost", "(its fence is 2, ours 1)"}));
    EXPECT_FALSE(host("n1").has("lock.orders"));
}

TEST_F(ClusterLockTest, IsNotLostByTheWordOfOneMember) {
    ClusterLock lock = make_lock();
    lock.take(ann(), {});
    host("n3").write("fence.orders", "999999999999999999\n");
    for (int n = 0; n < 3; ++n) {
        clock.advance(51s);
        EXPECT_EQ(lock.trouble(k_long, {}), "");
    }
    EXPECT_EQ(host("n1").file("fence.orders"), "1\n");
    EXPECT_EQ(host("n2").file("fence.orders"), "1\n");
}

TEST_F(ClusterLockTest, IsNotStoppedByACommandThatAMemberSpeaksOfUnasked) {
    ClusterLock lock = make_lock();
    lock.take(ann(), {});
    int lies = 0;
    ssh.on("n3", [&](const RemoteCommand& command) {
        CommandResult result = host("n3").run(command);
        if (const auto at = result.out.find("state=ours"); at != std::string::npos) {
            result.out.replace(at, 10, "state=busy");
            ++lies;
        }
        return result;
    });
    for (int n = 0; n < 3; ++n) {
        clock.advance(51s);
        EXPECT_EQ(lock.trouble(k_long, {}), "");
    }
    lock.release("");
    EXPECT_GT(lies, 0);
}

TEST_F(ClusterLockTest, OfOneMemberAloneKeepsNobodyOut) {
    write_lock("n1", 5'000'000);
    ClusterLock lock = make_lock();
    const LockGrant grant = lock.take(ann(), {});
    ASSERT_EQ(grant.notes.size(), 1U);
    EXPECT_TRUE(
        holds(grant.notes[0], {"not on n1", "run run-c by eve@ops3", "no majority has it"}));
    EXPECT_TRUE(has_lock_of("n1", "run-c"));
    EXPECT_EQ(lock.trouble(0ms, {}), "");
    lock.release("");
    cut_off("n2");
    EXPECT_TRUE(holds(refusal(ann()), {"another run holds", "seen on n1"}))
        << "n2 may have it as well";
}

TEST_F(ClusterLockTest, TakesNoFenceThatOneMemberAloneHas) {
    host("n1").write("fence.orders", "5\n");
    host("n2").write("fence.orders", "5\n");
    host("n3").write("fence.orders", "999999999999999999\n");
    ClusterLock lock = make_lock();
    const LockGrant grant = lock.take(ann(), {});
    EXPECT_EQ(grant.fence, 6);
    ASSERT_EQ(grant.notes.size(), 1U);
    EXPECT_TRUE(holds(grant.notes[0],
                      {"the fence of n3 is 999999999999999999", "at most 5", "put back to 6"}));
    for (const char* name : {"n1", "n2", "n3"}) {
        EXPECT_EQ(host(name).file("fence.orders"), "6\n");
        EXPECT_TRUE(has_lock_of(name, "run-a"));
    }
}

TEST_F(ClusterLockTest, GoesBeyondAnAttemptThatFoundNoMajority) {
    host("n1").write("fence.orders", "5\n");
    host("n3").write("fence.orders", "8\n");
    ClusterLock lock = make_lock();
    EXPECT_EQ(lock.take(ann(), {}).fence, 9);
    EXPECT_EQ(host("n3").file("fence.orders"), "9\n");
}

TEST_F(ClusterLockTest, IsNobodysWhereTooFewAnswerToTellWhichFenceIsRight) {
    cut_off("n1");
    host("n3").write("fence.orders", "5000\n");
    ClusterLock lock = make_lock();
    try {
        lock.take(ann(), {});
        ADD_FAILURE() << "taken";
    } catch (const TransportError& error) {
        EXPECT_TRUE(holds(error.what(), {"the fence of n3 is 5000", "too few members"}));
        EXPECT_TRUE(holds(error.hint(), {"`lockstep unlock orders --reset-fence`"}));
    }
    EXPECT_FALSE(host("n2").has("lock.orders"));
    EXPECT_THROW((void)find_odd_fences(*connections, facts, "orders", {}), TransportError);
}

TEST_F(ClusterLockTest, HasItsOddFencesPutBackByName) {
    host("n1").write("fence.orders", "5\n");
    host("n2").write("fence.orders", "6\n");
    EXPECT_THROW((void)find_odd_fences(*connections, facts, "orders", {}), UsageError);
    host("n3").write("fence.orders", "99999\n");
    const std::vector<FoundLock> found = find_odd_fences(*connections, facts, "orders", {});
    EXPECT_EQ(host("n3").file("fence.orders"), "99999\n");
    EXPECT_EQ(found[0].member, "n3");
    EXPECT_TRUE(holds(found[0].found, {"the fence of n3 is 99999", "at most 6"}));
    const std::vector<FoundLock> reset = reset_odd_fences(*connections, facts, "orders", {});
    EXPECT_TRUE(reset[0].removed);
    EXPECT_FALSE(reset[1].removed);
    EXPECT_EQ(host("n3").file("fence.orders"), "6\n");
    EXPECT_EQ(host("n1").file("fence.orders"), "5\n");
    host("n3").write("fence.orders", "junk\n");
    EXPECT_TRUE(reset_odd_fences(*connections, facts, "orders", {})[0].removed);
    EXPECT_EQ(host("n3").file("fence.orders"), "6\n");
    write_lock("n1", 50);
    write_lock("n2", 50);
    EXPECT_THROW((void)find_odd_fences(*connections, facts, "orders", {}), UsageError);
}

TEST_F(ClusterLockTest, ComesToAMemberThatIsReachedLater) {
    cut_off("n3");
    host("n3").write("fence.orders", "1\n");
    ClusterLock lock = make_lock();
    EXPECT_EQ(lock.take(ann(), {}).fence, 1);
    mend("n3");
    clock.advance(51s);
    EXPECT_EQ(lock.trouble(k_long, {}), "");
    lock.release("patroni.pause");  // waits for the round that is under way
    for (const char* name : {"n1", "n2", "n3"}) {
        EXPECT_EQ(host(name).file("fence.orders"), "1\n");
    }
    EXPECT_TRUE(has_lock_of("n1", "run-a"));
    EXPECT_TRUE(has_lock_of("n2", "run-a"));
}

TEST_F(ClusterLockTest, IsInTroubleWhileACommandOfAnotherRunRunsOnAMemberThatComesBack) {
    cut_off("n3");
    host("n3").runs_command("run-c.install.n3.1");
    ClusterLock lock = make_lock();
    lock.take(ann(), {});
    mend("n3");
    const std::string trouble = trouble_about(lock, {"run-c.install"}, k_short);
    EXPECT_TRUE(holds(trouble, {"another run's command still runs on n3", "run-c.install.n3.1"}));
    host("n3").write("spool/run-c.install.n3.1/rc", "ended 0\n");
    EXPECT_EQ(lock.trouble(k_long, {}), "");
    EXPECT_TRUE(has_lock_of("n3", "run-a"));
}

TEST_F(ClusterLockTest, IsRenewedByItself) {
    std::atomic<int> renewals{0};
    std::latch often(3);
    ClusterLock lock = make_lock({.every = 1ms});
    lock.take(ann(), {});
    ssh.on("n1", [&](const RemoteCommand& command) {
        if (renewals++ < 3) {
            often.count_down();
        }
        return host("n1").run(command);
    });
    often.wait();
    lock.release("");
    EXPECT_FALSE(host("n1").has("lock.orders"));
}

TEST_F(ClusterLockTest, WaitsNoLongerWhenToldToStop) {
    ClusterLock lock = make_lock();
    lock.take(ann(), {});
    cut_off("n1");
    cut_off("n2");
    clock.advance(51s);
    std::stop_source stop;
    stop.request_stop();
    EXPECT_NE(lock.trouble(1h, stop.get_token()), "");
}

TEST_F(ClusterLockTest, IsNotHeldBeforeItIsTaken) {
    ClusterLock lock = make_lock();
    EXPECT_EQ(lock.trouble(0ms, {}), "the lock of orders is not held");
    lock.release("");
    EXPECT_TRUE(ssh.seen().empty());
}

TEST_F(ClusterLockTest, IsUnlockedByIdOnEveryMemberThatHasIt) {
    write_lock("n1", 50);
    write_lock("n2", -50);
    host("n2").write("fence.orders", "4\n");
    cut_off("n3");
    const std::vector<FoundLock> found =
        find_lock(*connections, facts, "orders", "cccccccccccccccc", {});
    ASSERT_EQ(found.size(), 3U);
    EXPECT_TRUE(has_lock_of("n1", "run-c"));
    const std::vector<FoundLock> broken =
        break_lock(*connections, facts, "orders", "cccccccccccccccc", {});
    EXPECT_EQ(broken[0].member, "n3");
    EXPECT_EQ(broken[0].error, "no route to n3");
    EXPECT_FALSE(broken[0].has_it);
    EXPECT_EQ(broken[1].member, "n1");
    EXPECT_TRUE(broken[1].removed);
    EXPECT_TRUE(holds(broken[1].found, {"of run run-c by eve@ops3, renewed ", "expires in "}));
    EXPECT_TRUE(broken[2].removed);
    EXPECT_TRUE(holds(broken[2].found, {"expired "}));
    EXPECT_FALSE(host("n1").has("lock.orders"));
    EXPECT_EQ(host("n1").file("fence.orders"), "1\n");
    EXPECT_EQ(host("n2").file("fence.orders"), "5\n");
}

TEST_F(ClusterLockTest, UnlockNamesTheLocksThatThereAre) {
    write_lock("n1", 50);
    cut_off("n3");
    try {
        (void)break_lock(*connections, facts, "orders", "dddddddddddddddd", {});
        ADD_FAILURE() << "unlocked";
    } catch (const UsageError& error) {
        EXPECT_TRUE(holds(error.what(), {"no member of orders has a lock with the id dddd"}));
        EXPECT_TRUE(holds(error.hint(),
                          {"There is cccccccccccccccc on n1", "not asked: n3: no route to n3"}));
    }
    EXPECT_TRUE(has_lock_of("n1", "run-c"));
}

TEST_F(ClusterLockTest, UnlockIsInTroubleWhenNobodyAnswers) {
    for (const char* name : {"n1", "n2", "n3"}) {
        cut_off(name);
    }
    EXPECT_THROW((void)find_lock(*connections, facts, "orders", ann().id, {}), TransportError);
}

TEST(SystemClock, CountsTheTimeSinceBootWithSuspend) {
    SystemClock clock;
    const auto awake =
        std::chrono::floor<std::chrono::milliseconds>(clock.steady_now().time_since_epoch());
    const auto before = clock.since_boot();
    EXPECT_GE(before, awake);
    EXPECT_GE(clock.since_boot(), before);
}

}  // namespace
}  // namespace lockstep
