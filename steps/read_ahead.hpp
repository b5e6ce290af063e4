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

/// Results fetched before their step starts. A result counts for a step only once that is started
/// with the very call that was announced. Whoever uses it keeps others out meanwhile.
class ReadAhead {
  public:
    using Length = std::chrono::milliseconds (*)(const StepCall&);

    /// `length`: how long a call may take.
    explicit ReadAhead(Length length) : length_(length) {}

    /// For a task whose call names more to read; else null.
    [[nodiscard]] std::shared_ptr<ReadAheadBatch> open(const StepTask& task);
    /// Takes a task that is being done: its event, or nothing yet. Gives it back where it is not.
    [[nodiscard]] std::optional<StepTask> take(StepTask task, std::optional<StepEvent>& event);
    /// A result of a batch; the event that it is for somebody who waits.
    [[nodiscard]] std::optional<StepEvent> early(ReadAheadBatch& batch,
                                                 std::size_t number,
                                                 StepResult result);
    /// The batch is over. What was started of it and has no result has to be done by itself.
    [[nodiscard]] std::optional<StepTask> close(const std::shared_ptr<ReadAheadBatch>& batch);
    /// The call that runs in each has its time; one that is over it is stopped.
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
