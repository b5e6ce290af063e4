#include "engine/plan/planner.hpp"

#include "base/canonical_json.hpp"
#include "base/utf8.hpp"
#include "cluster/diagnosis.hpp"
#include "engine/knowledge/path_judgement.hpp"
#include "engine/plan/binding.hpp"
#include "engine/plan/expansion.hpp"
#include "engine/plan/facts_needed.hpp"
#include "engine/plan/saved_plan.hpp"
#include "engine/plan/way_back.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace lockstep {

namespace {

/// The action whose preview knows what can never come true.
constexpr const char* k_waits = "wait_for";

/// An expression that cannot be evaluated blocks the plan: at run time it would stop in the middle.
Finding expression_finding(const PlannedStep& step, const BoundStep& bound) {
    return {.id = "runbook.expression",
            .severity = Severity::critical,
            .member = step.member,
            .subject = step.id,
            .message = bound.because,
            .remedy = bound.hint,
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
          start_(std::make_shared<const ClusterFacts>(plan.facts)),
          projected_(plan.facts),
          path_(shipped_knowledge(), plan.facts, plan.facts) {}

    /// In this order: idle pauses are dropped once every verdict is known, the way back is walked
    /// only for what is left, and what it needs is prepared last, by the whole of it.
    void run() {
        for (PlannedStep& step : plan_.steps) {
            forecast(step);
        }
        apply_knowledge();
        drop_idle_temporaries();
        look_back();
        prepare_undo();
        look_for_targets();
    }

  private:
    /// A step that nothing is known of stays in the plan as `may`: leaving it out would promise
    /// that it will not happen.
    void forecast(PlannedStep& step) {
        const ActionSchema& schema = *find_action(*request_.actions, step.uses);
        step.changes = schema.changes;
        if (!step.by_role.empty() && !chosen_for(step).contains(step.member)) {
            step.verdict = Verdict::wont;
            step.because = "by then " + projected_.leader + " leads, as planned";
            return;
        }
        if (!observed_) {
            observed_ = observed_value(projected_, *request_.cluster, plan_.facts);
        }
        const ScopeSource source{.plan = plan_,
                                 .facts = projected_,
                                 .cluster = *request_.cluster,
                                 .registered = &registered_,
                                 .outputs = outputs_read_by(step),
                                 .member = step.member,
                                 .frame = frame_of(step),
                                 .item = &step.item,
                                 .observed = &*observed_};
        const Scope scope = make_scope(source);
        // Before the step is bound: an expression that reads its own output must find it unknown,
        // not missing.
        if (!step.spec->register_as.empty()) {
            keep_registered(step, Value::unknown("step " + step.id + " has not run"), registered_);
        }
        const BoundStep bound = bind_step(step, schema, scope, source);
        switch (bound.kind) {
            case BoundStep::Kind::skip:
                step.verdict = Verdict::wont;
                step.because = bound.because;
                return;
            case BoundStep::Kind::unknown:
                step.verdict = Verdict::may;
                step.because = bound.because;
                foreseen_ = foreseen_ && !schema.changes && !schema.asks;
                outline(step, schema, bound.call);
                return;
            case BoundStep::Kind::error:
                step.because = bound.because;
                plan_.blocked_by.push_back(expression_finding(step, bound));
                return;
            case BoundStep::Kind::ready:
                preview(step, schema, scope, bound.call);
                if (!step.by_role.empty() && step.verdict == Verdict::will) {
                    step.verdict = Verdict::may;
                    step.because = "if " + projected_.leader + " leads by then, as planned" +
                                   (step.because.empty() ? "" : ": " + step.because);
                }
                return;
        }
    }

    /// By the facts as they will be when the first step of the fan-out begins; the run decides
    /// anew.
    const std::set<std::string>& chosen_for(const PlannedStep& step) {
        const auto [chosen, first] = chosen_.try_emplace(step.group);
        for (const MemberFacts& member : projected_.members) {
            if (first && has_role(member, step.by_role)) {
                chosen->second.insert(member.name);
            }
        }
        return chosen->second;
    }

    /// What a step would do whose `when` is not known yet, but its arguments are. It is judged by
    /// nothing here: the run does that once it knows.
    void outline(PlannedStep& step, const ActionSchema& schema, StepCall call) {
        if (call.uses.empty()) {
            return;
        }
        call.led_by = projected_.leader;
        step.probed = runner_.probe(call, plan_.facts, stop_);
        call.probed = step.probed;
        Preview preview = runner_.preview(call, projected_);
        step.changes = schema.changes && !preview.read_only;
        step.operations = std::move(preview.operations);
        step.felt = step.changes ? preview.felt.value_or(schema.felt) : "";
    }

    /// The probe goes by the cluster as it is, because it asks it; the preview by the facts as they
    /// will be.
    void preview(PlannedStep& step, const ActionSchema& schema, const Scope& scope, StepCall call) {
        call.heals = plan_.runbook->heals;
        call.at_start = start_;
        call.foreseen = foreseen_;
        call.led_by = projected_.leader;
        call.open_temporaries = open_;
        step.probed = runner_.probe(call, plan_.facts, stop_);
        call.probed = step.probed;
        Preview preview = runner_.preview(call, projected_);
        step.verdict = preview.verdict;
        step.changes = schema.changes && !preview.read_only;
        step.because = std::move(preview.because);
        step.operations = std::move(preview.operations);
        step.undo = std::move(preview.undo);
        step.no_way_back = std::move(preview.no_way_back);
        step.notes = std::move(preview.notes);
        estimate(step, schema, preview.takes);
        step.felt = step.changes ? preview.felt.value_or(schema.felt) : "";
        for (Finding& finding : preview.blocked_by) {
            add_refusal(std::move(finding));
        }
        if (step.verdict == Verdict::wont) {
            return;
        }
        foreseen_ = foreseen_ && (!step.changes || preview.effect) && !schema.asks;
        // An undo of what will not be done would be prepared, and would weigh on the way back.
        choose_undo(step, schema, scope, preview.needs_no_undo);
        if (preview.effect) {
            preview.effect(projected_);
            observed_.reset();
            path_.after(step.member.empty() ? step.id : step.id + " on " + step.member, projected_);
        }
        judge_proof(step, scope);
        if (schema.temporary) {
            open_.push_back(schema.name);
            if (preview.effect && step.member.empty()) {
                holds_.push_back({schema.name, preview.effect});
            }
        }
        std::erase(open_, schema.ends);
    }

    /// What `verify` and `until` ask for is decided here where today's facts do: a change that can
    /// never be proven would be made, waited for and taken back. They are judged as a wait_for is,
    /// by what no step of this plan changes.
    void judge_proof(const PlannedStep& step, const Scope& scope) {
        if (!foreseen_ || find_action(*request_.actions, k_waits) == nullptr) {
            return;
        }
        if (step.spec->until) {
            judge_as_wait(step, scope, "until", *step.spec->until);
        }
        if (step.spec->verify) {
            const auto that = step.spec->verify->with.find("that");
            if (that != step.spec->verify->with.end() &&
                std::holds_alternative<Expression>(that->second.content)) {
                judge_as_wait(step, scope, "verify", std::get<Expression>(that->second.content));
            }
        }
    }

    void judge_as_wait(const PlannedStep& step,
                       const Scope& scope,
                       const char* what,
                       const Expression& that) {
        StepCall call;
        call.id = step.id;
        call.uses = k_waits;
        call.member = step.member;
        call.expressions.emplace("that", that);
        call.scope = scope;
        call.scope.insert_or_assign("result", Value::unknown("step " + step.id + " has not run"));
        call.at_start = start_;
        call.foreseen = true;
        for (Finding& finding : runner_.preview(call, projected_).blocked_by) {
            finding.message = std::string(what) + ": " + finding.message;
            add_refusal(std::move(finding));
        }
    }

    /// By what its arguments say, else by earlier runs, else by what the runbook, or the action's
    /// row, declares.
    void estimate(PlannedStep& step,
                  const ActionSchema& schema,
                  std::optional<std::chrono::milliseconds> takes) {
        if (takes) {
            step.expected = {*takes, 1};
            return;
        }
        std::optional<Expected> known;
        if (request_.durations != nullptr) {
            known = request_.durations->of(
                plan_.runbook->name, step.id, step.uses, schema.changes && !schema.temporary);
        }
        step.expected = known.value_or(Expected{step.spec->estimate.value_or(schema.estimate), 0});
    }

    /// The runbook's own undo goes before the action's.
    void choose_undo(PlannedStep& step,
                     const ActionSchema& schema,
                     const Scope& scope,
                     bool needs_none) {
        const BoundUndo bound = bind_undo(step, *request_.actions, scope);
        if (!bound.error.empty()) {
            plan_.blocked_by.push_back(
                expression_finding(step, {BoundStep::Kind::error, bound.error, bound.hint, {}}));
        }
        if (!step.spec->undo.empty()) {
            step.undo = bound.undo;
            step.no_way_back.clear();
        }
        if (step.spec->no_undo) {
            step.undo.clear();
            step.no_way_back.clear();
        }
        const bool temporary = schema.temporary || !schema.ends.empty();
        if (step.changes && !temporary && !needs_none && step.undo.empty() && !step.spec->no_undo &&
            step.no_way_back.empty()) {
            step.no_way_back = k_no_undo;
        }
    }

    /// The whole path, not only its end: a bad pair that lasts for one step does its damage in that
    /// step.
    void apply_knowledge() {
        PathJudgement::Verdict verdict = path_.conclude(projected_);
        plan_.advice.insert(plan_.advice.end(), verdict.advice.begin(), verdict.advice.end());
        for (Finding& finding : verdict.refusals) {
            add_refusal(std::move(finding));
        }
    }

    void look_back() {
        for (Finding& finding :
             plan_way_back(plan_, *request_.actions, runner_, {projected_, path_, holds_})) {
            add_refusal(std::move(finding));
        }
    }

    /// What an undo needs is prepared before the first change, each thing once.
    void prepare_undo() {
        const std::size_t first = first_change();
        std::vector<PlannedStep> made;
        for (std::size_t i = first; i < plan_.steps.size(); ++i) {
            PlannedStep& step = plan_.steps[i];
            if (step.always) {
                continue;  // never taken back
            }
            for (const Undo& undo : step.whole_undo()) {
                add_preparation(undo, step, made);
            }
        }
        if (!made.empty()) {
            insert_before(first, std::move(made));
        }
    }

    /// Before it nothing has happened yet, so a preparation that fails leaves a cluster that nobody
    /// touched.
    [[nodiscard]] std::size_t first_change() const {
        const auto found = std::ranges::find_if(plan_.steps, [](const PlannedStep& step) {
            return step.changes && step.verdict != Verdict::wont && !step.always;
        });
        return static_cast<std::size_t>(found - plan_.steps.begin());
    }

    /// Where it cannot be had the plan is blocked, unless somebody accepted by name to go without
    /// this way back.
    void add_preparation(const Undo& undo, PlannedStep& of, std::vector<PlannedStep>& made) {
        const std::string& action = find_action(*request_.actions, undo.uses)->prepared_by;
        if (action.empty() || of.verdict == Verdict::wont) {
            return;
        }
        const ActionSchema& schema = *find_action(*request_.actions, action);
        StepSpec spec;
        spec.uses = action;
        spec.id = schema.preparation_id;
        for (const ParamSchema& param : schema.params) {
            if (undo.with.contains(param.name)) {
                const Value value = Value::from_json(undo.with.at(param.name));
                spec.with.emplace(param.name, Argument{value, {}});
                const bool named = value.kind() == Value::Kind::string;
                spec.id +=
                    named ? (&param == schema.params.data() ? ":" : "=") + value.to_text() : "";
            }
        }
        spec.id = as_utf8(spec.id);  // a version is whatever the member's package manager says
        const bool known = std::ranges::any_of(made, [&](const PlannedStep& other) {
            return other.id == spec.id && other.member == undo.member;
        });
        if (known) {
            return;
        }
        const auto without = without_.find({spec.id, undo.member});
        if (without != without_.end()) {
            go_without(of, without->second);
            return;
        }
        plan_.made.push_back(std::make_shared<const StepSpec>(std::move(spec)));
        PlannedStep step;
        step.id = plan_.made.back()->id;
        step.uses = action;
        step.member = undo.member;
        step.spec = plan_.made.back().get();
        step.made = true;
        // It runs before the first change, so it is judged by the cluster as it is.
        projected_ = plan_.facts;
        observed_.reset();
        const std::size_t refusals = plan_.blocked_by.size();
        forecast(step);
        if (plan_.blocked_by.size() == refusals && step.verdict != Verdict::wont &&
            is_waived(schema, undo.member)) {
            add_refusal({.id = schema.waived_by,
                         .severity = Severity::critical,
                         .member = undo.member,
                         .subject = step.id,
                         .message = "no way back is prepared: that was accepted by name",
                         .acceptable = true});
        }
        if (plan_.blocked_by.size() > refusals && is_accepted(plan_.blocked_by.back())) {
            const std::string why = plan_.blocked_by.back().message;
            without_.insert({{step.id, step.member}, why});
            go_without(of, why);
        } else {
            made.push_back(std::move(step));
        }
    }

    /// And nobody minds.
    static void go_without(PlannedStep& step, const std::string& why) {
        step.no_way_back = why;
        step.undo.clear();
        step.undo_besides.clear();
    }

    /// By name of the member: whoever accepts it of all means those that have none.
    [[nodiscard]] bool is_waived(const ActionSchema& schema, const std::string& member) const {
        return !schema.waived_by.empty() &&
               std::ranges::find(request_.accepted, schema.waived_by + "@" + member) !=
                   request_.accepted.end();
    }

    [[nodiscard]] bool is_accepted(const Finding& finding) const {
        return finding.acceptable &&
               std::ranges::any_of(request_.accepted,
                                   [&](const std::string& name) { return finding.is_named(name); });
    }

    /// `after` holds indices, so all of them move; and every later step waits for the preparations.
    void insert_before(std::size_t first, std::vector<PlannedStep> made) {
        const std::size_t count = made.size();
        for (PlannedStep& step : plan_.steps) {
            for (std::size_t& index : step.after) {
                index += index >= first ? count : 0;
            }
        }
        for (PlannedStep& step : made) {
            step.after = plan_.steps[first].after;
        }
        for (std::size_t i = first; i < plan_.steps.size(); ++i) {
            for (std::size_t n = 0; n < count && !plan_.steps[i].always; ++n) {
                plan_.steps[i].after.push_back(first + n);
            }
        }
        plan_.steps.insert(plan_.steps.begin() + static_cast<std::ptrdiff_t>(first),
                           std::make_move_iterator(made.begin()),
                           std::make_move_iterator(made.end()));
    }

    /// A misspelt target would be noticed only when somebody should have been told.
    void look_for_targets() {
        for (const NotifySpec& spec : request_.runbook->notify) {
            for (const std::string& target : spec.to) {
                if (auto refusal = refuse_target(target, *request_.cluster)) {
                    add_refusal(std::move(*refusal));
                }
            }
        }
    }

    /// The same refusal is often found by several steps; once is enough to act on it. What is so
    /// of the cluster a check says without a subject, and each step that it stops with its own.
    void add_refusal(Finding finding) {
        const bool known = std::ranges::any_of(plan_.blocked_by, [&](const Finding& other) {
            const bool said = finding.member.empty() && other.subject.empty();
            return other.id == finding.id && other.member == finding.member &&
                   (said || other.subject == finding.subject);
        });
        if (!known) {
            plan_.blocked_by.push_back(std::move(finding));
        }
    }

    /// A temporary change is made only for the sake of what it covers: nothing to change between
    /// it and the step that takes it back, no pause. A member's that no step ends is there to stay:
    /// a package put on hold again after its change.
    void drop_idle_temporaries() {
        for (std::size_t first = 0; first < plan_.steps.size(); ++first) {
            const ActionSchema& schema = *find_action(*request_.actions, plan_.steps[first].uses);
            if (!schema.temporary) {
                continue;
            }
            std::size_t last = first + 1;
            bool covers_change = false;
            while (last < plan_.steps.size() && !ends(last, plan_.steps[first])) {
                const PlannedStep& step = plan_.steps[last];
                covers_change = covers_change || (step.changes && step.verdict != Verdict::wont);
                ++last;
            }
            const bool to_stay = last == plan_.steps.size() && !plan_.steps[first].member.empty();
            if (!covers_change && !to_stay) {
                make_idle(first);
                if (last < plan_.steps.size()) {
                    make_idle(last);
                }
            }
        }
    }

    [[nodiscard]] bool ends(std::size_t index, const PlannedStep& temporary) const {
        const PlannedStep& step = plan_.steps[index];
        return step.member == temporary.member &&
               find_action(*request_.actions, step.uses)->ends == temporary.uses;
    }

    /// It stays in the plan, so that a reader sees that a pause was thought of and is not needed.
    void make_idle(std::size_t index) {
        PlannedStep& step = plan_.steps[index];
        step.idle = true;
        step.verdict = Verdict::wont;
        step.because = "nothing has to change meanwhile";
        step.operations.clear();
        step.undo.clear();
        step.no_way_back.clear();
        step.notes.clear();
    }

    const PlanRequest& request_;
    Plan& plan_;
    StepRunner& runner_;
    std::stop_token stop_;
    std::shared_ptr<const ClusterFacts> start_;
    ClusterFacts projected_;
    bool foreseen_ = true;           ///< nothing so far does what no preview tells
    std::optional<Value> observed_;  ///< of projected_, made when it is needed
    PathJudgement path_;
    Value::Map registered_;
    std::vector<std::string> open_;
    std::vector<Hold> holds_;
    std::map<std::string, std::set<std::string>> chosen_;  ///< of fan-outs that go by role
    std::map<std::pair<std::string, std::string>, std::string> without_;  ///< preparations, and why
};

}  // namespace

namespace {

/// A finding that somebody accepted by name does not block.
/// A name that fits nothing is refused: it is a typing error, or about another plan than this one.
void apply_acceptance(const PlanRequest& request, Plan& plan) {
    const std::vector<std::string>& names = request.accepted;
    for (const std::string& name : names) {
        const bool known = std::ranges::any_of(
            plan.blocked_by, [&](const Finding& finding) { return finding.is_named(name); });
        if (!known && !request.accepted_may_be_gone) {
            throw UsageError("--accept " + name + ": nothing of that name blocks this plan",
                             "`lockstep plan` shows what does.");
        }
    }
    std::vector<Finding> blocking;
    for (Finding& finding : plan.blocked_by) {
        const bool named = std::ranges::any_of(
            names, [&](const std::string& name) { return finding.is_named(name); });
        (named && finding.acceptable ? plan.accepted : blocking).push_back(std::move(finding));
    }
    plan.blocked_by = std::move(blocking);
}

/// Which cluster would be changed is not known then, and no acceptance makes it known.
void refuse_contradictions(Plan& plan) {
    const bool changes = std::ranges::any_of(plan.steps, [](const PlannedStep& step) {
        return step.changes && step.verdict != Verdict::wont;
    });
    if (!changes) {
        return;
    }
    for (Finding& finding : contradictions(plan.facts)) {
        const auto is_it = [&](const Finding& other) {
            return other.id == finding.id && other.member == finding.member;
        };
        if (std::ranges::none_of(plan.blocked_by, is_it)) {
            plan.blocked_by.push_back(std::move(finding));
        }
    }
}

/// Over the part that a person approves; what moves by itself must not make an approval void.
std::string hash_of(const Plan& plan) {
    return sha256_hex(canonical(bound_part(plan.to_json())));
}

}  // namespace

/// Facts first, then everything from the same facts: two looks could show two clusters.
Plan make_plan(const PlanRequest& request, StepRunner& runner, std::stop_token stop) {
    Plan plan;
    plan.runbook = request.runbook;
    plan.cluster = request.cluster->name;
    plan.inventory_path = request.inventory->path;
    plan.inventory_hash = sha256_hex(request.inventory->text);
    plan.inputs = request.inputs;
    plan.examined = needs_all_facts(*request.runbook, *request.actions);
    plan.facts = runner.observe(plan.examined, stop);
    if (plan.examined) {
        plan.findings = runner.diagnose(plan.facts, stop);
        if (std::optional<Finding> finding = password_in_clear(*request.cluster)) {
            plan.findings.push_back(std::move(*finding));
            sort_worst_first(plan.findings);
        }
    }
    plan.given = request.given;
    plan.on_failure = request.on_failure.value_or(request.runbook->on_failure);
    evaluate_vars(*request.cluster, plan);
    plan.steps = expand_steps(request, plan);
    Forecast(request, plan, runner, stop).run();
    refuse_contradictions(plan);
    apply_acceptance(request, plan);
    if (request.runbook->window && request.now) {
        plan.window = look(*request.runbook->window, *request.now);
    }
    plan.hash = hash_of(plan);
    return plan;
}

}  // namespace lockstep
