#include "tests/cluster/sample_facts.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

/// Findings of a healthy cluster on which lockstep has been.
class LeftoversTest : public testing::Test {
  protected:
    LeftoversTest() {
        for (MemberFacts& member : facts.members) {
            member.leftover.emplace();
        }
    }

    LockFacts& lock_on(const char* member, const std::string& run, std::int64_t expires_in) {
        return facts.find(member)->leftover->lock.emplace(
            LockFacts{.id = "id-" + run,
                      .run = run,
                      .who = "ann@ops1",
                      .since = 1795425018,
                      .expires_in_seconds = expires_in});
    }

    void command_on(const char* member, const std::string& key, const std::string& state) {
        facts.find(member)->leftover->spool.push_back({key, state, 120});
    }

    std::vector<Finding> leftovers() {
        std::vector<Finding> found;
        for (const Finding& finding : diagnose(facts, Cluster{})) {
            if (finding.id == "member.leftover") {
                found.push_back(finding);
            }
        }
        return found;
    }

    ClusterFacts facts = healthy_cluster("4.0.7");
};

void expect_parts(const std::string& text, const std::vector<std::string>& parts) {
    for (const std::string& part : parts) {
        EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in: " << text;
    }
}

TEST_F(LeftoversTest, AreNoneWhereNothingIs) {
    EXPECT_TRUE(leftovers().empty());
    facts.find("n1")->leftover.reset();
    EXPECT_TRUE(leftovers().empty());
}

TEST_F(LeftoversTest, OfAnEngineThatDiedInItsPauseAreCriticalAtOnce) {
    LockFacts& lock = lock_on("n2", "r1", 40);
    lock.left = "patroni.pause";
    facts.paused = true;
    EXPECT_TRUE(leftovers().empty()) << "its engine may be at work";
    lock.engine_gone = true;
    const std::vector<Finding> found = leftovers();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].severity, Severity::critical);
    expect_parts(found[0].message,
                 {"run r1 by ann@ops1 left patroni.pause: its engine is gone, its lock is on n2",
                  "The cluster is paused"});
    expect_parts(found[0].remedy, {"`lockstep resume r1`"});
}

TEST_F(LeftoversTest, AnExpiredLockIsOneFindingOfItsRun) {
    for (const char* name : {"n1", "n2", "n3"}) {
        lock_on(name, "r1", -180);
    }
    const std::vector<Finding> found = leftovers();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].severity, Severity::warning);
    EXPECT_EQ(found[0].subject, "r1");
    EXPECT_EQ(found[0].member, "");
    expect_parts(found[0].message,
                 {"run r1 by ann@ops1 has not given the cluster back",
                  "its lock on n1, n2 and n3 expired 3 min ago"});
    expect_parts(
        found[0].remedy,
        {"lockstep resume r1", "lockstep rollback r1", "lockstep unlock orders --lock-id id-r1"});
}

TEST_F(LeftoversTest, APauseThatIsStillInForceIsCritical) {
    lock_on("n1", "r1", -180);
    lock_on("n2", "r1", -200).left = "patroni.pause";
    EXPECT_EQ(leftovers().at(0).severity, Severity::warning);  // somebody resumed it by hand
    facts.paused = true;
    const std::vector<Finding> found = leftovers();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].severity, Severity::critical);
    expect_parts(found[0].message, {"run r1 by ann@ops1 left patroni.pause", "nothing fails over"});
}

TEST_F(LeftoversTest, WithAnotherPauseAnExpiredLockStaysAWarning) {
    lock_on("n1", "r1", -180);
    facts.paused = true;
    EXPECT_EQ(leftovers().at(0).severity, Severity::warning);
}

