#pragma once

#include "engine/expression/expression_limits.hpp"
#include "engine/expression/expression_tree.hpp"

namespace lockstep {

/// `left op right`. The operands themselves are known; what is inside of them need not be.
[[nodiscard]] Evaluation apply_operator(BinaryOperator op,
                                        const Value& left,
                                        const Value& right,
                                        Budget& budget);

/// `-operand`.
[[nodiscard]] Evaluation negate(const Value& operand);

/// `left == right`. Numbers compare by what they are worth, null with everything; all else across
/// kinds is an error. (CEL says false; but `version == '15.4'` is then never true, silently.)
[[nodiscard]] Evaluation equal(const Value& left, const Value& right, Budget& budget);

/// `left < right` and its like. Of numbers, strings, versions, durations and bools.
[[nodiscard]] Evaluation in_order(BinaryOperator op,
                                  const Value& left,
                                  const Value& right,
                                  Budget& budget);

/// `item in container`: by equal() of a list's elements, or of a map's keys.
[[nodiscard]] Evaluation contained(const Value& item, const Value& container, Budget& budget);

/// That the operator is not for these two kinds, and what to do about it.
[[nodiscard]] EvaluationError mismatch(BinaryOperator op, const Value& left, const Value& right);

/// A list or map that an expression has made: tainted as a whole as soon as anything in it is.
[[nodiscard]] Value made(const Value& container, Budget& budget);

/// Collects the results of `&&` or `||`, in any order: one that decides outweighs errors and
/// unknown values, and unknown outweighs errors (cel-spec, eval.proto, ExprValue.unknown).
class LogicResult {
  public:
    explicit LogicResult(bool conjunction) : conjunction_(conjunction) {}

    /// Whether this operand (bool, if it is a value) decides: the others need not be looked at.
    [[nodiscard]] bool add(Evaluation operand);
    [[nodiscard]] Evaluation take() &&;

  private:
    bool conjunction_;
    Evaluation result_ = Value();  ///< null as long as every operand was neutral
};

}  // namespace lockstep
