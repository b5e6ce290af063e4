#include "engine/executor.hpp"

#include "base/error.hpp"
#include "base/units.hpp"
#include "engine/guards.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using namespace std::chrono_literals;

// The slow facts (disk, pg_wal) behind a guard may be this old before a change.
constexpr auto k_full_facts_age = 10s;
// A fact that a guard lacks may come back within this time: a daemon takes seconds to start.
constexpr auto k_guard_patience = 30s;

bool is_good(StepOutcome outcome) {
    return outcome == StepOutcome::succeeded || outcome == StepOutcome::already_done;
}

}  // namespace

Executor::Executor(Setup setup, RunHeader header)
    : setup_(std::move(setup)),
      header_(std::move(header)),
      state_(header_.plan),
      facts_(setup_.plan.facts),
      full_at_(setup_.clock.steady_now()) {}

RunEnd Executor::run(std::stop_token stop) {
    try {
        return run_to_end(std::move(stop));
    } catch (const JournalError& error) {
        if (open_.empty()) {
            throw;
        }
        // What cannot be recorded is not done, so the pause stays: at least that is said.
        std::string kept;
        for (const auto& [name, since] : open_) {
            kept += (kept.empty() ? "" : ", ") + name;
        }
        throw JournalError(std::string(error.what()) + "; still in force: " + kept,
                           error.hint() + (error.hint().empty() ? "" : " ") +
                               "Look at the cluster with `lockstep check`: what is still in force "
                               "has to be lifted by hand.");
    }
}

RunEnd Executor::run_to_end(std::stop_token stop) {
    setup_.journal.create(header_);
    record(RecordKind::run_started, nullptr, {{"plan_hash", setup_.plan.hash}});
    const std::optional<ProbeSettings> probe = write_probe_settings(*setup_.plan.runbook);
    if (probe && !setup_.plan.nothing_to_do()) {
        setup_.runner.start_write_probe(*probe, facts_);
    }
    loop(stop);
    if (stop.stop_requested() && !failure_) {
        fail({130, RunPhase::interrupted, "stopped on request", {}});
    }
    if (!failure_) {
        final_proof(stop);
    }
    give_back_temporaries();
    return end();
}

void Executor::record(RecordKind kind, const PlannedStep* step, nlohmann::json payload) {
    JournalRecord entry{next_seq_++,
                        to_iso8601(setup_.clock.wall_now()),
                        kind,
                        step == nullptr ? "" : step->id,
                        step == nullptr ? "" : step->member,
                        std::move(payload)};
    setup_.journal.append(header_.id, entry);
    state_.apply(entry);
    if (setup_.listener) {
        setup_.listener(entry, state_);
    }
}

const StepProgress& Executor::progress(std::size_t index) const {
    return state_.steps()[index];  // RunState keeps the order of the plan
}

const ActionSchema& Executor::schema_of(const PlannedStep& step) const {
    return *find_action(setup_.actions, step.uses);
}

/// Starts everything that may start, else waits for something to end.
void Executor::loop(std::stop_token stop) {
    for (;;) {
        if (!failure_ && !stop.stop_requested()) {
            start_ready(stop);
        }
        const bool stopping = failure_.has_value() || stop.stop_requested();
        if (running_ == 0 && (stopping || retry_at_.empty())) {
            return;
        }
        if (const std::optional<StepEvent> event = setup_.runner.wait(200ms)) {
            finish(*event);
        }
    }
}

void Executor::start_ready(std::stop_token stop) {
    // A step that is skipped makes others ready: go on until a pass changes nothing.
    for (bool progressed = true; progressed;) {
        progressed = false;
        for (std::size_t i = 0; i < setup_.plan.steps.size(); ++i) {
            if (failure_ || stop.stop_requested()) {
                return;
            }
            if (may_start(i)) {
                retry_at_.erase(i);
                begin(i, stop);
                progressed = true;
            }
        }
    }
}

