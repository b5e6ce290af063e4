#pragma once

#include "steps/actions/action.hpp"
#include "steps/actions/report_lines.hpp"

#include <functional>
#include <string>

/// What the actions that start and stop systemd units have in common.
namespace lockstep {

/// `patroni` and `patroni.service` are the same unit: the shorter name.
[[nodiscard]] std::string short_unit_name(std::string unit);
[[nodiscard]] bool is_patroni_unit(const std::string& unit, const Cluster& cluster);

/// The member of a preview, where it has the unit; nullptr: the preview refuses now.
[[nodiscard]] const MemberFacts* member_with_unit(const StepCall& call,
                                                  const ClusterFacts& facts,
                                                  const Cluster& cluster,
                                                  Preview& preview);

/// `systemctl start -- pgbouncer`
[[nodiscard]] std::string systemctl_command(const std::string& verb, const std::string& unit);

/// Shell text that does it, prints unit_report() and postmasters_report(), and exits with
/// systemctl's status; the end of the unit's log goes to stderr where that is not 0.
[[nodiscard]] std::string systemctl_script(const std::string& verb,
                                           const std::string& unit,
                                           const MemberFacts& member);

/// What a report says of Patroni's unit, for the facts.
[[nodiscard]] std::function<void(ClusterFacts&)> learn_unit(const std::string& member,
                                                            const ReportLines& lines);

}  // namespace lockstep
