#include "engine/run/recovery.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <set>

namespace lockstep {

namespace {

// What still runs on a member is followed to its end, by whoever takes the run up: until somebody
// stops waiting. No step takes a week.
constexpr std::chrono::hours k_as_long_as_it_takes{24 * 7};

/// Begun, and its end not on record. Both are looked at in the same way: a dead engine left one, a
/// lost answer the other.
bool is_open(const StepProgress& step) {
    return step.state == StepState::running || step.state == StepState::in_doubt;
}

std::string shown(const nlohmann::json& value) {
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    return text.empty() ? "nothing" : text;
}

/// Whether nobody knew it.
bool is_unseen(const nlohmann::json& fact) {
    return fact.is_null() || (fact.is_string() && fact.get_ref<const std::string&>().empty());
}

/// Members on which something was begun whose end is not known: what differs there is ours.
std::set<std::string> unsettled_members(const RunState& state) {
    std::set<std::string> members;
    for (const StepProgress& step : state.steps()) {
        const bool failed = step.state == StepState::failed && step.intent_seq > 0;
        if (step.changes && (is_open(step) || failed)) {
            members.insert(step.member);
        }
        for (const UndoProgress& undo : step.undo) {
            if (undo.state == UndoProgress::State::running ||
                undo.state == UndoProgress::State::in_doubt ||
                undo.state == UndoProgress::State::failed) {
                members.insert(undo.undo.member);
            }
        }
    }
    return members;
}

/// Whether it is this run that silenced the leader: it changed something there, and its pause, in
/// which nobody else takes the lead, is in force. What nobody can see then is no difference.
bool silenced_leader(const RunState& state, const nlohmann::json& then, const nlohmann::json& now) {
    const std::string leader = then.at("leader");
    return is_unseen(now.at("leader")) && now.at("paused") == true &&
           !state.temporaries().empty() &&
           std::ranges::any_of(state.steps(), [&](const StepProgress& step) {
               return step.member == leader && step.may_have_acted();
           });
}

/// Whether a step whose end is not good explains who leads now: it has moved the leader, is doing
/// so or has left it where it was. One promotion makes one timeline; more are somebody else's.
bool being_moved(const RunState& state, const nlohmann::json& then, const nlohmann::json& now) {
    return std::ranges::any_of(state.leader_moves(), [&](const StepProgress* step) {
        const std::string leader = now.at("leader");
        if (step->is_done() || then.at("leader") != step->led_by) {
            return false;
        }
        if (leader.empty()) {
            return true;
        }
        const nlohmann::json& before = then.at("timeline");
        const nlohmann::json& after = now.at("timeline");
        const bool known = before.is_number_integer() && after.is_number_integer();
        return leader == step->leads_after &&
               (!known || after == before || after.get<int>() == before.get<int>() + 1);
    });
}

/// Whether a temporary change is being made or ended: then nobody knows yet how it stands.
bool temporary_unsettled(const RunSession& session) {
    const auto& calls = session.state().open_calls();
    if (std::ranges::any_of(calls, [&](const OpenCall& call) {
            const ActionSchema* schema = find_action(session.setup().actions, call.uses);
            return schema != nullptr && (schema->temporary || !schema->ends.empty());
        })) {
        return true;
    }
    for (std::size_t i = 0; i < session.plan().steps.size(); ++i) {
        const ActionSchema& schema = session.schema_of(session.plan().steps[i]);
        if ((schema.temporary || !schema.ends.empty()) && is_open(session.progress(i))) {
            return true;
        }
    }
    return false;
}

}  // namespace

/// Only what decisions were made by: leader, timeline, pause, members and what is installed.
/// Positions and lag always move.
std::vector<std::string> differences(RunSession& session) {
    const nlohmann::json now = digest(session.facts());
    const nlohmann::json then = session.left();
    std::vector<std::string> found;
    const std::set<std::string> ours = unsettled_members(session.state());
    const bool silent = silenced_leader(session.state(), then, now) ||
                        ours.contains(then.at("leader").get<std::string>());
    const bool moved = being_moved(session.state(), then, now);
    for (const char* fact : {"leader", "timeline"}) {
        if (moved) {
            break;
        }
        if (silent && is_unseen(now.at(fact))) {  // it may be in the middle of what was begun there
            continue;
        }
        if (then.at(fact) != now.at(fact)) {
            found.push_back(std::string("the ") + fact + " was " + shown(then.at(fact)) +
                            " and is " + shown(now.at(fact)));
        }
    }
    if (then.at("paused") != now.at("paused") && !temporary_unsettled(session)) {
        found.emplace_back(now.at("paused").get<bool>() ? "the cluster was not paused and is now"
                                                        : "the pause was lifted meanwhile");
    }
    for (const auto& [name, before] : then.at("members").items()) {
        if (!now.at("members").contains(name)) {
            found.push_back("member " + name + " is gone");
            continue;
        }
        const nlohmann::json& after = now.at("members").at(name);
        // What nobody could see is no difference: whether it may be unknown is the gates' business.
        const bool known = !is_unseen(before.at("installed")) && !is_unseen(after.at("installed"));
        if (known && before.at("installed") != after.at("installed") && !ours.contains(name)) {
            found.push_back(name + " had " + shown(before.at("installed")) + " installed and has " +
                            shown(after.at("installed")));
        }
    }
    for (const auto& [name, after] : now.at("members").items()) {
        if (!then.at("members").contains(name)) {
            found.push_back("member " + name + " is new");
        }
    }
    return found;
}

namespace {

nlohmann::json named(const RunSession& session, const std::set<std::size_t>& steps) {
    nlohmann::json names = nlohmann::json::array();
    for (const std::size_t i : steps) {
        names.push_back({session.plan().steps[i].id, session.plan().steps[i].member});
    }
    return names;
}

/// What is always done belongs to the end of each attempt, so a resume does it once more.
std::set<std::size_t> done_always(const RunSession& session) {
    std::set<std::size_t> done;
    for (std::size_t i = 0; i < session.plan().steps.size(); ++i) {
        if (session.plan().steps[i].always && session.progress(i).over() &&
            session.progress(i).state != StepState::in_doubt) {
            done.insert(i);
        }
    }
    return done;
}

/// Of a run that has waited without having changed anything: what its gates saw then is old now.
/// What a person answered still holds.
std::set<std::size_t> looked_too_early(const RunSession& session) {
    std::set<std::size_t> looked;
    if (!session.state().has_waited() || session.state().changed_anything()) {
        return looked;
    }
    for (std::size_t i = 0; i < session.plan().steps.size(); ++i) {
        const PlannedStep& step = session.plan().steps[i];
        if (!step.changes && !session.schema_of(step).asks && session.progress(i).over() &&
            session.progress(i).state != StepState::skipped) {
            looked.insert(i);
        }
    }
    return looked;
}

}  // namespace

nlohmann::json steps_done_always(const RunSession& session) {
    return named(session, done_always(session));
}

nlohmann::json steps_to_reopen(const RunSession& session) {
    const auto& steps = session.plan().steps;
    std::set<std::size_t> open = done_always(session);
    open.merge(looked_too_early(session));
    // An engine that died with a failure had not dealt with it yet: that is done first. Somebody
    // who takes up a run that ended with one wants it tried again.
    const bool ended = session.state().phase() != RunPhase::running;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        const StepState state = session.progress(i).state;
        const bool failed =
            ended && state == StepState::failed && steps[i].spec->on_failure != OnFailure::carry_on;
        if (failed || state == StepState::cancelled) {
            open.insert(i);
        }
    }
    // A pause that was given back has to be in force again for what is still to come, and has to be
    // ended again after that. Where nothing is to come it stays done.
    const auto still_to_do = [&](std::size_t i) {
        return steps[i].changes && steps[i].verdict != Verdict::wont &&
               (open.contains(i) || session.progress(i).state == StepState::pending);
    };
    // One whose end is not known yet is looked at first, and keeps its call until then.
    for (std::size_t first = 0; first < steps.size(); ++first) {
        if (!session.schema_of(steps[first]).temporary || is_open(session.progress(first))) {
            continue;
        }
        bool covers = false;
        for (std::size_t i = first + 1; i < steps.size(); ++i) {
            const bool ends = session.schema_of(steps[i]).ends == steps[first].uses &&
                              steps[i].member == steps[first].member;
            if (!ends) {
                covers = covers || still_to_do(i);
                continue;
            }
            if (covers && session.progress(i).over() && !is_open(session.progress(i))) {
                open.insert(i);
                if (session.progress(first).over()) {
                    open.insert(first);
                }
            }
            break;
        }
    }
    return named(session, open);
}

