#pragma once

#include "engine/knowledge/judgement.hpp"

#include <optional>
#include <string>
#include <vector>

/// What is known of the states that a plan leads through, and of where it ends.
namespace lockstep {

/// Follows a plan from state to state. What was so before the plan is not held against it.
class PathJudgement {
  public:
    /// States are compared with `start`, which must outlive this object. The path begins at `from`:
    /// for a plan that is the start, for its way back the state in which the plan ends.
    PathJudgement(const Knowledge& knowledge, const ClusterFacts& start, ClusterFacts from);

    /// `facts` as they will be once `step` is done.
    void after(const std::string& step, const ClusterFacts& facts);

    struct Verdict {
        std::vector<Finding> refusals;  ///< each can be accepted by name
        std::vector<Finding> advice;    ///< what a person should know first
    };

    /// Judges the whole path, with `end` as its last state: what it passes through, what it stays
    /// in, and the changes of versions that it makes.
    [[nodiscard]] Verdict conclude(const ClusterFacts& end);

    /// A second path that is compared with the same start, and on which nothing was judged yet.
    [[nodiscard]] PathJudgement another(ClusterFacts from) const;

    /// Whether the cluster was paused in any of the states.
    [[nodiscard]] bool was_paused() const { return was_paused_; }

  private:
    struct Seen {
        KnownIssue issue;
        std::string after;  ///< the first step that leads there
        bool harmless = false;
    };

    [[nodiscard]] bool is_new(const KnownIssue& issue) const;
    void judge_states(const std::vector<KnownIssue>& at_end, Verdict& verdict) const;
    void note_changes(const ClusterFacts& facts);
    void judge_changes(Verdict& verdict) const;
    void judge_target(const ClusterFacts& end, Verdict& verdict) const;

    const Knowledge& knowledge_;
    const ClusterFacts& start_;
    ClusterFacts last_;                               ///< the state judged last
    std::optional<std::vector<KnownIssue>> at_last_;  ///< what is known of it
    std::vector<KnownIssue> before_;
    std::vector<Seen> passed_;
    std::vector<KnownIssue> open_before_;  ///< not decided, at the start
    std::vector<KnownIssue> open_;         ///< the same of states on the way
    std::vector<KnownIssue>
        changes_;  ///< of versions, each judged in the state that it was made in
    std::optional<VersionChange> first_change_;
    bool was_paused_ = false;
};

/// Another way to `target`, or another target, that nothing critical is known of: an order, a
/// version in between, or the nearest of the versions that every member can install. In a sentence;
/// empty when there is none.
[[nodiscard]] std::string propose_way(const Knowledge& knowledge,
                                      const ClusterFacts& start,
                                      const std::string& target);

}  // namespace lockstep