bool Executor::may_start(std::size_t index) const {
    if (progress(index).state != StepState::pending) {
        return false;
    }
    const auto retry = retry_at_.find(index);
    if (retry != retry_at_.end() && setup_.clock.steady_now() < retry->second) {
        return false;
    }
    return std::ranges::all_of(setup_.plan.steps[index].after,
                               [&](std::size_t before) { return progress(before).over(); });
}

/// An earlier step of the same member's chain did not succeed, although the run goes on.
bool Executor::chain_broken(const PlannedStep& step) const {
    return !step.group.empty() && std::ranges::any_of(step.after, [&](std::size_t before) {
        const PlannedStep& other = setup_.plan.steps[before];
        const StepState state = progress(before).state;
        const bool bad = state == StepState::failed || state == StepState::in_doubt ||
                         state == StepState::cancelled;
        return bad && other.group == step.group && other.member == step.member &&
               other.spec->on_failure != OnFailure::carry_on;
    });
}

RenderedStep Executor::render(const PlannedStep& step) const {
    const Scope scope = make_scope({.plan = setup_.plan,
                                    .facts = facts_,
                                    .cluster = setup_.cluster,
                                    .registered = &registered_,
                                    .member = step.member,
                                    .item = &step.item});
    RenderedStep rendered = render_step(step, schema_of(step), scope);
    rendered.call.heals = setup_.plan.runbook->heals;
    for (const auto& [name, since] : open_) {
        rendered.call.open_temporaries.push_back(name);
    }
    return rendered;
}

void Executor::begin(std::size_t index, std::stop_token stop) {
    const PlannedStep& step = setup_.plan.steps[index];
    if (step.idle) {
        skip(step, StepState::skipped, step.because);
        return;
    }
    if (chain_broken(step)) {
        skip(step, StepState::cancelled, "an earlier step on " + step.member + " did not succeed");
        return;
    }
    // A step that ends a pause is not kept waiting for the slow facts.
    if (step.changes && !look_again(schema_of(step).ends.empty(), stop)) {
        return;
    }
    RenderedStep rendered = render(step);
    if (rendered.kind == RenderedStep::Kind::skip) {
        skip(step, StepState::skipped, rendered.because);
        return;
    }
    if (rendered.kind != RenderedStep::Kind::ready) {
        refuse(
            index,
            {.outcome = StepOutcome::failed, .message = rendered.because, .hint = rendered.hint});
        return;
    }
    const Preview preview = setup_.runner.preview(rendered.call, facts_);
    if (!preview.blocked_by.empty()) {
        refuse(index,
               {.outcome = preview.blocked_by.front().id == "member.unreachable"
                               ? StepOutcome::unreachable
                               : StepOutcome::failed,
                .message = preview.blocked_by.front().message,
                .hint = preview.blocked_by.front().remedy,
                .findings = preview.blocked_by});
        return;
    }
    if (preview.verdict == Verdict::wont) {
        skip(step, StepState::already_done, preview.because);
        return;
    }
    if (step.changes) {
        if (const std::optional<std::string> why = tripped_guard(stop)) {
            record(RecordKind::guard_tripped, &step, {{"message", *why}});
            fail({state_.changed_anything() ? 10 : 4,
                  RunPhase::failed,
                  *why,
                  "Nothing was done after it was noticed. Look at the cluster with `lockstep "
                  "check` before starting again."});
            return;
        }
    }
    launch(index, std::move(rendered.call), preview);
}

/// Fresh facts before a change; a cluster that cannot be seen is not changed.
bool Executor::look_again(bool may_take_long, std::stop_token stop) {
    const bool stale = setup_.clock.steady_now() - full_at_ > k_full_facts_age;
    const auto& guards = setup_.plan.runbook->guards;
    try {
        refresh(may_take_long && stale && std::ranges::any_of(guards, needs_full_facts), stop);
        return true;
    } catch (const Error& error) {
        fail({state_.changed_anything() ? 10 : 16,
              RunPhase::failed,
              std::string("the cluster can no longer be observed: ") + error.what(),
              error.hint()});
        return false;
    }
}

