#include "steps/actions/config_patch.hpp"

namespace lockstep {

namespace {

using Json = nlohmann::json;

/// str() of Python, as far as two values of JSON can have the same one without being the same.
std::string python_text(const Json& value) {
    if (value.is_string()) {
        return value.get<std::string>();
    }
    if (value.is_boolean()) {
        return value.get<bool>() ? "True" : "False";
    }
    return value.is_null() ? "None" : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool differ(const Json& a, const Json& b) {
    return a != b && (a.is_structured() || b.is_structured() || python_text(a) != python_text(b));
}

}  // namespace

bool apply_config_patch(Json& config, const Json& patch) {
    bool changed = false;
    for (const auto& [name, value] : patch.items()) {
        const auto found = config.find(name);
        if (value.is_null()) {
            changed = changed || (found != config.end() && !found->is_null());
            config.erase(name);
        } else if (found == config.end()) {
            config[name] = value;
            changed = true;
        } else if (value.is_object() && found->is_object()) {
            changed = apply_config_patch(*found, value) || changed;
        } else if (differ(*found, value)) {
            *found = value;
            changed = true;
        }
    }
    return changed;
}

Json inverse_config_patch(const Json& config, const Json& patch) {
    Json inverse = Json::object();
    for (const auto& [name, value] : patch.items()) {
        const auto found = config.find(name);
        if (found == config.end()) {
            if (!value.is_null()) {
                inverse[name] = nullptr;
            }
        } else if (value.is_object() && found->is_object()) {
            Json inner = inverse_config_patch(*found, value);
            if (!inner.empty()) {
                inverse[name] = std::move(inner);
            }
        } else if (value.is_null() ? !found->is_null() : differ(*found, value)) {
            inverse[name] = *found;
        }
    }
    return inverse;
}

}  // namespace lockstep
