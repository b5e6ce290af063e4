#include "cluster/diagnosis.hpp"
#include "tests/cli/plan_on.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

using Json = nlohmann::json;

/// Somebody between here and the members answers for Patroni's REST API. SSH leads where it should.
class LyingRest : public testing::Test {
  protected:
    LyingRest() {
        make_incident(world);
        for (auto& [name, member] : world.members) {
            member.own_cluster = "\n" + truth().dump();
        }
        inventory.clusters.push_back(world.cluster);
    }

    /// A row of `/cluster`.
    static Json row(const std::string& name, const std::string& host, const std::string& api) {
        const bool leads = name == "n1";
        return {{"name", name},
                {"role", leads ? "leader" : "replica"},
                {"state", leads ? "running" : "streaming"},
                {"host", host},
                {"port", 5432},
                {"timeline", 4},
                {"api_url", api + "/patroni"}};
    }

    static Json truth() {
        Json members = Json::array();
        for (const char* name : {"n1", "n2", "n3"}) {
            members.push_back(
                row(name, "10.0.0.1" + std::string(name + 1), FakeCluster::url(name, "")));
        }
        return {{"members", members}, {"scope", "orders"}};
    }

    /// Every address says this of the cluster.
    void everybody_lists(const Json& cluster) {
        for (const std::string& url : world.cluster.patroni.endpoints) {
            world.http.answer("GET " + url + "/cluster", cluster.dump());
        }
    }

    /// One proxy is all that there is, and n1's API as well.
    void is_a_proxy(const Json& cluster) {
        world.cluster.patroni.endpoints = {k_proxy};
        const std::string proxy = k_proxy;
        Json status = world.members.at("n1").status;
        world.http.answer("GET " + proxy + "/patroni", status.dump());
        world.http.answer("GET " + proxy + "/config", world.config.dump());
        world.http.answer("PATCH " + proxy + "/config", "", 400);
        everybody_lists(cluster);
    }

    Plan upgrade() {
        return plan_on(world, inventory, "patroni-upgrade", {{"target", "4.0.7-3~deb13u1"}});
    }

    static const Finding* named(const std::vector<Finding>& findings, const std::string& id) {
        const auto found = std::ranges::find(findings, id, &Finding::id);
        return found == findings.end() ? nullptr : &*found;
    }

    static constexpr const char* k_proxy = "http://10.0.9.9:8008";
    FakeCluster world;
    Inventory inventory;
};

TEST_F(LyingRest, IsNotSeenWhereNobodyLies) {
    const Plan plan = upgrade();
    EXPECT_TRUE(plan.ready()) << ids_of(plan.blocked_by).front();
    EXPECT_EQ(plan.facts.endpoints.size(), 6U);  // each by REST, and each over SSH
    EXPECT_TRUE(contradictions(plan.facts).empty());
}

// It would have paused nobody, and restarted the leader's daemon: a failover.
TEST_F(LyingRest, ThatDropsMembersBlocksThePlan) {
    is_a_proxy({{"members", {row("n1", "10.0.0.11", k_proxy)}}, {"scope", "orders"}});
    const Plan plan = upgrade();
    EXPECT_FALSE(plan.ready());
    const Finding* finding = named(plan.blocked_by, "cluster.members_disagree");
    ASSERT_NE(finding, nullptr);
    EXPECT_FALSE(finding->acceptable);
    EXPECT_NE(finding->message.find("http://10.0.9.9:8008: scope orders"), std::string::npos);
    EXPECT_NE(finding->message.find("n1 over SSH: scope orders, system identifier "
                                    "7711291720471441498, members n1, n2 and n3, leader n1"),
              std::string::npos)
        << finding->message;
    EXPECT_EQ(named(plan.blocked_by, "cluster.endpoints_disagree"), nullptr);
}

TEST_F(LyingRest, ThatListsAllAndAnswersForThemBlocksThePlan) {
    is_a_proxy({{"members",
                 {row("n1", "10.0.0.11", k_proxy),
                  row("n2", "10.0.0.12", k_proxy),
                  row("n3", "10.0.0.13", k_proxy)}},
                {"scope", "orders"}});
    const Plan plan = upgrade();
    EXPECT_FALSE(plan.ready());
    const Finding* finding = named(plan.blocked_by, "cluster.members_disagree");
    ASSERT_NE(finding, nullptr);
    EXPECT_NE(finding->message.find("n2 (10.0.0.12:5432, http://10.0.9.9:8008)"), std::string::npos)
        << finding->message;
}

TEST_F(LyingRest, ThatSwapsHostsIsCaughtByWhoAnswersThere) {
    Json swapped = truth();
    std::swap(swapped["members"][1]["host"], swapped["members"][2]["host"]);
    everybody_lists(swapped);
    for (auto& [name, member] : world.members) {
        member.own_cluster.clear();  // by their names alone
    }
    const Plan plan = upgrade();
    EXPECT_FALSE(plan.ready());
    const Finding* finding = named(plan.blocked_by, "member.identity");
    ASSERT_NE(finding, nullptr);
    EXPECT_EQ(finding->member, "n2");
    EXPECT_NE(finding->message.find("on 10.0.0.13, is not n2: its Patroni is configured as n3"),
              std::string::npos)
        << finding->message;
    EXPECT_EQ(std::ranges::count(ids_of(plan.blocked_by), "member.identity"), 2);
}

