#include "base/json.hpp"
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

ReadOutput output_of(const PlannedStep& step, const nlohmann::json& output, Scope scope) {
    const OutputSpec& spec = step.spec->output;
    nlohmann::json read = output;
    if (spec.as != OutputSpec::As::whole) {
        const std::optional<std::string> text = text_in(output);
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
    }
    if (!spec.select) {
        return {read, {}};
    }
    scope.insert_or_assign("result", Value::from_json(read));
    const Evaluation selected = spec.select->evaluate(scope);
    if (const auto* error = std::get_if<EvaluationError>(&selected)) {
        return {nullptr, "`" + spec.select->text() + "` of what it gave: " + error->message};
    }
    if (const auto* unknown = std::get_if<Value::Unknown>(&selected)) {
        return {nullptr,
                "`" + spec.select->text() + "` of what it gave is not known: " + unknown->because};
    }
    return {std::get<Value>(selected).to_json(), {}};
}

}  // namespace lockstep
