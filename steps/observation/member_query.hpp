#pragma once

#include "cluster/facts.hpp"

#include <string>
#include <string_view>

/// The one statement that an observation asks a member's PostgreSQL, and what its answer means.
namespace lockstep {

/// One SELECT with one column, a JSON document, for a server of that major version or later:
/// PostgreSQL 11 to 18, primaries and standbys. It names nothing that only some of them have, but
/// from 13 on what counts segments that wait for archiving, and base backups.
[[nodiscard]] std::string observation_query(int major);
/// For any of these servers, by psql: with `before` and `after` around what is of 13 and later.
[[nodiscard]] std::string observation_query(std::string_view before, std::string_view after);

/// Fills wal, slots, in_recovery, settings and what the REST API did not tell; of the settings
/// those that members must have alike, and those that `member.setup` names, which is read before.
/// Throws Error when the text is not the document of that query.
void read_observation(std::string_view document, MemberFacts& member);

}  // namespace lockstep
