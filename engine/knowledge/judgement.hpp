#pragma once

#include "cluster/facts.hpp"
#include "engine/knowledge/knowledge.hpp"
#include "inventory/inventory.hpp"

#include <string>
#include <vector>

/// Applies the knowledge to a cluster as it is or will be, and to changes of versions. Pure.
namespace lockstep {

/// A row that holds.
struct KnownIssue {
    const KnowledgeRow* row = nullptr;
    std::string member;  ///< whom it is about; of a pair the replica
    std::string version;
    std::string other;  ///< of a pair: the leader, or who is beside; of several `n2 and n3`
    std::string other_version;
    std::string from;       ///< of a change: the version before
    std::string undecided;  ///< why the facts do not tell whether it holds; empty: it does

    /// The same issue of the same members.
    friend bool operator==(const KnownIssue& a, const KnownIssue& b) {
        return a.row == b.row && a.member == b.member;
    }

    [[nodiscard]] std::string message() const;
    [[nodiscard]] Finding to_finding() const;
};

/// One member's Patroni: what it runs now, and what it will. Upstream versions.
struct VersionChange {
    std::string member;
    std::string from;
    std::string to;
};

/// Rows of states that hold, without those that `ask`.
[[nodiscard]] std::vector<KnownIssue> known_of_state(const Knowledge& knowledge,
                                                     const ClusterFacts& facts);

/// Rows of changes to a version, critical ones, that hold for the version that a member runs
/// already; without those that say what one of `of_state` does.
[[nodiscard]] std::vector<KnownIssue> known_of_running(const Knowledge& knowledge,
                                                       const ClusterFacts& facts,
                                                       const std::vector<KnownIssue>& of_state);

/// Rows of changes that hold, with those that `ask`; one of each, about the first such member.
[[nodiscard]] std::vector<KnownIssue> known_of_changes(const Knowledge& knowledge,
                                                       const ClusterFacts& before,
                                                       const std::vector<VersionChange>& changes);

/// Every finding there is of the cluster as it is: diagnose(), and what is known of its versions.
[[nodiscard]] std::vector<Finding> examine(const ClusterFacts& facts, const Cluster& expected);

}  // namespace lockstep
