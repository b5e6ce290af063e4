#include "steps/reconciliation.hpp"

#include "engine/knowledge/judgement.hpp"
#include "steps/packages/package_tool.hpp"

#include <algorithm>

namespace lockstep {

namespace {

bool must_not_stay(const KnownIssue& issue) {
    return issue.row->replica && issue.row->finding.empty() &&
           issue.row->severity == Severity::critical && issue.undecided.empty();
}

}  // namespace

Reconciliation reconcile(const ClusterFacts& end, const Cluster& cluster) {
    Reconciliation result;
    for (const KnownIssue& issue : known_of_state(shipped_knowledge(), end)) {
        const bool known = std::ranges::any_of(
            result.calls, [&](const Undo& call) { return call.member == issue.member; });
        if (known || !must_not_stay(issue)) {
            continue;
        }
        const MemberFacts& member = *end.find(issue.member);
        const std::string& version = end.leader_member()->patroni.installed;
        const auto& available = member.patroni.available;
        const PackageTool* tool = package_tool(member);
        if (tool != nullptr && std::ranges::find(available, version) != available.end()) {
            const Direction way = direction(*tool, member.patroni.installed, version);
            result.calls.push_back({{Operation::Kind::ssh,
                                     tool->install({cluster.patroni_package + "=" + version}, way)},
                                    "package.restore",
                                    member.name,
                                    {{"package", cluster.patroni_package}, {"version", version}}});
            continue;
        }
        result.refusals.push_back(
            {.id = "rollback.bad_pair",
             .severity = Severity::critical,
             .member = member.name,
             .subject = version,
             .message = "going back would leave " + issue.other_version + " on the leader and " +
                        issue.version + " on " + member.name + ": " + issue.row->symptom +
                        "; and no repository of " + member.name + " has " + version,
             .remedy = issue.row->remedy +
                       " To go without such a way back: --accept rollback.bad_pair@" + member.name +
                       " --reason \"…\".",
             .source = issue.row->source,
             .needs_decision = false,
             .acceptable = true});
    }
    return result;
}

}  // namespace lockstep
