#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "transport/ssh_session.hpp"
#include "with_sshd.hpp"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Kind = TransportError::Kind;

/// Sets a variable of the environment while it lives.
class ScopedEnv {
  public:
    ScopedEnv(const char* name, const std::string& value) : name_(name) {
        ::setenv(name, value.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): one thread
    }

    ~ScopedEnv() { ::unsetenv(name_); }  // NOLINT(concurrency-mt-unsafe)

    ScopedEnv(const ScopedEnv&) = delete;
    ScopedEnv& operator=(const ScopedEnv&) = delete;

  private:
    const char* name_;
};

class SshLoginLive : public WithSshd<testing::Test> {
  protected:
    /// Logs in; the error, where there is one.
    static std::optional<TransportError> log_in(const SshEndpoint& endpoint,
                                                std::chrono::milliseconds timeout = 10s) {
        try {
            make_ssh_session(endpoint)->run({.script = "true"}, Deadline::after(timeout), {});
        } catch (const TransportError& error) {
            return error;
        }
        return std::nullopt;
    }
};

TEST_F(SshLoginLive, TakesTheSecondFileWhenTheFirstIsRefused) {
    SshEndpoint endpoint = sshd_->endpoint();
    run_shell("ssh-keygen -q -t ed25519 -N '' -f " + sshd_->dir().path("unknown"));
    endpoint.identity_files = {sshd_->dir().path("unknown"), sshd_->dir().path("user")};
    EXPECT_FALSE(log_in(endpoint));
}

TEST_F(SshLoginLive, NeedsNoPublicKeyFile) {
    SshEndpoint endpoint = sshd_->endpoint();
    endpoint.identity_files = {sshd_->add_user_key("lonely", "-t ecdsa -N ''")};
    run_shell("rm " + endpoint.identity_files.front() + ".pub");
    EXPECT_FALSE(log_in(endpoint));
}

TEST_F(SshLoginLive, OpensAnEncryptedFileWithThePassphrase) {
    SshEndpoint endpoint = sshd_->endpoint();
    endpoint.identity_files = {sshd_->add_user_key("locked", "-t ed25519 -N 'open sesame'")};
    const auto without = log_in(endpoint);
    ASSERT_TRUE(without);
    EXPECT_EQ(without->kind(), Kind::auth);
    EXPECT_NE(std::string(without->what()).find("there is no passphrase"), std::string::npos);

    endpoint.passphrase = Secret("open sesame");
    EXPECT_FALSE(log_in(endpoint));

    endpoint.passphrase = Secret("wrong");
    const auto wrong = log_in(endpoint);
    ASSERT_TRUE(wrong);
    EXPECT_EQ(wrong->kind(), Kind::auth);
    EXPECT_EQ(std::string(wrong->what()).find("wrong"), std::string::npos) << wrong->what();
}

TEST_F(SshLoginLive, SaysWhyAnRsaKeyDoesNotWork) {
    SshEndpoint endpoint = sshd_->endpoint();
    endpoint.identity_files = {sshd_->add_user_key("rsa", "-t rsa -b 2048 -N ''")};
    const auto error = log_in(endpoint);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::auth);
    EXPECT_NE(std::string(error->what()).find("RSA key"), std::string::npos) << error->what();
    EXPECT_NE(error->hint().find("Ed25519"), std::string::npos) << error->hint();
}

TEST_F(SshLoginLive, ListsWhatWasTriedAndWhatTheServerAccepts) {
    SshEndpoint endpoint = sshd_->endpoint();
    run_shell("rm -f " + sshd_->dir().path("nobodys*") + "; ssh-keygen -q -t ed25519 -N '' -f " +
              sshd_->dir().path("nobodys"));
    endpoint.identity_files = {
        "/nonexistent", sshd_->dir().path("nobodys"), sshd_->dir().path("known_hosts")};
    const auto error = log_in(endpoint);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::auth);
    const std::string message = error->what();
    EXPECT_NE(message.find("/nonexistent: cannot be read: No such file"), std::string::npos);
    EXPECT_NE(message.find("nobodys: refused"), std::string::npos) << message;
    EXPECT_NE(message.find("known_hosts: is not a private key"), std::string::npos) << message;
    EXPECT_NE(message.find("the server accepts: publickey"), std::string::npos) << message;
}

TEST_F(SshLoginLive, AsksTheAgent) {
    SshEndpoint endpoint = sshd_->endpoint();
    endpoint.identity_files.clear();
    endpoint.use_agent = true;
    const std::string socket = sshd_->dir().path("agent");
    const std::string ecdsa = sshd_->add_user_key("in_agent", "-t ecdsa -N ''");
    run_shell("ssh-agent -a " + socket + " > " + sshd_->dir().path("agent.sh"));
    run_shell("SSH_AUTH_SOCK=" + socket + " ssh-add -q " + ecdsa);
    {
        const ScopedEnv env("SSH_AUTH_SOCK", socket);
        EXPECT_FALSE(log_in(endpoint));
    }
    run_shell("SSH_AUTH_SOCK=" + socket + " ssh-add -q -D && SSH_AUTH_SOCK=" + socket +
              " ssh-add -q " + sshd_->dir().path("user"));
    {
        const ScopedEnv env("SSH_AUTH_SOCK", socket);
        EXPECT_FALSE(log_in(endpoint));
    }
    run_shell(". " + sshd_->dir().path("agent.sh") + " >/dev/null; ssh-agent -k >/dev/null");
}

TEST_F(SshLoginLive, DoesNotHangWithAnAgentThatNeverAnswers) {
    const std::string path = sshd_->dir().path("dead_agent");
    const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(::listen(listener.get(), 1), 0);
    const ScopedEnv env("SSH_AUTH_SOCK", path);
    SshEndpoint endpoint = sshd_->endpoint();
    endpoint.use_agent = true;
    const auto begin = std::chrono::steady_clock::now();
    const auto error = log_in(endpoint, 700ms);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::connect);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
}

TEST_F(SshLoginLive, SaysAuthWhenThereIsNoKeyAtAll) {
    SshEndpoint endpoint = sshd_->endpoint();
    endpoint.identity_files.clear();
    const auto error = log_in(endpoint);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::auth);
}

}  // namespace
}  // namespace lockstep
