#include "steps/reconciliation.hpp"

#include "inventory/diagnosis.hpp"
#include "steps/actions/apt.hpp"

#include <algorithm>

namespace lockstep {

Reconciliation reconcile(const ClusterFacts& end, const Cluster& cluster) {
    Reconciliation result;
    const MemberFacts* leader = end.leader_member();
    if (leader == nullptr || !keeps_member_slots(end)) {
        return result;
    }
    const std::string& version = leader->patroni.installed;
    for (const MemberFacts& member : end.members) {
        const auto pair = known_bad_pair(
            leader->patroni.running, member.patroni.running, has_permanent_physical_slots(end));
        if (member.is_leader() || !pair) {
            continue;
        }
        const auto& available = member.patroni.available;
        if (std::ranges::find(available, version) != available.end()) {
            result.calls.push_back(
                {{Operation::Kind::ssh, apt::install({cluster.patroni_package + "=" + version})},
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
             .message = "going back would leave " + leader->patroni.running +
                        " on the leader and " + member.patroni.running + " on " + member.name +
                        ": " + pair->symptom + "; and no repository of " + member.name + " has " +
                        version,
             .remedy = pair->remedy +
                       " To go without such a way back: --accept rollback.bad_pair@" + member.name +
                       " --reason \"…\".",
             .source = pair->source,
             .needs_decision = false,
             .acceptable = true});
    }
    return result;
}

}  // namespace lockstep
