#pragma once

#include "engine/journal/journal.hpp"
#include "engine/run/run_state.hpp"

#include <string>
#include <vector>

namespace lockstep {

/// What a run that succeeded has not shown, in words: what its steps left open, what somebody
/// accepted, what nobody measured. Empty while it has not succeeded.
[[nodiscard]] std::vector<std::string> unproven(const RunHeader& header, const RunState& state);

}  // namespace lockstep
