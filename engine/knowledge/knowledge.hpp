#pragma once

/// engine/knowledge/: what is known of versions, from release notes, issues, the source and trials.
/// It is data, in knowledge.yaml, whose head says how a row is written. judgement.hpp applies it to
/// a cluster and to a change, path_judgement.hpp to every state of a plan. What is wrong whatever
/// the versions are is found by cluster/diagnosis.hpp. Read knowledge.yaml first, then
/// judgement.cpp.

#include "base/error.hpp"
#include "cluster/finding.hpp"
#include "engine/expression/expression.hpp"
#include "engine/knowledge/version_range.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// What makes a state that is only passed through on the way harmless.
enum class Passing {
    harmful,   ///< nothing
    paused,    ///< that the cluster is paused: it is about a failover
    harmless,  ///< that it is over soon: it needs time to do damage
};

struct KnowledgeRow {
    std::string id;  ///< stable, for `--accept patroni.known_issue:ID`
    Severity severity = Severity::warning;

    // Of a state. `leader` alone is about whoever leads, `leader` and `replica` about two side by
    // side, `member` about anyone, `beside` about another one beside it.
    std::optional<VersionRange> leader;
    std::optional<VersionRange> replica;
    std::optional<VersionRange> member;
    std::optional<VersionRange> beside;
    // Of a change: of one member's Patroni, from one version to another. Either may stand alone.
    std::optional<VersionRange> from;
    std::optional<VersionRange> to;

    std::optional<VersionRange> postgres;  ///< what the member runs
    std::optional<Expression> when;        ///< what else must be so, by the facts
    std::string ask;  ///< what else must be so and cannot be observed: the row is an advice
    Passing passing = Passing::harmful;
    std::string finding;  ///< id of the finding; empty: the usual one for its shape

    std::string symptom;
    std::string remedy;
    std::string source;

    [[nodiscard]] bool of_a_change() const { return from || to; }

    [[nodiscard]] bool of_a_pair() const { return replica || beside; }

    [[nodiscard]] std::string finding_id() const;
    /// Which versions, in words: `leader < 4.0.0, replica 4.0.0 - 4.0.2`.
    [[nodiscard]] std::string versions_text() const;

    /// Whether it can say something on the way between two versions: before, after, or meanwhile,
    /// with one of both on the leader and the other on a replica.
    [[nodiscard]] bool matters(std::string_view from_version, std::string_view to_version) const;

    [[nodiscard]] nlohmann::json to_json() const;
};

using Knowledge = std::vector<KnowledgeRow>;

/// What is compiled in. Parsed at the first call.
[[nodiscard]] const Knowledge& shipped_knowledge();

/// Throws InputError with `file:line:column`.
[[nodiscard]] Knowledge parse_knowledge(std::string_view text, const std::string& file_name);

}  // namespace lockstep
