#pragma once

#include "base/clock.hpp"
#include "engine/journal/journal.hpp"
#include "steps/lock/cluster_lock.hpp"

#include <stop_token>
#include <string>
#include <vector>

namespace lockstep {

/// Breaking the lock of a cluster, on the record.
struct Unlock {
    Connections& connections;
    Clock& clock;
    JournalStore& journal;
    const ClusterFacts& facts;
    std::string lock_id;
};

/// Removes the lock, and writes it to the journal as a small run under `header`: nothing is removed
/// before that is begun, and none is begun for a lock that is not there. Throws as find_lock() and
/// break_lock() do, and JournalError.
[[nodiscard]] std::vector<FoundLock> unlock_on_record(const Unlock& unlock,
                                                      const RunHeader& header,
                                                      std::stop_token stop);

}  // namespace lockstep
