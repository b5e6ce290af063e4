#include "steps/observation/observer.hpp"

#include "base/error.hpp"
#include "base/url.hpp"
#include "cluster/diagnosis.hpp"
#include "steps/observation/patroni_api.hpp"
#include "tests/fakes/fake_clock.hpp"
#include "tests/fakes/fake_http.hpp"
#include "tests/fakes/fake_processes.hpp"
#include "tests/fakes/fake_ssh.hpp"
#include "tests/steps/recorded_text.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

using Json = nlohmann::json;
using Kind = TransportError::Kind;
constexpr std::chrono::seconds k_timeout{20};

std::string url(int n, const std::string& path) {
    return "http://10.0.0.1" + std::to_string(n) + ":8008" + path;
}

Json listed(int n, const std::string& role, const std::string& state) {
    return {{"name", "n" + std::to_string(n)},
            {"role", role},
            {"state", state},
            {"api_url", url(n, "/patroni")},
            {"host", "10.0.0.1" + std::to_string(n)},
            {"port", 5432},
            {"timeline", 4}};
}

Json leader_status(const std::string& version) {
    Json replication = Json::array();
    for (const char* name : {"n2", "n3"}) {
        replication.push_back({{"application_name", name}, {"state", "streaming"}});
    }
    return {{"state", "running"},
            {"role", version < "4" ? "master" : "primary"},
            {"server_version", 170011},
            {"postmaster_start_time", "2026-11-23 09:11:42.825040+00:00"},
            {"xlog", {{"location", 83887736}}},
            {"timeline", 4},
            {"replication", replication},
            {"database_system_identifier", "7711291720471441498"},
            {"dcs_last_seen", 1795425243},
            {"patroni", {{"version", version}, {"scope", "lab"}}}};
}

Json replica_status(const std::string& version) {
    Json status = {{"state", "running"},
                   {"role", "replica"},
                   {"server_version", 170011},
                   {"postmaster_start_time", "2026-11-23 09:11:44.846968+00:00"},
                   {"xlog", {{"received_location", 83887680}, {"replayed_location", 83887616}}},
                   {"timeline", 4},
                   {"patroni", {{"version", version}, {"scope", "lab"}}}};
    if (version >= "3.0.4") {
        status["replication_state"] = "streaming";
    }
    return status;
}

/// Three members of one version, n1 leading, all well. Tests break what they are about.
class ObserverTest : public testing::Test {
  protected:
    ObserverTest() {
        cluster_.name = "lab";
        cluster_.patroni.endpoints = {url(1, ""), url(2, "")};
        is_version("3.0.2");
        for (const char* host : {"10.0.0.11", "10.0.0.12", "10.0.0.13"}) {
            hosts_.on(host, [](const RemoteCommand& command) { return recorded(command); });
        }
    }

    void is_version(const std::string& version) {
        const bool tells_streaming = version >= "3.0.4";
        body_ = {{"members",
                  {listed(1, "leader", "running"),
                   listed(2, "replica", tells_streaming ? "streaming" : "running"),
                   listed(3, "replica", tells_streaming ? "streaming" : "running")}}};
        statuses_ = {leader_status(version), replica_status(version), replica_status(version)};
    }

    /// The recording of a member, with the nonce that the script asks for.
    static CommandResult recorded(const RemoteCommand& command) {
        const std::string begin = "marker=@";
        const std::size_t at = command.script.find(begin);
        CommandResult result;
        result.out = replaced(recorded_text("member_debian.txt"),
                              k_recorded_nonce,
                              command.script.substr(at + begin.size(), 32));
        return result;
    }

    void serve() {
        for (int n : {1, 2, 3}) {
            servers_.answer("GET " + url(n, "/cluster"), body_.dump());
            servers_.answer("GET " + url(n, "/config"), config_.dump());
            servers_.answer("GET " + url(n, "/patroni"),
                            statuses_[static_cast<std::size_t>(n - 1)].dump());
        }
    }

    void is_down(int n, Kind kind = Kind::connect) {
        for (const char* path : {"/cluster", "/config", "/patroni"}) {
            servers_.fail("GET " + url(n, path), kind, "GET " + url(n, path) + ": refused");
        }
    }

