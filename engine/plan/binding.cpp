#include "engine/plan/binding.hpp"

#include "base/or_null.hpp"
#include "cluster/pending_restart.hpp"
#include "engine/expression/expression_limits.hpp"
#include "engine/expression/facts_value.hpp"
#include "engine/runbook/step_reads.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace lockstep {

namespace {

/// An argument, or why there is none.
using Bound = std::variant<Value, Value::Unknown, EvaluationError>;

Bound bind_argument(const Argument& argument, const Scope& scope, Quoting quoting);

/// One part that is not known makes the whole unknown: half an argument is none.
Bound bind_list(const Argument::List& arguments, const Scope& scope, Quoting quoting) {
    Value::List list;
    for (const Argument& element : arguments) {
        Bound bound = bind_argument(element, scope, quoting);
        if (!std::holds_alternative<Value>(bound)) {
            return bound;
        }
        list.push_back(std::get<Value>(std::move(bound)));
    }
    return Value(std::move(list));
}

Bound bind_map(const Argument::Map& arguments, const Scope& scope, Quoting quoting) {
    Value::Map map;
    for (const auto& [key, element] : arguments) {
        Bound bound = bind_argument(element, scope, quoting);
        if (!std::holds_alternative<Value>(bound)) {
            return bound;
        }
        map.emplace(key, std::get<Value>(std::move(bound)));
    }
    return Value(std::move(map));
}

Bound bind_argument(const Argument& argument, const Scope& scope, Quoting quoting) {
    if (const auto* value = std::get_if<Value>(&argument.content)) {
        return *value;
    }
    if (const auto* text = std::get_if<Template>(&argument.content)) {
        return text->render(scope, quoting);
    }
    if (const auto* expression = std::get_if<Expression>(&argument.content)) {
        return expression->evaluate(scope);
    }
    if (const auto* list = std::get_if<Argument::List>(&argument.content)) {
        return bind_list(*list, scope, quoting);
    }
    return bind_map(std::get<Argument::Map>(argument.content), scope, quoting);
}

/// Each value in it is as deep as an expression may make one; what is written around it comes on
/// top, and the record of it has to be readable again.
Bound bind_whole(const Argument& argument, const Scope& scope, Quoting quoting) {
    Bound bound = bind_argument(argument, scope, quoting);
    const auto* value = std::get_if<Value>(&bound);
    if (value != nullptr && nests_deeper_than(*value, k_deepest_value)) {
        return EvaluationError{
            "it nests deeper than " + std::to_string(k_deepest_value) + " levels", {}};
    }
    return bound;
}

}  // namespace

namespace {

/// What an expression may compare with: the cluster as it was when the plan was made.
Value at_start(const ClusterFacts& facts) {
    const MemberFacts* leader = facts.leader_member();
    const bool known = leader != nullptr && leader->position;
    return Value(Value::Map{
        {"leader", Value(facts.leader)},
        {"timeline", facts.timeline ? Value(*facts.timeline) : Value::unknown("no timeline")},
        {"lsn",
         known ? Value(static_cast<std::int64_t>(*leader->position))
               : Value::unknown("the leader's position was not known")},
    });
}

}  // namespace

namespace {

constexpr char k_of_member = '@';  // in no name of a step, and in no id of a frame

/// Under which keys an output is registered: the member's own first.
std::array<std::string, 2> keys_of(std::string_view frame,
                                   const std::string& name,
                                   std::string_view member) {
    const std::string key = std::string(frame) + name;
    return {key + k_of_member + std::string(member), key};
}

/// The outputs that a step sees: those of its own runbook, and of its own member where that has
/// one. Done for each step, and so with as few texts made as can be.
Value::Map registered_in(const ScopeSource& source) {
    Value::Map own;
    if (source.registered == nullptr) {
        return own;
    }
    const std::string_view prefix =
        source.frame == nullptr ? std::string_view() : std::string_view(source.frame->id);
    if (source.outputs) {
        for (const std::string& name : *source.outputs) {
            for (const std::string& key : keys_of(prefix, name, source.member)) {
                if (const auto found = source.registered->find(key);
                    found != source.registered->end()) {
                    own.emplace(name, found->second);  // unless there is one: the member's
                }
            }
        }
        return own;
    }
    for (auto each = source.registered->lower_bound(prefix);
         each != source.registered->end() && each->first.starts_with(prefix);
         ++each) {
        const std::string_view rest = std::string_view(each->first).substr(prefix.size());
        const std::size_t at = rest.find(k_of_member);
        const std::string_view name = rest.substr(0, at);
        if (name.find('.') != std::string_view::npos) {
            continue;  // of a runbook that this one calls
        }
        if (at == std::string_view::npos) {
            own.emplace_hint(own.end(), name, each->second);
        } else if (rest.substr(at + 1) == source.member) {
            own.insert_or_assign(std::string(name), each->second);
        }
    }
    return own;
}

/// Under which name a step's output is registered.
std::string registered_name(const PlannedStep& step) {
    const CallFrame* frame = frame_of(step);
    return (frame == nullptr ? "" : frame->id) + step.spec->register_as;
}

}  // namespace

