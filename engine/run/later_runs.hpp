#pragma once

#include "engine/journal/journal.hpp"
#include "engine/run/run_state.hpp"
#include "engine/runbook/action_schema.hpp"

#include <string>
#include <vector>

namespace lockstep {

/// What came after a run: nothing is undone, or gone on with, under changes that are newer.
struct LaterRun {
    RunHeader header;
    RunState state;
};

/// Whether a run is asked about to be taken back, or to go on.
enum class Going { back, on };

/// Those of `later` (any order) that have changed what the run has changed, or still would, and
/// were not taken back: a member of it, or the cluster as a whole. As `RUN (RUNBOOK) changed n1`.
[[nodiscard]] std::vector<std::string> changed_since(const RunState& run,
                                                     Going going,
                                                     const std::vector<LaterRun>& later,
                                                     const ActionCatalog& actions);

}  // namespace lockstep
