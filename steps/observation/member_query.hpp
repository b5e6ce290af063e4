#pragma once

#include "inventory/facts.hpp"

#include <string>
#include <string_view>

/// The one statement that an observation asks a member's PostgreSQL, and what its answer means.
namespace lockstep {

/// One SELECT with one column, a JSON document. Runs on PostgreSQL 11 to 18, on primaries and
/// standbys, and names no column that only some of them have.
[[nodiscard]] const std::string& observation_query();

/// Fills wal, slots, in_recovery and what the REST API did not tell. Throws Error when the text is
/// not the document of that query.
void read_observation(std::string_view document, MemberFacts& member);

}  // namespace lockstep
