#pragma once

#include "inventory/inventory.hpp"

#include <vector>

namespace lockstep {

/// What is valid in an inventory and gives secrets away, each with its place and rule: warnings.
[[nodiscard]] std::vector<InputError> check_inventory(const Inventory& inventory);

}  // namespace lockstep
