#include "tests/cluster/sample_facts.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

constexpr std::int64_t k_segment = 16 << 20;

std::vector<Finding> findings_of(const ClusterFacts& facts) {
    return diagnose(facts, Cluster{});
}

std::vector<std::string> ids(const std::vector<Finding>& findings) {
    std::vector<std::string> names;
    for (const Finding& finding : findings) {
        names.push_back(finding.id + (finding.member.empty() ? "" : ":" + finding.member));
    }
    return names;
}

using Names = std::vector<std::string>;

Names ids_of(const ClusterFacts& facts) {
    return ids(findings_of(facts));
}

/// Both samples of a cluster, an interval apart.
struct Samples {
    ClusterFacts earlier;
    ClusterFacts later;

    explicit Samples(const ClusterFacts& facts) : earlier(facts), later(facts) {
        later.sampled_at = earlier.sampled_at + stuck_interval(facts);
    }

    Names ids_after_marking() {
        EXPECT_TRUE(mark_stuck_slots(later, earlier));
        return ids_of(later);
    }
};

/// n2 with one more slot that holds two segments.
ClusterFacts with_slot(const std::string& name, bool active = false) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    facts.find("n2")->slots->push_back(sample_slot(name, active, 0x20000000 - 2 * k_segment));
    classify_slots(facts);
    return facts;
}

TEST(Diagnosis, FindsNothingInAHealthyClusterOfAnyVersion) {
    for (const char* version : {"2.1.4", "3.0.2", "3.2.1", "4.0.7", "4.1.5"}) {
        const ClusterFacts facts = healthy_cluster(version);
        EXPECT_EQ(ids_of(facts), Names{}) << version;
        EXPECT_FALSE(has_suspicious_slots(facts)) << version;
    }
}

TEST(Diagnosis, PutsTheWorstFirstThenGoesByMember) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    facts.paused = true;
    for (MemberFacts& member : facts.members) {
        member.paused = true;
        member.pending_restart = true;
    }
    facts.find("n3")->state = "stopped";
    facts.find("n2")->disk->free_bytes = 5;
    EXPECT_EQ(ids_of(facts),
              (Names{"disk.low:n2",
                     "postgres.not_running:n3",
                     "cluster.paused",
                     "postgres.pending_restart:n1",
                     "postgres.pending_restart:n2",
                     "postgres.pending_restart:n3"}));
}

TEST(SlotName, FollowsPatroni) {
    EXPECT_EQ(slot_name_of("n1"), "n1");
    EXPECT_EQ(slot_name_of("pgsql-staging-01.vdl.intra"), "pgsql_staging_01_vdl_intra");
    EXPECT_EQ(slot_name_of("PG@1"), "pgu00641");
    EXPECT_EQ(slot_name_of("\xC3\xA9"), "u0233");
    EXPECT_EQ(slot_name_of("\xE2\x82\xAC"), "u8364");
    EXPECT_EQ(slot_name_of(std::string(80, 'a')), std::string(63, 'a'));
}

TEST(SlotServes, IsToldByNameConfigurationAndUse) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    facts.config["slots"] = {{"archive", {{"type", "physical"}}}};
    facts.config["ignore_slots"] = {{{"name", "legacy"}}};
    auto& slots = *facts.find("n2")->slots;
    slots = {sample_slot("n3", false, 1),
             sample_slot("archive", false, 1),
             sample_slot("receiver", true, 1),
             sample_slot("legacy", false, 1),
             sample_slot("cdc", false, 1)};
    slots[4].type = "logical";
    classify_slots(facts);
    EXPECT_EQ(slots[0].serves, SlotServes::member);
    EXPECT_EQ(slots[1].serves, SlotServes::permanent);
    EXPECT_EQ(slots[2].serves, SlotServes::consumer);
    EXPECT_EQ(slots[3].serves, SlotServes::orphan);
    EXPECT_EQ(slots[4].serves, SlotServes::consumer);
}

TEST(StuckSlot, IsInactiveAndUnmovedOverThreeLoops) {
    Samples samples(with_slot("legacy"));
    EXPECT_TRUE(has_suspicious_slots(samples.later));
    EXPECT_EQ(samples.ids_after_marking(), (Names{"slot.stuck:n2"}));
    const Finding finding = findings_of(samples.later)[0];
    EXPECT_EQ(finding.severity, Severity::critical);
    EXPECT_EQ(finding.subject, "legacy");
    EXPECT_NE(finding.message.find("legacy on n2"), std::string::npos);
    EXPECT_NE(finding.message.find("32 MB"), std::string::npos);
    EXPECT_NE(finding.message.find("serves nobody"), std::string::npos);
    EXPECT_NE(finding.remedy.find("drop_slots"), std::string::npos);
}

