#include "cluster/setting_value.hpp"
#include "tests/cluster/sample_facts.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using Json = nlohmann::json;

std::vector<Finding> findings_of(const ClusterFacts& facts) {
    return diagnose(facts, Cluster{});
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// All settings alike, a file that says what runs, and a daemon that started after the file.
ClusterFacts configured_cluster() {
    ClusterFacts facts = healthy_cluster("4.0.7");
    for (MemberFacts& member : facts.members) {
        member.postgres.settings = {{"max_connections", "100"},
                                    {"max_prepared_transactions", "0"},
                                    {"max_locks_per_transaction", "64"},
                                    {"max_worker_processes", "8"},
                                    {"max_wal_senders", "10"},
                                    {"max_replication_slots", "10"},
                                    {"wal_level", "replica"},
                                    {"track_commit_timestamp", "off"},
                                    {"hot_standby", "on"},
                                    {"wal_log_hints", "on"},
                                    {"shared_preload_libraries", "pg_stat_statements"},
                                    {"work_mem", "4MB"}};
        member.setup = SetupFacts{};
        member.setup->file = "/etc/patroni/config.yml";
        member.setup->changed_at = 1000;
        member.setup->parameters = {{"work_mem", "4096kB"}, {"max_connections", 100}};
        member.unit = UnitFacts{"active", "running", 70, 2000, 500};
    }
    return facts;
}

TEST(Settings, AreOnAsPatroniReadsThem) {
    for (const Json& on : {Json(true), Json("on"), Json("True"), Json("YES"), Json("1"), Json(2)}) {
        EXPECT_TRUE(is_on(on)) << on;
    }
    for (const Json& off : {Json(false), Json("Off"), Json("quorum"), Json(""), Json(0), Json()}) {
        EXPECT_FALSE(is_on(off)) << off;
    }
}

TEST(Settings, ThatAgreeAreNoFinding) {
    EXPECT_TRUE(findings_of(configured_cluster()).empty());
}

TEST(Settings, OfAReplicaMustNotBeSmallerThanTheLeaders) {
    for (const char* name : {"max_connections",
                             "max_prepared_transactions",
                             "max_locks_per_transaction",
                             "max_worker_processes",
                             "max_wal_senders"}) {
        ClusterFacts facts = configured_cluster();
        facts.find("n1")->postgres.settings[name] = "200";
        facts.find("n1")->setup->parameters = Json::object();
        facts.find("n3")->postgres.settings[name] = "200";
        facts.find("n3")->setup->parameters = Json::object();
        const std::vector<Finding> found = findings_of(facts);
        ASSERT_EQ(found.size(), 1U) << name;
        EXPECT_EQ(found[0].id, "config.drift");
        EXPECT_EQ(found[0].member, "n2");
        EXPECT_EQ(found[0].subject, name);
        EXPECT_EQ(found[0].severity, Severity::warning);
        EXPECT_TRUE(has(found[0].message, "200 on the leader n1")) << found[0].message;
        EXPECT_TRUE(has(found[0].message, "pauses its replay")) << found[0].message;
        EXPECT_TRUE(has(found[0].remedy, "patronictl restart orders n2")) << found[0].remedy;
    }
}

TEST(Settings, ThatAreSmallerShutAnOldReplicaDown) {
    ClusterFacts facts = configured_cluster();
    facts.find("n2")->postgres.settings["max_wal_senders"] = "5";
    for (MemberFacts& member : facts.members) {
        member.postgres.running = "13.20";
        member.postgres.installed.clear();
    }
    EXPECT_TRUE(has(findings_of(facts).at(0).message, "shuts down"));
}

TEST(Settings, OfAReplicaThatAreLargerAreHarmless) {
    ClusterFacts facts = configured_cluster();
    facts.find("n2")->postgres.settings["max_connections"] = "200";
    facts.find("n2")->setup->parameters = Json::object();
    const std::vector<Finding> found = findings_of(facts);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].severity, Severity::info);
}

