#pragma once

#include "engine/run/gatekeeper.hpp"
#include "engine/run/run_session.hpp"

#include <map>
#include <optional>
#include <set>
#include <stop_token>

namespace lockstep {

/// The way forward: { ready steps -> record(intent) -> start -> wait -> record(result) }. Starts
/// from the state of the session, whether that is a new run or a replayed one.
class Executor {
  public:
    /// Which steps this executor works: the runbook's `steps`, or those of `always`, which come
    /// when nothing goes forward or back any more.
    enum class Part { steps, always };

    explicit Executor(RunSession& session, Part part = Part::steps)
        : session_(session), gatekeeper_(session), part_(part) {}

    /// Returns when nothing runs and nothing more may be started: nullopt when every step is over,
    /// else why not. A stop request lets running steps finish.
    [[nodiscard]] std::optional<Failure> run(std::stop_token stop);

    /// The end is proven, not assumed: the guards once more, and what the runbook heals is gone.
    [[nodiscard]] std::optional<Failure> prove_end(std::stop_token stop);

    /// Of a failure at the end of a run: what was changed stays, where that is so.
    void say_what_stands(std::optional<Failure>& failure) const;

  private:
    [[nodiscard]] std::optional<Failure> look_at_end(std::stop_token stop);
    void say_who_follows_the_archive() const;
    [[nodiscard]] bool change_stands(std::size_t before) const;
    [[nodiscard]] Failure kept(Failure failure) const;
    [[nodiscard]] std::optional<Failure> what_nobody_can_see() const;
    void start_ready(std::stop_token stop);
    [[nodiscard]] bool may_start(std::size_t index) const;
    [[nodiscard]] bool all_behind(std::size_t index) const;
    [[nodiscard]] bool chain_broken(const PlannedStep& step) const;
    /// begin(), with an error out of it as the failure of that step.
    void try_to_begin(std::size_t index, std::stop_token stop);
    void begin(std::size_t index, std::stop_token stop);
    bool is_for(const PlannedStep& step, std::stop_token stop);
    [[nodiscard]] std::vector<Finding> what_forbids(const PlannedStep& step) const;
    [[nodiscard]] bool is_allowed(std::size_t index, const StepCall& call);
    [[nodiscard]] bool is_mine(std::size_t index) const;
    void wait_or_end();
    void say_what_is_slow();
    [[nodiscard]] bool may_change(const PlannedStep& step, std::stop_token stop);
    void launch(std::size_t index, StepCall call, const Preview& preview);
    [[nodiscard]] bool may_be_read_ahead(std::size_t index, std::size_t of) const;
    [[nodiscard]] std::vector<std::shared_ptr<const StepCall>> read_ahead_of(std::size_t index);
    void skip(const PlannedStep& step, StepState state, const std::string& because);
    void refuse(std::size_t index, const StepResult& result);
    void finish(const StepEvent& event);
    /// Of a step that has ended: what it makes of the run.
    void conclude(std::size_t index, StepResult result);
    /// Those whose answer was lost, once nothing else runs.
    void find_out_lost(std::stop_token stop);
    [[nodiscard]] bool is_lost(std::size_t index, const StepResult& result) const;
    void judge(std::size_t index, const StepResult& result);
    [[nodiscard]] bool within_limits(const PlannedStep& step) const;
    /// Stops the run at a step that must not be started; among the steps of `always` only that step
    /// fails.
    void stop_at(const PlannedStep& step, Failure failure);
    void fail(Failure failure);

    RunSession& session_;
    Gatekeeper gatekeeper_;
    Part part_;
    std::map<std::size_t, Clock::Steady> retry_at_;
    std::vector<bool> behind_;  ///< steps that are over with all before them
    std::vector<std::string> waits_said_;
    std::set<std::size_t> slow_said_;
    std::set<std::size_t> announced_;             ///< given to a runner to read ahead
    std::set<std::size_t> held_;                  ///< steps that wait for a person or a window
    std::map<std::size_t, Clock::Steady> since_;  ///< of those that run
    std::size_t running_ = 0;

    struct Lost {
        std::size_t index;
        StepResult result;
    };

    std::vector<Lost> lost_;                 ///< ended without an answer, and not recorded yet
    std::map<std::size_t, StepCall> calls_;  ///< of those that run and act by themselves
    std::optional<Failure> failure_;
    std::optional<Failure> failed_always_;  ///< the first one among the steps of `always`
};

}  // namespace lockstep
