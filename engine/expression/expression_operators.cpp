#include "engine/expression/expression_operators.hpp"

#include <optional>
#include <utility>

namespace lockstep {

namespace {

using Kind = Value::Kind;

EvaluationError overflow() {
    return {"the result is too large for an int", {}};
}

Evaluation apply_to_integers(BinaryOperator op, std::int64_t left, std::int64_t right) {
    std::int64_t result = 0;
    bool fits = true;
    if (op == BinaryOperator::divide || op == BinaryOperator::remainder) {
        if (right == 0) {
            return EvaluationError{"division by zero", {}};
        }
        if (right == -1) {  // the smallest int has no positive twin
            fits = !__builtin_sub_overflow(std::int64_t{0}, left, &result);
            result = op == BinaryOperator::divide ? result : 0;
        } else {
            result = op == BinaryOperator::divide ? left / right : left % right;
        }
    } else if (op == BinaryOperator::multiply) {
        fits = !__builtin_mul_overflow(left, right, &result);
    } else if (op == BinaryOperator::add) {
        fits = !__builtin_add_overflow(left, right, &result);
    } else {
        fits = !__builtin_sub_overflow(left, right, &result);
    }
    return fits ? Evaluation(Value(result)) : Evaluation(overflow());
}

std::optional<Evaluation> apply_to_reals(BinaryOperator op, double left, double right) {
    switch (op) {
        case BinaryOperator::multiply:
            return Value(left * right);
        case BinaryOperator::divide:
            return Value(left / right);  // IEEE 754: by zero it is an infinity
        case BinaryOperator::add:
            return Value(left + right);
        case BinaryOperator::subtract:
            return Value(left - right);
        default:
            return std::nullopt;
    }
}

std::optional<Evaluation> apply_to_durations(BinaryOperator op,
                                             Value::Duration left,
                                             Value::Duration right) {
    if (op != BinaryOperator::add && op != BinaryOperator::subtract) {
        return std::nullopt;
    }
    Evaluation result = apply_to_integers(op, left.count(), right.count());
    if (const auto* const count = std::get_if<Value>(&result)) {
        return Value(Value::Duration(count->as_integer()));
    }
    return EvaluationError{"the result is too long for a duration", {}};
}

Evaluation concatenate(const Value& left, const Value& right, Budget& budget) {
    if (left.kind() == Kind::string) {
        budget.spend_bytes(left.as_string().size() + right.as_string().size());
        return Value(left.as_string() + right.as_string());
    }
    // Spent before the copy is made, and once more for what it is.
    const std::size_t size = left.as_list().size() + right.as_list().size();
    budget.spend(size);
    Value::List list;
    list.reserve(size);
    list.insert(list.end(), left.as_list().begin(), left.as_list().end());
    list.insert(list.end(), right.as_list().begin(), right.as_list().end());
    return made(Value(std::move(list)), budget);
}

Evaluation apply_arithmetic(BinaryOperator op,
                            const Value& left,
                            const Value& right,
                            Budget& budget) {
    std::optional<Evaluation> result;
    if (left.kind() == right.kind()) {
        switch (left.kind()) {
            case Kind::integer:
                result = apply_to_integers(op, left.as_integer(), right.as_integer());
                break;
            case Kind::real:
                result = apply_to_reals(op, left.as_real(), right.as_real());
                break;
            case Kind::duration:
                result = apply_to_durations(op, left.as_duration(), right.as_duration());
                break;
            case Kind::string:
            case Kind::list:
                if (op == BinaryOperator::add) {
                    result = concatenate(left, right, budget);
                }
                break;
            default:
                break;
        }
    }
    if (!result) {
        return mismatch(op, left, right);
    }
    const auto* const value = std::get_if<Value>(&*result);
    const bool tainted = left.tainted() || right.tainted();
    return value != nullptr && tainted ? Evaluation(value->with_taint()) : *std::move(result);
}

}  // namespace

Evaluation apply_operator(BinaryOperator op,
                          const Value& left,
                          const Value& right,
                          Budget& budget) {
    switch (op) {
        case BinaryOperator::in:
            return contained(left, right, budget);
        case BinaryOperator::equal:
            return equal(left, right, budget);
        case BinaryOperator::not_equal: {
            Evaluation same = equal(left, right, budget);
            const auto* const value = std::get_if<Value>(&same);
            return value != nullptr ? Evaluation(Value(!value->as_bool())) : same;
        }
        case BinaryOperator::less:
        case BinaryOperator::less_equal:
        case BinaryOperator::greater:
        case BinaryOperator::greater_equal:
            return in_order(op, left, right, budget);
        default:
            return apply_arithmetic(op, left, right, budget);
    }
}

Evaluation negate(const Value& operand) {
    Value result;
    if (operand.kind() == Kind::real) {
        result = Value(-operand.as_real());
    } else if (operand.kind() == Kind::integer) {
        std::int64_t negative = 0;
        if (__builtin_sub_overflow(std::int64_t{0}, operand.as_integer(), &negative)) {
            return overflow();
        }
        result = Value(negative);
    } else {
        return EvaluationError{"there is no negative " + std::string(operand.kind_name()), {}};
    }
    return operand.tainted() ? result.with_taint() : result;
}

Value made(const Value& container, Budget& budget) {
    return inspect(container, budget).tainted ? container.with_taint() : container;
}

bool LogicResult::add(Evaluation operand) {
    if (const auto* const value = std::get_if<Value>(&operand)) {
        if (value->as_bool() == conjunction_) {
            return false;
        }
        result_ = std::move(operand);
        return true;
    }
    const bool first = std::holds_alternative<Value>(result_);
    const bool outweighs = std::holds_alternative<EvaluationError>(result_) &&
                           std::holds_alternative<Value::Unknown>(operand);
    if (first || outweighs) {
        result_ = std::move(operand);
    }
    return false;
}

Evaluation LogicResult::take() && {
    if (std::holds_alternative<Value>(result_) && std::get<Value>(result_).kind() == Kind::null) {
        return Value(conjunction_);
    }
    return std::move(result_);
}

}  // namespace lockstep
