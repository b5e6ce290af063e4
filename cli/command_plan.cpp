#include "base/clock.hpp"
#include "base/suggest.hpp"
#include "cli/commands.hpp"
#include "cli/identity.hpp"
#include "cli/inventory_file.hpp"
#include "cli/output_file.hpp"
#include "cli/signals.hpp"
#include "cli/texts.hpp"
#include "cli/unfinished_run.hpp"
#include "steps/catalog.hpp"

#include <unistd.h>

#include <iostream>

namespace lockstep {

Workplace::Workplace(const Options& options)
    : inventory(inventory_of(options)),
      cluster(inventory.cluster(options.cluster)),
      runner(cluster, ConnectionFactory{}, clock, inventory.notify) {}

SharedRunbook shared_runbook(const Options& options) {
    return options.allow_shared_runbook ? SharedRunbook::allowed : SharedRunbook::refused;
}

/// A plan changes nothing, not even here: where there is no journal yet, none is made.
Durations earlier_durations(const Options& options, const std::string& cluster) {
    const std::unique_ptr<JournalStore> journal = journal_if_any(options);
    try {
        return journal ? Durations::of(*journal, cluster) : Durations{};
    } catch (const JournalError&) {
        return {};
    }
}

Plan plan_from(const Options& options,
               Workplace& place,
               std::shared_ptr<const Runbook> runbook,
               std::stop_token stop) {
    PlanRequest request;
    request.runbook = std::move(runbook);
    request.inventory = &place.inventory;
    request.cluster = &place.cluster;
    request.inputs = read_inputs(*request.runbook, options.set);
    request.given = options.set;
    request.accepted = options.accept;
    request.accepted_may_be_gone = options.from_saved_plan;
    if (!options.on_failure.empty()) {
        request.on_failure =
            options.on_failure == "rollback" ? OnFailure::rollback : OnFailure::stop;
    }
    request.actions = &action_catalog();
    request.durations = &place.durations;
    request.now = place.clock.wall_now();
    return make_plan(request, place.runner, std::move(stop));
}

namespace {

/// What the runbook allows, and what was asked for.
std::vector<std::string> drift_allowed(const Options& options, const Runbook& runbook) {
    std::vector<std::string> facts = runbook.allow_drift;
    for (const std::string& fact : options.allow_drift) {
        const std::vector<std::string>& known = facts_that_drift();
        if (std::ranges::find(known, fact) == known.end()) {
            throw UsageError("--allow-drift " + fact + ": no such fact", did_you_mean(fact, known));
        }
        facts.push_back(fact);
    }
    return facts;
}

void save(const Options& options, const Plan& plan) {
    SavedPlan saved;
    saved.made_at = to_iso8601(std::chrono::system_clock::now());
    saved.made_by = operator_identity();
    saved.reason = options.reason;
    saved.runbook_from = from_anywhere(options.runbooks.front());
    saved.runbook_text = plan.runbook->text;
    saved.cluster = plan.cluster;
    saved.given = plan.given;
    saved.accepted = options.accept;
    saved.on_failure = options.on_failure;
    saved.allow_drift = drift_allowed(options, *plan.runbook);
    saved.plan = plan.to_json();
    saved.plan["facts"] = SavedPlan::facts_told(saved.plan.at("facts"));
    saved.plan.erase("findings");
    write_whole_file(options.out, saved.to_text(), 0600);
    std::cerr << "saved as " << options.out << ": lockstep run " << options.out << "\n";
}

/// What a saved plan would find different now.
int compare(const Options& options, Interrupts& interrupts) {
    const TakenUp taken = take_up_plan(options.diff, options);
    Workplace place(taken.options);
    const Plan now = plan_from(taken.options, place, taken.runbook, interrupts.token());
    const std::vector<std::string> found = stale_reasons(taken, now);
    if (options.output == Output::text) {
        std::cout << stale_text(options.diff, found, Terminal::on(STDOUT_FILENO));
    } else {
        std::cout << json_text({{"plan_hash", taken.saved.plan.at("plan_hash")},
                                {"now", now.hash},
                                {"differences", found}},
                               options.output);
    }
    return found.empty() ? 0 : 17;
}

}  // namespace

int command_plan(const Options& options, Interrupts& interrupts) {
    if (!options.diff.empty()) {
        return compare(options, interrupts);
    }
    Workplace place(options);
    place.durations = earlier_durations(options, place.cluster.name);
    const Plan plan =
        plan_from(options,
                  place,
                  find_runbook(from_anywhere(options.runbooks.front()), shared_runbook(options)),
                  interrupts.token());
    if (options.output == Output::text) {
        std::cout << plan_text(plan, Terminal::on(STDOUT_FILENO));
    } else {
        std::cout << json_text(plan.to_json(), options.output);
    }
    if (!options.out.empty() && plan.ready()) {
        save(options, plan);
    } else if (!options.out.empty()) {
        std::cerr << "not saved: it must not be started\n";
    }
    return plan.ready() ? 0 : plan.refusal_code();
}

}  // namespace lockstep