    Connections& connections() {
        if (!connections_) {
            ConnectionFactory factory;
            factory.http = servers_.factory();
            factory.ssh = hosts_.factory();
            factory.process = processes_.factory();
            connections_.emplace(cluster_, std::move(factory));
        }
        return *connections_;
    }

    Observer observer() { return Observer(connections(), clock_); }

    ClusterFacts observe(Depth depth = Depth::quick) {
        return observer().observe(depth, k_timeout, {});
    }

    Cluster cluster_;
    FakeHttp servers_;
    FakeSsh hosts_;
    FakeProcesses processes_;
    FakeClock clock_;
    Json body_;
    Json config_ = {{"loop_wait", 3}, {"ttl", 20}};
    std::vector<Json> statuses_;
    std::optional<Connections> connections_;
};

TEST_F(ObserverTest, ReadsAWholeCluster) {
    serve();
    const ClusterFacts facts = observe();
    EXPECT_EQ(facts.leader, "n1");
    EXPECT_EQ(facts.scope, "lab");
    EXPECT_EQ(facts.timeline, 4);
    EXPECT_EQ(facts.loop_wait(), std::chrono::seconds{3});
    ASSERT_EQ(facts.members.size(), 3U);
    const MemberFacts& leader = facts.members[0];
    EXPECT_EQ(leader.role, "leader");
    EXPECT_EQ(leader.state, "running");
    EXPECT_EQ(leader.api_url, "http://10.0.0.11:8008");
    EXPECT_EQ(leader.host, "10.0.0.11");
    EXPECT_FALSE(leader.in_recovery);
    EXPECT_EQ(leader.position, 83887736U);
    EXPECT_EQ(leader.patroni.running, "3.0.2");
    EXPECT_EQ(leader.postgres.running, "17.11");
    EXPECT_EQ(leader.postgres.started_at, "2026-11-23T09:11:42.825Z");
    EXPECT_EQ(leader.system_identifier, "7711291720471441498");
    EXPECT_EQ(leader.dcs_last_seen, 1795425243);
    EXPECT_TRUE(facts.members[1].in_recovery);
    EXPECT_EQ(facts.members[1].lag_bytes, 120);
    EXPECT_TRUE(hosts_.seen().empty());
    EXPECT_FALSE(leader.ssh.asked);
}

TEST_F(ObserverTest, CallsAStreamingReplicaSoOnEveryVersion) {
    for (const char* version : {"2.1.4", "3.0.2", "3.0.4", "4.0.7", "4.1.5"}) {
        is_version(version);
        serve();
        const ClusterFacts facts = observe();
        EXPECT_EQ(facts.members[0].role, "leader") << version;
        EXPECT_EQ(facts.members[0].state, "running") << version;
        EXPECT_EQ(facts.members[1].role, "replica") << version;
        EXPECT_EQ(facts.members[1].state, "streaming") << version;
        EXPECT_TRUE(diagnose(facts, cluster_).empty()) << version;
    }
}

TEST_F(ObserverTest, BelievesTheSenderAboutAReplicaThatCannotTell) {
    statuses_[0]["replication"].erase(1);
    serve();
    const ClusterFacts facts = observe();
    EXPECT_EQ(facts.members[1].state, "streaming");
    EXPECT_EQ(facts.members[2].state, "running");
}

TEST_F(ObserverTest, BelievesAReplicaThatCanTell) {
    is_version("4.0.7");
    statuses_[1].erase("replication_state");
    serve();
    EXPECT_EQ(observe().members[1].state, "running");
}

TEST_F(ObserverTest, FindsTheSenderOfACascadingReplica) {
    statuses_[0]["replication"].erase(1);
    statuses_[1]["replication"] = {{{"application_name", "n3"}, {"state", "streaming"}}};
    serve();
    EXPECT_EQ(observe().members[2].state, "streaming");
}

TEST_F(ObserverTest, SeesAPrimaryWithoutTheLock) {
    statuses_[1] = leader_status("3.0.2");
    serve();
    const ClusterFacts facts = observe();
    EXPECT_EQ(facts.leader, "n1");
    EXPECT_EQ(facts.members[1].role, "primary");
    EXPECT_FALSE(facts.members[1].in_recovery);
}

