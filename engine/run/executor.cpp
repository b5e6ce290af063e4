#include "engine/run/executor.hpp"

#include "base/error.hpp"
#include "base/join.hpp"
#include "base/units.hpp"
#include "cluster/diagnosis.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace lockstep {

namespace {

using namespace std::chrono_literals;

// Commands that are begun within this time share a look at the cluster.
constexpr auto k_one_look = 1000ms;

std::string where_of(const PlannedStep& step) {
    return step.member.empty() ? step.id : step.id + " on " + step.member;
}

/// The next step is begun whatever comes of this one, and without another attempt in between.
bool goes_on_after(const StepSpec& spec) {
    return spec.on_failure == OnFailure::carry_on && spec.retry.attempts <= 1;
}

/// Each delay of `retry` is the one before times the backoff.
std::chrono::milliseconds delay_after(const Retry& retry, int attempts) {
    double factor = 1.0;
    for (int i = 1; i < attempts; ++i) {
        factor *= retry.backoff;
    }
    return std::chrono::duration_cast<std::chrono::milliseconds>(retry.delay * factor);
}

}  // namespace

/// Starts everything that may start, else waits for something to end.
std::optional<Failure> Executor::run(std::stop_token stop) {
    const RunSession::Grouping together(session_);
    (void)gatekeeper_.collect();
    // What an earlier engine has left, or a settlement found out, counts as if it happened now.
    for (std::size_t i = 0; i < session_.plan().steps.size(); ++i) {
        const StepProgress& step = session_.progress(i);
        if (is_mine(i) && step.state == StepState::failed) {
            judge(i,
                  {.outcome = step.unreachable ? StepOutcome::unreachable : StepOutcome::failed,
                   .message = step.message,
                   .hint = step.hint});
        }
    }
    for (;;) {
        if (running_ == 0 && !lost_.empty()) {
            find_out_lost(stop);
        }
        if (!failure_ && lost_.empty() && !stop.stop_requested()) {
            start_ready(stop);
        }
        session_.flush();
        const bool only_waits = running_ == 0 && retry_at_.empty();
        if (only_waits && !held_.empty() && !stop.stop_requested()) {
            wait_or_end();
        }
        const bool stopping = failure_.has_value() || stop.stop_requested();
        if (running_ == 0 && lost_.empty() && (stopping || (retry_at_.empty() && held_.empty()))) {
            break;
        }
        if (running_ == 0 && !lost_.empty()) {
            continue;
        }
        if (std::optional<StepEvent> event = session_.runner().wait(200ms)) {
            // What has arrived meanwhile is taken with it: one wait for the disk is enough for all.
            for (; event; event = session_.runner().wait(0ms)) {
                finish(*event);
            }
        } else if (!held_.empty() && gatekeeper_.collect()) {
            held_.clear();
        }
        say_what_is_slow();
        session_.note_notification_troubles();
    }
    session_.runner().drop_read_ahead();
    if (stop.stop_requested() && !failure_) {
        fail({130, RunPhase::interrupted, "stopped on request", {}});
    }
    return failure_ ? failure_ : failed_always_;
}

/// Nothing else is left to do but to wait. While something temporary is in force nobody waits for
/// a person: the run ends, and what is in force is given back.
void Executor::wait_or_end() {
    if (gatekeeper_.collect()) {
        held_.clear();
        return;
    }
    const std::vector<std::string> waits = gatekeeper_.waits();
    if (waits != waits_said_) {
        waits_said_ = waits;
        session_.record(RecordKind::waiting, nullptr, {{"for", waits}});
        session_.tell("wait",
                      session_.header().runbook + " on " + session_.header().cluster + " waits",
                      waits);
    }
    if (session_.setup().patience.wait && session_.state().temporaries().empty()) {
        return;
    }
    Failure wait{.exit_code = 14,
                 .phase = RunPhase::waiting,
                 .message = join(waits, "; "),
                 .waiting_for = waits};
    const std::string& id = session_.header().id;
    const bool asked = std::ranges::any_of(session_.state().approvals(), [](const auto& approval) {
        return approval.state == ApprovalProgress::State::open;
    });
    if (const auto opens = gatekeeper_.opens_at()) {
        wait.not_before = to_iso8601(*opens);
    }
    wait.hint =
        asked ? "`lockstep approve " + id + "` answers; `lockstep resume " + id + "` then goes on."
              : "`lockstep resume " + id + "` goes on in the window.";
    fail(std::move(wait));
}

