#pragma once

#include "base/clock.hpp"
#include "cluster/facts.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

/// Earlier observations, as far as later ones need them. Pure: no I/O, no clock.
namespace lockstep {

/// A moment by the clocks of the machine that lockstep runs on.
struct Moment {
    Clock::Wall wall;
    std::string boot_id;                      ///< of this machine; empty: not known
    std::chrono::milliseconds since_boot{0};  ///< CLOCK_BOOTTIME: does not jump, counts suspend
};

/// From one moment to a later one: by the boot clock within one boot, so that a wall clock that was
/// set cannot make a slot look stuck; else by the wall clock. nullopt: the wall clock went back.
[[nodiscard]] std::optional<std::chrono::milliseconds> elapsed(const Moment& from,
                                                               const Moment& to);

/// One observation of before. `facts` has what thin() leaves.
struct Sample {
    Clock::Wall at;
    std::chrono::milliseconds ago{0};
    ClusterFacts facts;
};

/// What is kept of an observation: of each member versions, starts, position, WAL, disk and slots;
/// of the cluster leader, pause and the settings that slots depend on. JSON as of
/// ClusterFacts::to_json(), so that ClusterFacts::from_json() reads it.
[[nodiscard]] nlohmann::json thin(const ClusterFacts& facts);

/// Whether slots can be expected to move now as they did then: same leader, same daemons with the
/// same versions, same settings. After a cure an unmoved slot is not stuck yet.
[[nodiscard]] bool is_comparable(const ClusterFacts& earlier, const ClusterFacts& now);

/// The newest sample that is at least three loops older than `now` and comparable, its `sampled_at`
/// set to match; nullopt: there is none.
[[nodiscard]] std::optional<ClusterFacts> earlier_for_slots(const std::vector<Sample>& samples,
                                                            const ClusterFacts& now);

/// Members that samples of the same system show, and that nobody names now.
[[nodiscard]] std::vector<MissingMember> missing_members(const std::vector<Sample>& samples,
                                                         const ClusterFacts& now);

/// Which samples to forget, as indices into `at`, which is in the order of taking. What stays: one
/// in 5 s of the last 10 minutes, one a minute of the last hour, one in 10 minutes of the last day,
/// one in 2 hours of the last 30 days, and always the newest; never more than k_most_samples.
/// Each width divides the next and the oldest of each stretch stays, so that thinning again and
/// again comes to the same as thinning once.
[[nodiscard]] std::vector<std::size_t> to_forget(const std::vector<Clock::Wall>& at,
                                                 Clock::Wall now);

/// 120 + 50 + 138 + 348, and stretches that are cut at both ends.
constexpr std::size_t k_most_samples = 700;

}  // namespace lockstep
