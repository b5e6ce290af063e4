#include "steps/observation/connections.hpp"

#include "tests/fakes/fake_http.hpp"
#include "tests/fakes/fake_processes.hpp"
#include "tests/fakes/fake_ssh.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using Names = std::vector<std::string>;

/// Connections whose factory keeps what it was asked for.
struct LinksUnderTest {
    Cluster cluster;
    FakeHttp servers;
    FakeSsh hosts;
    FakeProcesses processes;
    std::vector<SshEndpoint> endpoints;
    std::vector<HttpSettings> https;

    Connections make() {
        ConnectionFactory factory;
        factory.ssh = [this](SshEndpoint endpoint) {
            endpoints.push_back(endpoint);
            return hosts.factory()(std::move(endpoint));
        };
        factory.http = [this](HttpSettings settings) {
            https.push_back(settings);
            return servers.factory()(std::move(settings));
        };
        factory.process = processes.factory();
        return Connections(cluster, std::move(factory));
    }

    static MemberFacts member() {
        MemberFacts member;
        member.name = "n1";
        member.host = "10.0.0.11";
        return member;
    }
};

TEST(Connections, AreMadeOnceAMember) {
    LinksUnderTest test;
    Connections connections = test.make();
    MemberConnections& first = connections.of(LinksUnderTest::member());
    EXPECT_EQ(&connections.of(LinksUnderTest::member()), &first);
    EXPECT_EQ(test.endpoints.size(), 1U);
    EXPECT_EQ(test.endpoints[0].host, "10.0.0.11");
    EXPECT_TRUE(test.endpoints[0].known_hosts.empty());
}

// A watch outlives what members are; a member that Patroni did not list at first has no host.
TEST(Connections, FollowAMemberToAnotherHost) {
    LinksUnderTest test;
    Connections connections = test.make();
    MemberFacts member = LinksUnderTest::member();
    member.host.clear();
    MemberConnections& nowhere = connections.of(member);
    EXPECT_EQ(nowhere.ssh_settings.host, "");
    member.host = "10.0.0.11";
    EXPECT_EQ(connections.of(member).ssh_settings.host, "10.0.0.11");
    member.host = "10.0.0.99";
    MemberConnections& moved = connections.of(member);
    EXPECT_EQ(moved.ssh_settings.host, "10.0.0.99");
    member.host.clear();  // not known for a while
    EXPECT_EQ(&connections.of(member), &moved);
    EXPECT_EQ(nowhere.member, "n1");  // is still there for whoever is in it
}

TEST(Connections, PreferTheInventorysHostToPatronis) {
    LinksUnderTest test;
    MemberSettings settings;
    settings.name = "n1";
    settings.ssh.host = "bastion.example";
    settings.ssh.user = "ops";
    settings.ssh.port = 2222;
    test.cluster.members = {settings};
    Connections connections = test.make();
    EXPECT_EQ(connections.of(LinksUnderTest::member()).ssh->peer(), "ops@bastion.example:2222");
    EXPECT_EQ(connections.extra_session(LinksUnderTest::member())->peer(),
              "ops@bastion.example:2222");
}

TEST(Connections, RunScriptsUnderSudoWhereTheInventorySaysSo) {
    LinksUnderTest test;
    test.cluster.ssh.user = "ops";
    test.hosts.on("10.0.0.11", [](const RemoteCommand&) { return CommandResult{}; });
    const auto runs_under_sudo = [&](SshSession& session) {
        try {
            session.run({.script = "echo hi"}, Deadline::after(std::chrono::seconds{1}), {});
        } catch (const TransportError& error) {  // that host has no sudo
            EXPECT_EQ(error.kind(), TransportError::Kind::auth);
        }
        return test.hosts.seen().back().second.find("sudo ") != std::string::npos;
    };
    const MemberFacts member = LinksUnderTest::member();
    {
        Connections connections = test.make();
        EXPECT_FALSE(runs_under_sudo(connections.of(member).root()));
    }
    test.cluster.ssh.become = Become::sudo;
    Connections connections = test.make();
    EXPECT_TRUE(runs_under_sudo(connections.of(member).root()));
    EXPECT_TRUE(runs_under_sudo(*connections.extra_session(member)));
    EXPECT_FALSE(runs_under_sudo(*connections.of(member).ssh));
    EXPECT_EQ(connections.psql_settings(member).become, "runuser -u postgres --");
}

TEST(Connections, NeedNoSudoForRoot) {
    LinksUnderTest test;
    test.cluster.ssh.user = "root";
    test.cluster.ssh.become = Become::sudo;
    Connections connections = test.make();
    EXPECT_EQ(connections.of(LinksUnderTest::member()).sudo, nullptr);
}

TEST(Connections, AskTheRestApiOverSshWhereTheInventorySaysSo) {
    LinksUnderTest test;
    MemberSettings settings;
    settings.name = "n1";
    settings.ssh.host = "10.0.0.11";
    settings.ssh.user = "ops";
    test.cluster.members = {settings};
    test.cluster.ssh.user = "root";
    test.cluster.patroni.via = PatroniSettings::Via::ssh;
    Connections connections = test.make();
    connections.of(LinksUnderTest::member());
    (void)connections.lend_endpoint("https://10.0.0.11:8008");
    connections.give_back("https://10.0.0.12:8008",
                          connections.lend_endpoint("https://10.0.0.12:8008"));
    (void)connections.lend_endpoint("https://10.0.0.12:8008");
    EXPECT_TRUE(test.https.empty());
    Names logins;
    for (const SshEndpoint& endpoint : test.endpoints) {
        logins.push_back(endpoint.user + "@" + endpoint.host);
    }
    // Commands and REST of a member have a session each.
    EXPECT_EQ(logins, (Names{"ops@10.0.0.11", "ops@10.0.0.11", "ops@10.0.0.11", "root@10.0.0.12"}));
}

TEST(Connections, AskForASecretOnce) {
    LinksUnderTest test;
    test.cluster.patroni.username = "admin";
    test.cluster.patroni.password = SecretRef{SecretRef::Command{{"pass"}}, {}};
    test.processes.answer = [](const LocalCommand&) {
        CommandResult result;
        result.out = "s3cret\n";
        return result;
    };
    Connections connections = test.make();
    connections.of(LinksUnderTest::member());
    (void)connections.lend_endpoint("http://10.0.0.12:8008");
    (void)connections.lend_endpoint("http://10.0.0.13:8008");
    EXPECT_EQ(test.processes.seen().size(), 1U);
    ASSERT_EQ(test.https.size(), 3U);
    EXPECT_EQ(test.https[2].password->reveal(), "s3cret");
    EXPECT_EQ(test.https[2].username, "admin");
}

TEST(Connections, KeepTheClientsOfTheEndpoints) {
    LinksUnderTest test;
    Connections connections = test.make();
    const std::string url = "http://10.0.0.11:8008";
    std::unique_ptr<HttpClient> first = connections.lend_endpoint(url);
    const HttpClient* kept = first.get();
    const std::unique_ptr<HttpClient> beside =
        connections.lend_endpoint(url);  // another thread looks, too
    EXPECT_NE(beside.get(), kept);
    connections.give_back(url, std::move(first));
    EXPECT_EQ(connections.lend_endpoint(url).get(), kept);
}

}  // namespace
}  // namespace lockstep
