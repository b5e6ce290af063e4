#include "tests/fakes/fake_cluster.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

class WalVerify : public testing::Test {
  protected:
    WalVerify() {
        for (auto& [name, member] : world.members) {
            member.sql["settings"]["wal_keep_size"] = {"0", "MB"};
            member.sql["wal"]["oldest"] = "0000000000000005";
        }
    }

    static StepCall verify(Value::Map with = {{"checkpoint", "wait"}}) {
        return step_call("wal.verify", "", std::move(with));
    }

    void holds_old_wal(const std::string& member) {
        world.members.at(member).sql["wal"]["oldest"] = "0000000000000001";
    }

    /// Answers to what a requested checkpoint asks; a CHECKPOINT releases the member's WAL.
    void answers_checkpoints() {
        for (auto& [name, member] : world.members) {
            member.statements = [this, name = name](const SqlStatement& statement) {
                const std::lock_guard lock(mutex);
                asked.push_back(name + ": " + statement.text);
                if (statement.text == "CHECKPOINT") {
                    EXPECT_FALSE(statement.read_only);
                    world.members.at(name).sql["wal"]["oldest"] = "0000000000000005";
                    return SqlResult{};
                }
                if (statement.text == "SELECT pg_catalog.pg_current_wal_lsn()") {
                    return SqlResult{{"lsn"}, {{"0/5000700"}}};
                }
                EXPECT_EQ(statement.params, (Names{"0/5000700"}));
                return SqlResult{{"done"}, {{replayed_after-- > 0 ? "f" : "t"}}};
            };
        }
    }

    FakeCluster world;
    std::mutex mutex;
    std::vector<std::string> asked;
    int replayed_after = 0;
};

TEST_F(WalVerify, PassesWhereNothingOldIsKept) {
    const StepResult result = world.run(verify());
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(result.message, "n1: 96 MB -> 96 MB; n2: 96 MB -> 96 MB; n3: 96 MB -> 96 MB");
    EXPECT_EQ(result.output.at("after").at("n2"), 100663296);
    EXPECT_TRUE(world.clock.sleeps().empty());
}

TEST_F(WalVerify, ToleratesTwoSegmentsAndWhatIsAskedFor) {
    holds_old_wal("n2");  // 64 MB before the redo position
    EXPECT_EQ(world.run(verify()).outcome, StepOutcome::failed);
    world.members.at("n2").sql["settings"]["wal_keep_size"] = {"48", "MB"};
    EXPECT_EQ(world.run(verify()).outcome, StepOutcome::succeeded);
}

TEST_F(WalVerify, GivesUpAfterItsTimeWithSizesAndReasons) {
    holds_old_wal("n2");
    const StepResult result = world.run(verify({{"checkpoint", "wait"}, {"timeout", Value(30s)}}));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(contains(result.message, "pg_wal is not released on every member"))
        << result.message;
    ASSERT_EQ(result.last_lines.size(), 1U);
    EXPECT_EQ(result.last_lines[0], "n2: 96 MB -> 96 MB, 64 MB older than the last restartpoint");
    const auto sleeps = world.clock.sleeps();
    EXPECT_EQ(sleeps, (std::vector<std::chrono::milliseconds>(10, 3s)));  // loop_wait
}

TEST_F(WalVerify, NamesTheSlotThatIsStuck) {
    for (auto& slot : world.members.at("n2").sql["slots"]) {
        slot["restart_lsn"] = "0/1000000";
    }
    holds_old_wal("n2");
    const StepResult result = world.run(verify({{"checkpoint", "wait"}, {"timeout", Value(5s)}}));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    ASSERT_EQ(result.last_lines.size(), 1U);
    EXPECT_TRUE(contains(result.last_lines[0], "slot n1 is stuck and holds 64 MB") ||
                contains(result.last_lines[0], "slot n3 is stuck and holds 64 MB"))
        << result.last_lines[0];
}

