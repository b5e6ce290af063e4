#include "cluster/growth.hpp"

#include "cluster/diagnosis.hpp"
#include "tests/cluster/sample_facts.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t k_segment = 16 << 20;
constexpr std::int64_t k_mb = 1 << 20;

/// PostgreSQL's pg_wal, second by second: WAL is written, a checkpoint comes with max_wal_size or
/// its timeout and takes a while, and then removes what is before its start, unless it is held.
class Server {
  public:
    std::int64_t rate = 0;  ///< bytes a second
    std::int64_t max_wal_size = 1024 * k_mb;
    std::int64_t keep_size = 0;
    int checkpoint_timeout = 300;
    bool slot_is_stuck = false;
    int slot_trails = 0;  ///< seconds: two loops of Patroni on a replica

    void second() {
        position_ += rate;
        ++since_checkpoint_;
        history_.push_back(position_);
        if (!slot_is_stuck) {
            const auto n = static_cast<std::ptrdiff_t>(history_.size()) - 1 - slot_trails;
            slot_ = history_[static_cast<std::size_t>(std::max<std::ptrdiff_t>(n, 0))];
        }
        // CheckPointDistance with checkpoint_completion_target 0.9 (PostgreSQL 14 to 18).
        const bool full = position_ - begun_ > max_wal_size * 10 / 19;
        if (left_ == 0 && (full || since_checkpoint_ >= checkpoint_timeout) && position_ > begun_) {
            begun_ = position_;
            left_ = std::max(1, std::min(since_checkpoint_, checkpoint_timeout) * 9 / 10);
            since_checkpoint_ = 0;
        } else if (left_ > 0 && --left_ == 0) {
            redo_ = begun_;
            const std::int64_t wanted = std::min({redo_ - keep_size, slot_, redo_});
            oldest_ = std::max(oldest_, wanted - wanted % k_segment);
        }
        bytes_ = std::max(bytes_, position_ - oldest_ + k_segment);  // recycled files stay
    }

    void pass(int seconds) {
        for (int n = 0; n < seconds; ++n) {
            second();
        }
    }

    void fill(MemberFacts& member) const {
        member.position = static_cast<Lsn>(position_);
        member.system_identifier = "77";
        member.wal->bytes = bytes_;
        member.wal->oldest = static_cast<Lsn>(oldest_);
        member.wal->redo = static_cast<Lsn>(redo_);
        member.wal->segment_bytes = k_segment;
        member.wal->max_wal_size = max_wal_size;
        member.wal->keep_size = keep_size;
        member.disk = DiskFacts{"/var/lib/postgresql", 50'000 * k_mb, 100'000 * k_mb};
        member.slots = {sample_slot("n1", false, static_cast<Lsn>(slot_))};
    }

  private:
    std::int64_t position_ = 64 * k_segment;
    std::int64_t begun_ = position_;
    std::int64_t redo_ = position_;
    std::int64_t oldest_ = position_;
    std::int64_t slot_ = position_;
    std::int64_t bytes_ = 5 * k_segment;
    std::vector<std::int64_t> history_;
    int since_checkpoint_ = 0;
    int left_ = 0;
};

class Growth : public testing::Test {
  protected:
    /// Looks every `step` seconds for `length`; the findings of the last look are in `found`.
    bool ever_grows(int step, int length) {
        bool ever = false;
        for (int at = 0; at < length; at += step) {
            server.pass(step);
            now += std::chrono::seconds{step};
            ever = look() || ever;
        }
        return ever;
    }

    bool look() {
        facts = healthy_cluster("4.0.7");
        server.fill(*facts.find("n2"));
        std::vector<Sample> samples = taken;
        for (Sample& sample : samples) {
            sample.ago = now - sample.ago;
        }
        found.clear();
        judge_growth(facts, samples, found);
        taken.push_back({{}, now, ClusterFacts::from_json(thin(facts))});
        return !found.empty();
    }

    Server server;
    std::chrono::milliseconds now{0};
    std::vector<Sample> taken;  // `ago` is when it was taken
    ClusterFacts facts;
    std::vector<Finding> found;
};

TEST_F(Growth, WithoutEndIsThatOfAStuckSlot) {
    server.rate = 20 * k_mb;
    server.slot_is_stuck = true;
    EXPECT_TRUE(ever_grows(10, 900));
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].id, "wal.growing");
    EXPECT_EQ(found[0].member, "n2");
    EXPECT_EQ(found[0].severity, Severity::critical);  // 50 GB at 20 MB/s: within the hour
    EXPECT_NE(found[0].message.find("the inactive slot n1 holds it"), std::string::npos);
    EXPECT_NE(found[0].message.find(" an hour"), std::string::npos);
    EXPECT_NE(found[0].message.find("is full in"), std::string::npos);
}

TEST_F(Growth, ThatLeavesTimeIsAWarning) {
    server.rate = k_mb / 2;
    server.max_wal_size = 64 * k_mb;
    server.slot_is_stuck = true;
    EXPECT_TRUE(ever_grows(60, 3600));
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].severity, Severity::warning);
}

TEST_F(Growth, IsSeenByTwoSamplesFarApart) {
    server.rate = 2 * k_mb;
    server.slot_is_stuck = true;
    server.pass(60);
    EXPECT_FALSE(look());
    server.pass(7200);
    now += 2h;
    EXPECT_TRUE(look());
}

