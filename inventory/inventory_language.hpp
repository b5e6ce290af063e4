#pragma once

#include "base/language.hpp"

namespace lockstep {

/// The keys of an inventory, each declared once: `inventory`, `inventory.cluster`, ….
[[nodiscard]] const std::vector<language::Place>& inventory_places();

}  // namespace lockstep
