#include "cluster/setting_value.hpp"

#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <string_view>

namespace lockstep {

namespace {

/// A number with a unit of PostgreSQL; `kind` is `n` without one, `b` for sizes, `t` for times.
struct Quantity {
    double number = 0;
    double unit = 1;
    char kind = 'n';

    [[nodiscard]] double value() const { return number * unit; }
};

struct Unit {
    std::string_view name;
    char kind;
    double factor;
};

// src/backend/utils/misc/guc.c, memory_unit_conversion_table and time_unit_conversion_table,
// PostgreSQL 11 to 18; in bytes and milliseconds.
constexpr std::array k_units{Unit{"B", 'b', 1},
                             Unit{"kB", 'b', 1024.0},
                             Unit{"MB", 'b', 1048576.0},
                             Unit{"GB", 'b', 1073741824.0},
                             Unit{"TB", 'b', 1099511627776.0},
                             Unit{"us", 't', 0.001},
                             Unit{"ms", 't', 1},
                             Unit{"s", 't', 1000},
                             Unit{"min", 't', 60000},
                             Unit{"h", 't', 3600000},
                             Unit{"d", 't', 86400000}};

std::optional<Quantity> quantity_of(const std::string& text) {
    if (text.empty() || (std::isdigit(static_cast<unsigned char>(text.front())) == 0 &&
                         text.front() != '-' && text.front() != '.')) {
        return std::nullopt;
    }
    char* end = nullptr;
    Quantity quantity;
    quantity.number = std::strtod(text.c_str(), &end);
    std::string_view rest(end);
    while (rest.starts_with(' ')) {
        rest.remove_prefix(1);
    }
    if (end == text.c_str() || !std::isfinite(quantity.number)) {
        return std::nullopt;
    }
    if (rest.empty()) {
        return quantity;
    }
    const auto unit = std::ranges::find(k_units, rest, &Unit::name);
    if (unit == k_units.end()) {
        return std::nullopt;
    }
    quantity.kind = unit->kind;
    quantity.unit = unit->factor;
    return quantity;
}

std::optional<bool> truth_of(std::string_view value) {
    const std::string text = lower(value);
    if (text == "on" || text == "true" || text == "yes" || text == "1") {
        return true;
    }
    if (text == "off" || text == "false" || text == "no" || text == "0") {
        return false;
    }
    return std::nullopt;
}

// tcp_… show 0 on a Unix socket, permissions are octal, and Patroni turns hot_standby_feedback on
// by itself where logical slots are copied.
bool is_shown_otherwise(const std::string& name) {
    return name.starts_with("tcp_") || name.ends_with("_mode") || name.ends_with("_permissions") ||
           name == "hot_standby_feedback" || name == "listen_addresses" || name == "port" ||
           name == "cluster_name";
}

}  // namespace

bool is_on(const nlohmann::json& value) {
    if (value.is_boolean()) {
        return value.get<bool>();
    }
    if (value.is_number()) {
        return value.get<double>() != 0;
    }
    return value.is_string() && truth_of(value.get_ref<const std::string&>()) == true;
}

std::optional<bool> same_setting(const std::string& name,
                                 const nlohmann::json& configured,
                                 const std::string& running) {
    if (running.empty() || (is_shown_otherwise(name) && name != "archive_mode")) {
        return std::nullopt;
    }
    const std::string wanted =
        configured.is_string() ? configured.get<std::string>() : configured.dump();
    if (running == "on" || running == "off") {
        const auto truth = truth_of(wanted);
        return truth ? std::optional(*truth == (running == "on")) : std::nullopt;
    }
    const auto there = quantity_of(wanted);
    const auto here = quantity_of(running);
    if (!there || !here || there->number < 0 || there->kind != here->kind) {
        return std::nullopt;
    }
    // What is finer than the parameter's own unit is rounded.
    const double slack = here->kind == 'n' ? 1e-9 * std::abs(here->value()) : here->unit / 2;
    return std::abs(there->value() - here->value()) <= slack;
}

}  // namespace lockstep
