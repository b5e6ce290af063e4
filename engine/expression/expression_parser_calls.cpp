#include "base/suggest.hpp"
#include "engine/expression/expression_parser.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace lockstep {

namespace {

constexpr std::array<std::pair<std::string_view, Macro>, 7> k_macros = {
    {{"all", Macro::all},
     {"any", Macro::any},
     {"exists", Macro::any},
     {"exists_one", Macro::exists_one},
     {"existsOne", Macro::exists_one},
     {"map", Macro::map},
     {"filter", Macro::filter}}};

std::optional<Macro> find_macro(std::string_view name) {
    for (const auto& [known, macro] : k_macros) {
        if (known == name) {
            return macro;
        }
    }
    return std::nullopt;
}

const LiteralNode* as_literal(const NodePtr& node) {
    return std::get_if<LiteralNode>(&node->content);
}

std::string call_text(const Token& name, bool as_method) {
    return (as_method ? "." : "") + name.text + "()";
}

}  // namespace

NodePtr ExpressionParser::parse_function(const Token& name) {
    if (name.text == "has") {
        return parse_has(name);
    }
    const Function* const function = find_function(name.text, false);
    if (function != nullptr) {
        return make_call(name, *function, parse_arguments());
    }
    std::string hint;
    if (const Function* const method = find_function(name.text, true)) {
        hint = "It is written behind a value: " + std::string(method->example) + ".";
    } else if (find_macro(name.text)) {
        hint = "It is written behind a list: members." + name.text + "(m, m.healthy).";
    } else {
        auto names = function_names(false);
        names.emplace_back("has");
        hint = did_you_mean(name.text, names);
    }
    lexer_.fail(name.begin, "there is no function " + call_text(name, false), std::move(hint));
}

NodePtr ExpressionParser::parse_method(const Token& name, NodePtr receiver) {
    if (const auto macro = find_macro(name.text)) {
        return parse_macro(*macro, name, std::move(receiver));
    }
    if (const Function* const function = find_function(name.text, true)) {
        std::vector<NodePtr> arguments;
        arguments.push_back(std::move(receiver));
        return make_call(name, *function, parse_arguments(std::move(arguments)));
    }
    std::string hint;
    if (const Function* const function = find_function(name.text, false)) {
        hint = "It is written in front of its arguments: " + std::string(function->example) + ".";
    } else {
        auto names = function_names(true);
        for (const auto& [macro, meaning] : k_macros) {
            names.emplace_back(macro);
        }
        hint = did_you_mean(name.text, names);
    }
    lexer_.fail(name.begin, "there is no method " + call_text(name, true), std::move(hint));
}

std::vector<NodePtr> ExpressionParser::parse_arguments(std::vector<NodePtr> arguments) {
    if (take_if(")")) {
        return arguments;
    }
    do {
        arguments.push_back(parse_conditional());
    } while (take_if(","));
    expect(")", "the arguments of a function");
    return arguments;
}

NodePtr ExpressionParser::parse_has(const Token& name) {
    NodePtr argument = parse_conditional();
    expect(")", "the argument of has()");
    auto* const field = std::get_if<FieldNode>(&argument->content);
    if (field == nullptr || field->only_asked) {
        lexer_.fail(name.begin,
                    "has() takes a field, as in has(member.wal)",
                    "Whether a map has a key is asked with 'key' in map.");
    }
    return make(FieldNode{std::move(field->base), std::move(field->name), true}, name.begin);
}

NodePtr ExpressionParser::parse_macro(Macro macro, const Token& name, NodePtr range) {
    const std::size_t begin = range->begin;
    std::vector<NodePtr> arguments = parse_arguments();
    const bool with_condition = macro == Macro::map && arguments.size() == 3;
    const NameNode* const variable =
        arguments.empty() ? nullptr : std::get_if<NameNode>(&arguments.front()->content);
    if ((arguments.size() != 2 && !with_condition) || variable == nullptr) {
        lexer_.fail(name.begin,
                    "." + name.text + "() takes a name for the element and an expression",
                    "For example members." + name.text + "(m, m.name != 'n1').");
    }
    ComprehensionNode node{macro, std::move(range), variable->name, nullptr, nullptr};
    node.body = std::move(arguments.back());
    if (with_condition) {
        node.condition = std::move(arguments[1]);
    }
    return make(std::move(node), begin);
}

NodePtr ExpressionParser::make_call(const Token& name,
                                    const Function& function,
                                    std::vector<NodePtr> arguments) const {
    const std::size_t begin =
        arguments.empty() ? name.begin : std::min(name.begin, arguments.front()->begin);
    if (arguments.size() != function.parameters.size()) {
        lexer_.fail(name.begin,
                    std::string(function.name) + "() takes another number of arguments",
                    "For example " + std::string(function.example) + ".");
    }
    const bool constant = std::ranges::all_of(arguments, as_literal);
    std::vector<Value> values;
    for (const NodePtr& argument : arguments) {
        const LiteralNode* const literal = as_literal(argument);
        values.push_back(literal != nullptr ? literal->value : Value(""));
    }
    // A constant pattern can be wrong before its text is known: try it on an empty one.
    if (!constant && (function.name != "matches" || as_literal(arguments.back()) == nullptr)) {
        return make(CallNode{&function, std::move(arguments)}, begin);
    }
    Budget budget;
    PatternCache patterns;
    CallContext context{budget, patterns};
    Evaluation result = call_function(function, values, context);
    if (const auto* const error = std::get_if<EvaluationError>(&result)) {
        lexer_.fail(name.begin, error->message, error->hint);
    }
    if (!constant) {
        return make(CallNode{&function, std::move(arguments)}, begin);
    }
    return make(LiteralNode{std::get<Value>(std::move(result))}, begin);
}

}  // namespace lockstep
