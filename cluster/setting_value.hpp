#pragma once

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string>

namespace lockstep {

/// Whether Patroni takes a value of its configuration, or a tag, for on: `on`, `true`, `yes` and
/// `1` in whatever case (patroni/utils.py, parse_bool, 2.1 to 4.1), and any number but 0.
[[nodiscard]] bool is_on(const nlohmann::json& value);

/// Whether a value of a configuration file is the one that runs, as SHOW prints it. nullopt where
/// that cannot be told for sure: the running value is not known, a number whose unit the file does
/// not give, -1 that PostgreSQL replaces by what it computes, words that mean another, and
/// parameters that PostgreSQL or Patroni show or set in their own way.
[[nodiscard]] std::optional<bool> same_setting(const std::string& name,
                                               const nlohmann::json& configured,
                                               const std::string& running);

}  // namespace lockstep
