#include "transport/known_hosts.hpp"

#include "base/digest.hpp"
#include "transport/encoding.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

// A real key, its fingerprint by ssh-keygen -l, and its name hashed by ssh-keygen -H (OpenSSH 9.2).
constexpr const char* k_key =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH8qqlOZi2v0vk+n1Nixwy+pSkY4HwlBEu9xzt9Yzmow";
constexpr const char* k_fingerprint = "SHA256:2xrvLo1DU/keD/U/Wa72TWl3m4QonzKUkEDfFPQjMoQ";
constexpr const char* k_hashed = "|1|gC/SchUxpnGLXAW/AEsRQ87hoo4=|mnkwtMkewmprbwW3qaMqCOJicWk=";

std::string line(const std::string& hosts) {
    return hosts + " " + k_key + " a comment\n";
}

std::size_t count(const std::string& text, const char* host, std::uint16_t port = 22) {
    return find_known_keys(text, known_hosts_name(host, port)).size();
}

TEST(KnownHosts, FindsAPlainName) {
    const auto keys = find_known_keys("# comment\n\n" + line("a,db1.example,b"), "db1.example");
    ASSERT_EQ(keys.size(), 1U);
    EXPECT_EQ(keys[0].type, "ssh-ed25519");
    EXPECT_EQ(keys[0].line, 3);
    EXPECT_FALSE(keys[0].revoked);
    EXPECT_EQ(count(line("db1"), "db1.example"), 0U);
    EXPECT_EQ(count(line("db1.example"), "DB1.Example"), 1U);
}

TEST(KnownHosts, TellsPortsApart) {
    EXPECT_EQ(count(line("[db1]:2222"), "db1", 2222), 1U);
    EXPECT_EQ(count(line("[db1]:2222"), "db1"), 0U);
    EXPECT_EQ(count(line("db1"), "db1", 2222), 0U);
}

TEST(KnownHosts, FindsAHashedName) {
    EXPECT_EQ(count(line(k_hashed), "db1.example", 2222), 1U);
    EXPECT_EQ(count(line(k_hashed), "db2.example", 2222), 0U);
    EXPECT_EQ(count(line("|1|nonsense"), "db1.example", 2222), 0U);
}

TEST(KnownHosts, UnderstandsPatternsAndNegations) {
    EXPECT_EQ(count(line("*.example"), "db1.example"), 1U);
    EXPECT_EQ(count(line("db?.example"), "db1.example"), 1U);
    EXPECT_EQ(count(line("*.example,!db1.example"), "db1.example"), 0U);
    EXPECT_EQ(count(line("*.example,!db1.example"), "db2.example"), 1U);
    EXPECT_EQ(count(line("!db1.example"), "db2.example"), 0U);
    EXPECT_EQ(count(line("10.0.*"), "10.0.3.4"), 1U);
}

TEST(KnownHosts, DoesNotTakeTheKeyOfAnAuthorityForThatOfTheHost) {
    const auto keys = find_known_keys("@cert-authority " + line("*"), "db1");
    ASSERT_EQ(keys.size(), 1U);
    EXPECT_TRUE(keys.front().authority);
    EXPECT_EQ(judge_host_key(keys, keys.front().blob), HostKeyVerdict::unknown);
}

TEST(KnownHosts, SkipsNonsense) {
    EXPECT_EQ(count("db1 ssh-ed25519\ndb1 ssh-ed25519 !!!!\ndb1 ssh-rsa " +
                        std::string(k_key).substr(12) + "\ndb1",
                    "db1"),
              0U);
}

TEST(KnownHosts, MarksRevokedKeys) {
    const auto keys = find_known_keys("@revoked " + line("*"), "db1");
    ASSERT_EQ(keys.size(), 1U);
    EXPECT_TRUE(keys[0].revoked);
}

TEST(KnownHosts, ReadsALineWithoutAnEnd) {
    EXPECT_EQ(count("db1 " + std::string(k_key), "db1"), 1U);
    EXPECT_EQ(count("db1 " + std::string(k_key) + "\r\n", "db1"), 1U);
}

std::string blob(const std::string& type, const std::string& key) {
    std::string bytes;
    put_string(bytes, type);
    put_string(bytes, key);
    return bytes;
}

