#pragma once

#include "base/language.hpp"

/// The keys of a runbook, each declared once: the loader takes from here what it knows, and the
/// JSON Schema, `lockstep explain` and docs/reference.md are made of the same rows. Actions and
/// guards are not here: their rows are in steps/catalog.cpp and engine/run/guards.cpp.
namespace lockstep::language {

[[nodiscard]] const std::vector<Place>& places();
/// Throws std::logic_error for a name that is none.
[[nodiscard]] const Place& place(std::string_view name);

}  // namespace lockstep::language
