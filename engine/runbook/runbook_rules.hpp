#pragma once

#include "engine/runbook/runbook.hpp"

#include <vector>

/// Finds what is wrong with a runbook although each of its keys and values is right. rules.hpp says
/// of each rule whether it is a warning: plan and run refuse for errors alone, validate shows both.
namespace lockstep {

/// In the order of the file.
[[nodiscard]] std::vector<InputError> check_runbook(const Runbook& runbook,
                                                    const ActionCatalog& actions);

}  // namespace lockstep
