#include "transport/ssh_config.hpp"

#include "base/account.hpp"
#include "base/error.hpp"
#include "temp_dir.hpp"
#include "tests/fakes/fake_processes.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

SshEndpoint to(const std::string& host) {
    SshEndpoint endpoint;
    endpoint.host = host;
    return endpoint;
}

TEST(SshConfig, FillsWhatTheInventoryLeavesOpen) {
    const TempDir dir;
    const std::string key = dir.write("key", "x");
    const SshRoute route =
        read_ssh_config("host db\nhostname 10.0.0.7\nuser anna\nport 2222\nidentityfile " + key +
                            "\nidentityfile /nonexistent\nglobalknownhostsfile /c\n"
                            "userknownhostsfile /a /b\nhostkeyalias db1\nproxyjump none\n",
                        to("db"));
    EXPECT_EQ(route.peer(), "anna@10.0.0.7:2222");
    EXPECT_EQ(route.endpoint.identity_files, std::vector<std::string>{key});
    EXPECT_EQ(route.endpoint.known_hosts, (std::vector<std::string>{"/a", "/b", "/c"}));
    EXPECT_EQ(route.known_as, "db1");
    EXPECT_EQ(route.known_without_port, "");
    EXPECT_EQ(route.only_openssh, "");
    EXPECT_EQ(route.bastion, "10.0.0.7");
    EXPECT_EQ(route.proxy, "");
}

TEST(SshConfig, KeepsWhatTheInventorySays) {
    SshEndpoint given = to("db");
    given.user = "ops";
    given.port = 22;
    given.identity_files = {"mine"};
    given.known_hosts = {"hosts"};
    const SshRoute route = read_ssh_config(
        "hostname db.example\nuser anna\nport 2222\nidentityfile /etc/passwd\n"
        "userknownhostsfile /a\n",
        given);
    EXPECT_EQ(route.peer(), "ops@db.example:22");
    EXPECT_EQ(route.endpoint.identity_files, std::vector<std::string>{"mine"});
    EXPECT_EQ(route.endpoint.known_hosts, std::vector<std::string>{"hosts"});
}

TEST(SshConfig, HasTheDefaultsOfSshWhereNothingIsSaid) {
    const SshRoute route = read_ssh_config("", to("db"));
    EXPECT_EQ(route.peer(), own_account().name + "@db:22");
    EXPECT_EQ(route.known_as, "db");
    EXPECT_EQ(route.bastion, "db");
    EXPECT_EQ(route.endpoint.known_hosts.front(), own_account().home + "/.ssh/known_hosts");
}

