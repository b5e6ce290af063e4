#include "cluster/growth.hpp"
#include "tests/cluster/sample_facts.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

using Texts = std::vector<std::string>;

constexpr Lsn k_far_behind = 0x1000000;

Texts ids(const ClusterFacts& facts) {
    Texts texts;
    for (const Finding& finding : diagnose(facts, Cluster{})) {
        texts.push_back(finding.id);
    }
    return texts;
}

bool mentions(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// n3 is gone from the list, and its slot stands on the others.
ClusterFacts without_n3(const std::string& patroni) {
    ClusterFacts facts = healthy_cluster(patroni);
    std::erase_if(facts.members, [](const MemberFacts& member) { return member.name == "n3"; });
    for (MemberFacts& member : facts.members) {
        std::erase_if(*member.slots, [](const SlotFacts& slot) { return slot.name == "n3"; });
        member.slots->push_back(sample_slot("n3", false, k_far_behind));
    }
    classify_slots(facts);
    return facts;
}

// Patroni drops what it does not retain, so what is there is retained.
TEST(AbsentSlot, IsEveryIdlePhysicalSlotUnderALeaderOfFour) {
    const ClusterFacts facts = without_n3("4.0.7");
    EXPECT_EQ(find_slot(facts.find("n1"), "n3")->serves, SlotServes::absent);
    EXPECT_FALSE(has_suspicious_slots(facts));
    ASSERT_EQ(ids(facts), (Texts{"slot.member_away"}));
    const Finding finding = diagnose(facts, Cluster{})[0];
    EXPECT_EQ(finding.severity, Severity::warning);
    EXPECT_EQ(finding.subject, "n3");
    EXPECT_FALSE(finding.needs_decision);
    EXPECT_TRUE(mentions(finding.message, "on n1 and")) << finding.message;
    EXPECT_TRUE(mentions(finding.remedy, "Do not drop")) << finding.remedy;
    EXPECT_TRUE(mentions(finding.remedy, "30 min by default")) << finding.remedy;
}

TEST(AbsentSlot, IsNoneThatPatroniLeavesAloneOrWhereItKeepsNone) {
    ClusterFacts facts = without_n3("4.0.7");
    const auto serves = [&] {
        classify_slots(facts);
        return find_slot(facts.find("n1"), "n3")->serves;
    };
    facts.config["ignore_slots"] = {{{"name", "n3"}, {"type", "physical"}}};
    EXPECT_EQ(serves(), SlotServes::orphan);
    facts.config["ignore_slots"] = {{{"name", "n3"}, {"type", "logical"}}};
    EXPECT_EQ(serves(), SlotServes::absent);
    facts.config["member_slots_ttl"] = 0;
    EXPECT_EQ(serves(), SlotServes::orphan);
    EXPECT_EQ(find_slot(without_n3("3.3.2").find("n1"), "n3")->serves, SlotServes::orphan);
}

TEST(AbsentSlot, IsThatOfAMemberOfBeforeUnderAnyLeader) {
    ClusterFacts facts = without_n3("3.3.2");
    facts.missing.push_back({"N-3", "10.0.0.13", {}});
    for (MemberFacts& member : facts.members) {
        member.slots->back().name = "n_3";
    }
    classify_slots(facts);
    EXPECT_EQ(find_slot(facts.find("n1"), "n_3")->serves, SlotServes::absent);
    EXPECT_EQ(ids(facts), (Texts{"slot.member_away", "member.missing"}));
    EXPECT_TRUE(mentions(diagnose(facts, Cluster{})[0].message, "N-3, which is away"));
}

TEST(AbsentSlot, OfAMemberOfTheInventoryThatIsNotListed) {
    ClusterFacts facts = without_n3("3.3.2");
    MemberFacts away;
    away.name = "n3";
    away.api = {.asked = true, .error = "refused"};
    facts.members.push_back(away);
    classify_slots(facts);
    EXPECT_EQ(find_slot(facts.find("n1"), "n3")->serves, SlotServes::absent);
    facts.cluster_error = "the DCS is away";  // then nobody is listed
    classify_slots(facts);
    EXPECT_EQ(find_slot(facts.find("n1"), "n3")->serves, SlotServes::member);
}

TEST(AbsentSlot, ThatHoldsAllWalIsNotToBeCuredByARun) {
    ClusterFacts facts = without_n3("4.0.7");
    WalFacts& wal = *facts.find("n1")->wal;
    wal.oldest = k_far_behind;
    wal.bytes = std::int64_t{500} << 20;
    const std::vector<Finding> found = diagnose(facts, Cluster{});
    const auto oversize = std::ranges::find(found, "wal.oversize", &Finding::id);
    ASSERT_NE(oversize, found.end());
    EXPECT_TRUE(oversize->needs_decision);
    EXPECT_TRUE(mentions(oversize->remedy, "Do not drop")) << oversize->remedy;
}

/// n2 has a copy of the leader's logical slot that stands still; the leader's moves.
ClusterFacts with_a_stuck_copy() {
    ClusterFacts facts = healthy_cluster("4.1.5");
    SlotFacts slot = sample_slot("cdc", true, 0x1FFFFF00);
    slot.type = "logical";
    slot.plugin = "pgoutput";
    slot.database = "shop";
    facts.find("n1")->slots->push_back(slot);
    slot = sample_slot("cdc", false, k_far_behind);
    slot.type = "logical";
    slot.plugin = "pgoutput";
    slot.database = "shop";
    slot.synced = true;
    slot.stuck = true;
    facts.find("n2")->slots->push_back(slot);
    classify_slots(facts);
    return facts;
}

TEST(SyncedSlot, IsNeverToBeDropped) {
    const ClusterFacts facts = with_a_stuck_copy();
    const std::vector<Finding> found = diagnose(facts, Cluster{});
    ASSERT_EQ(ids(facts), (Texts{"slot.stuck"}));
    EXPECT_EQ(found[0].member, "n2");
    EXPECT_TRUE(mentions(found[0].remedy, "sync_replication_slots")) << found[0].remedy;
    EXPECT_TRUE(mentions(found[0].message, "copy of the leader's slot")) << found[0].message;
    EXPECT_FALSE(mentions(found[0].remedy, "pg_drop_replication_slot")) << found[0].remedy;
    EXPECT_FALSE(may_be_dropped(facts.find("n2")->slots->back()));
    EXPECT_FALSE(may_be_dropped(facts.find("n1")->slots->back()));  // it is read
}

TEST(SyncedSlot, ThatIsLostIsNotToBeDroppedEither) {
    ClusterFacts facts = with_a_stuck_copy();
    SlotFacts& copy = facts.find("n2")->slots->back();
    copy.wal_status = "lost";
    copy.stuck = false;
    const Finding finding = diagnose(facts, Cluster{})[0];
    EXPECT_EQ(finding.id, "slot.lost");
    EXPECT_FALSE(mentions(finding.remedy, "pg_drop_replication_slot")) << finding.remedy;
}

TEST(PermanentSlot, ThatNobodyReadsIsExcusedOnReplicasAsOnTheLeader) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    facts.config["slots"] = {{"archive", {{"type", "physical"}}}};
    for (MemberFacts& member : facts.members) {
        member.slots->push_back(sample_slot("archive", false, k_far_behind));
        member.slots->back().stuck = member.name == "n1";  // the copies follow it
        member.wal->oldest = k_far_behind;
        member.wal->bytes = std::int64_t{500} << 20;
    }
    classify_slots(facts);
    int oversize = 0;
    for (const Finding& finding : diagnose(facts, Cluster{})) {
        EXPECT_TRUE(finding.needs_decision) << finding.message;
        EXPECT_FALSE(mentions(finding.remedy, "pg_drop_replication_slot")) << finding.remedy;
        oversize += finding.id == "wal.oversize" ? 1 : 0;
    }
    EXPECT_EQ(oversize, 3);
}

}  // namespace
}  // namespace lockstep
