#pragma once

#include "base/clock.hpp"
#include "engine/plan/notification.hpp"
#include "transport/mailer.hpp"

#include <nlohmann/json.hpp>

#include <string>

/// What a notification looks like where it arrives: see docs/notifications.md.
namespace lockstep {

/// For programs: what it says, and `message` with its line.
[[nodiscard]] nlohmann::json to_json(const Notification& notification, Clock::Wall at);

/// The same with `text`: what a chat shows, escaped as Slack wants it, so that no text of a runbook
/// or of PostgreSQL calls a channel together.
[[nodiscard]] nlohmann::json to_webhook_json(const Notification& notification, Clock::Wall at);

/// Without the addresses.
[[nodiscard]] Mail to_mail(const Notification& notification);

/// One line without control characters.
[[nodiscard]] std::string flat(std::string text);

/// At most that many bytes and an ellipsis, cut between characters.
[[nodiscard]] std::string cut(std::string text, std::size_t most);

}  // namespace lockstep