/// Longer than twice what it took before, and by more than a little.
void Executor::say_what_is_slow() {
    constexpr auto k_a_little = 10s;
    for (const auto& [index, since] : since_) {
        const PlannedStep& step = session_.plan().steps[index];
        const auto taken =
            std::chrono::floor<std::chrono::milliseconds>(session_.clock().steady_now() - since);
        const auto usual = step.expected.length;
        if (step.expected.samples == 0 || taken < std::max(2 * usual, usual + k_a_little) ||
            !slow_said_.insert(index).second) {
            continue;
        }
        const std::string text = where_of(step) + " is slower than usual: it took about " +
                                 format_duration(usual) + " in earlier runs";
        session_.note(text, {{"slow", step.id}});
        session_.tell("slow", text);
    }
}

/// Two executors walk the same plan: the one of `steps`, and after it, whatever came of that, the
/// one of `always`.
bool Executor::is_mine(std::size_t index) const {
    return session_.plan().steps[index].always == (part_ == Part::always);
}

void Executor::start_ready(std::stop_token stop) {
    // A step that is skipped makes others ready: go on until a pass changes nothing.
    for (bool progressed = true; progressed;) {
        progressed = false;
        behind_.assign(session_.plan().steps.size(), false);
        for (std::size_t i = 0; i < session_.plan().steps.size(); ++i) {
            if (failure_ || stop.stop_requested()) {
                return;
            }
            if (may_start(i)) {
                retry_at_.erase(i);
                try_to_begin(i, stop);
                progressed = true;
            }
            behind_[i] = session_.progress(i).over() && all_behind(i);
        }
    }
}

/// What came before only has to be over, not good: whether the run goes on after a failure is
/// judge()'s question alone.
bool Executor::may_start(std::size_t index) const {
    if (!is_mine(index) || held_.contains(index) ||
        session_.progress(index).state != StepState::pending) {
        return false;
    }
    const auto retry = retry_at_.find(index);
    if (retry != retry_at_.end() && session_.clock().steady_now() < retry->second) {
        return false;
    }
    return all_behind(index);
}

/// Whether all that comes before it is over, and everything before that as well: a resume opens
/// steps again whose followers are over, and what comes after those still has to wait for them. The
/// plan is in order, so a pass over it fills `behind_` as it goes.
bool Executor::all_behind(std::size_t index) const {
    return std::ranges::all_of(session_.plan().steps[index].after,
                               [&](std::size_t before) { return behind_[before]; });
}

/// An earlier step of the same member's chain did not succeed, although the run goes on.
bool Executor::chain_broken(const PlannedStep& step) const {
    return !step.group.empty() && std::ranges::any_of(step.after, [&](std::size_t before) {
        const PlannedStep& other = session_.plan().steps[before];
        const StepState state = session_.progress(before).state;
        const bool bad = state == StepState::failed || state == StepState::in_doubt ||
                         state == StepState::cancelled;
        return bad && other.group == step.group && other.member == step.member &&
               other.spec->on_failure != OnFailure::carry_on;
    });
}

/// A text that turns out to be no length of time, a member that is no part of the cluster any more:
/// what one step cannot be made of is that step's failure, judged like any other. What runs beside
/// it still has to be waited for.
void Executor::try_to_begin(std::size_t index, std::stop_token stop) {
    try {
        begin(index, stop);
    } catch (const JournalError&) {
        throw;
    } catch (const Error& error) {
        refuse(index,
               {.outcome = StepOutcome::failed, .message = error.what(), .hint = error.hint()});
    }
}