void Executor::launch(std::size_t index, StepCall call, const Preview& preview) {
    const PlannedStep& step = setup_.plan.steps[index];
    call.attempt = ++attempts_[index];
    record(RecordKind::step_intent,
           &step,
           {{"attempt", call.attempt},
            {"uses", step.uses},
            {"operations", to_json(preview.operations)},
            {"undo", to_json(preview.undo)}});
    ++running_;
    if (schema_of(step).temporary) {
        open_.emplace_back(step.uses, setup_.clock.steady_now());
    }
    setup_.runner.start(index, std::move(call), facts_);
}

void Executor::skip(const PlannedStep& step, StepState state, const std::string& because) {
    record(RecordKind::step_skipped, &step, {{"state", to_text(state)}, {"because", because}});
}

void Executor::record_result(const PlannedStep& step, const StepResult& result, bool retry) {
    record(RecordKind::step_result,
           &step,
           {{"outcome", to_text(result.outcome)},
            {"message", result.message},
            {"hint", result.hint},
            {"last_lines", result.last_lines},
            {"findings", to_json(result.findings)},
            {"output", result.output},
            {"retry", retry}});
}

/// A step that is over before it was started.
void Executor::refuse(std::size_t index, const StepResult& result) {
    const PlannedStep& step = setup_.plan.steps[index];
    record_result(step, result, false);
    judge(index, result);
}

void Executor::finish(const StepEvent& event) {
    --running_;
    const PlannedStep& step = setup_.plan.steps[event.index];
    const StepResult& result = event.result;
    if (result.learned) {
        result.learned(facts_);
    }
    const bool safe_again = result.outcome == StepOutcome::unreachable ||
                            (result.outcome == StepOutcome::failed && schema_of(step).repeatable);
    const bool retry =
        !failure_ && safe_again && attempts_[event.index] < step.spec->retry.attempts;
    record_result(step, result, retry);
    track_temporary(step, result.outcome);
    if (retry) {
        double factor = 1.0;
        for (int i = 1; i < attempts_[event.index]; ++i) {
            factor *= step.spec->retry.backoff;
        }
        const auto delay =
            std::chrono::duration_cast<std::chrono::milliseconds>(step.spec->retry.delay * factor);
        retry_at_[event.index] = setup_.clock.steady_now() + delay;
        return;
    }
    if (!step.spec->register_as.empty() && is_good(result.outcome)) {
        registered_.insert_or_assign(step.spec->register_as, Value::from_json(result.output));
    }
    judge(event.index, result);
}

/// Keeps the list of what has to be taken back. In doubt counts as in force.
void Executor::track_temporary(const PlannedStep& step, StepOutcome outcome) {
    const ActionSchema& schema = schema_of(step);
    const std::string& name = schema.temporary ? schema.name : schema.ends;
    const auto open = std::ranges::find(open_, name, &std::pair<std::string, Clock::Steady>::first);
    if (name.empty() || open == open_.end()) {
        return;
    }
    const bool never_began = schema.temporary && (outcome == StepOutcome::unreachable ||
                                                  outcome == StepOutcome::cancelled);
    const bool ended = !schema.temporary && is_good(outcome);
    if (never_began || ended) {
        const ActionSchema& temporary = *find_action(setup_.actions, name);
        lasted_[temporary.measured_as] += std::chrono::duration_cast<std::chrono::milliseconds>(
            setup_.clock.steady_now() - open->second);
        open_.erase(open);
    }
}

void Executor::judge(std::size_t index, const StepResult& result) {
    const PlannedStep& step = setup_.plan.steps[index];
    if (is_good(result.outcome)) {
        return;
    }
    const std::string where = step.member.empty() ? step.id : step.id + " on " + step.member;
    if (result.outcome == StepOutcome::in_doubt) {
        fail({13, RunPhase::in_doubt, where + ": " + result.message, result.hint});
        return;
    }
    if (step.spec->on_failure == OnFailure::carry_on || within_limits(step)) {
        return;
    }
    const bool unreachable = result.outcome == StepOutcome::unreachable;
    const int before_any_change = unreachable ? 16 : 4;
    fail({state_.changed_anything() ? 10 : before_any_change,
          RunPhase::failed,
          where + ": " + result.message,
          result.hint});
}

