#pragma once

#include "cluster/facts.hpp"
#include "cluster/finding.hpp"
#include "cluster/sample.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

/// Whether a pg_wal grows without end. Pure.
namespace lockstep {

/// What one sample says about the pg_wal of one member.
struct WalPoint {
    std::chrono::milliseconds ago{0};
    std::int64_t bytes = 0;  ///< size of pg_wal, recycled files for the future included
    std::int64_t held = 0;   ///< of WalFacts::held_bytes()
    Lsn position = 0;
    Lsn oldest = 0;

    /// WAL that was written and is still there.
    [[nodiscard]] std::int64_t kept() const {
        return static_cast<std::int64_t>(position) - static_cast<std::int64_t>(oldest);
    }
};

/// The points of a member, oldest first, the present one last. Without those of another system, and
/// of before its position went back (it was set up anew). Empty: its WAL is not known now.
[[nodiscard]] std::vector<WalPoint> wal_points(const std::vector<Sample>& samples,
                                               const MemberFacts& member);

/// Bytes per second by which pg_wal has grown over the last hour (or since the newest point before,
/// when there is none in it); nullopt: one point, or points less than a second apart.
[[nodiscard]] std::optional<double> growth_rate(const std::vector<WalPoint>& points);

/// Growth that nothing of the configuration explains.
struct EndlessGrowth {
    /// The fastest average up to now, over a minute and three loops or more.
    double bytes_per_second = 0;
    std::chrono::milliseconds over{0};  ///< the stretch that this is of
    std::int64_t by = 0;                ///< bytes, in that stretch
    /// How long ago it stopped, with all of it still there; absent: it goes on.
    std::optional<std::chrono::milliseconds> stopped;
};

/// pg_wal of a healthy member grows as well: up to max_wal_size when work begins, and by what its
/// slots trail behind (up to two loops on a replica with Patroni 4, #3181). So it counts only when
/// all of this is so:
/// - what is held beyond the last checkpoint or restartpoint has grown by 4 segments or more, over
///   at least three loops, in samples none of which shows less than the one before;
/// - that is more than wal_keep_size and what is written in three loops;
/// - pg_wal is larger than max_wal_size and wal_keep_size together;
/// Where it grew ten times slower than on average over the last three loops it has stopped.
[[nodiscard]] std::optional<EndlessGrowth> endless_growth(const std::vector<WalPoint>& points,
                                                          const WalFacts& wal,
                                                          std::chrono::milliseconds three_loops);

/// Sets `growth_per_second` of every member with samples, and adds `wal.growing` for those that
/// grow without end: a warning, critical when it goes on and the disk is full within 6 hours or
/// less than a tenth of it is free.
void judge_growth(ClusterFacts& facts,
                  const std::vector<Sample>& samples,
                  std::vector<Finding>& found);

/// How far back judge_growth() looks.
constexpr std::chrono::hours k_growth_window{6};

}  // namespace lockstep
