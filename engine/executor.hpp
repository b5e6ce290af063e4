#pragma once

#include "base/clock.hpp"
#include "engine/journal.hpp"
#include "engine/plan.hpp"
#include "engine/planner.hpp"
#include "engine/run_state.hpp"

#include <functional>
#include <stop_token>

namespace lockstep {

/// How a run ended.
struct RunEnd {
    int exit_code = 0;
    RunPhase phase = RunPhase::succeeded;
    std::string message;
    std::string hint;
};

/// Told of each record, once it is durable.
using RecordListener = std::function<void(const JournalRecord&, const RunState&)>;

/// Executes a plan: { ready steps -> record(intent) -> start -> wait -> record(result) }. Owns the
/// state and the journal; runs in one thread. Every change of state is a record first.
class Executor {
  public:
    struct Setup {
        const Plan& plan;
        const Cluster& cluster;
        const ActionCatalog& actions;
        StepRunner& runner;
        JournalStore& journal;
        Clock& clock;
        RecordListener listener;
    };

    Executor(Setup setup, RunHeader header);

    /// Returns when the run has ended and its last record is written. A stop request lets running
    /// steps finish, gives temporary changes back where that is safe, and ends with 130.
    RunEnd run(std::stop_token stop);

    [[nodiscard]] const RunState& state() const { return state_; }

  private:
    struct Failure {
        int exit_code = 10;
        RunPhase phase = RunPhase::failed;
        std::string message;
        std::string hint;
    };

    RunEnd run_to_end(std::stop_token stop);
    void record(RecordKind kind, const PlannedStep* step, nlohmann::json payload);
    void loop(std::stop_token stop);
    void start_ready(std::stop_token stop);
    [[nodiscard]] bool may_start(std::size_t index) const;
    [[nodiscard]] bool chain_broken(const PlannedStep& step) const;
    void begin(std::size_t index, std::stop_token stop);
    void launch(std::size_t index, StepCall call, const Preview& preview);
    void skip(const PlannedStep& step, StepState state, const std::string& because);
    void refuse(std::size_t index, const StepResult& result);
    void record_result(const PlannedStep& step, const StepResult& result, bool retry);
    void finish(const StepEvent& event);
    void judge(std::size_t index, const StepResult& result);
    [[nodiscard]] bool within_limits(const PlannedStep& step) const;
    void track_temporary(const PlannedStep& step, StepOutcome outcome);

    [[nodiscard]] bool look_again(bool may_take_long, std::stop_token stop);
    [[nodiscard]] std::optional<std::string> tripped_guard(std::stop_token stop);
    void refresh(bool full, std::stop_token stop);
    void give_back_temporaries();
    void give_back(const std::string& temporary);
    void final_proof(std::stop_token stop);
    [[nodiscard]] RunEnd end();
    [[nodiscard]] nlohmann::json measure();
    void fail(Failure failure);

    [[nodiscard]] const StepProgress& progress(std::size_t index) const;
    [[nodiscard]] const ActionSchema& schema_of(const PlannedStep& step) const;
    [[nodiscard]] RenderedStep render(const PlannedStep& step) const;

    Setup setup_;
    RunHeader header_;
    RunState state_;
    std::int64_t next_seq_ = 1;
    ClusterFacts facts_;     ///< the latest known
    Clock::Steady full_at_;  ///< when the slow part of them was last read
    Value::Map registered_;  ///< `steps` of expressions
    std::map<std::size_t, int> attempts_;
    std::map<std::size_t, Clock::Steady> retry_at_;
    std::size_t running_ = 0;
    std::optional<Failure> failure_;

    /// Temporary changes of this run that are in force, oldest first, and since when.
    std::vector<std::pair<std::string, Clock::Steady>> open_;
    std::map<std::string, std::chrono::milliseconds> lasted_;  ///< by `measured_as`
};

}  // namespace lockstep
