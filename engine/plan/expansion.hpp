#pragma once

#include "engine/plan/planner.hpp"

#include <string_view>
#include <vector>

namespace lockstep {

/// The steps of the runbook spread over members, items and batches, in order, each with the steps
/// that it comes after. Adds to `plan.blocked_by` what makes that impossible: an `on` that names no
/// member, or a list that is not known. Uses `plan.facts`, `inputs` and `vars`.
[[nodiscard]] std::vector<PlannedStep> expand_steps(const PlanRequest& request, Plan& plan);

/// Whether a member has a role that `on` names: leader, replicas, sync.
[[nodiscard]] bool has_role(const MemberFacts& member, std::string_view role);

}  // namespace lockstep
