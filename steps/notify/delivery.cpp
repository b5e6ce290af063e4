#include "steps/notify/delivery.hpp"

#include "base/canonical_json.hpp"
#include "base/error.hpp"
#include "engine/plan/plan.hpp"
#include "steps/notify/format.hpp"

#include <utility>
#include <vector>

namespace lockstep {

namespace {

constexpr std::size_t k_longest_trouble = 300;
constexpr std::size_t k_output_limit = std::size_t{64} << 10;

void replace_all(std::string& text, const std::string& what, const std::string& by) {
    if (what.empty()) {
        return;
    }
    for (std::size_t at = text.find(what); at != std::string::npos;
         at = text.find(what, at + by.size())) {
        text.replace(at, what.size(), by);
    }
}

/// One attempt. What it has learned that is secret is taken out of everything that it says.
class Attempt {
  public:
    Attempt(const Notification& notification,
            Clock::Wall at,
            const ConnectionFactory& connections,
            Deadline deadline,
            const std::stop_token& stop)
        : notification_(notification),
          at_(at),
          connections_(connections),
          deadline_(deadline),
          stop_(stop),
          processes_(connections.process()) {}

    Delivery run(const NotifyTarget& target) {
        try {
            return std::visit([this](const auto& kind) { return to(kind); }, target);
        } catch (const TransportError& error) {
            return trouble(error.what(), error.kind() != TransportError::Kind::cancelled);
        } catch (const std::exception& error) {
            return trouble(error.what(), false);
        }
    }

  private:
    Delivery to(const WebhookTarget& target) {
        const std::string url = text_of(target.url);
        if (const std::string why = webhook_trouble(url, target.insecure); !why.empty()) {
            return trouble("its webhook cannot be used: " + why, false);
        }
        const std::string host = host_of(url);
        hide_url(url, host);
        HttpRequest request{
            .method = "POST",
            .url = url,
            .headers = {},
            .body = canonical(to_webhook_json(notification_, at_, markup_of(host)))};
        for (const auto& [name, value] : target.headers) {
            request.headers.emplace_back(name, text_of(value));
        }
        HttpSettings settings;
        settings.ca_file = target.ca_file;
        const HttpResponse response =
            connections_.http(std::move(settings))->send(request, deadline_, stop_);
        if (response.ok()) {
            return {};
        }
        const bool again =
            response.status >= 500 || response.status == 429 || response.status == 408;
        return trouble(host + ": HTTP " + std::to_string(response.status), again);
    }

    Delivery to(const MailTarget& target) {
        MailSettings settings{.url = target.url,
                              .tls = target.tls,
                              .username = target.username,
                              .password = {},
                              .ca_file = target.ca_file};
        if (target.password) {
            settings.password = Secret(text_of(*target.password));
        }
        Mail mail = to_mail(notification_);
        mail.from = target.from;
        mail.to = target.to;
        const MailResult result =
            connections_.mail(std::move(settings))->send(mail, deadline_, stop_);
        if (result.ok()) {
            return {};
        }
        return trouble(
            host_of(target.url) + ": SMTP " + std::to_string(result.reply) + ": " + result.reason,
            result.reply < 500);
    }

    Delivery to(const CommandTarget& target) {
        LocalCommand command{.argv = target.argv,
                             .env = {{"LOCKSTEP_EVENT", flat(notification_.event)},
                                     {"LOCKSTEP_RUN", flat(notification_.run)},
                                     {"LOCKSTEP_CLUSTER", flat(notification_.cluster)},
                                     {"LOCKSTEP_TEXT", flat(notification_.text)}},
                             .stdin_data = canonical(to_json(notification_, at_)) + "\n",
                             .output_limit = k_output_limit};
        const CommandResult result = processes_->run(command, deadline_, stop_);
        if (result.ok()) {
            return {};
        }
        const std::string said = result.err.substr(0, result.err.find('\n'));
        return trouble(target.argv.front() + " ended with exit status " +
                           std::to_string(result.exit_status) + (said.empty() ? "" : ": " + said),
                       true);
    }

    /// Also one that stands in the inventory: it is a secret all the same.
    void hide_url(const std::string& url, const std::string& host) {
        remember_secret(url);
        const std::size_t path = url.find_first_of("/?#", url.find("://") + 3);
        // Before what text_of() has put there, which would leave the beginning of it. An Error says
        // nothing of a URL that is known by then.
        hidden_ = {{"POST " + url + ": ", host + ": "},
                   {"POST " + std::string(k_hidden) + ": ", host + ": "},
                   {url, host}};
        if (path != std::string::npos && path + 1 < url.size()) {
            hidden_.emplace_back(url.substr(path), "…");
        }
    }

    std::string text_of(const TextOrSecret& value) {
        if (const auto* text = std::get_if<std::string>(&value)) {
            return *text;
        }
        return text_of(std::get<SecretRef>(value));
    }

    std::string text_of(const SecretRef& ref) {
        std::string text = resolve_secret(ref, *processes_).reveal();
        hidden_.emplace_back(text, "***");
        return text;
    }

    [[nodiscard]] Delivery trouble(std::string text, bool again) const {
        for (const auto& [secret, instead] : hidden_) {
            replace_all(text, secret, instead);
        }
        return {cut(flat(without_secrets(std::move(text))), k_longest_trouble), again};
    }

    const Notification& notification_;
    Clock::Wall at_;
    const ConnectionFactory& connections_;
    Deadline deadline_;
    const std::stop_token& stop_;
    std::unique_ptr<ProcessRunner> processes_;
    std::vector<std::pair<std::string, std::string>> hidden_;  ///< and what is said instead
};

}  // namespace

Delivery deliver_once(const NotifyTarget& target,
                      const Notification& notification,
                      Clock::Wall at,
                      const ConnectionFactory& connections,
                      Deadline deadline,
                      const std::stop_token& stop) {
    return Attempt(notification, at, connections, deadline, stop).run(target);
}

}  // namespace lockstep
