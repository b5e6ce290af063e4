#include "tests/cluster/sample_facts.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

using Texts = std::vector<std::string>;

EndpointFacts word(const std::string& url, const Texts& members, const std::string& leader) {
    EndpointFacts endpoint;
    endpoint.url = url;
    endpoint.answers = true;
    endpoint.scope = "orders";
    endpoint.system_identifier = "77";
    endpoint.leader = leader;
    endpoint.members = members;
    return endpoint;
}

/// A healthy cluster whose three members say the same of it.
class EndpointsTest : public testing::Test {
  protected:
    EndpointsTest() {
        for (const MemberFacts& member : facts.members) {
            facts.endpoints.push_back(word(member.api_url, {"n1", "n2", "n3"}, "n1"));
        }
    }

    [[nodiscard]] std::vector<Finding> found() const { return diagnose(facts, expected); }

    [[nodiscard]] Texts ids() const {
        Texts texts;
        for (const Finding& finding : found()) {
            texts.push_back(finding.id);
        }
        return texts;
    }

    void expect_said(const Finding& finding, const Texts& parts) {
        const std::string text = finding.message + " do: " + finding.remedy;
        for (const std::string& part : parts) {
            EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in: " << text;
        }
    }

    ClusterFacts facts = healthy_cluster("4.0.7");
    Cluster expected;
};

TEST_F(EndpointsTest, ThatSayTheSameAreNoFinding) {
    EXPECT_EQ(ids(), Texts{});
    EXPECT_FALSE(endpoints_disagree(facts));
}

// Patroni 2.1 has no scope in /cluster; a member without PostgreSQL has no system identifier.
TEST_F(EndpointsTest, ThatDoNotTellDoNotDiffer) {
    facts.endpoints[1].scope.clear();
    facts.endpoints[2].system_identifier.clear();
    EXPECT_EQ(ids(), Texts{});
    facts.endpoints[2].error = "GET http://10.0.0.13:8008/cluster: HTTP status 503";
    facts.endpoints[2].members.clear();
    facts.endpoints[2].leader.clear();
    EXPECT_EQ(ids(), Texts{});
}

TEST_F(EndpointsTest, OfTwoClustersAreNamedWithWhatEachSays) {
    EndpointFacts other = word("http://10.0.9.1:8008", {"n1", "n2"}, "n2");
    other.system_identifier = "88";
    other.given = true;
    facts.endpoints.push_back(other);
    ASSERT_EQ(ids(), (Texts{"cluster.endpoints_disagree"}));
    const Finding finding = found()[0];
    EXPECT_EQ(finding.severity, Severity::critical);
    EXPECT_FALSE(finding.acceptable);
    expect_said(
        finding,
        {"different clusters",
         "http://10.0.0.11:8008: scope orders, system identifier 77, members n1, n2 and n3, "
         "leader n1",
         "http://10.0.9.1:8008: scope orders, system identifier 88, members n1 and n2, "
         "leader n2",
         "patroni.endpoints"});
}

TEST_F(EndpointsTest, OfTwoHalvesOfADcsAreToldToLookThere) {
    facts.endpoints[0].members = {"n1"};
    facts.endpoints[2].leader = "n2";
    facts.endpoints[2].members = {"n2", "n3"};
    ASSERT_EQ(ids(), (Texts{"cluster.endpoints_disagree"}));
    expect_said(found()[0], {"in different ways", "member n1, leader n1", "the DCS"});
}

EndpointFacts by_ssh(const std::string& member, const Texts& members, const std::string& leader) {
    EndpointFacts said = word(member + " over SSH", members, leader);
    said.over_ssh = true;
    return said;
}

// Each part says the same of itself by REST and over SSH: nobody lies.
TEST_F(EndpointsTest, OfTwoHalvesOfADcsLieNoMoreBecauseMembersSayTheSameOverSsh) {
    facts.endpoints = {word("http://10.0.0.11:8008", {"n1"}, "n1"),
                       word("http://10.0.0.12:8008", {"n2", "n3"}, "n2"),
                       by_ssh("n1", {"n1"}, "n1"),
                       by_ssh("n2", {"n2", "n3"}, "n2")};
    ASSERT_EQ(ids(), (Texts{"cluster.endpoints_disagree"}));
}

