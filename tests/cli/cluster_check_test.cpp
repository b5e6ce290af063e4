#include "cli/cluster_check.hpp"

#include "base/error.hpp"
#include "tests/fakes/fake_cluster.hpp"
#include "tests/transport/temp_dir.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

class ClusterCheckTest : public testing::Test {
  protected:
    /// One look, as a process of its own makes it.
    CheckResult look(bool second_sample = true) {
        SampleHistory history(dir.path("state"), world.clock);
        ClusterChecks::Settings settings;
        settings.connections = world.factory();
        settings.second_sample = second_sample;
        ClusterChecks checks({&world.cluster}, history, world.clock, settings);
        return checks.look({}).front();
    }

    static bool has(const CheckResult& result, const std::string& id) {
        return std::ranges::any_of(result.findings,
                                   [&](const Finding& finding) { return finding.id == id; });
    }

    TempDir dir;
    FakeCluster world;
};

TEST_F(ClusterCheckTest, NeedsNoSecondSampleWhereAnOlderOneIsThere) {
    world.has_slot("n2", "legacy", {{"restart_lsn", "0/1000000"}, {"active", false}});
    EXPECT_TRUE(has(look(), "slot.stuck"));
    EXPECT_EQ(world.clock.sleeps().size(), 1U);  // nobody had looked before: three loops
    world.clock.advance(1min);
    EXPECT_TRUE(has(look(), "slot.stuck"));
    EXPECT_EQ(world.clock.sleeps().size(), 1U);
}

TEST_F(ClusterCheckTest, LooksAgainLaterWhereItIsToldNotToWait) {
    world.has_slot("n2", "legacy", {{"restart_lsn", "0/1000000"}, {"active", false}});
    EXPECT_FALSE(has(look(false), "slot.stuck"));
    world.clock.advance(10s);
    EXPECT_TRUE(has(look(false), "slot.stuck"));
    EXPECT_TRUE(world.clock.sleeps().empty());
}

TEST_F(ClusterCheckTest, KnowsSinceWhenTheClusterIsPaused) {
    world.is_paused();
    EXPECT_EQ(look().facts.paused_since, std::nullopt);
    const Clock::Wall since = world.clock.wall_now();
    world.clock.advance(2h);
    const CheckResult later = look();
    EXPECT_EQ(later.facts.paused_since, since);
    ASSERT_TRUE(has(later, "cluster.paused"));
    EXPECT_NE(later.findings.front().message.find("(at least since "), std::string::npos);
}

TEST_F(ClusterCheckTest, SaysWhyAClusterCannotBeObserved) {
    for (const char* name : {"n1", "n2", "n3"}) {
        for (const char* path : {"/cluster", "/config", "/patroni"}) {
            world.http.fail(
                "GET " + FakeCluster::url(name, path), TransportError::Kind::connect, "refused");
        }
    }
    const CheckResult result = look();
    EXPECT_EQ(result.status(), CheckStatus::unknown);
    EXPECT_NE(result.error.find("no endpoint of the cluster answers"), std::string::npos);
}

TEST_F(ClusterCheckTest, IsCancelledByAStopRequest) {
    SampleHistory history(dir.path("state"), world.clock);
    ClusterChecks::Settings settings;
    settings.connections = world.factory();
    ClusterChecks checks({&world.cluster}, history, world.clock, settings);
    std::stop_source stop;
    stop.request_stop();
    EXPECT_THROW((void)checks.look(stop.get_token()), TransportError);
}

TEST_F(ClusterCheckTest, SeesAMemberThatCameBack) {
    SampleHistory history(dir.path("state"), world.clock);
    ClusterChecks::Settings settings;
    settings.connections = world.factory();
    ClusterChecks checks({&world.cluster}, history, world.clock, settings);
    world.is_dead("n3");
    world.members.at("n3").ssh_error =
        TransportError(TransportError::Kind::connect, "no connection");
    EXPECT_TRUE(has(checks.look({}).front(), "member.unreachable"));
    world.members.at("n3").api_error.reset();
    world.members.at("n3").ssh_error.reset();
    EXPECT_FALSE(has(checks.look({}).front(), "member.unreachable"));
}

// The inventory names no members: that there is one more is known from before.
TEST_F(ClusterCheckTest, MissesAMemberThatItSawBefore) {
    EXPECT_FALSE(has(look(), "member.missing"));
    for (const char* path : {"/cluster", "/config", "/patroni"}) {
        world.http.fail(
            "GET " + FakeCluster::url("n2", path), TransportError::Kind::connect, "refused");
    }
    world.members.erase("n2");
    auto& slots = world.members.at("n1").sql["slots"];
    slots[0]["active"] = false;
    slots[0]["restart_lsn"] = "0/1000000";
    world.clock.advance(1min);
    const CheckResult result = look();
    EXPECT_EQ(result.status(), CheckStatus::warning);
    EXPECT_EQ(ids_of(result.findings), (Names{"slot.member_away", "member.missing"}));
    EXPECT_TRUE(world.clock.sleeps().empty());  // such a slot stands still as it should
    world.clock.advance(7h);
    EXPECT_FALSE(has(look(), "member.missing"));
}

TEST(ManyClusters, AreLookedAtEachByItself) {
    constexpr std::size_t k_count = 34;
    const TempDir dir;
    FakeClock clock;
    SampleHistory history(dir.path("state"), clock);
    std::vector<std::unique_ptr<FakeCluster>> worlds;
    std::vector<std::unique_ptr<ClusterChecks>> single;
    std::vector<const Cluster*> clusters;
    for (std::size_t n = 0; n < k_count; ++n) {
        worlds.push_back(std::make_unique<FakeCluster>());
        worlds.back()->cluster.name = "c" + std::to_string(n);
        clusters.push_back(&worlds.back()->cluster);
    }
    // All of them answer alike, but one has lost a member.
    worlds[0]->is_dead("n3");
    ClusterChecks::Settings settings;
    settings.connections = worlds[0]->factory();
    ClusterChecks checks(clusters, history, clock, settings);
    const std::vector<CheckResult> results = checks.look({});
    ASSERT_EQ(results.size(), k_count);
    for (std::size_t n = 0; n < k_count; ++n) {
        EXPECT_EQ(results[n].cluster, "c" + std::to_string(n));
        EXPECT_EQ(results[n].status(), CheckStatus::critical);
        EXPECT_EQ(results[n].facts.members.size(), 3U);
    }
}

}  // namespace
}  // namespace lockstep
