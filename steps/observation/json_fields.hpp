#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>

/// Reading JSON that another program wrote: a field that is missing, or of another type than
/// expected, is an absent fact and no error.
namespace lockstep::json_fields {

/// The value of a key, or null.
[[nodiscard]] inline const nlohmann::json& at(const nlohmann::json& object, const char* key) {
    static const nlohmann::json k_null;
    if (!object.is_object()) {
        return k_null;
    }
    const auto found = object.find(key);
    return found == object.end() ? k_null : *found;
}

[[nodiscard]] inline std::string text(const nlohmann::json& object, const char* key) {
    const nlohmann::json& value = at(object, key);
    return value.is_string() ? value.get<std::string>() : std::string();
}

[[nodiscard]] inline std::optional<std::int64_t> integer(const nlohmann::json& object,
                                                         const char* key) {
    const nlohmann::json& value = at(object, key);
    constexpr double k_past_integers = 9223372036854775808.0;
    const bool fits = value.is_number_integer() ||
                      (value.is_number_float() && value.get<double>() >= -k_past_integers &&
                       value.get<double>() < k_past_integers);
    return fits ? std::optional(value.get<std::int64_t>()) : std::nullopt;
}

[[nodiscard]] inline bool flag(const nlohmann::json& object, const char* key) {
    const nlohmann::json& value = at(object, key);
    return value.is_boolean() && value.get<bool>();
}

}  // namespace lockstep::json_fields