TEST_F(Growth, IsNoneOfABusyClusterAfterAQuietNight) {
    for (const std::int64_t rate : {1, 10, 40, 100}) {
        for (const int trails : {0, 20}) {
            server = Server();
            taken.clear();
            server.slot_trails = trails;
            server.pass(600);
            server.rate = rate * k_mb;
            EXPECT_FALSE(ever_grows(10, 600)) << rate << " MB/s, slots trail " << trails << " s";
        }
    }
}

TEST_F(Growth, IsNoneOfABusyClusterWithASmallMaxWalSize) {
    server.max_wal_size = 64 * k_mb;
    server.checkpoint_timeout = 30;
    server.slot_trails = 20;
    server.pass(600);
    server.rate = 30 * k_mb;
    EXPECT_FALSE(ever_grows(10, 600));
    server.rate = 5 * k_mb;
    EXPECT_FALSE(ever_grows(10, 600));
    server.rate = 0;
    EXPECT_FALSE(ever_grows(10, 600));
}

TEST_F(Growth, IsNoneUpToWalKeepSize) {
    server.keep_size = 8 * 1024 * k_mb;
    server.pass(600);
    server.rate = 20 * k_mb;
    EXPECT_FALSE(ever_grows(10, 1200));
}

TEST_F(Growth, IsToldAfterTheBurstForAsLongAsAllOfItIsThere) {
    server.slot_is_stuck = true;
    server.rate = 40 * k_mb;
    EXPECT_TRUE(ever_grows(10, 600));
    EXPECT_EQ(found[0].severity, Severity::critical);
    server.rate = 100;  // what an idle server writes
    ever_grows(10, 60);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].severity, Severity::warning) << "nobody knows when it is full";
    EXPECT_NE(found[0].message.find("that stopped 1 min ago"), std::string::npos)
        << found[0].message;
    EXPECT_EQ(found[0].message.find("an hour"), std::string::npos) << found[0].message;
    server.slot_is_stuck = false;
    server.rate = k_mb;
    EXPECT_TRUE(ever_grows(10, 30));
    ever_grows(60, 1200);  // a checkpoint later it is gone
    EXPECT_TRUE(found.empty());
}

// The average over the hour was 205 MB an hour where 50 GB were written in one.
TEST_F(Growth, AfterAQuietTimeIsThatOfTheWritingAlone) {
    server.slot_is_stuck = true;
    server.max_wal_size = 64 * k_mb;
    server.rate = 100;
    EXPECT_FALSE(ever_grows(60, 3000));
    server.rate = 14 * k_mb;  // 49 GB an hour
    EXPECT_TRUE(ever_grows(10, 600));
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].severity, Severity::critical) << found[0].message;
    EXPECT_NE(found[0].message.find("grows by 49"), std::string::npos) << found[0].message;
}

TEST_F(Growth, OfABurstInAHealthyClusterIsNone) {
    server.slot_trails = 20;
    server.pass(600);
    EXPECT_FALSE(ever_grows(10, 120));
    server.rate = 200 * k_mb;
    EXPECT_FALSE(ever_grows(10, 60));
    server.rate = 100;
    EXPECT_FALSE(ever_grows(10, 600));
}

TEST_F(Growth, IsNotTakenFromAnotherSystem) {
    server.rate = 2 * k_mb;
    server.slot_is_stuck = true;
    server.pass(60);
    look();
    taken.back().facts.find("n2")->system_identifier = "78";
    server.pass(7200);
    now += 2h;
    EXPECT_FALSE(look());
}

TEST_F(Growth, RateIsAFactOfEveryMemberThatWasSeenBefore) {
    server.rate = 3 * k_mb;
    look();
    EXPECT_EQ(facts.find("n2")->wal->growth_per_second, std::nullopt);
    ever_grows(10, 100);
    ASSERT_TRUE(facts.find("n2")->wal->growth_per_second);
    EXPECT_NEAR(*facts.find("n2")->wal->growth_per_second, 2.4 * k_mb, k_mb);
}

TEST(EndlessGrowth, IsNoneThatMaxWalSizeHasRoomFor) {
    const Lsn start = 64 * k_segment;
    const std::vector<WalPoint> points = {
        {60s, 2 * k_segment, 0, start, start},
        {30s, 5 * k_segment, 0, start + 3 * k_segment, start},
        {0s, 9 * k_segment, 7 * k_segment, start + 7 * k_segment, start}};
    WalFacts wal;
    wal.segment_bytes = k_segment;
    wal.max_wal_size = 2 * k_segment;
    EXPECT_TRUE(endless_growth(points, wal, 30s));
    wal.max_wal_size = 9 * k_segment;
    EXPECT_FALSE(endless_growth(points, wal, 30s));
}

TEST_F(Growth, NamesArchivingThatFails) {
    server.rate = 20 * k_mb;
    server.slot_is_stuck = true;
    ever_grows(10, 900);
    MemberFacts& member = *facts.find("n2");
    member.slots->clear();
    member.wal->archiving_fails = true;
    std::vector<Sample> samples = taken;
    samples.pop_back();
    for (Sample& sample : samples) {
        sample.ago = now - sample.ago;
    }
    found.clear();
    judge_growth(facts, samples, found);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_NE(found[0].message.find("archiving, which fails"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
