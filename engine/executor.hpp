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

    void record(RecordKind kind, const PlannedStep* step, nlohmann::json payload);
    void loop(std::stop_token stop);
    void start_ready(std::stop_token stop);
    bool may_start(std::size_t index) const;
    void begin(std::size_t index, std::stop_token stop);
    void launch(std::size_t index, StepCall call, const Preview& preview);
    void finish(const StepEvent& event);
    [[nodiscard]] bool retry_later(const StepEvent& event);
    void settle_outcome(std::size_t index, const StepResult& result);
    [[nodiscard]] std::optional<std::string> tripped_guard(std::stop_token stop, bool force_full);
    void refresh(std::stop_token stop, bool full);
    void give_back_temporaries();
    void prove_healed(std::stop_token stop);
    [[nodiscard]] Scope scope_for(const PlannedStep& step) const;
    [[nodiscard]] nlohmann::json measure() const;
    void fail(Failure failure);

    Setup setup_;
    RunHeader header_;
    RunState state_;
    std::int64_t next_seq_ = 1;
    ClusterFacts facts_;                     ///< the latest known
    Value::Map registered_;                  ///< `steps` of expressions
    std::vector<std::string> temporaries_;   ///< open ones of this run: action names
    std::map<std::size_t, int> attempts_;
    std::map<std::size_t, Clock::Steady> retry_at_;
    std::size_t running_ = 0;
    std::optional<Failure> failure_;
    std::optional<Clock::Steady> paused_since_;
    std::chrono::milliseconds paused_{0};
};

}  // namespace lockstep
