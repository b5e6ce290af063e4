#include "cluster/finding.hpp"

#include "base/or_null.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <tuple>

namespace lockstep {

std::string_view to_text(Severity severity) {
    switch (severity) {
        case Severity::critical:
            return "critical";
        case Severity::warning:
            return "warning";
        case Severity::info:
            break;
    }
    return "info";
}

nlohmann::json Finding::to_json() const {
    return {
        {"id", id},
        {"severity", to_text(severity)},
        {"member", or_null(member)},
        {"subject", or_null(subject)},
        {"message", message},
        {"remedy", or_null(remedy)},
        {"source", or_null(source)},
        {"needs_decision", needs_decision},
        {"acceptable", acceptable},
    };
}

Finding Finding::from_json(const nlohmann::json& json) {
    const auto text = [&](const char* key) {
        const nlohmann::json& value = json.at(key);
        return value.is_null() ? std::string() : value.get<std::string>();
    };
    Finding finding{text("id"),
                    Severity::info,
                    text("member"),
                    text("subject"),
                    text("message"),
                    text("remedy"),
                    text("source")};
    for (const Severity severity : {Severity::warning, Severity::critical}) {
        if (json.at("severity") == lockstep::to_text(severity)) {
            finding.severity = severity;
        }
    }
    finding.needs_decision = json.value("needs_decision", false);
    finding.acceptable = json.value("acceptable", false);
    return finding;
}

bool Finding::is_named(std::string_view name) const {
    const std::string full = subject.empty() ? id : id + ":" + subject;
    const std::string at = member.empty() ? "" : "@" + member;
    return name == id || name == full || (!at.empty() && (name == id + at || name == full + at));
}

const std::vector<std::string>& finding_ids() {
    static const std::vector<std::string> k_ids = {
        "patroni.mixed_versions",
        "patroni.known_bad_pair",
        "patroni.known_issue",
        "patroni.not_restarted",
        "patroni.unsupported",
        "patroni.write_refused",
        "patroni.api_address",
        "patroni.password_in_clear",
        "slot.stuck",
        "slot.lost",
        "slot.member_away",
        "wal.growing",
        "wal.oversize",
        "wal.not_archived",
        "disk.low",
        "replication.not_streaming",
        "replication.lag",
        "replication.delayed",
        "replication.timeline",
        "cluster.endpoints_disagree",
        "cluster.members_disagree",
        "cluster.no_leader",
        "cluster.dcs_unreachable",
        "cluster.two_primaries",
        "cluster.paused",
        "cluster.scheduled_action",
        "endpoint.unreachable",
        "endpoint.no_member",
        "member.missing",
        "member.insecure_api",
        "member.unreachable",
        "member.identity",
        "member.odd_address",
        "member.leftover",
        "member.fence_odd",
        "host.kill_mode",
        "host.other_patroni",
        "host.foreign_folder",
        "host.needrestart",
        "host.unattended_upgrades",
        "host.policy_rc_d",
        "service.not_what_runs",
        "package.not_its_own",
        "postgres.pending_restart",
        "postgres.not_restarted",
        "postgres.not_running",
        "config.drift",
        "config.member_slots_ttl",
        "notify.unknown_target",
        "state.run_abandoned",
    };
    return k_ids;
}

void sort_worst_first(std::vector<Finding>& findings) {
    std::ranges::stable_sort(findings, [](const Finding& a, const Finding& b) {
        return std::tuple(-static_cast<int>(a.severity), std::string_view(a.member)) <
               std::tuple(-static_cast<int>(b.severity), std::string_view(b.member));
    });
}

Severity worst(const std::vector<Finding>& findings) {
    const auto found = std::ranges::max_element(findings, {}, &Finding::severity);
    return found == findings.end() ? Severity::info : found->severity;
}

}  // namespace lockstep
