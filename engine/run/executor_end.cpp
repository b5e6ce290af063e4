#include "base/error.hpp"
#include "engine/run/executor.hpp"

#include <algorithm>
#include <utility>

// The end of a run: what is proven there, and what a failed proof means for what was changed.
namespace lockstep {

std::optional<Failure> Executor::prove_end(std::stop_token stop) {
    std::optional<Failure> failure = look_at_end(std::move(stop));
    say_what_stands(failure);
    return failure;
}

/// With fresh facts of the whole cluster, because the facts of the steps are what they themselves
/// reported. Only what was wrong before, and is in `heals`, fails the run: anything else that is
/// open is told.
std::optional<Failure> Executor::look_at_end(std::stop_token stop) {
    if (!session_.state().changed_anything()) {
        return std::nullopt;
    }
    std::vector<Finding> remaining;
    try {
        remaining = session_.diagnose_end(stop);
    } catch (const Error& error) {
        return Failure{10,
                       RunPhase::failed,
                       std::string("the end could not be proven: ") + error.what(),
                       error.hint()};
    }
    if (const std::optional<std::string> why = session_.tripped_guard(stop)) {
        session_.record(RecordKind::guard_tripped, nullptr, {{"message", *why}});
        return Failure{10, RunPhase::failed, *why, {}};
    }
    say_who_follows_the_archive();
    const auto& heals = session_.plan().runbook->heals;
    for (const Finding& finding : remaining) {
        const bool to_heal = std::ranges::any_of(
            heals, [&](const std::string& name) { return finding.is_named(name); });
        const auto& before = session_.plan().findings;
        const bool was_there = std::ranges::any_of(before, [&](const Finding& old) {
            return old.id == finding.id && old.member == finding.member &&
                   old.subject == finding.subject;
        });
        if (to_heal && was_there && !finding.needs_decision) {
            return Failure{10,
                           RunPhase::failed,
                           "not healed: " + finding.id + ": " + finding.message,
                           finding.remedy};
        }
        session_.note("still open: " + finding.message, {{"finding", finding.to_json()}});
    }
    // What is worse now than before is no success; what was changed is no reason to go back for it.
    const auto worse = std::ranges::find_if(
        remaining, [&](const Finding& finding) { return session_.is_new_trouble(finding); });
    if (worse != remaining.end()) {
        return Failure{.exit_code = 10,
                       .phase = RunPhase::failed,
                       .message = "everything was done, and now: " + worse->message,
                       .hint = worse->remedy,
                       .on_failure = OnFailure::stop};
    }
    return what_nobody_can_see();
}

/// An archive has WAL in whole segments: nobody can see whether more than those would arrive.
void Executor::say_who_follows_the_archive() const {
    const MemberFacts* leader = session_.plan().facts.leader_member();
    for (const MemberFacts& member : session_.facts().members) {
        const bool past = leader != nullptr && leader->position && member.received &&
                          *member.received >= *leader->position;
        if (!member.is_leader() && member.state == "in archive recovery" && !past) {
            session_.leave_unproven("that " + member.name +
                                    " has what was written before this run: it follows the "
                                    "archive, as it did, and has not come that far");
        }
    }
}

/// A finding that is gone because its member cannot be asked any more is not healed.
std::optional<Failure> Executor::what_nobody_can_see() const {
    const auto& heals = session_.plan().runbook->heals;
    for (const Finding& finding : session_.plan().findings) {
        const MemberFacts* member = session_.facts().find(finding.member);
        const bool to_heal = std::ranges::any_of(
            heals, [&](const std::string& name) { return finding.is_named(name); });
        const bool blind = member != nullptr &&
                           (member->ssh.failed() || member->api.failed() || member->sql.failed());
        if (to_heal && blind) {
            return Failure{.exit_code = 10,
                           .phase = RunPhase::failed,
                           .message = "whether " + finding.id + " on " + finding.member +
                                      " is healed nobody can see: it cannot be asked",
                           .hint = "Look with `lockstep check`.",
                           .on_failure = OnFailure::stop};
        }
    }
    return std::nullopt;
}

/// Whether all that was to be changed before that step is changed, and a temporary change that
/// covered it (a pause) was ended. What fails from there on while it only looks is a proof: to take
/// a change back that is whole, by another pause, needs somebody who decides it.
bool Executor::change_stands(std::size_t before) const {
    bool ended = false;
    for (std::size_t i = 0; i < before; ++i) {
        const PlannedStep& step = session_.plan().steps[i];
        if (!step.changes || step.idle || step.always) {
            continue;
        }
        const StepState state = session_.progress(i).state;
        if (state != StepState::succeeded && state != StepState::already_done &&
            state != StepState::skipped) {
            return false;
        }
        ended = ended || (!session_.schema_of(step).ends.empty() && step.member.empty() &&
                          state != StepState::skipped);
    }
    return ended && session_.state().temporaries().empty();
}

Failure Executor::kept(Failure failure) const {
    failure.stands = true;
    failure.message += "; what was changed is kept";
    failure.hint += (failure.hint.empty() ? "" : " ") + std::string("`lockstep rollback ") +
                    session_.header().id + "` takes the run back.";
    return failure;
}

void Executor::say_what_stands(std::optional<Failure>& failure) const {
    if (failure && failure->phase == RunPhase::failed && !failure->stands &&
        change_stands(session_.plan().steps.size())) {
        failure = kept(*std::move(failure));
    }
}

}  // namespace lockstep
