#pragma once

#include "cluster/facts.hpp"

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string>
#include <vector>

/// Why pg_wal of a member is as large as it is. Pure: facts in, explanation out.
namespace lockstep {

/// One reason why WAL is kept.
struct WalHolder {
    /// slot | keep_size | archiving | base_backup | checkpoint (what a restart would need) |
    /// leftover (what nothing holds any more) | reuse (recycled for the future)
    std::string kind;
    std::string name;  ///< of the slot
    std::string text;  ///< `the slot legacy: serves nobody that is known, inactive`
    /// From where it stands to the member's position; of reuse and leftover their own size.
    std::optional<std::int64_t> bytes;
    bool wrong = false;    ///< it is not as it should be
    bool decides = false;  ///< has to go first, or nothing is released; several: all of them
};

struct WalExplanation {
    std::string member;
    std::string unknown;  ///< why nothing is known; the rest is empty then
    std::int64_t bytes = 0;
    std::int64_t files = 0;
    std::vector<WalHolder> holders;  ///< the largest first
    std::int64_t releases = 0;       ///< bytes that go when the deciding one lets go
    std::string verdict;             ///< a sentence
    std::string remedy;              ///< empty: nothing to do

    [[nodiscard]] const WalHolder* decider() const;
    [[nodiscard]] nlohmann::json to_json() const;
};

/// Of one member, or of all.
[[nodiscard]] WalExplanation explain_wal(const ClusterFacts& facts, const MemberFacts& member);
[[nodiscard]] std::vector<WalExplanation> explain_wal(const ClusterFacts& facts);

}  // namespace lockstep
