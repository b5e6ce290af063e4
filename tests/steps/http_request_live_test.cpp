#include "tests/fakes/fake_cluster.hpp"
#include "tests/transport/test_http_server.hpp"

#include <gtest/gtest.h>

#include <string>

namespace lockstep {
namespace {

StepResult result_of(const std::string& body) {
    TestHttpServer server(TestHttpServer::always("HTTP/1.0 200 OK\r\n\r\n" + body));
    FakeCluster world;
    return world.run(step_call("http.request", "", {{"url", Value(server.url("/"))}}),
                     ClusterFacts{});
}

TEST(HttpRequestLive, GivesTheJsonOfAnAnswer) {
    const StepResult result = result_of(R"({"a": [1, {"b": null}]})");
    EXPECT_EQ(result.outcome, StepOutcome::succeeded);
    EXPECT_EQ(result.output.at("json").dump(), R"({"a":[1,{"b":null}]})");
    EXPECT_EQ(result.message, "HTTP status 200");
}

TEST(HttpRequestLive, GivesNoneThatNestsTooDeeply) {
    const StepResult result = result_of(std::string(100'000, '[') + std::string(100'000, ']'));
    EXPECT_TRUE(result.output.at("json").is_null());
    EXPECT_EQ(result.message, "HTTP status 200; its body nests deeper than 64 levels");
    const StepResult copy = result;
    EXPECT_EQ(copy.output, result.output);
    EXPECT_EQ(result_of("hello").message, "HTTP status 200");
}

}  // namespace
}  // namespace lockstep