/// The innermost call counts: a runbook sees its own names and not those of its caller.
const CallFrame* frame_of(const PlannedStep& step) {
    return step.frames.empty() ? nullptr : step.frames.back().get();
}

std::optional<std::set<std::string>> outputs_read_by(const PlannedStep& step) {
    constexpr std::string_view k_steps = "steps";
    std::optional<std::set<std::string>> names{std::in_place};
    const auto take = [&](const runbook_reading::Read& read) {
        for (const std::string_view path : read.paths) {
            if (!path.starts_with(k_steps)) {
                continue;
            }
            const std::string_view rest = path.substr(k_steps.size());
            if (names && rest.starts_with('.')) {
                names->emplace(rest.substr(1, rest.find_first_of(".[", 1) - 1));
            } else if (rest.empty() || rest.starts_with('[')) {
                names.reset();  // all of them, or one that is not named
            }
        }
    };
    for (const StepSpec* block : step.within) {
        runbook_reading::for_each_read(*block, take);
    }
    runbook_reading::for_each_read(*step.spec, take);
    return names;
}

Value::Map only(const std::set<std::string>& names,
                const PlannedStep& step,
                const Value::Map& registered) {
    Value::Map some;
    std::vector<std::string_view> frames{""};
    for (const auto& frame : step.frames) {
        frames.emplace_back(frame->id);
    }
    for (const std::string_view frame : frames) {
        for (const std::string& name : names) {
            for (const std::string& key : keys_of(frame, name, step.member)) {
                if (const auto found = registered.find(key); found != registered.end()) {
                    some.insert(*found);
                }
            }
        }
    }
    return some;
}

/// Twice: for steps of the same member, and under the plain name, as the newest, for those of none.
void keep_registered(const PlannedStep& step, const Value& output, Value::Map& registered) {
    const std::string name = registered_name(step);
    if (!step.member.empty()) {
        registered.insert_or_assign(name + k_of_member + step.member, output);
    }
    registered.insert_or_assign(name, output);
}

namespace {

/// `member.at_start`: what a member is compared with. Little, because every member has it.
nlohmann::json start_of(const MemberFacts* before) {
    if (before == nullptr) {
        return nullptr;
    }
    return {{"role", or_null(before->role)},
            {"is_leader", before->is_leader()},
            {"state", or_null(before->state)},
            {"in_recovery", before->in_recovery},
            {"timeline", or_null(before->timeline)},
            {"position", or_null(before->position)},
            {"received", or_null(before->received)},
            {"lag_bytes", or_null(before->lag_bytes)},
            {"tags", before->tags},
            {"patroni",
             {{"running", or_null(before->patroni.running)},
              {"installed", or_null(before->patroni.installed)}}},
            {"postgres",
             {{"running", or_null(before->postgres.running)},
              {"started_at", or_null(before->postgres.started_at)}}}};
}

}  // namespace

/// An empty leader is a text here, so that `cluster.leader == ""` is true rather than unknown.
Value observed_value(const ClusterFacts& facts, const Cluster& cluster, const ClusterFacts& start) {
    nlohmann::json seen = facts.to_json();
    for (nlohmann::json& member : seen.at("members")) {
        const auto name = member.at("name").get<std::string>();
        member["at_start"] = start_of(start.find(name));
        const std::vector<SettingMove> moves = moves_of_restart(facts, *facts.find(name));
        member["restart_lowers"] = std::ranges::any_of(moves, &SettingMove::lowers);
    }
    seen["patroni_package"] = cluster.patroni_package;
    seen["patroni_service"] = cluster.patroni_service;
    if (facts.leader.empty()) {
        seen["leader"] = "";
    }
    return facts_value(seen, "cluster");
}

