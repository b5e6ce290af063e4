#include "steps/actions/parameter_value.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <sstream>

namespace lockstep {

namespace {

using Json = nlohmann::json;

std::string text_at(const Json& row, const char* key) {
    return row.contains(key) && row.at(key).is_string() ? row.at(key).get<std::string>() : "";
}

std::optional<double> real_of(std::string_view text) {
    double number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    const bool whole = error == std::errc() && stop == end && !text.empty();
    return whole && std::isfinite(number) ? std::optional(number) : std::nullopt;
}

std::string lower_case(std::string text) {
    std::ranges::transform(
        text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t");
    const std::size_t last = text.find_last_not_of(" \t");
    return first == std::string_view::npos ? "" : text.substr(first, last - first + 1);
}

constexpr double k_kib = 1024;
constexpr double k_second = 1000;
constexpr double k_minute = 60;

/// By case, as the server reads them: bytes and milliseconds.
const std::map<std::string, double, std::less<>>& memory_units() {
    static const std::map<std::string, double, std::less<>> k_units{
        {"B", 1},
        {"kB", k_kib},
        {"MB", k_kib * k_kib},
        {"GB", k_kib * k_kib * k_kib},
        {"TB", k_kib * k_kib * k_kib * k_kib}};
    return k_units;
}

const std::map<std::string, double, std::less<>>& time_units() {
    static const std::map<std::string, double, std::less<>> k_units{
        {"us", 1 / k_second},
        {"ms", 1},
        {"s", k_second},
        {"min", k_minute * k_second},
        {"h", k_minute * k_minute * k_second},
        {"d", 24 * k_minute * k_minute * k_second}};
    return k_units;
}

/// Of `8kB` the 8 and the unit.
std::pair<double, std::string> base_of(const std::string& unit) {
    const std::size_t digits = unit.find_first_not_of("0123456789");
    const auto count = real_of(std::string_view(unit).substr(0, digits));
    return {count.value_or(1), digits == std::string::npos ? "" : unit.substr(digits)};
}

std::string shown(double number) {
    std::ostringstream text;
    text.precision(15);
    text << number;
    return text.str();
}

std::string out_of_range(const ParameterRow& row) {
    return "outside of " + (row.least ? shown(*row.least) : "-") + " to " +
           (row.most ? shown(*row.most) : "-") + (row.unit.empty() ? "" : " (in " + row.unit + ")");
}

NormalValue number_value(const ParameterRow& row, const std::string& value) {
    const std::string_view text = trimmed(value);
    const std::size_t end = std::min(text.find_first_not_of("+-.0123456789eE"), text.size());
    // An `e` that begins no exponent, as none of the units does.
    std::optional<double> number = real_of(text.substr(text.starts_with('+') ? 1 : 0, end));
    if (!number) {
        return {{}, "no number"};
    }
    if (const std::string unit(trimmed(text.substr(end))); !unit.empty()) {
        const auto [count, base] = base_of(row.unit);
        const bool memory = memory_units().contains(base);
        const auto& units = memory ? memory_units() : time_units();
        if (row.unit.empty() || !units.contains(base)) {
            return {{}, "a number with a unit, and it takes none"};
        }
        if (!units.contains(unit)) {
            return {{},
                    "in no unit that it takes: " +
                        std::string(memory ? "B, kB, MB, GB, TB" : "us, ms, s, min, h, d")};
        }
        number = *number * units.find(unit)->second / units.find(base)->second / count;
    }
    if (row.type == "integer") {
        number = std::rint(*number);
    }
    if ((row.least && *number < *row.least) || (row.most && *number > *row.most)) {
        return {{}, out_of_range(row)};
    }
    return {shown(*number), {}};
}

/// `on`, and every beginning of a word that only one of them has (bool.c, parse_bool).
NormalValue bool_value(const std::string& value) {
    const std::string word = lower_case(std::string(trimmed(value)));
    const auto begins = [&](std::string_view full, std::size_t at_least) {
        return word.size() >= at_least && full.starts_with(word);
    };
    if (word == "1" || word == "on" || begins("true", 1) || begins("yes", 1)) {
        return {"on", {}};
    }
    if (word == "0" || begins("off", 2) || begins("false", 1) || begins("no", 1)) {
        return {"off", {}};
    }
    return {{}, "neither on nor off"};
}

NormalValue enum_value(const ParameterRow& row, const std::string& value) {
    std::string all;
    for (const std::string& word : row.words) {
        if (lower_case(word) == lower_case(value)) {
            return {word, {}};
        }
        all += (all.empty() ? "" : ", ") + word;
    }
    return {{}, "none of " + all};
}

/// Patroni's own limits, and what it takes.
struct OwnRule {
    std::string_view name;
    std::optional<double> least;
    std::string_view unit;
};

constexpr std::array<OwnRule, 8> k_own_rules{{{"max_connections", 25, ""},
                                              {"max_wal_senders", 3, ""},
                                              {"wal_keep_segments", 1, ""},
                                              {"wal_keep_size", 16, "MB"},
                                              {"max_prepared_transactions", 0, ""},
                                              {"max_locks_per_transaction", 32, ""},
                                              {"max_replication_slots", 4, ""},
                                              {"max_worker_processes", 2, ""}}};

constexpr std::array<std::string_view, 14> k_controlled{"listen_addresses",
                                                        "port",
                                                        "cluster_name",
                                                        "hot_standby",
                                                        "data_directory",
                                                        "config_file",
                                                        "external_pid_file",
                                                        "primary_conninfo",
                                                        "primary_slot_name",
                                                        "promote_trigger_file",
                                                        "restore_command",
                                                        "archive_cleanup_command",
                                                        "recovery_end_command",
                                                        "recovery_min_apply_delay"};

}  // namespace

// The last entry of a file is the one that counts. pg_file_settings reads the files when it is
// asked, so an error there is one that is still in them.
const char* const k_parameter_query = R"sql(SELECT (SELECT pg_catalog.jsonb_build_object(
  'name', s.name, 'setting', s.setting, 'unit', s.unit, 'context', s.context, 'type', s.vartype,
  'least', s.min_val, 'most', s.max_val, 'words', pg_catalog.to_jsonb(s.enumvals),
  'file', s.sourcefile, 'pending', s.pending_restart,
  'in_file', f.setting, 'file_error', f.error)
  FROM pg_catalog.pg_settings s
  LEFT JOIN LATERAL (SELECT setting, error FROM pg_catalog.pg_file_settings
                     WHERE pg_catalog.lower(name) = pg_catalog.lower(s.name)
                     ORDER BY seqno DESC LIMIT 1) f ON true
  WHERE pg_catalog.lower(s.name) = pg_catalog.lower($1::pg_catalog.text)) AS parameter)sql";

