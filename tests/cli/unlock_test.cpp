#include "cli/unlock.hpp"

#include "base/error.hpp"
#include "engine/run/run_state.hpp"
#include "tests/fakes/fake_clock.hpp"
#include "tests/fakes/fake_http.hpp"
#include "tests/fakes/fake_journal.hpp"
#include "tests/fakes/fake_processes.hpp"
#include "tests/fakes/fake_ssh.hpp"
#include "tests/fakes/shell_host.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

/// Two members with the lock of a run that is gone; the scripts really run.
class UnlockTest : public testing::Test {
  protected:
    UnlockTest() {
        facts.name = facts.scope = "orders";
        header.id = "20261123-091502-3f2a";
        header.plan = {{"steps", nlohmann::json::array()}};
        for (auto* host : {&n1, &n2}) {
            MemberFacts member;
            member.name = member.host = host == &n1 ? "n1" : "n2";
            facts.members.push_back(member);
            host->write("lock.orders", "id=a1\nrun=r1\nwho=ann@ops1\nexpires=1\n");
            ssh.on(member.host,
                   [host](const RemoteCommand& command) { return host->run(command); });
        }
        ConnectionFactory factory;
        factory.ssh = ssh.factory();
        factory.http = http.factory();
        factory.process = processes.factory();
        connections.emplace(cluster, std::move(factory));
    }

    std::vector<FoundLock> unlock(const std::string& id) {
        return unlock_on_record({*connections, clock, journal, facts, id}, header, {});
    }

    RunState replay() {
        RunState state(header.plan);
        for (const JournalRecord& record : journal.records(header.id)) {
            state.apply(record);
        }
        return state;
    }

    Cluster cluster;
    ClusterFacts facts;
    RunHeader header;
    ShellHost n1;
    ShellHost n2;
    FakeSsh ssh;
    FakeHttp http;
    FakeProcesses processes;
    FakeJournal journal;
    FakeClock clock;
    std::optional<Connections> connections;
};

TEST_F(UnlockTest, IsOnRecordAsARunOfItsOwn) {
    const std::vector<FoundLock> locks = unlock("a1");
    ASSERT_EQ(locks.size(), 2U);
    EXPECT_TRUE(locks[0].removed && locks[1].removed);
    EXPECT_FALSE(n1.has("lock.orders"));
    ASSERT_EQ(journal.headers.size(), 1U);
    EXPECT_EQ(journal.headers[0].id, header.id);
    const RunState state = replay();
    EXPECT_EQ(state.phase(), RunPhase::succeeded);
    EXPECT_EQ(state.exit_code(), 0);
    ASSERT_EQ(state.notes().size(), 2U);
    EXPECT_EQ(state.notes()[0].substr(0, 41), "n1: removed: the lock a1 of run r1 by ann");
    std::int64_t seq = 0;
    for (const JournalRecord& record : journal.records(header.id)) {
        EXPECT_EQ(record.seq, ++seq);
    }
}

TEST_F(UnlockTest, RemovesNothingThatIsNotOnRecordFirst) {
    journal.fail_at = 1;
    EXPECT_THROW((void)unlock("a1"), JournalError);
    EXPECT_TRUE(n1.has("lock.orders"));
    EXPECT_TRUE(n2.has("lock.orders"));
}

TEST_F(UnlockTest, OfALockThatIsNotThereLeavesNoRecord) {
    EXPECT_THROW((void)unlock("b2"), UsageError);
    EXPECT_TRUE(journal.headers.empty());
    EXPECT_TRUE(n1.has("lock.orders"));
}

TEST_F(UnlockTest, ThatFailsOnTheWayIsOnRecordAsFailed) {
    for (auto* host : {&n1, &n2}) {
        const std::string name = host == &n1 ? "n1" : "n2";
        ssh.on(name, [host](const RemoteCommand& command) {
            CommandResult result = host->run(command);
            host->write("lock.orders", "id=b2\nrun=r2\nexpires=1\n");  // another run came
            return result;
        });
    }
    EXPECT_THROW((void)unlock("a1"), UsageError);
    EXPECT_EQ(replay().phase(), RunPhase::failed);
    EXPECT_TRUE(n1.has("lock.orders"));
}

TEST_F(UnlockTest, TellsWhereNobodyCouldBeAsked) {
    ssh.fail("n2", TransportError::Kind::connect, "no route to n2");
    const std::vector<FoundLock> locks = unlock("a1");
    EXPECT_TRUE(locks[0].removed);
    EXPECT_EQ(locks[1].error, "no route to n2");
    EXPECT_EQ(replay().notes().at(1), "n2: not asked: no route to n2");
}

TEST_F(UnlockTest, PutsOddFencesBackOnRecord) {
    n1.write("fence.orders", "3\n");
    EXPECT_THROW((void)unlock(""), UsageError);
    EXPECT_TRUE(journal.headers.empty()) << "there is none";
    n2.write("fence.orders", "99999\n");
    EXPECT_TRUE(unlock("").at(1).removed);
    EXPECT_EQ(n2.file("fence.orders"), "3\n");
    EXPECT_TRUE(n1.has("lock.orders")) << "the locks stay";
    EXPECT_EQ(replay().phase(), RunPhase::succeeded);
    EXPECT_EQ(replay().notes().at(0), "n1: left alone");
    EXPECT_EQ(replay().notes().at(1).substr(0, 40), "n2: put back: the fence of n2 is 99999, ");
}

TEST_F(UnlockTest, NeedsTheScope) {
    facts.scope.clear();
    EXPECT_THROW((void)unlock("a1"), Error);
    EXPECT_TRUE(ssh.seen().empty());
}

}  // namespace
}  // namespace lockstep
