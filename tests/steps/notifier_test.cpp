#include "steps/notify/notifier.hpp"

#include "base/known_secrets.hpp"
#include "steps/notify/format.hpp"
#include "tests/fakes/fake_clock.hpp"
#include "tests/fakes/fake_http.hpp"
#include "tests/fakes/fake_mail.hpp"
#include "tests/fakes/fake_processes.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <future>
#include <string>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Kind = TransportError::Kind;
using Json = nlohmann::json;
using Lines = std::vector<std::string>;

constexpr const char* k_url = "https://hooks.example/T0/s3cret";
constexpr const char* k_post = "POST https://hooks.example/T0/s3cret";

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

Notification a_notification(std::string text = "n2 did not come back") {
    return {.event = "failure",
            .run = "20261126-0311-orders",
            .cluster = "orders",
            .runbook = "patroni-upgrade",
            .text = std::move(text),
            .details = {"replicas.restart failed", "`lockstep resume` goes on"},
            .more = {{"step", "replicas.restart"}}};
}

CommandResult exit_status(int status, std::string err = {}) {
    CommandResult result;
    result.exit_status = status;
    result.err = std::move(err);
    return result;
}

class ANotifier : public testing::Test {
  protected:
    ANotifier() { forget_secrets(); }  // those of other tests

    void webhook(const std::string& name, WebhookTarget target = {.url = k_url, .headers = {}}) {
        targets_[name] = std::move(target);
    }

    void mail_target(const std::string& name) {
        targets_[name] = MailTarget{.url = "smtps://mail.example:465",
                                    .from = "lockstep@example.com",
                                    .to = {"anna@example.com"},
                                    .username = {},
                                    .password = {},
                                    .ca_file = {}};
    }

    void program(const std::string& name) { targets_[name] = CommandTarget{{"/bin/page", "-u"}}; }

    Notifier& notifier() {
        if (!notifier_) {
            ConnectionFactory connections;
            connections.http = http_.factory();
            connections.mail = mail_.factory();
            connections.process = processes_.factory();
            notifier_ = std::make_unique<Notifier>(targets_, std::move(connections), clock_);
        }
        return *notifier_;
    }

    /// The troubles of one notification.
    Lines troubles_of(const std::string& target, Notification notification = a_notification()) {
        notifier().send(target, std::move(notification));
        notifier().finish(60s);
        return notifier().troubles();
    }

    Json posted() {
        const auto seen = http_.seen();
        EXPECT_EQ(seen.size(), 1U);
        return seen.empty() ? Json() : Json::parse(seen[0].body.value_or(""));
    }

    FakeHttp http_;
    FakeMail mail_;
    FakeProcesses processes_;
    FakeClock clock_;
    NotifyTargets targets_;
    std::unique_ptr<Notifier> notifier_;
};

TEST_F(ANotifier, PostsWhatAChatShowsAndWhatAProgramReads) {
    webhook("ops");
    http_.answer(k_post, "ok");
    EXPECT_EQ(troubles_of("ops"), Lines{});
    const Json body = posted();
    EXPECT_EQ(body.at("text"),
              "\\[lockstep\\] orders: n2 did not come back\nreplicas.restart failed\n"
              "\\`lockstep resume\\` goes on");
    EXPECT_FALSE(body.contains("mrkdwn"));
    EXPECT_EQ(body.at("message"), "n2 did not come back");
    EXPECT_EQ(body.at("event"), "failure");
    EXPECT_EQ(body.at("run"), "20261126-0311-orders");
    EXPECT_EQ(body.at("cluster"), "orders");
    EXPECT_EQ(body.at("runbook"), "patroni-upgrade");
    EXPECT_EQ(body.at("details").size(), 2U);
    EXPECT_EQ(body.at("more"), (Json{{"step", "replicas.restart"}}));
    EXPECT_EQ(body.at("at"), to_iso8601(clock_.wall_now()));
}

TEST_F(ANotifier, LeavesNothingInATextThatSlackTakesForACommand) {
    webhook("ops");
    http_.answer(k_post, "ok");
    EXPECT_EQ(troubles_of("ops", a_notification("<!channel> a & b\r\nx\xff")), Lines{});
    const Json body = posted();
    EXPECT_TRUE(contains(body.at("text"), "&lt;!channel&gt; a &amp; b  x\xef\xbf\xbd"))
        << body.at("text");
    EXPECT_EQ(body.at("message"), "<!channel> a & b  x\xef\xbf\xbd");
}

