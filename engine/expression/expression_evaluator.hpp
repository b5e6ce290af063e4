#pragma once

#include "engine/expression/expression_operators.hpp"
#include "engine/expression/expression_tree.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace lockstep {

/// The value of an outcome that has one, else nullptr.
[[nodiscard]] inline const Value* value_of(const Evaluation& outcome) {
    return std::get_if<Value>(&outcome);
}

/// The outcome of an operation that needs all of its operands, if one of them has no value.
/// Errors take precedence over unknown values (cel-spec, eval.proto, ExprValue.unknown).
class Spoiled {
  public:
    /// Whether the operand has a value.
    [[nodiscard]] bool take(const Evaluation& operand) {
        if (value_of(operand) != nullptr) {
            return true;
        }
        if (!result_ || (is_error(operand) && !by_error())) {
            result_ = operand;
        }
        return false;
    }

    [[nodiscard]] bool by_error() const { return result_ && is_error(*result_); }

    [[nodiscard]] const std::optional<Evaluation>& result() const { return result_; }

  private:
    [[nodiscard]] static bool is_error(const Evaluation& outcome) {
        return std::holds_alternative<EvaluationError>(outcome);
    }

    std::optional<Evaluation> result_;
};

/// One evaluation of one expression: holds its budget and the variables of its comprehensions.
class ExpressionEvaluator {
  public:
    /// Both must outlive it. `text` is what the nodes' offsets point into.
    ExpressionEvaluator(std::string_view text, const Scope& scope) : text_(text), scope_(scope) {}

    /// Throws BudgetExceeded.
    [[nodiscard]] Evaluation evaluate(const Expression::Node& node);

  private:
    /// What a comprehension goes through.
    struct Range {
        const Value::List& elements;
        bool tainted;
    };

    [[nodiscard]] Evaluation visit(const LiteralNode& literal);
    [[nodiscard]] Evaluation visit(const NameNode& name);
    [[nodiscard]] Evaluation visit(const ListNode& list);
    [[nodiscard]] Evaluation visit(const MapNode& map);
    [[nodiscard]] Evaluation visit(const FieldNode& field);
    [[nodiscard]] Evaluation visit(const IndexNode& index);
    [[nodiscard]] Evaluation visit(const NotNode& node);
    [[nodiscard]] Evaluation visit(const NegateNode& node);
    [[nodiscard]] Evaluation visit(const BinaryNode& binary);
    [[nodiscard]] Evaluation visit(const LogicNode& logic);
    [[nodiscard]] Evaluation visit(const ConditionalNode& conditional);
    [[nodiscard]] Evaluation visit(const CallNode& call);
    [[nodiscard]] Evaluation visit(const ComprehensionNode& comprehension);

    [[nodiscard]] Evaluation read(const Value& value, bool tainted);
    [[nodiscard]] Evaluation field_of(const Value& base, const FieldNode& field);
    [[nodiscard]] Evaluation field_of_map(const Value& base, const FieldNode& field);
    [[nodiscard]] Evaluation element_of(const Value& list,
                                        const Value& index,
                                        const IndexNode& node);
    [[nodiscard]] Evaluation undefined(const std::string& name) const;
    [[nodiscard]] Evaluation quantify(const ComprehensionNode& node, const Range& range);
    [[nodiscard]] Evaluation count_one(const ComprehensionNode& node, const Range& range);
    [[nodiscard]] Evaluation collect(const ComprehensionNode& node, const Range& range);
    /// With the variable bound to the element until the next call of end_element().
    void begin_element(const ComprehensionNode& node, const Range& range, const Value& element);

    void end_element() { variables_.pop_back(); }

    /// An error instead of a value that is not bool.
    [[nodiscard]] Evaluation evaluate_bool(const Expression::Node& node);
    [[nodiscard]] std::string source(const Expression::Node& node) const;

    std::string_view text_;
    const Scope& scope_;
    Budget budget_;
    PatternCache patterns_;
    std::vector<std::pair<std::string_view, Value>> variables_;  ///< the innermost last
};

}  // namespace lockstep
