#pragma once

#include "base/deadline.hpp"
#include "engine/plan/step_runner.hpp"

#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

/// A step that was started: what a worker gets.
struct StepTask {
    std::size_t index;
    StepCall call;
    std::shared_ptr<const ClusterFacts> facts;
};

/// One action that works on its own call and reads ahead for the steps that follow it.
struct ReadAheadBatch {
    std::vector<std::shared_ptr<const StepCall>> calls;           ///< its own first
    std::size_t own = 0;                                          ///< the index of its own
    std::size_t current = 0;                                      ///< which of them runs
    Deadline deadline{Deadline::SteadyClock::time_point::max()};  ///< of that one
    std::stop_source stop;
    bool out_of_time = false;
    std::map<std::size_t, StepResult> results;               ///< that nobody has asked for yet
    std::optional<std::pair<std::size_t, StepTask>> wanted;  ///< started, and not there yet

    [[nodiscard]] bool own_is_over() const { return current > 0; }
};

/// Results fetched before their step starts. A result counts for a step only once the step is
/// started with the very call that was announced. Not thread-safe: the caller holds a lock.
class ReadAhead {
  public:
    using Length = std::chrono::milliseconds (*)(const StepCall&);

    /// `length`: how long a call may take.
    explicit ReadAhead(Length length) : length_(length) {}

    /// Opens a batch for a task whose call names more calls to read ahead; else null.
    [[nodiscard]] std::shared_ptr<ReadAheadBatch> open(const StepTask& task);
    /// Takes over a task whose call was announced to a batch: sets `event` where the result is at
    /// hand already. Returns the task where no batch works on it.
    [[nodiscard]] std::optional<StepTask> take(StepTask task, std::optional<StepEvent>& event);
    /// Takes a result of a batch; returns an event where a step waits for it.
    [[nodiscard]] std::optional<StepEvent> early(ReadAheadBatch& batch,
                                                 std::size_t number,
                                                 StepResult result);
    /// Ends a batch. Returns the task that was started from it and has no result: it has to be done
    /// by itself.
    [[nodiscard]] std::optional<StepTask> close(const std::shared_ptr<ReadAheadBatch>& batch);
    /// Stops every batch whose running call has used up its time.
    void stop_late_ones();
    void drop();

  private:
    struct Entry {
        std::shared_ptr<ReadAheadBatch> batch;
        std::size_t number;
    };

    using Name = std::pair<std::string, std::string>;  ///< step and member

    Length length_;
    std::map<Name, Entry> entries_;
    std::vector<std::shared_ptr<ReadAheadBatch>> running_;
};

}  // namespace lockstep