// Texts of members and of PostgreSQL are in it: they must not look like links, or call somebody.
TEST(WebhookJson, HasNothingThatMarkdownReads) {
    Notification said = a_notification("[safe](http://evil) *b* _c_ ~d~ `e` | \\ a@b @all");
    said.details = {"# big", "- one", "7. seven", "  + two", "===", "x-y 1.5", "n1\u202E2n"};
    const Json markdown = to_webhook_json(said, {}, markup_of("chat.example"));
    EXPECT_EQ(markdown.at("text"),
              "\\[lockstep\\] orders: \\[safe\\](http://evil) \\*b\\* \\_c\\_ \\~d\\~ "
              "\\`e\\` \\| \\\\ a@b \uFF20all\n"
              "\\# big\n\\- one\n7\\. seven\n  \\+ two\n\\===\nx-y 1.5\nn1?2n");
    const Json slack = to_webhook_json(said, {}, markup_of("hooks.slack.com"));
    EXPECT_EQ(slack.at("mrkdwn"), false);
    EXPECT_TRUE(contains(slack.at("text"), "[safe](http://evil) *b*")) << slack.at("text");
    EXPECT_FALSE(contains(slack.at("text"), "\u202E"));
    EXPECT_EQ(markup_of("hooks.slack.com.evil.example"), Markup::markdown);
}

TEST_F(ANotifier, CutsAChatsTextAndKeepsTheDetails) {
    webhook("ops");
    http_.answer(k_post, "ok");
    Notification long_one = a_notification();
    long_one.details.assign(500, "größer");
    EXPECT_EQ(troubles_of("ops", long_one), Lines{});
    const Json body = posted();
    const std::string text = body.at("text");
    EXPECT_LT(text.size(), 3100U);
    EXPECT_TRUE(text.ends_with("…"));
    EXPECT_FALSE(contains(text, "\xef\xbf\xbd"));
    EXPECT_EQ(body.at("details").size(), 500U);
}

TEST_F(ANotifier, ResolvesSecretsWhenItSends) {
    ::setenv("LOCKSTEP_TEST_URL", k_url, 1);
    ::setenv("LOCKSTEP_TEST_TOKEN", "Bearer t0ken", 1);
    webhook("ops",
            {.url = SecretRef{SecretRef::Env{"LOCKSTEP_TEST_URL"}, {}},
             .headers = {{"Authorization", SecretRef{SecretRef::Env{"LOCKSTEP_TEST_TOKEN"}, {}}},
                         {"X-Source", "lockstep"}}});
    http_.answer(k_post, "ok");
    EXPECT_EQ(troubles_of("ops"), Lines{});
    ASSERT_EQ(http_.seen().size(), 1U);
    EXPECT_EQ(http_.seen()[0].headers,
              (std::vector<std::pair<std::string, std::string>>{{"Authorization", "Bearer t0ken"},
                                                                {"X-Source", "lockstep"}}));
    ::unsetenv("LOCKSTEP_TEST_URL");
    const Lines troubles = troubles_of("ops");
    ASSERT_EQ(troubles.size(), 1U);
    EXPECT_TRUE(contains(troubles[0], "ops: the environment variable LOCKSTEP_TEST_URL"))
        << troubles[0];
    EXPECT_TRUE(clock_.sleeps().empty()) << "it would not be set a second later";
    ::unsetenv("LOCKSTEP_TEST_TOKEN");
}

TEST_F(ANotifier, DoesNotPostInTheClearToAnotherMachine) {
    ::setenv("LOCKSTEP_TEST_URL", "http://hooks.example/T0/s3cret", 1);
    webhook("ops", {.url = SecretRef{SecretRef::Env{"LOCKSTEP_TEST_URL"}, {}}, .headers = {}});
    const Lines troubles = troubles_of("ops");
    ::unsetenv("LOCKSTEP_TEST_URL");
    ASSERT_EQ(troubles.size(), 1U);
    EXPECT_TRUE(contains(troubles[0], "http without TLS")) << troubles[0];
    EXPECT_FALSE(contains(troubles[0], "s3cret")) << troubles[0];
    EXPECT_TRUE(http_.seen().empty());
}

TEST_F(ANotifier, TriesOnceMoreWhereThatMightHelp) {
    webhook("ops");
    int asked = 0;
    http_.compute(k_post, [&](const HttpRequest&) -> HttpResponse {
        return {++asked == 1 ? 503 : 200, "", ""};
    });
    EXPECT_EQ(troubles_of("ops"), Lines{});
    EXPECT_EQ(http_.seen().size(), 2U);
    EXPECT_EQ(clock_.sleeps(), std::vector<std::chrono::milliseconds>{1s});
}

