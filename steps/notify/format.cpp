#include "steps/notify/format.hpp"

#include "base/or_null.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <cctype>

namespace lockstep {

namespace {

// Slack cuts a text at 40,000 characters, others sooner; the whole is in `details`.
constexpr std::size_t k_longest_text = 3000;
constexpr std::size_t k_longest_subject = 200;

/// As it is, with its lines.
std::string shown(const std::string& text) {
    std::string lines;
    for (std::size_t at = 0; at < text.size(); ++at) {
        lines += text.compare(at, 2, "\r\n") == 0 ? "" : std::string(1, text[at]);
    }
    return without_hidden(as_utf8(lines, k_unreadable), "\n\t");
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

/// Whether a character of a line means something to Markdown where it stands: some do anywhere (GFM
/// 0.29, 2.4 and 6), some only before the first word of a line, with or without its number.
bool is_markdown(std::string_view line, std::size_t at) {
    if (std::string_view("\\`*_~[]#|").find(line[at]) != std::string_view::npos) {
        return true;
    }
    const std::string_view before = line.substr(0, at);
    const bool leads = before.find_first_not_of(" \t") == std::string_view::npos;
    const bool numbered =
        !leads && before.find_first_not_of(" \t0123456789") == std::string_view::npos;
    return (leads && std::string_view("-+=").find(line[at]) != std::string_view::npos) ||
           (numbered && (line[at] == '.' || line[at] == ')'));
}

/// Nothing escapes the @ of a mention; one that only looks like it calls nobody.
bool is_mention(std::string_view line, std::size_t at) {
    return line[at] == '@' &&
           (at == 0 || std::isalnum(static_cast<unsigned char>(line[at - 1])) == 0);
}

std::string without_markdown(const std::string& text) {
    std::string out;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        const std::string_view line = std::string_view(text).substr(begin, end - begin);
        for (std::size_t at = 0; at < line.size(); ++at) {
            out += is_markdown(line, at) ? "\\" : "";
            out += is_mention(line, at) ? "\xEF\xBC\xA0" : std::string(1, line[at]);  // U+FF20
        }
        out += end < text.size() ? "\n" : "";
        begin = end + 1;
    }
    return out;
}

}  // namespace

Markup markup_of(std::string_view host) {
    const std::string name = lower(host);
    return name == "hooks.slack.com" || name == "hooks.slack-gov.com" ? Markup::plain
                                                                      : Markup::markdown;
}

std::string flat(std::string text) {
    std::ranges::replace_if(
        text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
    return without_hidden(as_utf8(text, k_unreadable));
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

nlohmann::json to_webhook_json(const Notification& notification, Clock::Wall at, Markup markup) {
    std::string text = headline(notification);
    for (const std::string& line : notification.details) {
        text += "\n" + shown(line);
    }
    text = cut(std::move(text), k_longest_text);
    nlohmann::json json = to_json(notification, at);
    if (markup == Markup::plain) {
        json["mrkdwn"] = false;
    } else {
        text = without_markdown(text);
    }
    json["text"] = escaped(text);
    return json;
}

Mail to_mail(const Notification& notification) {
    Mail mail;
    mail.subject = cut(headline(notification), k_longest_subject);
    mail.body = shown(notification.text) + "\n";
    if (!notification.details.empty()) {
        mail.body += "\n";
    }
    for (const std::string& line : notification.details) {
        mail.body += shown(line) + "\n";
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
