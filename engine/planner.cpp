#include "engine/planner.hpp"

#include "engine/expansion.hpp"

#include <algorithm>

namespace lockstep {

namespace {

/// Facts as a value: what nobody could observe is unknown, and never passes for anything.
Value fact_value(const nlohmann::json& json, const std::string& path) {
    if (json.is_null()) {
        return Value::unknown(path + " is not known");
    }
    if (json.is_object()) {
        Value::Map map;
        for (const auto& [key, element] : json.items()) {
            map.emplace(key, fact_value(element, path + "." + key));
        }
        return Value(std::move(map));
    }
    if (json.is_array()) {
        Value::List list;
        for (const nlohmann::json& element : json) {
            list.push_back(fact_value(element, path + "[]"));
        }
        return Value(std::move(list));
    }
    return Value::from_json(json);
}

/// An argument, or why there is none.
using Rendered = std::variant<Value, Value::Unknown, EvaluationError>;

Rendered render(const Argument& argument, const Scope& scope, Quoting quoting);

Rendered render_list(const Argument::List& arguments, const Scope& scope, Quoting quoting) {
    Value::List list;
    for (const Argument& element : arguments) {
        Rendered rendered = render(element, scope, quoting);
        if (!std::holds_alternative<Value>(rendered)) {
            return rendered;
        }
        list.push_back(std::get<Value>(std::move(rendered)));
    }
    return Value(std::move(list));
}

Rendered render_map(const Argument::Map& arguments, const Scope& scope, Quoting quoting) {
    Value::Map map;
    for (const auto& [key, element] : arguments) {
        Rendered rendered = render(element, scope, quoting);
        if (!std::holds_alternative<Value>(rendered)) {
            return rendered;
        }
        map.emplace(key, std::get<Value>(std::move(rendered)));
    }
    return Value(std::move(map));
}

Rendered render(const Argument& argument, const Scope& scope, Quoting quoting) {
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
        return render_list(*list, scope, quoting);
    }
    return render_map(std::get<Argument::Map>(argument.content), scope, quoting);
}

/// `vars`, each of which may use those before it.
void evaluate_vars(const PlanRequest& request, Plan& plan) {
    for (const auto& [name, argument] : request.runbook->vars) {
        const Scope scope =
            make_scope({.plan = plan, .facts = plan.facts, .cluster = *request.cluster});
        Rendered rendered = render(argument, scope, Quoting::none);
        if (const auto* error = std::get_if<EvaluationError>(&rendered)) {
            throw InputError(argument.where, "vars." + name + ": " + error->message, error->hint);
        }
        if (auto* unknown = std::get_if<Value::Unknown>(&rendered)) {
            plan.vars.insert_or_assign(name, Value::unknown(std::move(unknown->because)));
        } else {
            plan.vars.insert_or_assign(name, std::get<Value>(std::move(rendered)));
        }
    }
}

Finding expression_finding(const PlannedStep& step, const RenderedStep& rendered) {
    return {.id = "runbook.expression",
            .severity = Severity::critical,
            .member = step.member,
            .subject = step.id,
            .message = rendered.because,
            .remedy = rendered.hint,
            .source = {}};
}

/// Goes through the steps once, each judged by the facts as those before it will have left them.
class Forecast {
  public:
    Forecast(const PlanRequest& request, Plan& plan, StepRunner& runner, std::stop_token stop)
        : request_(request),
          plan_(plan),
          runner_(runner),
          stop_(std::move(stop)),
          projected_(plan.facts) {}

    void run() {
        for (PlannedStep& step : plan_.steps) {
            judge(step);
        }
        drop_idle_temporaries();
    }