TEST_F(ObserverTest, KeepsPatronisLagWhereAPositionIsMissing) {
    statuses_[1].erase("xlog");
    body_["members"][1]["lag"] = 4096;
    statuses_[2].erase("xlog");
    body_["members"][2]["lag"] = "unknown";
    serve();
    const ClusterFacts facts = observe();
    EXPECT_EQ(facts.members[1].lag_bytes, 4096);
    EXPECT_EQ(facts.members[2].lag_bytes, std::nullopt);
}

TEST_F(ObserverTest, CountsNoLagBelowZero) {
    statuses_[1]["xlog"]["replayed_location"] = 99999999;
    serve();
    EXPECT_EQ(observe().members[1].lag_bytes, 0);
}

TEST_F(ObserverTest, ReadsPauseScheduledActionsAndPendingRestarts) {
    config_["pause"] = true;
    body_["scheduled_switchover"] = {{"at", "2026-11-24T00:00:00+00:00"}, {"from", "n1"}};
    statuses_[1]["pause"] = true;
    statuses_[1]["pending_restart"] = true;
    statuses_[2]["scheduled_restart"] = {{"schedule", "2026-11-24T00:00:00+00:00"}};
    statuses_[2]["tags"] = {{"nofailover", true}};
    serve();
    const ClusterFacts facts = observe();
    EXPECT_TRUE(facts.paused);
    EXPECT_TRUE(facts.scheduled_switchover);
    EXPECT_EQ(facts.switchover.at, "2026-11-24T00:00:00+00:00");
    EXPECT_EQ(facts.switchover.from, "n1");
    EXPECT_TRUE(facts.switchover.to.empty());
    EXPECT_EQ(facts.members[2].scheduled_restart_at, "2026-11-24T00:00:00+00:00");
    EXPECT_FALSE(facts.members[0].paused);
    EXPECT_TRUE(facts.members[1].paused);
    EXPECT_TRUE(facts.members[1].pending_restart);
    EXPECT_TRUE(facts.members[2].scheduled_restart);
    EXPECT_TRUE(facts.members[2].tags.contains("nofailover"));
}

// The member's own clock says how long ago, whatever ours says.
TEST_F(ObserverTest, CountsSinceAMemberSawTheDcs) {
    serve();
    servers_.compute("GET " + url(1, "/patroni"), [this](const HttpRequest&) {
        HttpResponse response{200, statuses_[0].dump(), "application/json"};
        response.date = 1795425243 + 45;
        return response;
    });
    const ClusterFacts facts = observe();
    EXPECT_EQ(facts.members[0].dcs_seen_ago, 45);
    EXPECT_EQ(facts.members[1].dcs_seen_ago, std::nullopt);
}

TEST_F(ObserverTest, GoesOnWithAnyEndpointThatAnswers) {
    serve();
    is_down(1);
    const ClusterFacts facts = observe();
    EXPECT_EQ(facts.leader, "n1");
    EXPECT_TRUE(facts.members[0].api.failed());
    EXPECT_TRUE(facts.members[1].api.ok());
}

TEST_F(ObserverTest, NamesEveryEndpointWhenNoneAnswers) {
    is_down(1);
    is_down(2);
    try {
        observe();
        FAIL() << "observed";
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), Kind::connect);
        EXPECT_NE(std::string(error.what()).find(url(1, "/cluster")), std::string::npos);
        EXPECT_NE(std::string(error.what()).find(url(2, "/cluster")), std::string::npos);
        EXPECT_FALSE(error.hint().empty());
    }
}

TEST_F(ObserverTest, TakesAWebServerForNoPatroni) {
    for (int n : {1, 2}) {
        servers_.answer("GET " + url(n, "/cluster"), "<html>hello</html>");
        servers_.answer("GET " + url(n, "/config"), "<html>hello</html>");
        servers_.answer("GET " + url(n, "/patroni"), "<html>hello</html>");
    }
    EXPECT_THROW(observe(), TransportError);
}

// A DCS outage: /cluster hangs and /config with it, /patroni answers.
TEST_F(ObserverTest, GoesOnWithoutTheDcs) {
    statuses_[0]["pause"] = true;
    cluster_.members = {{"n1", {.host = "10.0.0.11"}, {}}, {"n2", {.host = "10.0.0.12"}, {}}};
    serve();
    for (int n : {1, 2}) {
        servers_.fail("GET " + url(n, "/cluster"), Kind::timeout, "out of time");
        servers_.fail("GET " + url(n, "/config"), Kind::timeout, "out of time");
    }
    const ClusterFacts facts = observe();
    EXPECT_EQ(facts.cluster_error, "out of time");
    EXPECT_TRUE(facts.leader.empty());
    EXPECT_TRUE(facts.config.is_null());
    EXPECT_TRUE(facts.paused);
    ASSERT_EQ(facts.members.size(), 2U);
    EXPECT_EQ(facts.members[0].role, "primary");
    EXPECT_EQ(facts.members[1].role, "replica");
    EXPECT_EQ(facts.members[1].state, "streaming");
}