TEST(HostKey, IsKnownOnlyByTheVerySameKey) {
    const std::string mine = blob("ssh-ed25519", "mine");
    const std::vector<KnownKey> known{{"ssh-ed25519", mine, false, 1}};
    EXPECT_EQ(judge_host_key(known, mine), HostKeyVerdict::known);
    EXPECT_EQ(judge_host_key(known, blob("ssh-ed25519", "other")), HostKeyVerdict::changed);
    EXPECT_EQ(judge_host_key(known, blob("ecdsa-sha2-nistp256", "other")), HostKeyVerdict::unknown);
    EXPECT_EQ(judge_host_key({}, mine), HostKeyVerdict::unknown);
    EXPECT_EQ(judge_host_key(known, ""), HostKeyVerdict::unknown);
}

TEST(HostKey, MayBeOneOfSeveral) {
    const std::string mine = blob("ssh-ed25519", "mine");
    const KnownKey old{"ssh-ed25519", blob("ssh-ed25519", "old"), false, 1};
    const KnownKey current{"ssh-ed25519", mine, false, 2};
    EXPECT_EQ(judge_host_key({old, current}, mine), HostKeyVerdict::known);
    EXPECT_EQ(judge_host_key({current, old}, mine), HostKeyVerdict::known);
}

TEST(HostKey, IsRevokedWhateverElseIsSaid) {
    const std::string mine = blob("ssh-ed25519", "mine");
    const KnownKey known{"ssh-ed25519", mine, false, 1};
    const KnownKey revoked{"ssh-ed25519", mine, true, 2};
    EXPECT_EQ(judge_host_key({known, revoked}, mine), HostKeyVerdict::revoked);
    EXPECT_EQ(judge_host_key({revoked, known}, mine), HostKeyVerdict::revoked);
    EXPECT_EQ(judge_host_key({revoked}, blob("ssh-ed25519", "new")), HostKeyVerdict::unknown);
}

TEST(HostKey, ThatStandsWithoutThePortCountsWhereNoOtherDoes) {
    const std::string mine = blob("ssh-ed25519", "mine");
    KnownKey plain{"ssh-ed25519", mine, false, 1};
    plain.without_port = true;
    KnownKey other = plain;
    other.blob = blob("ssh-ed25519", "other");
    KnownKey with_port{"ssh-ed25519", other.blob, false, 2};
    EXPECT_EQ(judge_host_key({plain}, mine), HostKeyVerdict::known);
    EXPECT_EQ(judge_host_key({other}, mine), HostKeyVerdict::unknown);
    EXPECT_EQ(judge_host_key({other, plain}, mine), HostKeyVerdict::known);
    EXPECT_EQ(judge_host_key({plain, with_port}, mine), HostKeyVerdict::changed);
    plain.revoked = true;
    EXPECT_EQ(judge_host_key({plain}, mine), HostKeyVerdict::revoked);
}

TEST(HostKey, HasTheFingerprintOfSshKeygen) {
    const auto keys = find_known_keys(line("db1"), "db1");
    ASSERT_EQ(keys.size(), 1U);
    EXPECT_EQ(key_fingerprint(keys[0].blob), k_fingerprint);
}

TEST(Encoding, AgreesWithPublishedVectors) {
    // RFC 4648, section 10
    EXPECT_EQ(base64_encode("fooba"), "Zm9vYmE=");
    EXPECT_EQ(base64_decode("Zm9vYg=="), "foob");
    EXPECT_EQ(base64_decode("Zm9vYmFy"), "foobar");
    EXPECT_FALSE(base64_decode("Zm9"));
    EXPECT_FALSE(base64_decode("Zm!v"));
    // RFC 2202, test case 2
    EXPECT_EQ(base64_encode(hmac_sha1("Jefe", "what do ya want for nothing?")),
              "7/zfauXrL6LSdBbV8YTfnCWafHk=");
}

TEST(WireReader, NeverReadsPastTheEnd) {
    WireReader reader(std::string_view("\0\0\0\5abc", 7));
    EXPECT_EQ(reader.string(), "");
    EXPECT_FALSE(reader.good());
    EXPECT_EQ(reader.uint32(), 0U);
}

}  // namespace
}  // namespace lockstep
