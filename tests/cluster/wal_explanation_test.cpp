#include "cluster/wal_explanation.hpp"

#include "tests/cluster/sample_facts.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

constexpr Lsn k_segment = 16 << 20;
constexpr Lsn k_now = 0x20000000;  // where every member of the sample is

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// n2, a replica: a restartpoint a minute ago, one segment behind, and nothing else.
class WalExplanationTest : public testing::Test {
  protected:
    WalExplanationTest() {
        WalFacts& wal = *n2().wal;
        wal.checkpoint_age_seconds = 60;
        wal.checkpoint_timeout_seconds = 300;
        n2().slots->clear();
    }

    MemberFacts& n2() { return *facts.find("n2"); }

    WalExplanation explain() { return explain_wal(facts, n2()); }

    /// A slot that holds `segments`, as far as there are files.
    SlotFacts& has_slot(const std::string& name, Lsn segments, bool active = false) {
        n2().slots->push_back(sample_slot(name, active, k_now - segments * k_segment));
        return n2().slots->back();
    }

    void has_files_from(Lsn segments_ago) {
        n2().wal->oldest = k_now - segments_ago * k_segment;
        n2().wal->files = static_cast<std::int64_t>(segments_ago) + 1;
        n2().wal->bytes = n2().wal->files * static_cast<std::int64_t>(k_segment);
    }

    static std::vector<std::string> kinds(const WalExplanation& explanation) {
        std::vector<std::string> found;
        for (const WalHolder& holder : explanation.holders) {
            found.push_back(holder.kind);
        }
        return found;
    }

    ClusterFacts facts = healthy_cluster("4.0.7");
};

using Kinds = std::vector<std::string>;

// Seen as "renamed for WAL to come", and as held by wal_keep_size, which counts from there.
TEST_F(WalExplanationTest, TellsWhatIsReceivedAndNotReplayedFromOldSegments) {
    n2().wal->apply_delay_ms = 3'600'000;
    n2().wal->keep_size = 8 * static_cast<std::int64_t>(k_segment);
    n2().received = k_now + 12 * k_segment;
    has_files_from(1);
    n2().wal->bytes = 14 * static_cast<std::int64_t>(k_segment);
    const WalExplanation explanation = explain();
    const auto replay = std::ranges::find(explanation.holders, "replay", &WalHolder::kind);
    ASSERT_NE(replay, explanation.holders.end());
    EXPECT_EQ(replay->bytes, 12 * static_cast<std::int64_t>(k_segment));
    EXPECT_TRUE(has(replay->text, "recovery_min_apply_delay is 1 h")) << replay->text;
    EXPECT_EQ(std::ranges::find(explanation.holders, "reuse", &WalHolder::kind),
              explanation.holders.end());
    EXPECT_FALSE(has(explanation.verdict, "wal_keep_size decides")) << explanation.verdict;
}

TEST_F(WalExplanationTest, OfAHealthyMemberFindsNothingWrong) {
    const WalExplanation explanation = explain();
    EXPECT_EQ(kinds(explanation), (Kinds{"reuse", "checkpoint"}));
    EXPECT_EQ(explanation.decider()->kind, "checkpoint");
    EXPECT_EQ(explanation.verdict,
              "nothing is kept but what a restart would need; nothing is wrong");
    EXPECT_TRUE(explanation.remedy.empty());
    EXPECT_TRUE(has(explanation.holders[1].text, "restartpoint, 1 min"))
        << explanation.holders[1].text;
}

TEST_F(WalExplanationTest, NamesTheStuckSlotAndWhatItWouldRelease) {
    has_files_from(30);
    SlotFacts& stuck = has_slot("n1", 30);
    stuck.stuck = true;
    stuck.serves = SlotServes::member;
    has_slot("feed", 4, true);
    const WalExplanation explanation = explain();
    EXPECT_EQ(kinds(explanation), (Kinds{"slot", "slot", "checkpoint"}));
    const WalHolder& decider = *explanation.decider();
    EXPECT_EQ(decider.name, "n1");
    EXPECT_TRUE(decider.wrong);
    EXPECT_TRUE(has(decider.text, "serves the member n1; inactive, and does not advance"));
    EXPECT_EQ(decider.bytes, 30 * static_cast<std::int64_t>(k_segment));
    EXPECT_EQ(explanation.releases, 26 * static_cast<std::int64_t>(k_segment));  // to feed's
    EXPECT_EQ(explanation.verdict, "the slot n1 decides: 416 MB would go without it");
    EXPECT_TRUE(has(explanation.remedy, "Patroni's log on n2")) << explanation.remedy;
}