// Nobody named it in drop_slots: it stays, and what it holds is said.
TEST_F(WalVerify, PassesBesideAnOrphanThatWasLeft) {
    world.has_slot("n1", "legacy", {{"restart_lsn", "0/1000000"}});
    holds_old_wal("n1");
    const StepResult result = world.run(verify());
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_TRUE(contains(result.message, "legacy")) << result.message;
    EXPECT_TRUE(contains(result.message, "holds 64 MB")) << result.message;
    ASSERT_EQ(result.unproven.size(), 1U);
    EXPECT_TRUE(contains(result.unproven[0], "pg_wal of n1")) << result.unproven[0];
}

TEST_F(WalVerify, CallsNotProvenWhatWaitedForAFailingArchiveBefore) {
    answers_checkpoints();
    holds_old_wal("n1");
    auto& sql = world.members.at("n1").sql;
    sql["archiving_fails"] = true;
    sql["archiver"] = {{"failed", 9}, {"last_failed_wal", "000000040000000000000001"}};
    sql["waiting"] = 4;
    StepCall call = verify({});
    call.at_start = std::make_shared<const ClusterFacts>(world.observe());
    const StepResult result = world.run(call);
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    ASSERT_EQ(result.unproven.size(), 1U);
    EXPECT_TRUE(contains(result.unproven[0], "4 segments wait for archiving, which fails"))
        << result.unproven[0];
    EXPECT_TRUE(contains(result.unproven[0], "as before this run")) << result.unproven[0];
    EXPECT_TRUE(asked.empty());  // no checkpoint lets go of it

    sql["archiving_fails"] = false;  // it fails only since: that is news
    call = verify({{"checkpoint", "wait"}, {"timeout", Value(5s)}});
    call.at_start = std::make_shared<const ClusterFacts>(world.observe());
    sql["archiving_fails"] = true;
    EXPECT_EQ(world.run(call).outcome, StepOutcome::failed);
}

TEST_F(WalVerify, ForetellsWhatItWillNotProve) {
    world.members.at("n1").sql["archiving_fails"] = true;
    world.members.at("n2").sql["settings"]["recovery_min_apply_delay"] = {"3600000", "ms"};
    const std::vector<std::string> notes = world.preview(verify()).notes;
    ASSERT_EQ(notes.size(), 2U);
    EXPECT_TRUE(contains(notes[0], "n1: archiving fails")) << notes[0];
    EXPECT_TRUE(contains(notes[1], "n2 replays 1 h late")) << notes[1];
}

TEST_F(WalVerify, GivesTimeToAnArchiverThatGetsOn) {
    holds_old_wal("n1");
    world.members.at("n1").sql["archiver"] = {{"failed", 0}};
    world.members.at("n1").sql["waiting"] = 4;
    const StepResult result = world.run(verify({{"checkpoint", "wait"}, {"timeout", Value(30s)}}));
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(result.unproven.size(), 1U);
    EXPECT_EQ(world.clock.sleeps().size(), 10U);
}

TEST_F(WalVerify, ForcesOneCheckpointAndNoSecondWhereNothingHasMoved) {
    answers_checkpoints();
    auto& n1 = world.members.at("n1");
    n1.statements = [this, answer = n1.statements](const SqlStatement& statement) {
        const SqlResult result = answer(statement);
        holds_old_wal("n1");
        return result;
    };
    holds_old_wal("n1");
    const StepResult result = world.run(verify({{"timeout", Value(30s)}}));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(std::count(asked.begin(), asked.end(), "n1: CHECKPOINT"), 1);
}

TEST_F(WalVerify, WaitsForNoReplicaThatReplaysLateOnPurpose) {
    answers_checkpoints();
    holds_old_wal("n1");
    world.members.at("n2").sql["settings"]["recovery_min_apply_delay"] = {"3600000", "ms"};
    replayed_after = 0;
    EXPECT_EQ(world.run(verify({})).outcome, StepOutcome::succeeded);
    EXPECT_EQ(std::count(asked.begin(), asked.end(), "n2: CHECKPOINT"), 0);
    EXPECT_EQ(std::count(asked.begin(), asked.end(), "n3: CHECKPOINT"), 1);
}

