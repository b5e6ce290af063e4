#include "engine/plan/facts_needed.hpp"

#include "engine/runbook/runbook_reading.hpp"
#include "engine/runbook/step_reads.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace lockstep {

namespace {

/// What an expression may say of the cluster although only REST was asked.
bool is_known(const std::string& path) {
    constexpr std::array<std::string_view, 6> k_known{"cluster.name",
                                                      "cluster.leader",
                                                      "leader.name",
                                                      "member.name",
                                                      "member.host",
                                                      "member.role"};
    constexpr std::array<std::string_view, 5> k_of_facts{
        "cluster", "leader", "member", "members", "run"};
    const std::string_view root = std::string_view(path).substr(0, path.find('.'));
    return std::ranges::find(k_of_facts, root) == k_of_facts.end() ||
           std::ranges::find(k_known, path) != k_known.end();
}

bool speaks_of_the_cluster(const StepSpec& step) {
    bool speaks = step.strategy.order_by.has_value() || step.verify.has_value();
    runbook_reading::for_each_read(step, [&](const runbook_reading::Read& read) {
        speaks = speaks || !std::ranges::all_of(read.paths, is_known);
    });
    return speaks;
}

bool any_needs(const std::vector<StepSpec>& steps, const ActionCatalog& actions) {
    return std::ranges::any_of(steps, [&](const StepSpec& step) {
        if (step.called || speaks_of_the_cluster(step)) {
            return true;
        }
        if (step.uses.empty()) {
            return any_needs(step.steps, actions);
        }
        const ActionSchema* schema = find_action(actions, step.uses);
        return schema == nullptr || !schema->alone ||
               runbook_reading::looks_only(*schema, step.with) != runbook_reading::Looks::yes;
    });
}

}  // namespace

bool needs_all_facts(const Runbook& runbook, const ActionCatalog& actions) {
    bool needed = !runbook.guards.empty() || !runbook.heals.empty();
    for (const auto& [name, argument] : runbook.vars) {
        runbook_reading::for_each_read(argument, [&](const runbook_reading::Read& read) {
            needed = needed || !std::ranges::all_of(read.paths, is_known);
        });
    }
    return needed || any_needs(runbook.steps, actions) || any_needs(runbook.always, actions);
}

}  // namespace lockstep