TEST(StuckSlot, IsNotDecidedBySamplesTooCloseToEachOther) {
    Samples samples(with_slot("legacy"));
    samples.later.sampled_at -= std::chrono::milliseconds{1};
    EXPECT_FALSE(mark_stuck_slots(samples.later, samples.earlier));
    EXPECT_EQ(ids_of(samples.later), Names{});
}

TEST(StuckSlot, IsNoneThatAdvances) {
    Samples samples(with_slot("legacy"));
    *samples.earlier.find("n2")->slots->back().restart_lsn -= 8;
    EXPECT_EQ(samples.ids_after_marking(), Names{});
}

TEST(StuckSlot, IsNoneThatSomethingIsConnectedTo) {
    Samples now(with_slot("receiver", true));
    EXPECT_FALSE(has_suspicious_slots(now.later));
    EXPECT_EQ(now.ids_after_marking(), Names{});
    Samples before(with_slot("receiver"));
    before.earlier.find("n2")->slots->back().active = true;
    EXPECT_EQ(before.ids_after_marking(), Names{});
}

TEST(StuckSlot, IsNoneThatHoldsLessThanASegment) {
    ClusterFacts facts = with_slot("legacy");
    facts.find("n2")->slots->back().retained_bytes = k_segment - 1;
    EXPECT_FALSE(has_suspicious_slots(facts));
    EXPECT_EQ(Samples(facts).ids_after_marking(), Names{});
}

TEST(StuckSlot, IsNoneThatAppearedBetweenTheSamples) {
    Samples samples(with_slot("legacy"));
    samples.earlier.find("n2")->slots->pop_back();
    EXPECT_EQ(samples.ids_after_marking(), Names{});
}

// patroni#3184: leader 3.2.1, replicas 4.0.2.
TEST(StuckSlot, OfAMemberIsTheIncident) {
    ClusterFacts facts = healthy_cluster("4.0.2");
    facts.find("n1")->patroni.running = "3.2.1";
    facts.find("n1")->patroni.installed = "3.2.1-1";
    for (const char* replica : {"n2", "n3"}) {
        for (SlotFacts& slot : *facts.find(replica)->slots) {
            slot.restart_lsn = 0x18000000;
            slot.retained_bytes = 0x8000000;
        }
        facts.find(replica)->wal->oldest = 0x18000000;
    }
    Samples samples(facts);
    const Names found = samples.ids_after_marking();
    EXPECT_EQ(std::ranges::count(found, "slot.stuck:n2"), 2);
    EXPECT_EQ(std::ranges::count(found, "slot.stuck:n3"), 2);
    EXPECT_EQ(std::ranges::count(found, "wal.oversize:n2"), 1);
    EXPECT_EQ(std::ranges::count(found, "patroni.mixed_versions"), 1);
    for (const Finding& finding : findings_of(samples.later)) {
        if (finding.id == "slot.stuck") {
            EXPECT_NE(finding.remedy.find("lockstep run patroni-upgrade"), std::string::npos);
            EXPECT_NE(finding.message.find("serves the member"), std::string::npos);
        }
    }
}

// The member is away: the leader's slot for it is what stands still, the copies only follow.
TEST(StuckSlot, IsReportedWhereItsCauseIs) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    for (const char* member : {"n1", "n2"}) {
        for (SlotFacts& slot : *facts.find(member)->slots) {
            if (slot.name == "n3") {
                slot = sample_slot("n3", false, 0x10000000);
            }
        }
    }
    classify_slots(facts);
    EXPECT_EQ(Samples(facts).ids_after_marking(), (Names{"slot.stuck:n1"}));
}

TEST(StuckSlot, OfAReplicaWhoseDaemonIsDeadSaysSo) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    MemberFacts& n2 = *facts.find("n2");
    n2.api.error = "connection refused";
    for (SlotFacts& slot : *n2.slots) {
        slot = sample_slot(slot.name, false, 0x10000000);
    }
    classify_slots(facts);
    Samples samples(facts);
    samples.ids_after_marking();
    for (const Finding& finding : findings_of(samples.later)) {
        if (finding.id == "slot.stuck") {
            EXPECT_NE(finding.remedy.find("Start Patroni on n2"), std::string::npos);
        }
    }
}

