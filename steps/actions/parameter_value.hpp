#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What PostgreSQL takes for a parameter, decided here, because Patroni takes anything: to a value
/// that it or the server does not like `PATCH /config` answers 200, and then it is left out with a
/// line in the log (seen with 4.0.7).
namespace lockstep {

/// A row of pg_settings, as k_parameter_query gives it.
struct ParameterRow {
    std::string name;
    std::string setting;  ///< in `unit`
    std::string unit;     ///< kB, 8kB, ms, …; empty: none
    std::string context;  ///< internal, postmaster, sighup, …
    std::string type;     ///< bool, integer, real, enum, string
    std::optional<double> least;
    std::optional<double> most;
    std::vector<std::string> words;  ///< of an enum
    std::string file;                ///< that sets it; empty: none
    bool pending = false;            ///< a restart is wanted for it, by the server itself
    /// What the configuration files say last, and whether the server takes that; empty: nothing.
    std::string in_file;
    std::string file_error;

    [[nodiscard]] bool needs_restart() const { return context == "postmaster"; }
};

/// One row, one column: the JSON of the parameter named $1, NULL where there is none.
extern const char* const k_parameter_query;

[[nodiscard]] ParameterRow parameter_row(const nlohmann::json& row);

/// The value as pg_settings.setting has it, or why the server would not take it (guc.c, PostgreSQL
/// 11 to 18: units, ranges, words).
struct NormalValue {
    std::string text;
    std::string why_not;  ///< empty: it would
};

[[nodiscard]] NormalValue normal_value(const ParameterRow& row, const std::string& value);

/// Whether the server runs with it. What an existing session does not take over (contexts backend
/// and superuser-backend), or a role has otherwise, is told by the file that the server has read.
[[nodiscard]] bool runs_with(const ParameterRow& row, const std::string& value);

/// Why the dynamic configuration is no place for it, or Patroni would put another value in the
/// place of this one (patroni/postgresql/config.py, 2.1 to 4.1); empty: it is. `value` empty: it is
/// removed.
[[nodiscard]] std::string why_patroni_refuses(std::string_view name,
                                              const std::optional<std::string>& value);

}  // namespace lockstep
