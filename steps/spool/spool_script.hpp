#pragma once

#include "steps/spool/spool.hpp"

#include <string>

namespace lockstep {

/// The member's side of the spool (steps/spool/spool_protocol.hpp says how it is spoken to): POSIX
/// sh (dash, bash, busybox), for `sh -c`. Exits 0 whatever becomes of the job.
[[nodiscard]] std::string spool_script();
/// The same for a request of in_script(), without a stdin.
[[nodiscard]] std::string spool_script(const std::string& request);

}  // namespace lockstep
