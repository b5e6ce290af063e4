#include "engine/expression/facts_value.hpp"

namespace lockstep {

Value facts_value(const nlohmann::json& json, const std::string& path) {
    if (json.is_null()) {
        return Value::unknown(path + " is not known");
    }
    if (json.is_object()) {
        Value::Map map;
        for (const auto& [key, element] : json.items()) {
            map.emplace(key, facts_value(element, path + "." + key));
        }
        return Value(std::move(map));
    }
    if (json.is_array()) {
        Value::List list;
        for (const nlohmann::json& element : json) {
            list.push_back(facts_value(element, path + "[]"));
        }
        return Value(std::move(list));
    }
    return Value::from_json(json);
}

}  // namespace lockstep
