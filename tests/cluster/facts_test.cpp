#include "tests/cluster/sample_facts.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(Lsn, IsReadAndWrittenAsPostgresqlDoes) {
    EXPECT_EQ(format_lsn(0x4000060), "0/4000060");
    EXPECT_EQ(format_lsn((Lsn{0x16} << 32U) | 0xB374D848U), "16/B374D848");
    EXPECT_EQ(parse_lsn("16/B374D848"), (Lsn{0x16} << 32U) | 0xB374D848U);
    EXPECT_EQ(parse_lsn("FFFFFFFF/FFFFFFFF"), ~Lsn{0});
}

TEST(Lsn, IsNothingElse) {
    for (const char* text : {"", "/", "0/", "/0", "0/G", "123", "0/1 ", "100000000/0", "-1/0"}) {
        EXPECT_EQ(parse_lsn(text), std::nullopt) << text;
    }
}

TEST(WalFacts, HeldIsWhatIsOlderThanTheSegmentOfTheRedoPointer) {
    WalFacts wal;
    wal.segment_bytes = 16 << 20;
    wal.oldest = 0x01000000;
    wal.redo = 0x05000028;
    EXPECT_EQ(wal.held_bytes(), 4 * (16 << 20));
    wal.oldest = 0x05000000;
    EXPECT_EQ(wal.held_bytes(), 0);
    wal.oldest = 0x06000000;
    EXPECT_EQ(wal.held_bytes(), 0);
    wal.oldest.reset();
    EXPECT_EQ(wal.held_bytes(), std::nullopt);
}

TEST(ClusterFacts, RenderTheFieldsOfCheck) {
    const nlohmann::json json = healthy_cluster("4.0.7").to_json();
    EXPECT_EQ(json["cluster"], "orders");
    EXPECT_EQ(json["leader"], "n1");
    EXPECT_EQ(json["timeline"], 3);
    EXPECT_EQ(json["paused"], false);
    const nlohmann::json& member = json["members"][1];
    EXPECT_EQ(member["name"], "n2");
    EXPECT_EQ(member["role"], "replica");
    EXPECT_EQ(member["state"], "streaming");
    EXPECT_EQ(member["timeline"], 3);
    EXPECT_EQ(member["lag_bytes"], 0);
    EXPECT_EQ(member["patroni"]["running"], "4.0.7");
    EXPECT_EQ(member["patroni"]["installed"], "4.0.7-1");
    EXPECT_EQ(member["postgres"]["running"], "17.12");
    EXPECT_EQ(member["postgres"]["installed"], "17.12-0+deb13u1");
    EXPECT_TRUE(member["postgres"].contains("started_at"));
    EXPECT_EQ(member["pending_restart"], false);
    EXPECT_EQ(member["wal"]["bytes"], 67108864);
    EXPECT_EQ(member["wal"]["files"], 4);
    EXPECT_EQ(member["disk"]["free_bytes"], 60);
    EXPECT_EQ(member["disk"]["total_bytes"], 100);
    const nlohmann::json& slot = member["slots"][0];
    EXPECT_EQ(slot["name"], "n1");
    EXPECT_EQ(slot["type"], "physical");
    EXPECT_EQ(slot["active"], false);
    EXPECT_EQ(slot["retained_bytes"], 0);
    EXPECT_EQ(slot["stuck"], false);
    EXPECT_EQ(slot["serves"], "member");
}

TEST(ClusterFacts, RenderAbsentFactsAsNull) {
    ClusterFacts facts;
    facts.members.emplace_back();
    facts.members[0].name = "n1";
    const nlohmann::json json = facts.to_json();
    EXPECT_TRUE(json["leader"].is_null());
    EXPECT_TRUE(json["timeline"].is_null());
    const nlohmann::json& member = json["members"][0];
    for (const char* field : {"role",
                              "state",
                              "timeline",
                              "lag_bytes",
                              "wal",
                              "disk",
                              "slots",
                              "leftover",
                              "lsn",
                              "unit",
                              "host"}) {
        EXPECT_TRUE(member[field].is_null()) << field;
    }
    EXPECT_TRUE(member["patroni"]["running"].is_null());
    EXPECT_TRUE(member["postgres"]["started_at"].is_null());
    EXPECT_EQ(member["tags"], nlohmann::json::object());
    EXPECT_EQ(member["patroni"]["available"], nlohmann::json::array());
}