TEST_F(ObserverTest, AsksMembersThatOnlyTheInventoryNames) {
    body_["members"].erase(1);
    cluster_.members = {{"n2", {.host = "10.0.0.12"}, {}}, {"n9", {}, {}}};
    serve();
    const ClusterFacts facts = observe();
    ASSERT_EQ(facts.members.size(), 4U);
    EXPECT_EQ(facts.members[1].name, "n2");
    EXPECT_FALSE(facts.members[1].listed);
    EXPECT_TRUE(facts.members[1].api.ok());
    EXPECT_EQ(facts.members[1].role, "replica");
    EXPECT_EQ(facts.members[3].name, "n9");
    EXPECT_EQ(facts.members[3].api.error, "Patroni does not list this member");
}

TEST_F(ObserverTest, LooksAgainAtWhoeverIsThereThen) {
    serve();
    Observer twice = observer();
    (void)twice.observe(Depth::quick, k_timeout, {});
    const auto asked = [&](int n) {
        return std::ranges::count(servers_.seen(), url(n, "/patroni"), &HttpRequest::url);
    };
    EXPECT_EQ(asked(2), 1);
    // n2 says something else, n3 is gone, n4 is new, and n1 has moved to where n5 is.
    statuses_[1]["state"] = "starting";
    body_["members"][0]["api_url"] = url(5, "/patroni");
    body_["members"][2] = listed(4, "replica", "streaming");
    serve();
    servers_.answer("GET " + url(4, "/patroni"), replica_status("4.0.7").dump());
    servers_.answer("GET " + url(5, "/patroni"), leader_status("3.1.0").dump());
    const ClusterFacts facts = twice.observe(Depth::quick, k_timeout, {});
    ASSERT_EQ(facts.members.size(), 3U);
    EXPECT_EQ(facts.members[0].patroni.running, "3.1.0");
    EXPECT_EQ(facts.members[1].state, "starting");
    EXPECT_EQ(facts.members[2].name, "n4");
    EXPECT_TRUE(facts.members[2].api.ok());
    EXPECT_EQ(asked(2), 2);
    EXPECT_EQ(asked(4), 1);
    is_down(4);
    EXPECT_TRUE(twice.observe(Depth::quick, k_timeout, {}).members[2].api.failed());
}

// Patroni's answer to /config is as old as its last look at the DCS, and /cluster is such a look.
TEST_F(ObserverTest, AsksForTheConfigurationAfterTheCluster) {
    bool seen = false;
    serve();
    servers_.compute("GET " + url(1, "/cluster"), [&](const HttpRequest& /*request*/) {
        seen = true;
        return HttpResponse{200, body_.dump(), "application/json"};
    });
    servers_.compute("GET " + url(1, "/config"), [&](const HttpRequest& /*request*/) {
        const Json told = seen ? Json{{"pause", true}} : Json::object();
        return HttpResponse{200, told.dump(), "application/json"};
    });
    EXPECT_TRUE(observe().paused);
}

TEST_F(ObserverTest, TakesNoOtherMembersAnswer) {
    is_version("4.0.7");
    statuses_[1]["patroni"]["name"] = "n3";
    serve();
    const ClusterFacts facts = observe();
    EXPECT_NE(facts.members[1].api.error.find("is the REST API of the member n3"),
              std::string::npos);
    EXPECT_TRUE(facts.members[1].patroni.running.empty());
}

TEST_F(ObserverTest, AsksEachHostOnceInFullDepth) {
    serve();
    const ClusterFacts facts = observe(Depth::full);
    EXPECT_EQ(hosts_.seen().size(), 3U);
    for (const MemberFacts& member : facts.members) {
        EXPECT_TRUE(member.ssh.ok()) << member.ssh.error;
        EXPECT_TRUE(member.sql.ok()) << member.sql.error;
        ASSERT_TRUE(member.slots);
        EXPECT_TRUE(member.wal);
        EXPECT_TRUE(member.disk);
        EXPECT_EQ(member.slots->at(0).serves, SlotServes::member);
    }
}

