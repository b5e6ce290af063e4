#include "base/error.hpp"
#include "cli/commands.hpp"
#include "tests/fakes/fake_journal.hpp"
#include "tests/transport/temp_dir.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace lockstep {
namespace {

/// Which run is meant where nobody names one.
class MeantRun : public testing::Test {
  protected:
    MeantRun() { inventory({"orders"}); }

    void inventory(const std::vector<std::string>& clusters) {
        std::ofstream file(temp.path("inventory.yaml"));
        file << "clusters:\n";
        for (const std::string& name : clusters) {
            file << "  " << name << ": {patroni: {endpoints: [\"http://10.0.0.1:8008\"]}}\n";
        }
        options.inventory = temp.path("inventory.yaml");
    }

    void has_run(const std::string& id, const std::string& cluster, bool with_steps = true) {
        RunHeader header;
        header.id = id;
        header.cluster = cluster;
        header.plan = {{"steps", nlohmann::json::array()}};
        if (with_steps) {
            header.plan["steps"].push_back({{"id", "a"}});
        }
        journal.create(header);
    }

    [[nodiscard]] std::string meant(bool of_plans = true) {
        return meant_run(options, journal, of_plans).id;
    }

    TempDir temp;
    Options options;
    FakeJournal journal;
};

TEST_F(MeantRun, IsTheNewestOfTheOneClusterWhateverCameOfIt) {
    has_run("old", "orders");
    has_run("new", "orders");
    EXPECT_EQ(meant(), "new");
    options.run = "old";
    EXPECT_EQ(meant(), "old");
}

TEST_F(MeantRun, IsAskedForWhereThereAreRunsOfSeveralClusters) {
    has_run("a", "orders");
    has_run("b", "billing");
    EXPECT_THROW((void)meant(), UsageError);
    EXPECT_THROW((void)meant(false), UsageError) << "show, too";
    options.cluster = "orders";
    EXPECT_EQ(meant(), "a");
    EXPECT_EQ(meant(false), "a");
}

TEST_F(MeantRun, IsAskedForWhereTheInventoryHasSeveralClusters) {
    inventory({"orders", "billing"});
    has_run("a", "orders");
    EXPECT_THROW((void)meant(), UsageError);
    options.cluster = "orders";
    EXPECT_EQ(meant(), "a");
    options.cluster = "billing";
    EXPECT_THROW((void)meant(), UsageError) << "it has none";
}

TEST_F(MeantRun, NeedsNoInventoryAndIsNoUnlock) {
    options.inventory = temp.path("none.yaml");
    has_run("a", "orders");
    has_run("unlock", "orders", false);
    EXPECT_EQ(meant(), "a");
    EXPECT_EQ(meant(false), "unlock") << "of show";
}

}  // namespace
}  // namespace lockstep
