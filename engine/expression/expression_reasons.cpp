#include "engine/expression/expression_evaluator.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

// Why a condition is not true: the parts of it that are not, with the values that they read.
namespace lockstep {

namespace {

/// The value at a dotted path of a scope, as a text; empty when there is none or it is too long.
std::string value_at(const Scope& scope, const std::string& path) {
    std::size_t dot = path.find('.');
    const auto root = scope.find(path.substr(0, dot));
    const Value* value = root == scope.end() ? nullptr : &root->second;
    while (value != nullptr && !value->is_unknown() && dot != std::string::npos) {
        const std::size_t next = path.find('.', dot + 1);
        if (value->kind() != Value::Kind::map) {
            return {};
        }
        const auto field = value->as_map().find(path.substr(dot + 1, next - dot - 1));
        value = field == value->as_map().end() ? nullptr : &field->second;
        dot = next;
    }
    if (value == nullptr || value->tainted()) {
        return {};
    }
    if (value->is_unknown()) {
        return "not known";
    }
    constexpr std::size_t k_longest = 80;
    const nlohmann::json json = value->to_json();
    const std::string text =
        json.is_string() ? "'" + json.get<std::string>() + "'"
                         : json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return text.size() <= k_longest ? text : std::string();
}

/// `n2` of a map that has a name; empty for anything else.
std::string name_of(const Value& value) {
    if (value.is_unknown() || value.kind() != Value::Kind::map) {
        return {};
    }
    const auto name = value.as_map().find("name");
    const bool named = name != value.as_map().end() && !name->second.is_unknown() &&
                       name->second.kind() == Value::Kind::string && !name->second.tainted();
    return named ? name->second.as_string() : std::string();
}

class ReasonFinder {
  public:
    explicit ReasonFinder(std::string_view text) : text_(text) {}

    /// `wanted`: what it should have been; false within a `not`.
    void look_at(const Expression::Node& node, const Scope& scope, bool wanted) {
        if (const auto* negation = std::get_if<NotNode>(&node.content)) {
            look_at(*negation->operand, scope, !wanted);
        } else if (const auto* logic = std::get_if<LogicNode>(&node.content)) {
            for (const NodePtr& operand : logic->operands) {
                look_unless_as_wanted(*operand, scope, wanted);
            }
        } else if (const auto* each = std::get_if<ComprehensionNode>(&node.content);
                   each != nullptr && (each->macro == Macro::all || each->macro == Macro::any)) {
            look_at_elements(*each, scope, wanted);
        } else {
            describe(node, scope);
        }
    }

    std::vector<Reason> take() { return std::move(reasons_); }

  private:
    [[nodiscard]] Evaluation evaluate(const Expression::Node& node, const Scope& scope) const {
        return ExpressionEvaluator(text_, scope).evaluate(node);
    }

    void look_unless_as_wanted(const Expression::Node& node, const Scope& scope, bool wanted) {
        const Evaluation outcome = evaluate(node, scope);
        const Value* value = value_of(outcome);
        if (value == nullptr || *value != Value(wanted)) {
            look_at(node, scope, wanted);
        }
    }

    void look_at_elements(const ComprehensionNode& each, const Scope& scope, bool wanted) {
        const Evaluation outcome = evaluate(*each.range, scope);
        const Value* range = value_of(outcome);
        if (range == nullptr || range->kind() != Value::Kind::list || range->tainted()) {
            describe(*each.range, scope);
            return;
        }
        for (const Value& element : range->as_list()) {
            Scope inner = scope;
            inner.insert_or_assign(each.variable, element);
            look_unless_as_wanted(*each.body, inner, wanted);
        }
    }

    /// Under the name of the member, or whatever else has one, that a path begins with.
    void describe(const Expression::Node& node, const Scope& scope) {
        for (const std::string& path : collect_reads(node)) {
            const std::string value = value_at(scope, path);
            if (value.empty()) {
                continue;
            }
            const std::size_t dot = path.find('.');
            const auto root = scope.find(path.substr(0, dot));
            const std::string of = root == scope.end() ? "" : name_of(root->second);
            const bool named = !of.empty() && dot != std::string::npos && root->first != "cluster";
            add({named ? of : "", (named ? path.substr(dot + 1) : path) + " is " + value});
        }
    }

    void add(const Reason& reason) {
        if (std::ranges::find(reasons_, reason) == reasons_.end()) {
            reasons_.push_back(reason);
        }
    }

    std::string_view text_;
    std::vector<Reason> reasons_;
};

}  // namespace

std::vector<Reason> Expression::why_not(const Scope& scope) const {
    ReasonFinder finder(text_);
    try {
        finder.look_at(*root_, scope, true);
    } catch (const BudgetExceeded&) {  // what was found until then
    }
    return finder.take();
}

}  // namespace lockstep
