#pragma once

#include "cluster/facts.hpp"

#include <string>
#include <string_view>
#include <vector>

/// What the member's script says of units and processes of the host.
namespace lockstep {

/// The unit in whose cgroup a process is, by the lines of its /proc/PID/cgroup: without `.service`,
/// with any other suffix; empty: it is in none, or in a container.
[[nodiscard]] std::string unit_of_cgroups(const std::vector<std::string>& lines);

/// The word of these that tells of a container; empty: none does.
[[nodiscard]] std::string container_of(const std::vector<std::string>& words);

/// The lines of `systemctl show` of our unit alone, which come first.
[[nodiscard]] std::vector<std::string> lines_of_our_unit(const std::vector<std::string>& shown);

/// The words behind `patroni=` of each Patroni process: its pid and its cgroups.
[[nodiscard]] std::vector<std::vector<std::string>> patroni_processes(
    const std::vector<std::string>& lines);

/// By the lines of the sections `unit`, which is of all Patroni units, and `host`.
[[nodiscard]] HostFacts read_host(const std::vector<std::string>& units,
                                  const std::vector<std::string>& processes);

}  // namespace lockstep