/// In the order of the plan, and before anything new is started: a command that still runs on a
/// member would meet what comes after it.
std::optional<Failure> Settlement::run(std::stop_token stop) {
    for (std::size_t i = 0; i < session_.plan().steps.size(); ++i) {
        if (stop.stop_requested()) {
            return Failure{130, RunPhase::interrupted, "stopped on request", {}};
        }
        if (is_open(session_.progress(i))) {
            if (auto failure = settle(i, stop)) {
                return failure;
            }
        }
    }
    const std::vector<OpenCall> calls = session_.state().open_calls();
    for (const OpenCall& call : calls) {
        if (!call.own_step) {
            if (auto failure = settle_call(call, stop)) {
                return failure;
            }
        }
    }
    return std::nullopt;
}

/// The member is asked first, since it has run the command and its word is better than any look at
/// what came of it.
std::optional<Failure> Settlement::settle(std::size_t index, std::stop_token stop) {
    const PlannedStep& step = session_.plan().steps[index];
    const ActionSchema& schema = session_.schema_of(step);
    if (!step.changes) {
        session_.record_verified(step, "not_done", "it only looks", "it is asked again");
        return std::nullopt;
    }
    BoundStep bound = session_.bind(step);
    if (schema.spooled && bound.kind == BoundStep::Kind::ready) {
        bound.call.attempt = session_.progress(index).attempts;
        bound.call.key = session_.progress(index).key;
        bound.call.attach_only = true;
        bound.call.timeout = k_as_long_as_it_takes;
        if (step.spec->verify) {
            const BoundStep look = session_.bind_verify(step, bound.call);
            if (look.kind == BoundStep::Kind::ready) {
                bound.call.verify = std::make_shared<const StepCall>(look.call);
            }
        }
        const StepResult result =
            session_.perform(step, std::move(bound.call), RecordKind::step_accepted);
        bool settled = false;
        if (auto failure = adopt(index, result, settled)) {
            return failure;
        }
        if (settled) {
            return std::nullopt;
        }
    }
    return look_closer(index, stop);
}