TEST_F(WalExplanationTest, DoesNotBlameASlotThatMovesForWhatItLeaves) {
    has_files_from(6);
    has_slot("feed", 2, true);
    const WalExplanation explanation = explain();
    EXPECT_EQ(explanation.decider()->kind, "leftover");
    EXPECT_EQ(explanation.releases, 4 * static_cast<std::int64_t>(k_segment));
    EXPECT_EQ(explanation.verdict, "the next restartpoint decides: 64 MB go with it");
    EXPECT_TRUE(explanation.remedy.empty());  // max_wal_size is 64 MB
    has_files_from(20);
    EXPECT_TRUE(has(explain().remedy, "`CHECKPOINT` on n1, wait until n2 has replayed it"))
        << explain().remedy;
}

TEST_F(WalExplanationTest, BlamesTheSlotThatHoldsMoreThanItLeft) {
    has_files_from(30);
    has_slot("legacy", 28).stuck = true;
    const WalExplanation explanation = explain();
    EXPECT_EQ(explanation.decider()->name, "legacy");
    EXPECT_EQ(explanation.releases, 27 * static_cast<std::int64_t>(k_segment));
    EXPECT_TRUE(std::ranges::any_of(explanation.holders, [](const WalHolder& holder) {
        return holder.kind == "leftover" && !holder.decides;
    }));
}

TEST_F(WalExplanationTest, KnowsWhatASettingKeeps) {
    has_files_from(4);
    n2().wal->keep_size = 4 * static_cast<std::int64_t>(k_segment);
    const WalExplanation explanation = explain();
    EXPECT_EQ(explanation.verdict,
              "wal_keep_size decides: 48 MB would go without it; nothing is wrong");
    EXPECT_TRUE(explanation.remedy.empty());
}

// Seen as "the slot n2 decides: 0 B would go without it".
TEST_F(WalExplanationTest, NamesAllThatHoldTheSame) {
    has_files_from(30);
    has_slot("n1", 30).stuck = true;
    has_slot("n3", 30).stuck = true;
    n2().slots->back().restart_lsn = *n2().slots->back().restart_lsn + 4711;
    const WalExplanation explanation = explain();
    EXPECT_EQ(explanation.verdict,
              "the slot n1 and the slot n3 decide together: 464 MB would go without them");
    EXPECT_EQ(std::ranges::count_if(explanation.holders, &WalHolder::decides), 2);
    EXPECT_FALSE(explanation.remedy.empty());
}

// Seen as "wal_keep_size decides" with 48 MB in pg_wal of the 128 that it allows.
TEST_F(WalExplanationTest, BlamesNoSettingThatAllowsMoreThanThereIs) {
    has_files_from(3);
    n2().wal->keep_size = 8 * static_cast<std::int64_t>(k_segment);
    const WalExplanation explanation = explain();
    EXPECT_EQ(explanation.verdict,
              "nothing is kept but what a restart would need, and what wal_keep_size allows (128 "
              "MB); nothing is wrong");
    const auto keeps = std::ranges::find(explanation.holders, "keep_size", &WalHolder::kind);
    ASSERT_NE(keeps, explanation.holders.end());
    EXPECT_EQ(keeps->bytes, 3 * static_cast<std::int64_t>(k_segment)) << "what there is";
    EXPECT_TRUE(has(keeps->text, "wal_keep_size (128 MB)")) << keeps->text;
}

TEST_F(WalExplanationTest, NamesTheTransactionThatHoldsALogicalSlot) {
    has_files_from(30);
    SlotFacts& slot = has_slot("debezium", 30, true);
    slot.type = "logical";
    EXPECT_TRUE(has(explain().remedy, "does not keep up")) << explain().remedy;
    slot.confirmed = k_now - 4711;
    EXPECT_TRUE(has(explain().remedy, "pg_prepared_xacts")) << explain().remedy;
    n2().wal->oldest_transaction = TransactionFacts{4242, 7200, "1234", "batch"};
    EXPECT_TRUE(has(explain().remedy, "keeps up; what holds it is a transaction"))
        << explain().remedy;
    EXPECT_TRUE(has(explain().remedy, "pid 4242 on n2 (batch), xid 1234, open for 2 h"))
        << explain().remedy;
    n2().wal->oldest_transaction->pid = 0;
    EXPECT_TRUE(has(explain().remedy, "it is prepared, batch")) << explain().remedy;
}