TEST_F(LeftoversTest, CommandsThatNobodyWaitsForAreFound) {
    command_on("n2", "r1.install.n2.1", "running");
    command_on("n3", "r1.install.n3.1", "died");
    command_on("n3", "r0.restart.n3.1", "died");
    const std::vector<Finding> found = leftovers();
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].subject, "r0");
    expect_parts(found[0].message, {"r0.restart.n3.1 died on n3 (started 2 min ago)"});
    expect_parts(found[0].remedy, {"/var/lib/lockstep/spool"});
    EXPECT_EQ(found[1].subject, "r1");
    EXPECT_EQ(found[1].severity, Severity::warning);
    expect_parts(found[1].message, {"r1.install.n2.1 still runs on n2", "died on n3"});
    expect_parts(found[1].remedy, {"Wait until its commands have ended"});
}

TEST_F(LeftoversTest, CommandsAndLockOfARunAreOneFinding) {
    lock_on("n1", "r1", -180);
    command_on("n2", "r1.install.n2.1", "died");
    const std::vector<Finding> found = leftovers();
    ASSERT_EQ(found.size(), 1U);
    expect_parts(found[0].message, {"its lock on n1", "died on n2"});
}

// Nobody is told to remove what a live run may still read.
TEST_F(LeftoversTest, WhatRunsIsNeverToBeRemoved) {
    command_on("n2", "r1.install.n2.1", "running");
    EXPECT_EQ(leftovers().at(0).remedy.find("remove"), std::string::npos);
    facts.find("n2")->leftover->spool.back().state = "died";
    expect_parts(leftovers().at(0).remedy, {"If that is settled, remove their folders"});
    facts.find("n2")->leftover->spool.back().owner_known = false;
    expect_parts(leftovers().at(0).message, {"for this cluster or another one of these hosts"});
    expect_parts(leftovers().at(0).remedy, {"no run is at work on any cluster of these hosts"});
}

TEST_F(LeftoversTest, ACommandThatHasEndedIsNone) {
    command_on("n2", "r1.install.n2.1", "ended");
    EXPECT_TRUE(leftovers().empty());
}

TEST_F(LeftoversTest, AreNotSpokenOfWhileARunHoldsTheCluster) {
    lock_on("n1", "r2", 42);
    lock_on("n2", "r1", -180);
    command_on("n3", "r1.install.n3.1", "died");
    EXPECT_TRUE(leftovers().empty());
    facts.find("n1")->leftover->lock->expires_in_seconds = 0;
    EXPECT_EQ(leftovers().size(), 2U);
}

TEST_F(LeftoversTest, ADamagedLockIsFoundToo) {
    facts.find("n1")->leftover->lock.emplace();
    const std::vector<Finding> found = leftovers();
    ASSERT_EQ(found.size(), 1U);
    expect_parts(found[0].message, {"an unknown run, by a damaged lock"});
    EXPECT_EQ(found[0].remedy.find("resume"), std::string::npos);
}

TEST_F(LeftoversTest, TellAFenceThatNoRunHasLeft) {
    const auto odd = [this] {
        std::vector<Finding> found;
        for (const Finding& finding : diagnose(facts, Cluster{})) {
            if (finding.id == "member.fence_odd") {
                found.push_back(finding);
            }
        }
        return found;
    };
    for (MemberFacts& member : facts.members) {
        member.leftover->fence = 5;
    }
    facts.find("n1")->leftover->fence = 9;
    EXPECT_TRUE(odd().empty());
    facts.find("n2")->leftover->fence = 999'999'999;
    ASSERT_EQ(odd().size(), 1U);
    EXPECT_EQ(odd()[0].member, "n2");
    EXPECT_EQ(odd()[0].severity, Severity::warning);
    expect_parts(odd()[0].message, {"999999999", "at most 9"});
    expect_parts(odd()[0].remedy, {"The next run puts it back", "--reset-fence`"});
    facts.find("n1")->leftover.reset();
    ASSERT_EQ(odd().size(), 1U);
    expect_parts(odd()[0].message, {"too few members answer"});
}

}  // namespace
}  // namespace lockstep
