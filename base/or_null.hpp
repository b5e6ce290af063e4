#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>

/// In JSON what is not known, or not given, is null.
namespace lockstep {

/// Null for an empty text.
[[nodiscard]] inline nlohmann::json or_null(const std::string& text) {
    return text.empty() ? nlohmann::json(nullptr) : nlohmann::json(text);
}

template <class Value>
[[nodiscard]] nlohmann::json or_null(const std::optional<Value>& value) {
    return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

}  // namespace lockstep
