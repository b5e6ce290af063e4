#pragma once

#include "base/clock.hpp"
#include "engine/journal/journal.hpp"
#include "steps/lock/cluster_lock.hpp"

#include <stop_token>
#include <string>
#include <vector>

namespace lockstep {

/// Breaking the lock of a cluster, or putting back odd fences, on the record.
struct Unlock {
    Connections& connections;
    Clock& clock;
    JournalStore& journal;
    const ClusterFacts& facts;
    std::string lock_id;  ///< empty: the fences
};

/// Does it, and writes it to the journal as a small run under `header`: nothing is changed
/// before that is begun, and none is begun for a lock that is not there. Throws as find_lock() and
/// break_lock() do, or find_odd_fences() and reset_odd_fences(), and JournalError.
[[nodiscard]] std::vector<FoundLock> unlock_on_record(const Unlock& unlock,
                                                      const RunHeader& header,
                                                      std::stop_token stop);

}  // namespace lockstep
