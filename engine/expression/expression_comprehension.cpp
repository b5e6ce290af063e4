#include "engine/expression/expression_evaluator.hpp"

#include <utility>

// The macros all(), any(), exists_one(), map() and filter(): cel-spec, langdef.md, "Macros".
namespace lockstep {

Evaluation ExpressionEvaluator::visit(const ComprehensionNode& comprehension) {
    Evaluation outcome = evaluate(*comprehension.range);
    const Value* const value = value_of(outcome);
    if (value == nullptr) {
        return outcome;
    }
    const bool is_map = value->kind() == Value::Kind::map;
    if (!is_map && value->kind() != Value::Kind::list) {
        return EvaluationError{source(*comprehension.range) + " is " +
                                   std::string(value->kind_name()) +
                                   ", and only lists and maps have elements",
                               {}};
    }
    Value::List keys;
    if (is_map) {
        for (const auto& [key, unused] : value->as_map()) {
            budget_.spend_bytes(key.size());
            keys.emplace_back(key);
        }
    }
    const Range range{is_map ? keys : value->as_list(), value->tainted()};
    switch (comprehension.macro) {
        case Macro::all:
        case Macro::any:
            return quantify(comprehension, range);
        case Macro::exists_one:
            return count_one(comprehension, range);
        case Macro::map:
        case Macro::filter:
            break;
    }
    return collect(comprehension, range);
}

void ExpressionEvaluator::begin_element(const ComprehensionNode& node,
                                        const Range& range,
                                        const Value& element) {
    if (element.kind() == Value::Kind::string) {
        budget_.spend_bytes(element.as_string().size());
    }
    variables_.emplace_back(node.variable, range.tainted ? element.with_taint() : element);
}

Evaluation ExpressionEvaluator::quantify(const ComprehensionNode& node, const Range& range) {
    LogicResult result(node.macro == Macro::all);
    for (const Value& element : range.elements) {
        begin_element(node, range, element);
        const bool decided = result.add(evaluate_bool(*node.body));
        end_element();
        if (decided) {
            break;
        }
    }
    return std::move(result).take();
}

Evaluation ExpressionEvaluator::count_one(const ComprehensionNode& node, const Range& range) {
    Spoiled spoiled;
    std::size_t count = 0;
    for (const Value& element : range.elements) {
        begin_element(node, range, element);
        const Evaluation holds = evaluate_bool(*node.body);
        end_element();
        count += spoiled.take(holds) && std::get<Value>(holds).as_bool() ? 1U : 0U;
    }
    return spoiled.result() ? *spoiled.result() : Value(count == 1);
}

Evaluation ExpressionEvaluator::collect(const ComprehensionNode& node, const Range& range) {
    const bool filter = node.macro == Macro::filter;
    const Expression::Node* const condition = filter ? node.body.get() : node.condition.get();
    Value::List items;
    Spoiled spoiled;
    for (const Value& element : range.elements) {
        begin_element(node, range, element);
        const Evaluation wanted = condition == nullptr ? Value(true) : evaluate_bool(*condition);
        if (spoiled.take(wanted) && std::get<Value>(wanted).as_bool()) {
            Evaluation item = filter ? read(element, range.tainted) : evaluate(*node.body);
            if (spoiled.take(item)) {
                items.push_back(std::get<Value>(std::move(item)));
            }
        }
        end_element();
        if (spoiled.by_error()) {
            break;
        }
    }
    return spoiled.result() ? *spoiled.result() : made(Value(std::move(items)), budget_);
}

}  // namespace lockstep
