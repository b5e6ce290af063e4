#include "engine/knowledge/knowledge.hpp"

#include "engine/knowledge/judgement.hpp"
#include "tests/cluster/sample_facts.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

namespace lockstep {
namespace {

using Config = nlohmann::json;
using Adjust = std::function<void(ClusterFacts&)>;

/// A cluster of three in which a row is looked for: as it stands, or on its way to `to`.
struct Situation {
    std::string leader;
    std::string replica;
    std::string to;  ///< not empty: all members go there
    std::vector<Adjust> adjust;
};

template <class... More>
Situation state(const std::string& leader, const std::string& replica, More... more) {
    return {leader, replica, {}, {more...}};
}

template <class... More>
Situation change(const std::string& from, const std::string& to, More... more) {
    return {from, from, to, {more...}};
}

Adjust config(const char* key, const Config& value) {
    return [key, value](ClusterFacts& facts) { facts.config[key] = value; };
}

Adjust slots(const Config& value) {
    return config("slots", value);
}

Adjust postgres(const char* version) {
    return [version](ClusterFacts& facts) {
        for (MemberFacts& member : facts.members) {
            member.postgres.running = version;
        }
    };
}

Adjust setup(const std::function<void(SetupFacts&)>& edit) {
    return [edit](ClusterFacts& facts) {
        for (MemberFacts& member : facts.members) {
            edit(*member.setup);
        }
    };
}

Adjust dcs(const char* kind) {
    return setup([kind](SetupFacts& setup) { setup.dcs = {kind}; });
}

Adjust dcs_user() {
    return setup([](SetupFacts& setup) { setup.has_dcs_user = true; });
}

Adjust python(const char* version) {
    return setup([version](SetupFacts& setup) { setup.python = version; });
}

Adjust module(const char* name, const char* version) {
    return setup([name, version](SetupFacts& setup) { setup.modules = {{name, version}}; });
}

Adjust os(const char* id, const char* version) {
    return [id, version](ClusterFacts& facts) {
        for (MemberFacts& member : facts.members) {
            member.os = OsFacts{id, version, "2.28"};
        }
    };
}

Adjust libc_of(const char* name, const char* version) {
    return [name, version](ClusterFacts& facts) { facts.find(name)->os->libc = version; };
}

Adjust nofailover(const char* name) {
    return [name](ClusterFacts& facts) { facts.find(name)->tags["nofailover"] = true; };
}

Adjust priority_zero(const char* name) {
    return [name](ClusterFacts& facts) { facts.find(name)->tags["failover_priority"] = 0; };
}

/// A slot of n2, of a member that is there already or of nobody.
Adjust slot(const char* name, const char* wal_status, bool with_lsn) {
    return [name, wal_status, with_lsn](ClusterFacts& facts) {
        SlotFacts added = sample_slot(name, false, 0x1F000000);
        added.wal_status = wal_status;
        if (!with_lsn) {
            added.restart_lsn.reset();
        }
        facts.find("n2")->slots = {added};
        classify_slots(facts);
    };
}

ClusterFacts facts_of(const Situation& situation) {
    ClusterFacts facts = healthy_cluster(situation.leader);
    for (MemberFacts& member : facts.members) {
        member.patroni.running = member.name == "n1" ? situation.leader : situation.replica;
        member.setup.emplace();
        member.setup->dcs = {"etcd3"};
        member.setup->python = "3.11.2";
        member.os = OsFacts{"debian", "12", "2.36"};
    }
    for (const Adjust& adjust : situation.adjust) {
        adjust(facts);
    }
    return facts;
}

/// Whom the row names there; undecided ones do not count.
std::vector<std::string> whom(const std::string& row, const Situation& situation) {
    const ClusterFacts facts = facts_of(situation);
    std::vector<VersionChange> changes;
    for (const MemberFacts& member : facts.members) {
        changes.push_back({member.name, member.patroni.running, situation.to});
    }
    std::vector<std::string> names;
    for (const KnownIssue& issue : situation.to.empty()
                                       ? known_of_state(shipped_knowledge(), facts)
                                       : known_of_changes(shipped_knowledge(), facts, changes)) {
        if (issue.row->id == row && issue.undecided.empty()) {
            names.push_back(issue.member);
        }
    }
    return names;
}

struct RowCase {
    const char* row;
    std::vector<Situation> fires;
    std::vector<Situation> silent;
};

const Config k_physical{{"ext", {{"type", "physical"}}}};
const Config k_logical{{"cdc", {{"type", "logical"}}}};
const Config k_standby{{"host", "10.9.9.9"}};
// Patroni 4 drops or keeps for a member whatever it is not told to leave alone.
const Adjust k_ignored = config("ignore_slots", Config::array({{{"name", "legacy"}}}));

const std::vector<RowCase>& row_cases() {
    static const std::vector<RowCase> k_cases{
        {"member-slots-never-advance",
         {state("3.2.1", "4.0.2"), state("2.1.7", "4.0.0"), state("3.3.11", "4.0.1")},
         {state("3.2.1", "4.0.3"),
          state("4.0.0", "4.0.2"),
          state("4.0.2", "3.2.1"),
          state("3.2.1", "3.3.3"),
          state("3.2.1", "4.0.2", postgres("10.23")),
          state("3.2.1", "4.0.2", config("member_slots_ttl", 0)),
          state("3.2.1", "4.0.2", config("postgresql", {{"use_slots", false}})),
          state("3.2.1", "4.0.2", nofailover("n2"), priority_zero("n3"))}},
        {"permanent-slots-never-advance",
         {state("3.1.2", "3.2.1", slots(k_physical)), state("3.1.2", "4.0.7", slots(k_physical))},
         {state("3.1.2", "3.2.1"),
          state("3.2.0", "3.2.1", slots(k_physical)),
          state("3.1.2", "3.1.2", slots(k_physical)),
          state("3.1.2", "3.2.1", slots(k_logical)),
          state("3.1.2", "3.2.1", slots(k_physical), config("postgresql", {{"use_slots", false}})),
          state("3.1.2", "3.2.1", slots(k_physical), postgres("10.23"))}},
        {"slot-without-position",
         {state("4.0.6", "4.0.6", slot("n1", "lost", false)),
          state("3.2.0", "3.2.0", slot("n1", "", false))},
         {state("4.0.7", "4.0.7", slot("n1", "lost", false)),
          state("3.1.2", "3.1.2", slot("n1", "lost", false)),
          state("4.0.6", "4.0.6", k_ignored, slot("legacy", "lost", false)),
          state("4.0.6", "4.0.6")}},
        {"lost-slots-stay",
         {state("4.0.9", "4.0.9", slot("n1", "lost", false)),
          state("4.1.3", "4.1.3", slot("n1", "lost", false)),
          state("3.3.11", "3.3.11", slot("n1", "lost", false))},
         {state("4.0.10", "4.0.10", slot("n1", "lost", false)),
          state("4.1.4", "4.1.4", slot("n1", "lost", false)),
          state("4.0.9", "4.0.9", k_ignored, slot("legacy", "lost", false)),
          state("4.0.9", "4.0.9", slot("n1", "reserved", true))}},
        {"logical-slot-removal",
         {state("4.1.3", "4.1.3", slots(k_logical)), state("3.3.10", "3.3.10", slots(k_logical))},
         {state("4.1.4", "4.1.4", slots(k_logical)),
          state("3.3.11", "3.3.11", slots(k_logical)),
          state("4.1.3", "4.1.3", slots(k_physical))}},
        {"logical-slots-need-restart",
         {change("2.0.2", "2.1.0", slots(k_logical))},
         {change("2.1.0", "3.0.2", slots(k_logical)), change("2.0.2", "2.1.0")}},
        {"logical-slots-disabled",
         {state("3.0.2", "3.0.2", slots(k_logical), postgres("10.23"))},
         {state("3.0.2", "3.0.2", slots(k_logical)),
          state("2.0.2", "2.0.2", slots(k_logical), postgres("10.23"))}},
        {"pause-drops-slots",
         {change("2.1.4", "3.0.2", slot("legacy", "reserved", true))},
         {change("2.1.5", "3.0.2", slot("legacy", "reserved", true)),
          change("2.1.4", "3.0.2", slot("n1", "reserved", true))}},
        {"pause-drops-slots-then",
         {change("3.0.2", "2.1.4", slot("legacy", "reserved", true))},
         {change("3.0.2", "2.1.5", slot("legacy", "reserved", true)), change("3.0.2", "2.1.4")}},
        {"retained-slots-forgotten",
         {change("4.0.7", "3.3.11")},
         {change("4.1.4", "4.0.7"), change("3.3.11", "3.0.2")}},
        {"four-beside-before-three-one",
         {state("3.0.2", "4.0.7"), state("4.0.7", "3.0.2")},
         {state("3.1.0", "4.0.7"), state("3.0.2", "3.3.11"), state("3.0.2", "3.0.2")}},
        {"two-under-four",
         {state("4.0.7", "2.1.7")},
         {state("4.0.7", "3.0.0"), state("3.3.11", "2.1.7"), state("2.1.7", "4.0.7")}},
        {"quorum-under-three",
         {state("3.3.11", "4.0.7", config("synchronous_mode", "quorum")),
          state("3.3.11", "4.0.7", config("synchronous_mode", "Quorum"))},
         {state("4.0.0", "3.3.11", config("synchronous_mode", "quorum")),
          state("3.3.11", "4.0.7", config("synchronous_mode", true))}},
        {"failsafe-needs-three",
         {state("2.1.7", "2.1.7", config("failsafe_mode", true)),
          state("3.0.0", "2.1.7", config("failsafe_mode", "on"))},
         {state("3.0.0", "3.0.0", config("failsafe_mode", true)),
          state("2.1.7", "2.1.7", config("failsafe_mode", false))}},
        {"libc-differs",
         {state("4.0.7", "4.0.7", libc_of("n2", "2.41"))},
         {state("4.0.7", "4.0.7")}},
        {"sslnegotiation-in-conninfo",
         {change("3.3.0", "4.0.3", postgres("14.9")), change("3.3.0", "3.3.4", postgres("16.1"))},
         {change("3.3.0", "4.0.3"),
          change("3.3.0", "4.0.4", postgres("14.9")),
          change("3.3.0", "4.0.2", postgres("14.9")),
          change("3.3.0", "3.3.5", postgres("14.9"))}},
        {"primary-check-inverted",
         {state("3.0.4", "3.0.4")},
         {state("3.0.3", "3.0.3"), state("3.1.0", "3.1.0")}},
        {"primary-check-inverted-target",
         {change("3.0.2", "3.0.4")},
         {change("3.0.4", "3.1.2"), change("3.0.2", "3.0.3")}},
        {"bootstrap-config-unwritten",
         {change("3.0.2", "3.1.1")},
         {change("3.0.2", "3.1.0"), change("3.0.2", "3.1.2")}},
        {"python-too-old",
         {change("2.1.7", "3.0.2", python("2.7.18"))},
         {change("2.1.7", "3.0.0", python("2.7.18")), change("2.1.7", "3.0.2")}},
        {"python-before-3-6",
         {change("2.1.7", "3.0.2", python("3.5.3"))},
         {change("2.1.7", "3.0.1", python("3.5.3")), change("2.1.7", "3.0.2", python("3.6.8"))}},
        {"python-3-12",
         {change("3.0.2", "3.3.0", python("3.12.1"))},
         {change("3.0.2", "3.3.1", python("3.12.1")), change("3.0.2", "3.3.0")}},
        {"python-3-13",
         {change("3.0.2", "4.0.4", python("3.13.5")), change("3.0.2", "3.3.5", python("3.13.5"))},
         {change("3.0.2", "4.0.5", python("3.13.5")),
          change("3.0.2", "3.3.6", python("3.13.5")),
          change("3.0.2", "4.0.4", python("3.12.9"))}},
        {"python-3-14",
         {change("3.0.2", "4.1.0", python("3.14.0")), change("3.0.2", "4.0.7", python("3.14.0"))},
         {change("3.0.2", "4.1.1", python("3.14.0")),
          change("3.0.2", "4.0.8", python("3.14.0")),
          change("3.0.2", "4.1.0", python("3.13.9"))}},
        {"postgres-14",
         {change("1.6.5", "2.0.2", postgres("14.1"))},
         {change("1.6.5", "2.1.0", postgres("14.1")), change("1.6.5", "2.0.2", postgres("13.1"))}},
        {"postgres-15",
         {change("2.0.2", "2.1.4", postgres("15.1"))},
         {change("2.0.2", "2.1.5", postgres("15.1")), change("2.0.2", "2.1.4", postgres("14.1"))}},
        {"postgres-16",
         {change("2.1.7", "3.2.0", postgres("16.1"))},
         {change("2.1.7", "3.2.1", postgres("16.1")), change("2.1.7", "3.2.0", postgres("17.1"))}},
        {"postgres-17",
         {change("2.1.7", "3.3.4"), change("3.3.5", "4.0.3")},
         {change("2.1.7", "3.3.5"),
          change("2.1.7", "4.0.4"),
          change("2.1.7", "3.3.4", postgres("16.1"))}},
        {"postgres-18",
         {change("3.3.5", "4.0.6", postgres("18.0"))},
         {change("3.3.5", "4.0.7", postgres("18.0")), change("3.3.5", "4.0.6")}},
        {"postgres-19",
         {change("4.0.7", "4.1.4", postgres("19.0"))},
         {change("4.0.7", "4.2.0", postgres("19.0")), change("4.0.7", "4.1.4")}},
        {"pause-restart-drops-settings",
         {change("3.0.2", "3.1.0", config("synchronous_mode", true))},
         {change("3.0.2", "3.1.2", config("synchronous_mode", true)), change("3.0.2", "3.1.0")}},
        {"restart-forgets-settings", {change("3.0.2", "3.2.1")}, {change("3.0.2", "3.2.2")}},
        {"restart-forgets-some-settings",
         {change("3.0.2", "3.3.2"), change("3.0.2", "4.0.1")},
         {change("3.0.2", "3.3.3"), change("3.0.2", "4.0.2"), change("3.0.2", "3.2.1")}},
        {"old-process-still-listens", {change("3.0.2", "3.0.4")}, {change("3.0.2", "3.0.3")}},
        {"standby-pause-drops-lock",
         {change("2.1.2", "2.1.7", config("standby_cluster", k_standby))},
         {change("2.1.3", "2.1.7", config("standby_cluster", k_standby)),
          change("2.1.2", "2.1.7")}},
        {"standby-pause-drops-lock-then",
         {change("2.1.7", "2.1.2", config("standby_cluster", k_standby))},
         {change("2.1.7", "2.1.3", config("standby_cluster", k_standby)),
          change("2.1.7", "2.1.2")}},
        {"standby-dcs-wiped-in-pause",
         {change("4.0.7", "4.1.4", config("standby_cluster", k_standby))},
         {change("4.0.7", "4.1.4")}},
        {"renamed-leader",
         {change("3.3.7", "3.3.8", config("synchronous_mode", true))},
         {change("3.3.7", "3.3.9", config("synchronous_mode", true)), change("3.3.7", "3.3.8")}},
        {"unit-type-notify",
         {change("4.1.0", "4.0.7")},
         {change("4.0.7", "4.0.4"), change("4.1.5", "4.1.4")}},
        {"reload-hangs", {change("4.0.7", "4.1.2")}, {change("4.0.7", "4.1.3")}},
        {"master-is-primary",
         {change("3.3.11", "4.0.7")},
         {change("4.0.4", "4.0.7"), change("3.0.2", "3.3.11")}},
        {"kubernetes-labels",
         {change("3.3.11", "4.0.7", dcs("kubernetes"))},
         {change("3.3.11", "4.0.7"), change("4.0.4", "4.0.7", dcs("kubernetes"))}},
        {"bootstrap-users-ignored",
         {change("3.3.11", "4.0.7", setup([](SetupFacts& s) { s.has_bootstrap_users = true; }))},
         {change("3.3.11", "4.0.7")}},
        {"citus-secondaries", {change("3.3.11", "4.0.7")}, {change("4.0.4", "4.0.7")}},
        {"readiness-is-stricter", {change("4.0.7", "4.1.0")}, {change("4.1.0", "4.1.4")}},
        {"leader-check-of-standby", {change("2.0.2", "2.1.0")}, {change("2.1.0", "3.0.2")}},
        {"timings-adjusted",
         {change("3.1.2", "3.2.0", config("ttl", 25)),
          change("3.1.2", "3.2.0", config("loop_wait", 12))},
         {change("3.1.2", "3.2.0"), change("3.2.0", "3.3.0", config("ttl", 25))}},
        {"loop-wait-adjusted",
         {change("3.1.2", "3.3.11", config("loop_wait", 1))},
         {change("3.1.2", "3.3.11", config("loop_wait", 2)),
          change("3.1.2", "4.0.7", config("loop_wait", 1)),
          change("3.2.0", "3.3.11", config("loop_wait", 1))}},
        {"primary-timeouts-ignored",
         {state("2.1.7", "2.1.7", config("primary_start_timeout", 30))},
         {state("3.0.0", "3.0.0", config("primary_start_timeout", 30)),
          state("2.1.7", "2.1.7", config("master_start_timeout", 30))}},
        {"ctl-certificate-needed",
         {change("3.0.2", "3.1.0", setup([](SetupFacts& s) { s.verify_client = "required"; }))},
         {change("3.0.2", "3.1.0"),
          change("3.0.2", "3.1.0", setup([](SetupFacts& s) { s.verify_client = "optional"; })),
          change("3.1.0", "3.2.0", setup([](SetupFacts& s) { s.verify_client = "required"; })),
          change("3.0.2", "3.1.0", setup([](SetupFacts& s) {
                     s.verify_client = "required";
                     s.has_ctl_certificate = true;
                 }))}},
        {"failsafe-forbidden",
         {state("3.3.2", "3.3.2", config("failsafe_mode", true), setup([](SetupFacts& s) {
                    s.allowlist_by_members = true;
                }))},
         {state("3.3.3", "3.3.3", config("failsafe_mode", true), setup([](SetupFacts& s) {
                    s.allowlist_by_members = true;
                })),
          state("3.3.2", "3.3.2", config("failsafe_mode", true))}},
        {"failsafe-not-triggered",
         {state("4.0.6", "4.0.6", config("failsafe_mode", true)),
          state("3.3.7", "3.3.7", config("failsafe_mode", true))},
         {state("4.0.7", "4.0.7", config("failsafe_mode", true)),
          state("3.3.8", "3.3.8", config("failsafe_mode", true)),
          state("4.0.6", "4.0.6", config("failsafe_mode", true), dcs("consul")),
          state("4.0.6", "4.0.6")}},
        {"etcd-v2-api", {state("4.0.7", "4.0.7", dcs("etcd"))}, {state("4.0.7", "4.0.7")}},
        {"etcd-auth-update",
         {change("3.0.2", "4.0.7", dcs_user()),
          change("3.0.2", "4.1.0", dcs_user()),
          change("3.0.2", "3.3.8", dcs_user())},
         {change("3.0.2", "4.0.7"),
          change("3.0.2", "4.0.8", dcs_user()),
          change("3.0.2", "4.1.1", dcs_user()),
          change("3.0.2", "3.3.9", dcs_user()),
          change("3.0.2", "4.0.7", dcs("consul"), dcs_user())}},
        {"etcd-credentials-unused",
         {change("3.0.2", "4.1.0", dcs_user())},
         {change("3.0.2", "4.1.0"), change("3.0.2", "4.1.1", dcs_user())}},
        {"etcd-mixed", {change("3.0.2", "4.1.4")}, {change("3.0.2", "4.1.4", dcs("raft"))}},
        {"raft-deprecated",
         {change("2.1.7", "3.0.2", dcs("raft"))},
         {change("2.0.2", "2.1.7", dcs("raft")), change("2.1.7", "3.0.2")}},
        {"consul-client",
         {change("3.0.2", "4.0.3", dcs("consul"))},
         {change("3.0.2", "4.0.4", dcs("consul")), change("3.0.2", "4.0.3")}},
        {"ydiff-too-new",
         {change("3.0.2", "3.2.2", module("ydiff", "1.3"))},
         {change("3.0.2", "3.3.0", module("ydiff", "1.3")),
          change("3.0.2", "3.2.2", module("ydiff", "1.2")),
          change("3.0.2", "3.2.2")}},
        {"ydiff-without-theme",
         {change("3.0.2", "3.3.4", module("ydiff", "1.4.2")),
          change("3.0.2", "4.0.3", module("ydiff", "1.4.2"))},
         {change("3.0.2", "3.3.5", module("ydiff", "1.4.2")),
          change("3.0.2", "4.0.4", module("ydiff", "1.4.2")),
          change("3.0.2", "3.3.4", module("ydiff", "1.3"))}},
        {"prettytable-list",
         {change("2.0.2", "2.1.4", module("prettytable", "2.2.0"))},
         {change("2.0.2", "2.1.5", module("prettytable", "2.2.0")),
          change("2.0.2", "2.1.4", module("prettytable", "2.1.0"))}},
        {"prettytable",
         {change("3.0.2", "4.0.3", module("prettytable", "3.12.0"))},
         {change("3.0.2", "4.0.4", module("prettytable", "3.12.0")),
          change("3.0.2", "4.0.3", module("prettytable", "3.11.0"))}},
        {"el8-python",
         {change("3.2.2", "4.0.7", os("rocky", "8.10"), python("3.6.8"))},
         {change("3.2.2", "4.0.7", os("rocky", "9.4"), python("3.9.18")),
          change("3.2.2", "4.0.7", os("rocky", "8.10"), python("3.12.1")),
          change("3.2.2", "4.0.7")}},
        {"rpm-subpackages",
         {change("3.2.2", "4.0.7", os("rhel", "9.4"))},
         {change("3.2.2", "4.0.7")}},
    };
    return k_cases;
}

TEST(ShippedKnowledge, FiresForWhatItNames) {
    for (const RowCase& each : row_cases()) {
        for (std::size_t n = 0; n < each.fires.size(); ++n) {
            EXPECT_FALSE(whom(each.row, each.fires[n]).empty()) << each.row << ", case " << n;
        }
    }
}

TEST(ShippedKnowledge, IsSilentForItsNeighbours) {
    for (const RowCase& each : row_cases()) {
        for (std::size_t n = 0; n < each.silent.size(); ++n) {
            EXPECT_TRUE(whom(each.row, each.silent[n]).empty()) << each.row << ", case " << n;
        }
    }
}

TEST(ShippedKnowledge, HasACaseHereForEveryRow) {
    std::set<std::string> known;
    for (const KnowledgeRow& row : shipped_knowledge()) {
        known.insert(row.id);
    }
    std::set<std::string> tried;
    for (const RowCase& each : row_cases()) {
        tried.insert(each.row);
    }
    EXPECT_EQ(known, tried);
}

TEST(ShippedKnowledge, SaysWhatToDoAndWhereItComesFrom) {
    for (const KnowledgeRow& row : shipped_knowledge()) {
        EXPECT_FALSE(row.remedy.empty()) << row.id;
        EXPECT_FALSE(row.source.empty()) << row.id;
        const auto& ids = finding_ids();
        EXPECT_NE(std::ranges::find(ids, row.finding_id()), ids.end()) << row.id;
    }
}

TEST(KnownIssue, OfAPairNamesBothSides) {
    const ClusterFacts facts = facts_of(state("3.2.1", "4.0.2", nofailover("n3")));
    const auto found = known_of_state(shipped_knowledge(), facts);
    ASSERT_EQ(found.size(), 1U);
    const Finding finding = found[0].to_finding();
    EXPECT_EQ(finding.id, "patroni.known_bad_pair");
    EXPECT_EQ(finding.member, "n2");
    EXPECT_EQ(finding.severity, Severity::critical);
    EXPECT_TRUE(finding.is_named("patroni.known_bad_pair:member-slots-never-advance@n2"));
    EXPECT_TRUE(finding.message.starts_with(
        "Patroni 4.0.2 on n2 does not go with 3.2.1 on the leader n1: "));
}

TEST(KnownIssue, OfAChangeIsAboutTheMemberWhereItIsSure) {
    ClusterFacts facts = facts_of(change("3.0.2", "3.1.0"));
    facts.find("n1")->setup.reset();
    facts.find("n2")->setup->verify_client = "required";
    std::vector<VersionChange> changes;
    for (const char* name : {"n1", "n2", "n3"}) {
        changes.push_back({name, "3.0.2", "3.1.0"});
    }
    const auto found = known_of_changes(shipped_knowledge(), facts, changes);
    const auto certificate = std::ranges::find(
        found, "ctl-certificate-needed", [](const KnownIssue& issue) { return issue.row->id; });
    ASSERT_NE(certificate, found.end());
    EXPECT_EQ(certificate->member, "n2");
    EXPECT_TRUE(certificate->undecided.empty());
}

TEST(KnownIssue, ThatNobodyCanDecideIsNoMoreThanInfo) {
    ClusterFacts facts = facts_of(state("2.1.7", "2.1.7"));
    facts.config = nullptr;
    const auto found = known_of_state(shipped_knowledge(), facts);
    const auto failsafe = std::ranges::find(
        found, "failsafe-needs-three", [](const KnownIssue& issue) { return issue.row->id; });
    ASSERT_NE(failsafe, found.end());
    EXPECT_EQ(failsafe->to_finding().severity, Severity::info);
    EXPECT_NE(failsafe->message().find("the dynamic configuration is not known"),
              std::string::npos);
}

TEST(KnownIssue, IsNoneOfMembersThatDoNotSayWhatTheyRun) {
    ClusterFacts facts = facts_of(state("3.2.1", "4.0.2"));
    facts.find("n1")->patroni.running.clear();
    EXPECT_TRUE(known_of_state(shipped_knowledge(), facts).empty());
    facts.leader.clear();
    EXPECT_TRUE(known_of_state(shipped_knowledge(), facts).empty());
}

TEST(Examine, AddsWhatIsKnownToTheDiagnosis) {
    ClusterFacts facts = healthy_cluster("4.0.2");
    for (MemberFacts& member : facts.members) {
        member.patroni.installed = member.patroni.running + "-1";
    }
    facts.find("n1")->patroni = {"3.2.1", "3.2.1-1", {}};
    std::vector<std::string> ids;
    for (const Finding& finding : examine(facts, Cluster{})) {
        ids.push_back(finding.id + (finding.member.empty() ? "" : ":" + finding.member));
    }
    EXPECT_EQ(
        ids,
        (std::vector<std::string>{
            "patroni.known_bad_pair:n2", "patroni.known_bad_pair:n3", "patroni.mixed_versions"}));
}

// It was OK to run what no plan would install.
TEST(Examine, WarnsOfAVersionThatRunsAndThatNoPlanIsLetTo) {
    ClusterFacts facts = healthy_cluster("4.0.3");
    EXPECT_TRUE(examine(facts, Cluster{}).empty()) << "of PostgreSQL before 17";
    for (MemberFacts& member : facts.members) {
        member.postgres.running = "16.4";
        member.postgres.installed = "16.4-1";
    }
    const std::vector<Finding> found = examine(facts, Cluster{});
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0].id, "patroni.known_issue");
    EXPECT_EQ(found[0].subject, "sslnegotiation-in-conninfo");
    EXPECT_EQ(found[0].severity, Severity::warning);
    EXPECT_TRUE(found[0].message.starts_with("Patroni 4.0.3 on n1: ")) << found[0].message;
    // What another row says of the same member is said once.
    facts = healthy_cluster("3.0.4");
    for (const Finding& finding : examine(facts, Cluster{})) {
        EXPECT_NE(finding.subject, "primary-check-inverted-target");
    }
}

