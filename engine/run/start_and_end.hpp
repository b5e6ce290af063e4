#pragma once

#include "cluster/facts.hpp"

#include <string>
#include <vector>

namespace lockstep {

/// One thing that is not as it was at the start of a run.
struct Difference {
    std::string what;  ///< stays the same from look to look: `version n1`
    std::string text;
    bool on_purpose = false;  ///< nobody wants it as it was, or no undo could bring it back
};

/// Compares versions, settings, pending restarts, members and the dynamic configuration. What
/// either look could not see is no difference.
[[nodiscard]] std::vector<Difference> compare_with_start(const ClusterFacts& start,
                                                         const ClusterFacts& end);

}  // namespace lockstep
