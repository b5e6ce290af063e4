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
/// Slots, WAL and disk of every member.
void storage(const ClusterFacts& facts, Findings& found);

/// `serves the member n2`, after a slot's name.
[[nodiscard]] std::string slot_service(const ClusterFacts& facts, const SlotFacts& slot);
/// What to do about one that is stuck.
[[nodiscard]] std::string slot_remedy(const ClusterFacts& facts,
                                      const MemberFacts& member,
                                      const SlotFacts& slot);

/// What answers and what does not, and who has lost the DCS.
void reachability(const ClusterFacts& facts, const Cluster& expected, Findings& found);
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
