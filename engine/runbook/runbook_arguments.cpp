#include "base/package_version.hpp"
#include "base/suggest.hpp"
#include "base/units.hpp"
#include "engine/runbook/runbook_reading.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace lockstep::runbook_reading {

namespace {

using yaml::Node;

/// One `with:` value on its way to an Argument.
struct Given {
    const ParamSchema& param;
    const Node& node;
    const Owner& owner;
    Visible visible;

    /// `step "drain": timeout`
    [[nodiscard]] std::string what() const { return owner.what + ": " + param.name; }
};

bool is_one_expression(const std::string& text) {
    const std::size_t first = text.find_first_not_of(" \n");
    const std::size_t last = text.find_last_not_of(" \n");
    return first != std::string::npos && text.compare(first, 3, "${{") == 0 && last >= 1 &&
           text.compare(last - 1, 2, "}}") == 0 && text.find("${{", first + 3) == std::string::npos;
}

/// A text with expressions in it; nullopt, and a problem, where they are not valid.
std::optional<Template> read_template(Reading& reading, const Node& node, Visible visible) {
    std::optional<Template> result;
    reading.problems.attempt([&] {
        result = Template::parse(node.text, node.text_where);
        check_reads(reading, result->reads(), node.text, node.text_where, visible);
    });
    return result;
}

std::string constant_text(const Template& text) {
    const Evaluation rendered = text.render({});
    const auto* value = std::get_if<Value>(&rendered);
    return value != nullptr ? value->to_text() : text.text();
}

void check_value(Reading& reading, const Given& given, const Node& node, const std::string& text) {
    const auto& values = given.param.values;
    if (!values.empty() && std::find(values.begin(), values.end(), text) == values.end()) {
        reading.problems.add(
            node.where, given.what() + " cannot be \"" + text + "\"", did_you_mean(text, values));
    }
}

/// Whether a text that needs no evaluation is what the parameter takes.
void check_constant(Reading& reading, const Given& given, const std::string& text) {
    const SourceLocation& where = given.node.where;
    switch (given.param.kind) {
        case ParamKind::duration:
            static_cast<void>(read_duration(reading, given.node, given.what(), true));
            break;
        case ParamKind::bytes:
            if (!parse_bytes(text)) {
                reading.problems.add(where,
                                     given.what() + " must be a size, not " + given.node.describe(),
                                     "Write it as 512MB, 16GB or a number of bytes.");
            }
            break;
        case ParamKind::version:
            try {
                static_cast<void>(PackageVersion(text));
            } catch (const Error& error) {
                reading.problems.add(where, given.what() + ": " + error.what(), error.hint());
            }
            break;
        default:
            check_value(reading, given, given.node, text);
    }
}

/// Kinds that are a text in YAML.
std::optional<Argument> read_text(Reading& reading, const Given& given) {
    if (!given.node.is(Node::Kind::scalar)) {
        reading.problems.add(given.node.where,
                             given.what() + " must be a text, not " + given.node.describe(),
                             {},
                             "runbook.type");
        return std::nullopt;
    }
    auto text = read_template(reading, given.node, given.visible);
    if (!text) {
        return std::nullopt;
    }
    if (text->is_constant()) {
        check_constant(reading, given, constant_text(*text));
    }
    return Argument{std::move(*text), given.node.where};
}

/// An integer or a boolean: a plain one, or an expression that gives one.
std::optional<Argument> read_typed(Reading& reading, const Given& given) {
    if (given.node.is(Node::Kind::scalar) && is_one_expression(given.node.text)) {
        return read_text(reading, given);
    }
    std::optional<Argument> result;
    reading.problems.attempt([&] {
        const Value value = given.param.kind == ParamKind::boolean
                                ? Value(yaml::as_bool(given.node, given.what()))
                                : Value(std::int64_t{yaml::as_integer(given.node, given.what())});
        result = Argument{value, given.node.where};
    });
    return result;
}

/// A text of a list or map of texts.
std::optional<Argument> read_element(Reading& reading, const Given& given, const Node& node) {
    if (!node.is(Node::Kind::scalar)) {
        reading.problems.add(node.where,
                             given.what() + " must hold texts only, not " + node.describe(),
                             {},
                             "runbook.type");
        return std::nullopt;
    }
    auto text = read_template(reading, node, given.visible);
    if (!text) {
        return std::nullopt;
    }
    if (text->is_constant()) {
        check_value(reading, given, node, constant_text(*text));
    }
    return Argument{std::move(*text), node.where};
}

std::optional<Argument> read_list(Reading& reading, const Given& given) {
    if (!given.node.is(Node::Kind::list)) {
        reading.problems.add(given.node.where,
                             given.what() + " must be a list, not " + given.node.describe(),
                             {},
                             "runbook.type");
        return std::nullopt;
    }
    Argument::List list;
    for (const Node& item : given.node.items) {
        if (auto element = read_element(reading, given, item)) {
            list.push_back(std::move(*element));
        }
    }
    return Argument{std::move(list), given.node.where};
}

/// Keys are kept as they are: an expression in one would silently stay a text.
void check_key(Reading& reading, const Node& key) {
    if (key.text.find("${{") != std::string::npos) {
        reading.problems.add(
            key.where, "a key cannot hold an expression", {}, "runbook.expression");
    }
}

std::optional<Argument> read_map(Reading& reading, const Given& given) {
    if (!require_map(reading, given.node, given.what())) {
        return std::nullopt;
    }
    Argument::Map map;
    for (const auto& [key, value] : given.node.entries) {
        check_key(reading, key);
        if (auto element = read_element(reading, given, value)) {
            map.push_back({key.text, std::move(*element)});
        }
    }
    return Argument{std::move(map), given.node.where};
}

/// What YAML's core schema makes of a plain scalar that is no text; nullopt for a text.
std::optional<Value> typed_scalar(const Node& node) {
    if (!node.plain || node.text.empty()) {
        return std::nullopt;
    }
    if (node.text.find_first_not_of("0123456789+-.eExXoabcdefABCDEF") == std::string::npos) {
        try {
            return Value(std::int64_t{yaml::as_integer(node, "")});
        } catch (const InputError&) {  // not an integer: perhaps a real
        }
        const bool numeric = node.text.find_first_not_of("0123456789+-.eE") == std::string::npos;
        char* end = nullptr;
        const double real = std::strtod(node.text.c_str(), &end);
        const bool whole = *end == '\0' && node.text.find_first_of(".eE") != std::string::npos;
        if (numeric && whole && std::isfinite(real)) {
            return Value(real);
        }
    }
    try {
        return Value(yaml::as_bool(node, ""));
    } catch (const InputError&) {
        return std::nullopt;
    }
}

std::optional<Argument> read_argument(Reading& reading, const Given& given) {
    const ParamKind kind = given.param.kind;
    if (kind == ParamKind::expression) {
        auto expression = read_expression(reading, given.node, given.what(), given.visible);
        if (!expression) {
            return std::nullopt;
        }
        return Argument{std::move(*expression), given.node.where};
    }
    if (kind == ParamKind::any) {
        return read_any(reading, given.node, given.visible);
    }
    if (kind == ParamKind::integer || kind == ParamKind::boolean) {
        return read_typed(reading, given);
    }
    const bool collection = kind == ParamKind::list || kind == ParamKind::map;
    const bool evaluated = given.node.is(Node::Kind::scalar) && is_one_expression(given.node.text);
    if (!collection || evaluated) {
        return read_text(reading, given);
    }
    return kind == ParamKind::list ? read_list(reading, given) : read_map(reading, given);
}

std::string listed(const std::vector<std::string>& names, std::string_view joint) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        text += i == 0 ? "" : i + 1 == names.size() ? joint : ", ";
        text += "`" + names[i] + "`";
    }
    return text;
}