TEST(SshConfig, TakesTheUsualKeysThatExist) {
    const TempDir home;
    std::filesystem::create_directory(home.path(".ssh"));
    home.write(".ssh/id_ed25519", "x");
    home.write(".ssh/id_rsa", "x");
    const char* before = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe): one thread
    const std::string kept = before == nullptr ? "" : before;
    ::setenv("HOME", home.path("").c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
    const SshRoute route = read_ssh_config("", to("db"));
    ::setenv("HOME", kept.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
    EXPECT_EQ(route.endpoint.identity_files,
              (std::vector<std::string>{home.path("") + "/.ssh/id_ed25519",
                                        home.path("") + "/.ssh/id_rsa"}));
}

TEST(SshConfig, KnowsTheWaysThatLibssh2DoesNotGo) {
    const SshRoute jump = read_ssh_config("proxyjump ops@bastion:2222,inner\n", to("db"));
    EXPECT_EQ(jump.proxy, "ProxyJump ops@bastion:2222,inner");
    EXPECT_EQ(jump.bastion, "ops@bastion:2222");
    EXPECT_EQ(read_ssh_config("proxycommand nc %h %p\n", to("db")).proxy, "ProxyCommand nc %h %p");
    EXPECT_TRUE(read_ssh_config("certificatefile ~/.ssh/x-cert.pub\n", to("db")).more_keys);
    const SshRoute only = read_ssh_config("identitiesonly yes\n", to("db"));
    EXPECT_TRUE(only.more_keys);
    EXPECT_FALSE(only.endpoint.use_agent);
}

TEST(SshConfig, LooksForTheNameWithoutItsPortToo) {
    const SshRoute route = read_ssh_config("port 2222\n", to("DB"));
    EXPECT_EQ(route.known_as, "[db]:2222");
    EXPECT_EQ(route.known_without_port, "db");
}

TEST(SshConfig, PutsPathsWithBlanksTogetherAgain) {
    EXPECT_EQ(
        read_ssh_config("userknownhostsfile /a/my known hosts /b\n", to("db")).endpoint.known_hosts,
        (std::vector<std::string>{"/a/my known hosts", "/b"}));
}

TEST(SshConfig, KnowsNoHostWhereNoFileIsToBeRead) {
    EXPECT_TRUE(read_ssh_config("userknownhostsfile none\nglobalknownhostsfile none\n", to("db"))
                    .endpoint.known_hosts.empty());
}

TEST(SshConfig, ExpandsThePathsOfKeys) {
    const TempDir dir;
    const std::string key = dir.write("ops@10.0.0.7-db-2222", "x");
    const SshRoute route = read_ssh_config("identityfile " + dir.path("%r@%h-%n-%p") +
                                               "\nidentityfile " + dir.path("${NO_SUCH}ops") +
                                               "\nuser ops\nhostname 10.0.0.7\nport 2222\n",
                                           to("db"));
    EXPECT_EQ(route.endpoint.identity_files, std::vector<std::string>{key});
    EXPECT_TRUE(route.more_keys) << "ssh(1) alone knows what the second one is";
    EXPECT_FALSE(read_ssh_config("identityfile /%%x\n", to("db")).more_keys);
}

TEST(SshConfig, TakesNoUsualKeysWhereOthersAreNamed) {
    for (const char* text : {"identityfile none\n", "identityfile /nonexistent\n"}) {
        EXPECT_TRUE(read_ssh_config(text, to("db")).endpoint.identity_files.empty()) << text;
    }
}

TEST(SshConfig, LeavesLibssh2WhatIsAllowed) {
    const SshRoute route = read_ssh_config(
        "ciphers chacha20-poly1305@openssh.com,aes128-ctr,aes256-ctr\nmacs hmac-sha2-512\n"
        "kexalgorithms curve25519-sha256\nhostkeyalgorithms ssh-ed25519,rsa-sha2-512\n",
        to("db"));
    EXPECT_EQ(route.offer.ciphers, "aes256-ctr,aes128-ctr");
    EXPECT_EQ(route.offer.macs, "hmac-sha2-512");
    EXPECT_EQ(route.offer.key_exchanges, "curve25519-sha256");
    EXPECT_EQ(route.offer.host_keys, "ssh-ed25519");
    EXPECT_EQ(route.only_openssh, "");
}

TEST(SshConfig, KnowsWhatLibssh2WouldNotObey) {
    for (const char* text : {"revokedhostkeys /x",
                             "knownhostscommand /x",
                             "bindaddress 10.0.0.1",
                             "bindinterface eth0",
                             "addressfamily inet6",
                             "pubkeyauthentication false",
                             "pubkeyauthentication no",
                             "preferredauthentications gssapi-with-mic,password",
                             "pubkeyacceptedalgorithms ssh-ed25519,rsa-sha2-512",
                             "pubkeyacceptedkeytypes ssh-rsa",
                             "kexalgorithms sntrup761x25519-sha512@openssh.com",
                             "hostkeyalgorithms rsa-sha2-512",
                             "ciphers aes256-gcm@openssh.com",
                             "macs umac-128@openssh.com"}) {
        const std::string line(text);
        const std::string said = read_ssh_config(line + "\n", to("db")).only_openssh;
        EXPECT_NE(said, "") << line;
        const TempDir dir;
        EXPECT_TRUE(config_matters(dir.write("config", "Host *\n  " + line + "\n"))) << line;
    }
    for (const char* text : {"addressfamily any",
                             "pubkeyauthentication true",
                             "pubkeyauthentication unbound",
                             "revokedhostkeys none",
                             "knownhostscommand none",
                             "preferredauthentications publickey"}) {
        EXPECT_EQ(read_ssh_config(std::string(text) + "\n", to("db")).only_openssh, "") << text;
    }
}

TEST(SshConfig, TakesTheAgentThatItNames) {
    ::setenv("LOCKSTEP_AGENT", "/run/other", 1);  // NOLINT(concurrency-mt-unsafe): one thread
    EXPECT_EQ(read_ssh_config("identityagent $LOCKSTEP_AGENT\n", to("db")).agent_socket,
              "/run/other");
    EXPECT_EQ(read_ssh_config("identityagent /run/%n\n", to("db")).agent_socket, "/run/db");
    EXPECT_EQ(read_ssh_config("identityagent /run/agent\n", to("db")).agent_socket, "/run/agent");
    EXPECT_EQ(read_ssh_config("identityagent none\n", to("db")).agent_socket, "");
}

TEST(SshConfig, DoesNotMatterWhenItSaysNothingOfInterest) {
    const TempDir dir;
    EXPECT_FALSE(config_matters(dir.path("missing")));
    EXPECT_FALSE(config_matters(
        dir.write("debian",
                  "# Port 2222\nInclude " + dir.path("*.conf") +
                      "\nHost *\n    SendEnv LANG LC_*\n    GSSAPIAuthentication yes\n")));
    EXPECT_TRUE(config_matters(dir.write("port", "Host db\n\tPORT=2222\n")));
    EXPECT_TRUE(config_matters(dir.write("jump", "Match host *.db\n  ProxyJump bastion\n")));
}

TEST(SshConfig, ThatCannotBeReadInTimeIsNoConnection) {
    FakeProcesses processes;
    SshEndpoint endpoint = to("db");
    endpoint.config_file = "/etc/ssh/of_another_team";
    for (const auto kind : {TransportError::Kind::timeout, TransportError::Kind::connect}) {
        processes.answer = [kind](const LocalCommand&) -> CommandResult {
            throw TransportError(kind, "ssh: did not end");
        };
        try {
            (void)find_route(endpoint, *processes.factory()(), Deadline::after(1s), {});
            ADD_FAILURE();
        } catch (const TransportError& error) {
            EXPECT_EQ(error.kind(), TransportError::Kind::connect);
            EXPECT_NE(error.hint().find("ssh.config_file"), std::string::npos);
        }
    }
}

TEST(SshConfig, MattersByWhatItIncludes) {
    const TempDir dir;
    const std::string file = dir.write("config", "Include more.conf\n");
    EXPECT_FALSE(config_matters(file));
    dir.write("more.conf", "User anna\n");
    EXPECT_TRUE(config_matters(file));
    EXPECT_TRUE(config_matters(dir.write("home", "Include ~/other\n")));
    EXPECT_TRUE(config_matters(dir.write("loop", "Include loop\n")));
}

}  // namespace
}  // namespace lockstep
