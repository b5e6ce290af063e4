#include "base/error.hpp"
#include "temp_dir.hpp"
#include "test_certificate.hpp"
#include "transport/http_client.hpp"

#include <gtest/gtest.h>

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Kind = TransportError::Kind;

/// `openssl s_server -www`, which answers every GET with a page about the connection. It wants a
/// client certificate signed by itself.
class TestTlsServer {
  public:
    TestTlsServer() : port_(free_port()) {
        make_certificate(dir_, "server", "-addext subjectAltName=IP:127.0.0.1");
        make_certificate(dir_, "client");
        const std::string port = std::to_string(port_);
        const std::string cert = dir_.path("server.crt");
        const std::string key = dir_.path("server.key");
        const std::string authority = dir_.path("client.crt");
        std::array<const char*, 15> argv{k_openssl,
                                         "s_server",
                                         "-www",
                                         "-quiet",
                                         "-accept",
                                         port.c_str(),
                                         "-cert",
                                         cert.c_str(),
                                         "-key",
                                         key.c_str(),
                                         "-Verify",
                                         "1",
                                         "-CAfile",
                                         authority.c_str(),
                                         nullptr};
        // The signature of exec is older than const.
        auto* arguments = const_cast<char* const*>(argv.data());
        if (::posix_spawn(&pid_, k_openssl, nullptr, nullptr, arguments, environ) != 0) {
            pid_ = -1;
        }
        EXPECT_TRUE(wait_for_port(port_));
    }

    ~TestTlsServer() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }

    TestTlsServer(const TestTlsServer&) = delete;
    TestTlsServer& operator=(const TestTlsServer&) = delete;

    /// Settings with which everything is right.
    [[nodiscard]] HttpSettings settings() const {
        HttpSettings settings;
        settings.ca_file = dir_.path("server.crt");
        settings.cert_file = dir_.path("client.crt");
        settings.key_file = dir_.path("client.key");
        return settings;
    }

    [[nodiscard]] std::string url(const std::string& host = "127.0.0.1") const {
        return "https://" + host + ":" + std::to_string(port_) + "/";
    }

  private:
    TempDir dir_;
    int port_ = 0;
    pid_t pid_ = -1;
};

class HttpsLive : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (::access(k_openssl, X_OK) == 0) {
            server_ = std::make_unique<TestTlsServer>();
        }
    }

    static void TearDownTestSuite() { server_.reset(); }

    void SetUp() override {
        if (server_ == nullptr) {
            GTEST_SKIP() << "no openssl";
        }
    }

    static std::optional<TransportError> failure(const HttpSettings& settings,
                                                 const std::string& url) {
        try {
            const HttpResponse response =
                make_curl_client(settings)->send({.url = url}, Deadline::after(5s), {});
            EXPECT_EQ(response.status, 200);
        } catch (const TransportError& error) {
            return error;
        }
        return std::nullopt;
    }

    static std::unique_ptr<TestTlsServer> server_;
};

std::unique_ptr<TestTlsServer> HttpsLive::server_;

TEST_F(HttpsLive, SpeaksToAServerThatOurAuthorityHasSigned) {
    const auto error = failure(server_->settings(), server_->url());
    EXPECT_FALSE(error) << error->what();
}

TEST_F(HttpsLive, RefusesAServerThatNobodyKnowsAndNamesTheSetting) {
    HttpSettings settings = server_->settings();
    settings.ca_file.clear();
    const auto error = failure(settings, server_->url());
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::connect);
    EXPECT_NE(error->hint().find("ca_file"), std::string::npos) << error->hint();
}

TEST_F(HttpsLive, RefusesACertificateForAnotherName) {
    const auto error = failure(server_->settings(), server_->url("localhost"));
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::connect);
}

TEST_F(HttpsLive, TakesAnyCertificateWhenToldNotToVerify) {
    HttpSettings settings = server_->settings();
    settings.ca_file.clear();
    settings.verify = false;
    const auto error = failure(settings, server_->url());
    EXPECT_FALSE(error) << error->what();
}

TEST_F(HttpsLive, NamesTheSettingWhenACertificateIsWantedFromUs) {
    HttpSettings settings = server_->settings();
    settings.cert_file.clear();
    settings.key_file.clear();
    const auto error = failure(settings, server_->url());
    ASSERT_TRUE(error);
    EXPECT_NE(error->hint().find("cert_file"), std::string::npos) << error->what();
}

TEST_F(HttpsLive, SaysConnectWhenAFileOfOursIsMissing) {
    for (std::string HttpSettings::*file :
         {&HttpSettings::ca_file, &HttpSettings::cert_file, &HttpSettings::key_file}) {
        HttpSettings settings = server_->settings();
        settings.*file = "/nonexistent.pem";
        const auto error = failure(settings, server_->url());
        ASSERT_TRUE(error);
        EXPECT_EQ(error->kind(), Kind::connect) << error->what();
        EXPECT_FALSE(error->hint().empty()) << error->what();
    }
}

}  // namespace
}  // namespace lockstep
