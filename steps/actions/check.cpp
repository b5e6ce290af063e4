#include "base/error.hpp"
#include "cluster/diagnosis.hpp"
#include "engine/knowledge/judgement.hpp"
#include "steps/catalog.hpp"

#include <algorithm>

namespace lockstep {

namespace {

/// `ignore` is a map of finding id to the reason why it does not refuse.
std::vector<std::string> ignored_ids(const StepCall& call) {
    std::vector<std::string> ids;
    const auto ignore = call.with.find("ignore");
    if (ignore == call.with.end()) {
        return ids;
    }
    for (const auto& [id, reason] : ignore->second.as_map()) {
        ids.push_back(id);
    }
    return ids;
}

/// What must not be there when a run starts: everything as bad as `refuse_on`, but what the runbook
/// is there to heal and what it ignores for a reason.
std::vector<Finding> refusals(const std::vector<Finding>& findings, const StepCall& call) {
    const Severity limit =
        text_arg(call, "refuse_on") == "warning" ? Severity::warning : Severity::critical;
    const std::vector<std::string> ignored = ignored_ids(call);
    std::vector<Finding> refused;
    for (const Finding& finding : findings) {
        const auto named = [&](const std::vector<std::string>& ids) {
            return std::ranges::any_of(
                ids, [&](const std::string& name) { return finding.is_named(name); });
        };
        if (finding.severity >= limit && !named(call.heals) && !named(ignored)) {
            refused.push_back(finding);
        }
    }
    return refused;
}

/// What would refuse, had the runbook not given a reason why it may be.
std::vector<std::string> accepted(const std::vector<Finding>& findings, const StepCall& call) {
    std::vector<std::string> texts;
    const auto ignore = call.with.find("ignore");
    for (const Finding& finding : findings) {
        if (ignore == call.with.end() || !ignore->second.as_map().contains(finding.id)) {
            continue;
        }
        texts.push_back("ignored by the runbook, because " +
                        ignore->second.as_map().at(finding.id).to_text() + ": " + finding.id +
                        ": " + finding.message);
    }
    return texts;
}

class Check final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& cluster) const override {
        Preview preview;
        const std::vector<Finding> findings = examine(facts, cluster);
        preview.blocked_by = refusals(findings, call);
        preview.because = "refuses on " + text_arg(call, "refuse_on") + " findings";
        if (!findings.empty() && preview.blocked_by.empty()) {
            preview.because += "; of the " + std::to_string(findings.size()) +
                               " there are now, none is an obstacle to this runbook";
        }
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const ClusterFacts earlier = context.facts;
        context.refresh(Depth::full);
        settle_slots(context.facts, &earlier, context.observer, context.clock, context.stop);
        StepResult result;
        result.learned = [seen = context.facts](ClusterFacts& facts) { facts = seen; };
        const std::vector<Finding> findings = examine(context.facts, context.cluster);
        result.findings = refusals(findings, call);
        result.output = {{"findings", findings.size()}};
        result.unproven = accepted(findings, call);
        if (result.findings.empty()) {
            result.message = findings.empty()       ? "no finding"
                             : findings.size() == 1 ? "1 finding, no obstacle"
                                                    : std::to_string(findings.size()) +
                                                          " findings, none of them an obstacle";
            return result;
        }
        const Finding& first = result.findings.front();
        result.outcome =
            first.id == "member.unreachable" ? StepOutcome::unreachable : StepOutcome::failed;
        result.message = first.id + ": " + first.message;
        result.hint = first.remedy;
        for (const Finding& finding : result.findings) {
            result.last_lines.push_back(finding.id + ": " + finding.message);
        }
        return result;
    }
};

}  // namespace

std::unique_ptr<Action> make_check() {
    return std::make_unique<Check>();
}

}  // namespace lockstep
