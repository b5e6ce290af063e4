#pragma once

#include "cluster/facts.hpp"
#include "cluster/finding.hpp"
#include "inventory/inventory.hpp"
#include "steps/actions/report_lines.hpp"

#include <functional>
#include <string>
#include <vector>

/// What must not be done on a member, because it would reach beyond the cluster's Patroni: its
/// PostgreSQL, another unit, another cluster.
namespace lockstep {

/// Against stopping or restarting the unit of the inventory.
[[nodiscard]] std::vector<Finding> refuse_to_stop_unit(const MemberFacts& member);

/// Against starting it: another unit is the right one.
[[nodiscard]] std::vector<Finding> refuse_to_start_unit(const MemberFacts& member);

/// Against stopping or restarting, by its name, the unit of another Patroni. Acceptable.
[[nodiscard]] std::vector<Finding> refuse_to_stop_other(const MemberFacts& member,
                                                        const std::string& unit);

/// Against changing Patroni's package, whose scripts restart the daemon.
[[nodiscard]] std::vector<Finding> refuse_to_change_package(const MemberFacts& member,
                                                            const Cluster& cluster);

/// Shell text that prints `gone=PID` for each postmaster of these facts that does not run any more,
/// whosever it is: only its own host knows for sure.
[[nodiscard]] std::string postmasters_report(const MemberFacts& member);

/// Takes those of a report away from what is known of the host.
void learn_postmasters(MemberFacts& member, const ReportLines& lines);
[[nodiscard]] std::function<void(ClusterFacts&)> learn_postmasters(const std::string& member,
                                                                   const ReportLines& lines);

}  // namespace lockstep
