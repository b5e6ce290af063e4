#include "transport/ssh_http_client.hpp"

#include "base/error.hpp"
#include "tests/transport/here_session.hpp"
#include "tests/transport/temp_dir.hpp"
#include "tests/transport/test_http_server.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <optional>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Kind = TransportError::Kind;

class SshHttpClient : public testing::Test {
  protected:
    SshHttpClient() {
        if (!std::filesystem::exists("/usr/bin/curl")) {
            path_ = "";
        }
    }

    void SetUp() override {
        if (path_.empty()) {
            GTEST_SKIP() << "this machine has no /usr/bin/curl";
        }
    }

    std::unique_ptr<HttpClient> client(HttpSettings settings = {}) {
        auto session = std::make_unique<HereSession>(path_);
        session_ = session.get();
        return make_ssh_http_client(std::move(session), std::move(settings));
    }

    std::optional<TransportError> failure(const HttpRequest& request,
                                          const HttpSettings& settings = {}) {
        try {
            client(settings)->send(request, Deadline::after(10s), {});
        } catch (const TransportError& error) {
            return error;
        }
        return std::nullopt;
    }

    std::string path_ = "/usr/bin:/bin";
    HereSession* session_ = nullptr;  ///< of the last client, while that lives
};

TEST_F(SshHttpClient, ReadsAnAnswerAsTheOtherClientDoes) {
    TestHttpServer server(TestHttpServer::always(
        "HTTP/1.0 503 Service Unavailable\r\nContent-Type: application/json\r\n"
        "Date: Mon, 23 Nov 2026 09:10:18 GMT\r\n\r\n{\"state\":\n\r\n\"running\"}"));
    const HttpResponse response =
        client()->send({.url = server.url("/patroni")}, Deadline::after(10s), {});
    EXPECT_EQ(response.status, 503);
    EXPECT_EQ(response.body, "{\"state\":\n\r\n\"running\"}");
    EXPECT_EQ(response.content_type, "application/json");
    EXPECT_EQ(response.date, 1795425018);
}

TEST_F(SshHttpClient, SendsBodyAndCredentialsAndShowsThemToNobody) {
    TestHttpServer server(TestHttpServer::always("HTTP/1.0 200 OK\r\n\r\nok"));
    const std::string body = R"({"a": "b\\c \"d\" $(id) 'e'", "f": "größe
and a line"})";
    const auto http = client({.username = "admin", .password = Secret("s3 \"cr\\et")});
    const HttpRequest request{.method = "PATCH",
                              .url = server.url("/config"),
                              .headers = {{"X-One", "two \"three\""}},
                              .body = body};
    EXPECT_EQ(http->send(request, Deadline::after(10s), {}).body, "ok");
    const std::string seen = server.requests().at(0);
    EXPECT_TRUE(seen.starts_with("PATCH /config HTTP/1.1\r\n")) << seen;
    EXPECT_TRUE(seen.ends_with("\r\n\r\n" + body)) << seen;
    EXPECT_NE(seen.find("X-One: two \"three\"\r\n"), std::string::npos) << seen;
    EXPECT_NE(seen.find("Authorization: Basic YWRtaW46czMgImNyXGV0\r\n"), std::string::npos);
    EXPECT_EQ(seen.find("Expect:"), std::string::npos);
    EXPECT_EQ(session_->scripts.at(0).find("s3 "), std::string::npos);
}

TEST_F(SshHttpClient, TellsTheLengthOfAnEmptyBody) {
    TestHttpServer server(TestHttpServer::always("HTTP/1.0 202 Accepted\r\n\r\n"));
    const HttpRequest request{.method = "POST", .url = server.url("/reload")};
    EXPECT_EQ(client()->send(request, Deadline::after(10s), {}).status, 202);
    EXPECT_NE(server.requests().at(0).find("Content-Length: 0\r\n"), std::string::npos);
}

// Patroni's restapi.listen may be the loopback, whatever its connect_address says.
TEST_F(SshHttpClient, AsksTheLoopbackWhereNothingListensAtTheAddress) {
    TestHttpServer server(TestHttpServer::always("HTTP/1.0 200 OK\r\n\r\nhere"));
    const std::string port = server.url("").substr(server.url("").rfind(':'));
    const HttpResponse response =
        client()->send({.url = "http://127.0.0.2" + port + "/"}, Deadline::after(10s), {});
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "here");
    EXPECT_NE(server.requests().at(0).find("Host: 127.0.0.2" + port), std::string::npos);
}

TEST_F(SshHttpClient, TellsARequestThatNeverLeftFromOneThatMayHaveArrived) {
    const auto refused =
        failure({.url = "http://127.0.0.1:" + std::to_string(free_port()) + "/patroni"});
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->kind(), Kind::connect);
    EXPECT_NE(std::string(refused->what()).find("by curl on ops@n1:22"), std::string::npos);
    TestHttpServer silent(TestHttpServer::always(""));
    const auto lost = failure({.method = "PATCH", .url = silent.url("/config"), .body = "{}"});
    ASSERT_TRUE(lost);
    EXPECT_EQ(lost->kind(), Kind::lost);
}

TEST_F(SshHttpClient, SaysThatThereIsNoCurl) {
    path_ = "/nowhere";
    const auto error = failure({.url = "http://127.0.0.1:1/"});
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::connect);
    EXPECT_NE(std::string(error->what()).find("there is no curl"), std::string::npos);
    EXPECT_FALSE(error->hint().empty());
}

TEST_F(SshHttpClient, SaysWhichFileCannotBeRead) {
    const auto error = failure({.url = "https://127.0.0.1:1/"}, {.ca_file = "/nowhere/ca.pem"});
    ASSERT_TRUE(error);
    EXPECT_NE(std::string(error->what()).find("ca_file /nowhere/ca.pem"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