/// From free to fail to expensive: what the plan left out and a broken chain need no look at the
/// cluster, a preview needs fresh facts, and people are asked only for what may really start.
void Executor::begin(std::size_t index, std::stop_token stop) {
    const PlannedStep& step = session_.plan().steps[index];
    if (step.idle) {
        skip(step, StepState::skipped, step.because);
        return;
    }
    if (chain_broken(step)) {
        skip(step, StepState::cancelled, "an earlier step on " + step.member + " did not succeed");
        return;
    }
    if (!step.by_role.empty() && !is_for(step, stop)) {
        return;
    }
    if (step.changes) {
        // A step that ends a pause is not kept waiting for the slow facts.
        const bool may_take_long = session_.schema_of(step).ends.empty();
        // A command, which no guard watches over, is judged by nothing that a second could change.
        const bool plain =
            session_.schema_of(step).alone && session_.plan().runbook->guards.empty();
        if (const auto failure =
                session_.look_again(may_take_long, stop, plain ? k_one_look : 0ms)) {
            stop_at(step, *failure);
            return;
        }
    }
    BoundStep bound = session_.bind(step);
    if (bound.kind == BoundStep::Kind::skip) {
        skip(step, StepState::skipped, bound.because);
        return;
    }
    if (bound.kind != BoundStep::Kind::ready) {
        refuse(index,
               {.outcome = StepOutcome::failed, .message = bound.because, .hint = bound.hint});
        return;
    }
    const Preview preview = session_.preview(bound.call, stop);
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
        if (const std::vector<Finding> found = what_forbids(step); !found.empty()) {
            refuse(index,
                   {.outcome = StepOutcome::failed,
                    .message = found.front().message,
                    .hint = found.front().remedy,
                    .findings = found});
            return;
        }
    }
    if (!is_allowed(index, bound.call)) {
        return;
    }
    if (!step.changes || may_change(step, stop)) {
        launch(index, std::move(bound.call), preview);
    }
}

/// Of a fan-out that goes by role: whether it is for this member. False: the step is over.
bool Executor::is_for(const PlannedStep& step, std::stop_token stop) {
    const bool known = session_.state().chosen(step.group) != nullptr;
    const auto failure = known ? std::nullopt : session_.look_again(false, std::move(stop), 0ms);
    if (failure) {
        stop_at(step, *failure);
        return false;
    }
    const auto chosen = session_.chosen_for(step);
    if (!chosen) {
        refuse(session_.index_of(step),
               {.outcome = StepOutcome::failed,
                .message = "nobody leads, so that nobody knows whom it is for",
                .hint = "See `lockstep check`. `lockstep resume` goes on."});
        return false;
    }
    if (std::ranges::find(*chosen, step.member) == chosen->end()) {
        skip(step, StepState::skipped, step.member + " has another role now");
        return false;
    }
    return true;
}

/// Afterwards contradictions are no gate any more: what was begun is brought to an end. But not on
/// a host that is somebody else's.
std::vector<Finding> Executor::what_forbids(const PlannedStep& step) const {
    std::vector<Finding> found = contradictions(session_.facts());
    if (session_.state().changed_anything()) {
        std::erase_if(found, [&](const Finding& finding) {
            return step.member.empty() || finding.member != step.member;
        });
    }
    return found;
}

/// Whether nobody has to be waited for. A step that is a gate itself is over with that.
bool Executor::is_allowed(std::size_t index, const StepCall& call) {
    const PlannedStep& step = session_.plan().steps[index];
    const Gatekeeper::Ruling ruling = gatekeeper_.rule_on(step, call);
    switch (ruling.kind) {
        case Gatekeeper::Ruling::Kind::wait:
            held_.insert(index);
            return false;
        case Gatekeeper::Ruling::Kind::refuse:
            refuse(index,
                   {.outcome = StepOutcome::failed, .message = ruling.why, .hint = ruling.hint});
            return false;
        case Gatekeeper::Ruling::Kind::pass:
            break;
    }
    if (!session_.schema_of(step).asks) {
        return true;
    }
    StepResult given;
    if (ruling.answer.is_object()) {
        const std::string comment = ruling.answer.at("comment");
        given.message = (session_.schema_of(step).answered ? "done, says " : "approved by ") +
                        ruling.answer.at("by").get<std::string>() +
                        (comment.empty() ? "" : ": " + comment);
    }
    given.output = ruling.answer;
    (void)session_.read_output(step, given);
    session_.record_result(step, given, false);
    session_.keep_output(step, given);
    judge(index, given);
    return false;
}