TEST_F(WalExplanationTest, OfACopyPointsToTheLeadersSlot) {
    has_files_from(30);
    has_slot("debezium", 30);
    EXPECT_TRUE(has(explain().remedy, "Nothing is connected to it")) << explain().remedy;
    facts.find("n1")->slots->push_back(sample_slot("debezium", true, k_now - 31 * k_segment));
    EXPECT_TRUE(has(explain().remedy, "Look at the slot debezium on n1")) << explain().remedy;
}

TEST_F(WalExplanationTest, KnowsWhatWaitsForArchiving) {
    has_files_from(12);
    n2().wal->archiving_fails = true;
    n2().wal->archiver = ArchiverFacts{9, "000000030000000000000014", 20, 600, 12};
    const WalExplanation explanation = explain();
    const WalHolder& decider = *explanation.decider();
    EXPECT_EQ(decider.kind, "archiving");
    EXPECT_EQ(decider.bytes, 12 * static_cast<std::int64_t>(k_segment));  // 0x14000000 on
    EXPECT_TRUE(has(decider.text, "12 segments wait for archiving, which fails for 0000000300"));
    EXPECT_TRUE(has(explanation.remedy, "archive_command")) << explanation.remedy;
    n2().wal->archiving_fails = false;
    n2().wal->archiver->waiting = 0;
    EXPECT_EQ(explain().decider()->kind, "leftover");
}

TEST_F(WalExplanationTest, TellsALateRestartpointFromAnIdleCluster) {
    has_files_from(10);
    n2().wal->redo = k_now - 10 * k_segment;
    n2().wal->checkpoint_age_seconds = 901;
    WalExplanation explanation = explain();
    EXPECT_TRUE(explanation.decider()->wrong);
    EXPECT_TRUE(has(explanation.verdict, "the next restartpoint decides: 160 MB"))
        << explanation.verdict;
    EXPECT_TRUE(has(explanation.remedy, "new checkpoint record of the leader"));
    n2().in_recovery = false;
    EXPECT_TRUE(explain().remedy.starts_with("`CHECKPOINT` on n2"));
    has_files_from(1);
    n2().wal->redo = k_now - k_segment;
    explanation = explain();
    EXPECT_FALSE(explanation.decider()->wrong);
    EXPECT_TRUE(explanation.remedy.empty());
}

TEST_F(WalExplanationTest, MentionsBaseBackupsAndLostSlots) {
    n2().wal->base_backups = 1;
    SlotFacts& lost = has_slot("old", 30);
    lost.restart_lsn.reset();
    lost.wal_status = "lost";
    const WalExplanation explanation = explain();
    EXPECT_TRUE(std::ranges::any_of(explanation.holders, [](const WalHolder& holder) {
        return holder.kind == "base_backup" && !holder.bytes;
    }));
    EXPECT_TRUE(std::ranges::any_of(explanation.holders, [](const WalHolder& holder) {
        return holder.name == "old" && holder.bytes == 0 && has(holder.text, "lost");
    }));
    EXPECT_EQ(explanation.decider()->kind, "checkpoint");
}

TEST_F(WalExplanationTest, SaysWhyNothingIsKnown) {
    n2().wal.reset();
    n2().sql.error = "psql: not found";
    EXPECT_EQ(explain().unknown, "psql: not found");
    EXPECT_EQ(explain().decider(), nullptr);
    EXPECT_TRUE(explain().to_json()["bytes"].is_null());
    EXPECT_EQ(explain_wal(facts).size(), 3U);
}

TEST_F(WalExplanationTest, IsRenderedForPrograms) {
    has_files_from(30);
    has_slot("legacy", 30).stuck = true;
    const nlohmann::json json = explain().to_json();
    EXPECT_EQ(json["member"], "n2");
    EXPECT_EQ(json["files"], 31);
    EXPECT_EQ(json["holders"][0]["kind"], "slot");
    EXPECT_EQ(json["holders"][0]["name"], "legacy");
    EXPECT_EQ(json["holders"][0]["decides"], true);
    EXPECT_EQ(json["releases_bytes"], 29 * static_cast<std::int64_t>(k_segment));
    EXPECT_TRUE(json["unknown"].is_null());
}

}  // namespace
}  // namespace lockstep
