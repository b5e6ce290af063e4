#pragma once

#include "engine/runbook/runbook.hpp"

namespace lockstep {

/// Whether a runbook has to know more of the cluster than who its members are, where they are and
/// what their Patroni says over REST. It does not where each of its steps only looks at its own
/// member, and nothing else of it speaks of the cluster: then there is nothing that a full
/// observation could keep from harm. What is not known to be like that needs all facts.
[[nodiscard]] bool needs_all_facts(const Runbook& runbook, const ActionCatalog& actions);

}  // namespace lockstep
