#include "steps/notify/notifier.hpp"
#include "tests/transport/temp_dir.hpp"
#include "tests/transport/test_http_server.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <string>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using Lines = std::vector<std::string>;

Notification a_notification() {
    return {.event = "end",
            .run = "r1",
            .cluster = "orders",
            .runbook = "patroni-upgrade",
            .text = "done: größer",
            .details = {"in 4 min"},
            .more = nullptr};
}

Lines troubles_of(const NotifyTarget& target) {
    SystemClock clock;
    Notifier notifier({{"t", target}}, ConnectionFactory{}, clock);
    notifier.send("t", a_notification());
    notifier.finish(60s);
    return notifier.troubles();
}

TEST(NotifyLive, PostsToAWebhook) {
    TestHttpServer server(TestHttpServer::always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    EXPECT_EQ(
        troubles_of(WebhookTarget{
            .url = server.url("/T0/s3cret"), .headers = {{"X-Source", "lockstep"}}, .ca_file = {}}),
        Lines{});
    ASSERT_EQ(server.requests().size(), 1U);
    const std::string request = server.requests()[0];
    EXPECT_TRUE(request.starts_with("POST /T0/s3cret HTTP/1.1\r\n")) << request;
    EXPECT_NE(request.find("\r\nX-Source: lockstep\r\n"), std::string::npos) << request;
    EXPECT_NE(request.find("\r\nContent-Type: application/json\r\n"), std::string::npos) << request;
    const Json body = Json::parse(request.substr(request.find("\r\n\r\n") + 4));
    EXPECT_EQ(body.at("text"), "\\[lockstep\\] orders: done: größer\nin 4 min");
}

TEST(NotifyLive, SaysTheStatusOfAWebhookAndNotItsUrl) {
    TestHttpServer server(
        TestHttpServer::always("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"));
    EXPECT_EQ(
        troubles_of(WebhookTarget{.url = server.url("/T0/s3cret"), .headers = {}, .ca_file = {}}),
        Lines{"t: 127.0.0.1: HTTP 403"});
}

TEST(NotifyLive, NeverTellsTheUrlOfAServerThatIsNotThere) {
    const Lines troubles = troubles_of(
        WebhookTarget{.url = "http://127.0.0.1:" + std::to_string(free_port()) + "/T0/s3cret",
                      .headers = {},
                      .ca_file = {}});
    ASSERT_EQ(troubles.size(), 1U);
    EXPECT_TRUE(troubles[0].starts_with("t: 127.0.0.1: ")) << troubles[0];
    EXPECT_EQ(troubles[0].find("s3cret"), std::string::npos) << troubles[0];
}

TEST(NotifyLive, FeedsAProgram) {
    const TempDir dir;
    const std::string out = dir.path("out");
    EXPECT_EQ(troubles_of(CommandTarget{
                  {"sh",
                   "-c",
                   "{ echo \"$LOCKSTEP_EVENT $LOCKSTEP_RUN $LOCKSTEP_CLUSTER $LOCKSTEP_TEXT\"; "
                   "cat; } >\"$1\"",
                   "sh",
                   out}}),
              Lines{});
    const std::string text = read_file(out);
    const std::size_t end = text.find('\n');
    EXPECT_EQ(text.substr(0, end), "end r1 orders done: größer");
    EXPECT_EQ(Json::parse(text.substr(end)).at("details"), Json::array({"in 4 min"}));
}

TEST(NotifyLive, SaysHowAProgramFailed) {
    EXPECT_EQ(troubles_of(CommandTarget{{"sh", "-c", "echo no modem >&2; exit 3"}}),
              Lines{"t: sh ended with exit status 3: no modem"});
    const Lines troubles = troubles_of(CommandTarget{{"/no/such/program"}});
    ASSERT_EQ(troubles.size(), 1U);
    EXPECT_NE(troubles[0].find("cannot be started"), std::string::npos) << troubles[0];
}

}  // namespace
}  // namespace lockstep
