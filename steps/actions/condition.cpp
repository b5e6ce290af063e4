#include "steps/actions/condition.hpp"

#include "engine/plan/binding.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace lockstep {

namespace {

/// With why a member is not known, where it is for its silence.
std::string text_of(const std::vector<Reason>& reasons, const ClusterFacts& facts) {
    constexpr std::size_t k_most = 8;
    std::string text;
    std::string of;
    std::size_t told = 0;
    for (const Reason& reason : reasons) {
        if (told++ == k_most) {
            text += "; and " + std::to_string(reasons.size() - k_most) + " more";
            break;
        }
        const bool same = !text.empty() && reason.of == of;
        text += text.empty() ? "" : same ? ", " : "; ";
        text += same || reason.of.empty() ? "" : reason.of + ": ";
        text += reason.text;
        of = reason.of;
        const MemberFacts* member = facts.find(of);
        if (member != nullptr && member->api.failed() && reason.text.ends_with(" is not known")) {
            text += " (" + member->api.error + ")";
        }
    }
    return text;
}

Scope scope_of(const StepCall& call, const ClusterFacts& facts, const Cluster& cluster) {
    const ClusterFacts unknown;
    const Value observed = observed_value(facts, cluster, call.at_start ? *call.at_start : unknown);
    Scope scope = make_scope({.plan = Plan(),
                              .facts = facts,
                              .cluster = cluster,
                              .member = call.member,
                              .observed = &observed});
    // What does not change while a condition is waited for is taken from the step.
    for (const char* name : {"inputs", "vars", "run", "steps", "item", "result"}) {
        const auto given = call.scope.find(name);
        if (given != call.scope.end()) {
            scope.insert_or_assign(name, given->second);
        }
    }
    return scope;
}

/// A member with those facts alone that stay as they are unless somebody changes them on purpose.
/// In a standby cluster nobody is promoted; a member that must not stream does not begin to.
Value settled(const Value& member, const MemberFacts& facts, bool of_standby_cluster) {
    std::set<std::string_view> kept{"name", "host", "at_start", "os", "system_identifier", "tags"};
    if (of_standby_cluster) {
        kept.insert("in_recovery");
    }
    if (of_standby_cluster && facts.is_leader()) {
        kept.insert({"role", "is_leader"});
    }
    const auto nostream = facts.tags.find("nostream");
    if (nostream != facts.tags.end() && nostream->second == true &&
        facts.state == "in archive recovery") {
        kept.insert("state");
    }
    Value::Map fields = member.as_map();
    for (auto& [name, value] : fields) {
        if (!kept.contains(name)) {
            value = Value::unknown(name + " may change");
        }
    }
    return Value(std::move(fields));
}

Value settled_of(const ClusterFacts& facts, const Value& member) {
    const MemberFacts* leader = facts.leader_member();
    const MemberFacts* found = facts.find(member.as_map().at("name").as_string());
    const bool standby = leader != nullptr && leader->role == "standby_leader";
    return found == nullptr ? member : settled(member, *found, standby);
}

}  // namespace

Condition evaluate_condition(const Expression& that,
                             const StepCall& call,
                             const ClusterFacts& facts,
                             const Cluster& cluster) {
    const Scope scope = scope_of(call, facts, cluster);
    const Evaluation evaluated = that.evaluate(scope);
    if (const auto* error = std::get_if<EvaluationError>(&evaluated)) {
        return {Condition::State::error, that.where().text() + ": " + error->message, error->hint};
    }
    if (const auto* unknown = std::get_if<Value::Unknown>(&evaluated)) {
        const std::string why = text_of(that.why_not(scope), facts);
        return {Condition::State::unknown, why.empty() ? unknown->because : why, {}};
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
    return {Condition::State::no, text_of(that.why_not(scope), facts), {}};
}

/// False whatever becomes of everything that may still change.
bool can_never_hold(const Expression& that,
                    const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& cluster) {
    Scope scope = scope_of(call, facts, cluster);
    Value::List members;
    for (const Value& member : scope.at("members").as_list()) {
        members.push_back(settled_of(facts, member));
    }
    for (const char* name : {"member", "leader"}) {
        const auto one = scope.find(name);
        if (one != scope.end() && !one->second.is_unknown()) {
            one->second = settled_of(facts, one->second);
        }
    }
    scope.insert_or_assign("members", Value(std::move(members)));
    scope.insert_or_assign("cluster", Value::unknown("the cluster may change"));
    const Evaluation evaluated = that.evaluate(scope);
    const auto* value = std::get_if<Value>(&evaluated);
    return value != nullptr && *value == Value(false);
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
