#pragma once

#include "cluster/facts.hpp"
#include "cluster/finding.hpp"

#include <optional>
#include <string>
#include <vector>

/// What on a member's host stands against acting on its unit or its package. `check` and `doctor`
/// warn of it; the steps that would do the damage refuse by the same words.
namespace lockstep {

/// The unit of the inventory is not the one in which this cluster's Patroni runs there.
[[nodiscard]] std::optional<Finding> unit_is_not_what_runs(const MemberFacts& member);

/// Stopping the unit would stop PostgreSQL with it, paused or not.
[[nodiscard]] std::optional<Finding> unit_stops_postgres(const MemberFacts& member);

/// The Patroni that runs is no file of the package that is installed beside it.
[[nodiscard]] std::optional<Finding> program_is_not_packaged(const MemberFacts& member,
                                                             const std::string& package);

/// Where lockstep keeps its things there, somebody else can write: its scripts refuse.
[[nodiscard]] std::optional<Finding> folder_is_foreign(const MemberFacts& member);

/// needrestart would restart Patroni, PostgreSQL or etcd by itself after a change of packages.
[[nodiscard]] std::optional<Finding> needrestart_restarts(const MemberFacts& member);

/// unattended-upgrades would change Patroni's package or that of the server by itself.
[[nodiscard]] std::optional<Finding> unattended_changes(const MemberFacts& member,
                                                        const std::string& package);

/// No package restarts its service there.
[[nodiscard]] std::optional<Finding> packages_restart_nothing(const MemberFacts& member);

/// Each other Patroni of the host that a change of the package would reach. Acceptable.
[[nodiscard]] std::vector<Finding> package_reaches_others(const MemberFacts& member);

}  // namespace lockstep
