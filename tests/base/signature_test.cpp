#include "base/signature.hpp"

#include "base/account.hpp"
#include "base/error.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

/// RFC 8032, 7.1, test 2: one byte.
TEST(Signature, IsThatOfTheStandard) {
    const Secret key("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    const std::string name = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const std::string signature =
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0"
        "f11d8c387b2eaeb4302aeeb00d291612bb0c00";
    EXPECT_EQ(public_key_of(key), name);
    EXPECT_EQ(sign(key, "\x72"), signature);
    EXPECT_TRUE(is_signed_by(name, "\x72", signature));
}

TEST(Signature, IsOfOneTextByOneKey) {
    const Secret key = make_signing_key();
    const std::string signature = sign(key, "text");
    EXPECT_TRUE(is_signed_by(public_key_of(key), "text", signature));
    EXPECT_FALSE(is_signed_by(public_key_of(key), "test", signature));
    EXPECT_FALSE(is_signed_by(public_key_of(make_signing_key()), "text", signature));
    std::string other = signature;
    other.front() = other.front() == '0' ? '1' : '0';
    EXPECT_FALSE(is_signed_by(public_key_of(key), "text", other));
    for (const char* none : {"", "00", "no key"}) {
        EXPECT_FALSE(is_signed_by(none, "text", signature));
        EXPECT_FALSE(is_signed_by(public_key_of(key), "text", none));
        EXPECT_THROW((void)sign(Secret(none), "text"), Error);
    }
}

TEST(UidMap, IsTheFirstOneOnlyWhereEverybodyIsThemselves) {
    EXPECT_TRUE(is_first_uid_map("         0          0 4294967295\n"));
    for (const char* map : {"",
                            "0 1000 1",
                            "1001 1000 1",
                            "0 100000 65536",
                            "0 0 65536",
                            "0 0 1\n1 1 4294967294",
                            "0 0 4294967295\n1000 1000 1"}) {
        EXPECT_FALSE(is_first_uid_map(map)) << map;
    }
}

}  // namespace
}  // namespace lockstep