TEST(LostSlot, IsCriticalUnlessNobodyNeedsIt) {
    ClusterFacts facts = with_slot("legacy");
    facts.find("n2")->slots->back().wal_status = "lost";
    facts.find("n2")->slots->back().restart_lsn.reset();
    ASSERT_EQ(ids_of(facts), (Names{"slot.lost:n2"}));
    EXPECT_EQ(findings_of(facts)[0].severity, Severity::warning);
    facts.find("n2")->slots->back().serves = SlotServes::member;
    EXPECT_EQ(findings_of(facts)[0].severity, Severity::critical);
}

TEST(LostSlot, IsNotCalledStuckAsWell) {
    ClusterFacts facts = with_slot("legacy");
    facts.find("n2")->slots->back().wal_status = "lost";
    facts.find("n2")->slots->back().stuck = true;
    EXPECT_EQ(ids_of(facts), (Names{"slot.lost:n2"}));
}

// An active slot is `unreserved` when it is about to be lost, and when it was and is read on.
TEST(LostSlot, IsSeenAlthoughItsReaderStreamsOn) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    MemberFacts& leader = *facts.find("n1");
    leader.slots = std::vector<SlotFacts>{sample_slot("n2", true, 0x1F000000)};
    SlotFacts& slot = leader.slots->front();
    slot.wal_status = "unreserved";
    slot.retained_bytes = k_segment;
    classify_slots(facts);
    EXPECT_EQ(ids_of(facts), (Names{"slot.lost:n1"}));
    leader.wal->max_slot_wal_keep_size = k_segment;
    EXPECT_EQ(ids_of(facts), (Names{"slot.lost:n1"}));
    leader.wal->max_slot_wal_keep_size = k_segment - 1;
    EXPECT_EQ(ids_of(facts), (Names{}));
}

TEST(OversizeWal, IsMoreThanSettingsAndReadersExplain) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    WalFacts& wal = *facts.find("n2")->wal;
    wal.oldest = 0x1F000000 - static_cast<Lsn>(wal.max_wal_size);
    EXPECT_EQ(ids_of(facts), Names{});
    *wal.oldest -= k_segment;
    EXPECT_EQ(ids_of(facts), (Names{"wal.oversize:n2"}));
    wal.keep_size = k_segment;
    EXPECT_EQ(ids_of(facts), Names{});
    wal.keep_size = 0;
    facts.find("n2")->slots->push_back(sample_slot("receiver", true, 0x1F000000 - 2 * k_segment));
    EXPECT_EQ(ids_of(facts), Names{});
}

// One look cannot tell a reader that is busy with a burst from one that does not keep up: so much
// is a burst, and no more.
TEST(OversizeWal, BehindAnActiveSlotIsExcusedWithinABurst) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    MemberFacts& member = *facts.find("n2");
    const auto is_behind = [&](int times) {
        const Lsn behind = static_cast<Lsn>(times) * static_cast<Lsn>(member.wal->max_wal_size);
        member.wal->oldest = 0x1F000000 - behind;
        member.slots = {sample_slot("feed", true, 0x1F000000 - behind)};
        classify_slots(facts);
        return findings_of(facts);
    };
    EXPECT_TRUE(is_behind(5).empty());
    const std::vector<Finding> found = is_behind(6);
    ASSERT_EQ(ids(found), (Names{"wal.oversize:n2"}));
    EXPECT_EQ(found[0].severity, Severity::warning);
    EXPECT_TRUE(found[0].needs_decision) << "no run cures it";
    EXPECT_NE(found[0].message.find("the active slot feed holds them"), std::string::npos);
}

TEST(OversizeWal, NamesWhatHoldsIt) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    WalFacts& wal = *facts.find("n2")->wal;
    wal.oldest = 0x10000000;
    EXPECT_EQ(findings_of(facts)[0].severity, Severity::info);
    EXPECT_NE(findings_of(facts)[0].message.find("nothing holds them"), std::string::npos);
    wal.archiving_fails = true;
    EXPECT_EQ(findings_of(facts)[0].severity, Severity::warning);
    EXPECT_NE(findings_of(facts)[0].message.find("archiving"), std::string::npos);
    facts.find("n2")->slots->push_back(sample_slot("legacy", false, 0x10000000));
    EXPECT_EQ(findings_of(facts)[0].severity, Severity::warning);
    EXPECT_NE(findings_of(facts)[0].message.find("the slot legacy holds them"), std::string::npos);
}