/// False: stopped before.
bool Settlement::wait_out(const OpenCall& call, const std::stop_token& stop) {
    const auto quiet = call.quiet_at(session_.clock().wall_now());
    while (quiet && session_.clock().wall_now() < *quiet) {
        if (!session_.clock().sleep_for(std::chrono::milliseconds{200}, stop)) {
            return false;
        }
    }
    return true;
}

const OpenCall* Settlement::open_call(const PlannedStep& step) const {
    const auto& calls = session_.state().open_calls();
    const auto found = std::ranges::find_if(calls, [&](const OpenCall& call) {
        return call.own_step && call.step == step.id && call.step_member == step.member;
    });
    return found == calls.end() ? nullptr : &*found;
}

/// What the member tells counts as if the engine had been there: the same retries, the same
/// judgement. What it leaves open is for look_closer().
std::optional<Failure> Settlement::adopt(std::size_t index,
                                         const StepResult& result,
                                         bool& settled) {
    const PlannedStep& step = session_.plan().steps[index];
    settled = true;
    switch (result.outcome) {
        case StepOutcome::absent:
            if (session_.progress(index).accepted) {
                break;  // it had it, and has lost it: a power failure, or somebody tidied up
            }
            session_.record_verified(step, "not_done", "the member", "it never reached the member");
            return std::nullopt;
        case StepOutcome::succeeded:
        case StepOutcome::already_done: {
            StepResult read = result;
            const bool not_yet = session_.read_output(step, read);
            session_.record_result(step, read, not_yet && may_retry(index));
            session_.keep_output(step, read);
            return std::nullopt;
        }
        case StepOutcome::failed: {
            // As if we had been there: tried again where the runbook says so, else judged.
            StepResult read = result;
            (void)session_.read_output(step, read);
            session_.record_result(
                step, read, session_.schema_of(step).repeatable && may_retry(index));
            session_.keep_output(step, read);
            return std::nullopt;
        }
        case StepOutcome::unreachable:
            return Failure{13,
                           RunPhase::in_doubt,
                           session_.progress(index).where() +
                               " was started, and its member cannot be asked: " + result.message,
                           result.hint.empty() ? "Bring the member back, then `lockstep resume`."
                                               : result.hint};
        case StepOutcome::in_doubt:
            session_.record_result(step, result, false);
            if (result.open != OpenEnd::died) {
                return still_runs(session_.progress(index).where(), result);
            }
            break;
        case StepOutcome::cancelled:
            return still_runs(session_.progress(index).where(), result);
    }
    settled = false;
    return std::nullopt;
}