TEST(KnowledgeRow, MattersBetweenVersionsThatMeetOnTheWay) {
    const auto matters = [](const char* id, const char* from, const char* to) {
        return std::ranges::find(shipped_knowledge(), id, &KnowledgeRow::id)->matters(from, to);
    };
    EXPECT_TRUE(matters("member-slots-never-advance", "3.2.1", "4.0.2"));
    EXPECT_TRUE(matters("member-slots-never-advance", "4.0.2", "3.2.1"));
    EXPECT_FALSE(matters("member-slots-never-advance", "3.2.1", "4.0.4"));
    EXPECT_TRUE(matters("lost-slots-stay", "4.0.7", "4.1.4"));
    EXPECT_FALSE(matters("lost-slots-stay", "4.0.10", "4.1.4"));
    EXPECT_TRUE(matters("master-is-primary", "3.3.11", "4.0.7"));
    EXPECT_FALSE(matters("master-is-primary", "4.0.7", "3.3.11"));
    EXPECT_TRUE(matters("four-beside-before-three-one", "3.0.2", "4.0.7"));
}

std::string complaint(const std::string& text) {
    try {
        (void)parse_knowledge(text, "k.yaml");
    } catch (const InputError& error) {
        return error.what();
    }
    return "none";
}

TEST(KnowledgeFile, IsRefusedWithThePlace) {
    const std::string end = ", severity: info, symptom: s, remedy: r, source: x}\n";
    EXPECT_EQ(complaint("- {id: a, member: any" + end), "none");
    EXPECT_TRUE(complaint("- {id: a, member: four" + end).starts_with("k.yaml:1:19: "));
    EXPECT_NE(complaint("- {id: a, member: 4.0.2 - 4.0.0" + end).find("ends before it begins"),
              std::string::npos);
    EXPECT_NE(complaint("- {id: a, replica: any" + end).find("make no shape"), std::string::npos);
    EXPECT_NE(complaint("- {id: a, member: any, to: any" + end).find("state or of a change"),
              std::string::npos);
    EXPECT_NE(complaint("- {id: a" + end).find("state or of a change"), std::string::npos);
    EXPECT_NE(complaint("- {id: a, member: any, when: 'member.'" + end).find("k.yaml:1:"),
              std::string::npos);
    EXPECT_NE(complaint("- {id: a, member: any, versions: x" + end).find("versions"),
              std::string::npos);
    EXPECT_NE(complaint("- {id: a, member: any" + end + "- {id: a, to: any" + end).find("twice"),
              std::string::npos);
}

TEST(VersionRanges, AreOfUpstreamVersions) {
    const auto in = [](const char* range, const char* version) {
        return VersionRange::parse(range, {}).contains(version);
    };
    EXPECT_TRUE(in("4.0.0 - 4.0.2", "4.0.2-1~deb13u1"));
    EXPECT_TRUE(in("4.0.0 - 4.0.2", "1:4.0.0+ds-3"));
    EXPECT_FALSE(in("4.0.0 - 4.0.2", "4.0.3"));
    EXPECT_TRUE(in("14.x", "14.11"));
    EXPECT_TRUE(in("3.3.x", "3.3.11"));
    EXPECT_FALSE(in("3.3.x", "3.4.0"));
    EXPECT_FALSE(in("14.x", "15.0"));
    EXPECT_TRUE(in("<= 4.1.0", "4.1.0"));
    EXPECT_FALSE(in("< 4.1.0", "4.1.0"));
    EXPECT_FALSE(in("> 4.1.0", "4.1.0"));
    EXPECT_FALSE(in("any", ""));
    EXPECT_FALSE(in("any", "unknown"));
}

}  // namespace
}  // namespace lockstep
