#include "engine/run/guards.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

class Guards : public testing::Test {
  protected:
    Guards() {
        start.leader = "n1";
        for (const char* name : {"n1", "n2"}) {
            MemberFacts member;
            member.name = name;
            member.postgres.started_at = "then";
            member.disk = DiskFacts{.mount = "/pg", .free_bytes = 50, .total_bytes = 100};
            member.wal = WalFacts{.bytes = 1000};
            start.members.push_back(member);
        }
        now = start;
    }

    static GuardSpec guard(const std::string& text) {
        const Runbook runbook =
            parse_runbook("runbook: x\nguards: [" + text + "]\nsteps: [{id: a, uses: look}]\n",
                          "x.yaml",
                          {{{.name = "look", .summary = "", .params = {}}}, guard_catalog(), {}});
        return runbook.guards.front();
    }

    /// "" holds, "?" not known, else the reason.
    std::string check(const std::string& text) {
        const auto verdict = check_guard(guard(text), start, now);
        if (!verdict) {
            return "";
        }
        return verdict->unknown ? "?" : verdict->why;
    }

    ClusterFacts start;
    ClusterFacts now;
};

TEST_F(Guards, HoldWhileNothingHasChanged) {
    for (const char* text : {"leader_unchanged",
                             "postgres_not_restarted",
                             "disk_above: {free: 10%}",
                             "pg_wal_below: {size: 1kB}"}) {
        const std::string name = text;
        const bool has_arguments = name.find(':') != std::string::npos;
        EXPECT_EQ(check(has_arguments ? "{" + name + "}" : name), "") << text;
    }
}

TEST_F(Guards, NoticeALeaderThatMovedOrIsGone) {
    now.leader = "n2";
    EXPECT_NE(check("leader_unchanged").find("from n1 to n2"), std::string::npos);
    now.leader = "";
    EXPECT_NE(check("leader_unchanged").find("nobody"), std::string::npos);
}

TEST_F(Guards, NoticeARestartedPostmaster) {
    now.members[1].postgres.started_at = "now";
    EXPECT_NE(check("postgres_not_restarted").find("n2"), std::string::npos);
}

/// What the hosts say of their processes.
class GuardsOfHosts : public Guards {
  protected:
    GuardsOfHosts() {
        for (ClusterFacts* facts : {&start, &now}) {
            for (MemberFacts& member : facts->members) {
                member.boot_id = "b";
                member.postgres.data_directory = "/pg";
                member.on_host =
                    HostFacts{.patronis = {{"patroni", "active"}, {"patroni@17-billing", "active"}},
                              .postmasters = {{7, 5432, "/pg", "patroni"},
                                              {8, 5433, "/billing", "patroni@17-billing"},
                                              {9, 5434, "/toy", "toy"}}};
            }
        }
    }

    std::vector<PostmasterFacts>& postmasters() { return now.members[1].on_host->postmasters; }
};

TEST_F(GuardsOfHosts, TripAtOnceWhereThePostmasterIsGone) {
    EXPECT_EQ(check("postgres_not_restarted"), "");
    postmasters().erase(postmasters().begin());
    EXPECT_EQ(check("postgres_not_restarted"),
              "guard postgres_not_restarted: PostgreSQL on n2 is gone: it ran as pid 7 since then, "
              "and its host has no such process any more");
    now.members[1].postgres.started_at = "";  // and its Patroni does not say
    EXPECT_NE(check("postgres_not_restarted").find("n2 is gone"), std::string::npos);
    EXPECT_EQ(postmaster_stayed(start.members[1], &now.members[1]), false);
}

TEST_F(GuardsOfHosts, TripWhereAnotherPostmasterHasTheDataDirectory) {
    postmasters()[0].pid = 70;
    EXPECT_NE(check("postgres_not_restarted").find("runs as pid 70, before as pid 7"),
              std::string::npos);
}

TEST_F(GuardsOfHosts, TellOfOneThatIsGoneBeforeOneThatIsUnknown) {
    now.members[0].postgres.started_at = "";
    EXPECT_EQ(check("postgres_not_restarted"), "?");
    postmasters().erase(postmasters().begin());
    EXPECT_NE(check("postgres_not_restarted").find("n2 is gone"), std::string::npos);
}

TEST_F(GuardsOfHosts, KnowNothingOfAHostThatWasNotAskedOrWasBootedAnew) {
    now.members[1].on_host.reset();
    now.members[1].postgres.started_at = "";
    EXPECT_EQ(check("postgres_not_restarted"), "?");
    EXPECT_EQ(postmaster_stayed(start.members[1], &now.members[1]), std::nullopt);
    now.members[1].on_host = HostFacts{};
    now.members[1].boot_id = "c";
    EXPECT_EQ(check("postgres_not_restarted"), "?");
}

TEST_F(GuardsOfHosts, HoldForAnotherClusterOnTheHost) {
    postmasters().erase(postmasters().begin() + 2);  // no Patroni's: somebody's toy
    EXPECT_EQ(check("postgres_not_restarted"), "");
    postmasters().erase(postmasters().begin() + 1);
    EXPECT_NE(check("postgres_not_restarted").find("another cluster on n2 (patroni@17-billing"),
              std::string::npos);
}

