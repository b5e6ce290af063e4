#include "steps/observation/links.hpp"

#include "tests/fakes/fake_http.hpp"
#include "tests/fakes/fake_processes.hpp"
#include "tests/fakes/fake_ssh.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

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
    EXPECT_FALSE(test.endpoints[0].user.empty());
    EXPECT_TRUE(test.endpoints[0].known_hosts.ends_with("/.ssh/known_hosts"));
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
    Links links = test.make();
    MemberLink& link = links.of(LinksUnderTest::member());
    EXPECT_EQ(link.as_root("echo 'a b'"), "echo 'a b'");
    link.ssh_settings.become = Become::sudo;
    EXPECT_EQ(link.as_root("echo 'a b'"), "sudo -n -- /bin/sh -c 'echo '\\''a b'\\'''");
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
    test.cluster.patroni.endpoints = {"10.0.0.11:8008", "10.0.0.12:8008"};
    Links links = test.make();
    links.of(LinksUnderTest::member());
    (void)links.take_endpoint_clients();
    EXPECT_EQ(test.processes.seen().size(), 1U);
    ASSERT_EQ(test.https.size(), 3U);
    EXPECT_EQ(test.https[2].password->reveal(), "s3cret");
    EXPECT_EQ(test.https[2].username, "admin");
}

TEST(Links, KeepTheConnectionsToTheEndpointsFromOneLookToTheNext) {
    LinksUnderTest test;
    test.cluster.patroni.endpoints = {"10.0.0.11:8008", "10.0.0.12:8008"};
    Links links = test.make();
    Links::HttpClients first = links.take_endpoint_clients();
    const Links::HttpClients beside = links.take_endpoint_clients();  // another thread looks, too
    EXPECT_EQ(test.https.size(), 4U);
    const HttpClient* kept = first.front().get();
    links.give_back(std::move(first));
    EXPECT_EQ(links.take_endpoint_clients().front().get(), kept);
    EXPECT_EQ(test.https.size(), 4U);
}

}  // namespace
}  // namespace lockstep
