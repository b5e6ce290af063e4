#pragma once

#include "steps/actions/action.hpp"

#include <string>

/// The Patroni daemon as a service: whether it runs what is installed, and when it may be
/// restarted.
namespace lockstep {

enum class DaemonState {
    current,   ///< it runs what its package installed
    outdated,  ///< its package was changed after it was started: the trap of patroni#3184
    unknown,
};

/// By version when the REST API tells the running one, and by times on the member's own clock.
[[nodiscard]] DaemonState daemon_state(const MemberFacts& member);

/// The version a running daemon reports when this package version is installed: `4.0.7` of
/// `4.0.7-3~deb13u1`. Empty for something that is no version.
[[nodiscard]] std::string upstream_of(const std::string& package_version);

/// Restarting an unpaused Patroni stops PostgreSQL: the refusal for that, or nothing.
[[nodiscard]] std::vector<Finding> refuse_unless_paused(const MemberFacts& member,
                                                        const StepCall& call,
                                                        const ClusterFacts& facts);

/// PostgreSQL by the word of the member's Patroni: up, in one of the three states that are, or
/// known to be down. Neither: it is not known, or on its way.
[[nodiscard]] bool postgres_runs(const MemberFacts& member);
[[nodiscard]] bool postgres_is_down(const MemberFacts& member);

/// Shell text that prints `NAME=VALUE` lines about the unit: pid, start, state.
[[nodiscard]] std::string unit_report(const std::string& unit);

}  // namespace lockstep