TEST(LowDisk, WarnsBelowAFifthAndAlarmsBelowATenth) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    DiskFacts& disk = *facts.find("n3")->disk;
    disk.free_bytes = 20;
    EXPECT_EQ(ids_of(facts), Names{});
    disk.free_bytes = 19;
    EXPECT_EQ(findings_of(facts)[0].severity, Severity::warning);
    disk.free_bytes = 10;
    EXPECT_EQ(findings_of(facts)[0].severity, Severity::warning);
    disk.free_bytes = 9;
    ASSERT_EQ(ids_of(facts), (Names{"disk.low:n3"}));
    EXPECT_EQ(findings_of(facts)[0].severity, Severity::critical);
}

TEST(LowDisk, IsThatOfTheDataAsWell) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    facts.find("n3")->data_disk = DiskFacts{"/data", 10, 100};
    EXPECT_EQ(ids_of(facts), Names{});
    facts.find("n3")->data_disk->free_bytes = 9;
    ASSERT_EQ(ids_of(facts), (Names{"disk.low:n3"}));
    EXPECT_EQ(findings_of(facts)[0].severity, Severity::warning);
    EXPECT_EQ(findings_of(facts)[0].subject, "/data");
    facts.find("n3")->data_disk->free_bytes = 4;
    EXPECT_EQ(findings_of(facts)[0].severity, Severity::critical);
}

TEST(Patroni, BeforeTwoOneIsSaidToBeUnsupported) {
    ClusterFacts facts = healthy_cluster("2.1.0");
    EXPECT_EQ(ids_of(facts), Names{});
    facts = healthy_cluster("2.0.2");
    ASSERT_EQ(
        ids_of(facts),
        (Names{"patroni.unsupported:n1", "patroni.unsupported:n2", "patroni.unsupported:n3"}));
    EXPECT_EQ(findings_of(facts)[0].severity, Severity::warning);
}

TEST(MixedVersions, AreThoseThatRun) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    facts.find("n1")->patroni = {"3.0.2", "3.0.2-1", {}};
    ASSERT_EQ(ids_of(facts), (Names{"patroni.mixed_versions"}));
    EXPECT_NE(findings_of(facts)[0].message.find("3.0.2 on n1 and 4.0.7 on n2 and n3"),
              std::string::npos);
}

TEST(NotRestarted, ComparesWhatRunsWithThePackage) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    PatroniFacts& patroni = facts.find("n2")->patroni;
    for (const char* same :
         {"4.0.7-3~deb13u1", "1:4.0.7-1", "4.0.7-1PGDG.rhel9", "4.0.7+ds-1", ""}) {
        patroni.installed = same;
        EXPECT_EQ(ids_of(facts), Names{}) << same;
    }
    patroni.installed = "4.1.5-2";
    ASSERT_EQ(ids_of(facts), (Names{"patroni.not_restarted:n2"}));
    EXPECT_EQ(findings_of(facts)[0].severity, Severity::critical);
}

TEST(NotRestarted, KnowsPostgresqlToo) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    facts.find("n2")->postgres.installed = "17.13-1.pgdg120+1";
    EXPECT_EQ(ids_of(facts), (Names{"postgres.not_restarted:n2"}));
}

TEST(MemberSlotsGivenUp, AreToldUnderPatroniFour) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    for (const nlohmann::json& zero :
         {nlohmann::json(0), nlohmann::json("0"), nlohmann::json("0min")}) {
        facts.config["member_slots_ttl"] = zero;
        EXPECT_EQ(ids_of(facts), (Names{"config.member_slots_ttl"})) << zero;
    }
    facts.config["member_slots_ttl"] = 1800;
    EXPECT_EQ(ids_of(facts), Names{});
    facts = healthy_cluster("3.3.11");
    facts.config["member_slots_ttl"] = 0;
    EXPECT_EQ(ids_of(facts), Names{});
}

TEST(PermanentSlots, AreThoseThatAreNoMembers) {
    ClusterFacts facts = healthy_cluster("3.1.2");
    EXPECT_FALSE(has_permanent_physical_slots(facts));
    facts.config["slots"] = {{"n3", {{"type", "physical"}}}, {"cdc", {{"type", "logical"}}}};
    EXPECT_FALSE(has_permanent_physical_slots(facts));
    facts.config["slots"]["archive"] = {{"type", "physical"}};
    EXPECT_TRUE(has_permanent_physical_slots(facts));
}