TEST(Settings, ThatTheNextLeaderWouldLackAreAWarning) {
    ClusterFacts facts = configured_cluster();
    facts.find("n3")->postgres.settings["shared_preload_libraries"].clear();
    EXPECT_TRUE(findings_of(facts).empty());  // not known is no difference
    facts.find("n3")->postgres.settings["shared_preload_libraries"] = "pgaudit";
    const std::vector<Finding> found = findings_of(facts);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].severity, Severity::warning);
    EXPECT_TRUE(has(found[0].message, "after a failover")) << found[0].message;
}

TEST(Settings, AreComparedWithTheFile) {
    ClusterFacts facts = configured_cluster();
    facts.find("n2")->setup->parameters["work_mem"] = "8MB";
    std::vector<Finding> found = findings_of(facts);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].id, "config.drift");
    EXPECT_EQ(found[0].severity, Severity::warning);
    EXPECT_TRUE(has(found[0].message, "/etc/patroni/config.yml of n2")) << found[0].message;
    EXPECT_TRUE(has(found[0].message, "work_mem is 4MB (the file says 8MB)")) << found[0].message;
    EXPECT_FALSE(has(found[0].message, "changed after")) << found[0].message;
    EXPECT_TRUE(has(found[0].remedy, "patronictl reload orders n2")) << found[0].remedy;
    facts.find("n2")->setup->parameters["jit"] = false;
    facts.find("n2")->postgres.settings["jit"] = "on";
    facts.find("n2")->setup->changed_at = 2001;
    found = findings_of(facts);
    EXPECT_TRUE(has(found[0].message, "jit is on (the file says off) and work_mem"))
        << found[0].message;
    EXPECT_TRUE(has(found[0].message, "changed after the daemon's start")) << found[0].message;
}

TEST(Settings, OfAFileThatOnlyChangedAreNoFinding) {
    ClusterFacts facts = configured_cluster();
    facts.find("n2")->setup->changed_at = 2001;
    EXPECT_TRUE(findings_of(facts).empty());
}

TEST(Settings, ThatWaitForARestartAreThatFindingAlone) {
    ClusterFacts facts = configured_cluster();
    MemberFacts& n2 = *facts.find("n2");
    n2.setup->parameters["work_mem"] = "8MB";
    n2.pending_restart = true;
    n2.pending_restart_reason = {{"work_mem", {{"old_value", "4MB"}, {"new_value", "8MB"}}}};
    ASSERT_EQ(findings_of(facts).size(), 1U);
    EXPECT_EQ(findings_of(facts)[0].id, "postgres.pending_restart");
    n2.pending_restart_reason = nullptr;  // before Patroni 3.3.0
    ASSERT_EQ(findings_of(facts).size(), 1U);
    n2.pending_restart_reason = {{"shared_buffers", {{"old_value", "1"}, {"new_value", "2"}}}};
    EXPECT_EQ(findings_of(facts).size(), 2U);
}

TEST(Settings, ThatPatroniIgnoresInAFileAreOnlyMentioned) {
    ClusterFacts facts = configured_cluster();
    facts.find("n2")->setup->parameters["max_connections"] = 500;
    const std::vector<Finding> found = findings_of(facts);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].severity, Severity::info);
    EXPECT_TRUE(has(found[0].message, "max_connections is 100 (the file says 500)"));
    EXPECT_TRUE(has(found[0].remedy, "edit-config"));
}