void check_missing(Reading& reading,
                   const ActionSchema& schema,
                   const std::vector<std::string>& given,
                   const Owner& owner) {
    const auto is_given = [&](const std::string& name) {
        return std::find(given.begin(), given.end(), name) != given.end();
    };
    const auto is_choice = [&](const std::string& name) {
        return std::find(schema.one_of.begin(), schema.one_of.end(), name) != schema.one_of.end();
    };
    bool choice_required = false;
    for (const ParamSchema& param : schema.params) {
        choice_required = choice_required || (param.required && is_choice(param.name));
        if (param.required && !is_choice(param.name) && !is_given(param.name)) {
            reading.problems.add(owner.where,
                                 owner.what + ": `" + param.name + "` is missing",
                                 param.description,
                                 "runbook.missing");
        }
    }
    const auto chosen = std::count_if(schema.one_of.begin(), schema.one_of.end(), is_given);
    if (chosen > 1) {
        reading.problems.add(
            owner.where,
            owner.what + ": only one of " + listed(schema.one_of, " and ") + " may be given",
            {},
            "runbook.one_of");
    } else if (chosen == 0 && choice_required) {
        reading.problems.add(
            owner.where,
            owner.what + ": one of " + listed(schema.one_of, " and ") + " must be given",
            {},
            "runbook.missing");
    }
}

