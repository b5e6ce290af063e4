#include "engine/expression/expression_evaluator.hpp"

#include "base/suggest.hpp"
#include "engine/expression/expression_lexer.hpp"

#include <algorithm>
#include <optional>

namespace lockstep {

namespace {

using Kind = Value::Kind;

std::optional<Value> field_of_version(const PackageVersion& version, std::string_view name) {
    if (name == "text") {
        return Value(version.text());
    }
    if (name == "upstream") {
        return Value(version.upstream());
    }
    if (name == "revision") {
        return Value(version.revision());
    }
    if (name == "epoch") {
        return Value(version.epoch());
    }
    if (name == "major") {
        return Value(version.part(0));
    }
    if (name == "minor") {
        return Value(version.part(1));
    }
    if (name == "patch") {
        return Value(version.part(2));
    }
    return std::nullopt;
}

std::vector<std::string> keys_of(const Value::Map& map) {
    std::vector<std::string> names;
    names.reserve(map.size());
    for (const auto& [name, value] : map) {
        names.push_back(name);
    }
    return names;
}

}  // namespace

Evaluation ExpressionEvaluator::evaluate(const Expression::Node& node) {
    budget_.spend(1);
    return std::visit([this](const auto& content) { return visit(content); }, node.content);
}

std::string ExpressionEvaluator::source(const Expression::Node& node) const {
    return excerpt(text_.substr(node.begin, node.end - node.begin));
}

// What is read from the scope becomes an outcome: here unknown values leave the values.
Evaluation ExpressionEvaluator::read(const Value& value, bool tainted) {
    if (value.is_unknown()) {
        return Value::Unknown{value.unknown_because()};
    }
    if (value.kind() == Kind::string) {
        budget_.spend_bytes(value.as_string().size());
    }
    return tainted ? value.with_taint() : value;
}

Evaluation ExpressionEvaluator::visit(const LiteralNode& literal) {
    return read(literal.value, false);
}

Evaluation ExpressionEvaluator::visit(const NameNode& name) {
    for (auto variable = variables_.rbegin(); variable != variables_.rend(); ++variable) {
        if (variable->first == name.name) {
            return read(variable->second, false);
        }
    }
    const auto found = scope_.find(name.name);
    return found == scope_.end() ? undefined(name.name) : read(found->second, false);
}

Evaluation ExpressionEvaluator::undefined(const std::string& name) const {
    std::vector<std::string> names = keys_of(scope_);
    for (const auto& [variable, value] : variables_) {
        names.emplace_back(variable);
    }
    return EvaluationError{"undefined name \"" + name + "\"", did_you_mean(name, names)};
}

Evaluation ExpressionEvaluator::visit(const ListNode& list) {
    Value::List items;
    Spoiled spoiled;
    for (const NodePtr& node : list.items) {
        Evaluation item = evaluate(*node);
        if (spoiled.take(item)) {
            items.push_back(std::get<Value>(std::move(item)));
        }
    }
    return spoiled.result() ? *spoiled.result() : made(Value(std::move(items)), budget_);
}

Evaluation ExpressionEvaluator::visit(const MapNode& map) {
    Value::Map entries;
    Spoiled spoiled;
    bool tainted_key = false;
    for (const auto& [key_node, value_node] : map.entries) {
        const Evaluation key = evaluate(*key_node);
        Evaluation value = evaluate(*value_node);
        const bool key_known = spoiled.take(key);
        if (!spoiled.take(value) || !key_known) {
            continue;
        }
        const Value& name = std::get<Value>(key);
        if (name.kind() != Kind::string) {
            return EvaluationError{
                "the key " + source(*key_node) + " is " + std::string(name.kind_name()),
                "The keys of a map are strings: {'name': 1}."};
        }
        if (!entries.emplace(name.as_string(), std::get<Value>(std::move(value))).second) {
            return EvaluationError{"the key " + source(*key_node) + " is in the map twice", {}};
        }
        tainted_key = tainted_key || name.tainted();
    }
    if (spoiled.result()) {
        return *spoiled.result();
    }
    const Value result = made(Value(std::move(entries)), budget_);
    return tainted_key ? result.with_taint() : result;
}

Evaluation ExpressionEvaluator::visit(const FieldNode& field) {
    const Evaluation base = evaluate(*field.base);
    const Value* const value = value_of(base);
    return value == nullptr ? base : field_of(*value, field);
}

Evaluation ExpressionEvaluator::field_of(const Value& base, const FieldNode& field) {
    if (base.kind() == Kind::map) {
        return field_of_map(base, field);
    }
    std::string hint;
    if (base.kind() == Kind::version) {
        const auto part = field_of_version(base.as_version(), field.name);
        if (field.only_asked) {
            return Value(part.has_value());
        }
        if (part) {
            return read(*part, base.tainted());
        }
        hint = did_you_mean(field.name,
                            {"upstream", "revision", "epoch", "major", "minor", "patch", "text"});
    } else if (base.kind() == Kind::null) {
        hint = "Ask first: " + source(*field.base) + " != null && …";
    } else if (base.kind() == Kind::list) {
        hint = "Of one element: list[0]." + field.name + "; of all: list.map(x, x." + field.name +
               ").";
    }
    return EvaluationError{source(*field.base) + " is " + std::string(base.kind_name()) +
                               " and has no field \"" + field.name + "\"",
                           std::move(hint)};
}

Evaluation ExpressionEvaluator::field_of_map(const Value& base, const FieldNode& field) {
    const auto found = base.as_map().find(field.name);
    const bool present = found != base.as_map().end();
    if (field.only_asked && !(present && found->second.is_unknown())) {
        return Value(present);
    }
    if (present) {
        return read(found->second, base.tainted());
    }
    return EvaluationError{
        source(*field.base) + " has no field \"" + field.name + "\"",
        base.tainted() ? std::string() : did_you_mean(field.name, keys_of(base.as_map()))};
}

Evaluation ExpressionEvaluator::visit(const IndexNode& index) {
    const Evaluation base = evaluate(*index.base);
    const Evaluation place = evaluate(*index.index);
    Spoiled spoiled;
    const bool base_known = spoiled.take(base);
    if (!spoiled.take(place) || !base_known) {
        return *spoiled.result();
    }
    const auto& container = std::get<Value>(base);
    const auto& key = std::get<Value>(place);
    if (container.kind() == Kind::list && key.kind() == Kind::integer) {
        return element_of(container, key, index);
    }
    if (container.kind() == Kind::map && key.kind() == Kind::string) {
        const auto found = container.as_map().find(key.as_string());
        if (found != container.as_map().end()) {
            return read(found->second, container.tainted());
        }
        const bool secret = container.tainted() || key.tainted();
        return EvaluationError{
            source(*index.base) + " has no key " + (secret ? "***" : "\"" + key.as_string() + "\""),
            secret ? std::string() : did_you_mean(key.as_string(), keys_of(container.as_map()))};
    }
    std::string hint = "A list has an int in the brackets, a map has a string.";
    if (container.kind() == Kind::null) {
        hint = "Ask first: " + source(*index.base) + " != null && …";
    }
    return EvaluationError{source(*index.base) + " is " + std::string(container.kind_name()) +
                               " and has no element [" + std::string(key.kind_name()) + "]",
                           std::move(hint)};
}

Evaluation ExpressionEvaluator::element_of(const Value& list,
                                           const Value& index,
                                           const IndexNode& node) {
    const std::int64_t at = index.as_integer();
    const std::size_t size = list.as_list().size();
    if (at < 0 || static_cast<std::uint64_t>(at) >= size) {
        return EvaluationError{source(*node.base) + " has no element [" + std::to_string(at) +
                                   "], it has " + std::to_string(size),
                               "Elements are counted from 0."};
    }
    return read(list.as_list()[static_cast<std::size_t>(at)], list.tainted());
}

Evaluation ExpressionEvaluator::visit(const NotNode& node) {
    Evaluation operand = evaluate(*node.operand);
    const Value* const value = value_of(operand);
    if (value == nullptr) {
        return operand;
    }
    if (value->kind() != Kind::boolean) {
        return EvaluationError{
            "not of " + source(*node.operand) + ", which is " + std::string(value->kind_name()),
            "It binds tighter than == and in: write not (a == b)."};
    }
    return Value(!value->as_bool());
}

Evaluation ExpressionEvaluator::visit(const NegateNode& node) {
    Evaluation operand = evaluate(*node.operand);
    const Value* const value = value_of(operand);
    return value == nullptr ? operand : negate(*value);
}

Evaluation ExpressionEvaluator::visit(const BinaryNode& binary) {
    const Evaluation left = evaluate(*binary.left);
    const Evaluation right = evaluate(*binary.right);
    Spoiled spoiled;
    const bool left_known = spoiled.take(left);
    if (!spoiled.take(right) || !left_known) {
        return *spoiled.result();
    }
    return apply_operator(binary.op, std::get<Value>(left), std::get<Value>(right), budget_);
}

Evaluation ExpressionEvaluator::visit(const LogicNode& logic) {
    LogicResult result(logic.conjunction);
    for (const NodePtr& operand : logic.operands) {
        if (result.add(evaluate_bool(*operand))) {
            break;
        }
    }
    return std::move(result).take();
}

Evaluation ExpressionEvaluator::evaluate_bool(const Expression::Node& node) {
    Evaluation result = evaluate(node);
    const Value* const value = value_of(result);
    if (value == nullptr || value->kind() == Kind::boolean) {
        return result;
    }
    return EvaluationError{
        source(node) + " is " + std::string(value->kind_name()) + ", and a condition must be bool",
        "Compare it with something."};
}

Evaluation ExpressionEvaluator::visit(const ConditionalNode& conditional) {
    Evaluation condition = evaluate_bool(*conditional.condition);
    const Value* const value = value_of(condition);
    if (value == nullptr) {
        return condition;
    }
    return evaluate(value->as_bool() ? *conditional.then : *conditional.otherwise);
}

Evaluation ExpressionEvaluator::visit(const CallNode& call) {
    std::vector<Value> arguments;
    Spoiled spoiled;
    for (const NodePtr& node : call.arguments) {
        Evaluation argument = evaluate(*node);
        if (spoiled.take(argument)) {
            arguments.push_back(std::get<Value>(std::move(argument)));
        }
    }
    if (spoiled.result()) {
        return *spoiled.result();
    }
    CallContext context{budget_, patterns_};
    return call_function(*call.function, arguments, context);
}

}  // namespace lockstep
