#pragma once

#include "engine/plan/step_runner.hpp"
#include "inventory/inventory.hpp"

namespace lockstep {

/// A rollback ends with the versions of before, and these may be a pair that must not stand side by
/// side: a leader of 3.x beside replicas of 4.0.0 to 4.0.2 is the incident itself (patroni#3184).
/// Then the replicas go to the leader's version too, where their repositories have it.
[[nodiscard]] Reconciliation reconcile(const ClusterFacts& end, const Cluster& cluster);

}  // namespace lockstep
