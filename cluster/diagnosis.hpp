#pragma once

#include "cluster/facts.hpp"
#include "cluster/finding.hpp"
#include "inventory/inventory.hpp"

#include <optional>
#include <vector>

/// From facts to findings. Pure: no I/O, no clock. Everything that Patroni or PostgreSQL do is
/// cited with its source where it is used.
namespace lockstep {

/// The slot that Patroni keeps for a member: lower case, `-` and `.` as `_`, any other character as
/// its code point, cut to 63.
[[nodiscard]] std::string slot_name_of(std::string_view member);

/// Says of every slot whom it serves: by the members' names and the `slots` of the configuration.
void classify_slots(ClusterFacts& facts);

/// Whether nothing is connected to it and it holds a segment of WAL or more.
[[nodiscard]] bool holds_idle_wal(const MemberFacts& member, const SlotFacts& slot);

/// Whether a person may decide that this slot goes: not one that is read, that Patroni keeps or
/// makes anew, or that PostgreSQL copies from the leader.
[[nodiscard]] bool may_be_dropped(const SlotFacts& slot);

/// Slots that may be stuck: inactive, and holding at least one WAL segment. A healthy 4.x cluster
/// has none for long, although each of its replicas has inactive slots: those advance.
[[nodiscard]] bool has_suspicious_slots(const ClusterFacts& facts);

/// How far apart two samples must be for a slot that has not moved to be stuck: three loops, for
/// slots are advanced once in a loop and may trail by two (Patroni 4.0.3, #3181).
[[nodiscard]] std::chrono::milliseconds stuck_interval(const ClusterFacts& facts);

/// Sets `stuck` on the slots of `later` that `earlier` shows unmoved. Needs both samples that far
/// apart, or an `earlier` that had decided about every suspicious slot; else it returns false, and
/// nothing is decided.
bool mark_stuck_slots(ClusterFacts& later, const ClusterFacts& earlier);

/// The same with an older sample, taken at any time: sets `stuck` where the sample decides, and
/// returns whether it decides for every suspicious slot. Samples of another system, or of before a
/// start of PostgreSQL, decide nothing.
bool settle_by_earlier(ClusterFacts& now, const ClusterFacts& earlier);

/// Whether addresses of one inventory entry, and members over SSH, tell of different clusters, or
/// of one cluster in different states: by members and where they are, leader, scope, system
/// identifier. What one does not tell is no difference.
[[nodiscard]] bool endpoints_disagree(const ClusterFacts& facts);

/// That as a finding. It blocks every change: which cluster would be changed is not known.
[[nodiscard]] std::optional<Finding> contradiction_of(const ClusterFacts& facts);

/// Members whose host, asked over SSH, is not the one that REST names: by name and scope of its
/// Patroni's configuration, by the system identifier that its PostgreSQL tells, or because one
/// daemon was found under two names. And those for which Patroni publishes what is no address.
/// Block every change as well. A host that does not tell who it is contradicts nobody.
[[nodiscard]] std::vector<Finding> mistaken_members(const ClusterFacts& facts);

/// All of these: nobody may be changed while there is one, and nobody can accept it.
[[nodiscard]] std::vector<Finding> contradictions(const ClusterFacts& facts);

/// Whether nobody but its own host can ask there: `http://127.0.0.1:8008`.
[[nodiscard]] bool is_loopback_url(std::string_view url);

/// Every finding but what is known of versions (engine/knowledge), worst first, then by member.
/// `expected` names what the inventory says must exist.
[[nodiscard]] std::vector<Finding> diagnose(const ClusterFacts& facts, const Cluster& expected);

/// Whether the dynamic configuration has a permanent physical slot that is no member's.
[[nodiscard]] bool has_permanent_physical_slots(const ClusterFacts& facts);

/// `use_slots` of the configuration; on where it is not known.
[[nodiscard]] bool uses_slots(const ClusterFacts& facts);

/// Whether Patroni keeps slots for members on replicas at all: `use_slots` is not off, and
/// `member_slots_ttl` (Patroni 4.0+) not 0.
[[nodiscard]] bool keeps_member_slots(const ClusterFacts& facts);

/// `member_slots_ttl` of the dynamic configuration is 0, which 4.x obeys and 3.x does not know.
[[nodiscard]] bool member_slots_ttl_is_zero(const ClusterFacts& facts);

}  // namespace lockstep