// /cluster has it since Patroni 3.2, /patroni always.
TEST_F(ObserverTest, LooksForTheLockOfTheScopeWhateverPatroniSaysIt) {
    for (const bool listed_scope : {true, false}) {
        if (listed_scope) {
            body_["scope"] = "lab";
        } else {
            body_.erase("scope");
        }
        serve();
        observe(Depth::full);
        const auto seen = hosts_.seen();
        ASSERT_FALSE(seen.empty());
        EXPECT_NE(seen.back().second.find("\nlock=lock.lab\n"), std::string::npos);
    }
}

TEST_F(ObserverTest, KnowsTheRestOfAMemberWithoutSsh) {
    serve();
    hosts_.fail("10.0.0.12", Kind::host_key, "the host key is not the known one");
    const ClusterFacts facts = observe(Depth::full);
    const MemberFacts& member = facts.members[1];
    EXPECT_TRUE(member.api.ok());
    EXPECT_TRUE(member.ssh.failed());
    EXPECT_TRUE(member.ssh.refused);
    EXPECT_TRUE(member.sql.failed());
    EXPECT_FALSE(member.slots);
    EXPECT_EQ(member.patroni.running, "3.0.2");
}

// The old primary runs on without its daemon: only PostgreSQL can say so.
TEST_F(ObserverTest, SeesAPrimaryWhoseDaemonIsDead) {
    serve();
    is_down(3);
    hosts_.on("10.0.0.13", [](const RemoteCommand& command) {
        CommandResult result = recorded(command);
        result.out = replaced(result.out, "\"in_recovery\": true", "\"in_recovery\": false");
        return result;
    });
    const ClusterFacts facts = observe(Depth::full);
    EXPECT_EQ(facts.members[2].role, "primary");
    const auto findings = diagnose(facts, cluster_);
    EXPECT_TRUE(std::ranges::any_of(
        findings, [](const Finding& finding) { return finding.id == "cluster.two_primaries"; }));
}

TEST_F(ObserverTest, ProbesWithAPatchThatCannotChangeAnything) {
    serve();
    for (int n : {1, 2, 3}) {
        servers_.answer("PATCH " + url(n, "/config"), "", 400);
    }
    ClusterFacts facts = observe();
    observer().probe_write_access(facts, {});
    EXPECT_FALSE(facts.patroni_write_refused);
    EXPECT_EQ(facts.patroni_write_error, "");
    for (const HttpRequest& request : servers_.seen()) {
        EXPECT_TRUE(request.method == "GET" || request.body == "{}");
    }
}

TEST_F(ObserverTest, SaysWhoRefusesChanges) {
    serve();
    servers_.answer("PATCH " + url(1, "/config"), "", 400);
    servers_.answer("PATCH " + url(2, "/config"), "not authenticated", 401);
    servers_.answer("PATCH " + url(3, "/config"), "", 503);
    ClusterFacts facts = observe();
    observer().probe_write_access(facts, {});
    EXPECT_TRUE(facts.patroni_write_refused);
    EXPECT_EQ(facts.patroni_write_error, "n2 answers HTTP status 401: not authenticated");
    EXPECT_NE(facts.patroni_write_hint.find("patroni.password"), std::string::npos);
    EXPECT_TRUE(facts.find("n2")->api_write.refused);
    EXPECT_TRUE(facts.find("n3")->api_write.failed());
    EXPECT_TRUE(facts.find("n1")->api_write.ok());
}

TEST(RefusalHint, NamesWhatTheAccessCheckWants) {
    const auto names = [](long status, const char* body, const char* word) {
        return patroni_api::refusal_hint(status, body).find(word) != std::string::npos;
    };
    EXPECT_TRUE(names(401, "no auth header received", "patroni.password"));
    EXPECT_TRUE(names(403, "Access is denied", "restapi.allowlist"));
    EXPECT_TRUE(names(403, "Access is denied", "patroni.via: ssh"));
    EXPECT_TRUE(names(403, "client certificate required", "patroni.cert_file"));
    EXPECT_EQ(patroni_api::refusal_hint(503, ""), "");
}

