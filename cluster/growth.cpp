#include "cluster/growth.hpp"

#include "base/units.hpp"
#include "cluster/diagnosis_rules.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

double seconds_of(milliseconds length) {
    return std::chrono::duration<double>(length).count();
}

/// Without all three figures a point says nothing: size alone grows with files recycled for the
/// future.
std::optional<WalPoint> point_of(const MemberFacts& member, milliseconds ago) {
    if (!member.wal || !member.wal->oldest || !member.position) {
        return std::nullopt;
    }
    const auto held = member.wal->held_bytes();
    if (!held) {
        return std::nullopt;
    }
    return WalPoint{ago, member.wal->bytes, *held, *member.position, *member.wal->oldest};
}

/// The points from the last one back to where less was held before: the stretch that only grows.
/// A segment of slack: held WAL moves in whole files, so it may seem to shrink by one and grow on.
std::vector<WalPoint> growing_stretch(const std::vector<WalPoint>& points, std::int64_t slack) {
    std::size_t first = points.size() - 1;
    while (first > 0 && points[first - 1].held <= points[first].held + slack) {
        --first;
    }
    return {points.begin() + static_cast<std::ptrdiff_t>(first), points.end()};
}

/// The fastest that WAL was written between two of the points. The fastest and not the average:
/// after a burst readers that trail by some loops hold that much.
double fastest_writing(const std::vector<WalPoint>& points) {
    double fastest = 0;
    for (std::size_t n = 1; n < points.size(); ++n) {
        const double length = seconds_of(points[n - 1].ago - points[n].ago);
        if (length >= 1) {
            const auto written = static_cast<double>(points[n].position - points[n - 1].position);
            fastest = std::max(fastest, written / length);
        }
    }
    return fastest;
}

/// How fast WAL piled up over the last three loops, or since the newest point before them.
double rate_at_the_end(const std::vector<WalPoint>& points, milliseconds three_loops) {
    const auto before = std::find_if(points.rbegin(), points.rend(), [&](const WalPoint& point) {
        return point.ago - points.back().ago >= three_loops;
    });
    if (before == points.rend()) {
        return 0;
    }
    return static_cast<double>(points.back().kept() - before->kept()) /
           seconds_of(before->ago - points.back().ago);
}

/// The fastest growth up to now over a stretch that is long enough to tell: after a quiet hour the
/// average over all of it is of the past, and the alarm would come too late.
EndlessGrowth steepest(const std::vector<WalPoint>& points, milliseconds at_least) {
    const WalPoint& last = points.back();
    EndlessGrowth found;
    for (const WalPoint& point : points) {
        const auto over = point.ago - last.ago;
        if (over < at_least) {
            break;
        }
        const std::int64_t by = last.kept() - point.kept();
        const double rate = static_cast<double>(by) / seconds_of(over);
        if (rate > found.bytes_per_second) {
            found = {.bytes_per_second = rate, .over = over, .by = by};
        }
    }
    return found;
}

/// What has grown and stopped, and is all still there.
EndlessGrowth stopped_growth(const std::vector<WalPoint>& points, std::int64_t slack) {
    const WalPoint& first = points.front();
    const WalPoint& last = points.back();
    auto end = points.rbegin();
    while (std::next(end) != points.rend() && std::next(end)->kept() + slack >= last.kept()) {
        ++end;
    }
    return {.over = first.ago - end->ago,
            .by = last.kept() - first.kept(),
            .stopped = end->ago - last.ago};
}

/// The oldest position decides what has to stay; the others hold nothing beyond it.
const SlotFacts* oldest_slot(const MemberFacts& member) {
    if (!member.slots) {
        return nullptr;
    }
    const SlotFacts* oldest = nullptr;
    for (const SlotFacts& slot : *member.slots) {
        if (slot.restart_lsn && (oldest == nullptr || *slot.restart_lsn < *oldest->restart_lsn)) {
            oldest = &slot;
        }
    }
    return oldest;
}

/// What holds the oldest WAL, and what to do about it.
/// A slot within the oldest segment holds that file. Archiving is named only where it fails or
/// lags, because every segment waits for it for a moment.
std::pair<std::string, std::string> holder_of(const ClusterFacts& facts,
                                              const MemberFacts& member) {
    const WalFacts& wal = *member.wal;
    const SlotFacts* slot = oldest_slot(member);
    if (slot != nullptr &&
        *slot->restart_lsn <= *wal.oldest + static_cast<Lsn>(wal.segment_bytes)) {
        const std::string what =
            std::string(slot->active ? "active" : "inactive") + " slot " + slot->name;
        return {"the " + what + " holds it", rules::slot_holds_wal(facts, member, *slot)};
    }
    const bool waits = wal.archiver && wal.archiver->waiting.value_or(0) > 4;
    if (wal.archiving_fails || waits) {
        return {wal.archiving_fails ? "it waits for archiving, which fails"
                                    : "it waits for archiving, which does not keep up",
                "Look at archive_command and at PostgreSQL's log on " + member.name + "."};
    }
    return {"no slot and no archiving holds it",
            "Look at PostgreSQL's log on " + member.name +
                ": checkpoints (on a replica restartpoints) may fail or take too long."};
}

