#pragma once

#include "inventory/facts.hpp"
#include "inventory/finding.hpp"
#include "inventory/inventory.hpp"

#include <optional>
#include <vector>

/// From facts to findings. Pure: no I/O, no clock. Everything that Patroni or PostgreSQL do is
/// cited with its source where it is used.
namespace lockstep {

/// Slots that may be stuck: inactive, and holding at least one WAL segment. A healthy 4.x cluster
/// has none for long, although each of its replicas has inactive slots: those advance.
[[nodiscard]] bool has_suspicious_slots(const ClusterFacts& facts);

/// How far apart two samples must be for a slot that has not moved to be stuck: three loops, for
/// slots are advanced once in a loop and may trail by two (Patroni 4.0.3, #3181).
[[nodiscard]] std::chrono::milliseconds stuck_interval(const ClusterFacts& facts);

/// Sets `stuck` on the slots of `later` that `earlier` shows unmoved. Needs both samples that far
/// apart; else it decides nothing and returns false.
bool mark_stuck_slots(ClusterFacts& later, const ClusterFacts& earlier);

/// Every finding, worst first, then by member. `expected` names what the inventory says must exist.
[[nodiscard]] std::vector<Finding> diagnose(const ClusterFacts& facts, const Cluster& expected);

/// Why a Patroni of these two versions must not run side by side with this one as leader; nullopt
/// for a good pair. Upstream versions.
struct BadPair {
    std::string symptom;
    std::string remedy;
    std::string source;
};

[[nodiscard]] std::optional<BadPair> known_bad_pair(std::string_view leader,
                                                    std::string_view replica);

}  // namespace lockstep