/// The last two questions before a change: do the guards hold, and is the cluster still ours.
bool Executor::may_change(const PlannedStep& step, std::stop_token stop) {
    const int exit_code = session_.state().changed_anything() ? 10 : 4;
    // The guards watch the way forward; what is always done is there for when they trip.
    const bool guarded = part_ == Part::steps;
    if (const auto why = guarded ? session_.tripped_guard(stop) : std::nullopt) {
        session_.record(RecordKind::guard_tripped, &step, {{"message", *why}});
        Failure tripped{exit_code,
                        RunPhase::failed,
                        *why,
                        "Nothing was done after it was noticed. Look at the cluster with "
                        "`lockstep check` before starting again."};
        fail(change_stands(session_.index_of(step)) ? kept(std::move(tripped))
                                                    : std::move(tripped));
        return false;
    }
    if (const std::string why = session_.obstacle(step.member); !why.empty()) {
        stop_at(step,
                {13,
                 RunPhase::in_doubt,
                 where_of(step) + " was not started: " + why,
                 "`lockstep resume` looks, and goes on."});
        return false;
    }
    const std::optional<OpenTemporary> temporary = session_.temporary_of(step);
    if (const std::string why = session_.not_ours(temporary ? &*temporary : nullptr, stop);
        !why.empty()) {
        stop_at(
            step,
            {exit_code,
             RunPhase::failed,
             "the cluster is not ours any more: " + why,
             "Nothing was done after it was noticed. `lockstep resume` goes on once nobody else "
             "has it."});
        return false;
    }
    return true;
}

/// A guard or a lock stops everything; of what is always done only this one step, because the next
/// may be the one that matters.
void Executor::stop_at(const PlannedStep& step, Failure failure) {
    if (part_ == Part::always) {  // the next one may still be done
        refuse(session_.index_of(step),
               {.outcome = StepOutcome::failed, .message = failure.message, .hint = failure.hint});
    } else {
        fail(std::move(failure));
    }
}

/// The verify is bound before the intent is written: an expression in it that fails must not leave
/// a change behind that nobody can check.
void Executor::launch(std::size_t index, StepCall call, const Preview& preview) {
    const PlannedStep& step = session_.plan().steps[index];
    call.attempt = session_.progress(index).attempts + 1;
    call.key = session_.key_of(step, "", call.attempt);
    if (step.spec->verify) {
        const BoundStep look = session_.bind_verify(step, call);
        if (look.kind != BoundStep::Kind::ready) {
            refuse(index,
                   {.outcome = StepOutcome::failed,
                    .message = "its verify: " + look.because,
                    .hint = look.hint});
            return;
        }
        call.verify = std::make_shared<const StepCall>(look.call);
    }
    const ActionSchema& schema = session_.schema_of(step);
    call.only_looks = !step.changes || preview.read_only;
    call.acts_within = preview.acts_within;
    if (!call.only_looks && !schema.spooled) {
        calls_.insert_or_assign(index, call);
    }
    if (preview.read_only && schema.alone && schema.scope == ActionScope::member) {
        call.goes_on = goes_on_after(*step.spec);
        if (!announced_.erase(index)) {
            call.read_ahead = read_ahead_of(index);
        }
    }
    session_.record_intent(step, call, preview, false);
    if (step.changes && part_ == Part::steps) {
        session_
            .start_write_probe();  // not earlier: a run may wait for days before its first change
    }
    since_[index] = session_.clock().steady_now();
    ++running_;
    session_.start(index, std::move(call));
}

