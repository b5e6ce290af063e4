#pragma once

#include "engine/plan/step_runner.hpp"
#include "engine/runbook/runbook.hpp"

#include <optional>
#include <string>

/// Invariants of a whole run, looked at before and after each change.
namespace lockstep {

/// The guards there are, in the form of actions, for the loader.
[[nodiscard]] const ActionCatalog& guard_catalog();

/// Why the run must stop.
struct GuardVerdict {
    std::string why;
    bool unknown = false;  ///< a fact is missing: it may come back, but it never counts as good
};

/// nullopt: it holds. `start` is what was observed when the plan was made.
[[nodiscard]] std::optional<GuardVerdict> check_guard(const GuardSpec& guard,
                                                      const ClusterFacts& start,
                                                      const ClusterFacts& now);

/// Whether the postmaster that ran on a member still does: by its start time, which only a restart
/// changes, or by the member's own host, where it has no such process any more. nullopt: nobody
/// says.
[[nodiscard]] std::optional<bool> postmaster_stayed(const MemberFacts& before,
                                                    const MemberFacts* after);

/// As if PostgreSQL had not run there at the start: it is restarted on purpose. The other clusters
/// of its host stay protected.
void forget_postmaster(MemberFacts& before);

/// Whether it needs more than quick facts.
[[nodiscard]] bool needs_full_facts(const GuardSpec& guard);

/// The settings of `write_probe`, where the runbook has that guard.
[[nodiscard]] std::optional<ProbeSettings> write_probe_settings(const Runbook& runbook);

/// Why the run has failed by what the probe saw: its gap or its errors.
[[nodiscard]] std::optional<std::string> check_write_probe(const Runbook& runbook,
                                                           const ProbeReport& report);

}  // namespace lockstep
