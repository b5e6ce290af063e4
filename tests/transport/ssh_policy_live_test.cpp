#include "base/account.hpp"
#include "base/error.hpp"
#include "test_sshd.hpp"
#include "transport/ssh_session.hpp"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

// ssh(1) and we read the same configuration: whom it lets in we let in, and nobody else.
namespace lockstep {
namespace {

using namespace std::chrono_literals;

struct Case {
    std::string name;
    std::string config;  ///< with @DIR@, @NAME@ and @KEY@
    std::string by;      ///< the client that gets in; empty: none does
    std::string identity = "@DIR@user";
};

void PrintTo(const Case& c, std::ostream* out) {
    *out << c.name;
}

const std::vector<Case> k_cases{
    {"Usual", "", "libssh2"},
    // What says less than both could do.
    {"RevokedHostKey", "RevokedHostKeys @DIR@host_ed25519.pub", ""},
    {"AnotherRevokedHostKey", "RevokedHostKeys @DIR@host_ecdsa.pub", "openssh"},
    {"HostKeysOfRsaOnly", "HostKeyAlgorithms rsa-sha2-512", ""},
    {"HostKeysOfAKindThatIsNotKnown", "HostKeyAlgorithms ecdsa-sha2-nistp256", ""},
    {"HostKeysOfTheKnownKind", "HostKeyAlgorithms ssh-ed25519", "libssh2"},
    {"NoPublicKeys", "PubkeyAuthentication no", ""},
    {"PasswordsOnly", "PreferredAuthentications password", ""},
    {"PublicKeysAmongOthers", "PreferredAuthentications password,publickey", "libssh2"},
    {"KeysOfRsaOnly", "PubkeyAcceptedAlgorithms rsa-sha2-512", ""},
    {"KeysOfEd25519Only", "PubkeyAcceptedAlgorithms ssh-ed25519", "openssh"},
    {"AKexOfBoth", "KexAlgorithms curve25519-sha256", "libssh2"},
    {"AKexOfOpenssh", "KexAlgorithms sntrup761x25519-sha512@openssh.com", "openssh"},
    {"ACipherOfBoth", "Ciphers aes128-ctr", "libssh2"},
    {"ACipherOfOpenssh", "Ciphers aes256-gcm@openssh.com", "openssh"},
    {"AMacOfBoth", "MACs hmac-sha2-512", "libssh2"},
    {"AMacOfOpenssh", "MACs hmac-sha2-256-etm@openssh.com", "openssh"},
    {"TheFamilyOfTheAddress", "AddressFamily inet", "openssh"},
    {"AnotherFamily", "AddressFamily inet6", ""},
    {"AnAddressOfOurs", "BindAddress 127.0.0.1", "openssh"},
    {"AnAddressOfNobody", "BindAddress 192.0.2.1", ""},
    // What says more.
    {"KnownWithoutThePort", "UserKnownHostsFile @DIR@plain", "libssh2"},
    {"KnownWithoutThePortAndHashed", "UserKnownHostsFile @DIR@hashed", "libssh2"},
    {"AnotherKeyWithoutThePort", "UserKnownHostsFile @DIR@plain_other", ""},
    {"AnotherKeyWithThePort", "UserKnownHostsFile @DIR@other_with_port", ""},
    {"RevokedWithoutThePort", "UserKnownHostsFile @DIR@plain_revoked", ""},
    {"AnAliasIsNoHost", "UserKnownHostsFile @DIR@plain\nHostKeyAlias db", ""},
    {"ABlankInAPath", "UserKnownHostsFile \"@DIR@my known hosts\" @DIR@missing", "libssh2"},
    {"ACommandThatKnows",
     "UserKnownHostsFile none\nKnownHostsCommand /bin/echo @NAME@ @KEY@",
     "openssh"},
    {"ACommandThatKnowsNothing", "UserKnownHostsFile none\nKnownHostsCommand /bin/true", ""},
    {"AnIdentityByTokens", "", "libssh2", "@DIR@%r_%h"},
    {"AnIdentityByAVariable", "", "libssh2", "${LOCKSTEP_TEST_DIR}user"},
    {"AnIdentityByATokenOfSshAlone", "", "openssh", "@DIR@%i.key"},
    {"NoIdentity", "", "", "none"},
    {"AnIdentityThatIsNotThere", "", "", "@DIR@missing"},
    {"AMatchThatTakesItsTime", "Match exec \"sleep 6\"", "libssh2"},
};

class SshPolicyLive : public testing::TestWithParam<Case> {
  protected:
    void SetUp() override {
        if (!TestSshd::installed()) {
            GTEST_SKIP() << "no /usr/sbin/sshd";
        }
    }