/// max_failed and max_unreachable: more than that many members stop the run.
bool Executor::within_limits(const PlannedStep& step) const {
    if (step.fan_out == nullptr) {
        return false;
    }
    int failed = 0;
    int unreachable = 0;
    for (std::size_t i = 0; i < setup_.plan.steps.size(); ++i) {
        const StepProgress& other = progress(i);
        if (setup_.plan.steps[i].group == step.group && other.state == StepState::failed) {
            ++(other.unreachable ? unreachable : failed);
        }
    }
    return failed <= step.fan_out->strategy.max_failed &&
           unreachable <= step.fan_out->strategy.max_unreachable;
}

void Executor::refresh(bool full, std::stop_token stop) {
    const ClusterFacts now = setup_.runner.observe(full, stop);
    if (full) {
        facts_ = now;
        full_at_ = setup_.clock.steady_now();
        return;
    }
    // While a step works on a member, its Patroni may be silent for a moment: what was known stays.
    std::vector<std::string> busy;
    for (std::size_t i = 0; i < setup_.plan.steps.size(); ++i) {
        if (progress(i).state == StepState::running) {
            busy.push_back(setup_.plan.steps[i].member);
        }
    }
    ClusterFacts seen = now;
    for (MemberFacts& member : seen.members) {
        const MemberFacts* known = facts_.find(member.name);
        if (member.api.failed() && known != nullptr &&
            std::ranges::find(busy, member.name) != busy.end()) {
            member = *known;
        }
    }
    facts_.update(seen);
}

/// A guard that lacks a fact waits for it a while: a daemon that was just restarted is silent for a
/// moment. What stays unknown is a reason to stop.
std::optional<std::string> Executor::tripped_guard(std::stop_token stop) {
    const auto begun = setup_.clock.steady_now();
    for (;;) {
        std::optional<GuardVerdict> worst;
        for (const GuardSpec& guard : setup_.plan.runbook->guards) {
            std::optional<GuardVerdict> verdict = check_guard(guard, setup_.plan.facts, facts_);
            if (verdict && (!worst || worst->unknown)) {
                worst = std::move(verdict);
            }
        }
        if (!worst) {
            return std::nullopt;
        }
        const bool waited = setup_.clock.steady_now() - begun > k_guard_patience;
        if (!worst->unknown || waited || !setup_.clock.sleep_for(100ms, stop)) {
            return worst->why;
        }
        if (!look_again(true, stop)) {
            return "the cluster can no longer be observed";
        }
    }
}

/// The end is proven, not assumed: the guards once more, and what the runbook heals must be gone.
void Executor::final_proof(std::stop_token stop) {
    if (!state_.changed_anything()) {
        return;
    }
    std::vector<Finding> remaining;
    try {
        refresh(true, stop);
        remaining = setup_.runner.diagnose(facts_, stop);
    } catch (const Error& error) {
        fail({10,
              RunPhase::failed,
              std::string("the end could not be proven: ") + error.what(),
              error.hint()});
        return;
    }
    if (const std::optional<std::string> why = tripped_guard(stop)) {
        record(RecordKind::guard_tripped, nullptr, {{"message", *why}});
        fail({10, RunPhase::failed, *why, {}});
        return;
    }
    const auto& heals = setup_.plan.runbook->heals;
    for (const Finding& finding : remaining) {
        const bool to_heal = std::ranges::find(heals, finding.id) != heals.end();
        const bool was_there = std::ranges::any_of(setup_.plan.findings, [&](const Finding& old) {
            return old.id == finding.id && old.member == finding.member &&
                   old.subject == finding.subject;
        });
        if (to_heal && was_there && !finding.needs_decision) {
            fail({10,
                  RunPhase::failed,
                  "not healed: " + finding.id + ": " + finding.message,
                  finding.remedy});
            return;
        }
        record(RecordKind::note,
               nullptr,
               {{"message", "still open: " + finding.message}, {"finding", finding.to_json()}});
    }
}