  private:
    void judge(PlannedStep& step) {
        const ActionSchema& schema = *find_action(*request_.actions, step.uses);
        step.changes = schema.changes;
        const Scope scope = make_scope({.plan = plan_,
                                        .facts = projected_,
                                        .cluster = *request_.cluster,
                                        .registered = &registered_,
                                        .member = step.member,
                                        .item = &step.item});
        if (!step.spec->register_as.empty()) {
            registered_.insert_or_assign(step.spec->register_as,
                                         Value::unknown("step " + step.id + " has not run"));
        }
        RenderedStep rendered = render_step(step, schema, scope);
        switch (rendered.kind) {
            case RenderedStep::Kind::skip:
                step.verdict = Verdict::wont;
                step.because = rendered.because;
                return;
            case RenderedStep::Kind::unknown:
                step.verdict = Verdict::may;
                step.because = rendered.because;
                return;
            case RenderedStep::Kind::error:
                step.because = rendered.because;
                plan_.blocked_by.push_back(expression_finding(step, rendered));
                return;
            case RenderedStep::Kind::ready:
                preview(step, schema, std::move(rendered.call));
                return;
        }
    }

    void preview(PlannedStep& step, const ActionSchema& schema, StepCall call) {
        call.heals = plan_.runbook->heals;
        call.open_temporaries = open_;
        step.probed = runner_.probe(call, plan_.facts, stop_);
        call.probed = step.probed;
        Preview preview = runner_.preview(call, projected_);
        step.verdict = preview.verdict;
        step.changes = schema.changes && !preview.read_only;
        step.because = std::move(preview.because);
        step.operations = std::move(preview.operations);
        step.undo = std::move(preview.undo);
        step.notes = std::move(preview.notes);
        for (Finding& finding : preview.blocked_by) {
            add_refusal(std::move(finding));
        }
        if (step.verdict == Verdict::wont) {
            return;
        }
        if (preview.effect) {
            preview.effect(projected_);
        }
        if (schema.temporary) {
            open_.push_back(schema.name);
        }
        std::erase(open_, schema.ends);
    }

    /// The same refusal is often found by several steps; once is enough to act on it.
    void add_refusal(Finding finding) {
        const bool known = std::ranges::any_of(plan_.blocked_by, [&](const Finding& other) {
            return other.id == finding.id && other.member == finding.member &&
                   other.subject == finding.subject;
        });
        if (!known) {
            plan_.blocked_by.push_back(std::move(finding));
        }
    }

    /// A temporary change is made only for the sake of what it covers: nothing to change between
    /// it and the step that takes it back, no pause.
    void drop_idle_temporaries() {
        for (std::size_t first = 0; first < plan_.steps.size(); ++first) {
            const ActionSchema& schema = *find_action(*request_.actions, plan_.steps[first].uses);
            if (!schema.temporary) {
                continue;
            }
            std::size_t last = first + 1;
            bool covers_change = false;
            while (last < plan_.steps.size() && !ends(last, schema.name)) {
                const PlannedStep& step = plan_.steps[last];
                covers_change = covers_change || (step.changes && step.verdict != Verdict::wont);
                ++last;
            }
            if (!covers_change) {
                make_idle(first);
                if (last < plan_.steps.size()) {
                    make_idle(last);
                }
            }
        }
    }

    [[nodiscard]] bool ends(std::size_t index, const std::string& temporary) const {
        return find_action(*request_.actions, plan_.steps[index].uses)->ends == temporary;
    }

    void make_idle(std::size_t index) {
        PlannedStep& step = plan_.steps[index];
        step.idle = true;
        step.verdict = Verdict::wont;
        step.because = "nothing has to change meanwhile";
        step.operations.clear();
        step.undo.clear();
        step.notes.clear();
    }

