#include "base/json.hpp"
#include "base/known_secrets.hpp"
#include "engine/plan/binding.hpp"

#include <algorithm>
#include <optional>

// What a step keeps of its output.
namespace lockstep {

namespace {

/// What `as` reads: stdout of a command, the body of an answer, a text.
std::optional<std::string> text_in(const nlohmann::json& output) {
    for (const char* field : {"stdout", "body"}) {
        if (output.is_object() && output.contains(field) && output.at(field).is_string()) {
            return output.at(field).get<std::string>();
        }
    }
    return output.is_string() ? std::optional(output.get<std::string>()) : std::nullopt;
}

nlohmann::json lines_of(const std::string& text) {
    nlohmann::json lines = nlohmann::json::array();
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        lines.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return lines;
}

}  // namespace

Value output_value(const nlohmann::json& output, bool holds_secret) {
    if (!holds_secret) {
        return Value::from_json(output);
    }
    if (output.is_array()) {
        Value::List list;
        for (const nlohmann::json& item : output) {
            list.push_back(output_value(item, true));
        }
        return Value(std::move(list));
    }
    if (output.is_object()) {
        Value::Map map;
        for (const auto& [key, item] : output.items()) {
            map.emplace(key, output_value(item, true));
        }
        return Value(std::move(map));
    }
    const Value value = Value::from_json(output);
    const bool hidden = output.is_string() &&
                        output.get_ref<const std::string&>().find(k_hidden) != std::string::npos;
    return hidden ? value.with_taint() : value;
}

ReadOutput output_of(const PlannedStep& step, const StepResult& result, Scope scope) {
    const OutputSpec& spec = step.spec->output;
    nlohmann::json read = result.output;
    bool holds_secret = result.holds_secret;
    if (spec.as != OutputSpec::As::whole) {
        const std::optional<std::string> text = text_in(read);
        if (!text) {
            return {nullptr, "it gave no text to register"};
        }
        const std::string trimmed = text->substr(0, text->find_last_not_of('\n') + 1);
        if (spec.as == OutputSpec::As::json) {
            ReadJson json = read_json(trimmed);
            if (!json.ok()) {
                return {nullptr, "what it gave " + json.trouble};
            }
            read = std::move(json.document);
        } else {
            read = spec.as == OutputSpec::As::text ? nlohmann::json(trimmed) : lines_of(trimmed);
        }
        holds_secret = hide_secrets(read) || holds_secret;  // that JSON had escaped in its own way
    }
    (void)Value::from_json(read);  // not nested too deep for an expression
    if (!spec.select) {
        return {read, {}, holds_secret};
    }
    scope.insert_or_assign("result", output_value(read, holds_secret));
    const Evaluation selected = spec.select->evaluate(scope);
    if (const auto* error = std::get_if<EvaluationError>(&selected)) {
        return {nullptr, "`" + spec.select->text() + "` of what it gave: " + error->message};
    }
    if (const auto* unknown = std::get_if<Value::Unknown>(&selected)) {
        return {nullptr,
                "`" + spec.select->text() + "` of what it gave is not known: " + unknown->because};
    }
    return {std::get<Value>(selected).to_json(), {}, holds_secret};
}

}  // namespace lockstep
