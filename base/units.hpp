#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// How sizes and lengths of time are written and read.
namespace lockstep {

/// `2m`, `30s`, `1h30m`, `500ms`; nullopt for anything else, also for a number without a unit.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
/// `16MB`, `1GiB`, `512kB`, `100B`, `100`: powers of 1024 throughout, as PostgreSQL reads them.
[[nodiscard]] std::optional<std::int64_t> parse_bytes(std::string_view text);

/// For people: `4.2 s`, `1 min 20 s`, `350 ms`.
[[nodiscard]] std::string format_duration(std::chrono::milliseconds length);
/// For people: `160 MB`, `1.4 GB`, `12 kB`.
[[nodiscard]] std::string format_bytes(std::int64_t bytes);
/// For people: `1 member`, `2 members`.
[[nodiscard]] std::string counted(std::int64_t count, std::string_view what);

}  // namespace lockstep
