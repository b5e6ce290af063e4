#include "base/error.hpp"
#include "temp_dir.hpp"
#include "test_certificate.hpp"
#include "test_smtp_server.hpp"
#include "transport/encoding.hpp"
#include "transport/mailer.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Kind = TransportError::Kind;
using Tls = TestSmtpServer::Tls;

Mail a_mail() {
    return {.from = "lockstep@example.com",
            .to = {"anna@example.com", "bert@example.com"},
            .subject = "[lockstep] größer",
            .body = "one\n.\n..two = ü"};
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

MailResult send(const MailSettings& settings, Deadline deadline = Deadline::after(5s)) {
    return make_curl_mailer(settings)->send(a_mail(), deadline, {});
}

std::optional<TransportError> failure(const MailSettings& settings,
                                      Deadline deadline = Deadline::after(5s)) {
    try {
        const MailResult result = send(settings, deadline);
        ADD_FAILURE() << "sent: " << result.reply << " " << result.reason;
    } catch (const TransportError& error) {
        return error;
    }
    return std::nullopt;
}

/// Without the name that we say EHLO with, and QUIT, which nobody waits for.
std::vector<std::string> talk_with(TestSmtpServer& server) {
    std::vector<std::string> commands;
    for (const std::string& command : server.commands()) {
        if (contains(command, "EHLO ")) {
            commands.push_back(command.substr(0, command.find("EHLO ") + 4));
        } else if (!contains(command, "QUIT")) {
            commands.push_back(command);
        }
    }
    return commands;
}

using Commands = std::vector<std::string>;

class MailerLive : public testing::Test {
  protected:
    static MailSettings plain(const TestSmtpServer& server) {
        return {.url = server.url(), .tls = false, .username = {}, .password = {}, .ca_file = {}};
    }
};

TEST_F(MailerLive, HandsAMailToEveryRecipient) {
    TestSmtpServer server({});
    const MailResult result = send(plain(server));
    EXPECT_TRUE(result.ok()) << result.reason;
    EXPECT_EQ(talk_with(server),
              (Commands{"EHLO",
                        "MAIL FROM:<lockstep@example.com>",
                        "RCPT TO:<anna@example.com>",
                        "RCPT TO:<bert@example.com>",
                        "DATA"}));
    const std::string message = server.message();
    EXPECT_TRUE(contains(message, "To: anna@example.com,\r\n bert@example.com\r\n")) << message;
    EXPECT_TRUE(contains(message, "Subject: =?UTF-8?B?")) << message;
    EXPECT_TRUE(contains(message, "\r\nDate: ")) << message;
    EXPECT_TRUE(contains(message, "\r\nMessage-ID: <")) << message;
    EXPECT_TRUE(message.ends_with("\r\n\r\none\r\n.\r\n..two =3D =C3=BC\r\n")) << message;
}

TEST_F(MailerLive, GivesEachMailAnIdOfItsOwn) {
    TestSmtpServer server({});
    const auto mailer = make_curl_mailer(plain(server));
    std::vector<std::string> ids;
    for (int n = 0; n < 2; ++n) {
        EXPECT_TRUE(mailer->send(a_mail(), Deadline::after(5s), {}).ok());
        const std::string message = server.message();
        const std::size_t at = message.find("Message-ID: ");
        ids.push_back(message.substr(at, message.find('\r', at) - at));
    }
    EXPECT_NE(ids[0], ids[1]);
}

TEST_F(MailerLive, SaysWhatTheServerRefused) {
    for (const auto& [verb, reply, code] : {std::tuple{"MAIL", "550 who are you", 550L},
                                            std::tuple{"RCPT", "450 come back later", 450L},
                                            std::tuple{"DATA", "554 no", 554L},
                                            std::tuple{"(message)", "552 too large", 552L}}) {
        TestSmtpServer server({.replies = {{verb, reply}}});
        const MailResult result = send(plain(server));
        EXPECT_FALSE(result.ok()) << verb;
        EXPECT_EQ(result.reply, code) << verb << ": " << result.reason;
    }
}

TEST_F(MailerLive, LogsInAndNeverShowsThePassword) {
    TestSmtpServer server({});
    MailSettings settings = plain(server);
    settings.username = "u";
    settings.password = Secret("hunter2");
    EXPECT_TRUE(send(settings).ok());
    const Commands commands = talk_with(server);
    ASSERT_GE(commands.size(), 2U);
    const std::string login = base64_encode(std::string("\0u\0hunter2", 10));
    EXPECT_TRUE(contains(commands[1] + commands[2], login)) << commands[1];

    TestSmtpServer strict({.replies = {{"AUTH", "535 no"}}});
    settings.url = strict.url();
    const MailResult refused = send(settings);
    EXPECT_EQ(refused.reply, 535) << refused.reason;
    EXPECT_FALSE(contains(refused.reason, "hunter2"));
    EXPECT_EQ(strict.message(), "");
}

TEST_F(MailerLive, SendsNothingToAServerWithoutStarttls) {
    TestSmtpServer server({});
    MailSettings settings = plain(server);
    settings.tls = true;
    settings.username = "u";
    settings.password = Secret("hunter2");
    const auto error = failure(settings);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::connect);
    EXPECT_TRUE(contains(error->hint(), "smtps://")) << error->what();
    EXPECT_EQ(talk_with(server), Commands{"EHLO"});
}

