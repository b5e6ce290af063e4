#include "engine/runbook/schema.hpp"

#include "engine/runbook/language.hpp"
#include "inventory/inventory_language.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using Json = nlohmann::ordered_json;
using language::Key;
using language::Kind;
using language::Place;
using language::Shape;

constexpr const char* k_draft = "https://json-schema.org/draft/2020-12/schema";
constexpr const char* k_duration = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";

Json definition(std::string_view name) {
    return {{"$ref", "#/$defs/" + std::string(name)}};
}

/// Also what YAML takes for something else than a text: the loaders read what was written.
Json text_schema() {
    return {{"type", {"string", "number", "boolean"}}};
}

Json pattern(const std::string& expected) {
    return {{"type", "string"}, {"pattern", expected}};
}

/// `expected`, or an expression that gives it.
Json or_expression(const Json& expected) {
    return {{"anyOf", {expected, definition("template")}}};
}

Json list_of(const Json& items) {
    return {{"type", "array"}, {"items", items}};
}

Json map_of(const Json& values) {
    return {{"type", "object"}, {"additionalProperties", values}};
}

/// A map with these keys and no others.
Json object(Json properties, const Json& required) {
    Json schema = {{"type", "object"}, {"additionalProperties", false}};
    if (!required.empty()) {
        schema["required"] = required;
    }
    schema["properties"] = std::move(properties);
    return schema;
}

Json single(const Key& key, const Shape& shape) {
    switch (shape.kind) {
        case Kind::text:
            return text_schema();
        case Kind::name:
            return pattern("^[a-z][a-z0-9_-]*$");
        case Kind::words:
            return {{"enum", key.words}};
        case Kind::boolean:
            return {{"type", "boolean"}};
        case Kind::integer:
        case Kind::number:
            return {{"type", shape.kind == Kind::integer ? "integer" : "number"},
                    {"minimum", key.least},
                    {"maximum", key.most}};
        case Kind::duration:
            return pattern(k_duration);
        case Kind::expression:
            return definition("expression");
        case Kind::any:
            return Json::object();
        case Kind::batch:
            return {{"anyOf",
                     {{{"type", "integer"}, {"minimum", 1}, {"maximum", 9999}},
                      pattern("^([1-9][0-9]?%|100%|all)$")}}};
        case Kind::action:
            return definition("action");
        case Kind::arguments:
            return {{"type", {"object", "null"}}};
        case Kind::finding:
            return definition("finding");
        case Kind::guard:
            return definition("guard");
        case Kind::keys:
            return definition(shape.of);
        case Kind::word:
            return {{"type", {"string", "number"}}, {"pattern", "^[^-\\s]\\S*$"}};
        case Kind::path:
            return {{"type", "string"}, {"minLength", 1}};
        case Kind::url:
            return pattern("^https?://\\S+$");
    }
    return Json::object();
}

Json shaped(const Key& key, const Shape& shape) {
    Json one = single(key, shape);
    switch (shape.many) {
        case Shape::Many::one:
            return one;
        case Shape::Many::list:
            one = list_of(one);
            // Of findings and guards there may be none; a list of anything else would say nothing.
            if (shape.kind != Kind::finding && shape.kind != Kind::guard) {
                one["minItems"] = 1;
            }
            return one;
        case Shape::Many::map:
            one = map_of(key.may_be_null ? Json{{"anyOf", {one, {{"type", "null"}}}}} : one);
            if (key.required) {
                one["minProperties"] = 1;
            }
            return one;
    }
    return one;
}

Json key_schema(const Key& key) {
    Json schema;
    if (key.shapes.size() == 1) {
        schema = shaped(key, key.shapes.front());
    } else {
        schema["anyOf"] = Json::array();
        for (const Shape& shape : key.shapes) {
            schema["anyOf"].push_back(shaped(key, shape));
        }
    }
    schema["description"] =
        std::string(key.description) + " For example: " + std::string(key.example);
    if (!key.otherwise.empty() && std::ranges::find(key.words, key.otherwise) != key.words.end()) {
        schema["default"] = key.otherwise;
    }
    return schema;
}

Json place_schema(const Place& place) {
    Json properties = Json::object();
    Json required = Json::array();
    for (const Key& key : place.keys) {
        if (key.later) {
            continue;
        }
        properties[std::string(key.name)] = key_schema(key);
        if (key.required) {
            required.push_back(key.name);
        }
    }
    Json schema = object(std::move(properties), required);
    schema["description"] = place.description;
    if (place.one_key) {
        schema["minProperties"] = 1;
        schema["maxProperties"] = 1;
    }
    return schema;
}

Json param_schema(const ParamSchema& param) {
    Json schema;
    switch (param.kind) {
        case ParamKind::string:
            schema = param.values.empty() ? text_schema() : or_expression({{"enum", param.values}});
            break;
        case ParamKind::shell:
        case ParamKind::version:
            schema = text_schema();
            break;
        case ParamKind::integer:
            schema = or_expression({{"type", "integer"}});
            break;
        case ParamKind::boolean:
            schema = or_expression({{"type", "boolean"}});
            break;
        case ParamKind::duration:
            schema = or_expression(pattern(k_duration));
            break;
        case ParamKind::bytes:
            schema = {{"type", {"string", "integer"}}};
            break;
        case ParamKind::list:
            schema = or_expression(list_of(text_schema()));
            break;
        case ParamKind::map:
            schema = or_expression(map_of(text_schema()));
            break;
        case ParamKind::any:
            schema = Json::object();
            break;
        case ParamKind::expression:
            schema = definition("expression");
            break;
    }
    schema["description"] = param.description;
    return schema;
}

