#include "base/error.hpp"
#include "test_sshd.hpp"
#include "transport/ssh_session.hpp"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <memory>
#include <optional>
#include <sstream>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Kind = TransportError::Kind;

/// Servers and keys that libssh2 1.10 cannot deal with, and OpenSSH's client can: with
/// `automatic`, which must say so, and with each client by name.
class SshClientLive : public testing::Test {
  protected:
    void SetUp() override {
        if (!TestSshd::installed()) {
            GTEST_SKIP() << "no /usr/sbin/sshd";
        }
        before_ = spdlog::default_logger();
        auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(said_);
        spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", sink));
    }

    void TearDown() override {
        if (before_) {
            spdlog::set_default_logger(before_);
        }
    }

    static std::optional<TransportError> log_in(SshEndpoint endpoint, SshClient client) {
        endpoint.client = client;
        return log_in(*make_ssh_session(endpoint));
    }

    static std::optional<TransportError> log_in(SshSession& session) {
        try {
            const CommandResult result =
                session.run({.script = "exit 3"}, Deadline::after(20s), {});
            EXPECT_EQ(result.exit_status, 3);
        } catch (const TransportError& error) {
            return error;
        }
        return std::nullopt;
    }

    static std::string text(const std::optional<TransportError>& error) {
        return error ? std::string(error->what()) + " | " + error->hint() : "no error";
    }

    /// `automatic` gets in by OpenSSH and says so once; libssh2 alone says `cause` and the way out.
    void expect_openssh_does_it(SshEndpoint endpoint, Kind kind, const std::string& cause) {
        const auto by_libssh2 = log_in(endpoint, SshClient::libssh2);
        ASSERT_TRUE(by_libssh2);
        EXPECT_EQ(by_libssh2->kind(), kind) << text(by_libssh2);
        EXPECT_NE(text(by_libssh2).find(cause), std::string::npos) << text(by_libssh2);
        EXPECT_NE(by_libssh2->hint().find("ssh.client: auto"), std::string::npos);

        EXPECT_EQ(text(log_in(endpoint, SshClient::openssh)), "no error");
        EXPECT_EQ(said_.str(), "");
        EXPECT_EQ(text(log_in(endpoint, SshClient::automatic)), "no error");
        const std::string once = said_.str();
        EXPECT_NE(once.find(cause), std::string::npos) << once;
        endpoint.client = SshClient::automatic;
        const auto session = make_ssh_session(endpoint);
        EXPECT_EQ(session->client(), "");
        EXPECT_EQ(text(log_in(*session)), "no error");
        EXPECT_EQ(session->client(), "openssh");
        EXPECT_EQ(said_.str(), once) << "it is said once";
    }

    std::ostringstream said_;
    std::shared_ptr<spdlog::logger> before_;
};

TEST_F(SshClientLive, AnRsaKeyOfTheUser) {
    const TestSshd sshd;
    SshEndpoint endpoint = sshd.endpoint();
    endpoint.identity_files = {sshd.add_user_key("rsa", "-t rsa -b 2048 -N ''")};
    expect_openssh_does_it(endpoint, Kind::auth, "RSA key");
}

TEST_F(SshClientLive, AnRsaKeyOfTheHostAlone) {
    const TestSshd sshd("HostKey @DIR@host_rsa\n");
    SshEndpoint endpoint = sshd.endpoint();
    endpoint.known_hosts = {
        sshd.dir().write("rsa_known", sshd.known_name() + " " + sshd.host_key("rsa") + "\n")};
    expect_openssh_does_it(endpoint, Kind::connect, "no common host key type");
}

TEST_F(SshClientLive, AHostOfWhichOnlyTheRsaKeyIsKnown) {
    const TestSshd sshd("HostKey @DIR@host_rsa\nHostKey @DIR@host_ed25519\n");
    SshEndpoint endpoint = sshd.endpoint();
    endpoint.known_hosts = {
        sshd.dir().write("rsa_known", sshd.known_name() + " " + sshd.host_key("rsa") + "\n")};
    expect_openssh_does_it(endpoint, Kind::host_key, "a key of type ssh-rsa");
}

TEST_F(SshClientLive, AHostThatIsKnownByAnAuthority) {
    TestSshd sshd("HostCertificate @DIR@host_ed25519-cert.pub\n");
    sshd.stop();
    run_shell("cd " + sshd.dir().path("") +
              " && ssh-keygen -q -t ed25519 -N '' -f ca && ssh-keygen -q -s ca -I host -h -n "
              "127.0.0.1 host_ed25519.pub");
    sshd.start();
    SshEndpoint endpoint = sshd.endpoint();
    endpoint.known_hosts = {sshd.dir().write(
        "authority",
        "@cert-authority " + sshd.known_name() + " " + read_file(sshd.dir().path("ca.pub")))};
    expect_openssh_does_it(endpoint, Kind::host_key, "an authority");
}

TEST_F(SshClientLive, NothingButEtmMacs) {
    const TestSshd sshd("MACs hmac-sha2-256-etm@openssh.com\nCiphers aes256-ctr\n");
    expect_openssh_does_it(sshd.endpoint(), Kind::connect, "no common MAC");
}

TEST_F(SshClientLive, ACertificateOfTheUser) {
    const TestSshd sshd("TrustedUserCAKeys @DIR@ca.pub\n");
    const std::string dir = sshd.dir().path("");
    run_shell("cd " + dir +
              " && ssh-keygen -q -t ed25519 -N '' -f ca && ssh-keygen -q -t ed25519 -N "
              "'' -f signed && ssh-keygen -q -s ca -I user -n \"$(id -un)\" signed.pub");
    SshEndpoint endpoint = sshd.endpoint();
    endpoint.identity_files = {sshd.dir().path("signed")};
    expect_openssh_does_it(endpoint, Kind::auth, "its certificate is not shown");
}

