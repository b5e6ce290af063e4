#include "engine/run/run.hpp"

#include "base/error.hpp"
#include "base/join.hpp"
#include "engine/run/executor.hpp"
#include "engine/run/guards.hpp"
#include "engine/run/rollback.hpp"

#include <algorithm>

namespace lockstep {

namespace {

// An engine that ends so often in a row without getting on does not go on by itself.
constexpr int k_most_ends_in_vain = 5;

/// What cannot be recorded is not done, so what is in force stays: at least that is said, here and
/// by the lock that stays on the members.
[[noreturn]] void rethrow_with_what_stays(RunSession& session, const JournalError& error) {
    const std::string open = session.what_is_open();
    session.runner().stop_write_probe();
    const std::string left = session.what_it_leaves();
    session.runner().release_lock(
        left.empty() && session.state().changed_anything() ? "an unfinished run" : left);
    if (open.empty()) {
        throw;
    }
    throw JournalError(std::string(error.what()) + "; still in force: " + open,
                       error.hint() + (error.hint().empty() ? "" : " ") +
                           "Mend the state folder, then `lockstep resume`: it goes on from what "
                           "is on record.");
}

/// A cluster that cannot be seen any more in between: the run stops where it is, on record.
RunEnd stop_on_record(RunSession& session, const Error& error) {
    const auto* transport = dynamic_cast<const TransportError*>(&error);
    const bool asked = transport != nullptr && transport->kind() == TransportError::Kind::cancelled;
    const int code = session.state().changed_anything() ? 10 : 16;
    session.runner().stop_write_probe();
    session.give_back_temporaries();
    return session.end({asked ? 130 : code,
                        asked ? RunPhase::interrupted : RunPhase::failed,
                        error.what(),
                        error.hint()});
}

/// Where an exception of a run ends. A journal that cannot be written stops everything at once; any
/// other error becomes the run's end, unless nothing of this engine is on record yet: then nothing
/// was begun, and the caller's message says all there is.
template <typename Work>
RunEnd on_record(RunSession& session, const Work& work) {
    const std::int64_t before = session.state().last_seq();
    try {
        try {
            return work();
        } catch (const JournalError&) {
            throw;
        } catch (const Error& error) {
            if (session.state().last_seq() == before) {
                throw;  // nothing of this engine is on record: nothing was begun
            }
            return stop_on_record(session, error);
        }
    } catch (const JournalError& error) {
        rethrow_with_what_stays(session, error);
    }
}

RunEnd as_end(const Failure& failure) {
    return {failure.exit_code,
            failure.phase,
            failure.message,
            failure.hint,
            failure.waiting_for,
            failure.not_before};
}

/// The run is over for good, or until somebody mends what is wrong: not one that only waits, was
/// interrupted or does not know.
bool is_over(RunPhase phase) {
    return phase == RunPhase::succeeded || phase == RunPhase::failed ||
           phase == RunPhase::rolled_back || phase == RunPhase::rollback_failed;
}

/// What the runbook does whatever came of the rest, then the last record. What was right before
/// fails with it; what was wrong before stays the reason.
RunEnd finish(RunSession& session, RunEnd how, std::stop_token stop) {
    if (!session.state().rolling_back()) {  // else the rollback has dealt with them
        session.give_back_temporaries();
    }
    // A pause that could not be given back is no good end, of whatever way.
    const bool good = how.phase == RunPhase::succeeded || how.phase == RunPhase::rolled_back;
    if (const std::string open = session.what_is_open(); good && !open.empty()) {
        const bool back = how.phase == RunPhase::rolled_back;
        how.message += (how.message.empty() ? "" : "; ") + ("still in force: " + open);
        how.hint = "`lockstep resume` gives it back once that is safe; `lockstep check` says more.";
        how.exit_code = back ? 12 : 10;
        how.phase = back ? RunPhase::rollback_failed : RunPhase::failed;
    }
    if (is_over(how.phase)) {
        const std::optional<Failure> failure =
            Executor(session, Executor::Part::always).run(std::move(stop));
        if (failure && (how.phase == RunPhase::succeeded || failure->phase == RunPhase::in_doubt)) {
            how = as_end(*failure);
        } else if (failure) {
            session.note("of what is always done: " + failure->message,
                         {{"hint", failure->hint}, {"passing", true}});
        }
    }
    return session.end(how);
}

/// The probe stops before its report is judged: a gap that is still open would be measured too
/// short.
std::optional<Failure> stop_probe(RunSession& session) {
    session.runner().stop_write_probe();
    const std::optional<ProbeReport> probe = session.runner().write_probe();
    if (!probe) {
        return std::nullopt;
    }
    const auto why = check_write_probe(*session.plan().runbook, *probe);
    return why ? std::optional(Failure{10, RunPhase::failed, *why, {}}) : std::nullopt;
}

/// Only a failure takes a run back. What is in doubt or interrupted first has to be settled, and a
/// run that changed nothing has no way to go.
bool wants_rollback(const RunSession& session, const Failure& failure) {
    return failure.phase == RunPhase::failed && session.state().changed_anything() &&
           !failure.stands &&
           failure.on_failure.value_or(session.plan().on_failure) == OnFailure::rollback;
}

/// Beyond the point of no return the failure stands as it is: the runbook says that there is no way
/// back from there.
RunEnd take_back(RunSession& session, const Failure& failure, std::stop_token stop) {
    if (const std::string why = session.state().beyond_return(); !why.empty()) {
        session.note("not rolled back: beyond the point of no return: " + why);
        return finish(session, as_end(failure), stop);
    }
    const std::optional<Failure> failed = Rollback(session).run(failure.message, stop);
    if (failed) {
        Failure both = *failed;
        both.message = failure.message + "; " + failed->message;
        return finish(session, as_end(both), stop);
    }
    return finish(session, {11, RunPhase::rolled_back, failure.message, failure.hint}, stop);
}

/// From whatever state there is to the end, and the way out of it.
RunEnd go_on(RunSession& session, std::stop_token stop) {
    Executor executor(session);
    std::optional<Failure> failure = executor.run(stop);
    if (!failure) {
        failure = executor.prove_end(stop);
    }
    const std::optional<Failure> probe = stop_probe(session);
    if (!failure) {
        failure = probe;
        executor.say_what_stands(failure);
    }
    // The probe is judged even where nothing else failed: its limits are what the runbook promised
    // to the clients.
    if (failure && wants_rollback(session, *failure)) {
        return take_back(session, *failure, stop);
    }
    if (failure) {
        return finish(session, as_end(*failure), stop);
    }
    return finish(
        session,
        {0, RunPhase::succeeded, session.plan().nothing_to_do() ? "nothing to do" : "done", {}},
        stop);
}

nlohmann::json engine_of(const RunSession& session) {
    const EngineId& engine = session.setup().engine;
    return {{"process", engine.process}, {"host", engine.host}, {"pid", engine.pid}};
}

/// The fence goes on record so that a later reader can tell which of two engines came second.
void record_lock(RunSession& session, const LockGrant& lock) {
    session.record(RecordKind::lock_taken, nullptr, {{"id", lock.id}, {"fence", lock.fence}});
    for (const std::string& text : lock.notes) {
        session.note(text, {{"passing", true}});
    }
}

/// None for a run that only looks, and has nothing in force: it keeps nobody out, and members that
/// it does not need by SSH must not be needed for the lock's sake.
std::optional<LockGrant> lock_for(RunSession& session,
                                  const std::string& who,
                                  std::stop_token stop) {
    const RunState& state = session.state();
    const bool looks_only = session.plan().nothing_to_do() && !state.changed_anything() &&
                            state.open_calls().empty() && state.temporaries().empty();
    return looks_only ? std::nullopt : std::optional(session.take_lock(who, std::move(stop)));
}

/// Lock and fresh facts, before anything is decided.
std::optional<LockGrant> take_up(RunSession& session, const TakeUp& by, std::stop_token stop) {
    std::optional<LockGrant> lock = lock_for(session, by.by, stop);
    try {
        session.refresh(true, stop);
    } catch (const Error&) {
        session.runner().release_lock(session.what_it_leaves());
        throw;
    }
    return lock;
}

/// Why the run is not taken back at all. Nothing is on record yet: where that cannot be judged, the
/// lock keeps the sign of what is in force.
std::optional<Failure> refuse_beforehand(RunSession& session, std::stop_token stop) {
    if (session.state().rolling_back()) {
        return std::nullopt;  // part of it is done already
    }
    try {
        return Rollback(session).refuse_beforehand(std::move(stop));
    } catch (const Error&) {
        session.runner().release_lock(session.what_it_leaves());
        throw;
    }
}

/// Windows that do not count for this engine are on record, with the reason of whoever said so.
void note_override(RunSession& session, const std::string& reason) {
    if (session.setup().patience.override_window) {
        session.note("the windows do not count: " + reason);
    }
}

/// The record that somebody goes on, and with which steps open again.
void record_resumed(RunSession& session,
                    const TakeUp& by,
                    const std::optional<LockGrant>& lock,
                    bool rolling_back,
                    const nlohmann::json& reopen) {
    session.record(RecordKind::run_resumed,
                   nullptr,
                   {{"by", by.by},
                    {"engine_version", by.engine_version},
                    {"engine", engine_of(session)},
                    {"rolling_back", rolling_back},
                    {"reopen", reopen}});
    if (lock) {
        record_lock(session, *lock);
    }
    if (by.unsealed) {
        session.note("taken up although nobody vouches for its record: " + by.reason);
    }
    session.tell("start",
                 session.header().runbook + " on " + session.header().cluster +
                     (rolling_back ? " is taken back by " : " was resumed by ") + by.by);
}

/// Settles what is in doubt; the end of the run where that fails.
std::optional<RunEnd> settle(RunSession& session,
                             const TakeUp& by,
                             bool rolling_back,
                             std::stop_token stop) {
    const auto failure = Settlement(session, by.answers, rolling_back).run(std::move(stop));
    if (!failure) {
        return std::nullopt;
    }
    session.give_back_temporaries();
    return session.end(as_end(*failure));
}

/// A pause whose fate was not known before: by now it is, and what it covers may be still to come.
void reopen_what_was_settled(RunSession& session) {
    if (const nlohmann::json more = steps_to_reopen(session); !more.empty()) {
        session.note("it is known by now what it had come to: " +
                         more.front().front().get<std::string>() + " is done again",
                     {{"reopen", more}, {"passing", true}});
    }
}

}  // namespace

RunEnd start_run(RunSession::Setup setup, RunHeader header, std::stop_token stop) {
    header.plan = setup.plan.to_json();
    RunSession session(std::move(setup), std::move(header));
    return on_record(session, [&] {
        // Before the run is on record: a cluster that another run holds leaves no run behind that
        // never was.
        const std::optional<LockGrant> lock = lock_for(session, session.header().started_by, stop);
        session.create();
        session.record(RecordKind::run_started,
                       nullptr,
                       {{"plan_hash", session.plan().hash}, {"engine", engine_of(session)}});
        if (lock) {
            record_lock(session, *lock);
        }
        note_override(session, session.header().reason);
        session.tell("start",
                     session.header().runbook + " on " + session.header().cluster +
                         " was started by " + session.header().started_by);
        for (const Finding& finding : session.plan().accepted) {
            session.note("accepted by name: " + finding.id + ": " + finding.message);
        }
        return go_on(session, stop);
    });
}

RunEnd resume_run(RunSession::Setup setup,
                  RunHeader header,
                  const std::vector<JournalRecord>& records,
                  const TakeUp& by,
                  std::stop_token stop) {
    RunSession session(std::move(setup), std::move(header));
    session.replay(records);
    // An engine that dies at the same place each time would be restarted by a timer for ever.
    if (session.state().ends_in_vain() >= k_most_ends_in_vain && !by.once_more) {
        return {13,
                RunPhase::in_doubt,
                "the engine has ended " + std::to_string(session.state().ends_in_vain()) +
                    " times in a row without getting on",
                "Find out why before trying again: `lockstep show`, then `lockstep resume "
                "--once-more` or `lockstep rollback`."};
    }
    return on_record(session, [&] {
        const std::optional<LockGrant> lock = take_up(session, by, stop);
        // A run that had turned back does not go forward again: part of its undos are done.
        if (session.state().rolling_back()) {
            record_resumed(session, by, lock, true, steps_done_always(session));
            if (auto end = settle(session, by, true, stop)) {
                return *std::move(end);
            }
            return take_back(session, {.message = session.state().rollback_because()}, stop);
        }
        // Compared before anything is settled: in another cluster the steps in doubt mean something
        // else.
        const std::vector<std::string> moved = differences(session);
        record_resumed(session,
                       by,
                       lock,
                       false,
                       moved.empty() ? steps_to_reopen(session) : nlohmann::json::array());
        if (!moved.empty()) {
            return session.end(
                {17,
                 RunPhase::interrupted,
                 "the cluster is no longer the one that this run left: " + join(moved, "; "),
                 "`lockstep rollback " + session.header().id +
                     "` takes the run back; a new `lockstep run` goes on from what "
                     "is there now."});
        }
        note_override(session, by.reason);
        if (auto end = settle(session, by, false, stop)) {
            return *std::move(end);
        }
        reopen_what_was_settled(session);
        return go_on(session, stop);
    });
}

bool can_be_cancelled(const RunState& state) {
    return state.phase() == RunPhase::waiting && !state.changed_anything();
}

/// In the order of what hinders most. One that waits has nothing in force, or it would not wait.
std::string no_cancel(const RunState& state) {
    if (const std::string over = nothing_to_resume(state); !over.empty()) {
        return over + ": nothing of it goes on any more";
    }
    if (state.phase() != RunPhase::waiting) {
        return "it does not wait: it is " + std::string(to_text(state.phase())) +
               "; what it has done is taken back by `lockstep rollback`, or it goes on by "
               "`lockstep "
               "resume`";
    }
    if (!state.open_calls().empty()) {
        return "it is not known whether everything that it has sent has ended: `lockstep resume` "
               "looks";
    }
    if (!state.temporaries().empty()) {
        return state.temporaries().front().step +
               " is in force: `lockstep resume` or `lockstep "
               "rollback` gives it back";
    }
    return {};
}

namespace {

/// Under the lock, so that nobody goes on with it meanwhile; its end removes what is left of that.
RunEnd cancel(RunSession& session, const TakeUp& by, std::stop_token stop) {
    const std::optional<LockGrant> lock = lock_for(session, by.by, std::move(stop));
    record_resumed(session, by, lock, false, nlohmann::json::array());
    const std::string what = session.state().changed_anything()
                                 ? "; what it had changed by then stays"
                                 : "; it had changed nothing";
    return session.end({0, RunPhase::cancelled, "cancelled by " + by.by + what, {}});
}

}  // namespace

RunEnd cancel_run(RunSession::Setup setup,
                  RunHeader header,
                  const std::vector<JournalRecord>& records,
                  const TakeUp& by,
                  std::stop_token stop) {
    RunSession session(std::move(setup), std::move(header));
    session.replay(records);
    return on_record(session, [&] { return cancel(session, by, stop); });
}

RunEnd roll_back_run(RunSession::Setup setup,
                     RunHeader header,
                     const std::vector<JournalRecord>& records,
                     const TakeUp& by,
                     std::stop_token stop) {
    RunSession session(std::move(setup), std::move(header));
    session.replay(records);
    return on_record(session, [&] {
        if (can_be_cancelled(session.state())) {
            return cancel(session, by, stop);
        }
        const std::optional<LockGrant> lock = take_up(session, by, stop);
        if (const auto refused = refuse_beforehand(session, stop)) {
            session.runner().release_lock(session.what_it_leaves());
            return as_end(*refused);
        }
        record_resumed(session, by, lock, true, steps_done_always(session));
        if (auto end = settle(session, by, true, stop)) {
            return *std::move(end);
        }
        const std::optional<Failure> failed = Rollback(session).run("asked for by " + by.by, stop);
        return finish(session,
                      failed ? as_end(*failed) : RunEnd{0, RunPhase::rolled_back, "taken back", {}},
                      stop);
    });
}

/// Lets a timer call `resume` often: without news it ends here, before a lock is taken and a
/// cluster asked.
std::string still_waits_for(const RunState& state,
                            const std::vector<Answer>& answers,
                            Clock::Wall now) {
    const bool news = std::ranges::any_of(
        answers, [&](const Answer& answer) { return answer.number > state.answers_taken(); });
    if (state.phase() != RunPhase::waiting || news) {
        return {};
    }
    bool asked = false;
    for (const ApprovalProgress& approval : state.approvals()) {
        const bool open = approval.state == ApprovalProgress::State::open;
        const bool expired =
            !approval.expires_at.empty() && now >= from_iso8601(approval.expires_at);
        if (open && expired) {
            return {};
        }
        asked = asked || open;
    }
    const bool known = !state.not_before().empty();
    const bool too_early = known && now < from_iso8601(state.not_before());
    return (asked && !known) || too_early ? join(state.waiting_for(), "; ") : "";
}

std::string nothing_to_resume(const RunState& state) {
    switch (state.phase()) {
        case RunPhase::succeeded:
            return "it has succeeded";
        case RunPhase::rolled_back:
            return "it was rolled back";
        case RunPhase::cancelled:
            return "it was cancelled";
        default:
            return {};
    }
}

/// Asked before an engine is set up, so that a person hears why at once; the lock is not taken for
/// it.
std::string no_rollback(const RunState& state) {
    if (state.phase() == RunPhase::rolled_back) {
        return "it is rolled back already";
    }
    if (state.phase() == RunPhase::cancelled && !state.changed_anything()) {
        return "it was cancelled, and has changed nothing";
    }
    if (can_be_cancelled(state)) {
        return {};
    }
    if (!state.changed_anything()) {
        return "it has changed nothing";
    }
    const std::string beyond = state.beyond_return();
    return beyond.empty() ? "" : "it is beyond the point of no return: " + beyond;
}

}  // namespace lockstep
