#include "steps/observation/connections.hpp"

#include "tests/fakes/fake_http.hpp"
#include "tests/fakes/fake_processes.hpp"
#include "tests/fakes/fake_ssh.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using Names = std::vector<std::string>;

/// Links whose factory keeps what it was asked for.
struct LinksUnderTest {
    Cluster cluster;
    FakeHttp servers;
    FakeSsh hosts;
    FakeProcesses processes;
    std::vector<SshEndpoint> endpoints;
    std::vector<HttpSettings> https;

    Links make() {
        LinkFactory factory;
        factory.ssh = [this](SshEndpoint endpoint) {
            endpoints.push_back(endpoint);
            return hosts.factory()(std::move(endpoint));
        };
        factory.http = [this](HttpSettings settings) {
            https.push_back(settings);
            return servers.factory()(std::move(settings));
        };
        factory.process = processes.factory();
        return Links(cluster, std::move(factory));
    }

    static MemberFacts member() {
        MemberFacts member;
        member.name = "n1";
        member.host = "10.0.0.11";
        return member;
    }
};

TEST(Links, AreMadeOnceAMember) {
    LinksUnderTest test;
    Links links = test.make();
    MemberLink& first = links.of(LinksUnderTest::member());
    EXPECT_EQ(&links.of(LinksUnderTest::member()), &first);
    EXPECT_EQ(test.endpoints.size(), 1U);
    EXPECT_EQ(test.endpoints[0].host, "10.0.0.11");
    EXPECT_TRUE(test.endpoints[0].known_hosts.empty());
}

// A watch outlives what members are; a member that Patroni did not list at first has no host.
TEST(Links, FollowAMemberToAnotherHost) {
    LinksUnderTest test;
    Links links = test.make();
    MemberFacts member = LinksUnderTest::member();
    member.host.clear();
    MemberLink& nowhere = links.of(member);
    EXPECT_EQ(nowhere.ssh_settings.host, "");
    member.host = "10.0.0.11";
    EXPECT_EQ(links.of(member).ssh_settings.host, "10.0.0.11");
    member.host = "10.0.0.99";
    MemberLink& moved = links.of(member);
    EXPECT_EQ(moved.ssh_settings.host, "10.0.0.99");
    member.host.clear();  // not known for a while
    EXPECT_EQ(&links.of(member), &moved);
    EXPECT_EQ(nowhere.member, "n1");  // is still there for whoever is in it
}

TEST(Links, PreferTheInventorysHostToPatronis) {
    LinksUnderTest test;
    MemberSettings settings;
    settings.name = "n1";
    settings.ssh.host = "bastion.example";
    settings.ssh.user = "ops";
    settings.ssh.port = 2222;
    test.cluster.members = {settings};
    Links links = test.make();
    EXPECT_EQ(links.of(LinksUnderTest::member()).ssh->peer(), "ops@bastion.example:2222");
    EXPECT_EQ(links.extra_session(LinksUnderTest::member())->peer(), "ops@bastion.example:2222");
}

TEST(Links, RunScriptsUnderSudoWhereTheInventorySaysSo) {
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
        Links links = test.make();
        EXPECT_FALSE(runs_under_sudo(links.of(member).root()));
    }
    test.cluster.ssh.become = Become::sudo;
    Links links = test.make();
    EXPECT_TRUE(runs_under_sudo(links.of(member).root()));
    EXPECT_TRUE(runs_under_sudo(*links.extra_session(member)));
    EXPECT_FALSE(runs_under_sudo(*links.of(member).ssh));
    EXPECT_EQ(links.psql_settings(member).become, "runuser -u postgres --");
}

TEST(Links, NeedNoSudoForRoot) {
    LinksUnderTest test;
    test.cluster.ssh.user = "root";
    test.cluster.ssh.become = Become::sudo;
    Links links = test.make();
    EXPECT_EQ(links.of(LinksUnderTest::member()).sudo, nullptr);
}

TEST(Links, AskTheRestApiOverSshWhereTheInventorySaysSo) {
    LinksUnderTest test;
    MemberSettings settings;
    settings.name = "n1";
    settings.ssh.host = "10.0.0.11";
    settings.ssh.user = "ops";
    test.cluster.members = {settings};
    test.cluster.ssh.user = "root";
    test.cluster.patroni.via = PatroniSettings::Via::ssh;
    Links links = test.make();
    links.of(LinksUnderTest::member());
    (void)links.lend_endpoint("https://10.0.0.11:8008");
    links.give_back("https://10.0.0.12:8008", links.lend_endpoint("https://10.0.0.12:8008"));
    (void)links.lend_endpoint("https://10.0.0.12:8008");
    EXPECT_TRUE(test.https.empty());
    Names logins;
    for (const SshEndpoint& endpoint : test.endpoints) {
        logins.push_back(endpoint.user + "@" + endpoint.host);
    }
    // Commands and REST of a member have a session each.
    EXPECT_EQ(logins, (Names{"ops@10.0.0.11", "ops@10.0.0.11", "ops@10.0.0.11", "root@10.0.0.12"}));
}

TEST(Links, AskForASecretOnce) {
    LinksUnderTest test;
    test.cluster.patroni.username = "admin";
    test.cluster.patroni.password = SecretRef{SecretRef::Command{{"pass"}}, {}};
    test.processes.answer = [](const LocalCommand&) {
        CommandResult result;
        result.out = "s3cret\n";
        return result;
    };
    Links links = test.make();
    links.of(LinksUnderTest::member());
    (void)links.lend_endpoint("http://10.0.0.12:8008");
    (void)links.lend_endpoint("http://10.0.0.13:8008");
    EXPECT_EQ(test.processes.seen().size(), 1U);
    ASSERT_EQ(test.https.size(), 3U);
    EXPECT_EQ(test.https[2].password->reveal(), "s3cret");
    EXPECT_EQ(test.https[2].username, "admin");
}

TEST(Links, KeepTheClientsOfTheEndpoints) {
    LinksUnderTest test;
    Links links = test.make();
    const std::string url = "http://10.0.0.11:8008";
    std::unique_ptr<HttpClient> first = links.lend_endpoint(url);
    const HttpClient* kept = first.get();
    const std::unique_ptr<HttpClient> beside =
        links.lend_endpoint(url);  // another thread looks, too
    EXPECT_NE(beside.get(), kept);
    links.give_back(url, std::move(first));
    EXPECT_EQ(links.lend_endpoint(url).get(), kept);
}

}  // namespace
}  // namespace lockstep
