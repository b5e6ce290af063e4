#pragma once

#include "engine/journal/journal.hpp"
#include "engine/plan/plan.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// How long steps took in earlier runs on a cluster. A step is recognised by its runbook and id,
/// whatever the member; a change is recognised by its action alone as well.
class Durations {
  public:
    /// Reads the newest runs on a cluster. Gives nothing where they cannot be read: an estimate is
    /// never worth a refusal.
    [[nodiscard]] static Durations of(JournalStore& journal, const std::string& cluster);

    void add(const std::string& runbook,
             const std::string& step,
             const std::string& uses,
             std::chrono::milliseconds length);

    /// The median of the known lengths; nullopt: none is known.
    [[nodiscard]] std::optional<Expected> of(const std::string& runbook,
                                             const std::string& step,
                                             const std::string& uses,
                                             bool changes) const;

  private:
    std::map<std::string, std::vector<std::chrono::milliseconds>> lengths_;
};

/// How long a plan takes: the steps that it will or may do, with steps side by side counted once.
struct PlannedTime {
    std::chrono::milliseconds length{0};
    int guessed = 0;  ///< steps that no earlier run tells about
    int known = 0;
};

[[nodiscard]] PlannedTime planned_time(const Plan& plan);

/// How much of a window must be left before a step may start: the time to do it and, where it can
/// be taken back, the time for that. For a temporary change this includes all steps that it covers,
/// and its end.
[[nodiscard]] std::chrono::milliseconds time_needed(const Plan& plan,
                                                    std::size_t step,
                                                    const ActionCatalog& actions);

}  // namespace lockstep
