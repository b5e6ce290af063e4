#include "engine/expression/expression_operators.hpp"

#include <cmath>
#include <compare>
#include <optional>
#include <utility>

namespace lockstep {

namespace {

using Kind = Value::Kind;

std::string_view verb(BinaryOperator op) {
    switch (op) {
        case BinaryOperator::multiply:
            return "multiply";
        case BinaryOperator::divide:
        case BinaryOperator::remainder:
            return "divide";
        case BinaryOperator::add:
            return "add";
        case BinaryOperator::subtract:
            return "subtract";
        default:
            return "compare";
    }
}

std::string hint_for(const Value& left, const Value& right) {
    const auto either = [&](Kind kind) { return left.kind() == kind || right.kind() == kind; };
    if (either(Kind::null)) {
        return "One side is null: ask with != null first.";
    }
    if (either(Kind::string) && either(Kind::version)) {
        return "Make a version of the string: version('4.0.7').";
    }
    if (either(Kind::string) && either(Kind::duration)) {
        return "Make a duration of the string: duration('2m').";
    }
    if (either(Kind::string) && (either(Kind::integer) || either(Kind::real))) {
        return "Make a number of the string with int(), double() or bytes(), or a string of the "
               "number with string().";
    }
    if (either(Kind::integer) && either(Kind::real)) {
        return "Make a double of the int with double().";
    }
    if (either(Kind::version)) {
        return "Compare a version with version('4.0.7'), its fields .major and .minor with ints.";
    }
    return "Both sides must be of one kind.";
}

std::partial_ordering compare_exactly(std::int64_t whole, double real) {
    if (std::isnan(real)) {
        return std::partial_ordering::unordered;
    }
    if (real >= k_two_to_63) {
        return std::partial_ordering::less;
    }
    if (real < -k_two_to_63) {
        return std::partial_ordering::greater;
    }
    // Not by converting the int: beyond 2^53 that would round it.
    const auto truncated = static_cast<std::int64_t>(real);
    if (whole != truncated) {
        return whole <=> truncated;
    }
    return static_cast<double>(truncated) <=> real;
}

bool is_number(const Value& value) {
    return value.kind() == Kind::integer || value.kind() == Kind::real;
}

std::partial_ordering compare_numbers(const Value& left, const Value& right) {
    if (left.kind() == Kind::integer) {
        return right.kind() == Kind::integer ? left.as_integer() <=> right.as_integer()
                                             : compare_exactly(left.as_integer(), right.as_real());
    }
    if (right.kind() == Kind::real) {
        return left.as_real() <=> right.as_real();
    }
    const auto reversed = compare_exactly(right.as_integer(), left.as_real());
    if (std::is_lt(reversed)) {
        return std::partial_ordering::greater;
    }
    return std::is_gt(reversed) ? std::partial_ordering::less : reversed;
}

// nullopt: values of these kinds have no order.
std::optional<std::partial_ordering> compare(const Value& left, const Value& right) {
    if (is_number(left) && is_number(right)) {
        return compare_numbers(left, right);
    }
    if (left.kind() != right.kind()) {
        return std::nullopt;
    }
    switch (left.kind()) {
        case Kind::boolean:
            return left.as_bool() <=> right.as_bool();
        case Kind::string:
            return left.as_string() <=> right.as_string();
        case Kind::version:
            return left.as_version() <=> right.as_version();
        case Kind::duration:
            return left.as_duration() <=> right.as_duration();
        default:
            return std::nullopt;
    }
}

void spend_on_text(const Value& value, Budget& budget) {
    if (value.kind() == Kind::string) {
        budget.spend_bytes(value.as_string().size());
    }
}

Evaluation equal_lists(const Value::List& left, const Value::List& right, Budget& budget) {
    if (left.size() != right.size()) {
        return Value(false);
    }
    LogicResult all(true);
    for (std::size_t n = 0; n < left.size(); ++n) {
        if (all.add(equal(left[n], right[n], budget))) {
            break;
        }
    }
    return std::move(all).take();
}

Evaluation equal_maps(const Value::Map& left, const Value::Map& right, Budget& budget) {
    if (left.size() != right.size()) {
        return Value(false);
    }
    LogicResult all(true);
    for (const auto& [key, value] : left) {
        budget.spend_bytes(key.size());
        const auto other = right.find(key);
        if (other == right.end()) {
            return Value(false);
        }
        if (all.add(equal(value, other->second, budget))) {
            break;
        }
    }
    return std::move(all).take();
}

}  // namespace

EvaluationError mismatch(BinaryOperator op, const Value& left, const Value& right) {
    std::string message = "cannot " + std::string(verb(op)) + " " + std::string(left.kind_name());
    message += (op == BinaryOperator::divide || op == BinaryOperator::remainder) ? " by " : " and ";
    message += right.kind_name();
    return {std::move(message), hint_for(left, right)};
}

Evaluation in_order(BinaryOperator op, const Value& left, const Value& right, Budget& budget) {
    spend_on_text(left, budget);
    const auto order = compare(left, right);
    if (!order) {
        return mismatch(op, left, right);
    }
    switch (op) {
        case BinaryOperator::less:
            return Value(std::is_lt(*order));
        case BinaryOperator::less_equal:
            return Value(std::is_lteq(*order));
        case BinaryOperator::greater:
            return Value(std::is_gt(*order));
        default:
            return Value(std::is_gteq(*order));
    }
}

Evaluation equal(const Value& left, const Value& right, Budget& budget) {
    budget.spend(1);
    if (left.is_unknown() || right.is_unknown()) {
        return Value::Unknown{left.is_unknown() ? left.unknown_because() : right.unknown_because()};
    }
    if (is_number(left) && is_number(right)) {
        return Value(std::is_eq(compare_numbers(left, right)));
    }
    if (left.kind() == Kind::null || right.kind() == Kind::null) {
        return Value(left.kind() == right.kind());
    }
    if (left.kind() != right.kind()) {
        return mismatch(BinaryOperator::equal, left, right);
    }
    if (left.kind() == Kind::list) {
        return equal_lists(left.as_list(), right.as_list(), budget);
    }
    if (left.kind() == Kind::map) {
        return equal_maps(left.as_map(), right.as_map(), budget);
    }
    spend_on_text(left, budget);
    return Value(left == right);
}

Evaluation contained(const Value& item, const Value& container, Budget& budget) {
    if (container.kind() == Kind::map) {
        if (item.kind() != Kind::string) {
            return EvaluationError{
                "a map has no " + std::string(item.kind_name()) + " among its keys",
                "The keys of a map are strings."};
        }
        budget.spend_bytes(item.as_string().size());
        return Value(container.as_map().contains(item.as_string()));
    }
    if (container.kind() != Kind::list) {
        std::string hint = "The right side of in is a list or a map.";
        if (container.kind() == Kind::string) {
            hint = "Whether a string is a part of another is asked with text.contains('part').";
        }
        return EvaluationError{"nothing is in " + std::string(container.kind_name()),
                               std::move(hint)};
    }
    LogicResult any(false);
    for (const Value& element : container.as_list()) {
        if (any.add(equal(item, element, budget))) {
            break;
        }
    }
    return std::move(any).take();
}

}  // namespace lockstep