std::vector<std::string> parameters_of(const ActionSchema& schema) {
    std::vector<std::string> names;
    for (const ParamSchema& param : schema.params) {
        names.push_back(param.name);
    }
    return names;
}

bool is_constant(const Argument& argument) {
    if (const auto* text = std::get_if<Template>(&argument.content)) {
        return text->is_constant();
    }
    if (const auto* list = std::get_if<Argument::List>(&argument.content)) {
        return std::all_of(list->begin(), list->end(), is_constant);
    }
    if (const auto* map = std::get_if<Argument::Map>(&argument.content)) {
        return std::all_of(
            map->begin(), map->end(), [](const auto& entry) { return is_constant(entry.second); });
    }
    return std::holds_alternative<Value>(argument.content);
}

}  // namespace

std::optional<Argument> read_any(Reading& reading, const Node& node, Visible visible) {
    if (node.is(Node::Kind::null)) {
        return Argument{Value(), node.where};
    }
    if (node.is(Node::Kind::scalar)) {
        if (auto value = typed_scalar(node)) {
            if (value->kind() == Value::Kind::real && node.text.back() == '0') {
                reading.problems.add(node.where,
                                     "the number " + node.text + " would lose its last zero",
                                     "Quote it if it is a text, such as a version.");
            }
            return Argument{std::move(*value), node.where};
        }
        auto text = read_template(reading, node, visible);
        return text ? std::optional(Argument{std::move(*text), node.where}) : std::nullopt;
    }
    if (node.is(Node::Kind::list)) {
        Argument::List list;
        for (const Node& item : node.items) {
            if (auto element = read_any(reading, item, visible)) {
                list.push_back(std::move(*element));
            }
        }
        return Argument{std::move(list), node.where};
    }
    Argument::Map map;
    for (const auto& [key, value] : node.entries) {
        check_key(reading, key);
        if (auto element = read_any(reading, value, visible)) {
            map.push_back({key.text, std::move(*element)});
        }
    }
    return Argument{std::move(map), node.where};
}

Arguments read_arguments(Reading& reading,
                         const ActionSchema& schema,
                         const Node* with,
                         const Owner& owner,
                         Visible visible) {
    Arguments arguments;
    std::vector<std::string> given;
    const bool readable = with != nullptr && !with->is(Node::Kind::null) &&
                          require_map(reading, *with, owner.what + ": the parameters");
    static const std::vector<yaml::Entry> none;
    for (const auto& [key, value] : readable ? with->entries : none) {
        given.push_back(key.text);
        const ParamSchema* param = schema.param(key.text);
        if (param == nullptr) {
            reading.problems.add(key.where,
                                 owner.what + ": unknown parameter \"" + key.text + "\"",
                                 schema.params.empty()
                                     ? schema.name + " takes none."
                                     : did_you_mean(key.text, parameters_of(schema)),
                                 "runbook.unknown_parameter");
            continue;
        }
        auto argument = read_argument(reading, {*param, value, owner, visible});
        if (argument && owner.constants_only && !is_constant(*argument)) {
            reading.problems.add(value.where, owner.what + ": " + key.text + " must be a constant");
        } else if (argument) {
            arguments.emplace(key.text, std::move(*argument));
        }
    }
    check_missing(reading, schema, given, owner);
    return arguments;
}

}  // namespace lockstep::runbook_reading