    const PlanRequest& request_;
    Plan& plan_;
    StepRunner& runner_;
    std::stop_token stop_;
    ClusterFacts projected_;
    Value::Map registered_;
    std::vector<std::string> open_;
};

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

Scope make_scope(const ScopeSource& source) {
    nlohmann::json seen = source.facts.to_json();
    seen["patroni_package"] = source.cluster.patroni_package;
    seen["patroni_service"] = source.cluster.patroni_service;
    if (source.facts.leader.empty()) {
        seen["leader"] = "";
    }
    Value observed = fact_value(seen, "cluster");
    Scope scope;
    scope.emplace("members", observed.as_map().at("members"));
    for (const Value& candidate : observed.as_map().at("members").as_list()) {
        if (candidate.as_map().at("name").as_string() == source.member) {
            scope.emplace("member", candidate);
        }
    }
    scope.emplace("cluster", std::move(observed));
    scope.emplace("inputs", Value(source.plan.inputs));
    scope.emplace("vars", Value(source.plan.vars));
    scope.emplace("run", at_start(source.plan.facts));
    scope.emplace("steps", Value(source.registered == nullptr ? Value::Map{} : *source.registered));
    if (source.item != nullptr && *source.item) {
        scope.emplace("item", **source.item);
    }
    return scope;
}

namespace {

/// Whether every `when` around the step lets it run.
RenderedStep answer_conditions(const PlannedStep& step, const Scope& scope) {
    RenderedStep answer;
    std::vector<const StepSpec*> specs = step.within;
    specs.push_back(step.spec);
    for (const StepSpec* spec : specs) {
        if (!spec->when) {
            continue;
        }
        const Evaluation evaluated = spec->when->evaluate(scope);
        if (const auto* error = std::get_if<EvaluationError>(&evaluated)) {
            return {RenderedStep::Kind::error,
                    spec->when->where().text() + ": " + error->message,
                    error->hint,
                    {}};
        }
        if (const auto* unknown = std::get_if<Value::Unknown>(&evaluated)) {
            answer.kind = RenderedStep::Kind::unknown;
            answer.because = "depends on `" + spec->when->text() + "`: " + unknown->because;
            continue;
        }
        const Value& value = std::get<Value>(evaluated);
        if (value.kind() != Value::Kind::boolean) {
            return {RenderedStep::Kind::error,
                    spec->when->where().text() + ": `when` is " + std::string(value.kind_name()) +
                        ", not true or false",
                    {},
                    {}};
        }
        if (!value.as_bool()) {
            return {RenderedStep::Kind::skip, "`" + spec->when->text() + "` is false", {}, {}};
        }
    }
    return answer;
}

}  // namespace

RenderedStep render_step(const PlannedStep& step, const ActionSchema& schema, const Scope& scope) {
    RenderedStep result = answer_conditions(step, scope);
    if (result.kind != RenderedStep::Kind::ready) {
        return result;
    }
    result.call.id = step.id;
    result.call.uses = step.uses;
    result.call.member = step.member;
    result.call.scope = scope;
    result.call.probed = step.probed;
    result.call.timeout = step.spec->timeout.value_or(std::chrono::milliseconds{0});
    for (const auto& [name, argument] : step.spec->with) {
        if (const auto* expression = std::get_if<Expression>(&argument.content)) {
            result.call.expressions.emplace(name, *expression);
            continue;
        }
        const ParamSchema* param = schema.param(name);
        const bool shell = param != nullptr && param->kind == ParamKind::shell;
        Rendered rendered = render(argument, scope, shell ? Quoting::shell : Quoting::none);
        if (const auto* error = std::get_if<EvaluationError>(&rendered)) {
            return {RenderedStep::Kind::error,
                    argument.where.text() + ": " + name + ": " + error->message,
                    error->hint,
                    {}};
        }
        if (const auto* unknown = std::get_if<Value::Unknown>(&rendered)) {
            return {RenderedStep::Kind::unknown,
                    name + " is not known until the run: " + unknown->because,
                    {},
                    {}};
        }
        result.call.with.emplace(name, std::get<Value>(std::move(rendered)));
    }
    return result;
}

Plan make_plan(const PlanRequest& request, StepRunner& runner, std::stop_token stop) {
    Plan plan;
    plan.runbook = request.runbook;
    plan.cluster = request.cluster->name;
    plan.inventory_path = request.inventory->path;
    plan.inventory_hash = sha256_hex(request.inventory->text);
    plan.inputs = request.inputs;
    plan.facts = runner.observe(true, stop);
    plan.findings = runner.diagnose(plan.facts, stop);
    evaluate_vars(request, plan);
    plan.steps = expand_steps(request, plan);
    Forecast(request, plan, runner, stop).run();
    nlohmann::json bound = plan.to_json();
    bound.erase("plan_hash");
    bound.erase("facts");  // lag and LSNs move all the time; what steps rely on is in the steps
    bound.erase("findings");
    plan.hash = sha256_hex(bound.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    return plan;
}

}  // namespace lockstep
