#pragma once

#include "cluster/facts.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// What a restart of PostgreSQL would change, where that decides the order of restarts.
namespace lockstep {

/// A standby must not have less of these than its primary (PostgreSQL 11 to 18, "Hot Standby";
/// max_wal_senders from 12 on): raised, they take effect on every standby first, lowered, on the
/// primary first. From 14 on replay pauses when the primary's larger value arrives (Patroni 4.0.7
/// goes on with it, which ends the standby), and one that starts with less ends with FATAL; before
/// 14 it shuts down at once.
inline constexpr std::array<std::string_view, 5> k_not_below_primary{"max_connections",
                                                                     "max_locks_per_transaction",
                                                                     "max_prepared_transactions",
                                                                     "max_wal_senders",
                                                                     "max_worker_processes"};

[[nodiscard]] bool must_not_be_below_primary(std::string_view name);

/// One of these, as it runs and as it will after a restart.
struct SettingMove {
    std::string name;
    std::int64_t from = 0;
    std::int64_t to = 0;

    [[nodiscard]] bool raises() const { return to > from; }

    [[nodiscard]] bool lowers() const { return to < from; }

    friend bool operator==(const SettingMove&, const SettingMove&) = default;
};

/// What a restart of this member moves: by Patroni's own reason for it (3.3.0 and later), else by
/// the dynamic configuration beside what runs. Empty where nothing is pending.
[[nodiscard]] std::vector<SettingMove> moves_of_restart(const ClusterFacts& facts,
                                                        const MemberFacts& member);

/// What the member runs with; nullopt: not known.
[[nodiscard]] std::optional<std::int64_t> running_number(const MemberFacts& member,
                                                         const std::string& name);

/// Why this member's restart would be out of order by what the others run with now; empty: it is
/// in order.
[[nodiscard]] std::string out_of_order(const ClusterFacts& facts, const MemberFacts& member);

}  // namespace lockstep
