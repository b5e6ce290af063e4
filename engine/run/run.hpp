#pragma once

/// engine/run/: carries a plan out, goes on with one that was interrupted, and takes one back. It
/// knows no action and no connection: steps are done by a StepRunner, and state changes by records
/// alone (run_state.hpp). Read run.cpp first, then executor.cpp, recovery.cpp and rollback.cpp.

#include "engine/run/recovery.hpp"
#include "engine/run/run_session.hpp"

#include <stop_token>
#include <string>
#include <vector>

/// A run from its start, from where an earlier engine left it, or back. Each returns once its last
/// record is written; the lock of the cluster is held from before the first change to the end.
namespace lockstep {

/// The plan must be ready. Throws LockHeldError before anything is on record.
[[nodiscard]] RunEnd start_run(RunSession::Setup setup, RunHeader header, std::stop_token stop);

/// Who takes a run up again, and what they say.
struct TakeUp {
    std::string by;  ///< `user@host`
    std::string engine_version;
    Answers answers;
    bool once_more = false;  ///< although engines keep ending at the same place
    std::string reason;      ///< why, for the record; empty: not given
    bool unsealed = false;   ///< although nobody vouches for the record
};

/// Goes on with a run that has not succeeded: settles what is in doubt first, and refuses (17) when
/// the cluster is no longer the one that the run left.
[[nodiscard]] RunEnd resume_run(RunSession::Setup setup,
                                RunHeader header,
                                const std::vector<JournalRecord>& records,
                                const TakeUp& by,
                                std::stop_token stop);

/// Takes a run back, newest first; also one that has succeeded. One that waits and has changed
/// nothing is cancelled: nothing of it can go on any more.
[[nodiscard]] RunEnd roll_back_run(RunSession::Setup setup,
                                   RunHeader header,
                                   const std::vector<JournalRecord>& records,
                                   const TakeUp& by,
                                   std::stop_token stop);

/// Ends a run that waits, and takes nothing back; no_cancel() has to be empty. What it has changed
/// stays, and can be taken back later.
[[nodiscard]] RunEnd cancel_run(RunSession::Setup setup,
                                RunHeader header,
                                const std::vector<JournalRecord>& records,
                                const TakeUp& by,
                                std::stop_token stop);

/// What a waiting run still waits for. Empty: it can go on, because there is a new answer, an
/// approval has expired or its window has opened.
[[nodiscard]] std::string still_waits_for(const RunState& state,
                                          const std::vector<Answer>& answers,
                                          Clock::Wall now);

/// It waits and has changed nothing: taking it back is ending it.
[[nodiscard]] bool can_be_cancelled(const RunState& state);

/// Why `cancel` must not, or has nothing to do; empty: it has.
[[nodiscard]] std::string no_cancel(const RunState& state);
/// Why `resume` has nothing to do; empty: it has.
[[nodiscard]] std::string nothing_to_resume(const RunState& state);
/// Why `rollback` must not, or has nothing to do; empty: it has.
[[nodiscard]] std::string no_rollback(const RunState& state);

}  // namespace lockstep
