#include "engine/expression/expression_functions.hpp"

#include "base/units.hpp"
#include "engine/expression/expression_lexer.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

namespace lockstep {

namespace {

using Kind = Value::Kind;
using Arguments = std::span<const Value>;

// What a message may say about a value.
std::string shown(const Value& value) {
    return value.tainted() ? "***" : "\"" + excerpt(value.to_text()) + "\"";
}

Value count(std::size_t n) {
    return Value(static_cast<std::int64_t>(n));
}

Evaluation size_of(Arguments arguments, CallContext& context) {
    const Value& value = arguments[0];
    if (value.kind() == Kind::list) {
        return count(value.as_list().size());
    }
    if (value.kind() == Kind::map) {
        return count(value.as_map().size());
    }
    context.budget.spend_bytes(value.as_string().size());
    // In characters, not bytes: those that do not go on with one (10xxxxxx).
    return count(static_cast<std::size_t>(std::ranges::count_if(value.as_string(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    })));
}

Evaluation matches(Arguments arguments, CallContext& context) {
    return context.patterns.matches(arguments[0].as_string(),
                                    arguments[1].as_string(),
                                    !arguments[1].tainted(),
                                    context.budget);
}

Evaluation starts_with(Arguments arguments, CallContext& context) {
    context.budget.spend_bytes(arguments[1].as_string().size());
    return Value(arguments[0].as_string().starts_with(arguments[1].as_string()));
}

Evaluation ends_with(Arguments arguments, CallContext& context) {
    context.budget.spend_bytes(arguments[1].as_string().size());
    return Value(arguments[0].as_string().ends_with(arguments[1].as_string()));
}

Evaluation contains(Arguments arguments, CallContext& context) {
    const std::string& text = arguments[0].as_string();
    const std::string& part = arguments[1].as_string();
    // find() may compare the whole part at every place of the text.
    context.budget.spend_bytes(text.size());
    context.budget.spend(text.size() / k_bytes_per_step * (part.size() / k_bytes_per_step));
    return Value(text.find(part) != std::string::npos);
}

Evaluation string_of(Arguments arguments, CallContext& context) {
    std::string text = arguments[0].to_text();
    context.budget.spend_bytes(text.size());
    return Value(std::move(text));
}

Evaluation int_of(Arguments arguments, CallContext& context) {
    const Value& value = arguments[0];
    if (value.kind() == Kind::integer) {
        return value;
    }
    if (value.kind() == Kind::real) {
        const double number = value.as_real();
        if (std::isnan(number) || number >= k_two_to_63 || number < -k_two_to_63) {
            return EvaluationError{"int() of a number that is too large for an int", {}};
        }
        return Value(static_cast<std::int64_t>(number));
    }
    const std::string& text = value.as_string();
    context.budget.spend_bytes(text.size());
    std::int64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, problem] = std::from_chars(text.data(), end, number);
    if (problem != std::errc{} || stop != end) {
        return EvaluationError{"int() of " + shown(value) + ", which is not a whole number",
                               "Sizes are read by bytes('16MB')."};
    }
    return Value(number);
}

Evaluation double_of(Arguments arguments, CallContext& context) {
    const Value& value = arguments[0];
    if (value.kind() == Kind::real) {
        return value;
    }
    if (value.kind() == Kind::integer) {
        return Value(static_cast<double>(value.as_integer()));
    }
    const std::string& text = value.as_string();
    context.budget.spend_bytes(text.size());
    double number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, problem] = std::from_chars(text.data(), end, number);
    if (problem != std::errc{} || stop != end) {
        return EvaluationError{"double() of " + shown(value) + ", which is not a number", {}};
    }
    return Value(number);
}

Evaluation version_of(Arguments arguments, CallContext& context) {
    const Value& value = arguments[0];
    if (value.kind() == Kind::version) {
        return value;
    }
    context.budget.spend_bytes(value.as_string().size());
    try {
        return Value(PackageVersion(value.as_string()));
    } catch (const Error& error) {
        return EvaluationError{value.tainted() ? "version() of ***, which is not a version"
                                               : "version(): " + std::string(error.what()),
                               error.hint()};
    }
}

Evaluation bytes_of(Arguments arguments, CallContext& /*context*/) {
    const auto bytes = parse_bytes(arguments[0].as_string());
    if (!bytes) {
        return EvaluationError{"bytes() of " + shown(arguments[0]) + ", which is not a size",
                               "Sizes are written 16MB, 1GB, 512kB: whole numbers with a unit."};
    }
    return Value(*bytes);
}

Evaluation duration_of(Arguments arguments, CallContext& /*context*/) {
    if (arguments[0].kind() == Kind::duration) {
        return arguments[0];
    }
    const auto length = parse_duration(arguments[0].as_string());
    if (!length) {
        return EvaluationError{
            "duration() of " + shown(arguments[0]) + ", which is not a length of time",
            "Lengths of time are written 2m, 30s, 1h30m, 500ms: whole numbers with units."};
    }
    return Value(*length);
}

