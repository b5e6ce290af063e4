#include "steps/actions/condition.hpp"

#include "engine/plan/binding.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace lockstep {

namespace {

/// The value at a dotted path of a scope, as text; empty when there is none or it is too long.
std::string value_at(const Scope& scope, const std::string& path) {
    std::size_t dot = path.find('.');
    const auto root = scope.find(path.substr(0, dot));
    const Value* value = root == scope.end() ? nullptr : &root->second;
    while (value != nullptr && dot != std::string::npos) {
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
        return "unknown";
    }
    const std::string text =
        value->to_json().dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return text.size() <= 80 ? text : std::string();
}

std::string describe_reads(const Expression& that, const Scope& scope) {
    std::string text;
    for (const std::string& path : that.reads()) {
        const std::string value = value_at(scope, path);
        if (!value.empty()) {
            text += (text.empty() ? "" : ", ") + path + " is " + value;
        }
    }
    return text;
}

}  // namespace

Condition evaluate_condition(const Expression& that,
                             const StepCall& call,
                             const ClusterFacts& facts,
                             const Cluster& cluster) {
    Scope scope =
        make_scope({.plan = Plan(), .facts = facts, .cluster = cluster, .member = call.member});
    // What does not change while a condition is waited for is taken from the step.
    for (const char* name : {"inputs", "vars", "run", "steps", "item"}) {
        const auto given = call.scope.find(name);
        if (given != call.scope.end()) {
            scope.insert_or_assign(name, given->second);
        }
    }
    const Evaluation evaluated = that.evaluate(scope);
    if (const auto* error = std::get_if<EvaluationError>(&evaluated)) {
        return {Condition::State::error, that.where().text() + ": " + error->message, error->hint};
    }
    if (const auto* unknown = std::get_if<Value::Unknown>(&evaluated)) {
        return {Condition::State::unknown, unknown->because, {}};
    }
    const Value& value = std::get<Value>(evaluated);
    if (value.kind() != Value::Kind::boolean) {
        return {Condition::State::error,
                that.where().text() + ": it is " + std::string(value.kind_name()) +
                    ", not true or false",
                {}};
    }
    if (value.as_bool()) {
        return {Condition::State::yes, {}, {}};
    }
    return {Condition::State::no, describe_reads(that, scope), {}};
}

Depth depth_for(const Expression& that) {
    constexpr std::array<std::string_view, 6> k_full_facts{
        ".installed", ".available", ".unit", ".wal", ".disk", ".slots"};
    const std::set<std::string>& reads = that.reads();
    for (const std::string& path : reads) {
        // Of the range of a comprehension only what its body reads counts: `members[].state`.
        const auto body = reads.lower_bound(path + "[].");
        const bool is_range = body != reads.end() && body->starts_with(path + "[].");
        const bool members = path == "members" || path == "cluster.members";
        const bool whole = path == "member" || path == "leader" || path == "cluster" ||
                           (members && !is_range) || path == "members[]" ||
                           path == "cluster.members[]";
        const bool slow = std::ranges::any_of(k_full_facts, [&](std::string_view field) {
            return path.find(field) != std::string::npos;
        });
        if (whole || slow) {
            return Depth::full;
        }
    }
    return Depth::quick;
}

}  // namespace lockstep