/// What an action or guard takes.
Json arguments_schema(const ActionSchema& action) {
    Json properties = Json::object();
    Json required = Json::array();
    bool choice_required = false;
    for (const ParamSchema& param : action.params) {
        properties[param.name] = param_schema(param);
        const bool choice = std::ranges::find(action.one_of, param.name) != action.one_of.end();
        choice_required = choice_required || (choice && param.required);
        if (param.required && !choice) {
            required.push_back(param.name);
        }
    }
    Json schema = object(std::move(properties), required);
    schema["description"] = action.summary;
    if (choice_required) {
        schema["oneOf"] = Json::array();
        for (const std::string& name : action.one_of) {
            schema["oneOf"].push_back({{"required", {name}}});
        }
    }
    return schema;
}

bool needs_arguments(const ActionSchema& action) {
    return std::ranges::any_of(action.params, &ParamSchema::required);
}

/// `with` by `uses`: an `if` for each action.
Json uses_schema(const ActionCatalog& actions) {
    Json all = Json::array();
    for (const ActionSchema& action : actions) {
        Json then = {{"properties", {{"with", definition("with." + action.name)}}}};
        if (needs_arguments(action)) {
            then["required"] = Json::array({"with"});
        } else {
            then["properties"]["with"] = {
                {"anyOf", {definition("with." + action.name), {{"type", "null"}}}}};
        }
        all.push_back(
            {{"if", {{"properties", {{"uses", {{"const", action.name}}}}}, {"required", {"uses"}}}},
             {"then", then}});
    }
    return {{"allOf", all}};
}

Json actions_schema(const ActionCatalog& actions) {
    Json choices = Json::array();
    for (const ActionSchema& action : actions) {
        choices.push_back({{"const", action.name}, {"description", action.summary}});
    }
    return {{"oneOf", choices}};
}

/// `name`, or `name: {param: value}`.
Json guards_schema(const ActionCatalog& guards) {
    Json choices = Json::array();
    for (const ActionSchema& guard : guards) {
        const Json arguments = arguments_schema(guard);
        if (!needs_arguments(guard)) {
            choices.push_back({{"const", guard.name}, {"description", guard.summary}});
        }
        choices.push_back(object({{guard.name, arguments}}, {guard.name}));
    }
    return {{"oneOf", choices}};
}

Json findings_schema(const std::vector<std::string>& ids) {
    std::string any;
    for (const std::string& id : ids) {
        any += any.empty() ? "" : "|";
        for (const char c : id) {
            any += c == '.' ? "\\." : std::string(1, c);
        }
    }
    return {{"anyOf", {{{"enum", ids}}, pattern("^(" + any + "):.+$")}}};
}

/// An action or a block, and what has no effect on a block.
void complete_step(Json& step) {
    step["oneOf"] = {{{"required", {"uses"}}}, {{"required", {"steps"}}}};
    Json refused = Json::object();
    for (const Key& key : language::place("step").keys) {
        if (key.actions_only) {
            refused[std::string(key.name)] = false;
        }
    }
    step["dependentSchemas"] = {{"steps", {{"properties", refused}}}};
    step["$ref"] = "#/$defs/uses";
}

}  // namespace

nlohmann::ordered_json runbook_schema(const RunbookVocabulary& vocabulary) {
    Json defs = Json::object();
    for (const Place& place : language::places()) {
        defs[std::string(place.name)] = place_schema(place);
    }
    complete_step(defs.at("step"));
    defs.at("call")["$ref"] = "#/$defs/uses";
    defs["uses"] = uses_schema(vocabulary.actions);
    defs["action"] = actions_schema(vocabulary.actions);
    for (const ActionSchema& action : vocabulary.actions) {
        defs["with." + action.name] = arguments_schema(action);
    }
    defs["guard"] = guards_schema(vocabulary.guards);
    defs["finding"] = findings_schema(vocabulary.finding_ids);
    defs["expression"] = {{"type", {"string", "boolean", "number"}},
                          {"not", {{"type", "string"}, {"pattern", "\\$\\{\\{"}}},
                          {"description", "A bare expression, without ${{ }}."}};
    defs["template"] = {{"type", "string"},
                        {"pattern", "\\$\\{\\{"},
                        {"description", "A text with ${{ expression }} in it."}};
    return {{"$schema", k_draft},
            {"title", "A runbook of lockstep"},
            {"$ref", "#/$defs/runbook"},
            {"$defs", defs}};
}

nlohmann::ordered_json inventory_schema() {
    Json defs = Json::object();
    for (const Place& place : inventory_places()) {
        defs[std::string(place.name)] = place_schema(place);
    }
    return {{"$schema", k_draft},
            {"title", "An inventory of lockstep"},
            {"$ref", "#/$defs/inventory"},
            {"$defs", defs}};
}

}  // namespace lockstep
