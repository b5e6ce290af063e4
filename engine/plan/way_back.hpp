#pragma once

#include "engine/knowledge/path_judgement.hpp"
#include "engine/plan/plan.hpp"

#include <functional>
#include <string>
#include <vector>

namespace lockstep {

/// A temporary change of the whole cluster that the plan makes, and what it does to the facts.
struct Hold {
    std::string action;
    std::function<void(ClusterFacts&)> effect;
};

/// Where the way back begins.
struct WayBackFrom {
    const ClusterFacts& end;  ///< as the plan leaves the cluster
    const PathJudgement& path;
    const std::vector<Hold>& holds;
};

/// Goes the way back in thought, newest first, and looks at where it ends. Versions that must not
/// stand side by side are mended on the way there (PlannedStep::undo_besides), or there is no such
/// way: that is what it returns. What can be said of it otherwise becomes advice of the plan.
[[nodiscard]] std::vector<Finding> plan_way_back(Plan& plan,
                                                 const ActionCatalog& actions,
                                                 StepRunner& runner,
                                                 const WayBackFrom& from);

}  // namespace lockstep