Evaluation join(Arguments arguments, CallContext& context) {
    const std::string& separator = arguments[1].as_string();
    const Content content = inspect(arguments[0], context.budget);
    if (content.unknown != nullptr) {
        return Value::Unknown{content.unknown->unknown_because()};
    }
    std::string text;
    std::string_view between;
    for (const Value& item : arguments[0].as_list()) {
        if (item.kind() != Kind::string) {
            return EvaluationError{"join() takes a list of strings, and this one has in it: " +
                                       std::string(item.kind_name()),
                                   "Write join(list.map(x, string(x)), ', ')."};
        }
        context.budget.spend_bytes(separator.size() + item.as_string().size());
        text.append(between).append(item.as_string());
        between = separator;
    }
    return content.tainted ? Value::secret(std::move(text)) : Value(std::move(text));
}

// Of ASCII, as lowerAscii() and upperAscii() of CEL's string extension.
Evaluation mapped(const Value& value, CallContext& context, char from, char to) {
    std::string text = value.as_string();
    context.budget.spend_bytes(text.size());
    for (char& c : text) {
        if (c >= from && c < from + 26) {
            c = static_cast<char>(c - from + to);
        }
    }
    return Value(std::move(text));
}

Evaluation lower(Arguments arguments, CallContext& context) {
    return mapped(arguments[0], context, 'A', 'a');
}

Evaluation upper(Arguments arguments, CallContext& context) {
    return mapped(arguments[0], context, 'a', 'A');
}

const std::vector<Function>& functions() {
    static const std::vector<Kind> k_text = {Kind::string};
    static const std::vector<Function> k_functions = {
        {"size",
         CallStyle::either,
         {{Kind::string, Kind::list, Kind::map}},
         &size_of,
         "size(members)"},
        {"matches", CallStyle::either, {k_text, k_text}, &matches, "matches(text, r'^1\\d\\.')"},
        {"startsWith", CallStyle::method, {k_text, k_text}, &starts_with, "name.startsWith('pg')"},
        {"endsWith", CallStyle::method, {k_text, k_text}, &ends_with, "name.endsWith('-1')"},
        {"contains", CallStyle::method, {k_text, k_text}, &contains, "text.contains('ready')"},
        {"string",
         CallStyle::function,
         {{Kind::string, Kind::integer, Kind::real, Kind::boolean, Kind::version, Kind::duration}},
         &string_of,
         "string(3)"},
        {"int",
         CallStyle::function,
         {{Kind::string, Kind::integer, Kind::real}},
         &int_of,
         "int('12')"},
        {"double",
         CallStyle::function,
         {{Kind::string, Kind::integer, Kind::real}},
         &double_of,
         "double('1.5')"},
        {"version",
         CallStyle::function,
         {{Kind::string, Kind::version}},
         &version_of,
         "version('4.0.7')"},
        {"bytes", CallStyle::function, {k_text}, &bytes_of, "bytes('16MB')"},
        {"duration",
         CallStyle::function,
         {{Kind::string, Kind::duration}},
         &duration_of,
         "duration('2m')"},
        {"join", CallStyle::either, {{Kind::list}, k_text}, &join, "join(names, ', ')"},
        {"lower", CallStyle::either, {k_text}, &lower, "lower(name)"},
        {"upper", CallStyle::either, {k_text}, &upper, "upper(name)"}};
    return k_functions;
}

bool callable(const Function& function, bool as_method) {
    return function.style == CallStyle::either ||
           (function.style == CallStyle::method) == as_method;
}

EvaluationError wrong_kind(const Function& function, std::size_t place, const Value& argument) {
    std::string message =
        std::string(function.name) + "() cannot take " + std::string(argument.kind_name());
    if (function.parameters.size() > 1) {
        message += " as argument " + std::to_string(place + 1);
    }
    std::string hint = "For example " + std::string(function.example) + ".";
    if (function.name == "version" && argument.kind() != Kind::null) {
        hint = "A version is written as a string: version('15.4'), because 15.10 is not 15.1.";
    }
    return EvaluationError{std::move(message), std::move(hint)};
}

}  // namespace

const Function* find_function(std::string_view name, bool as_method) {
    for (const Function& function : functions()) {
        if (function.name == name && callable(function, as_method)) {
            return &function;
        }
    }
    return nullptr;
}

std::vector<std::string> function_names(bool as_method) {
    std::vector<std::string> names;
    for (const Function& function : functions()) {
        if (callable(function, as_method)) {
            names.emplace_back(function.name);
        }
    }
    return names;
}

Evaluation call_function(const Function& function, Arguments arguments, CallContext& context) {
    const Value* unknown = nullptr;
    bool tainted = false;
    for (std::size_t n = 0; n < arguments.size(); ++n) {
        const Value& argument = arguments[n];
        tainted = tainted || argument.tainted();
        if (argument.is_unknown()) {
            unknown = unknown == nullptr ? &argument : unknown;
        } else if (std::ranges::find(function.parameters[n], argument.kind()) ==
                   function.parameters[n].end()) {
            return wrong_kind(function, n, argument);
        }
    }
    if (unknown != nullptr) {
        return Value::Unknown{unknown->unknown_because()};
    }
    Evaluation result = function.apply(arguments, context);
    const auto* const value = std::get_if<Value>(&result);
    // Yes or no about a secret is what conditions are for.
    if (value == nullptr || !tainted || value->kind() == Kind::boolean) {
        return result;
    }
    return value->with_taint();
}

}  // namespace lockstep
