#include "base/url.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(UrlHost, IsTheHostThatIsConnectedTo) {
    EXPECT_EQ(url_host("http://10.0.0.11:8008/patroni"), "10.0.0.11");
    EXPECT_EQ(url_host("https://[fd00::1]:8008"), "fd00::1");
    EXPECT_EQ(url_host("n1:8008"), "n1");
    EXPECT_EQ(url_port("http://10.0.0.11:8008/patroni"), "8008");
    EXPECT_EQ(url_port("http://n1/"), "");
}

// By curl the host of each is `evil`, whatever stands around it.
TEST(UrlHost, IsNotTheNameOfAUser) {
    for (const char* url : {"http://good@evil/",
                            "http://good:8008@evil:9902/patroni",
                            "http://good:1@good@evil",
                            "http://evil?@good/",
                            "http://evil#@good/",
                            "http://evil/@good"}) {
        EXPECT_EQ(url_host(url), "evil") << url;
    }
    EXPECT_EQ(url_port("http://good:8008@evil:9902/patroni"), "9902");
}

}  // namespace
}  // namespace lockstep
