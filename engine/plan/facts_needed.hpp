#pragma once

#include "engine/runbook/runbook.hpp"

namespace lockstep {

/// Whether a runbook needs a full observation. It needs no more than who the members are, where
/// they are and what their Patroni says over REST, if each of its steps only looks at its own
/// member and nothing else in it reads the cluster: then no full observation could prevent any
/// harm. In every other case it needs all facts.
[[nodiscard]] bool needs_all_facts(const Runbook& runbook, const ActionCatalog& actions);

}  // namespace lockstep