TEST_F(LyingRest, ThatNamesAnotherClustersHostIsCaughtByItsScopeAndItsSystem) {
    world.members.at("n2").seen["\"scope\": \"orders\""] = "\"scope\": \"billing\"";
    EXPECT_NE(named(upgrade().blocked_by, "member.identity"), nullptr);
    world.members.at("n2").seen.clear();
    world.members.at("n2").sql["system_identifier"] = "88";
    const Plan plan = upgrade();
    const Finding* finding = named(plan.blocked_by, "member.identity");
    ASSERT_NE(finding, nullptr);
    EXPECT_NE(finding->message.find("system identifier 88, and REST says 7711291720471441498"),
              std::string::npos)
        << finding->message;
}

// Where the configuration cannot be read the daemon's number and the running system are left.
TEST_F(LyingRest, ThatLeadsTwoNamesToOneDaemonIsCaughtWithoutAnyConfiguration) {
    Json one_host = truth();
    one_host["members"][2]["host"] = "10.0.0.12";
    everybody_lists(one_host);
    for (auto& [name, member] : world.members) {
        member.own_cluster.clear();
        member.seen["\"name\": \"" + name + "\", \"scope\": \"orders\""] = "\"name\": \"\"";
    }
    const ClusterFacts facts = world.observe();
    const std::vector<Finding> found = contradictions(facts);
    ASSERT_EQ(ids_of(found), (Names{"member.identity"}));
    EXPECT_EQ(found[0].member, "n3");
    EXPECT_NE(found[0].message.find("the same daemon, pid 69, answers for n2"), std::string::npos);
}

// By the slots that they read, where no daemon can be asked over SSH.
TEST_F(LyingRest, ThatDropsMembersIsCaughtByWhoStreams) {
    world.members.at("n1").own_cluster.clear();
    is_a_proxy({{"members", {row("n1", "10.0.0.11", k_proxy)}}, {"scope", "orders"}});
    const Plan plan = upgrade();
    const Finding* finding = named(plan.blocked_by, "cluster.members_disagree");
    ASSERT_NE(finding, nullptr);
    EXPECT_NE(finding->message.find("the slot n2 on n1 and n3 on n1"), std::string::npos)
        << finding->message;
    // Whoever has an authority for https knows who answers.
    ClusterFacts vouched = plan.facts;
    vouched.rest_unproven = false;
    EXPECT_EQ(named(contradictions(vouched), "cluster.members_disagree"), nullptr);
    // What the configuration names is somebody else's.
    ClusterFacts named_there = plan.facts;
    named_there.config["slots"] = {{"n2", {{"type", "physical"}}}, {"n3", {{"type", "physical"}}}};
    classify_slots(named_there);
    EXPECT_EQ(named(contradictions(named_there), "cluster.members_disagree"), nullptr);
}

// Not to know is to contradict nobody.
TEST_F(LyingRest, IsNotSuspectedWhereAHostDoesNotTell) {
    for (auto& [name, member] : world.members) {
        member.own_cluster.clear();
        member.seen["\"name\": \"" + name + "\", \"scope\": \"orders\""] = "\"name\": \"\"";
    }
    EXPECT_TRUE(contradictions(world.observe()).empty());
}

TEST_F(LyingRest, ThatPublishesWhatIsNoAddressIsNotFollowedThere) {
    for (const char* odd : {"-oProxyCommand=touch /tmp/x", "127.0.0.1;touch x", "n2 n3"}) {
        Json listing = truth();
        listing["members"][1]["host"] = odd;
        everybody_lists(listing);
        const ClusterFacts facts = world.observe();
        EXPECT_EQ(facts.find("n2")->odd_address, odd);
        EXPECT_TRUE(facts.find("n2")->ssh.failed());
        const std::vector<Finding> found = diagnose(facts, world.cluster);
        ASSERT_NE(named(found, "member.odd_address"), nullptr) << odd;
        EXPECT_EQ(named(found, "member.unreachable"), nullptr);
        for (const auto& [host, script] : world.ssh.seen()) {
            EXPECT_TRUE(host.starts_with("10.0.0.1")) << host;
        }
    }
    EXPECT_FALSE(upgrade().ready());
}

TEST_F(LyingRest, ThatPublishesAnOddApiIsNotAskedThere) {
    Json listing = truth();
    listing["members"][1]["api_url"] = "file:///etc/shadow";
    everybody_lists(listing);
    const ClusterFacts facts = world.observe();
    EXPECT_EQ(facts.find("n2")->odd_address, "file://");
    EXPECT_TRUE(facts.find("n2")->ssh.ok());
    EXPECT_NE(named(diagnose(facts, world.cluster), "member.odd_address"), nullptr);
}

// A run does not follow what somebody says of a member's host meanwhile.
TEST_F(LyingRest, DoesNotMoveAMemberInTheMiddleOfARun) {
    ClusterFacts facts = world.observe();
    Connections& connections = world.connections();
    MemberFacts moved = *facts.find("n2");
    moved.host = "10.0.0.13";
    connections.keep_hosts();
    EXPECT_EQ(connections.of(moved).ssh_settings.host, "10.0.0.12");
    EXPECT_EQ(connections.extra_session(moved)->peer(), "@10.0.0.12:0");
}

}  // namespace
}  // namespace lockstep
