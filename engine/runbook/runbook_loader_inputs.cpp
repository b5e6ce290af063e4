#include "base/yaml.hpp"
#include "engine/expression/expression_functions.hpp"
#include "engine/runbook/runbook_reading.hpp"

namespace lockstep::runbook_reading {

namespace {

using yaml::Node;

const std::vector<std::pair<std::string, InputType>>& types() {
    static const std::vector<std::pair<std::string, InputType>> all{
        {"string", InputType::string},
        {"int", InputType::integer},
        {"bool", InputType::boolean},
        {"version", InputType::version},
        {"duration", InputType::duration},
        {"bytes", InputType::bytes},
        {"enum", InputType::enumeration},
        {"list", InputType::list},
        {"secret", InputType::secret},
    };
    return all;
}

InputType read_type(Reading& reading, const Node& node) {
    std::vector<std::string> names;
    for (const auto& [name, type] : types()) {
        names.push_back(name);
    }
    const auto wanted = read_one_of(reading, node, "type of input", names);
    for (const auto& [name, type] : types()) {
        if (name == wanted) {
            return type;
        }
    }
    return InputType::string;
}

void read_pattern(Reading& reading, const Node& node, InputSpec& input) {
    reading.problems.attempt([&] { input.pattern = yaml::as_string(node, "pattern"); });
    if (input.type != InputType::string && input.type != InputType::version &&
        input.type != InputType::list) {
        reading.problems.add(node.where,
                             "only inputs of type string, version and list have a pattern",
                             {},
                             "runbook.no_effect");
    }
    Budget budget;
    PatternCache patterns;
    const Evaluation tried = patterns.matches("", input.pattern, true, budget);
    if (const auto* error = std::get_if<EvaluationError>(&tried)) {
        reading.problems.add(node.where, error->message, error->hint);
        input.pattern.clear();
    }
}

void read_values(Reading& reading, const Node* node, InputSpec& input, const Node& key) {
    if ((node == nullptr) == (input.type == InputType::enumeration)) {
        reading.problems.add(node == nullptr ? key.where : node->where,
                             node == nullptr ? "an input of type enum needs `values`"
                                             : "only an input of type enum has `values`",
                             "values: [one, two]",
                             node == nullptr ? "runbook.missing" : "runbook.no_effect");
        return;
    }
    if (node == nullptr) {
        return;
    }
    if (!node->is(Node::Kind::list) || node->items.empty()) {
        reading.problems.add(node->where,
                             "values must be a list of at least one text, not " +
                                 (node->is(Node::Kind::list) ? "an empty one" : node->describe()),
                             {},
                             "runbook.type");
        return;
    }
    for (const Node& item : node->items) {
        reading.problems.attempt(
            [&] { input.values.push_back(yaml::as_string(item, "one of values")); });
    }
}

Value read_default_list(const InputSpec& input, const Node& node) {
    if (!node.is(Node::Kind::list)) {
        throw InputError(
            node.where, "default must be a list, not " + node.describe(), {}, "runbook.type");
    }
    Value::List list;
    for (const Node& item : node.items) {
        const std::string text = yaml::as_string(item, "an element of default");
        try {
            check_input_pattern(input, text);
        } catch (const UnfitValue& error) {
            throw InputError(
                item.where, "default " + std::string(error.what()), error.hint(), "runbook.value");
        }
        list.emplace_back(text);
    }
    return Value(std::move(list));
}

/// The default as YAML has it: what would be quoted there is quoted here.
Value read_default(const InputSpec& input, const Node& node) {
    switch (input.type) {
        case InputType::integer:
            return Value(std::int64_t{yaml::as_integer(node, "default")});
        case InputType::boolean:
            return Value(yaml::as_bool(node, "default"));
        case InputType::list:
            return read_default_list(input, node);
        case InputType::secret:
            throw InputError(node.where,
                             "a secret has no default",
                             "Whoever runs it says where it is: --set " + input.name + "=env:NAME.",
                             "runbook.value");
        default:
            break;
    }
    const std::string text = yaml::as_string(node, "default");
    if (text.find("${{") != std::string::npos) {
        throw InputError(node.where,
                         "default must be a constant",
                         "For what depends on inputs or the cluster there are `vars`.",
                         "runbook.value");
    }
    try {
        return read_input_value(input, text);
    } catch (const UnfitValue& error) {
        throw InputError(
            node.where, "default " + std::string(error.what()), error.hint(), "runbook.value");
    }
}

InputSpec read_input_spec(Reading& reading, const Node& key, const Node& node) {
    InputSpec input;
    input.name = key.text;
    input.where = key.where;
    if (!is_name(key.text, false)) {
        reading.problems.add(key.where,
                             "\"" + key.text + "\" is no name for an input",
                             "Lower case letters, digits and _, a letter first.",
                             "runbook.bad_name");
    }
    if (!check_keys(reading, node, "input", "input " + input.name)) {
        return input;
    }
    if (const Node* type = node.find("type")) {
        input.type = read_type(reading, *type);
    }
    if (const Node* required = node.find("required")) {
        reading.problems.attempt([&] { input.required = yaml::as_bool(*required, "required"); });
    }
    if (const Node* description = node.find("description")) {
        reading.problems.attempt(
            [&] { input.description = yaml::as_string(*description, "description"); });
    }
    if (const Node* pattern = node.find("pattern")) {
        read_pattern(reading, *pattern, input);
    }
    read_values(reading, node.find("values"), input, key);
    if (const Node* value = node.find("default")) {
        reading.problems.attempt([&] { input.default_value = read_default(input, *value); });
        if (input.required) {
            reading.problems.add(
                value->where, "a required input has no default", "Remove one of the two.");
        }
    }
    return input;
}

}  // namespace

std::vector<InputSpec> read_input_specs(Reading& reading, const Node& node) {
    std::vector<InputSpec> inputs;
    if (!require_map(reading, node, "inputs")) {
        return inputs;
    }
    for (const auto& [key, value] : node.entries) {
        inputs.push_back(read_input_spec(reading, key, value));
        reading.inputs.push_back(key.text);
    }
    return inputs;
}

}  // namespace lockstep::runbook_reading
