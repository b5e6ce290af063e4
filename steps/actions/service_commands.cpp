#include "steps/actions/service_commands.hpp"

#include "base/shell_quote.hpp"
#include "steps/actions/daemon.hpp"
#include "steps/actions/host_obstacles.hpp"

namespace lockstep {

std::string short_unit_name(std::string unit) {
    constexpr std::string_view k_suffix = ".service";
    if (unit.ends_with(k_suffix)) {
        unit.resize(unit.size() - k_suffix.size());
    }
    return unit;
}

bool is_patroni_unit(const std::string& unit, const Cluster& cluster) {
    return short_unit_name(unit) == short_unit_name(cluster.patroni_service);
}

namespace {

/// The refusal where there is no systemd, or Patroni's unit is not known to it; or nothing.
std::vector<Finding> refuse_without_unit(const MemberFacts& member,
                                         const std::string& unit,
                                         const Cluster& cluster) {
    if (is_patroni_unit(unit, cluster)) {
        if (std::vector<Finding> other = refuse_to_start_unit(member); !other.empty()) {
            return other;
        }
    }
    const bool no_systemd = member.os && member.os->systemd == false;
    const auto why = member.unknown.find("unit");
    const bool unknown =
        is_patroni_unit(unit, cluster) && why != member.unknown.end() && !member.unit;
    if (!no_systemd && !unknown) {
        return {};
    }
    const std::string reason =
        why == member.unknown.end() ? "it was not booted with systemd" : why->second;
    return {
        {.id = no_systemd ? "service.no_systemd" : "service.unknown",
         .severity = Severity::critical,
         .member = member.name,
         .subject = unit,
         .message = member.name + ": " + reason,
         .remedy = no_systemd
                       ? "Services are systemd's units here, so this one is left alone. What "
                         "runs in a container is upgraded by its image; for anything else there "
                         "is `ssh.run`."
                       : "If its unit has another name, as `patroni@main` has: "
                         "`patroni_service` in the inventory. What runs in a container is left "
                         "alone: it is upgraded by its image.",
         .source = {}}};
}

}  // namespace

const MemberFacts* member_with_unit(const StepCall& call,
                                    const ClusterFacts& facts,
                                    const Cluster& cluster,
                                    Preview& preview) {
    const MemberFacts* member = member_over_ssh(call, facts, preview);
    if (member == nullptr) {
        return nullptr;
    }
    preview.blocked_by = refuse_without_unit(*member, text_arg(call, "service"), cluster);
    if (preview.blocked_by.empty()) {
        return member;
    }
    preview.because = preview.blocked_by.front().id == "service.not_what_runs"
                          ? "it is not what runs there"
                          : "systemd cannot be asked for it";
    return nullptr;
}

std::string systemctl_command(const std::string& verb, const std::string& unit) {
    return "systemctl " + verb + " -- " + shell_quote(unit);
}

std::string systemctl_script(const std::string& verb,
                             const std::string& unit,
                             const MemberFacts& member) {
    return systemctl_command(verb, unit) + " </dev/null\nstatus=$?\n" + unit_report(unit) +
           postmasters_report(member) +
           "[ \"$status\" -eq 0 ] || journalctl -q --no-pager -n 8 -o cat -u " + shell_quote(unit) +
           " >&2\nexit \"$status\"\n";
}

std::function<void(ClusterFacts&)> learn_unit(const std::string& member, const ReportLines& lines) {
    return [member, lines](ClusterFacts& facts) {
        MemberFacts* changed = facts.find(member);
        if (changed == nullptr) {
            return;
        }
        learn_postmasters(*changed, lines);
        if (!changed->unit) {
            return;
        }
        changed->unit->active_state = lines.last("state");
        changed->unit->main_pid = lines.number("pid");
        changed->unit->restarts = lines.number("restarts");
        // Of a unit that is down, systemd still tells when it was started last.
        changed->unit->started_at =
            changed->unit->active_state == "active" ? lines.number("started") : 0;
    };
}

}  // namespace lockstep