/// Whether nothing but a failure of `of` can keep a step from being started once that is over.
bool Executor::may_be_read_ahead(std::size_t index, std::size_t of) const {
    const PlannedStep& step = session_.plan().steps[index];
    const PlannedStep& before = session_.plan().steps[of];
    // What it gives may turn out to be a failure only here.
    const OutputSpec& output = before.spec->output;
    const bool taken_as_it_is =
        !before.spec->until && !output.select && output.as != OutputSpec::As::json;
    return taken_as_it_is && is_mine(index) && !step.changes && !step.idle &&
           step.after == std::vector<std::size_t>{of} && step.member == before.member &&
           step.group == before.group && step.within == before.within && !step.spec->approval &&
           !step.spec->window && !step.spec->verify && session_.schema_of(step).alone &&
           session_.schema_of(step).scope == ActionScope::member &&
           session_.progress(index).state == StepState::pending && !held_.contains(index);
}

/// Stops at the first step that cannot be foreseen; what is behind it would run in an order that
/// nobody wrote.
std::vector<std::shared_ptr<const StepCall>> Executor::read_ahead_of(std::size_t index) {
    constexpr std::size_t k_most = 64;
    std::vector<std::shared_ptr<const StepCall>> calls;
    const auto& steps = session_.plan().steps;
    for (std::size_t next = index + 1; next < steps.size() && calls.size() < k_most; ++next) {
        if (!may_be_read_ahead(next, next - 1)) {
            break;
        }
        std::optional<StepCall> call = session_.bind_for_read_ahead(index, next);
        if (!call) {
            break;
        }
        try {
            const Preview preview = session_.runner().preview(*call, session_.facts());
            if (!preview.read_only || preview.verdict != Verdict::will ||
                !preview.blocked_by.empty()) {
                break;
            }
        } catch (const Error&) {
            break;  // for when it is really started
        }
        call->goes_on = goes_on_after(*steps[next].spec);
        calls.push_back(std::make_shared<const StepCall>(std::move(*call)));
        announced_.insert(next);
    }
    return calls;
}

/// A skip is a record like any other, so that a replay comes to the same state without judging
/// anew.
void Executor::skip(const PlannedStep& step, StepState state, const std::string& because) {
    session_.record(
        RecordKind::step_skipped, &step, {{"state", to_text(state)}, {"because", because}});
}

/// A step that is over before it was started.
void Executor::refuse(std::size_t index, const StepResult& result) {
    session_.record_result(session_.plan().steps[index], result, false);
    judge(index, result);
}

/// Facts and output are taken in before the step is judged, because a retry and the steps behind it
/// go by them.
void Executor::finish(const StepEvent& event) {
    const PlannedStep& step = session_.plan().steps[event.index];
    if (!event.accepted.is_null()) {
        session_.record(RecordKind::step_accepted, &step, event.accepted);
        return;
    }
    --running_;
    since_.erase(event.index);
    if (is_lost(event.index, event.result)) {
        lost_.push_back({event.index, event.result});
        return;
    }
    conclude(event.index, event.result);
}

/// Its answer was lost, and for a while it may still act: nothing is known yet, in neither way.
bool Executor::is_lost(std::size_t index, const StepResult& result) const {
    const auto call = calls_.find(index);
    return result.outcome == StepOutcome::in_doubt && result.open == OpenEnd::answer_lost &&
           call != calls_.end() && call->second.acts_within;
}

/// Looked for by this thread, and so only while nothing runs whose end it would miss.
void Executor::find_out_lost(std::stop_token stop) {
    for (const Lost& lost : std::exchange(lost_, {})) {
        conclude(lost.index, session_.find_out(calls_.at(lost.index), lost.result.message, stop));
    }
}

