#include "cluster/sample_history.hpp"

#include "base/error.hpp"
#include "tests/cluster/sample_facts.hpp"
#include "tests/fakes/fake_clock.hpp"
#include "tests/transport/temp_dir.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

class History : public testing::Test {
  protected:
    ClusterFacts look(bool paused = false) {
        ClusterFacts facts = healthy_cluster("4.0.7");
        facts.paused = paused;
        facts.observed_at = clock.wall_now();
        facts.sampled_at = clock.steady_now();
        return facts;
    }

    std::string folder() { return dir.path("state"); }

    TempDir dir;
    FakeClock clock;
};

TEST_F(History, OutlivesTheProcess) {
    SampleHistory(folder(), clock).add(look());
    clock.advance(1min);
    SampleHistory again(folder(), clock);
    EXPECT_EQ(again.trouble(), "");
    again.add(look());
    clock.advance(30s);
    const std::vector<Sample> samples = again.recent(look(), 1h);
    ASSERT_EQ(samples.size(), 2U);
    EXPECT_EQ(samples[0].ago, 90s);
    EXPECT_EQ(samples[1].ago, 30s);
    const MemberFacts* member = samples[0].facts.find("n2");
    ASSERT_NE(member, nullptr);
    EXPECT_EQ(member->position, 0x20000000U);
    EXPECT_EQ(member->wal->bytes, 4 * (16 << 20));
    EXPECT_EQ(member->disk->free_bytes, 60);
    EXPECT_EQ(member->slots->size(), 2U);
    EXPECT_EQ(samples[0].facts.loop_wait(), 10s);
}

TEST_F(History, IsForItsOwnerAlone) {
    SampleHistory(folder(), clock).add(look());

    struct stat about {};

    ASSERT_EQ(::stat((folder() + "/samples.db").c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777U, 0600U);
    ASSERT_EQ(::stat(folder().c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777U, 0700U);
}

TEST_F(History, IsForTheGroupOfAFolderThatPeopleShare) {
    ASSERT_EQ(::mkdir(folder().c_str(), 0700), 0);
    ASSERT_EQ(::chmod(folder().c_str(), 02770), 0);
    SampleHistory(folder(), clock).add(look());

    struct stat about {};

    ASSERT_EQ(::stat((folder() + "/samples.db").c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777U, 0660U);
    ASSERT_EQ(::stat(folder().c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 07777U, 02770U);
}

TEST_F(History, TellsClustersApart) {
    SampleHistory history(folder(), clock);
    history.add(look());
    ClusterFacts other = look();
    other.name = "billing";
    EXPECT_TRUE(history.recent(other, 1h).empty());
}

TEST_F(History, ReadsOneSampleBeyondTheWindow) {
    SampleHistory history(folder(), clock);
    for (int n = 0; n < 3; ++n) {
        history.add(look());
        clock.advance(2h);
    }
    EXPECT_EQ(history.recent(look(), 3h).size(), 2U);
}

TEST_F(History, StaysSmall) {
    SampleHistory history(folder(), clock);
    for (int n = 0; n < 400; ++n) {
        history.add(look());
        clock.advance(20s);
    }
    EXPECT_LT(history.recent(look(), 24h).size(), 100U);
}

TEST_F(History, KnowsSinceWhenAClusterIsPausedAtLeast) {
    SampleHistory history(folder(), clock);
    EXPECT_EQ(history.paused_since("orders"), std::nullopt);
    history.add(look(true));
    clock.advance(1min);
    history.add(look(false));
    EXPECT_EQ(history.paused_since("orders"), std::nullopt);
    clock.advance(1min);
    const Clock::Wall since = clock.wall_now();
    history.add(look(true));
    clock.advance(1h);
    history.add(look(true));
    EXPECT_EQ(history.paused_since("orders"), since);
}

TEST_F(History, GoesOnInMemoryWhereTheFolderCannotBeUsed) {
    std::ofstream(folder()) << "a file";
    SampleHistory history(folder(), clock);
    EXPECT_NE(history.trouble(), "");
    history.add(look());
    EXPECT_EQ(history.recent(look(), 1h).size(), 1U);
}

TEST_F(History, LeavesTheDatabaseOfAnotherProgramAlone) {
    ASSERT_EQ(::mkdir(folder().c_str(), 0700), 0);
    {
        sqlite::Database other(folder() + "/samples.db", 100);
        other.execute("CREATE TABLE theirs (x)");
    }
    SampleHistory history(folder(), clock);
    EXPECT_NE(history.trouble(), "");
    history.add(look());
    sqlite::Database other(folder() + "/samples.db", 100);
    EXPECT_EQ(other.number("SELECT count(*) FROM sqlite_master"), 1);
}

TEST_F(History, SurvivesWhatIsNoDocument) {
    SampleHistory history(folder(), clock);
    history.add(look());
    {
        sqlite::Database other(folder() + "/samples.db", 1000);
        other.execute("UPDATE samples SET document = '[1'");
    }
    EXPECT_TRUE(history.recent(look(), 1h).empty());
    history.add(look());
    EXPECT_EQ(history.recent(look(), 1h).size(), 1U);
}

TEST_F(History, TakesWritersBesideEachOther) {
    constexpr int k_each = 20;
    const auto write = [this] {
        SampleHistory history(folder(), clock);
        for (int n = 0; n < k_each; ++n) {
            clock.advance(6s);
            history.add(look());
        }
        EXPECT_EQ(history.trouble(), "");
    };
    {
        std::jthread one(write);
        std::jthread two(write);
    }
    SampleHistory history(folder(), clock);
    EXPECT_GT(history.recent(look(), 1h).size(), 1U);
}

}  // namespace
}  // namespace lockstep
