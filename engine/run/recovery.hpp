#pragma once

#include "engine/run/run_session.hpp"

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

/// What an engine does between reading a record and going on from it.
namespace lockstep {

/// How the cluster differs from the one that the run left; empty: it does not. A difference on a
/// member whose step has no known outcome yet is explained by that step and left out.
[[nodiscard]] std::vector<std::string> differences(RunSession& session);

/// The steps that have to be done again when the run goes on, as [id, member]: those that failed or
/// were cancelled, and a temporary change that was given back although it covers more to come,
/// with the step that ends it.
[[nodiscard]] nlohmann::json steps_to_reopen(const RunSession& session);

/// The steps of `always` that are over: they are done at the end of whatever comes now.
[[nodiscard]] nlohmann::json steps_done_always(const RunSession& session);

/// What a person said about a step whose outcome nobody else can know: `id` or `id@member`.
struct Answers {
    std::vector<std::string> done;
    std::vector<std::string> redo;
};

/// Finds out about every step that was started and whose end is not on record, before anything else
/// is done: what the member still runs is followed, what it has is adopted, else the step's own
/// `verify`, what its action sees, or a person's word decides.
class Settlement {
  public:
    Settlement(RunSession& session, Answers answers, bool for_rollback)
        : session_(session), answers_(std::move(answers)), for_rollback_(for_rollback) {}

    /// nullopt: nothing is in doubt any more (for a rollback: nothing runs any more).
    [[nodiscard]] std::optional<Failure> run(std::stop_token stop);

  private:
    std::optional<Failure> settle(std::size_t index, std::stop_token stop);
    std::optional<Failure> settle_call(const OpenCall& call, std::stop_token stop);
    /// Waits until a call that nobody can be asked about can act no more. False: stopped before.
    [[nodiscard]] bool wait_out(const OpenCall& call, const std::stop_token& stop);
    /// The call of a step that is open; nullptr: none is.
    [[nodiscard]] const OpenCall* open_call(const PlannedStep& step) const;
    [[nodiscard]] Failure still_runs(const std::string& where, const StepResult& result) const;
    /// Takes over what the member says of the attempt that it ran; `settled` is false when that
    /// says nothing.
    std::optional<Failure> adopt(std::size_t index, const StepResult& result, bool& settled);
    std::optional<Failure> look_closer(std::size_t index, std::stop_token stop);
    [[nodiscard]] bool may_retry(std::size_t index) const;
    [[nodiscard]] bool named(const std::vector<std::string>& names, const PlannedStep& step) const;

    RunSession& session_;
    Answers answers_;
    bool for_rollback_;
};

}  // namespace lockstep
