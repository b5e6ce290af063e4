#include "base/error.hpp"
#include "engine/run/run_session.hpp"

#include <algorithm>

// Changes that are meant to be taken back before a run ends: a pause, a package's hold.
namespace lockstep {

namespace {

/// The step that ends a temporary change: the first one behind it.
std::optional<std::size_t> find_end(const Plan& plan,
                                    const ActionCatalog& actions,
                                    const OpenTemporary& temporary) {
    bool behind = false;
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
        const PlannedStep& step = plan.steps[i];
        if (behind && find_action(actions, step.uses)->ends == temporary.action &&
            step.member == temporary.member) {
            return i;
        }
        behind = behind || (step.id == temporary.step && step.member == temporary.member);
    }
    return std::nullopt;
}

}  // namespace

/// A member's change that nothing in the runbook ends is there to stay: a package put on hold again
/// after it was let go. The whole cluster's (a pause) never is.
std::optional<OpenTemporary> RunSession::temporary_of(const PlannedStep& step) const {
    const OpenTemporary would_be{step.uses, step.id, step.member, {}, {}};
    const bool is_one = schema_of(step).temporary &&
                        (step.member.empty() || find_end(setup_.plan, setup_.actions, would_be));
    return is_one ? std::optional(would_be) : std::nullopt;
}

/// Whatever way out: a pause must not be forgotten. Where lifting it is not safe, it is kept, and
/// said so.
void RunSession::give_back_temporaries() {
    const std::vector<OpenTemporary> open = state_.temporaries();
    if (open.empty()) {
        return;
    }
    std::string why;
    std::string hint;
    for (const StepProgress& step : state_.steps()) {
        // What it did is for `resume` to find out, and that wants the cluster as it was then.
        if (step.changes &&
            (step.state == StepState::in_doubt || step.state == StepState::running) &&
            std::ranges::none_of(open, [&](const auto& each) { return each.step == step.id; })) {
            why = "it is not known what " + step.where() + " still does";
            hint = "`lockstep resume` looks, and goes on.";
        }
    }
    for (const OpenCall& call : state_.open_calls()) {
        if (call.unwatched_since.empty()) {  // of an engine that had to stop beside it
            why = describe(call);
            hint = "`lockstep resume` looks, and goes on.";
        }
    }
    if (const std::string trouble = setup_.runner.lock_trouble({}); !trouble.empty()) {
        why = trouble;
        hint = "Whoever has the cluster now decides.";
    }
    for (auto temporary = open.rbegin(); temporary != open.rend(); ++temporary) {
        if (why.empty()) {
            try {
                give_back(*temporary);
            } catch (const JournalError&) {
                throw;
            } catch (const Error& error) {
                keep(*temporary, error.what(), error.hint());
            }
        } else {
            keep(*temporary, why, hint);
        }
    }
}

/// On record under `kept`, so that the summary and the next engine know that it was left on
/// purpose.
void RunSession::keep(const OpenTemporary& temporary,
                      const std::string& why,
                      const std::string& hint) {
    note(temporary.text() + " is still in force: " + why,
         {{"hint", hint}, {"kept", temporary.action}});
}

/// Nothing is sent where there is nothing to end: what is sent may act later than one thinks.
StepResult RunSession::end_temporary(Outgoing out) {
    if (out.preview.verdict != Verdict::wont || !obstacle(out.call.member).empty()) {
        return dispatch(std::move(out));
    }
    StepResult result{.outcome = StepOutcome::already_done, .message = out.preview.because};
    if (out.own_step) {
        record_result(out.step, result, false);
    } else {
        record_undo_result(out.step, out.call.uses, result, std::nullopt);
    }
    return result;
}

/// No guard and no gate in between: the action itself waits until it is safe, or refuses.
void RunSession::give_back(const OpenTemporary& temporary) {
    if (const auto blind = look_again(false, {})) {
        keep(temporary, blind->message, blind->hint);
        return;
    }
    const PlannedStep* maker = find(temporary.step, temporary.member);
    const std::optional<std::size_t> end = find_end(setup_.plan, setup_.actions, temporary);
    StepResult result;
    // By the runbook's own step where that is still to come: then the record says that it is done,
    // and a resume does not end the pause twice.
    if (end && !progress(*end).over() && !state_.rolling_back()) {
        const PlannedStep& step = setup_.plan.steps[*end];
        BoundStep bound = bind(step);
        if (bound.kind != BoundStep::Kind::ready) {
            keep(temporary, bound.because, bound.hint);
            return;
        }
        bound.call.attempt = progress(*end).attempts + 1;
        bound.call.key = key_of(step, "", bound.call.attempt);
        result = end_temporary({.step = step,
                                .call = bound.call,
                                .preview = setup_.runner.preview(bound.call, *facts_),
                                .purpose = OpenCall::Purpose::give_back,
                                .own_step = true});
    } else {
        const auto ending =
            std::ranges::find(setup_.actions, temporary.action, &ActionSchema::ends);
        if (ending == setup_.actions.end() || maker == nullptr) {
            keep(temporary, "nothing is known that ends it", "Lift it by hand.");
            return;
        }
        BoundStep bound = bind(*maker);
        bound.call.uses = ending->name;
        bound.call.id += ".end";
        bound.call.key = key_of(*maker, ".end", static_cast<int>(state_.last_seq()));
        result = end_temporary({.step = *maker,
                                .call = bound.call,
                                .preview = setup_.runner.preview(bound.call, *facts_),
                                .purpose = OpenCall::Purpose::give_back});
    }
    if (is_good(result.outcome)) {
        note("taken back: " + temporary.text() + " (" + result.message + ")", {{"passing", true}});
    } else {
        keep(temporary, result.message, result.hint);
    }
}

/// A pause that cannot be had again ends the way back there: without it the undo of a restart is
/// dangerous.
bool RunSession::take_again(const std::string& temporary, std::stop_token stop) {
    const auto& steps = setup_.plan.steps;
    const auto maker = std::ranges::find(steps, temporary, &PlannedStep::uses);
    if (maker == steps.end() || look_again(false, stop)) {
        return false;
    }
    BoundStep bound = bind(*maker);
    bound.call.id += ".again";
    bound.call.key = key_of(*maker, ".again", static_cast<int>(state_.last_seq()));
    // On record it may be in force and yet not be: an engine died while it made it.
    const Preview preview = this->preview(bound.call, stop);
    if (preview.blocked_by.empty() && preview.verdict == Verdict::wont) {
        return true;
    }
    StepResult result;
    if (!preview.blocked_by.empty()) {
        result = {.outcome = StepOutcome::failed,
                  .message = preview.blocked_by.front().message,
                  .hint = preview.blocked_by.front().remedy};
        record_undo_result(*maker, maker->uses, result, std::nullopt);
        return false;
    }
    result = dispatch({.step = *maker,
                       .call = bound.call,
                       .preview = preview,
                       .purpose = OpenCall::Purpose::take_again},
                      stop);
    return is_good(result.outcome);
}

std::string RunSession::what_it_leaves() const {
    std::string text = what_is_open();
    for (const OpenCall& call : state_.open_calls()) {
        text += (text.empty() ? "" : ", ") + describe(call);
    }
    return text;
}

std::string RunSession::what_is_open() const {
    std::string text;
    for (const OpenTemporary& each : state_.temporaries()) {
        text += (text.empty() ? "" : ", ") + each.text();
    }
    return text;
}

}  // namespace lockstep
