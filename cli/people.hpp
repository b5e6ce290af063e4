#pragma once

#include "engine/run/approval.hpp"
#include "inventory/inventory.hpp"

namespace lockstep {

/// Groups and keys as the inventory of whoever judges has them, `own` (nullptr: there is none);
/// keys are looked up when an answer is judged, not before. Of the one on record only the demand
/// counts that somebody prove their answers, and its groups where there is no other: nothing that
/// it names is read or executed. Both must live as long.
[[nodiscard]] People people_of(const Inventory* own, const Inventory& on_record);

}  // namespace lockstep
