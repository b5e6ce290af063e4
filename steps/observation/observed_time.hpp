#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Points in time as other programs print them.
namespace lockstep {

/// `2026-11-23 08:25:01.123456+01:00` as `2026-11-23T07:25:01.123Z`, so that two renderings of one
/// moment are equal; a text of another form as it is.
[[nodiscard]] std::string to_utc(std::string_view text);

/// `Mon 2026-11-23 08:25:01 UTC`, as systemctl prints it under TZ=UTC, in seconds since the epoch.
[[nodiscard]] std::optional<std::int64_t> systemd_time(const std::string& text);

}  // namespace lockstep
