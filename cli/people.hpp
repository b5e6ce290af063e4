#pragma once

#include "engine/run/approval.hpp"
#include "inventory/inventory.hpp"

namespace lockstep {

/// Groups and keys as the inventory has them, which must live as long. Keys are looked up when an
/// answer is judged, not before.
[[nodiscard]] People people_of(const Inventory& inventory);

}  // namespace lockstep
