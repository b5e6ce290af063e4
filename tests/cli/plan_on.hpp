#pragma once

#include "cli/runbooks.hpp"
#include "engine/plan/planner.hpp"
#include "steps/catalog.hpp"
#include "steps/live_runner.hpp"
#include "tests/fakes/fake_cluster.hpp"

#include <map>
#include <string>

namespace lockstep {

/// The incident: leader 3.2.1, replicas 4.0.2; the repository has both, and 4.0.7.
inline void make_incident(FakeCluster& world) {
    for (auto& [name, member] : world.members) {
        world.has_version(name, name == "n1" ? "3.2.1-1" : "4.0.2-1");
        member.seen["version=4.1.5-2\n"] = "version=4.0.2-1\nversion=3.2.1-1\n";
        member.commands = [&member = member](const std::string&) {
            return command_result(0,
                                  "installed=" + member.installed +
                                      "\naudit=\navailable=4.0.7-3~deb13u1\n"
                                      "available=4.0.2-1\navailable=3.2.1-1\nfrom=repository\n");
        };
    }
}

inline Plan plan_of_runbook(FakeCluster& world,
                            const Inventory& inventory,
                            std::shared_ptr<const Runbook> runbook,
                            const std::map<std::string, std::string>& set = {}) {
    LiveRunner runner(world.cluster, world.factory(), world.clock);
    PlanRequest request;
    request.runbook = std::move(runbook);
    request.inventory = &inventory;
    request.cluster = &world.cluster;
    request.inputs = read_inputs(*request.runbook, set);
    request.given = set;
    request.actions = &action_catalog();
    return make_plan(request, runner, {});
}

/// The plan of a shipped runbook on a cluster of fakes.
inline Plan plan_on(FakeCluster& world,
                    const Inventory& inventory,
                    const std::string& runbook,
                    const std::map<std::string, std::string>& set = {}) {
    return plan_of_runbook(world, inventory, find_runbook(runbook), set);
}

/// The same of one that is written in a test.
inline Plan plan_text(FakeCluster& world, const Inventory& inventory, const std::string& text) {
    return plan_of_runbook(world, inventory, pinned_runbook(text, "f", {}));
}

}  // namespace lockstep
