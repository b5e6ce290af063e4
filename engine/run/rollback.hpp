#pragma once

#include "engine/run/run_session.hpp"
#include "engine/run/start_and_end.hpp"

#include <optional>
#include <stop_token>
#include <vector>

namespace lockstep {

/// The way back: the undo of every step that may have acted, as it was frozen before the step did,
/// newest first. A step that never happened has nothing to take back, and the action of its undo
/// sees that. A temporary change that covered the step (a pause) is put in force again for the
/// undo.
class Rollback {
  public:
    explicit Rollback(RunSession& session) : session_(session) {}

    /// What there is to take back, newest first: indices of the plan's steps.
    [[nodiscard]] std::vector<std::size_t> steps() const;

    /// Why it must not even be begun: it would end in versions that must not stand side by side,
    /// and do not now. Nothing is sent for it.
    [[nodiscard]] std::optional<Failure> refuse_beforehand(std::stop_token stop);

    /// nullopt: everything is as it was before, and that was looked at. A failed undo does not keep
    /// the others from being tried. `because` is what the record says.
    [[nodiscard]] std::optional<Failure> run(const std::string& because, std::stop_token stop);

  private:
    bool undo_step(std::size_t index, std::stop_token stop);
    StepResult undo_one(const PlannedStep& step, std::size_t n, std::stop_token stop);
    [[nodiscard]] ClusterFacts under(const std::vector<std::string>& temporaries,
                                     ClusterFacts facts);
    [[nodiscard]] bool is_mended(const Difference& difference) const;
    [[nodiscard]] bool is_ours(const Difference& difference) const;
    [[nodiscard]] std::optional<Failure> prove_end(std::stop_token stop);
    void fail(const std::string& what, const StepResult& result);

    RunSession& session_;
    std::optional<Failure> failure_;
    std::vector<std::string> differed_at_the_beginning_;  ///< of an asked-for way back
};

}  // namespace lockstep
