#include "transport/http_client.hpp"

#include "base/error.hpp"
#include "temp_dir.hpp"
#include "test_http_server.hpp"

#include <gtest/gtest.h>

#include <sys/socket.h>

#include <chrono>
#include <cstdlib>
#include <optional>
#include <thread>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Kind = TransportError::Kind;

HttpResponse get(const std::string& url, const HttpSettings& settings = {}) {
    return make_curl_client(settings)->send({.url = url}, Deadline::after(5s), {});
}

std::optional<TransportError> failure(const HttpRequest& request,
                                      std::chrono::milliseconds timeout = 5s,
                                      std::stop_token stop = {}) {
    try {
        make_curl_client({})->send(request, Deadline::after(timeout), stop);
    } catch (const TransportError& error) {
        return error;
    }
    return std::nullopt;
}

// What Patroni answers (patroni/api.py): HTTP/1.0, no Content-Length, the end of the stream.
constexpr const char* k_patroni_answer =
    "HTTP/1.0 200 OK\r\nServer: BaseHTTP/0.6 Python/3.11.2\r\nContent-Type: application/json\r\n"
    "\r\n{\"state\": \"running\"}";

TEST(HttpClient, ReadsABodyThatEndsWithTheStream) {
    TestHttpServer server(TestHttpServer::always(k_patroni_answer));
    const HttpResponse response = get(server.url("/patroni"));
    EXPECT_EQ(response.status, 200);
    EXPECT_TRUE(response.ok());
    EXPECT_EQ(response.body, "{\"state\": \"running\"}");
    EXPECT_EQ(response.content_type, "application/json");
    EXPECT_TRUE(server.requests().at(0).starts_with("GET /patroni HTTP/1.1\r\n"));
}

TEST(HttpClient, ReadsTheServersClock) {
    TestHttpServer told(
        TestHttpServer::always("HTTP/1.0 200 OK\r\nDate: Mon, 23 Nov 2026 09:10:18 GMT\r\n\r\n{}"));
    EXPECT_EQ(get(told.url("/")).date, 1795425018);
    for (const char* header : {"", "Date: noon\r\n"}) {
        TestHttpServer silent(
            TestHttpServer::always(std::string("HTTP/1.0 200 OK\r\n") + header + "\r\n{}"));
        EXPECT_EQ(get(silent.url("/")).date, 0) << header;
    }
}

TEST(HttpClient, TakesEveryStatusForAnAnswer) {
    for (const int status : {301, 401, 412, 503}) {
        TestHttpServer server(TestHttpServer::always("HTTP/1.0 " + std::to_string(status) +
                                                     " Text\r\nLocation: /elsewhere\r\n\r\nwhy"));
        const HttpResponse response = get(server.url("/"));
        EXPECT_EQ(response.status, status);
        EXPECT_FALSE(response.ok());
        EXPECT_EQ(response.body, "why");
    }
}

TEST(HttpClient, ReadsAnAnswerThatIsAStatusLineOnly) {
    TestHttpServer server(TestHttpServer::always("HTTP/1.0 200 OK\r\n\r\n"));
    EXPECT_EQ(get(server.url("/liveness")).body, "");
}

TEST(HttpClient, SendsABodyWithItsLengthAndBasicAuth) {
    TestHttpServer server(TestHttpServer::always(k_patroni_answer));
    HttpSettings settings;
    settings.username = "patroni";
    settings.password = Secret("s3cret");
    const HttpRequest request{.method = "PATCH",
                              .url = server.url("/config"),
                              .headers = {{"X-Test", "yes"}},
                              .body = "{\"pause\": true}"};
    make_curl_client(settings)->send(request, Deadline::after(5s), {});
    const std::string seen = server.requests().at(0);
    EXPECT_TRUE(seen.starts_with("PATCH /config HTTP/1.1\r\n")) << seen;
    EXPECT_NE(seen.find("\r\nContent-Length: 15\r\n"), std::string::npos) << seen;
    EXPECT_NE(seen.find("\r\nContent-Type: application/json\r\n"), std::string::npos) << seen;
    EXPECT_NE(seen.find("\r\nX-Test: yes\r\n"), std::string::npos) << seen;
    EXPECT_NE(seen.find("Authorization: Basic cGF0cm9uaTpzM2NyZXQ="), std::string::npos) << seen;
    EXPECT_EQ(seen.find("Expect:"), std::string::npos) << seen;
    EXPECT_TRUE(seen.ends_with("\r\n\r\n{\"pause\": true}")) << seen;
}

TEST(HttpClient, LeavesOutThePasswordWhereItIsToldTo) {
    TestHttpServer server(TestHttpServer::always(k_patroni_answer));
    HttpSettings settings;
    settings.username = "patroni";
    settings.password = Secret("s3cret");
    make_curl_client(settings)->send(
        {.url = server.url("/patroni"), .anonymous = true}, Deadline::after(5s), {});
    EXPECT_EQ(server.requests().at(0).find("Authorization"), std::string::npos);
}

// A redirect would take the password to a host that nobody named.
TEST(HttpClient, FollowsNobodyElsewhere) {
    TestHttpServer other(TestHttpServer::always(k_patroni_answer));
    TestHttpServer server(
        TestHttpServer::always("HTTP/1.0 307 Go\r\nLocation: " + other.url("/x") + "\r\n\r\n"));
    HttpSettings settings;
    settings.username = "patroni";
    settings.password = Secret("s3cret");
    for (const char* method : {"GET", "PATCH"}) {
        EXPECT_EQ(
            make_curl_client(settings)
                ->send({.method = method, .url = server.url("/config")}, Deadline::after(5s), {})
                .status,
            307);
    }
    EXPECT_TRUE(other.requests().empty());
}

