#pragma once

#include "cli/runbooks.hpp"
#include "engine/plan/planner.hpp"
#include "steps/catalog.hpp"
#include "steps/live_runner.hpp"
#include "tests/fakes/fake_cluster.hpp"

#include <map>
#include <string>

namespace lockstep {

/// The plan of a shipped runbook on a cluster of fakes.
inline Plan plan_on(FakeCluster& world,
                    const Inventory& inventory,
                    const std::string& runbook,
                    const std::map<std::string, std::string>& set = {}) {
    LiveRunner runner(world.cluster, world.factory(), world.clock);
    PlanRequest request;
    request.runbook = find_runbook(runbook);
    request.inventory = &inventory;
    request.cluster = &world.cluster;
    request.inputs = read_inputs(*request.runbook, set);
    request.actions = &action_catalog();
    return make_plan(request, runner, {});
}

}  // namespace lockstep
