#include "steps/notify/format.hpp"

#include "base/or_null.hpp"

#include <algorithm>

namespace lockstep {

namespace {

// Slack cuts a text at 40,000 characters, others sooner; the whole is in `details`.
constexpr std::size_t k_longest_text = 3000;
constexpr std::size_t k_longest_subject = 200;

bool is_continuation(char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

std::string headline(const Notification& notification) {
    return flat("[lockstep] " + (notification.cluster.empty() ? "" : notification.cluster + ": ") +
                notification.text);
}

// https://docs.slack.dev/messaging/formatting-message-text, "Escaping text"
std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            default:
                out += c;
        }
    }
    return out;
}

}  // namespace

std::string flat(std::string text) {
    std::ranges::replace_if(
        text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
    return text;
}

std::string cut(std::string text, std::size_t most) {
    if (text.size() <= most) {
        return text;
    }
    while (most > 0 && is_continuation(text[most])) {
        --most;
    }
    return text.substr(0, most) + "…";
}

nlohmann::json to_json(const Notification& notification, Clock::Wall at) {
    return {{"event", notification.event},
            {"at", to_iso8601(at)},
            {"run", or_null(notification.run)},
            {"cluster", or_null(notification.cluster)},
            {"runbook", or_null(notification.runbook)},
            {"message", flat(notification.text)},
            {"details", notification.details},
            {"more", notification.more}};
}

nlohmann::json to_webhook_json(const Notification& notification, Clock::Wall at) {
    std::string text = headline(notification);
    for (const std::string& line : notification.details) {
        text += "\n" + line;
    }
    nlohmann::json json = to_json(notification, at);
    json["text"] = escaped(cut(std::move(text), k_longest_text));
    return json;
}

Mail to_mail(const Notification& notification) {
    Mail mail;
    mail.subject = cut(headline(notification), k_longest_subject);
    mail.body = notification.text + "\n";
    if (!notification.details.empty()) {
        mail.body += "\n";
    }
    for (const std::string& line : notification.details) {
        mail.body += line + "\n";
    }
    mail.body += "\n-- \nlockstep";
    for (const auto& [what, name] : {std::pair{"run", &notification.run},
                                     std::pair{"runbook", &notification.runbook},
                                     std::pair{"cluster", &notification.cluster}}) {
        if (!name->empty()) {
            mail.body += std::string(", ") + what + " " + flat(*name);
        }
    }
    return mail;
}

}  // namespace lockstep
