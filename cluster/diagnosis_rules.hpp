#pragma once

#include "cluster/diagnosis.hpp"

#include <string>
#include <string_view>
#include <vector>

/// The groups of rules that diagnose() is made of. Each adds its findings to the list.
namespace lockstep::rules {

using Findings = std::vector<Finding>;

/// Patroni's and PostgreSQL's versions: running, installed, side by side.
void versions(const ClusterFacts& facts, Findings& found);
/// WAL and disk of every member.
void storage(const ClusterFacts& facts, Findings& found);

/// Slots that are stuck, lost, or kept for members that are away.
void slot_findings(const ClusterFacts& facts, Findings& found);
/// `ignore_slots` of the dynamic configuration matches it: Patroni leaves it alone.
[[nodiscard]] bool is_ignored_slot(const ClusterFacts& facts, const SlotFacts& slot);
/// The member for whom a slot of that name is kept; empty: nobody knows one.
[[nodiscard]] std::string absent_member_of(const ClusterFacts& facts, std::string_view slot);

/// `serves the member n2`, after a slot's name.
[[nodiscard]] std::string slot_service(const ClusterFacts& facts, const SlotFacts& slot);
/// What to do about one that is stuck.
[[nodiscard]] std::string slot_remedy(const ClusterFacts& facts,
                                      const MemberFacts& member,
                                      const SlotFacts& slot);

/// Whether its reader is at the end, and a transaction that is still open holds it.
[[nodiscard]] bool is_held_by_a_transaction(const MemberFacts& member, const SlotFacts& slot);
/// What to do about an active slot that is behind.
[[nodiscard]] std::string reader_remedy(const MemberFacts& member, const SlotFacts& slot);

/// What to do about the WAL that a slot holds.
[[nodiscard]] std::string slot_holds_wal(const ClusterFacts& facts,
                                         const MemberFacts& member,
                                         const SlotFacts& slot);

/// Endpoints that contradict each other, are silent, or are no member's; members that are missing;
/// addresses that members publish and nobody can use.
void endpoints(const ClusterFacts& facts, const Cluster& expected, Findings& found);
/// What Patroni says of a member's PostgreSQL (postgresql/__init__.py, 2.1 to 4.1); of one whose
/// Patroni does not answer nothing is known, and that is another finding.
enum class PostgresState { runs, created, starting, down };
[[nodiscard]] PostgresState postgres_state(const MemberFacts& member);
/// By Patroni's word alone, whoever it comes from.
[[nodiscard]] PostgresState postgres_state(std::string_view word);

/// Whether Patroni publishes an address for the API of this member that cannot be its own.
[[nodiscard]] bool has_useless_api_url(const ClusterFacts& facts, const MemberFacts& member);

/// What answers and what does not, and who has lost the DCS.
void reachability(const ClusterFacts& facts, const Cluster& expected, Findings& found);
/// Hosts that are not whom REST names.
void identities(const ClusterFacts& facts, Findings& found);
/// Units, programs and other Patronis of the hosts, which a change could reach.
void hosts(const ClusterFacts& facts, const Cluster& expected, Findings& found);
/// Parameters of PostgreSQL: waiting for a restart, different between members, and other than the
/// configuration file says.
void settings(const ClusterFacts& facts, Findings& found);

/// What runs of lockstep left behind: a lock that nobody renews, commands that nobody waits for.
void leftovers(const ClusterFacts& facts, Findings& found);

/// `4.0.7` of `4.0.7-3~deb13u1`, `1:4.0.7+ds-1` and `4.0.7-1PGDG.rhel9`; empty when it is no
/// version.
[[nodiscard]] std::string plain_upstream(std::string_view version);

/// `4 min ago`.
[[nodiscard]] std::string ago(std::int64_t seconds);

/// `n1`, `n1 and n2`, `n1, n2 and n3`.
[[nodiscard]] std::string join_names(const std::vector<std::string>& names);

}  // namespace lockstep::rules
