#include "steps/observation/guarded_http_client.hpp"

#include "base/error.hpp"
#include "tests/fakes/fake_http.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Kind = TransportError::Kind;

struct Guarded {
    Cluster cluster;
    FakeHttp http;

    Guarded() {
        cluster.patroni.endpoints = {"https://n1:8008"};
        cluster.patroni.username = "admin";
        cluster.patroni.password = SecretRef{SecretRef::Env{"X"}, {}};
    }

    HttpResponse send(const std::string& method, const std::string& url) {
        return make_guarded_http_client(http.factory()({}), cluster, "")
            ->send({.method = method, .url = url}, Deadline::after(1s), {});
    }

    /// Whether each request that went out was without credentials.
    std::vector<bool> anonymous() {
        std::vector<bool> all;
        for (const HttpRequest& request : http.seen()) {
            all.push_back(request.anonymous);
        }
        return all;
    }

    Kind refusal(const std::string& method, const std::string& url) {
        try {
            send(method, url);
        } catch (const TransportError& error) {
            EXPECT_TRUE(error.nothing_sent());
            EXPECT_FALSE(error.hint().empty());
            return error.kind();
        }
        ADD_FAILURE() << method << " " << url << " was sent";
        return Kind::protocol;
    }
};

using All = std::vector<bool>;

TEST(GuardedHttpClient, ReadsWithoutCredentials) {
    Guarded test;
    test.http.answer("GET https://n1:8008/patroni", "{}");
    EXPECT_EQ(test.send("GET", "https://n1:8008/patroni").status, 200);
    EXPECT_EQ(test.anonymous(), All{true});
}

TEST(GuardedHttpClient, GivesThemWhereTheyAreAskedFor) {
    Guarded test;
    test.http.compute("GET https://n1:8008/patroni", [](const HttpRequest& request) {
        return HttpResponse{request.anonymous ? 401 : 200, "{}", ""};
    });
    EXPECT_EQ(test.send("GET", "https://n1:8008/patroni").status, 200);
    EXPECT_EQ(test.anonymous(), (All{true, false}));
}

TEST(GuardedHttpClient, GivesThemToNobodyElseWhoAsks) {
    Guarded test;
    test.http.answer("GET https://n9:8008/patroni", "{}", 401);
    EXPECT_EQ(test.send("GET", "https://n9:8008/patroni").status, 401);
    EXPECT_EQ(test.anonymous(), All{true});
    for (const char* method : {"PATCH", "POST", "PUT", "DELETE"}) {
        EXPECT_EQ(test.refusal(method, "https://n9:8008/config"), Kind::auth);
    }
    EXPECT_EQ(test.http.seen().size(), 1U);
}

TEST(GuardedHttpClient, ChangesWithCredentialsAtOnce) {
    Guarded test;
    test.http.answer("PATCH https://n1:8008/config", "{}", 400);
    EXPECT_EQ(test.send("PATCH", "https://n1:8008/config").status, 400);
    EXPECT_EQ(test.anonymous(), All{false});
}

// Who has no credentials has none to lose: Patroni says what it thinks of it.
TEST(GuardedHttpClient, ChangesWithoutWhereThereAreNone) {
    Guarded test;
    test.cluster.patroni.username.clear();
    test.http.answer("PATCH https://n9:8008/config", "{}", 401);
    EXPECT_EQ(test.send("PATCH", "https://n9:8008/config").status, 401);
}

TEST(GuardedHttpClient, SendsNothingToWhoSpeaksWorseThanTheEndpoints) {
    Guarded test;
    for (const char* method : {"GET", "HEAD", "PATCH"}) {
        EXPECT_EQ(test.refusal(method, "http://n1:8008/patroni"), Kind::host_key);
        EXPECT_EQ(test.refusal(method, "http://127.0.0.1:9902/patroni"), Kind::host_key);
    }
    EXPECT_TRUE(test.http.seen().empty());
}

}  // namespace
}  // namespace lockstep
