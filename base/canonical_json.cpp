#include "base/canonical_json.hpp"

#include <nlohmann/json.hpp>

namespace lockstep {

std::string canonical(const nlohmann::json& document) {
    return document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace lockstep
