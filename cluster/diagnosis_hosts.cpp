#include "cluster/diagnosis_rules.hpp"
#include "cluster/host_findings.hpp"

namespace lockstep::rules {

namespace {

/// Its daemon answers though its unit is down, and which unit it is could not be seen.
bool runs_outside_its_unit(const MemberFacts& member) {
    const bool down = member.on_host && member.on_host->unit_state == "inactive";
    return down && member.on_host->daemon_pid == 0 && member.api.ok() && member.listed;
}

void other_patronis(const MemberFacts& member, Findings& found) {
    const std::vector<std::string> others =
        member.on_host ? member.on_host->others() : std::vector<std::string>();
    if (!others.empty()) {
        found.push_back({"host.other_patroni",
                         Severity::info,
                         member.name,
                         "",
                         member.name + " has another Patroni beside this one: " +
                             join_names(others) + "; a package of Patroni is both's",
                         "Nothing now. Before Patroni's package changes there, pause that cluster, "
                         "too, and upgrade it in the same window.",
                         ""});
    }
}

}  // namespace

void hosts(const ClusterFacts& facts, const Cluster& expected, Findings& found) {
    for (const MemberFacts& member : facts.members) {
        if (auto finding = unit_is_not_what_runs(member)) {
            found.push_back(std::move(*finding));
        } else if (runs_outside_its_unit(member)) {
            found.push_back(
                {"service.not_what_runs",
                 Severity::warning,
                 member.name,
                 member.on_host->unit,
                 member.name + ": " + member.on_host->unit +
                     " does not run there (systemd: " + member.on_host->unit_state +
                     "), but a Patroni answers, and in which unit it runs was not seen",
                 "Name the unit that runs it as `patroni_service` in the inventory: `systemctl "
                 "list-units 'patroni*'` on " +
                     member.name + " shows those there are.",
                 ""});
        }
        if (auto finding = unit_stops_postgres(member)) {
            found.push_back(std::move(*finding));
        }
        if (auto finding = program_is_not_packaged(member, expected.patroni_package)) {
            found.push_back(std::move(*finding));
        }
        if (auto finding = folder_is_foreign(member)) {
            found.push_back(std::move(*finding));
        }
        for (const auto& finding : {needrestart_restarts(member),
                                    unattended_changes(member, expected.patroni_package),
                                    packages_restart_nothing(member)}) {
            if (finding) {
                found.push_back(*finding);
            }
        }
        other_patronis(member, found);
    }
}

}  // namespace lockstep::rules