TEST_F(ANotifier, TriesNoThirdTime) {
    webhook("ops");
    http_.answer(k_post, "hidden s3cret", 500);
    EXPECT_EQ(troubles_of("ops"), Lines{"ops: hooks.example: HTTP 500"});
    EXPECT_EQ(http_.seen().size(), 2U);
}

TEST_F(ANotifier, DoesNotAskAgainForWhatIsRefusedForGood) {
    webhook("ops");
    http_.answer(k_post, "no_service", 404);
    EXPECT_EQ(troubles_of("ops"), Lines{"ops: hooks.example: HTTP 404"});
    EXPECT_EQ(http_.seen().size(), 1U);
}

TEST_F(ANotifier, NeverTellsASecretInItsTroubles) {
    ::setenv("LOCKSTEP_TEST_TOKEN", "t0ken", 1);
    webhook("ops",
            {.url = k_url,
             .headers = {{"X-Token", SecretRef{SecretRef::Env{"LOCKSTEP_TEST_TOKEN"}, {}}}}});
    http_.fail(k_post,
               Kind::connect,
               std::string(k_post) + ": refused: " + k_url + " /T0/s3cret t0ken\nx");
    const Lines troubles = troubles_of("ops");
    ::unsetenv("LOCKSTEP_TEST_TOKEN");
    EXPECT_EQ(troubles, Lines{"ops: hooks.example: refused: hooks.example … *** x"});
}

TEST_F(ANotifier, TellsATroubleOnce) {
    webhook("ops");
    http_.answer(k_post, "", 404);
    EXPECT_EQ(troubles_of("ops").size(), 1U);
    EXPECT_EQ(notifier().troubles(), Lines{});
}

TEST_F(ANotifier, Mails) {
    mail_target("mail");
    EXPECT_EQ(troubles_of("mail", a_notification("größer\r\nBcc: x@y")), Lines{});
    ASSERT_EQ(mail_.sent().size(), 1U);
    const auto [settings, mail] = mail_.sent()[0];
    EXPECT_EQ(settings.url, "smtps://mail.example:465");
    EXPECT_TRUE(settings.tls);
    EXPECT_EQ(mail.from, "lockstep@example.com");
    EXPECT_EQ(mail.to, Lines{"anna@example.com"});
    EXPECT_EQ(mail.subject, "[lockstep] orders: größer  Bcc: x@y");
    EXPECT_TRUE(contains(mail.body, "replicas.restart failed\n`lockstep resume` goes on\n"))
        << mail.body;
    EXPECT_TRUE(mail.body.ends_with(
        "lockstep, run 20261126-0311-orders, runbook patroni-upgrade, cluster orders"))
        << mail.body;
}

TEST_F(ANotifier, SaysWhatAMailServerRefused) {
    mail_target("mail");
    mail_.answer = [](const Mail&) { return MailResult{550, "RCPT failed: 550"}; };
    EXPECT_EQ(troubles_of("mail"), Lines{"mail: mail.example: SMTP 550: RCPT failed: 550"});
    EXPECT_EQ(mail_.sent().size(), 1U);
    mail_.answer = [](const Mail&) { return MailResult{450, "RCPT failed: 450"}; };
    EXPECT_EQ(troubles_of("mail").size(), 1U);
    EXPECT_EQ(mail_.sent().size(), 3U) << "not now is not never";
}

TEST_F(ANotifier, RunsAProgram) {
    program("pager");
    processes_.answer = [](const LocalCommand&) { return CommandResult{}; };
    EXPECT_EQ(troubles_of("pager", a_notification("two\nlines")), Lines{});
    ASSERT_EQ(processes_.seen().size(), 1U);
    const LocalCommand command = processes_.seen()[0];
    EXPECT_EQ(command.argv, (Lines{"/bin/page", "-u"}));
    EXPECT_EQ(command.env.at("LOCKSTEP_EVENT"), "failure");
    EXPECT_EQ(command.env.at("LOCKSTEP_RUN"), "20261126-0311-orders");
    EXPECT_EQ(command.env.at("LOCKSTEP_CLUSTER"), "orders");
    EXPECT_EQ(command.env.at("LOCKSTEP_TEXT"), "two lines");
    const Json stdin_json = Json::parse(command.stdin_data);
    EXPECT_EQ(stdin_json.at("message"), "two lines");
    EXPECT_FALSE(stdin_json.contains("text"));
}