TEST_F(MailerLive, SaysConnectWhereNobodyListens) {
    const std::string url = "smtp://127.0.0.1:" + std::to_string(free_port());
    const auto error =
        failure({.url = url, .tls = false, .username = {}, .password = {}, .ca_file = {}});
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::connect) << error->what();
}

TEST_F(MailerLive, GivesUpAtItsDeadline) {
    TestSmtpServer server({.replies = {{"MAIL", "-"}}});
    const auto error = failure(plain(server), Deadline::after(300ms));
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::timeout) << error->what();
}

TEST_F(MailerLive, StopsWhenTold) {
    std::stop_source stop;
    TestSmtpServer server({.replies = {{"RCPT", "-"}}, .heard = [&](const std::string& verb) {
                               if (verb == "RCPT") {
                                   stop.request_stop();
                               }
                           }});
    try {
        (void)make_curl_mailer(plain(server))
            ->send(a_mail(), Deadline::after(60s), stop.get_token());
        FAIL() << "sent";
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), Kind::cancelled) << error.what();
    }
}

TEST_F(MailerLive, RefusesToSendWhatCouldBecomeAHeaderField) {
    TestSmtpServer server({});
    Mail mail = a_mail();
    mail.subject = "a\r\nBcc: x@y";
    EXPECT_THROW((void)make_curl_mailer(plain(server))->send(mail, Deadline::after(5s), {}), Error);
    EXPECT_EQ(server.commands(), Commands{});
}

class MailerTlsLive : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (::access(k_openssl, X_OK) == 0) {
            dir_ = std::make_unique<TempDir>();
            make_certificate(*dir_, "mail", "-addext subjectAltName=IP:127.0.0.1");
        }
    }

    static void TearDownTestSuite() { dir_.reset(); }

    void SetUp() override {
        if (dir_ == nullptr) {
            GTEST_SKIP() << "no openssl";
        }
    }

    static TestSmtpServer::Behaviour by(Tls tls) {
        return {tls, dir_->path("mail.crt"), dir_->path("mail.key"), {}, {}};
    }

    static MailSettings settings(const std::string& url) {
        return {.url = url,
                .tls = true,
                .username = "u",
                .password = Secret("hunter2"),
                .ca_file = dir_->path("mail.crt")};
    }

    static std::unique_ptr<TempDir> dir_;
};

std::unique_ptr<TempDir> MailerTlsLive::dir_;

TEST_F(MailerTlsLive, SendsLoginAndMailOnlyEncrypted) {
    for (const Tls tls : {Tls::starttls, Tls::from_the_start}) {
        TestSmtpServer server(by(tls));
        const MailResult result = send(settings(server.url()));
        EXPECT_TRUE(result.ok()) << result.reason;
        EXPECT_NE(server.message(), "");
        for (const std::string& command : talk_with(server)) {
            EXPECT_TRUE(command.starts_with("tls ") || command == "EHLO" || command == "STARTTLS")
                << command;
        }
    }
}

TEST_F(MailerTlsLive, RefusesAServerThatNobodyKnowsAndNamesTheSetting) {
    for (const Tls tls : {Tls::starttls, Tls::from_the_start}) {
        TestSmtpServer server(by(tls));
        MailSettings unknown = settings(server.url());
        unknown.ca_file.clear();
        const auto error = failure(unknown);
        ASSERT_TRUE(error);
        EXPECT_EQ(error->kind(), Kind::connect) << error->what();
        EXPECT_TRUE(contains(error->hint(), "ca_file")) << error->what();
        EXPECT_EQ(server.message(), "");
    }
}

TEST_F(MailerTlsLive, RefusesACertificateForAnotherName) {
    TestSmtpServer server(by(Tls::from_the_start));
    const auto error = failure(settings(server.url("localhost")));
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), Kind::connect) << error->what();
    EXPECT_EQ(server.commands(), Commands{});
}

}  // namespace
}  // namespace lockstep