TEST(PostgresFacts, WhoseStartCannotBeReadBesideOneThatCanIsNotKnownToBeAnother) {
    const PostgresFacts a{.started_at = "2026-11-30T23:29:28.229Z"};
    const PostgresFacts b{.started_at = "2026-11-30T23:29:29.229Z"};
    const PostgresFacts odd{.started_at = "2026-11-30 23:29:28.229 CET"};
    EXPECT_EQ(same_start(a, a), true);
    EXPECT_EQ(same_start(a, b), false);
    EXPECT_EQ(same_start(a, odd), std::nullopt);
    EXPECT_EQ(same_start(odd, odd), true);
}

TEST(ClusterFacts, KeepWhatWasSeenOfTheHostInTheirRecord) {
    MemberFacts member;
    member.name = "n1";
    member.patroni.held = member.postgres.held = true;
    member.data_disk = DiskFacts{"/data", 4, 10};
    member.upkeep = UpkeepFacts{true, {"patroni"}, true, true, true, {"postgresql-"}, true};
    member.last_words = {"FATAL:  it is so"};
    member.wal = WalFacts{};
    member.wal->oldest_transaction = TransactionFacts{12, 60, "7", "batch"};
    member.slots.emplace(1);
    member.slots->at(0).confirmed = 0x2000060;
    EXPECT_EQ(MemberFacts::from_json(member.to_json()).to_json(), member.to_json());
    EXPECT_EQ(member.to_json()["upkeep"]["spared"][0], "patroni");
    EXPECT_EQ(member.to_json()["slots"][0]["confirmed_lsn"], "0/2000060");
}

TEST(ClusterFacts, TellWhoHoldsTheCluster) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    EXPECT_TRUE(facts.to_json()["lock"].is_null());
    LeftoverFacts& leftover = facts.find("n2")->leftover.emplace();
    EXPECT_TRUE(facts.find("n2")->to_json()["leftover"]["lock"].is_null());
    leftover.lock = LockFacts{.id = "a1", .run = "r1", .who = "ann@ops1", .since = 1795425018};
    leftover.spool = {{"r1.install", "ended", 90}};
    EXPECT_EQ(facts.held_lock(), nullptr);
    leftover.lock->expires_in_seconds = 42;
    const nlohmann::json lock = {{"id", "a1"},
                                 {"run", "r1"},
                                 {"who", "ann@ops1"},
                                 {"since", 1795425018},
                                 {"expires_in_seconds", 42},
                                 {"left", nullptr}};
    EXPECT_EQ(facts.to_json()["lock"], lock);
    const nlohmann::json member = facts.to_json()["members"][1];
    EXPECT_EQ(member["leftover"]["lock"], lock);
    EXPECT_EQ(
        member["leftover"]["spool"],
        nlohmann::json::parse(R"([{"key": "r1.install", "state": "ended", "age_seconds": 90}])"));
}

TEST(ClusterFacts, KeepWhatALookAtTheHostSaidWhenOnlyPatroniIsAsked) {
    ClusterFacts facts = healthy_cluster("4.0.7");
    facts.find("n2")->leftover.emplace().lock = LockFacts{.id = "a1", .expires_in_seconds = 5};
    facts.find("n2")->postgres.data_directory = "/data";
    facts.find("n2")->unknown["disk"] = "df failed";
    ClusterFacts quick = healthy_cluster("4.1.5");
    quick.find("n2")->postgres.data_directory.clear();
    facts.update(quick);
    EXPECT_EQ(facts.find("n2")->patroni.running, "4.1.5");
    EXPECT_EQ(facts.find("n2")->postgres.data_directory, "/data");
    EXPECT_EQ(facts.find("n2")->unknown.at("disk"), "df failed");
    ASSERT_TRUE(facts.find("n2")->leftover);
    EXPECT_NE(facts.held_lock(), nullptr);
}

TEST(ClusterFacts, FallBackToPatronisDefaults) {
    ClusterFacts facts;
    EXPECT_EQ(facts.loop_wait(), std::chrono::seconds{10});
    EXPECT_EQ(facts.ttl(), std::chrono::seconds{30});
    facts.config = {{"loop_wait", 3}, {"ttl", 20}};
    EXPECT_EQ(facts.loop_wait(), std::chrono::seconds{3});
    EXPECT_EQ(facts.ttl(), std::chrono::seconds{20});
}

TEST(FindingIds, HoldEveryFindingOnce) {
    const std::vector<std::string>& ids = finding_ids();
    EXPECT_EQ(ids.size(), 50U);
    EXPECT_EQ(worst({}), Severity::info);
    EXPECT_EQ(worst({{.id = "a", .severity = Severity::warning},
                     {.id = "b", .severity = Severity::critical},
                     {.id = "c", .severity = Severity::info}}),
              Severity::critical);
}

}  // namespace
}  // namespace lockstep
