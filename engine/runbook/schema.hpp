#pragma once

#include "engine/runbook/runbook.hpp"

#include <nlohmann/json.hpp>

/// JSON Schema (draft 2020-12) of the files, for editors: made of the rows that the loaders know
/// their keys by. What it accepts a loader may still refuse, for a schema knows no expressions.
namespace lockstep {

[[nodiscard]] nlohmann::ordered_json runbook_schema(const RunbookVocabulary& vocabulary);
[[nodiscard]] nlohmann::ordered_json inventory_schema();

}  // namespace lockstep
