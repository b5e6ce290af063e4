#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Points in time as other programs print them.
namespace lockstep {

/// `2026-11-23 08:25:01.123456+01:00` as `2026-11-23T07:25:01.123Z`, so that two renderings of one
/// moment are equal; also `2026-11-23 07:25:01.123 UTC`, as Patroni before 2.1 has it. Empty: it
/// is in no form that tells the moment.
[[nodiscard]] std::string to_utc(std::string_view text);

/// The same in seconds since the epoch.
[[nodiscard]] std::optional<std::int64_t> seconds_of_utc(const std::string& text);

/// `Mon 2026-11-23 08:25:01 UTC`, as systemctl prints it under TZ=UTC, in seconds since the epoch.
[[nodiscard]] std::optional<std::int64_t> systemd_time(const std::string& text);

}  // namespace lockstep
