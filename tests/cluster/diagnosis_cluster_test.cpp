#include "tests/cluster/sample_facts.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

std::vector<Finding> findings_of(const ClusterFacts& facts) {
    return diagnose(facts, Cluster{});
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

std::vector<std::string> ids_of(const ClusterFacts& facts) {
    std::vector<std::string> ids;
    for (const Finding& finding : findings_of(facts)) {
        ids.push_back(finding.id + (finding.member.empty() ? "" : ":" + finding.member));
    }
    return ids;
}

using Names = std::vector<std::string>;

/// Everybody has seen the DCS in their last loop.
ClusterFacts seeing_cluster() {
    ClusterFacts facts = healthy_cluster("4.0.7");
    for (MemberFacts& member : facts.members) {
        member.dcs_last_seen = 1795425243;
        member.dcs_seen_ago = 10;
    }
    return facts;
}

TEST(Dcs, ThatIsSeenInTimeIsNoFinding) {
    ClusterFacts facts = seeing_cluster();
    facts.find("n2")->dcs_seen_ago = 30;  // ttl
    EXPECT_EQ(ids_of(facts), Names{});
}

TEST(Dcs, LostByOneMemberIsCritical) {
    ClusterFacts facts = seeing_cluster();
    facts.find("n2")->dcs_seen_ago = 95;
    ASSERT_EQ(ids_of(facts), (Names{"cluster.dcs_unreachable:n2"}));
    const Finding finding = findings_of(facts)[0];
    EXPECT_EQ(finding.severity, Severity::critical);
    EXPECT_TRUE(has(finding.message, "1 min 35 s ago")) << finding.message;
    EXPECT_TRUE(has(finding.message, "n1 and n3 did in time")) << finding.message;
    facts.find("n2")->api.error = "connection refused";  // what it said before counts no more
    EXPECT_EQ(ids_of(facts), (Names{"member.unreachable:n2"}));
}

TEST(Dcs, ThatNobodyReachesIsToldFromALockThatNobodyHolds) {
    ClusterFacts facts = seeing_cluster();
    facts.leader.clear();
    facts.find("n1")->role = "primary";
    facts.cluster_error = "GET http://10.0.0.11:8008/cluster: no answer in time";
    for (MemberFacts& member : facts.members) {
        member.dcs_seen_ago = 45;
    }
    ASSERT_EQ(ids_of(facts), (Names{"cluster.no_leader"}));
    const Finding down = findings_of(facts)[0];
    EXPECT_TRUE(has(down.message, "the DCS cannot be reached")) << down.message;
    EXPECT_TRUE(has(down.message, "no answer in time")) << down.message;
    EXPECT_TRUE(has(down.message, "n1 45 s ago, n2 45 s ago and n3")) << down.message;
    EXPECT_TRUE(has(down.remedy, "restart no Patroni")) << down.remedy;
    facts.cluster_error.clear();
    for (const Finding& finding : findings_of(facts)) {
        EXPECT_FALSE(has(finding.message, "the DCS cannot be reached")) << finding.message;
    }
    EXPECT_EQ(findings_of(facts).size(), 4U);  // no leader, and each of them has lost the DCS
}

// The primary of a cluster whose only DCS is away demotes itself: nothing is wrong with its WAL.
TEST(Dcs, ThatIsAwayExplainsWhyNobodyReplicates) {
    ClusterFacts facts = seeing_cluster();
    facts.leader.clear();
    facts.cluster_error = "GET http://10.0.0.11:8008/cluster: no answer in time";
    for (MemberFacts& member : facts.members) {
        member.role = "replica";
        member.state = "running";
        member.in_recovery = true;
        member.dcs_seen_ago = 45;
    }
    ASSERT_EQ(ids_of(facts), (Names{"cluster.no_leader"}));
    EXPECT_TRUE(has(findings_of(facts)[0].message, "nobody can write"))
        << findings_of(facts)[0].message;
    facts.find("n3")->api.error = facts.find("n3")->sql.error = "no route to host";
    EXPECT_FALSE(has(findings_of(facts)[0].message, "nobody can write"));
}

TEST(NoLeader, InAPauseIsCuredByThePrimarysDaemon) {
    ClusterFacts facts = seeing_cluster();
    facts.leader.clear();
    facts.find("n1")->role = "primary";
    facts.paused = true;
    for (MemberFacts& member : facts.members) {
        member.paused = true;
    }
    ASSERT_EQ(ids_of(facts), (Names{"cluster.no_leader", "cluster.paused"}));
    const Finding finding = findings_of(facts)[0];
    EXPECT_TRUE(has(finding.message, "n1 runs as primary without")) << finding.message;
    EXPECT_TRUE(has(finding.remedy, "Start Patroni on n1")) << finding.remedy;
}

// patronictl resume through a replica while the old primary's daemon was down.
TEST(TwoPrimaries, SayWhichTimelinesTheyAreOnAndWhoseDaemonIsDown) {
    ClusterFacts facts = seeing_cluster();
    facts.leader = "n2";
    MemberFacts& n2 = *facts.find("n2");
    n2.role = "leader";
    n2.state = "running";
    n2.in_recovery = false;
    n2.timeline = facts.timeline = 4;
    facts.find("n3")->timeline = 4;
    MemberFacts& n1 = *facts.find("n1");
    n1.role = "primary";
    n1.api.error = "connection refused";
    ASSERT_EQ(ids_of(facts).front(), "cluster.two_primaries");
    const Finding finding = findings_of(facts).front();
    EXPECT_TRUE(has(finding.message, "n1 accepts writes without the leader lock, which n2 holds"))
        << finding.message;
    EXPECT_TRUE(has(finding.message, "n1 is on timeline 3 and its Patroni does not answer"))
        << finding.message;
    EXPECT_TRUE(has(finding.message, "n2 is on timeline 4")) << finding.message;
    EXPECT_TRUE(has(finding.remedy, "thrown away")) << finding.remedy;
}

ClusterFacts paused_cluster() {
    ClusterFacts facts = seeing_cluster();
    facts.paused = true;
    for (MemberFacts& member : facts.members) {
        member.paused = true;
    }
    return facts;
}

LockFacts lock_of(const std::string& left, std::int64_t expires_in) {
    return {"a1", "r1", "ann@ops1", 1795425018, expires_in, left};
}

TEST(Pause, OfARunAtWorkIsNoWarning) {
    ClusterFacts facts = paused_cluster();
    facts.find("n2")->leftover = LeftoverFacts{lock_of("", 40), {}};
    const std::vector<Finding> found = findings_of(facts);
    ASSERT_EQ(ids_of(facts), (Names{"cluster.paused"}));
    EXPECT_EQ(found[0].severity, Severity::info);
    EXPECT_TRUE(has(found[0].message, "run r1 by ann@ops1 is at work on it since 2026-11-23T09"))
        << found[0].message;
}

TEST(Pause, ThatARunLeftNamesThatRun) {
    ClusterFacts facts = paused_cluster();
    facts.find("n2")->leftover = LeftoverFacts{lock_of("patroni.pause", -100), {}};
    ASSERT_EQ(ids_of(facts), (Names{"member.leftover", "cluster.paused"}));
    const Finding finding = findings_of(facts)[1];
    EXPECT_EQ(finding.severity, Severity::warning);
    EXPECT_TRUE(has(finding.message, "run r1 by ann@ops1 of 2026-11-23T09:10:18"))
        << finding.message;
}

TEST(Pause, OfSomebodyElseIsSaidToBe) {
    const Finding finding = findings_of(paused_cluster()).at(0);
    EXPECT_EQ(finding.severity, Severity::warning);
    EXPECT_TRUE(has(finding.message, "no run of lockstep")) << finding.message;
    EXPECT_TRUE(has(finding.remedy, "Find out who paused it")) << finding.remedy;
}

TEST(ScheduledAction, SaysWhenAndFromWhomToWhom) {
    ClusterFacts facts = seeing_cluster();
    facts.scheduled_switchover = true;
    facts.switchover = {"2026-11-24T00:00:00+00:00", "n1", ""};
    facts.find("n2")->scheduled_restart = true;
    facts.find("n2")->scheduled_restart_at = "2026-11-25T00:00:00+00:00";
    const std::vector<Finding> found = findings_of(facts);
    ASSERT_EQ(found.size(), 2U);
    EXPECT_TRUE(has(found[0].message,
                    "a switchover from n1 to a member of Patroni's choice is scheduled for "
                    "2026-11-24T00:00:00+00:00"))
        << found[0].message;
    EXPECT_TRUE(has(found[0].remedy, "patronictl flush orders switchover")) << found[0].remedy;
    EXPECT_TRUE(has(found[1].message, "is scheduled for 2026-11-25")) << found[1].message;
}

TEST(Unreachable, AsAWholeIsOneFinding) {
    ClusterFacts facts = seeing_cluster();
    MemberFacts& n3 = *facts.find("n3");
    n3.api.error = "no answer in time";
    n3.ssh.error = "no route to host";
    n3.sql.error = "not asked, because SSH did not work";
    ASSERT_EQ(ids_of(facts), (Names{"member.unreachable:n3"}));
    const Finding finding = findings_of(facts)[0];
    EXPECT_EQ(finding.subject, "member");
    EXPECT_TRUE(has(finding.message, "n3 does not answer at all: no answer in time; no route"))
        << finding.message;
    // What refuses is there: each refusal has its own remedy.
    n3.ssh.refused = true;
    EXPECT_EQ(ids_of(facts), (Names{"member.unreachable:n3", "member.unreachable:n3"}));
    n3.ssh.refused = false;
    Cluster direct;
    direct.postgres.via = PostgresSettings::Via::direct;
    n3.sql.error.clear();
    EXPECT_EQ(diagnose(facts, direct).size(), 2U);
}

TEST(Unreachable, SaysWhetherTheDaemonAndPostgresqlRun) {
    ClusterFacts facts = seeing_cluster();
    MemberFacts& n2 = *facts.find("n2");
    n2.api.error = "connection refused";
    n2.unit = UnitFacts{"failed", "failed", 0, 0, 0};
    Finding finding = findings_of(facts).at(0);
    EXPECT_TRUE(has(finding.message, "its daemon does not run (systemd: failed)"))
        << finding.message;
    EXPECT_TRUE(has(finding.message, "PostgreSQL runs without it")) << finding.message;
    EXPECT_TRUE(has(finding.remedy, "journalctl -u ")) << finding.remedy;
    n2.unit = UnitFacts{"active", "running", 70, 2000, 500};
    finding = findings_of(facts).at(0);
    EXPECT_TRUE(has(finding.message, "its daemon runs")) << finding.message;
}

TEST(Unreachable, IsNotAMemberWhoseSetupCouldNotBeRead) {
    ClusterFacts facts = seeing_cluster();
    facts.find("n2")->unknown["setup"] = "no configuration file of Patroni was found";
    EXPECT_EQ(ids_of(facts), Names{});
}

ClusterFacts archiving_cluster() {
    ClusterFacts facts = seeing_cluster();
    WalFacts& wal = *facts.find("n1")->wal;
    wal.archiver = ArchiverFacts{3, "00000001000000000000001A", 7200, 60, 2};
    return facts;
}

TEST(Archiving, ThatFailedOnceButWorksIsNoFinding) {
    EXPECT_EQ(ids_of(archiving_cluster()), Names{});
}

TEST(Archiving, ThatFailsSaysSinceWhenAndHowMuchWaits) {
    ClusterFacts facts = archiving_cluster();
    WalFacts& wal = *facts.find("n1")->wal;
    wal.archiving_fails = true;
    wal.archiver->last_failed_ago = 20;
    wal.archiver->last_archived_ago = 7200;
    wal.archiver->waiting = 40;
    ASSERT_EQ(ids_of(facts), (Names{"wal.not_archived:n1"}));
    Finding finding = findings_of(facts)[0];
    EXPECT_EQ(finding.severity, Severity::warning);
    EXPECT_EQ(finding.subject, "00000001000000000000001A");
    EXPECT_TRUE(has(finding.message, "the last success was 2 h ago")) << finding.message;
    EXPECT_TRUE(has(finding.message, "40 segments wait (640 MB)")) << finding.message;
    wal.archiver->last_archived_ago.reset();
    wal.archiver->waiting.reset();
    finding = findings_of(facts)[0];
    EXPECT_TRUE(has(finding.message, "none was archived")) << finding.message;
    EXPECT_FALSE(has(finding.message, "wait")) << finding.message;
}

TEST(Archiving, ThatFailsWhileTheDiskIsLowIsCritical) {
    ClusterFacts facts = archiving_cluster();
    facts.find("n1")->wal->archiving_fails = true;
    facts.find("n1")->disk->free_bytes = 15;
    const std::vector<Finding> found = findings_of(facts);
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].id, "wal.not_archived");
    EXPECT_EQ(found[0].severity, Severity::critical);
    EXPECT_EQ(found[1].severity, Severity::warning);
}