    /// The files that the cases name; gives the configuration.
    static std::string prepare(const TestSshd& sshd, const Case& c) {
        const TempDir& dir = sshd.dir();
        const std::string key = sshd.host_key();
        const std::string other =
            read_file(sshd.add_user_key("other", "-t ed25519 -N ''") + ".pub");
        dir.write("plain", "127.0.0.1 " + key + "\n");
        dir.write("hashed", "127.0.0.1 " + key + "\n");
        run_shell("ssh-keygen -q -H -f " + dir.path("hashed") + " >/dev/null 2>&1");
        dir.write("plain_other", "127.0.0.1 " + other);
        dir.write("other_with_port", sshd.known_name() + " " + other + "127.0.0.1 " + key + "\n");
        dir.write("plain_revoked", "@revoked 127.0.0.1 " + key + "\n127.0.0.1 " + key + "\n");
        dir.write("my known hosts", sshd.known_name() + " " + key + "\n");
        for (const std::string& name :
             {own_account().name + "_127.0.0.1", std::to_string(::getuid()) + ".key"}) {
            std::filesystem::copy_file(dir.path("user"), dir.path(name));
        }
        ::setenv("LOCKSTEP_TEST_DIR", dir.path("").c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
        std::string config = c.config + "\nIdentityFile " + c.identity +
                             "\nUserKnownHostsFile @DIR@known_hosts\n"
                             "GlobalKnownHostsFile /dev/null\nIdentityAgent none\n";
        for (const auto& [mark, text] : {std::pair<std::string, std::string>{"@DIR@", dir.path("")},
                                         {"@NAME@", sshd.known_name()},
                                         {"@KEY@", key}}) {
            for (std::size_t at = config.find(mark); at != std::string::npos;
                 at = config.find(mark)) {
                config.replace(at, mark.size(), text);
            }
        }
        return dir.write("ssh_config", config);
    }
};

TEST_P(SshPolicyLive, IsObeyedAsSshDoes) {
    const TestSshd sshd;  // one each: what takes ssh(1) is remembered by host and port
    const std::string config = prepare(sshd, GetParam());

    const std::string ask =
        "ssh -F " + config + " -o BatchMode=yes -o StrictHostKeyChecking=yes -p " +
        std::to_string(sshd.port()) + " 127.0.0.1 'exit 3' </dev/null >/dev/null 2>&1";
    const int status = std::system(ask.c_str());  // NOLINT(concurrency-mt-unsafe,cert-env33-c)
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_EQ(WEXITSTATUS(status), GetParam().by.empty() ? 255 : 3) << "ssh(1) itself";

    SshEndpoint endpoint;
    endpoint.host = "127.0.0.1";
    endpoint.port = static_cast<std::uint16_t>(sshd.port());
    endpoint.config_file = config;
    const auto session = make_ssh_session(endpoint);
    std::string said = "logged in";
    try {
        const CommandResult result = session->run({.script = "exit 3"}, Deadline::after(40s), {});
        EXPECT_EQ(result.exit_status, 3);
    } catch (const TransportError& error) {
        EXPECT_TRUE(error.nothing_sent()) << error.what();
        said = std::string(error.what()) + " | " + error.hint();
    }
    EXPECT_EQ(said == "logged in", !GetParam().by.empty()) << said;
    if (!GetParam().by.empty()) {
        EXPECT_EQ(session->client(), GetParam().by);
    }
}

INSTANTIATE_TEST_SUITE_P(Configurations,
                         SshPolicyLive,
                         testing::ValuesIn(k_cases),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace lockstep