TEST_F(ObserverTest, KnowsAnUnexpectedAnswerFromARefusal) {
    serve();
    for (int n : {1, 2, 3}) {
        servers_.answer("PATCH " + url(n, "/config"), "", 503);
    }
    ClusterFacts facts = observe();
    observer().probe_write_access(facts, {});
    EXPECT_FALSE(facts.patroni_write_refused);
    EXPECT_EQ(facts.patroni_write_error, "n1 answers HTTP status 503");
}

TEST_F(ObserverTest, StopsWhenTold) {
    serve();
    std::stop_source stop;
    stop.request_stop();
    try {
        (void)observer().observe(Depth::quick, k_timeout, stop.get_token());
        FAIL() << "observed";
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), Kind::cancelled);
    }
}

/// The recording, with slots that stand still far behind.
CommandResult frozen(const CommandResult& healthy) {
    CommandResult result = healthy;
    result.out =
        replaced(result.out, "\"restart_lsn\": \"0/5000600\"", "\"restart_lsn\": \"0/1000000\"");
    return result;
}

TEST_F(ObserverTest, SettlesNothingWhereNoSlotIsSuspicious) {
    serve();
    ClusterFacts facts = observe(Depth::full);
    Observer again = observer();
    settle_slots(facts, nullptr, again, clock_, {});
    EXPECT_TRUE(clock_.sleeps().empty());
    EXPECT_EQ(hosts_.seen().size(), 3U);
}

TEST_F(ObserverTest, SettlesASuspiciousSlotByASecondSample) {
    serve();
    hosts_.on("10.0.0.12", [](const RemoteCommand& command) { return frozen(recorded(command)); });
    ClusterFacts facts = observe(Depth::full);
    facts.patroni_write_refused = true;
    Observer again = observer();
    settle_slots(facts, nullptr, again, clock_, {});
    EXPECT_EQ(clock_.sleeps(), (std::vector<std::chrono::milliseconds>{std::chrono::seconds{9}}));
    EXPECT_TRUE(facts.members[1].slots->at(0).stuck);
    EXPECT_FALSE(facts.members[0].slots->at(0).stuck);
    EXPECT_TRUE(facts.patroni_write_refused);
}

TEST_F(ObserverTest, SettlesWithoutWaitingWhenThereIsAnOldSample) {
    serve();
    hosts_.on("10.0.0.12", [](const RemoteCommand& command) { return frozen(recorded(command)); });
    const ClusterFacts earlier = observe(Depth::full);
    clock_.advance(std::chrono::seconds{9});
    ClusterFacts facts = observe(Depth::full);
    Observer again = observer();
    settle_slots(facts, &earlier, again, clock_, {});
    EXPECT_TRUE(clock_.sleeps().empty());
    EXPECT_TRUE(facts.members[1].slots->at(0).stuck);
}

TEST(PatroniApi, ReadsUrlsAndVersions) {
    EXPECT_EQ(patroni_api::base_url("https://[fd00::1]:8008/patroni"), "https://[fd00::1]:8008");
    EXPECT_EQ(patroni_api::base_url("http://10.0.0.11:8008"), "http://10.0.0.11:8008");
    EXPECT_EQ(url_host("https://[fd00::1]:8008/patroni"), "fd00::1");
    EXPECT_EQ(url_host("http://db1.example:8008"), "db1.example");
    EXPECT_EQ(patroni_api::server_version_text(170012), "17.12");
    EXPECT_EQ(patroni_api::server_version_text(110022), "11.22");
}

TEST(PatroniApi, SurvivesFieldsOfOtherTypes) {
    ClusterFacts facts;
    patroni_api::read_cluster(
        Json::parse(R"({"members": [{"name": 7}, null, {"name": "n1", "port": "x",
        "lag": {}, "tags": [], "timeline": null, "pending_restart": "yes"}], "pause": "no"})"),
        facts);
    ASSERT_EQ(facts.members.size(), 1U);
    EXPECT_EQ(facts.members[0].pg_port, 5432);
    MemberFacts member;
    patroni_api::read_status(
        Json::parse(R"({"state": 1, "xlog": [], "patroni": "4", "timeline": "4"})"), member);
    EXPECT_TRUE(member.state.empty());
    EXPECT_FALSE(member.position);
}

