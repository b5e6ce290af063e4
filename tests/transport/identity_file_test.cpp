#include "transport/identity_file.hpp"

#include "temp_dir.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using State = IdentityFile::State;

TEST(IdentityFile, TellsTheTypeOfAnOpenSshKey) {
    const TempDir dir;
    for (const char* type : {"rsa", "ecdsa", "ed25519"}) {
        const std::string path = dir.path(type);
        run_shell("ssh-keygen -q -N '' -C x -t " + std::string(type) + " -f " + path);
        const IdentityFile file = inspect_identity_file(path);
        EXPECT_EQ(file.state, State::usable);
        EXPECT_FALSE(file.encrypted);
        EXPECT_NE(read_file(path + ".pub").find(file.type + " "), std::string::npos) << file.type;
    }
}

TEST(IdentityFile, KnowsWhetherItIsEncrypted) {
    const TempDir dir;
    run_shell("ssh-keygen -q -N secret -t ed25519 -f " + dir.path("new"));
    EXPECT_TRUE(inspect_identity_file(dir.path("new")).encrypted);
    EXPECT_TRUE(
        inspect_identity("-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n").encrypted);
    EXPECT_TRUE(inspect_identity("-----BEGIN ENCRYPTED PRIVATE KEY-----\n").encrypted);
    EXPECT_FALSE(inspect_identity("-----BEGIN PRIVATE KEY-----\n").encrypted);
}

TEST(IdentityFile, KnowsAnRsaKeyInPem) {
    EXPECT_EQ(inspect_identity("-----BEGIN RSA PRIVATE KEY-----\nMIIE").type, "ssh-rsa");
}

TEST(IdentityFile, KnowsWhatIsNoKey) {
    EXPECT_EQ(inspect_identity("").state, State::not_a_key);
    EXPECT_EQ(inspect_identity("ssh-ed25519 AAAA comment").state, State::not_a_key);
    EXPECT_EQ(inspect_identity("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA").state,
              State::not_a_key);
    EXPECT_EQ(inspect_identity("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"
                               "-----END OPENSSH PRIVATE KEY-----\n")
                  .state,
              State::not_a_key);
}

TEST(IdentityFile, SaysWhyItCannotBeRead) {
    const IdentityFile file = inspect_identity_file("/nonexistent");
    EXPECT_EQ(file.state, State::unreadable);
    EXPECT_EQ(file.reason, "No such file or directory");
    EXPECT_NE(inspect_identity_file("/").state, State::usable);
}

TEST(IdentityFile, NamesTheKeysThatCannotBeUsed) {
    EXPECT_NE(unusable_key_reason("ssh-rsa"), "");
    EXPECT_NE(unusable_key_reason("sk-ssh-ed25519@openssh.com"), "");
    EXPECT_NE(unusable_key_reason("ssh-ed25519-cert-v01@openssh.com"), "");
    EXPECT_EQ(unusable_key_reason("ssh-ed25519"), "");
    EXPECT_EQ(unusable_key_reason("ecdsa-sha2-nistp384"), "");
    EXPECT_EQ(unusable_key_reason("ecdsa-sha2-nistp256-cert-v01@openssh.com"), "");
    EXPECT_EQ(unusable_key_reason(""), "");
}

}  // namespace
}  // namespace lockstep