TEST_F(EndpointsTest, ThatNobodyConfirmsOverSshAreLies) {
    for (const char* member : {"n1", "n2", "n3"}) {
        facts.endpoints.push_back(by_ssh(member, {"n1", "n2", "n3"}, "n1"));
    }
    EXPECT_EQ(ids(), Texts{});
    facts.endpoints.push_back(word("http://10.0.9.9:8008", {"n1"}, "n1"));
    ASSERT_EQ(ids(), (Texts{"cluster.members_disagree"}));
    expect_said(found()[0],
                {"http://10.0.9.9:8008: scope orders, system identifier 77, member n1, leader n1",
                 "n2 over SSH: scope orders, system identifier 77, members n1, n2 and n3",
                 "not authenticated"});
    EXPECT_FALSE(found()[0].acceptable);
}

TEST_F(EndpointsTest, ThatPlaceMembersElsewhereSayWhere) {
    facts.endpoints[0].addresses = {"10.0.0.11", "10.0.0.12", "10.0.0.13"};
    facts.endpoints[1].addresses = {"10.0.0.11", "10.0.0.13", "10.0.0.12"};
    ASSERT_EQ(ids(), (Texts{"cluster.endpoints_disagree"}));
    expect_said(found()[0], {"n2 (10.0.0.12)", "n2 (10.0.0.13)"});
    facts.endpoints.erase(facts.endpoints.begin() + 1);  // the third does not tell
    EXPECT_EQ(ids(), Texts{});
}

TEST_F(EndpointsTest, ThatAreSilentAreAWarning) {
    EndpointFacts silent;
    silent.url = "http://10.0.0.14:8008";
    silent.given = true;
    silent.error = "refused";
    facts.endpoints.push_back(silent);
    ASSERT_EQ(ids(), (Texts{"endpoint.unreachable"}));
    const Finding finding = found()[0];
    EXPECT_EQ(finding.severity, Severity::warning);
    EXPECT_EQ(finding.subject, "http://10.0.0.14:8008");
    expect_said(finding, {"refused", "leave it at the version that it has"});
}

TEST_F(EndpointsTest, OfSomebodyWhoIsNotListedSayWho) {
    EndpointFacts stranger = word("http://10.0.0.14:8008", {"n1", "n2", "n3"}, "n1");
    stranger.given = true;
    stranger.member = "n4";
    facts.endpoints.push_back(stranger);
    ASSERT_EQ(ids(), (Texts{"endpoint.no_member"}));
    expect_said(found()[0], {"REST API of n4"});
    facts.endpoints.back().member = "n2";  // another name for it, or a load balancer
    EXPECT_EQ(ids(), Texts{});
}

TEST_F(EndpointsTest, AreOneFindingWithTheMemberThatIsMissingThere) {
    facts.missing.push_back({"n4", "10.0.0.14", {}});
    EXPECT_EQ(ids(), (Texts{"member.missing"}));
    EndpointFacts silent;
    silent.url = "http://10.0.0.14:8008";
    silent.given = true;
    silent.error = "refused";
    facts.endpoints.push_back(silent);
    ASSERT_EQ(ids(), (Texts{"member.missing"}));
    EXPECT_EQ(found()[0].member, "n4");
    expect_said(found()[0], {"n4 is not among", "refused", "leave it at the version"});
}