TEST_F(SshClientLive, AJumpHost) {
    const TestSshd bastion;
    const TestSshd sshd;
    SshEndpoint endpoint = sshd.endpoint();
    const std::string known = sshd.dir().write(
        "both",
        read_file(bastion.dir().path("known_hosts")) + read_file(sshd.dir().path("known_hosts")));
    endpoint.known_hosts = {known};
    endpoint.config_file = sshd.dir().write(
        "ssh_config",
        "Host 127.0.0.1\n  ProxyJump bastion\nHost bastion\n  HostName 127.0.0.1\n  Port " +
            std::to_string(bastion.port()) + "\n  ProxyJump none\n  IdentityFile " +
            bastion.dir().path("user") + "\n  UserKnownHostsFile " + known + "\n");
    expect_openssh_does_it(endpoint, Kind::connect, "ProxyJump bastion");
    EXPECT_NE(bastion.log().find("Accepted publickey"), std::string::npos);
}

TEST_F(SshClientLive, AKeyThatNobodyKnowsIsNoReasonToTryTheOtherClient) {
    const TestSshd sshd;
    SshEndpoint endpoint = sshd.endpoint();
    run_shell("ssh-keygen -q -t ed25519 -N '' -f " + sshd.dir().path("nobodys"));
    endpoint.identity_files = {sshd.dir().path("nobodys")};
    const auto error = log_in(endpoint, SshClient::automatic);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::auth);
    EXPECT_EQ(text(error).find("ssh:"), std::string::npos) << text(error);
    EXPECT_EQ(said_.str(), "");
    const auto by_openssh = log_in(endpoint, SshClient::openssh);
    ASSERT_TRUE(by_openssh);
    EXPECT_EQ(by_openssh->kind(), Kind::auth) << text(by_openssh);
    EXPECT_NE(text(by_openssh).find("Permission denied (publickey)"), std::string::npos);
}

TEST_F(SshClientLive, BothSayWhenNeitherGetsIn) {
    const TestSshd sshd;
    SshEndpoint endpoint = sshd.endpoint();
    run_shell("ssh-keygen -q -t rsa -b 2048 -N '' -f " + sshd.dir().path("nobodys"));
    endpoint.identity_files = {sshd.dir().path("nobodys")};
    const auto error = log_in(endpoint, SshClient::automatic);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::auth);
    EXPECT_NE(text(error).find("Permission denied"), std::string::npos) << text(error);
    EXPECT_NE(text(error).find("before that, libssh2:"), std::string::npos) << text(error);
}

TEST_F(SshClientLive, OpensshSaysThatTheHostKeyIsAnotherOne) {
    const TestSshd sshd;
    SshEndpoint endpoint = sshd.endpoint();
    run_shell("ssh-keygen -q -t ed25519 -N '' -f " + sshd.dir().path("other"));
    const std::string other = read_file(sshd.dir().path("other.pub"));
    endpoint.known_hosts = {sshd.dir().write("changed", sshd.known_name() + " " + other)};
    const auto changed = log_in(endpoint, SshClient::openssh);
    ASSERT_TRUE(changed);
    EXPECT_EQ(changed->kind(), Kind::host_key) << text(changed);
    EXPECT_NE(changed->hint().find("ssh-keygen -R"), std::string::npos) << text(changed);

    endpoint.known_hosts = {sshd.dir().write("empty", "")};
    const auto unknown = log_in(endpoint, SshClient::openssh);
    ASSERT_TRUE(unknown);
    EXPECT_EQ(unknown->kind(), Kind::host_key) << text(unknown);
}

TEST_F(SshClientLive, OpensshOpensAnEncryptedFileWithThePassphrase) {
    const TestSshd sshd;
    SshEndpoint endpoint = sshd.endpoint();
    endpoint.identity_files = {sshd.add_user_key("locked", "-t rsa -b 2048 -N 'open sesame'")};
    const auto without = log_in(endpoint, SshClient::openssh);
    ASSERT_TRUE(without);
    EXPECT_EQ(without->kind(), Kind::auth) << text(without);
    endpoint.passphrase = Secret("wrong");
    const auto wrong = log_in(endpoint, SshClient::openssh);
    ASSERT_TRUE(wrong);
    EXPECT_EQ(wrong->kind(), Kind::auth) << text(wrong);
    endpoint.passphrase = Secret("open sesame");
    EXPECT_EQ(text(log_in(endpoint, SshClient::openssh)), "no error");
}

TEST_F(SshClientLive, WhatSshsConfigurationSaysOfAHostCounts) {
    const TestSshd sshd;
    SshEndpoint right = sshd.endpoint();
    SshEndpoint endpoint;
    endpoint.host = "orders-db";
    endpoint.use_agent = false;
    endpoint.config_file = sshd.dir().write(
        "ssh_config",
        "Host orders-db\n  HostName 127.0.0.1\n  Port " + std::to_string(sshd.port()) +
            "\n  User " + right.user + "\n  IdentityFile " + right.identity_files.front() +
            "\n  HostKeyAlias db1\n  UserKnownHostsFile " +
            sshd.dir().write("alias_known", "db1 " + sshd.host_key() + "\n") + "\n");
    EXPECT_EQ(text(log_in(endpoint, SshClient::libssh2)), "no error");
    EXPECT_EQ(text(log_in(endpoint, SshClient::openssh)), "no error");
}

}  // namespace
}  // namespace lockstep
