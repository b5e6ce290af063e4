#pragma once

#include "engine/run/run_state.hpp"

#include <string>

namespace lockstep {

/// Who works here, `user@host`, by the operating system's word and not by the environment's; in a
/// user namespace, where that word is its maker's, it says so (approval.hpp).
[[nodiscard]] std::string operator_identity();

/// This process, as a run has it on record.
[[nodiscard]] EngineId own_engine();

}  // namespace lockstep