TEST(SameSetting, KnowsUnitsAndWordsOfPostgresql) {
    EXPECT_EQ(same_setting("work_mem", "4096kB", "4MB"), true);
    EXPECT_EQ(same_setting("work_mem", "4MB", "8MB"), false);
    EXPECT_EQ(same_setting("shared_buffers", "0.5GB", "512MB"), true);
    EXPECT_EQ(same_setting("checkpoint_timeout", "300s", "5min"), true);
    EXPECT_EQ(same_setting("checkpoint_timeout", "15 min", "5min"), false);
    EXPECT_EQ(same_setting("random_page_cost", 1.1, "1.1"), true);
    EXPECT_EQ(same_setting("random_page_cost", "1.1", "4"), false);
    EXPECT_EQ(same_setting("jit", true, "on"), true);
    EXPECT_EQ(same_setting("jit", "NO", "on"), false);
    EXPECT_EQ(same_setting("archive_mode", false, "on"), false);
    EXPECT_EQ(same_setting("autovacuum_max_workers", 3, "3"), true);
}

TEST(SameSetting, DoesNotGuess) {
    EXPECT_EQ(same_setting("work_mem", "8MB", ""), std::nullopt);
    EXPECT_EQ(same_setting("work_mem", 8192, "8MB"), std::nullopt);
    EXPECT_EQ(same_setting("wal_buffers", -1, "4MB"), std::nullopt);
    EXPECT_EQ(same_setting("wal_compression", "on", "pglz"), std::nullopt);
    EXPECT_EQ(same_setting("wal_compression", "pglz", "on"), std::nullopt);
    EXPECT_EQ(same_setting("tcp_keepalives_idle", 900, "0"), std::nullopt);
    EXPECT_EQ(same_setting("log_file_mode", 384, "0600"), std::nullopt);
    EXPECT_EQ(same_setting("hot_standby_feedback", false, "on"), std::nullopt);
    EXPECT_EQ(same_setting("port", 5433, "5432"), std::nullopt);
    EXPECT_EQ(same_setting("work_mem", "1e400kB", "4MB"), std::nullopt);
    EXPECT_EQ(same_setting("x", "-", "4MB"), std::nullopt);
    EXPECT_EQ(same_setting("x", "5 parsec", "4MB"), std::nullopt);
}

TEST(SameSetting, RoundsAsThePostmasterDoes) {
    EXPECT_EQ(same_setting("max_wal_size", "1025kB", "1MB"), true);
    EXPECT_EQ(same_setting("max_wal_size", "2049kB", "1MB"), false);
}

TEST(PendingRestart, SaysFromWhatToWhatAndInWhichOrder) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    MemberFacts& n2 = *facts.find("n2");
    n2.pending_restart = true;
    n2.pending_restart_reason = {
        {"max_connections", {{"old_value", "50"}, {"new_value", "60"}}},
        {"shared_buffers", {{"old_value", "128MB"}, {"new_value", "256MB"}}}};
    Finding finding = findings_of(facts).at(0);
    EXPECT_TRUE(has(finding.message,
                    "max_connections (50 -> 60) and shared_buffers (128MB -> "
                    "256MB)"))
        << finding.message;
    EXPECT_TRUE(has(finding.remedy, "patronictl restart orders n2 --pending")) << finding.remedy;
    EXPECT_TRUE(has(finding.remedy, "Replicas first")) << finding.remedy;
    n2.pending_restart_reason["max_connections"]["new_value"] = "40";
    EXPECT_TRUE(has(findings_of(facts).at(0).remedy, "The leader first"));
    n2.pending_restart_reason.erase("max_connections");
    EXPECT_FALSE(has(findings_of(facts).at(0).remedy, "first"));
    n2.pending_restart_reason = {{"work_mem", "what a later Patroni may say"}};
    EXPECT_TRUE(has(findings_of(facts).at(0).message, "for work_mem"));
}

TEST(NotRestarted, ExplainsWhatAPackageUnderAnOldServerDoes) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    facts.find("n2")->postgres.installed = "17.13-1.pgdg120+1";
    const Finding finding = findings_of(facts).at(0);
    EXPECT_EQ(finding.id, "postgres.not_restarted");
    EXPECT_TRUE(has(finding.message, "libpqwalreceiver")) << finding.message;
    EXPECT_TRUE(has(finding.remedy, "patronictl restart orders n2")) << finding.remedy;
}

}  // namespace
}  // namespace lockstep
