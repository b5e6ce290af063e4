#include "cluster/host_findings.hpp"

#include "base/shell_quote.hpp"

namespace lockstep {

namespace {

Finding host_finding(const char* id,
                     const MemberFacts& member,
                     std::string subject,
                     const std::string& message,
                     std::string remedy) {
    return {.id = id,
            .severity = Severity::warning,
            .member = member.name,
            .subject = std::move(subject),
            .message = member.name + ": " + message,
            .remedy = std::move(remedy),
            .source = {}};
}

/// PostgreSQL is known to be down: nothing is left that a unit could stop.
bool is_down(const MemberFacts& member) {
    return member.state == "stopped" || member.state == "crashed" || member.state == "start failed";
}

}  // namespace

std::optional<Finding> unit_is_not_what_runs(const MemberFacts& member) {
    const bool elsewhere = member.on_host && !member.on_host->daemon_unit.empty() &&
                           member.on_host->daemon_unit != member.on_host->unit;
    if (member.on_host && member.on_host->load_state == "masked" && !elsewhere) {
        const std::string& unit = member.on_host->unit;
        return host_finding("service.not_what_runs",
                            member,
                            unit,
                            unit + " is masked: systemd neither starts nor restarts it",
                            "If it is the right unit: systemctl unmask -- " + shell_quote(unit) +
                                ", on " + member.name +
                                ". Else name the one that runs as `patroni_service` in the "
                                "inventory.");
    }
    if (!elsewhere || member.on_host->unit.empty()) {
        return std::nullopt;
    }
    const HostFacts& host = *member.on_host;
    const std::string state = host.load_state == "loaded" ? host.unit_state : host.load_state;
    const bool service = !host.daemon_unit.ends_with(".scope");
    const bool up = host.unit_state == "active" || host.unit_state == "activating";
    return host_finding("service.not_what_runs",
                        member,
                        host.unit,
                        host.unit + " is not what runs this cluster (systemd: " + state +
                            (up ? ", so it is another Patroni's" : "") + "): the daemon, pid " +
                            std::to_string(host.daemon_pid) + ", is " + host.daemon_unit,
                        service
                            ? "Set `patroni_service: " + host.daemon_unit + "` in the inventory."
                            : "It was started by hand. Have it run as a service, and name that as "
                              "`patroni_service` in the inventory.");
}

// systemd.kill(5): control-group, the default, and mixed end every process of the unit, and
// PostgreSQL stays in the cgroup of the daemon that started it. What cannot be seen counts as
// being there.
std::optional<Finding> unit_stops_postgres(const MemberFacts& member) {
    if (!member.on_host || unit_is_not_what_runs(member)) {
        return std::nullopt;
    }
    const HostFacts& host = *member.on_host;
    const bool kills = host.kill_mode == "control-group" || host.kill_mode == "mixed";
    if (!kills || host.load_state != "loaded") {
        return std::nullopt;
    }
    const PostmasterFacts* postmaster =
        host.postmaster(member.postgres.data_directory, member.pg_port);
    const bool seen = postmaster != nullptr && !postmaster->unit.empty();
    if (seen ? postmaster->unit != host.unit : postmaster == nullptr && is_down(member)) {
        return std::nullopt;
    }
    const std::string folder = "/etc/systemd/system/" + host.unit + ".service.d";
    return host_finding(
        "host.kill_mode",
        member,
        host.unit,
        "stopping or restarting " + host.unit + " stops PostgreSQL as well, paused or not: its " +
            "KillMode is " + host.kill_mode + ", and PostgreSQL " +
            (seen ? "(pid " + std::to_string(postmaster->pid) + ") is in its cgroup"
                  : "may be in its cgroup"),
        "Give it Patroni's own setting, which takes effect without a restart. On " + member.name +
            ", as root: mkdir -p " + shell_quote(folder) +
            " && printf '[Service]\\nKillMode=process\\n' > " +
            shell_quote(folder + "/zz-keep-postgres.conf") + " && systemctl daemon-reload");
}

std::optional<Finding> folder_is_foreign(const MemberFacts& member) {
    const auto why = member.unknown.find("folder");
    if (why == member.unknown.end()) {
        return std::nullopt;
    }
    Finding finding = host_finding(
        "host.foreign_folder",
        member,
        "",
        why->second + ": no run is begun there, and no kept package is used",
        "See who made it: a service whose StateDirectory is lockstep? (The shipped units have "
        "/var/lib/lockstep-engine.) Then move it away, on " +
            member.name + ": `mv /var/lib/lockstep /var/lib/lockstep.found`.");
    finding.severity = Severity::critical;
    return finding;
}

std::optional<Finding> program_is_not_packaged(const MemberFacts& member,
                                               const std::string& package) {
    if (!member.setup || member.setup->packaged != false || member.patroni.installed.empty()) {
        return std::nullopt;
    }
    return host_finding("package.not_its_own",
                        member,
                        package,
                        "the Patroni that runs" +
                            (member.patroni.running.empty() ? "" : ", " + member.patroni.running) +
                            ", is " + member.setup->program + ", no file of the package " +
                            package + " " + member.patroni.installed + " that is installed there",
                        "It came by another way (pip, a virtual environment), and is upgraded by "
                        "that. If it is of another package: `patroni_package` in the inventory.");
}

// Debian's postinst and PGDG's %postun restart patroni.service, whosever it is, and no other unit.
std::vector<Finding> package_reaches_others(const MemberFacts& member) {
    std::vector<Finding> found;
    const std::vector<std::string> others =
        member.on_host ? member.on_host->others() : std::vector<std::string>();
    for (const std::string& other : others) {
        const bool restarted = other == "patroni";
        Finding finding = host_finding(
            "package.restarts_other",
            member,
            other,
            "another Patroni runs there, " + other + ", of this package, too: " +
                (restarted ? "the package restarts " + other +
                                 ", and unless that cluster is paused its PostgreSQL restarts with "
                                 "it, and it may fail over"
                           : "its code is replaced under it, and whenever it restarts next, it "
                             "runs the new version"),
            "Pause that cluster first and upgrade it in the same window, or move it to another "
            "host. If it may be so: --accept package.restarts_other:" +
                shell_quote(other) + "@" + member.name + " --reason \"…\".");
        finding.acceptable = true;
        found.push_back(std::move(finding));
    }
    return found;
}

}  // namespace lockstep
