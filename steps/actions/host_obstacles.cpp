#include "steps/actions/host_obstacles.hpp"

#include "cluster/host_findings.hpp"

#include <algorithm>
#include <optional>

namespace lockstep {

namespace {

void add(std::optional<Finding> finding, std::vector<Finding>& refused) {
    if (finding) {
        finding->severity = Severity::critical;
        refused.push_back(std::move(*finding));
    }
}

}  // namespace

std::vector<Finding> refuse_to_start_unit(const MemberFacts& member) {
    std::vector<Finding> refused;
    add(unit_is_not_what_runs(member), refused);
    return refused;
}

std::vector<Finding> refuse_to_stop_unit(const MemberFacts& member) {
    std::vector<Finding> refused = refuse_to_start_unit(member);
    add(unit_stops_postgres(member), refused);
    return refused;
}

std::vector<Finding> refuse_to_stop_other(const MemberFacts& member, const std::string& unit) {
    const std::vector<std::string> others =
        member.on_host ? member.on_host->others() : std::vector<std::string>();
    if (std::ranges::find(others, unit) == others.end()) {
        return {};
    }
    return {{.id = "host.other_patroni",
             .severity = Severity::critical,
             .member = member.name,
             .subject = unit,
             .message = member.name + ": " + unit +
                        " runs another Patroni than this cluster's; unless that one is paused, its "
                        "PostgreSQL stops with it",
             .remedy = "Do it in a run of that cluster. If it may be so: --accept "
                       "host.other_patroni@" +
                       member.name + " --reason \"…\".",
             .source = {},
             .acceptable = true}};
}

std::vector<Finding> refuse_to_change_package(const MemberFacts& member, const Cluster& cluster) {
    std::vector<Finding> refused;
    add(program_is_not_packaged(member, cluster.patroni_package), refused);
    for (Finding& finding : refuse_to_stop_unit(member)) {
        refused.push_back(std::move(finding));
    }
    for (Finding& finding : package_reaches_others(member)) {
        add(std::move(finding), refused);
    }
    return refused;
}

std::string postmasters_report(const MemberFacts& member) {
    std::string pids;
    if (member.on_host) {
        for (const PostmasterFacts& postmaster : member.on_host->postmasters) {
            pids += " " + std::to_string(postmaster.pid);
        }
    }
    return pids.empty() ? ""
                        : "for pid in" + pids +
                              "; do [ -d \"/proc/$pid\" ] || printf 'gone=%s\\n' \"$pid\"; done\n";
}

void learn_postmasters(MemberFacts& member, const ReportLines& lines) {
    if (!member.on_host) {
        return;
    }
    const std::vector<std::string> gone = lines.all("gone");
    std::erase_if(member.on_host->postmasters, [&](const PostmasterFacts& postmaster) {
        return std::ranges::find(gone, std::to_string(postmaster.pid)) != gone.end();
    });
}

std::function<void(ClusterFacts&)> learn_postmasters(const std::string& member,
                                                     const ReportLines& lines) {
    if (lines.all("gone").empty()) {
        return {};
    }
    return [member, lines](ClusterFacts& facts) {
        if (MemberFacts* changed = facts.find(member)) {
            learn_postmasters(*changed, lines);
        }
    };
}

}  // namespace lockstep
