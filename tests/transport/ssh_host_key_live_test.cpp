#include "base/error.hpp"
#include "transport/ssh_session.hpp"
#include "with_sshd.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Kind = TransportError::Kind;

class SshHostKeyLive : public WithSshd<testing::Test> {
  protected:
    /// Logs in with this known_hosts; the error, where there is one.
    static std::optional<TransportError> log_in(const std::string& known_hosts) {
        SshEndpoint endpoint = sshd_->endpoint();
        endpoint.known_hosts = {sshd_->dir().write("other_known_hosts", known_hosts)};
        try {
            make_ssh_session(endpoint)->run({.script = "true"}, Deadline::after(10s), {});
        } catch (const TransportError& error) {
            return error;
        }
        return std::nullopt;
    }
};

TEST_F(SshHostKeyLive, AcceptsEitherOfTheServersKeys) {
    EXPECT_FALSE(log_in(sshd_->known_name() + " " + sshd_->host_key("ed25519") + "\n"));
    EXPECT_FALSE(log_in(sshd_->known_name() + " " + sshd_->host_key("ecdsa") + "\n"));
}

TEST_F(SshHostKeyLive, AcceptsAHashedName) {
    const std::string path =
        sshd_->dir().write("hashed", sshd_->known_name() + " " + sshd_->host_key() + "\n");
    run_shell("ssh-keygen -q -H -f " + path + " >/dev/null 2>&1");
    const std::string hashed = read_file(path);
    ASSERT_TRUE(hashed.starts_with("|1|")) << hashed;
    EXPECT_FALSE(log_in(hashed));
}

TEST_F(SshHostKeyLive, RefusesAnUnknownHostAndSaysHowToAddIt) {
    const auto error = log_in("other.example " + sshd_->host_key() + "\n");
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::host_key);
    EXPECT_NE(std::string(error->what()).find("SHA256:"), std::string::npos);
    EXPECT_NE(error->hint().find("ssh-keyscan -p " + std::to_string(sshd_->port()) +
                                 " -t ed25519 127.0.0.1 >> "),
              std::string::npos)
        << error->hint();
}

TEST_F(SshHostKeyLive, RefusesAChangedKeyAndShowsBoth) {
    run_shell("rm -f " + sshd_->dir().path("stranger*") + "; ssh-keygen -q -t ed25519 -N '' -f " +
              sshd_->dir().path("stranger"));
    const std::string stranger = read_file(sshd_->dir().path("stranger.pub"));
    const auto error = log_in(sshd_->known_name() + " " + stranger);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::host_key);
    const std::string message = error->what();
    EXPECT_NE(message.find("changed"), std::string::npos) << message;
    EXPECT_NE(message.find("SHA256:"), message.rfind("SHA256:")) << message;
}

TEST_F(SshHostKeyLive, RefusesARevokedKeyThatIsAlsoKnown) {
    const std::string line = sshd_->known_name() + " " + sshd_->host_key() + "\n";
    const auto error = log_in(line + "@revoked * " + sshd_->host_key() + "\n");
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::host_key);
    EXPECT_NE(std::string(error->what()).find("revoked"), std::string::npos);
}

TEST_F(SshHostKeyLive, DoesNotTakeALineForAnotherPort) {
    const auto error = log_in("[127.0.0.1]:1 " + sshd_->host_key() + "\n");
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::host_key);
    EXPECT_FALSE(log_in("127.0.0.1 " + sshd_->host_key() + "\n")) << "of every port, as for ssh";
}

TEST_F(SshHostKeyLive, LogsNobodyInBeforeTheHostIsKnown) {
    const std::string before = sshd_->log();
    EXPECT_TRUE(log_in(""));
    const std::string after = sshd_->log().substr(before.size());
    EXPECT_EQ(after.find("publickey"), std::string::npos) << after;
}

TEST(SshServerWithOldKeysLive, ExplainsWhatIsNotInCommon) {
    if (!TestSshd::installed()) {
        GTEST_SKIP() << "no /usr/sbin/sshd";
    }
    const TestSshd sshd("MACs hmac-sha2-256-etm@openssh.com\n");
    try {
        make_ssh_session(sshd.endpoint())->run({.script = "true"}, Deadline::after(10s), {});
        ADD_FAILURE();
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), Kind::connect);
        EXPECT_NE(std::string(error.what())
                      .find("no common MAC: the server offers hmac-sha2-256-etm@openssh.com"),
                  std::string::npos)
            << error.what();
    }
}

}  // namespace
}  // namespace lockstep
