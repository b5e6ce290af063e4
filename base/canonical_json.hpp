#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace lockstep {

/// JSON as it is hashed and sent: keys in order, nothing between them, what is no UTF-8 replaced.
[[nodiscard]] std::string canonical(const nlohmann::json& document);

}  // namespace lockstep