TEST_F(WalVerify, StopsWaitingForAReplayThatHangsWhenItsTimeIsOver) {
    answers_checkpoints();
    holds_old_wal("n1");
    replayed_after = 1 << 30;
    const StepResult result = world.run(verify({{"timeout", Value(30s)}}));
    EXPECT_LT(world.clock.sleeps().size(), 1000U) << result.message;
}

TEST_F(WalVerify, NeverTakesUnknownForReleased) {
    world.sql.fail("10.0.0.12", TransportError::Kind::connect, "refused");
    const StepResult result = world.run(verify({{"checkpoint", "wait"}, {"timeout", Value(1s)}}));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(contains(result.message, "n2: what its pg_wal holds is not known"))
        << result.message;
}

TEST_F(WalVerify, SaysWhichDiskNobodyCouldLookAt) {
    EXPECT_TRUE(world.run(verify()).unproven.empty());
    world.members.at("n2").ssh_error =
        TransportError(TransportError::Kind::connect, "no connection to root@10.0.0.12:22");
    const StepResult result = world.run(verify());
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    ASSERT_EQ(result.unproven.size(), 1U);
    EXPECT_TRUE(contains(result.unproven[0], "that n2 has room")) << result.unproven[0];
}

TEST_F(WalVerify, IsRefusedWhereAMemberCannotBeAsked) {
    world.sql.fail("10.0.0.12", TransportError::Kind::connect, "refused");
    EXPECT_EQ(ids_of(world.preview(verify()).blocked_by), (Names{"member.unreachable"}));
}

TEST_F(WalVerify, ShowsTheCheckpointOnlyWhereItRequestsOne) {
    EXPECT_TRUE(world.preview(verify()).operations.empty());
    EXPECT_EQ(world.preview(verify({})).operations.size(), 1U);
    EXPECT_FALSE(world.preview(verify({})).notes.empty());
}

TEST_F(WalVerify, RequestsNoCheckpointThatIsNotNeeded) {
    answers_checkpoints();
    EXPECT_EQ(world.run(verify({})).outcome, StepOutcome::succeeded);
    EXPECT_TRUE(asked.empty());
}

// A replica makes a restartpoint only of a checkpoint that it has replayed.
TEST_F(WalVerify, CheckpointsTheLeaderFirstAndEachReplicaOnceItHasReplayed) {
    answers_checkpoints();
    for (const char* name : {"n1", "n2", "n3"}) {
        holds_old_wal(name);
    }
    replayed_after = 3;
    const StepResult result = world.run(verify({}));
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(asked.at(0), "n1: CHECKPOINT");
    EXPECT_EQ(asked.at(1), "n1: SELECT pg_catalog.pg_current_wal_lsn()");
    for (const char* name : {"n2", "n3"}) {
        const std::string who = std::string(name) + ": ";
        const auto checkpoint = std::find(asked.begin(), asked.end(), who + "CHECKPOINT");
        const auto replayed =
            std::find(asked.begin(),
                      asked.end(),
                      who + "SELECT pg_catalog.pg_last_wal_replay_lsn() >= $1::pg_catalog.pg_lsn");
        EXPECT_LT(replayed, checkpoint);
        EXPECT_NE(checkpoint, asked.end());
    }
    EXPECT_EQ(world.clock.sleeps().size(), 3U);
}

TEST_F(WalVerify, PassesOnWhatAReplicaSaysNoTo) {
    answers_checkpoints();
    holds_old_wal("n2");
    world.members.at("n3").statements = [](const SqlStatement&) -> SqlResult {
        throw SqlError("must be superuser", "42501");
    };
    EXPECT_THROW(world.run(verify({})), SqlError);
}

}  // namespace
}  // namespace lockstep