/// n1 with a slot that stands still and holds two segments, as the second sample shows it.
Finding stuck(SlotServes serves, const std::string& type) {
    ClusterFacts facts = seeing_cluster();
    SlotFacts slot = sample_slot("feed", false, 0x1E000000);
    slot.type = type;
    slot.serves = serves;
    slot.stuck = true;
    if (type == "logical") {
        slot.plugin = "pgoutput";
        slot.database = "shop";
    }
    facts.find("n1")->slots->push_back(slot);
    return findings_of(facts).at(0);
}

TEST(StuckSlot, OfALogicalConsumerNamesDatabaseAndPlugin) {
    const Finding finding = stuck(SlotServes::consumer, "logical");
    EXPECT_TRUE(has(finding.message, "serves a logical consumer (pgoutput in the database shop)"))
        << finding.message;
    EXPECT_TRUE(has(finding.remedy, "pg_catalog.pg_drop_replication_slot('feed')"))
        << finding.remedy;
    EXPECT_TRUE(finding.needs_decision);
}

TEST(StuckSlot, ThatIsPermanentComesBackWhenItIsOnlyDropped) {
    const Finding finding = stuck(SlotServes::permanent, "physical");
    EXPECT_TRUE(has(finding.message, "is a permanent slot")) << finding.message;
    EXPECT_TRUE(has(finding.remedy, "creates anew what is only dropped")) << finding.remedy;
    EXPECT_FALSE(has(finding.remedy, "drop_slots")) << finding.remedy;
}

TEST(StuckSlot, OfNobodyIsNamedInDropSlots) {
    const Finding finding = stuck(SlotServes::orphan, "physical");
    EXPECT_TRUE(has(finding.remedy, "drop_slots")) << finding.remedy;
}

}  // namespace
}  // namespace lockstep