/// As long as its command may run nothing else is known, and nothing else is done.
Failure Settlement::still_runs(const std::string& where, const StepResult& result) const {
    return {13,
            RunPhase::in_doubt,
            where + " was started, and its end was not seen yet: " + result.message,
            result.hint.empty() ? "`lockstep resume " + session_.header().id + "` follows it again."
                                : result.hint};
}

bool Settlement::may_retry(std::size_t index) const {
    const StepProgress& step = session_.progress(index);
    return step.attempts - step.attempts_before < session_.plan().steps[index].spec->retry.attempts;
}

/// From what is most certain to what is least: a person's word, the runbook's own rule, its verify,
/// then what the action sees in fresh facts. Only an action that may be repeated is taken for "not
/// done" by the last one.
std::optional<Failure> Settlement::look_closer(std::size_t index, std::stop_token stop) {
    const PlannedStep& step = session_.plan().steps[index];
    const ActionSchema& schema = session_.schema_of(step);
    if (named(answers_.done, step)) {
        session_.record_verified(step, "done", "a person", "done, by what the operator said");
        return std::nullopt;
    }
    // Where nobody can be asked, a look counts once what was sent can act no more.
    const OpenCall* open = open_call(step);
    const bool asked_there = schema.spooled;
    const bool unknown_for_ever = open != nullptr && !asked_there && !open->acts_within &&
                                  step.spec->in_doubt != InDoubt::fail;
    std::string seen = "nothing tells whether it was done";
    if (open != nullptr && !asked_there && open->acts_within) {
        const bool by_looking = !step.spec->verify && step.spec->in_doubt != InDoubt::ask;
        BoundStep bound = session_.bind(step);
        StepResult result{.outcome = StepOutcome::failed};
        if (!by_looking || bound.kind != BoundStep::Kind::ready) {
            if (!wait_out(*open, stop)) {
                return Failure{130, RunPhase::interrupted, "stopped on request", {}};
            }
        } else {
            bound.call.key = open->key;
            result =
                session_.find_out(std::move(bound.call), "the engine ended before it came", stop);
        }
        if (is_good(result.outcome)) {
            session_.record_verified(step, "done", "the cluster", result.message);
            return std::nullopt;
        }
        if (result.outcome == StepOutcome::in_doubt && result.open != OpenEnd::died) {
            return still_runs(session_.progress(index).where(), result);
        }
    }
    if (named(answers_.redo, step) || step.spec->in_doubt == InDoubt::retry) {
        session_.record_verified(step, "not_done", "told so", "it is done again");
        return std::nullopt;
    }
    if (step.spec->in_doubt != InDoubt::ask && step.spec->verify) {
        const CallSpec& spec = *step.spec->verify;
        const BoundStep bound = bind_call(
            step, spec, *find_action(session_.setup().actions, spec.uses), session_.scope_of(step));
        if (bound.kind == BoundStep::Kind::ready) {
            StepCall look = bound.call;
            look.only_looks = true;
            const StepResult result = session_.perform(step, look, RecordKind::step_accepted);
            if (is_good(result.outcome) || result.outcome == StepOutcome::failed) {
                session_.record_verified(step,
                                         is_good(result.outcome) ? "done" : "not_done",
                                         "its verify",
                                         result.message);
                return std::nullopt;
            }
            seen = "its verify came to nothing: " + result.message;
        } else {
            seen = "its verify came to nothing: " + bound.because;
        }
    } else if (step.spec->in_doubt != InDoubt::ask) {
        session_.refresh(true, stop);
        const BoundStep bound = session_.bind(step);
        if (bound.kind == BoundStep::Kind::ready) {
            const Preview preview = session_.runner().preview(bound.call, session_.facts());
            if (preview.verdict == Verdict::wont) {
                session_.record_verified(step, "done", "the cluster", preview.because);
                return std::nullopt;
            }
            if (schema.repeatable && !unknown_for_ever) {
                session_.record_verified(step, "not_done", "the cluster", "it is safe to do again");
                return std::nullopt;
            }
        }
    }
    if (step.spec->in_doubt == InDoubt::fail) {
        session_.record_result(
            step, {.outcome = StepOutcome::failed, .message = "in doubt: " + seen}, false);
        return std::nullopt;
    }
    session_.record_verified(step, "unknown", "nobody", seen, !unknown_for_ever);
    if (for_rollback_ && !unknown_for_ever) {
        return std::nullopt;  // an undo copes with "never happened"
    }
    const std::string name = step.member.empty() ? step.id : step.id + "@" + step.member;
    return Failure{13,
                   RunPhase::in_doubt,
                   session_.progress(index).where() + " was started, and " + seen,
                   "Look at it, then say: lockstep resume " + session_.header().id + " --done '" +
                       name + "' or --redo '" + name + "'."};
}