TEST(Replication, MustStreamOrReadTheArchive) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    facts.find("n2")->state = "in archive recovery";
    EXPECT_EQ(ids_of(facts), Names{});
    for (const char* state : {"running", "stopping", ""}) {
        facts.find("n2")->state = state;
        EXPECT_EQ(ids_of(facts), (Names{"replication.not_streaming:n2"})) << state;
    }
}

TEST(Replication, OfAMemberThatDoesNotAnswerIsUnknown) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    facts.find("n2")->state = "running";
    facts.find("n2")->api.error = "connection refused";
    EXPECT_EQ(ids_of(facts), (Names{"member.unreachable:n2"}));
}

TEST(Replication, ReportsLagOfMoreThanASegmentAndAnotherTimeline) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    facts.find("n2")->lag_bytes = k_segment;
    EXPECT_EQ(ids_of(facts), Names{});
    facts.find("n2")->lag_bytes = k_segment + 1;
    EXPECT_EQ(ids_of(facts), (Names{"replication.lag:n2"}));
    facts.find("n2")->lag_bytes = 0;
    facts.find("n2")->timeline = 2;
    EXPECT_EQ(ids_of(facts), (Names{"replication.timeline:n2"}));
}

// On the leader and on the copy that a replica has of a permanent slot: no upgrade mends either.
TEST(Oversize, ThatAnAbsentReaderOrAFailingArchiveKeepsIsForAPersonToDecide) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    MemberFacts& n2 = *facts.find("n2");
    n2.wal->oldest = 0x10000000;
    n2.slots->push_back(sample_slot("archive", false, 0x10000000));
    n2.slots->back().serves = SlotServes::permanent;
    ASSERT_EQ(ids_of(facts), (Names{"wal.oversize:n2"}));
    EXPECT_TRUE(findings_of(facts)[0].needs_decision);
    n2.slots->back().serves = SlotServes::member;
    EXPECT_FALSE(findings_of(facts)[0].needs_decision);
    n2.slots->pop_back();
    EXPECT_FALSE(findings_of(facts)[0].needs_decision);
    n2.wal->archiving_fails = true;
    EXPECT_TRUE(findings_of(facts)[0].needs_decision);
}

TEST(Replication, ThatIsBehindForSecondsAfterABulkLoadIsNoWarning) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    facts.find("n2")->lag_bytes = 82 << 20;
    facts.find("n2")->replayed_ago = 2;
    EXPECT_EQ(ids_of(facts), Names{});
    facts.find("n2")->replayed_ago = 40;
    ASSERT_EQ(ids_of(facts), (Names{"replication.lag:n2"}));
    EXPECT_NE(findings_of(facts)[0].message.find("committed 40 s ago"), std::string::npos);
}

TEST(Replication, ThatIsDelayedOnPurposeIsJudgedByWhatWasReceived) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    MemberFacts& n2 = *facts.find("n2");
    n2.wal->apply_delay_ms = 3'600'000;
    n2.position = 0x20000000 - (192 << 20);
    n2.received = 0x20000000;
    n2.lag_bytes = 192 << 20;
    n2.replayed_ago = 3600;
    ASSERT_EQ(ids_of(facts), (Names{"replication.delayed:n2"}));
    EXPECT_EQ(findings_of(facts)[0].severity, Severity::info);
    EXPECT_NE(findings_of(facts)[0].message.find("replays 1 h late"), std::string::npos);
    EXPECT_NE(findings_of(facts)[0].message.find("192 MB are received"), std::string::npos);
    n2.received = 0x20000000 - (64 << 20);
    ASSERT_EQ(ids_of(facts), (Names{"replication.lag:n2", "replication.delayed:n2"}));
    EXPECT_NE(findings_of(facts)[0].message.find("64 MB behind"), std::string::npos);
}

TEST(Leader, MustExist) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    facts.leader.clear();
    facts.find("n1")->role = "replica";
    facts.find("n1")->state = "streaming";
    EXPECT_EQ(ids_of(facts), (Names{"cluster.no_leader"}));
    facts.cluster_error = "http://10.0.0.11:8008: out of time";
    EXPECT_NE(findings_of(facts)[0].message.find("unknown"), std::string::npos);
    EXPECT_NE(findings_of(facts)[0].message.find("out of time"), std::string::npos);
}

TEST(TwoPrimaries, IsAPrimaryWithoutTheLockBesideTheLeader) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    MemberFacts& n2 = *facts.find("n2");
    n2.role = "primary";
    n2.state = "running";
    n2.in_recovery = false;
    const std::vector<Finding> found = findings_of(facts);
    ASSERT_EQ(ids(found), (Names{"cluster.two_primaries"}));
    EXPECT_NE(found[0].message.find("n2 accepts writes without the leader lock, which n1 holds"),
              std::string::npos);
}