/// One scope for plan and run: what an expression sees must not depend on who evaluates it.
Scope make_scope(const ScopeSource& source) {
    Value observed = source.observed != nullptr
                         ? *source.observed
                         : observed_value(source.facts, source.cluster, source.plan.facts);
    Scope scope;
    scope.emplace("members", observed.as_map().at("members"));
    for (const Value& candidate : observed.as_map().at("members").as_list()) {
        if (candidate.as_map().at("name").as_string() == source.member) {
            scope.emplace("member", candidate);
        }
        if (candidate.as_map().at("name").as_string() == source.facts.leader) {
            scope.emplace("leader", candidate);
        }
    }
    scope.emplace("leader", Value::unknown("nobody holds the leader lock"));  // unless it is there
    scope.emplace("cluster", std::move(observed));
    const CallFrame* frame = source.frame;
    scope.emplace("inputs", Value(frame == nullptr ? source.plan.inputs : frame->inputs));
    scope.emplace("vars", Value(frame == nullptr ? source.plan.vars : frame->vars));
    scope.emplace("run", at_start(source.plan.facts));
    scope.emplace("steps", Value(registered_in(source)));
    if (source.item != nullptr && *source.item) {
        scope.emplace("item", **source.item);
    }
    return scope;
}

namespace {

/// Of the block at `depth` around a step: the names of the runbook that it stands in.
Scope scope_at(const PlannedStep& step, std::size_t depth, ScopeSource source) {
    source.frame = nullptr;
    for (const auto& frame : step.frames) {
        source.frame = frame->depth < depth ? frame.get() : source.frame;
    }
    return make_scope(source);
}

/// Whether every `when` around the step lets it run.
/// A `false` decides at once, an unknown only where no other one is false.
BoundStep answer_conditions(const PlannedStep& step,
                            const Scope& scope,
                            const ScopeSource& source) {
    BoundStep answer;
    std::vector<const StepSpec*> specs = step.within;
    specs.push_back(step.spec);
    for (std::size_t depth = 0; depth < specs.size(); ++depth) {
        const StepSpec* spec = specs[depth];
        if (!spec->when) {
            continue;
        }
        // A `when` around a call is the caller's: it must not see the names of the runbook inside.
        const bool outside = !step.frames.empty() && depth <= step.frames.back()->depth;
        const Evaluation evaluated =
            spec->when->evaluate(outside ? scope_at(step, depth, source) : scope);
        if (const auto* error = std::get_if<EvaluationError>(&evaluated)) {
            return {BoundStep::Kind::error,
                    spec->when->where().text() + ": " + error->message,
                    error->hint,
                    {}};
        }
        if (const auto* unknown = std::get_if<Value::Unknown>(&evaluated)) {
            answer.kind = BoundStep::Kind::unknown;
            answer.because = "depends on `" + spec->when->text() + "`: " + unknown->because;
            continue;
        }
        const Value& value = std::get<Value>(evaluated);
        if (value.kind() != Value::Kind::boolean) {
            return {BoundStep::Kind::error,
                    spec->when->where().text() + ": `when` is " + std::string(value.kind_name()) +
                        ", not true or false",
                    {},
                    {}};
        }
        if (!value.as_bool()) {
            return {BoundStep::Kind::skip, "`" + spec->when->text() + "` is false", {}, {}};
        }
    }
    return answer;
}

}  // namespace

namespace {

/// `with:` into the call; what keeps it from being complete is left in `result`.
/// Expressions are handed on unevaluated: actions such as `check` evaluate them against facts of
/// their own. A shell parameter is quoted value by value, so that no value can become a command.
void bind_arguments(const Arguments& arguments,
                    const ActionSchema& schema,
                    const Scope& scope,
                    BoundStep& result) {
    for (const auto& [name, argument] : arguments) {
        if (const auto* expression = std::get_if<Expression>(&argument.content)) {
            result.call.expressions.emplace(name, *expression);
            continue;
        }
        const ParamSchema* param = schema.param(name);
        const bool shell = param != nullptr && param->kind == ParamKind::shell;
        Bound bound = bind_whole(argument, scope, shell ? Quoting::shell : Quoting::none);
        if (const auto* error = std::get_if<EvaluationError>(&bound)) {
            result = {BoundStep::Kind::error,
                      argument.where.text() + ": " + name + ": " + error->message,
                      error->hint,
                      {}};
            return;
        }
        if (const auto* unknown = std::get_if<Value::Unknown>(&bound)) {
            result = {BoundStep::Kind::unknown,
                      name + " is not known until the run: " + unknown->because,
                      {},
                      {}};
            return;
        }
        result.call.with.emplace(name, std::get<Value>(std::move(bound)));
    }
}

}  // namespace

BoundStep bind_call(const PlannedStep& step,
                    const CallSpec& spec,
                    const ActionSchema& schema,
                    const Scope& scope) {
    BoundStep result;
    result.call.id = step.id;
    result.call.uses = spec.uses;
    result.call.member = step.member;
    result.call.scope = scope;
    result.call.timeout = step.spec->timeout.value_or(std::chrono::milliseconds{0});
    bind_arguments(spec.with, schema, scope, result);
    return result;
}

