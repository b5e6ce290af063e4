#include "base/host_name.hpp"

#include <gtest/gtest.h>

#include <string>

namespace lockstep {
namespace {

using namespace std::string_literals;

TEST(HostName, IsANameOrAnAddress) {
    for (const char* good : {"10.0.0.11",
                             "fd00::1",
                             "::ffff:10.0.0.11",
                             "n1",
                             "db-1.prod.example",
                             "db-1.prod.example.",
                             "pg_main-0.pg_main",
                             "3com.example",
                             "xn--mller-kva.example"}) {
        EXPECT_TRUE(is_host_name(good)) << good;
    }
}

TEST(HostName, IsNothingThatAProgramTakesForSomethingElse) {
    for (const std::string& bad : {""s,
                                   "-oProxyCommand=touch /tmp/x"s,
                                   "-n1"s,
                                   "n1.-x"s,
                                   "127.0.0.1;touch x"s,
                                   "$(id)"s,
                                   "`id`"s,
                                   "n1 n2"s,
                                   "n1\nn2"s,
                                   "n1\0n2"s,
                                   "root@n1"s,
                                   "n1/x"s,
                                   "n1:22"s,
                                   "[fd00::1]"s,
                                   "fd00::1%eth0"s,
                                   "%h"s,
                                   "2130706433"s,
                                   "127.1"s,
                                   "1.2.3.4.5"s,
                                   "a..b"s,
                                   ".a"s,
                                   "m\xC3\xBCller"s,
                                   std::string(64, 'a'),
                                   std::string(300, 'a')}) {
        EXPECT_FALSE(is_host_name(bad)) << bad;
    }
}

TEST(PlainBaseUrl, HasASchemeAHostAndAPort) {
    for (const char* good : {"http://10.0.0.11:8008",
                             "https://n1.example:8008",
                             "http://n1",
                             "https://[fd00::1]:8008",
                             "https://[fd00::1]"}) {
        EXPECT_TRUE(is_plain_base_url(good)) << good;
    }
    for (const char* bad : {"",
                            "file:///etc/passwd",
                            "n1:8008",
                            "http://",
                            "http://:8008",
                            "http://n1:",
                            "http://n1:80x",
                            "http://n1:123456",
                            "http://user@n1:8008",
                            "http://n1:8008?x",
                            "http://n1:8008/x",
                            "http://fd00::1:8008",
                            "https://[fd00::1",
                            "https://[n1]:8008",
                            "http://-x:8008"}) {
        EXPECT_FALSE(is_plain_base_url(bad)) << bad;
    }
}

}  // namespace
}  // namespace lockstep