ParameterRow parameter_row(const Json& row) {
    ParameterRow found;
    found.name = text_at(row, "name");
    found.setting = text_at(row, "setting");
    found.unit = text_at(row, "unit");
    found.context = text_at(row, "context");
    found.type = text_at(row, "type");
    found.least = real_of(text_at(row, "least"));
    found.most = real_of(text_at(row, "most"));
    if (row.contains("words") && row.at("words").is_array()) {
        for (const Json& word : row.at("words")) {
            found.words.push_back(word.is_string() ? word.get<std::string>() : "");
        }
    }
    found.file = text_at(row, "file");
    found.pending = row.contains("pending") && row.at("pending") == true;
    found.in_file = text_at(row, "in_file");
    found.file_error = text_at(row, "file_error");
    return found;
}

NormalValue normal_value(const ParameterRow& row, const std::string& value) {
    if (row.type == "integer" || row.type == "real") {
        return number_value(row, value);
    }
    if (row.type == "bool") {
        return bool_value(value);
    }
    return row.type == "enum" ? enum_value(row, value) : NormalValue{value, {}};
}

bool runs_with(const ParameterRow& row, const std::string& value) {
    const auto is_it = [&](const std::string& other) {
        const NormalValue wanted = normal_value(row, value);
        const NormalValue there = normal_value(row, other);
        return wanted.why_not.empty() && there.why_not.empty() && wanted.text == there.text;
    };
    const bool by_file = !row.needs_restart() && row.context != "internal" &&
                         row.file_error.empty() && !row.in_file.empty();
    return is_it(row.setting) || (by_file && is_it(row.in_file));
}

std::string why_patroni_refuses(std::string_view name, const std::optional<std::string>& value) {
    if (std::ranges::find(k_controlled, name) != k_controlled.end() ||
        name.starts_with("recovery_target")) {
        return "Patroni sets it itself";
    }
    const auto rule = std::ranges::find(k_own_rules, name, &OwnRule::name);
    if (rule == k_own_rules.end() || !value) {
        return {};
    }
    const ParameterRow row{
        .unit = std::string(rule->unit), .type = "integer", .least = rule->least};
    const NormalValue number = normal_value(row, *value);
    return number.why_not.empty()
               ? ""
               : "Patroni puts its default in the place of " + *value + ": " + number.why_not;
}

}  // namespace lockstep