/// `in_doubt` of the runbook holds for the engine that ran the step, too: but never for a command
/// that may still run, since a second copy beside it is what must not be.
void Executor::conclude(std::size_t index, StepResult result) {
    const PlannedStep& step = session_.plan().steps[index];
    const bool not_yet = session_.read_output(step, result);
    if (result.learned) {
        session_.learn(result.learned);
    }
    const StepProgress& progress = session_.progress(index);
    const int attempts = progress.attempts - progress.attempts_before;
    const bool doubt = result.outcome == StepOutcome::in_doubt;
    // Of a request to who knows whom nothing can be found out: there the runbook's word is all.
    const auto call = calls_.find(index);
    const bool nobody_knows =
        result.open == OpenEnd::answer_lost && call != calls_.end() && !call->second.acts_within;
    const bool over = doubt && (result.open == OpenEnd::died || nobody_knows);
    if (over && step.spec->in_doubt == InDoubt::fail) {
        result.outcome = StepOutcome::failed;
        result.message = "in doubt: " + result.message;
    }
    // Again only where nothing was sent, where the action may be repeated, or where `until` says
    // "not yet".
    const bool safe_again =
        result.outcome == StepOutcome::unreachable || not_yet ||
        (result.outcome == StepOutcome::failed && session_.schema_of(step).repeatable);
    const bool told_so = over && step.spec->in_doubt == InDoubt::retry;
    const int allowed = std::max(step.spec->retry.attempts, told_so ? 2 : 1);
    const bool retry = !failure_ && (safe_again || told_so) && attempts < allowed;
    session_.record_result(step, result, retry);
    if (retry) {
        retry_at_[index] = session_.clock().steady_now() + delay_after(step.spec->retry, attempts);
        return;
    }
    if (step.spec->verify && is_good(result.outcome)) {
        session_.record_verified(step, "done", "its verify", "it is in place");
    }
    session_.keep_output(step, result);
    judge(index, result);
}

/// In doubt stops the run whatever `on_failure` says: what nobody knows cannot be tolerated by a
/// number.
void Executor::judge(std::size_t index, const StepResult& result) {
    const PlannedStep& step = session_.plan().steps[index];
    if (is_good(result.outcome)) {
        return;
    }
    if (result.outcome == StepOutcome::in_doubt) {
        fail({13, RunPhase::in_doubt, where_of(step) + ": " + result.message, result.hint});
        return;
    }
    if (result.outcome == StepOutcome::cancelled) {  // of what only looks: somebody wants an end
        fail({130, RunPhase::interrupted, where_of(step) + ": " + result.message, result.hint});
        return;
    }
    if (step.spec->on_failure == OnFailure::carry_on || within_limits(step)) {
        return;
    }
    const bool unreachable = result.outcome == StepOutcome::unreachable;
    const int before_any_change = unreachable ? 16 : 4;
    Failure failure{session_.state().changed_anything() ? 10 : before_any_change,
                    RunPhase::failed,
                    where_of(step) + ": " + result.message,
                    result.hint,
                    step.spec->on_failure};
    const bool only_looked = !step.changes && step.spec->on_failure != OnFailure::rollback;
    fail(only_looked && change_stands(index) ? kept(std::move(failure)) : std::move(failure));
}

/// max_failed and max_unreachable: more than that many members stop the run.
bool Executor::within_limits(const PlannedStep& step) const {
    if (step.fan_out == nullptr) {
        return false;
    }
    std::set<std::string> failed;  // a member counts once, however many of its steps went wrong
    std::set<std::string> unreachable;
    for (std::size_t i = 0; i < session_.plan().steps.size(); ++i) {
        const StepProgress& other = session_.progress(i);
        if (session_.plan().steps[i].group == step.group && other.state == StepState::failed) {
            (other.unreachable ? unreachable : failed).insert(other.member);
        }
    }
    return static_cast<int>(failed.size()) <= step.fan_out->strategy.max_failed &&
           static_cast<int>(unreachable.size()) <= step.fan_out->strategy.max_unreachable;
}

/// The first failure is the one that counts. What is always done goes on after one.
void Executor::fail(Failure failure) {
    const bool goes_on = part_ == Part::always && failure.phase == RunPhase::failed;
    if (goes_on) {
        failure.exit_code = 10;
        failed_always_ = failed_always_ ? failed_always_ : std::optional(std::move(failure));
    } else if (!failure_) {
        failure_ = std::move(failure);
    }
}

}  // namespace lockstep