TEST_F(ANotifier, SaysWhatAProgramSaid) {
    program("pager");
    processes_.answer = [](const LocalCommand&) { return exit_status(3, "no modem\nat all\n"); };
    EXPECT_EQ(troubles_of("pager"), Lines{"pager: /bin/page ended with exit status 3: no modem"});
    EXPECT_EQ(processes_.seen().size(), 2U);
}

TEST_F(ANotifier, TakesAnUnknownTargetForATrouble) {
    EXPECT_EQ(troubles_of("opps"), Lines{"opps: the inventory has no such target"});
    EXPECT_NE(notifier().deliver("opps", a_notification(), {}), "");
}

TEST_F(ANotifier, SendsToATargetInOrder) {
    webhook("ops");
    http_.answer(k_post, "ok");
    for (const char* text : {"1", "2", "3"}) {
        notifier().send("ops", a_notification(text));
    }
    notifier().finish(60s);
    std::string order;
    for (const HttpRequest& request : http_.seen()) {
        order += Json::parse(request.body.value_or("")).at("message").get<std::string>();
    }
    EXPECT_EQ(order, "123");
}

TEST_F(ANotifier, DeliversToTheEndWhenTheCallerWaits) {
    webhook("ops");
    http_.answer(k_post, "ok");
    EXPECT_EQ(notifier().deliver("ops", a_notification(), {}), "");
    EXPECT_EQ(http_.seen().size(), 1U);
    http_.answer(k_post, "", 410);
    EXPECT_EQ(notifier().deliver("ops", a_notification(), {}), "hooks.example: HTTP 410");
    EXPECT_EQ(notifier().troubles(), Lines{}) << "the caller was told";
}

/// Programs that do not end until they are told to.
class HangingProcesses final : public ProcessRunner {
  public:
    HangingProcesses(std::promise<void>& started, std::atomic<int>& count)
        : started_(started), count_(count) {}

    CommandResult run(const LocalCommand&, Deadline, std::stop_token stop) override {
        if (count_++ == 0) {
            started_.set_value();
        }
        std::mutex mutex;
        std::unique_lock lock(mutex);
        std::condition_variable_any never;
        (void)never.wait_for(lock, stop, 60s, [] { return false; });
        throw TransportError(stop.stop_requested() ? Kind::cancelled : Kind::timeout, "hung");
    }

  private:
    std::promise<void>& started_;
    std::atomic<int>& count_;
};

class AHangingTarget : public ANotifier {
  protected:
    /// A notification to it is under way.
    void hang() {
        program("pager");
        ConnectionFactory connections;
        connections.http = http_.factory();
        connections.process = [this] {
            return std::make_unique<HangingProcesses>(started_, count_);
        };
        notifier_ = std::make_unique<Notifier>(targets_, std::move(connections), clock_);
        notifier_->send("pager", a_notification());
        ASSERT_EQ(started_.get_future().wait_for(60s), std::future_status::ready);
    }

    std::promise<void> started_;
    std::atomic<int> count_ = 0;
};

TEST_F(AHangingTarget, KeepsNoOtherWaiting) {
    webhook("ops");
    std::promise<void> posted;
    http_.compute(k_post, [&](const HttpRequest&) -> HttpResponse {
        posted.set_value();
        return {200, "ok", ""};
    });
    hang();
    notifier().send("ops", a_notification());
    EXPECT_EQ(posted.get_future().wait_for(60s), std::future_status::ready);
}

TEST_F(AHangingTarget, IsATroubleWhenNobodyWaitsAnyLonger) {
    hang();
    notifier().send("pager", a_notification());
    notifier().finish(1ms);
    EXPECT_EQ(notifier().troubles(), Lines{"pager: not delivered in time: 2 notifications"});
}

TEST_F(AHangingTarget, DoesNotPileUpNotificationsForEver) {
    hang();
    for (int n = 0; n < 102; ++n) {
        notifier().send("pager", a_notification());
    }
    EXPECT_EQ(notifier().troubles(),
              (Lines{"pager: a notification was dropped: too many are waiting",
                     "pager: a notification was dropped: too many are waiting"}));
}

TEST_F(AHangingTarget, IsGivenUpAtTheEndWithoutAnotherAttempt) {
    hang();
    notifier().send("pager", a_notification());
    notifier_.reset();
    EXPECT_EQ(count_, 1);
}

}  // namespace
}  // namespace lockstep
