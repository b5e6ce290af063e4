#pragma once

#include "engine/journal.hpp"
#include "engine/plan.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

enum class StepState {
    pending,
    running,
    succeeded,
    already_done,
    skipped,
    failed,
    in_doubt,
    cancelled,
};

[[nodiscard]] std::string_view to_text(StepState state);

enum class RunPhase { running, succeeded, failed, in_doubt, interrupted };

[[nodiscard]] std::string_view to_text(RunPhase phase);

/// One step as it stands.
struct StepProgress {
    std::string id;
    std::string member;
    std::string uses;
    StepState state = StepState::pending;
    int attempts = 0;
    bool changes = false;      ///< of the action
    bool unreachable = false;  ///< failed because the member could not be reached
    std::string started_at;
    std::string ended_at;
    std::string message;
    std::string hint;
    std::vector<std::string> last_lines;
    nlohmann::json output;

    [[nodiscard]] bool over() const {
        return state != StepState::pending && state != StepState::running;
    }
};

/// Where a run stands. Changes in one way only: a record that is already durable is applied. So
/// reading the journal again gives the same state, and what tests exercise is the recovery code.
class RunState {
  public:
    /// The steps of a new run, all pending, from the plan that its header pins.
    explicit RunState(const nlohmann::json& plan);

    void apply(const JournalRecord& record);

    [[nodiscard]] const std::vector<StepProgress>& steps() const { return steps_; }

    [[nodiscard]] RunPhase phase() const { return phase_; }

    [[nodiscard]] std::optional<int> exit_code() const { return exit_code_; }

    [[nodiscard]] const std::string& ended_at() const { return ended_at_; }

    [[nodiscard]] const nlohmann::json& measured() const { return measured_; }

    [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

    /// Ids of findings that were still there at the end.
    [[nodiscard]] const std::vector<std::string>& open_findings() const { return open_findings_; }

    [[nodiscard]] const std::string& failure() const { return failure_; }

    /// A changing step was started, whatever came of it.
    [[nodiscard]] bool changed_anything() const;
    [[nodiscard]] const StepProgress* find(std::string_view step, std::string_view member) const;

  private:
    StepProgress& at(const JournalRecord& record);

    std::vector<StepProgress> steps_;
    std::map<std::pair<std::string, std::string>, std::size_t> index_;
    RunPhase phase_ = RunPhase::running;
    std::optional<int> exit_code_;
    std::string ended_at_;
    nlohmann::json measured_;
    std::vector<std::string> notes_;
    std::vector<std::string> open_findings_;
    std::string failure_;
};

/// The document of `show --output json`.
[[nodiscard]] nlohmann::json to_json(const RunHeader& header, const RunState& state);

}  // namespace lockstep
