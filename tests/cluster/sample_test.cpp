#include "cluster/sample.hpp"

#include "cluster/diagnosis.hpp"
#include "tests/cluster/sample_facts.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Times = std::vector<Clock::Wall>;

const Clock::Wall k_noon = Clock::Wall{} + 24h * 365 * 50;

/// What is left of samples taken every `step` for `length`, thinned after each one as the history
/// does it.
Times sampled(std::chrono::seconds step, std::chrono::seconds length) {
    Times kept;
    for (auto at = 0s; at <= length; at += step) {
        kept.push_back(k_noon + at);
        const std::vector<std::size_t> drop = to_forget(kept, kept.back());
        for (auto n = drop.rbegin(); n != drop.rend(); ++n) {
            kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(*n));
        }
    }
    return kept;
}

std::size_t younger_than(const Times& times, std::chrono::seconds age) {
    return static_cast<std::size_t>(
        std::ranges::count_if(times, [&](auto at) { return times.back() - at <= age; }));
}

TEST(Thinning, LeavesFewerSamplesTheOlderTheyAre) {
    const Times kept = sampled(30s, 24h * 3);
    EXPECT_EQ(younger_than(kept, 10min), 21U);
    EXPECT_NEAR(static_cast<double>(younger_than(kept, 1h)), 21 + 50, 3);
    EXPECT_NEAR(static_cast<double>(younger_than(kept, 24h)), 21 + 50 + 138, 5);
    EXPECT_NEAR(static_cast<double>(kept.size()), 21 + 50 + 138 + 24, 6);
}

TEST(Thinning, KeepsAFewHundredHoweverOftenSomebodyLooks) {
    EXPECT_LT(sampled(1s, 30min).size(), 150U);
    EXPECT_LT(sampled(2h, 24h * 60).size(), 400U);
}

TEST(Thinning, AlwaysKeepsTheNewest) {
    EXPECT_TRUE(to_forget({k_noon}, k_noon + 24h * 365).empty());
    EXPECT_EQ(to_forget({k_noon, k_noon + 1s}, k_noon + 24h * 365), (std::vector<std::size_t>{0}));
}

TEST(Thinning, KeepsToItsBoundAlsoWhenTheClockWasSet) {
    Times times;
    for (int n = 0; n < 5000; ++n) {
        times.push_back(k_noon + n * 1min + 24h);  // all of them in the future
    }
    EXPECT_EQ(times.size() - to_forget(times, k_noon).size(), k_most_samples);
}

TEST(Elapsed, GoesByTheBootClockWithinABoot) {
    const Moment before{k_noon, "b1", 1000s};
    EXPECT_EQ(elapsed(before, {k_noon + 24h, "b1", 1030s}), 30s);
    EXPECT_EQ(elapsed(before, {k_noon - 1h, "b1", 1030s}), 30s);
    EXPECT_EQ(elapsed(before, {k_noon + 24h, "b2", 30s}), 24h);
    EXPECT_EQ(elapsed(before, {k_noon + 24h, "", 30s}), 24h);
    EXPECT_EQ(elapsed(before, {k_noon - 1h, "b2", 30s}), std::nullopt);
}

/// A replica's slot for n1 that may be stuck, now and in a sample of before.
class Earlier : public testing::Test {
  protected:
    Earlier() {
        for (MemberFacts& member : now.members) {
            member.system_identifier = "77";
            member.postgres.started_at = "2026-11-23 09:11:44";
            member.unit = UnitFacts{};
            member.unit->started_at = 1000;
        }
        now.sampled_at += 10h;
        slot(now).restart_lsn = 0x10000000;
        slot(now).retained_bytes = 0x10000000;
        before = now;
    }

    static SlotFacts& slot(ClusterFacts& facts) { return facts.find("n2")->slots->front(); }

    /// By one sample of so long ago, stored and read again.
    bool settle(std::chrono::milliseconds ago) {
        const Sample sample{k_noon, ago, ClusterFacts::from_json(thin(before))};
        const auto earlier = earlier_for_slots({sample}, now);
        return earlier && settle_by_earlier(now, *earlier);
    }

    ClusterFacts now = healthy_cluster("4.0.7");
    ClusterFacts before;
};

TEST_F(Earlier, SampleSparesTheSecondOne) {
    EXPECT_TRUE(settle(30s));
    EXPECT_TRUE(slot(now).stuck);
    EXPECT_TRUE(settle(24h));
    EXPECT_TRUE(slot(now).stuck);
}

TEST_F(Earlier, SampleMustBeThreeLoopsOld) {
    EXPECT_FALSE(settle(29s));
    EXPECT_FALSE(slot(now).stuck);
}

TEST_F(Earlier, SampleShowsThatASlotMovesOnlyForAWhile) {
    slot(before).restart_lsn = 0x0F000000;
    EXPECT_TRUE(settle(60s));
    EXPECT_FALSE(slot(now).stuck);
    EXPECT_FALSE(settle(1h));  // moved in that hour, but perhaps not since
}

// A cluster that was idle for an hour, then wrote a segment's worth a second ago.
TEST_F(Earlier, SampleInWhichNothingWasHeldDecidesNothing) {
    slot(before).retained_bytes = 100;
    EXPECT_FALSE(settle(1h));
    EXPECT_FALSE(slot(now).stuck);
}

TEST_F(Earlier, SampleInWhichTheSlotWasInUseDecidesNothing) {
    slot(before).active = true;
    EXPECT_FALSE(settle(1h));
}

// A crash takes a slot back to where it was last saved.
TEST_F(Earlier, SampleOfBeforeAStartOfPostgresDecidesNothing) {
    before.find("n2")->postgres.started_at = "2026-11-22 09:11:44";
    EXPECT_FALSE(settle(1h));
    before = now;
    before.find("n2")->postgres.started_at.clear();
    now.find("n2")->postgres.started_at.clear();
    EXPECT_FALSE(settle(1h));
}

TEST_F(Earlier, SampleOfAnotherSystemDecidesNothing) {
    before.find("n2")->system_identifier = "78";
    EXPECT_FALSE(settle(1h));
}

// Right after what cures the slot it has not moved yet.
TEST_F(Earlier, SampleOfBeforeACureDecidesNothing) {
    before.find("n1")->patroni.running = "3.2.1";
    EXPECT_FALSE(settle(1h));
    before = now;
    before.find("n2")->unit->started_at = 900;
    EXPECT_FALSE(settle(1h));
    before = now;
    before.leader = "n3";
    EXPECT_FALSE(settle(1h));
    before = now;
    before.config["member_slots_ttl"] = 0;
    EXPECT_FALSE(settle(1h));
}

TEST_F(Earlier, SampleIsNotNeededWhereNoSlotIsSuspicious) {
    slot(now).retained_bytes = 100;
    EXPECT_TRUE(settle(24h));
    EXPECT_FALSE(slot(now).stuck);
}

TEST_F(Earlier, SampleIsTheNewestThatIsOldEnough) {
    const ClusterFacts kept = ClusterFacts::from_json(thin(before));
    const auto earlier =
        earlier_for_slots({{k_noon, 1h, kept}, {k_noon, 40s, kept}, {k_noon, 5s, kept}}, now);
    ASSERT_TRUE(earlier);
    EXPECT_EQ(now.sampled_at - earlier->sampled_at, 40s);
}

}  // namespace
}  // namespace lockstep