TEST(TwoPrimaries, IsNotAPrimaryThatLostItsLockAlone) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    facts.leader.clear();
    facts.find("n1")->role = "primary";
    EXPECT_EQ(ids_of(facts), (Names{"cluster.no_leader"}));
}

TEST(Pause, IsAWarningThatNamesWhoDoesNotKnowOfIt) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    facts.paused = true;
    facts.find("n1")->paused = facts.find("n3")->paused = true;
    ASSERT_EQ(ids_of(facts), (Names{"cluster.paused"}));
    EXPECT_NE(findings_of(facts)[0].message.find("not known yet to n2"), std::string::npos);
}

TEST(ScheduledAction, IsASwitchoverOrARestart) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    facts.scheduled_switchover = true;
    facts.find("n2")->scheduled_restart = true;
    EXPECT_EQ(ids_of(facts), (Names{"cluster.scheduled_action", "cluster.scheduled_action:n2"}));
}

TEST(Unreachable, SaysWhatDoesNotWorkAndWhy) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    facts.find("n2")->api.error = "connection refused";
    facts.find("n3")->ssh.error = "no route to host";
    facts.find("n3")->sql.error = "not asked, because SSH did not work";
    const std::vector<Finding> found = findings_of(facts);
    ASSERT_EQ(ids(found), (Names{"member.unreachable:n2", "member.unreachable:n3"}));
    EXPECT_EQ(found[0].subject, "api");
    EXPECT_NE(found[0].message.find("connection refused"), std::string::npos);
    EXPECT_EQ(found[1].subject, "ssh");
    EXPECT_NE(found[1].message.find("no route to host"), std::string::npos);
}

TEST(Unreachable, IsAMemberWhoseSlotsCouldNotBeRead) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    facts.find("n2")->sql.error = "psql: not found";
    facts.find("n2")->slots.reset();
    facts.find("n2")->wal.reset();
    const std::vector<Finding> found = findings_of(facts);
    ASSERT_EQ(ids(found), (Names{"member.unreachable:n2"}));
    EXPECT_EQ(found[0].subject, "sql");
    EXPECT_EQ(found[0].severity, Severity::critical);
}

TEST(Unreachable, IsAMemberThatPatroniDoesNotList) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    facts.find("n2")->listed = false;
    ASSERT_EQ(ids_of(facts), (Names{"member.unreachable:n2"}));
    facts.cluster_error = "the DCS is down";
    facts.leader.clear();
    facts.find("n1")->role = "primary";
    EXPECT_EQ(ids_of(facts), (Names{"cluster.no_leader"}));
}

TEST(Unreachable, WarnsOfFactsThatCouldNotBeHad) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    facts.find("n2")->unknown["patroni_package"] = "no packages found matching patroni";
    const std::vector<Finding> found = findings_of(facts);
    ASSERT_EQ(ids(found), (Names{"member.unreachable:n2"}));
    EXPECT_EQ(found[0].severity, Severity::warning);
}

TEST(WriteRefused, IsCritical) {
    ClusterFacts facts = healthy_cluster("3.0.2");
    facts.patroni_write_error = "n1 answers HTTP status 401: not authenticated";
    EXPECT_EQ(ids_of(facts), Names{});
    facts.patroni_write_refused = true;
    facts.patroni_write_hint = "Set patroni.password.";
    ASSERT_EQ(ids_of(facts), (Names{"patroni.write_refused"}));
    EXPECT_EQ(findings_of(facts)[0].remedy, "Set patroni.password.");
}

TEST(PendingRestart, NamesTheParameters) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    facts.find("n2")->pending_restart = true;
    facts.find("n2")->pending_restart_reason = {
        {"max_connections", {{"old_value", "50"}, {"new_value", "60"}}}};
    ASSERT_EQ(ids_of(facts), (Names{"postgres.pending_restart:n2"}));
    EXPECT_NE(findings_of(facts)[0].message.find("max_connections"), std::string::npos);
}

TEST(Drift, IsAPostgresqlOfAnotherVersion) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    facts.find("n2")->postgres.running = "17.11";
    facts.find("n2")->postgres.installed = "17.11-0+deb13u1";
    EXPECT_EQ(ids_of(facts), (Names{"config.drift"}));
}

}  // namespace
}  // namespace lockstep
