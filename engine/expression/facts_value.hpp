#pragma once

#include "engine/expression/value.hpp"

#include <nlohmann/json.hpp>

#include <string>

namespace lockstep {

/// Facts as expressions see them: what nobody could observe is unknown, and never passes for
/// anything. `path` is its name in messages: `cluster`.
[[nodiscard]] Value facts_value(const nlohmann::json& json, const std::string& path);

}  // namespace lockstep