/// An undo has to be known in full beforehand: when it is needed, what its arguments read may be
/// gone.
BoundUndo bind_undo(const PlannedStep& step, const ActionCatalog& actions, const Scope& scope) {
    BoundUndo result;
    for (const CallSpec& spec : step.spec->undo) {
        const BoundStep bound = bind_call(step, spec, *find_action(actions, spec.uses), scope);
        if (bound.kind != BoundStep::Kind::ready) {
            result.error = "undo: " + bound.because;
            result.hint = bound.hint;
            return result;
        }
        const nlohmann::json with = Value(bound.call.with).to_json();
        result.undo.push_back(
            {{Operation::Kind::ssh, spec.uses + " " + with.dump()}, spec.uses, step.member, with});
    }
    return result;
}

/// No scope and no expressions: a frozen undo is values alone.
StepCall call_of(const Undo& undo, const std::string& step) {
    StepCall call;
    call.id = step;
    call.uses = undo.uses;
    call.member = undo.member;
    for (const auto& [name, value] : undo.with.items()) {
        call.with.emplace(name, Value::from_json(value));
    }
    return call;
}

/// `when` goes first, because arguments may only make sense where it is true.
BoundStep bind_step(const PlannedStep& step,
                    const ActionSchema& schema,
                    const Scope& scope,
                    const ScopeSource& source) {
    BoundStep whether = answer_conditions(step, scope, source);
    if (whether.kind == BoundStep::Kind::error || whether.kind == BoundStep::Kind::skip) {
        return whether;
    }
    BoundStep result;
    result.call.id = step.id;
    result.call.uses = step.uses;
    result.call.member = step.member;
    result.call.scope = scope;
    result.call.probed = step.probed;
    result.call.timeout = step.spec->timeout.value_or(std::chrono::milliseconds{0});
    bind_arguments(step.spec->with, schema, scope, result);
    if (whether.kind != BoundStep::Kind::unknown) {
        return result;
    }
    if (result.kind != BoundStep::Kind::ready) {
        return whether;  // also where it is an error: what `when` guards against may be just that
    }
    result.kind = BoundStep::Kind::unknown;
    result.because = whether.because;
    return result;
}

namespace {

/// Each may use those before it: `into` is where `source` looks for them.
void work_out_vars(const Runbook& runbook, const ScopeSource& source, Value::Map& into) {
    for (const auto& [name, argument] : runbook.vars) {
        Bound bound = bind_whole(argument, make_scope(source), Quoting::none);
        if (const auto* error = std::get_if<EvaluationError>(&bound)) {
            throw InputError(argument.where,
                             "vars." + name + ": " + error->message,
                             error->hint,
                             "runbook.expression");
        }
        if (auto* unknown = std::get_if<Value::Unknown>(&bound)) {
            into.insert_or_assign(name, Value::unknown(std::move(unknown->because)));
        } else {
            into.insert_or_assign(name, std::get<Value>(std::move(bound)));
        }
    }
}

}  // namespace

/// Once, from the facts of the plan, so that a var means the same in the first step and in the
/// last.
void evaluate_vars(const Cluster& cluster, Plan& plan) {
    work_out_vars(
        *plan.runbook, {.plan = plan, .facts = plan.facts, .cluster = cluster}, plan.vars);
}

/// Inputs of a call must be known when the plan is made: which steps there are depends on them.
std::shared_ptr<const CallFrame> call_frame(const StepSpec& spec,
                                            const ScopeSource& source,
                                            std::string id,
                                            std::size_t depth) {
    auto frame = std::make_shared<CallFrame>();
    frame->id = std::move(id);
    frame->depth = depth;
    frame->item = source.item == nullptr ? std::nullopt : *source.item;
    Value::Map given;
    const auto inputs = spec.with.find("inputs");
    if (inputs != spec.with.end()) {
        const Scope scope = make_scope(source);
        for (const auto& [name, argument] : std::get<Argument::Map>(inputs->second.content)) {
            Bound bound = bind_whole(argument, scope, Quoting::none);
            if (const auto* error = std::get_if<EvaluationError>(&bound)) {
                throw InputError(
                    argument.where, "inputs." + name + ": " + error->message, error->hint);
            }
            if (const auto* unknown = std::get_if<Value::Unknown>(&bound)) {
                throw InputError(argument.where,
                                 "inputs." + name + " is not known: " + unknown->because,
                                 "What a runbook is called with is decided when the plan is made.");
            }
            given.emplace(name, std::get<Value>(std::move(bound)));
        }
    }
    frame->inputs = called_inputs(*spec.called, given, spec.where);
    ScopeSource inside = source;
    inside.frame = frame.get();
    work_out_vars(*spec.called, inside, frame->vars);
    return frame;
}

}  // namespace lockstep