/// Whatever way out: a pause must not be forgotten. Where lifting it is not safe, it is kept, and
/// said so.
void Executor::give_back_temporaries() {
    while (!open_.empty()) {
        const std::string temporary = open_.back().first;
        const std::size_t before = open_.size();
        give_back(temporary);
        if (open_.size() == before) {
            open_.pop_back();
        }
    }
}

void Executor::give_back(const std::string& temporary) {
    const auto& steps = setup_.plan.steps;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        if (schema_of(steps[i]).ends != temporary || progress(i).over()) {
            continue;
        }
        const RenderedStep rendered = render(steps[i]);
        if (rendered.kind != RenderedStep::Kind::ready) {
            continue;
        }
        // No guard and no gate in between: the action itself waits until it is safe, or refuses.
        launch(i, rendered.call, setup_.runner.preview(rendered.call, facts_));
        while (running_ > 0) {
            if (const std::optional<StepEvent> event = setup_.runner.wait(200ms)) {
                finish(*event);
            }
        }
        const StepProgress& ended = progress(i);
        if (ended.state == StepState::succeeded || ended.state == StepState::already_done) {
            record(RecordKind::note,
                   nullptr,
                   {{"message", "taken back: " + temporary + " (" + ended.message + ")"}});
            return;
        }
        record(RecordKind::note,
               nullptr,
               {{"message", temporary + " is still in force: " + ended.message},
                {"hint", ended.hint},
                {"kept", temporary}});
        return;
    }
    record(RecordKind::note,
           nullptr,
           {{"message", temporary + " is still in force: the runbook has no step that ends it"},
            {"hint", "Look at the cluster with `lockstep check`, then lift it by hand."},
            {"kept", temporary}});
}

nlohmann::json Executor::measure() {
    nlohmann::json measured = {
        {"paused_ms", 0}, {"write_gap_ms", nullptr}, {"client_errors", nullptr}};
    for (const auto& [name, length] : lasted_) {
        measured[name] = length.count();
    }
    int restarts = 0;
    for (const MemberFacts& before : setup_.plan.facts.members) {
        const MemberFacts* after = facts_.find(before.name);
        if (after != nullptr && !after->postgres.started_at.empty() &&
            !before.postgres.started_at.empty() &&
            after->postgres.started_at != before.postgres.started_at) {
            ++restarts;
        }
    }
    measured["postgres_restarts"] = restarts;
    if (const std::optional<ProbeReport> probe = setup_.runner.write_probe()) {
        measured["write_gap_ms"] = probe->longest_gap.count();
        measured["client_errors"] = probe->errors;
        measured["writes"] = probe->writes;
    }
    return measured;
}

RunEnd Executor::end() {
    setup_.runner.stop_write_probe();
    const std::optional<ProbeReport> probe = setup_.runner.write_probe();
    if (probe) {
        if (const auto why = check_write_probe(*setup_.plan.runbook, *probe)) {
            fail({10, RunPhase::failed, *why, {}});
        }
    }
    RunEnd end;
    end.message = setup_.plan.nothing_to_do() && !failure_ ? "nothing to do" : "done";
    if (failure_) {
        end = {failure_->exit_code, failure_->phase, failure_->message, failure_->hint};
    }
    record(RecordKind::run_ended,
           nullptr,
           {{"state", to_text(end.phase)},
            {"exit_code", end.exit_code},
            {"message", end.message},
            {"hint", end.hint},
            {"measured", measure()}});
    return end;
}

/// The first failure is the one that counts.
void Executor::fail(Failure failure) {
    if (!failure_) {
        failure_ = std::move(failure);
    }
}

}  // namespace lockstep
