#include "steps/actions/daemon.hpp"

#include "base/error.hpp"
#include "base/package_version.hpp"
#include "base/shell_quote.hpp"
#include "cluster/diagnosis_rules.hpp"

#include <algorithm>

namespace lockstep {

std::string upstream_of(const std::string& package_version) {
    try {
        return PackageVersion(package_version).upstream();
    } catch (const Error&) {
        return {};
    }
}

DaemonState daemon_state(const MemberFacts& member) {
    // No package tells what a daemon should run that is no file of it.
    if (member.setup && member.setup->packaged == false) {
        return DaemonState::unknown;
    }
    const std::string installed = upstream_of(member.patroni.installed);
    const std::string& running = member.patroni.running;
    if (!running.empty() && !installed.empty() && running != installed) {
        return DaemonState::outdated;
    }
    if (!member.unit) {
        return DaemonState::unknown;
    }
    if (member.unit->active_state != "active") {
        return DaemonState::outdated;
    }
    // Between two of its ends a daemon that crashes in a loop looks active.
    if (running.empty() && member.unit->fails_again_and_again()) {
        return DaemonState::outdated;
    }
    if (member.unit->started_at == 0 || member.unit->package_changed_at == 0) {
        return running.empty() || installed.empty() ? DaemonState::unknown : DaemonState::current;
    }
    return member.unit->started_at < member.unit->package_changed_at ? DaemonState::outdated
                                                                     : DaemonState::current;
}

std::vector<Finding> refuse_unless_paused(const MemberFacts& member,
                                          const StepCall& call,
                                          const ClusterFacts& facts) {
    const bool dead = member.unit && member.unit->active_state != "active";
    if (member.paused || dead) {
        return {};  // a daemon that does not run cannot stop anything
    }
    const bool known = !member.api.failed();
    // A daemon that does not answer, crashing again and again or hanging, said that it is paused
    // when this run paused the cluster, which it is still.
    const auto& ours = call.open_temporaries;
    if (!known && facts.paused && std::ranges::find(ours, "patroni.pause") != ours.end()) {
        return {};
    }
    return {{.id = "patroni.not_paused",
             .severity = Severity::critical,
             .member = member.name,
             .subject = "patroni.pause",
             .message = (known ? member.name + " is not paused"
                               : "it is not known whether " + member.name + " is paused") +
                        ": stopping an unpaused Patroni stops PostgreSQL",
             .remedy = "Put `uses: patroni.pause` in front of this step.",
             .source = {},
             .passing = !known}};
}

bool postgres_runs(const MemberFacts& member) {
    return member.state == "running" || member.state == "streaming" ||
           member.state == "in archive recovery";
}

bool postgres_is_down(const MemberFacts& member) {
    return rules::postgres_state(member.state) == rules::PostgresState::down;
}

std::string unit_report(const std::string& unit) {
    // One call for all three: it is asked while the cluster is paused, and systemctl takes 20 ms.
    return "unit=$(LC_ALL=C TZ=UTC systemctl show -p ActiveState -p MainPID "
           "-p ExecMainStartTimestamp -p NRestarts -- " +
           shell_quote(unit) +
           ")\n"
           "field() { printf '%s\\n' \"$unit\" | sed -n \"s/^$1=//p\"; }\n"
           "printf 'state=%s\\npid=%s\\nrestarts=%s\\n' \"$(field ActiveState)\" "
           "\"$(field MainPID)\" \"$(field NRestarts)\"\n"
           "printf 'started=%s\\n' \"$(date -d \"$(field ExecMainStartTimestamp)\" +%s)\"\n";
}

}  // namespace lockstep
