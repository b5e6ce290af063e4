#include "inventory/rest_policy.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

Cluster cluster_of(std::vector<std::string> endpoints) {
    Cluster cluster;
    cluster.patroni.endpoints = std::move(endpoints);
    cluster.patroni.username = "admin";
    cluster.patroni.password = SecretRef{SecretRef::Env{"X"}, {}};
    return cluster;
}

TEST(IsDowngrade, WhereAnEndpointSpeaksHttps) {
    PatroniSettings patroni = cluster_of({"https://n1:8008", "https://10.0.0.12:8008"}).patroni;
    EXPECT_FALSE(is_downgrade(patroni, "https://n3:8008"));
    EXPECT_FALSE(is_downgrade(patroni, "HTTPS://n3:8008"));
    for (const char* url :
         {"http://n1:8008", "http://127.0.0.1:9902", "HTTP://n3:8008", "n3:8008", "ftp://n3"}) {
        EXPECT_TRUE(is_downgrade(patroni, url)) << url;
    }
    EXPECT_FALSE(is_downgrade(patroni, ""));  // nobody lists the member
    // Somebody wrote down that this one has no TLS.
    patroni.endpoints.emplace_back("http://n3:8008");
    EXPECT_FALSE(is_downgrade(patroni, "http://N3:8008"));
    EXPECT_TRUE(is_downgrade(patroni, "http://n4:8008"));
    EXPECT_TRUE(is_downgrade(patroni, "http://n3:8008@n4:8008"));
    EXPECT_FALSE(is_downgrade(cluster_of({"http://n1:8008"}).patroni, "http://n2:8008"));
}

TEST(Credentials, GoToTheHostsThatTheInventoryNames) {
    Cluster cluster = cluster_of({"http://n1:8008", "http://[fd00::2]:8008"});
    MemberSettings member;
    member.name = "n3";
    member.ssh.host = "10.0.0.13";
    cluster.members = {member};
    for (const char* url : {"http://n1:8008",
                            "http://n1:9999/config",
                            "http://[fd00::2]:8008",
                            "http://n3:8008",
                            "http://10.0.0.13:8008"}) {
        EXPECT_TRUE(may_have_credentials(cluster, url, "")) << url;
    }
    for (const char* url : {"http://n4:8008",
                            "http://127.0.0.1:9902",
                            "https://n4:8008",
                            "http://n1@n4:8008",
                            "http://n1:8008@n4/",
                            "",
                            "http:///x"}) {
        EXPECT_FALSE(may_have_credentials(cluster, url, "")) << url;
    }
}

TEST(Credentials, GoToWhomTheInventorysAuthorityVouchesFor) {
    Cluster cluster = cluster_of({"https://n1:8008"});
    EXPECT_FALSE(may_have_credentials(cluster, "https://n2:8008", ""));  // by anybody's
    cluster.patroni.ca_file = "/etc/ca.pem";
    EXPECT_TRUE(may_have_credentials(cluster, "https://n2:8008", ""));
    EXPECT_FALSE(may_have_credentials(cluster, "http://n2:8008", ""));
    EXPECT_FALSE(may_have_credentials(cluster, "http://n1:8008", ""));
    cluster.patroni.insecure_skip_verify = true;
    EXPECT_FALSE(may_have_credentials(cluster, "https://n2:8008", ""));
}

// By the member's own curl the password goes to the host that has shown its SSH key.
TEST(Credentials, StayOnTheHostWhoseCurlAsks) {
    Cluster cluster = cluster_of({"http://n1:8008"});
    EXPECT_FALSE(may_have_credentials(cluster, "http://127.0.0.1:8008", "10.0.0.12"));
    cluster.patroni.via = PatroniSettings::Via::ssh;
    EXPECT_TRUE(may_have_credentials(cluster, "http://127.0.0.1:8008", "10.0.0.12"));
    EXPECT_TRUE(may_have_credentials(cluster, "http://10.0.0.12:8008", "10.0.0.12"));
    EXPECT_FALSE(may_have_credentials(cluster, "http://10.0.0.13:8008", "10.0.0.12"));
}

TEST(PasswordInClear, IsOneThatGoesOverTheNetworkByHttp) {
    Cluster cluster = cluster_of({"https://n1:8008", "http://n2:8008"});
    EXPECT_TRUE(sends_password_in_clear(cluster.patroni));
    cluster.patroni.via = PatroniSettings::Via::ssh;
    EXPECT_FALSE(sends_password_in_clear(cluster.patroni));
    cluster = cluster_of({"https://n1:8008", "http://127.0.0.1:8008"});
    EXPECT_FALSE(sends_password_in_clear(cluster.patroni));
    cluster = cluster_of({"http://n1:8008"});
    cluster.patroni.password.reset();
    EXPECT_FALSE(sends_password_in_clear(cluster.patroni));
}

}  // namespace
}  // namespace lockstep