// Patroni answers 411 to a POST without Content-Length.
TEST(HttpClient, SendsALengthAlsoWithoutABody) {
    TestHttpServer server(TestHttpServer::always(k_patroni_answer));
    make_curl_client({})->send(
        {.method = "POST", .url = server.url("/restart")}, Deadline::after(5s), {});
    EXPECT_NE(server.requests().at(0).find("\r\nContent-Length: 0\r\n"), std::string::npos);
}

TEST(HttpClient, SendsADeleteWithoutABody) {
    TestHttpServer server(TestHttpServer::always(k_patroni_answer));
    make_curl_client({})->send(
        {.method = "DELETE", .url = server.url("/restart")}, Deadline::after(5s), {});
    EXPECT_TRUE(server.requests().at(0).starts_with("DELETE /restart HTTP/1.1\r\n"));
}

TEST(HttpClient, NeverUsesAProxyOfTheEnvironment) {
    ::setenv("http_proxy", "http://127.0.0.1:1", 1);  // NOLINT(concurrency-mt-unsafe)
    TestHttpServer server(TestHttpServer::always(k_patroni_answer));
    EXPECT_EQ(get(server.url("/")).status, 200);
    ::unsetenv("http_proxy");  // NOLINT(concurrency-mt-unsafe)
}

TEST(HttpClient, SaysConnectWhenNobodyListens) {
    const auto error =
        failure({.url = "http://127.0.0.1:" + std::to_string(free_port()) + "/patroni"});
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::connect);
    EXPECT_TRUE(error->nothing_sent());
}

TEST(HttpClient, SaysConnectWhenTheNameDoesNotResolve) {
    const auto error = failure({.url = "http://no-such-host.invalid/"});
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::connect);
}

TEST(HttpClient, SaysConnectWhenTheServerDoesNotSpeakTls) {
    TestHttpServer server([](const std::string&, int) {});
    std::string url = server.url("/");
    url.insert(4, "s");
    const std::jthread closer([] {});
    const auto error = failure({.url = url}, 500ms);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::connect) << error->what();
}

TEST(HttpClient, SaysTimeoutWhenTheServerIsSlow) {
    TestHttpServer server([](const std::string&, int socket) {
        char byte = 0;
        [[maybe_unused]] const auto count = ::recv(socket, &byte, 1, 0);  // until the client goes
    });
    const auto begin = std::chrono::steady_clock::now();
    const auto error = failure({.url = server.url("/slow")}, 200ms);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::timeout);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 1s);
}

TEST(HttpClient, IsWokenByAStopRequest) {
    TestHttpServer server([](const std::string&, int socket) {
        char byte = 0;
        [[maybe_unused]] const auto count = ::recv(socket, &byte, 1, 0);
    });
    std::stop_source source;
    const std::jthread stopper([&source] {
        std::this_thread::sleep_for(50ms);
        source.request_stop();
    });
    const auto begin = std::chrono::steady_clock::now();
    const auto error = failure({.url = server.url("/slow")}, 10s, source.get_token());
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::cancelled);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
}

TEST(HttpClient, SaysLostWhenTheServerHangsUp) {
    TestHttpServer server([](const std::string&, int) {});
    const auto error = failure({.method = "POST", .url = server.url("/failover"), .body = "{}"});
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::lost);
}

TEST(HttpClient, SaysLostWhenTheBodyIsCutShort) {
    TestHttpServer server(
        TestHttpServer::always("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"));
    const auto error = failure({.url = server.url("/")});
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::lost);
}

TEST(HttpClient, RefusesABodyWithoutEnd) {
    TestHttpServer server([](const std::string&, int socket) {
        send_text(socket, "HTTP/1.0 200 OK\r\n\r\n");
        send_text(socket, std::string(9 << 20, 'x'));
    });
    const auto error = failure({.url = server.url("/")});
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::protocol);
    EXPECT_NE(std::string(error->what()).find("longer than 8388608 bytes"), std::string::npos);
}

TEST(HttpClient, SaysProtocolWhenTheAnswerIsNotHttp) {
    TestHttpServer server(TestHttpServer::always("SSH-2.0-OpenSSH_9.2\r\n"));
    const auto error = failure({.url = server.url("/")});
    ASSERT_TRUE(error);
    EXPECT_NE(error->kind(), Kind::connect);
}

TEST(HttpClient, ShowsNoPasswordInAMessage) {
    const std::string port = std::to_string(free_port());
    const auto error = failure({.url = "http://user:s3cret@127.0.0.1:" + port + "/x@y"});
    ASSERT_TRUE(error);
    const std::string message = error->what();
    EXPECT_EQ(message.find("s3cret"), std::string::npos) << message;
    EXPECT_NE(message.find("GET http://127.0.0.1:" + port + "/x@y"), std::string::npos) << message;
}

TEST(HttpClient, SpeaksHttpOnly) {
    EXPECT_TRUE(failure({.url = "file:///etc/passwd"}));
}

TEST(HttpClient, CanBeUsedAgainAfterAFailure) {
    TestHttpServer server(TestHttpServer::always(k_patroni_answer));
    const auto client = make_curl_client({});
    EXPECT_THROW(
        client->send(
            {.url = "http://127.0.0.1:" + std::to_string(free_port())}, Deadline::after(5s), {}),
        TransportError);
    EXPECT_EQ(client->send({.url = server.url("/")}, Deadline::after(5s), {}).status, 200);
}

}  // namespace
}  // namespace lockstep