/// An undo, or the end or the beginning of a temporary change: safe to do again, by fresh facts, as
/// soon as it acts no more.
std::optional<Failure> Settlement::settle_call(const OpenCall& call, std::stop_token stop) {
    const PlannedStep* step = session_.find(call.step, call.step_member);
    const ActionSchema* schema = find_action(session_.setup().actions, call.uses);
    if (step == nullptr || schema == nullptr) {
        return std::nullopt;
    }
    const std::optional<std::size_t> n =
        call.purpose == OpenCall::Purpose::undo ? std::optional(call.undo) : std::nullopt;
    StepResult result{.outcome = StepOutcome::failed,
                      .message = "the engine ended before its answer came"};
    if (schema->spooled) {
        StepCall again;
        if (n) {
            again = call_of(session_.progress(session_.index_of(*step)).undo[*n].undo, step->id);
        } else {
            again = session_.bind(*step).call;
            again.uses = call.uses;
        }
        again.key = call.key;
        again.attach_only = true;
        again.timeout = k_as_long_as_it_takes;
        result = session_.perform(*step, std::move(again), RecordKind::undo_accepted);
        if (result.outcome == StepOutcome::unreachable) {
            return Failure{13,
                           RunPhase::in_doubt,
                           describe(call) + ", and its member cannot be asked: " + result.message,
                           "Bring the member back, then `lockstep rollback`."};
        }
    } else if (!call.acts_within) {
        result = {.outcome = StepOutcome::in_doubt, .open = OpenEnd::answer_lost};
    } else if (!wait_out(call, stop)) {
        return Failure{130, RunPhase::interrupted, "stopped on request", {}};
    }
    if (result.outcome == StepOutcome::cancelled) {
        return still_runs(call.where(), result);
    }
    session_.record_undo_result(*step, call.uses, result, n);
    if (result.outcome == StepOutcome::in_doubt && result.open != OpenEnd::died) {
        return still_runs("the undo of " + call.where(), result);
    }
    return std::nullopt;
}

bool Settlement::named(const std::vector<std::string>& names, const PlannedStep& step) const {
    return std::ranges::any_of(names, [&](const std::string& name) {
        return name == step.id || name == step.id + "@" + step.member;
    });
}

}  // namespace lockstep
