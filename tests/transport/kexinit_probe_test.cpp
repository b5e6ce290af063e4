#include "transport/kexinit_probe.hpp"

#include "transport/encoding.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

std::string kexinit() {
    std::string payload(1, '\x14');
    payload += std::string(16, 'c');
    for (const char* names : {"kex", "host", "to-server", "to-client", "mac-in", "mac-out"}) {
        put_string(payload, names);
    }
    return payload;
}

TEST(Kexinit, TakesTheDirectionFromTheServer) {
    const auto offer = parse_kexinit(kexinit());
    ASSERT_TRUE(offer);
    EXPECT_EQ(offer->key_exchanges, "kex");
    EXPECT_EQ(offer->host_keys, "host");
    EXPECT_EQ(offer->ciphers, "to-client");
    EXPECT_EQ(offer->macs, "mac-out");
}

TEST(Kexinit, IsNothingWhenItIsCutShortOrSomethingElse) {
    const std::string whole = kexinit();
    for (std::size_t length = 0; length < whole.size(); ++length) {
        EXPECT_FALSE(parse_kexinit(whole.substr(0, length))) << length;
    }
    EXPECT_FALSE(parse_kexinit("\x15" + whole.substr(1)));
}

TEST(Kexinit, ExplainsOnlyWhatHasNothingInCommon) {
    SshOffer server = accepted_algorithms();
    EXPECT_EQ(explain_mismatch(server, accepted_algorithms()), "");
    server.macs = "umac-64@openssh.com,hmac-sha2-256-etm@openssh.com";
    EXPECT_EQ(explain_mismatch(server, accepted_algorithms()),
              "no common MAC: the server offers umac-64@openssh.com,hmac-sha2-256-etm@openssh.com, "
              "we accept hmac-sha2-256,hmac-sha2-512");
    server.host_keys = "rsa-sha2-512,rsa-sha2-256";
    EXPECT_NE(explain_mismatch(server, accepted_algorithms()).find("no common host key type"),
              std::string::npos);
}

}  // namespace
}  // namespace lockstep