/// Arrays in arrays, which a document of nlohmann's could neither copy nor compare.
std::string deep() {
    return std::string(100'000, '[') + std::string(100'000, ']');
}

TEST_F(ObserverTest, TakesNoMembersWordThatNestsTooDeeply) {
    serve();
    servers_.answer("GET " + url(2, "/patroni"),
                    "{\"state\": \"running\", \"tags\": " + deep() + "}");
    const ClusterFacts facts = observe();
    EXPECT_TRUE(facts.find("n1")->api.ok());
    ASSERT_TRUE(facts.find("n2")->api.failed());
    EXPECT_NE(facts.find("n2")->api.error.find("nests deeper than 64 levels"), std::string::npos)
        << facts.find("n2")->api.error;
}

TEST_F(ObserverTest, AsksTheNextEndpointWhereAnAnswerNestsTooDeeply) {
    serve();
    servers_.answer("GET " + url(1, "/cluster"),
                    "{\"members\": [{\"name\": \"n1\", \"tags\": " + deep() + "}]}");
    EXPECT_EQ(observe().members.size(), 3U);
    servers_.answer("GET " + url(2, "/cluster"),
                    "{\"members\": [{\"name\": \"n1\", \"tags\": " + deep() + "}]}");
    const ClusterFacts facts = observe();
    EXPECT_NE(facts.cluster_error.find("nests deeper than 64 levels"), std::string::npos)
        << facts.cluster_error;
}

TEST_F(ObserverTest, KnowsNoConfigurationThatNestsTooDeeply) {
    serve();
    servers_.answer("GET " + url(1, "/config"), "{\"ttl\": 30, \"x\": " + deep() + "}");
    servers_.answer("GET " + url(2, "/config"), "{\"ttl\": 30, \"x\": " + deep() + "}");
    const ClusterFacts facts = observe();
    EXPECT_TRUE(facts.config.is_null());
    EXPECT_EQ(facts.members.size(), 3U);
}

TEST_F(ObserverTest, TakesNoMoreThanAMegabyteForAStatus) {
    serve();
    servers_.answer("GET " + url(3, "/patroni"),
                    "{\"state\": \"running\"" + std::string(std::size_t{1} << 20, ' ') + "}");
    EXPECT_NE(observe().find("n3")->api.error.find("is longer than 1048576 bytes"),
              std::string::npos);
}

TEST_F(ObserverTest, SendsNothingToAMemberThatIsListedByHttpBesideHttps) {
    serve();
    cluster_.patroni.endpoints = {"https://10.0.0.11:8008"};
    servers_.answer("GET https://10.0.0.11:8008/cluster", body_.dump());
    servers_.answer("GET https://10.0.0.11:8008/config", config_.dump());
    const ClusterFacts facts = observe();
    for (const MemberFacts& member : facts.members) {
        EXPECT_TRUE(member.api.failed() && member.api.refused) << member.name;
    }
    for (const HttpRequest& request : servers_.seen()) {
        EXPECT_TRUE(request.url.starts_with("https://")) << request.url;
    }
    std::vector<std::string> insecure;
    for (const Finding& finding : diagnose(facts, cluster_)) {
        if (finding.id == "member.insecure_api") {
            insecure.push_back(finding.member);
        }
        EXPECT_NE(finding.id + finding.subject, "member.unreachableapi");
    }
    EXPECT_EQ(insecure, (std::vector<std::string>{"n1", "n2", "n3"}));
}

TEST_F(ObserverTest, TriesNoPasswordOnAHostThatNobodyNamed) {
    serve();
    cluster_.patroni.username = "admin";
    cluster_.patroni.password = SecretRef{SecretRef::Env{"PATH"}, {}};
    for (int n : {1, 2}) {
        servers_.answer("PATCH " + url(n, "/config"), "{}", 400);
    }
    ClusterFacts facts = observe();
    observer().probe_write_access(facts, {});
    EXPECT_TRUE(facts.find("n2")->api_write.ok());
    EXPECT_TRUE(facts.find("n3")->api_write.refused) << facts.find("n3")->api_write.error;
    EXPECT_TRUE(facts.patroni_write_refused);
    for (const HttpRequest& request : servers_.seen()) {
        EXPECT_EQ(request.anonymous, request.method == "GET") << request.url;
    }
}

}  // namespace
}  // namespace lockstep
