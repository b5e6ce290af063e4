#include "cluster/diagnosis.hpp"
#include "tests/fakes/fake_cluster.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

/// Three members that agree, and what else an inventory may hold.
class EndpointsOfAnInventory : public testing::Test {
  protected:
    /// One more endpoint, with a Patroni of some cluster behind it.
    void has_endpoint(const std::string& url, const Json& cluster, const Json& patroni) {
        world.cluster.patroni.endpoints.push_back(url);
        world.http.answer("GET " + url + "/cluster", cluster.dump());
        world.http.answer("GET " + url + "/patroni", patroni.dump());
    }

    [[nodiscard]] Json list(const std::vector<std::string>& names) {
        Json members = Json::array();
        for (const std::string& name : names) {
            members.push_back({{"name", name},
                               {"role", name == names.front() ? "leader" : "replica"},
                               {"state", "running"},
                               {"api_url", FakeCluster::url(name, "/patroni")},
                               {"host", world.members.at(name).host},
                               {"port", 5432}});
        }
        return {{"members", members}};
    }

    static Json status(const std::string& scope, const std::string& system) {
        return {{"state", "running"},
                {"role", "primary"},
                {"database_system_identifier", system},
                {"patroni", {{"version", "3.0.2"}, {"scope", scope}}}};
    }

    [[nodiscard]] std::size_t asked(const std::string& path) {
        const auto seen = world.http.seen();
        return static_cast<std::size_t>(
            std::ranges::count_if(seen, [&](const HttpRequest& request) {
                return request.method == "GET" && request.url.ends_with(path);
            }));
    }

    Names findings(const ClusterFacts& facts) { return ids_of(diagnose(facts, world.cluster)); }

    FakeCluster world;
};

TEST_F(EndpointsOfAnInventory, AreAllAskedOnceWhereTheyAgree) {
    const ClusterFacts facts = world.observe();
    EXPECT_EQ(facts.endpoints.size(), 3U);
    EXPECT_EQ(findings(facts), Names{});
    EXPECT_EQ(asked("/cluster"), 4U);  // one to know the members, then each
    EXPECT_TRUE(world.clock.sleeps().empty());
}

// A pause is watched by /patroni alone: /cluster makes the cache new that it answers from.
TEST_F(EndpointsOfAnInventory, AreNotAskedInAQuickLook) {
    EXPECT_TRUE(world.observe(Depth::quick).endpoints.empty());
    EXPECT_EQ(asked("/cluster"), 1U);
}

TEST_F(EndpointsOfAnInventory, OfAnotherClusterAreSaidAfterASecondLook) {
    has_endpoint("http://10.0.9.1:8008", list({"n1", "n2"}), status("orders", "88"));
    const ClusterFacts facts = world.observe();
    EXPECT_EQ(findings(facts), (Names{"cluster.endpoints_disagree"}));
    EXPECT_EQ(world.clock.sleeps(), (std::vector<std::chrono::milliseconds>{1s}));
    EXPECT_EQ(asked("/cluster"), 9U);
}

TEST_F(EndpointsOfAnInventory, ThatDifferForAMomentAreNot) {
    int times = 0;
    has_endpoint("http://10.0.9.1:8008", list({"n1"}), status("orders", "7711291720471441498"));
    world.http.compute("GET http://10.0.9.1:8008/cluster", [&](const HttpRequest&) {
        return HttpResponse{
            200, list(++times == 1 ? Names{"n1", "n2"} : Names{"n1", "n2", "n3"}).dump(), ""};
    });
    EXPECT_EQ(findings(world.observe()), Names{});
    EXPECT_EQ(times, 2);
    EXPECT_EQ(world.clock.sleeps().size(), 1U);
}

TEST_F(EndpointsOfAnInventory, ThatAreDeadAreSaidWithTheirError) {
    world.cluster.patroni.endpoints.emplace_back("http://10.0.9.1:8008");
    world.http.fail(
        "GET http://10.0.9.1:8008/patroni", TransportError::Kind::connect, "no route to host");
    const ClusterFacts facts = world.observe();
    ASSERT_EQ(findings(facts), (Names{"endpoint.unreachable"}));
    EXPECT_TRUE(world.clock.sleeps().empty());
    // A member's own address is the member's finding.
    world.is_dead("n2");
    const Names ids = findings(world.observe());
    EXPECT_EQ(ids, (Names{"member.unreachable", "endpoint.unreachable"}));
}

TEST_F(EndpointsOfAnInventory, MayBeOtherNamesForMembers) {
    has_endpoint("http://db.example:8008",
                 list({"n1", "n2", "n3"}),
                 status("orders", "7711291720471441498"));
    EXPECT_EQ(findings(world.observe()), Names{});
}

TEST_F(EndpointsOfAnInventory, AreHintedAtWhereAMemberPublishesLoopback) {
    world.cluster.patroni.endpoints = {"http://10.0.9.1:8008"};
    Json cluster = list({"n1", "n2"});
    for (Json& member : cluster["members"]) {
        member["api_url"] = "http://127.0.0.1:8008/patroni";
        member["host"] = member["name"] == "n1" ? "10.0.0.11" : "10.0.0.12";
    }
    world.http.answer("GET http://10.0.9.1:8008/cluster", cluster.dump());
    world.http.answer("GET http://10.0.9.1:8008/config", "{}");
    world.http.answer("GET http://10.0.9.1:8008/patroni", status("orders", "7").dump());
    world.http.fail("GET http://127.0.0.1:8008/patroni", TransportError::Kind::connect, "refused");
    const ClusterFacts facts = world.observe();
    EXPECT_NE(facts.find("n1")->api.hint.find("patroni.via: ssh"), std::string::npos);
    const Names ids = findings(facts);
    EXPECT_EQ(std::ranges::count(ids, "patroni.api_address"), 1);
    EXPECT_EQ(std::ranges::count(ids, "member.unreachable"), 0);
}

}  // namespace
}  // namespace lockstep
