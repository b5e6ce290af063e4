#include "cluster/host_findings.hpp"

#include "base/shell_quote.hpp"
#include "cluster/diagnosis_rules.hpp"

#include <algorithm>

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
    return rules::postgres_state(member.state) == rules::PostgresState::down;
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

namespace {

bool names(const std::vector<std::string>& list, const char* name) {
    return std::ranges::find(list, name) != list.end();
}

/// Of what runs there and matters to the cluster, what needrestart is not told to leave alone.
/// PostgreSQL is in the cgroup of its Patroni, as a rule, and then restarted with that or not.
std::vector<std::string> not_spared(const MemberFacts& member) {
    const UpkeepFacts& upkeep = *member.upkeep;
    std::vector<std::string> left;
    if (!names(upkeep.spared, "patroni")) {
        left.emplace_back("patroni");
    }
    const bool by_itself =
        member.on_host &&
        std::ranges::any_of(member.on_host->postmasters, [](const PostmasterFacts& postmaster) {
            return postmaster.unit.starts_with("postgres");
        });
    if (by_itself && !names(upkeep.spared, "postgres")) {
        left.emplace_back("postgres");
    }
    if (upkeep.etcd && !names(upkeep.spared, "etcd")) {
        left.emplace_back("etcd");
    }
    return left;
}

/// A pattern of unattended-upgrades is matched from the begin of a name (re.match). One that is no
/// plain text at its begin counts where it has the name in it.
bool is_kept_back(const std::vector<std::string>& patterns, const std::string& name) {
    return std::ranges::any_of(patterns, [&](const std::string& pattern) {
        const std::string plain = pattern.substr(0, pattern.find_first_of(".*+?[(|\\^$"));
        return pattern.starts_with(".*") || pattern.find(name) != std::string::npos ||
               (!plain.empty() && name.starts_with(plain));
    });
}

}  // namespace

// needrestart 3.6: its hook runs after each call of apt, unless NEEDRESTART_SUSPEND is set; what it
// would have done then it does after the next call (/run/needrestart/unpacked).
std::optional<Finding> needrestart_restarts(const MemberFacts& member) {
    const std::vector<std::string> left = member.upkeep && member.upkeep->needrestart
                                              ? not_spared(member)
                                              : std::vector<std::string>();
    if (left.empty()) {
        return std::nullopt;
    }
    std::string pattern;
    for (const std::string& name : left) {
        pattern += (pattern.empty() ? "^" : "|^") + name;
    }
    const std::string line = "$nrconf{override_rc}{qr(" + pattern + ")} = 0;";
    return host_finding(
        "host.needrestart",
        member,
        "",
        "needrestart restarts services by itself after any change of packages, and is not told to "
        "leave " +
            rules::join_names(left) +
            " alone: a library that is updated restarts them, paused or not. lockstep suspends it "
            "for its own calls of apt; the next one of anybody else makes up for that",
        "On " + member.name + ", as root: printf '%s\\n' " + shell_quote(line) +
            " > /etc/needrestart/conf.d/zz-patroni.conf");
}

// Debian's and PGDG's versions differ by their names: `17.12-1.pgdg13+1`. By default it takes what
// the distribution brings (Origins-Pattern), and nothing of other repositories.
std::optional<Finding> unattended_changes(const MemberFacts& member, const std::string& package) {
    if (!member.upkeep || !member.upkeep->unattended) {
        return std::nullopt;
    }
    const UpkeepFacts& upkeep = *member.upkeep;
    std::vector<std::string> free;
    const auto look = [&](const std::string& name, const std::string& version, bool held) {
        const bool offered = version.find("pgdg") == version.npos || upkeep.unattended_pgdg;
        if (!name.empty() && !version.empty() && !held && offered &&
            !is_kept_back(upkeep.unattended_not, name)) {
            free.push_back(name);
        }
    };
    look(package, member.patroni.installed, member.patroni.held);
    look(member.postgres.package, member.postgres.installed, member.postgres.held);
    if (free.empty()) {
        return std::nullopt;
    }
    std::string list;
    for (const std::string& name : free) {
        list += "\"" + name + "\"; ";
    }
    return host_finding(
        "host.unattended_upgrades",
        member,
        "",
        "unattended-upgrades may change " + rules::join_names(free) +
            " there at any night, and the package restarts what it has: not paused, and on every "
            "member that does the same",
        "Keep it from these; apt itself and lockstep go on as before. On " + member.name +
            ", as root: printf '%s\\n' " +
            shell_quote("Unattended-Upgrade::Package-Blacklist { " + list + "};") +
            " > /etc/apt/apt.conf.d/99keep-postgres");
}

// invoke-rc.d(8): 101 of policy-rc.d forbids the action.
std::optional<Finding> packages_restart_nothing(const MemberFacts& member) {
    if (!member.upkeep || !member.upkeep->no_restarts) {
        return std::nullopt;
    }
    Finding finding = host_finding(
        "host.policy_rc_d",
        member,
        "",
        "/usr/sbin/policy-rc.d keeps packages from restarting services: whoever changes Patroni's "
        "package by hand leaves the old daemon at work, without a word",
        "Nothing for a run of lockstep, which restarts the daemon itself. Else restart it after "
        "each change, in a pause.");
    finding.severity = Severity::info;
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
