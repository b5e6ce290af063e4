#include "base/json.hpp"
#include "base/known_secrets.hpp"
#include "base/package_version.hpp"
#include "base/suggest.hpp"
#include "base/trusted_file.hpp"
#include "base/units.hpp"
#include "base/yaml.hpp"
#include "engine/expression/expression_functions.hpp"
#include "engine/runbook/runbook_reading.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>

namespace lockstep {

namespace {

using runbook_reading::UnfitValue;
using yaml::Node;

[[nodiscard]] Value read_version(const std::string& text) {
    try {
        static_cast<void>(PackageVersion(text));
    } catch (const Error& error) {
        throw UnfitValue("must be a version: " + std::string(error.what()), error.hint());
    }
    return Value(text);  // a text in expressions: version(inputs.target) makes it comparable
}

[[nodiscard]] Value read_list(const std::string& text) {
    Value::List list;
    if (text.starts_with('[')) {
        const nlohmann::json json = read_json(text).document;
        if (!json.is_array() || !std::all_of(json.begin(), json.end(), [](const auto& element) {
                return element.is_string();
            })) {
            throw UnfitValue("must be a list of texts",
                             "Separate them by commas, or write JSON: [\"a\", \"b\"].");
        }
        for (const auto& element : json) {
            list.emplace_back(element.get<std::string>());
        }
        return Value(std::move(list));
    }
    for (std::size_t begin = 0; !text.empty() && begin <= text.size();) {
        const std::size_t end = std::min(text.find(',', begin), text.size());
        const std::size_t first = std::min(text.find_first_not_of(' ', begin), end);
        const std::size_t last = text.find_last_not_of(' ', end == 0 ? 0 : end - 1);
        if (first == end) {
            throw UnfitValue("has an empty element", "Separate the elements by single commas.");
        }
        list.emplace_back(text.substr(first, last - first + 1));
        begin = end + 1;
    }
    return Value(std::move(list));
}

[[nodiscard]] Value integer_of(const std::string& text) {
    Node node;
    node.kind = Node::Kind::scalar;
    node.text = text;
    try {
        return Value(std::int64_t{yaml::as_integer(node, "")});
    } catch (const InputError& error) {
        throw UnfitValue("must be an integer, not \"" + text + "\"", error.hint());
    }
}

/// The value behind `env:NAME` or `file:PATH`. No message shows what the text is, in case somebody
/// gave the secret itself.
[[nodiscard]] Value read_secret(const std::string& text) {
    if (text.starts_with("env:")) {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread starts; nothing here sets it
        const char* const value = std::getenv(text.c_str() + 4);
        if (value == nullptr) {
            throw UnfitValue("comes from the environment variable " + text.substr(4) +
                             ", which is not set");
        }
        remember_secret_variable(text.substr(4));
        return Value::secret(value);
    }
    if (text.starts_with("file:")) {
        try {
            const std::string line = read_secret_line(text.substr(5), "the secret");
            remember_secret(line);
            return Value::secret(line);
        } catch (const Error& error) {
            throw UnfitValue(std::string("cannot be had: ") + error.what(), error.hint());
        }
    }
    throw UnfitValue("is a secret: it must not stand on the command line",
                     "Say where it comes from: env:NAME or file:PATH.");
}

[[nodiscard]] Value read_enumeration(const InputSpec& input, const std::string& text) {
    if (std::find(input.values.begin(), input.values.end(), text) == input.values.end()) {
        throw UnfitValue("cannot be \"" + text + "\"", did_you_mean(text, input.values));
    }
    return Value(text);
}

/// One line for one input: what is wrong, what it is for, and what to do.
std::string line_of(const InputSpec& input, const std::string& problem, const std::string& hint) {
    std::string line = "input " + input.name + " " + problem;
    if (!input.description.empty()) {
        line += " (" + input.description + ")";
    }
    return hint.empty() ? line : line + "; " + hint;
}

void check_names(const Runbook& runbook,
                 const std::map<std::string, std::string>& given,
                 std::vector<std::string>& problems) {
    std::vector<std::string> names;
    for (const InputSpec& input : runbook.inputs) {
        names.push_back(input.name);
    }
    for (const auto& [name, text] : given) {
        if (std::find(names.begin(), names.end(), name) == names.end()) {
            const std::string hint = names.empty() ? "it takes none" : did_you_mean(name, names);
            std::string problem = "runbook " + runbook.name;
            problems.push_back(problem.append(" has no input " + name).append("; " + hint));
        }
    }
}

}  // namespace

namespace runbook_reading {

void check_input_pattern(const InputSpec& input, const std::string& text) {
    if (input.pattern.empty()) {
        return;
    }
    Budget budget;
    PatternCache patterns;
    const Evaluation matched =
        patterns.matches(text, "\\A(?:" + input.pattern + ")\\z", true, budget);
    const auto* value = std::get_if<Value>(&matched);
    if (value == nullptr || !value->as_bool()) {
        throw UnfitValue("must match " + input.pattern + ": \"" + text + "\" does not");
    }
}

Value read_input_value(const InputSpec& input, const std::string& text) {
    switch (input.type) {
        case InputType::string:
            check_input_pattern(input, text);
            return Value(text);
        case InputType::integer:
            return integer_of(text);
        case InputType::boolean:
            if (text != "true" && text != "false") {
                throw UnfitValue("must be true or false, not \"" + text + "\"");
            }
            return Value(text == "true");
        case InputType::version:
            check_input_pattern(input, text);
            return read_version(text);
        case InputType::duration:
            if (const auto length = parse_duration(text)) {
                return Value(*length);
            }
            throw UnfitValue("must be a length of time, not \"" + text + "\"",
                             "Write it with a unit: 90s, 2m, 1h30m, 500ms.");
        case InputType::bytes:
            if (const auto bytes = parse_bytes(text)) {
                return Value(*bytes);
            }
            throw UnfitValue("must be a size, not \"" + text + "\"",
                             "Write it as 512MB, 16GB or a number of bytes.");
        case InputType::enumeration:
            return read_enumeration(input, text);
        case InputType::list: {
            Value list = read_list(text);
            for (const Value& element : list.as_list()) {
                check_input_pattern(input, element.as_string());
            }
            return list;
        }
        case InputType::secret:
            return read_secret(text);
    }
    throw UnfitValue("has no type");
}

}  // namespace runbook_reading

Value::Map read_inputs(const Runbook& runbook, const std::map<std::string, std::string>& given) {
    Value::Map values;
    std::vector<std::string> problems;
    check_names(runbook, given, problems);
    for (const InputSpec& input : runbook.inputs) {
        const auto text = given.find(input.name);
        if (text == given.end()) {
            if (input.required) {
                problems.push_back(
                    line_of(input, "is required", "give it as --set " + input.name + "=…"));
            }
            values.insert_or_assign(input.name, input.default_value.value_or(Value()));
            continue;
        }
        try {
            values.insert_or_assign(input.name,
                                    runbook_reading::read_input_value(input, text->second));
        } catch (const UnfitValue& error) {
            problems.push_back(line_of(input, error.what(), error.hint()));
        }
    }
    if (problems.empty()) {
        return values;
    }
    std::string message;
    for (const std::string& problem : problems) {
        message += (message.empty() ? "" : "\n") + problem;
    }
    throw UsageError(message);
}

namespace {

bool fits(const InputSpec& input, const Value& value) {
    switch (input.type) {
        case InputType::integer:
        case InputType::bytes:
            return value.kind() == Value::Kind::integer;
        case InputType::boolean:
            return value.kind() == Value::Kind::boolean;
        case InputType::duration:
            return value.kind() == Value::Kind::duration;
        case InputType::list:
            return value.kind() == Value::Kind::list;
        case InputType::secret:
            return value.tainted();
        default:
            return false;  // a text, which is read
    }
}

}  // namespace

Value::Map called_inputs(const Runbook& runbook,
                         const Value::Map& given,
                         const SourceLocation& where) {
    Value::Map values;
    for (const auto& [name, value] : given) {
        const bool known = std::any_of(
            runbook.inputs.begin(), runbook.inputs.end(), [&wanted = name](const InputSpec& input) {
                return input.name == wanted;
            });
        if (!known) {
            throw InputError(where, "runbook " + runbook.name + " has no input " + name);
        }
    }
    for (const InputSpec& input : runbook.inputs) {
        const auto found = given.find(input.name);
        if (found == given.end() || found->second.kind() == Value::Kind::null) {
            if (input.required) {
                throw InputError(where,
                                 "runbook " + runbook.name + " needs the input " + input.name,
                                 input.description);
            }
            values.insert_or_assign(input.name, input.default_value.value_or(Value()));
            continue;
        }
        const Value& value = found->second;
        if (fits(input, value)) {
            values.insert_or_assign(input.name, value);
            continue;
        }
        if (value.kind() != Value::Kind::string || value.tainted()) {
            throw InputError(where,
                             "input " + input.name + " of runbook " + runbook.name + " cannot be " +
                                 std::string(value.kind_name()),
                             input.description);
        }
        try {
            values.insert_or_assign(input.name,
                                    runbook_reading::read_input_value(input, value.as_string()));
        } catch (const UnfitValue& error) {
            throw InputError(
                where,
                "input " + input.name + " of runbook " + runbook.name + " " + error.what(),
                error.hint());
        }
    }
    return values;
}

}  // namespace lockstep