Finding finding_of(const ClusterFacts& facts,
                   const MemberFacts& member,
                   const EndlessGrowth& growth) {
    constexpr double k_soon = 6 * 3600.0;
    const auto [holder, remedy] = holder_of(facts, member);
    const std::string how = format_bytes(growth.by) + " in " + format_duration(growth.over);
    std::string message = "pg_wal of " + member.name + " has " + format_bytes(member.wal->bytes);
    message += growth.stopped
                   ? " and has grown by " + how + "; that stopped " +
                         format_duration(*growth.stopped) +
                         " ago, nothing of it has gone, and it goes on with the next writes; "
                   : " and grows by " +
                         format_bytes(static_cast<std::int64_t>(growth.bytes_per_second * 3600)) +
                         " an hour (" + how + "); ";
    message += holder;
    bool urgent = false;
    if (growth.stopped) {
        // When the disk is full nobody can say then.
    } else if (member.disk && member.disk->total_bytes > 0) {
        const auto free = static_cast<double>(member.disk->free_bytes);
        const double left = free / growth.bytes_per_second;
        urgent = left < k_soon || free < 0.1 * static_cast<double>(member.disk->total_bytes);
        message += "; " + member.disk->mount + " has " + format_bytes(member.disk->free_bytes) +
                   " free and is full in ";
        message += left > 100 * 86400.0 ? "more than 100 days"
                   : left > 2 * 86400.0 ? std::to_string(static_cast<int>(left / 86400)) + " days"
                   : left > 2 * 3600.0  ? std::to_string(static_cast<int>(left / 3600)) + " hours"
                                        : std::to_string(static_cast<int>(left / 60)) + " min";
    }
    return {"wal.growing",
            urgent ? Severity::critical : Severity::warning,
            member.name,
            "",
            message,
            remedy,
            "patroni#3184"};
}

}  // namespace

/// Samples from before the cluster or its history became another one (system identifier, a position
/// that goes back) are no points of the same line.
std::vector<WalPoint> wal_points(const std::vector<Sample>& samples, const MemberFacts& member) {
    std::vector<WalPoint> points;
    const auto last = point_of(member, 0ms);
    if (!last) {
        return points;
    }
    for (const Sample& sample : samples) {
        const MemberFacts* before = sample.facts.find(member.name);
        if (before == nullptr || before->system_identifier != member.system_identifier ||
            !before->wal || member.wal->segment_bytes != before->wal->segment_bytes) {
            continue;
        }
        if (const auto point = point_of(*before, sample.ago)) {
            points.push_back(*point);
        }
    }
    points.push_back(*last);
    for (std::size_t n = points.size() - 1; n > 0; --n) {
        if (points[n - 1].position > points[n].position || points[n - 1].ago < points[n].ago) {
            points.erase(points.begin(), points.begin() + static_cast<std::ptrdiff_t>(n));
            break;
        }
    }
    return points;
}

/// Over an hour, or what there is of it: between two points that lie close together a single file
/// decides the figure.
std::optional<double> growth_rate(const std::vector<WalPoint>& points) {
    if (points.size() < 2) {
        return std::nullopt;
    }
    const WalPoint* from = &points[points.size() - 2];
    for (const WalPoint& point : points) {
        if (point.ago <= 1h && point.ago > from->ago) {
            from = &point;
        }
    }
    const double length = seconds_of(from->ago - points.back().ago);
    if (length < 1) {
        return std::nullopt;
    }
    return static_cast<double>(points.back().bytes - from->bytes) / length;
}

/// Several signs together, because each alone is normal: held over three loops, more than what the
/// readers trail by, and beyond what max_wal_size allows. Growth that has stopped is told for as
/// long as all of it is there: whatever holds it has not let go.
std::optional<EndlessGrowth> endless_growth(const std::vector<WalPoint>& points,
                                            const WalFacts& wal,
                                            milliseconds three_loops) {
    if (points.size() < 2 || wal.segment_bytes <= 0) {
        return std::nullopt;
    }
    const std::vector<WalPoint> stretch = growing_stretch(points, wal.segment_bytes);
    const WalPoint& first = stretch.front();
    const WalPoint& last = stretch.back();
    const auto over = first.ago - last.ago;
    const double trailing = fastest_writing(stretch) * seconds_of(three_loops);
    if (over < three_loops || last.held - first.held < 4 * wal.segment_bytes ||
        static_cast<double>(last.held - wal.keep_size) <= trailing ||
        last.bytes <= wal.max_wal_size + wal.keep_size) {
        return std::nullopt;
    }
    const std::int64_t by = last.kept() - first.kept();
    if (by <= 0) {
        return std::nullopt;
    }
    const double average = static_cast<double>(by) / seconds_of(over);
    if (rate_at_the_end(stretch, three_loops) < average / 10) {
        return stopped_growth(stretch, wal.segment_bytes);
    }
    return steepest(stretch,
                    std::min<milliseconds>(over, std::max<milliseconds>(three_loops, 1min)));
}

void judge_growth(ClusterFacts& facts,
                  const std::vector<Sample>& samples,
                  std::vector<Finding>& found) {
    for (MemberFacts& member : facts.members) {
        const std::vector<WalPoint> points = wal_points(samples, member);
        if (points.empty()) {
            continue;
        }
        member.wal->growth_per_second = growth_rate(points);
        if (const auto growth = endless_growth(points, *member.wal, stuck_interval(facts))) {
            found.push_back(finding_of(facts, member, *growth));
        }
    }
    sort_worst_first(found);
}

}  // namespace lockstep
