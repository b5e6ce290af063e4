#pragma once

#include "base/clock.hpp"
#include "engine/plan/notification.hpp"
#include "transport/mailer.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

/// What a notification looks like where it arrives: see docs/notifications.md.
namespace lockstep {

/// For programs: what it says, and `message` with its line.
[[nodiscard]] nlohmann::json to_json(const Notification& notification, Clock::Wall at);

/// What a chat takes a text for.
enum class Markup {
    plain,     ///< Slack, which is told to leave it as it is (`mrkdwn: false`)
    markdown,  ///< Mattermost, Teams, and who imitates them
};

/// Of a webhook's host.
[[nodiscard]] Markup markup_of(std::string_view host);

/// The same with `text`: what a chat shows. It is escaped, so that no text of a runbook, a member
/// or PostgreSQL calls a channel together, hides where a link leads, or looks like our own.
[[nodiscard]] nlohmann::json to_webhook_json(const Notification& notification,
                                             Clock::Wall at,
                                             Markup markup);

/// Without the addresses.
[[nodiscard]] Mail to_mail(const Notification& notification);

/// One line without control characters; what else is not shown (is_hidden()) is a `?`.
[[nodiscard]] std::string flat(std::string text);

/// At most that many bytes and an ellipsis, cut between characters.
[[nodiscard]] std::string cut(std::string text, std::size_t most);

}  // namespace lockstep