// Patroni before 2.1 tells milliseconds, later ones microseconds, and one of them is cut.
TEST_F(Guards, TakeOneStartInTwoPrecisionsForOne) {
    start.members[1].postgres.started_at = "2026-11-30T23:29:28.229Z";
    now.members[1].postgres.started_at = "2026-11-30T23:29:28.230Z";
    EXPECT_EQ(check("postgres_not_restarted"), "");
    now.members[1].postgres.started_at = "2026-11-30T23:29:29.229Z";
    EXPECT_NE(check("postgres_not_restarted").find("was restarted"), std::string::npos);
    now.members[1].postgres.started_at = "2026-11-30 23:29:28.229 CET";
    EXPECT_EQ(check("postgres_not_restarted"), "?");
}

TEST_F(Guards, CallAPostmasterUnknownThatNobodyTellsOf) {
    now.members[1].postgres.started_at = "";
    EXPECT_EQ(check("postgres_not_restarted"), "?");
    now.members.pop_back();
    EXPECT_EQ(check("postgres_not_restarted"), "?");
}

TEST_F(Guards, DoNotWatchAPostmasterThatDidNotRunAtTheStart) {
    start.members[1].postgres.started_at = "";
    start.members[1].state = "stopped";
    EXPECT_EQ(check("postgres_not_restarted"), "");
}

TEST_F(Guards, DoNotTakeAPostmasterOfUnknownAgeForOneThatDidNotRun) {
    start.members[1].postgres.started_at = "";
    start.members[1].state = "streaming";
    EXPECT_EQ(check("postgres_not_restarted"), "?");
    const auto verdict = check_guard(guard("postgres_not_restarted"), start, now);
    EXPECT_NE(verdict->why.find("since when PostgreSQL on n2 ran"), std::string::npos);
}

TEST_F(GuardsOfHosts, GoByTheProcessWhereItsAgeWasNotKnown) {
    start.members[1].postgres.started_at = "";
    EXPECT_EQ(check("postgres_not_restarted"), "");
    postmasters().erase(postmasters().begin());
    EXPECT_NE(check("postgres_not_restarted").find("n2 is gone"), std::string::npos);
}

TEST_F(Guards, MeasureFreeSpaceInPercentOrBytes) {
    now.members[0].disk->free_bytes = 9;
    EXPECT_NE(check("{disk_above: {free: 10%}}").find("n1"), std::string::npos);
    EXPECT_EQ(check("{disk_above: {free: 9B}}"), "");
    EXPECT_NE(check("{disk_above: {free: 10B}}"), "");
    now.members[0].disk.reset();
    EXPECT_EQ(check("{disk_above: {free: 10%}}"), "?");
}

TEST_F(Guards, TakeAFreeSpaceThatMakesNoSenseForNotEnough) {
    EXPECT_NE(check("{disk_above: {free: plenty}}"), "");
    EXPECT_NE(check("{disk_above: {free: '%'}}"), "");
}

TEST_F(Guards, NoticeAGrowingPgWal) {
    now.members[1].wal->bytes = 2000;
    EXPECT_NE(check("{pg_wal_below: {size: 1kB}}").find("n2"), std::string::npos);
    now.members[1].wal.reset();
    EXPECT_EQ(check("{pg_wal_below: {size: 1kB}}"), "?");
}

TEST(WriteProbeGuard, FailsARunOnlyByTheLimitsThatAreGiven) {
    const auto with = [](const std::string& arguments) {
        return parse_runbook(
            "runbook: x\nguards: [{write_probe: " + arguments +
                "}]\nsteps: [{id: a, uses: look}]\n",
            "x.yaml",
            {{{.name = "look", .summary = "", .params = {}}}, guard_catalog(), {}});
    };
    const ProbeReport slow{.writes = 5, .errors = 1, .longest_gap = std::chrono::seconds{2}};
    EXPECT_FALSE(check_write_probe(with("{every: 50ms}"), slow));
    EXPECT_TRUE(check_write_probe(with("{max_gap: 1s}"), slow));
    EXPECT_FALSE(check_write_probe(with("{max_gap: 3s}"), slow));
    EXPECT_TRUE(check_write_probe(with("{max_errors: 0}"), slow));
    EXPECT_EQ(check_write_probe(with("{max_errors: 0}"),
                                ProbeReport{.writes = 1, .errors = 1, .last_error = "x"}),
              "the write probe saw 1 error, the last: x");
    EXPECT_TRUE(check_write_probe(with("{max_gap: 3s}"), ProbeReport{}));
    EXPECT_FALSE(check_write_probe(with("{every: 50ms}"), ProbeReport{}));
    EXPECT_EQ(write_probe_settings(with("{every: 50ms, from: here}"))->every,
              std::chrono::milliseconds{50});
    EXPECT_FALSE(write_probe_settings(with("{from: here}"))->over_ssh);
}

}  // namespace
}  // namespace lockstep
