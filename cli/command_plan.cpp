#include "base/suggest.hpp"
#include "cli/commands.hpp"
#include "cli/shipped_runbooks.hpp"
#include "cli/signals.hpp"
#include "cli/texts.hpp"
#include "steps/catalog.hpp"

#include <unistd.h>

#include <filesystem>
#include <iostream>

namespace lockstep {

Workplace::Workplace(const Options& options)
    : inventory(load_inventory(inventory_path(options))),
      cluster(inventory.cluster(options.cluster)),
      runner(cluster, LinkFactory{}, clock) {}

std::shared_ptr<const Runbook> find_runbook(const std::string& wanted) {
    if (wanted.find('/') != std::string::npos || wanted.ends_with(".yaml") ||
        wanted.ends_with(".yml")) {
        return std::make_shared<const Runbook>(load_runbook(wanted, runbook_vocabulary()));
    }
    std::vector<std::string> names;
    for (const ShippedRunbook& shipped : shipped_runbooks()) {
        if (shipped.name == wanted) {
            return std::make_shared<const Runbook>(parse_runbook(
                std::string(shipped.text), "runbooks/" + wanted + ".yaml", runbook_vocabulary()));
        }
        names.emplace_back(shipped.name);
    }
    throw UsageError("there is no shipped runbook \"" + wanted + "\"",
                     did_you_mean(wanted, names) + " A runbook of your own is given as a path: ./" +
                         wanted + ".yaml");
}

Plan plan_from(const Options& options, Workplace& place, std::stop_token stop) {
    PlanRequest request;
    request.runbook = find_runbook(options.runbooks.front());
    request.inventory = &place.inventory;
    request.cluster = &place.cluster;
    request.inputs = read_inputs(*request.runbook, options.set);
    request.given = options.set;
    request.accepted = options.accept;
    if (!options.on_failure.empty()) {
        request.on_failure =
            options.on_failure == "rollback" ? OnFailure::rollback : OnFailure::stop;
    }
    request.actions = &action_catalog();
    return make_plan(request, place.runner, std::move(stop));
}

int command_plan(const Options& options, Interrupts& interrupts) {
    Workplace place(options);
    const Plan plan = plan_from(options, place, interrupts.token());
    if (options.output == Output::text) {
        std::cout << plan_text(plan, Terminal::on(STDOUT_FILENO));
    } else {
        std::cout << plan.to_json().dump(options.output == Output::json ? 2 : -1,
                                         ' ',
                                         false,
                                         nlohmann::json::error_handler_t::replace)
                  << "\n";
    }
    return plan.ready() ? 0 : plan.refusal_code();
}

}  // namespace lockstep