// Elections are broken by it, whatever lockstep does.
TEST_F(EndpointsTest, WhichPatroniPublishesAsLoopbackAreOneFinding) {
    facts.endpoints.clear();
    for (MemberFacts& member : facts.members) {
        member.api_url = "http://127.0.0.1:8008";
        member.api.error = "refused";
    }
    ASSERT_EQ(ids(), (Texts{"patroni.api_address"}));
    EXPECT_EQ(found()[0].severity, Severity::critical);
    expect_said(found()[0],
                {"http://127.0.0.1:8008 as the REST API of n1, n2 and n3",
                 "restapi.connect_address",
                 "patroni.via: ssh"});
    expected.patroni.via = PatroniSettings::Via::ssh;
    for (MemberFacts& member : facts.members) {
        member.api.error.clear();
    }
    ASSERT_EQ(ids(), (Texts{"patroni.api_address"}));
    EXPECT_EQ(found()[0].severity, Severity::warning);
}

TEST_F(EndpointsTest, WhichSeveralMembersPublishAreNobodysOwn) {
    facts.members[1].api_url = facts.members[2].api_url = "http://vip:8008";
    ASSERT_EQ(ids(), (Texts{"patroni.api_address"}));
    expect_said(found()[0], {"http://vip:8008 as the REST API of n2 and n3"});
}

TEST(Loopback, IsWhatOnlyTheHostItselfCanAsk) {
    for (const char* url :
         {"http://127.0.0.1:8008", "https://localhost:8008", "http://[::1]:8008"}) {
        EXPECT_TRUE(is_loopback_url(url)) << url;
    }
    for (const char* url :
         {"http://10.0.0.11:8008", "http://127db:8008", "http://[fe80::1]:8008"}) {
        EXPECT_FALSE(is_loopback_url(url)) << url;
    }
}

/// One replica without a PostgreSQL that takes connections: what else cannot be asked follows.
class NoPostgres : public testing::Test {
  protected:
    void says(const std::string& state) {
        MemberFacts& member = *facts.find("n2");
        member.state = state;
        member.sql.error = "psql: error: no such file";
        member.unknown = {{"disk", "no postmaster"}, {"postgres_package", "no postmaster"}};
        member.slots.reset();
        member.wal.reset();
        SlotFacts& slot = facts.find("n1")->slots->at(0);
        slot.active = false;
        slot.restart_lsn = 0x1000000;
        slot.retained_bytes = std::int64_t{100} << 20;
        classify_slots(facts);
    }

    ClusterFacts facts = healthy_cluster("4.0.7");
};

TEST_F(NoPostgres, WhileAReplicaIsCreatedIsOneFindingThatSaysToWait) {
    says("creating replica");
    EXPECT_FALSE(has_suspicious_slots(facts));
    const std::vector<Finding> found = diagnose(facts, Cluster{});
    ASSERT_EQ(found.size(), 1U) << found.back().message;
    EXPECT_EQ(found[0].id, "replication.not_streaming");
    EXPECT_NE(found[0].message.find("base backup"), std::string::npos);
    EXPECT_NE(found[0].remedy.find("Do not restart"), std::string::npos);
}

TEST_F(NoPostgres, ThatDoesNotStartSaysWhyWhereItsLogDoes) {
    says("start failed");
    facts.find("n2")->last_words = {"FATAL:  old", "FATAL:  could not access file \"no_such_lib\""};
    const std::vector<Finding> found = diagnose(facts, Cluster{});
    ASSERT_EQ(found.size(), 1U);
    EXPECT_NE(found[0].message.find("it said last: FATAL:  could not access file"),
              std::string::npos)
        << found[0].message;
    says("starting");
    EXPECT_EQ(diagnose(facts, Cluster{})[0].message.find("said last"), std::string::npos);
}

TEST_F(NoPostgres, ThatDoesNotStartIsOneFindingThatNamesTheLog) {
    for (const char* state : {"start failed", "starting", "stopped", "crashed"}) {
        says(state);
        const std::vector<Finding> found = diagnose(facts, Cluster{});
        ASSERT_EQ(found.size(), 1U) << found.back().message;
        EXPECT_EQ(found[0].id, "postgres.not_running");
        EXPECT_EQ(found[0].member, "n2");
        EXPECT_NE(found[0].message.find(state), std::string::npos);
        EXPECT_NE(found[0].remedy.find("PostgreSQL's log on n2"), std::string::npos);
    }
}

}  // namespace
}  // namespace lockstep
