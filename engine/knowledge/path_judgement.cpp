#include "engine/knowledge/path_judgement.hpp"

#include "cluster/diagnosis_rules.hpp"

#include <algorithm>
#include <optional>

namespace lockstep {

namespace {

/// Everything of a state that can change on the way and that rows depend on.
/// Most steps change nothing that any row asks about; comparing this is cheaper than judging again.
std::string essence(const ClusterFacts& facts) {
    std::string text = facts.config.dump() + (facts.paused ? "paused" : "") + facts.leader;
    for (const MemberFacts& member : facts.members) {
        text += "\n" + member.name + " " + member.patroni.running;
        for (const SlotFacts& slot : member.slots.value_or(std::vector<SlotFacts>{})) {
            text += " " + slot.name;
        }
    }
    return text;
}

/// Under a pause nothing fails over, so a row that is about a failover can do no damage meanwhile.
bool is_harmless(const KnowledgeRow& row, bool paused) {
    return row.passing == Passing::harmless || (row.passing == Passing::paused && paused);
}

/// By what runs, not by what is installed: a package without a restart has changed no behaviour
/// yet.
std::vector<VersionChange> changes_between(const ClusterFacts& start, const ClusterFacts& end) {
    std::vector<VersionChange> changes;
    for (const MemberFacts& member : start.members) {
        const MemberFacts* then = end.find(member.name);
        if (then != nullptr && !member.patroni.running.empty() && !then->patroni.running.empty() &&
            member.patroni.running != then->patroni.running) {
            changes.push_back({member.name, member.patroni.running, then->patroni.running});
        }
    }
    return changes;
}

bool is_sure(const KnownIssue& issue) {
    return issue.undecided.empty() && issue.row->ask.empty();
}

std::string accept_hint(const Finding& finding) {
    return " To do it all the same: --accept " + finding.id + ":" + finding.subject +
           " --reason \"…\".";
}

/// What the facts do not tell is said once, not row by row.
Finding not_judged(const std::vector<KnownIssue>& open, const VersionChange& change) {
    std::vector<std::string> rows;
    std::vector<std::string> reasons;
    for (const KnownIssue& issue : open) {
        if (std::ranges::find(rows, issue.row->id) == rows.end()) {
            rows.push_back(issue.row->id);
        }
        if (std::ranges::find(reasons, issue.undecided) == reasons.end()) {
            reasons.push_back(issue.undecided);
        }
    }
    return {.id = "patroni.known_issue",
            .severity = Severity::info,
            .subject = "not-judged",
            .message = "whether these matter could not be judged: " + rules::join_names(rows) +
                       ", because " + rules::join_names(reasons),
            .remedy =
                "Read them in `lockstep knowledge --for " + change.from + ".." + change.to + "`."};
}

/// The version that the plan brings all members to; empty: they stay apart.
/// Only with one target a way can be proposed.
std::string common_target(const ClusterFacts& end) {
    std::string target;
    for (const MemberFacts& member : end.members) {
        if (!target.empty() && member.patroni.running != target) {
            return {};
        }
        target = member.patroni.running;
    }
    return target;
}

}  // namespace

/// What is known of the start is split at once: sure issues excuse the same later, open ones only
/// keep the same doubt from being told as new.
PathJudgement::PathJudgement(const Knowledge& knowledge,
                             const ClusterFacts& start,
                             ClusterFacts from)
    : knowledge_(knowledge),
      start_(start),
      last_(std::move(from)),
      before_(known_of_state(knowledge, start)) {
    const auto open = std::partition(before_.begin(), before_.end(), is_sure);
    open_before_.assign(open, before_.end());
    before_.erase(open, before_.end());
}

PathJudgement PathJudgement::another(ClusterFacts from) const {
    PathJudgement other = *this;
    other.last_ = std::move(from);
    other.at_last_.reset();
    other.passed_.clear();
    other.open_.clear();
    other.changes_.clear();
    other.first_change_.reset();
    other.was_paused_ = false;
    return other;
}

bool PathJudgement::is_new(const KnownIssue& issue) const {
    return std::ranges::find(before_, issue) == before_.end();
}

/// A state is passed even where the next step mends it: refused or harmless is decided here, by how
/// it was at that moment, and the worst sight of it counts.
void PathJudgement::after(const std::string& step, const ClusterFacts& facts) {
    was_paused_ = was_paused_ || facts.paused;
    if (essence(facts) == essence(last_)) {
        return;
    }
    note_changes(facts);
    last_ = facts;
    at_last_ = known_of_state(knowledge_, facts);
    for (const KnownIssue& issue : *at_last_) {
        if (!is_new(issue)) {
            continue;
        }
        if (!is_sure(issue)) {
            const bool known = std::ranges::find(open_, issue) != open_.end() ||
                               std::ranges::find(open_before_, issue) != open_before_.end();
            if (!known && issue.row->severity != Severity::info) {
                open_.push_back(issue);
            }
            continue;
        }
        const bool harmless = is_harmless(*issue.row, facts.paused);
        const auto known = std::ranges::find(passed_, issue, &Seen::issue);
        if (known == passed_.end()) {
            passed_.push_back({issue, step, harmless});
        } else if (known->harmless && !harmless) {
            known->after = step;
            known->harmless = false;
        }
    }
}

/// Critical and staying is refused; critical and passing only where it is not harmless meanwhile.
/// What passes harmlessly is told, without a remedy, since there is nothing to do.
void PathJudgement::judge_states(const std::vector<KnownIssue>& at_end, Verdict& verdict) const {
    for (const Seen& seen : passed_) {
        const bool stays = std::ranges::find(at_end, seen.issue) != at_end.end();
        Finding finding = seen.issue.to_finding();
        const bool refused = finding.severity == Severity::critical && (stays || !seen.harmless);
        finding.message = "after " + seen.after + ", " + finding.message;
        if (refused) {
            finding.message += stays ? "; and it would stay so" : "";
            finding.remedy += accept_hint(finding);
            verdict.refusals.push_back(std::move(finding));
            continue;
        }
        if (!stays) {
            finding.severity = Severity::info;
            finding.message += ". That is over when the run is";
            finding.message += seen.harmless && seen.issue.row->passing == Passing::paused
                                   ? ", and the cluster is paused meanwhile"
                                   : "";
            finding.remedy.clear();
        }
        verdict.advice.push_back(std::move(finding));
    }
}

/// With the configuration as it is when the version changes: a step before it may have made it fit.
void PathJudgement::note_changes(const ClusterFacts& facts) {
    const std::vector<VersionChange> changes = changes_between(last_, facts);
    if (!changes.empty() && !first_change_) {
        first_change_ = changes.front();
    }
    for (KnownIssue& issue : known_of_changes(knowledge_, last_, changes)) {
        const auto known = std::ranges::find(
            changes_, issue.row, [](const KnownIssue& other) { return other.row; });
        if (known == changes_.end()) {
            changes_.push_back(std::move(issue));
        } else if (!known->undecided.empty() && issue.undecided.empty()) {
            *known = std::move(issue);  // where it is sure
        }
    }
}

/// Undecided rows are told together, and only for a plan that changes a version.
void PathJudgement::judge_changes(Verdict& verdict) const {
    std::vector<KnownIssue> open = first_change_ ? open_ : std::vector<KnownIssue>{};
    for (const KnownIssue& issue : changes_) {
        const bool asks = !issue.row->ask.empty();
        if (!issue.undecided.empty()) {
            if (issue.row->severity != Severity::info) {
                open.push_back(issue);
            }
            continue;
        }
        Finding finding = issue.to_finding();
        finding.member.clear();  // one of many: it is about the change
        if (finding.severity == Severity::critical) {
            finding.remedy += accept_hint(finding);
            verdict.refusals.push_back(std::move(finding));
        } else if (!asks || issue.row->severity != Severity::info) {
            finding.severity = std::min(issue.row->severity, Severity::warning);
            verdict.advice.push_back(std::move(finding));
        }
    }
    if (!open.empty()) {
        verdict.advice.push_back(not_judged(open, *first_change_));
    }
}

/// The version that all are brought to may be half of a bad pair with one that is run now: a member
/// that goes back to that, alone, would be in it. Said once, unless the way there says it.
void PathJudgement::judge_target(const ClusterFacts& end, Verdict& verdict) const {
    const std::string target = first_change_ ? common_target(end) : std::string();
    if (target.empty()) {
        return;
    }
    for (const MemberFacts& member : start_.members) {
        const std::string& old = member.patroni.running;
        if (old.empty() || old == target || end.find(member.name) == nullptr) {
            continue;
        }
        ClusterFacts mixed = end;
        mixed.find(member.name)->patroni.running = old;
        for (const KnownIssue& issue : known_of_state(knowledge_, mixed)) {
            const bool said =
                std::ranges::any_of(
                    passed_, [&](const Seen& seen) { return seen.issue.row == issue.row; }) ||
                std::ranges::any_of(verdict.advice, [&](const Finding& other) {
                    return other.subject == issue.row->id;
                });
            if (said || !issue.row->of_a_pair() || !is_sure(issue) ||
                issue.row->severity != Severity::critical) {
                continue;
            }
            verdict.advice.push_back(
                {.id = issue.row->finding_id(),
                 .severity = Severity::info,
                 .subject = issue.row->id,
                 .message = target + " is half of a bad pair with " + old + ", which " +
                            member.name + " runs now. With both side by side " + issue.row->symptom,
                 .remedy = "Take no single member back to " + old +
                           ", or choose a target of which that is not known.",
                 .source = issue.row->source});
        }
    }
}

/// A way around is looked for only after a refusal, since that judges many states that no plan
/// leads to.
PathJudgement::Verdict PathJudgement::conclude(const ClusterFacts& end) {
    Verdict verdict;
    after("the last step", end);
    judge_states(at_last_ ? *at_last_ : known_of_state(knowledge_, end), verdict);
    judge_changes(verdict);
    judge_target(end, verdict);
    if (!verdict.refusals.empty()) {
        const std::string way = propose_way(knowledge_, start_, common_target(end));
        if (!way.empty()) {
            verdict.refusals.front().remedy = way + " " + verdict.refusals.front().remedy;
        }
    }
    sort_worst_first(verdict.advice);
    return verdict;
}

namespace {

void set_version(MemberFacts& member, const std::string& version) {
    member.patroni.running = version;
    member.patroni.installed = version;
}

/// Whether nothing critical is known of taking all members to `target`, one after the other, while
/// the cluster is paused. `facts` are left as they are then.
bool is_clean(const Knowledge& knowledge,
              ClusterFacts& facts,
              const std::string& target,
              bool leader_first) {
    const ClusterFacts start = facts;
    const std::vector<KnownIssue> before = known_of_state(knowledge, start);
    const auto is_bad = [&](const KnownIssue& issue, bool passing) {
        return issue.row->severity == Severity::critical && is_sure(issue) &&
               std::ranges::find(before, issue) == before.end() &&
               !(passing && is_harmless(*issue.row, true));
    };
    const auto has_bad = [&](const std::vector<KnownIssue>& issues, bool passing) {
        return std::ranges::any_of(issues,
                                   [&](const KnownIssue& issue) { return is_bad(issue, passing); });
    };
    for (const bool leader : {leader_first, !leader_first}) {
        for (MemberFacts& member : facts.members) {
            if ((member.name == facts.leader) == leader) {
                set_version(member, target);
                if (has_bad(known_of_state(knowledge, facts), true)) {
                    return false;
                }
            }
        }
    }
    return !has_bad(known_of_state(knowledge, facts), false) &&
           !has_bad(known_of_changes(knowledge, start, changes_between(start, facts)), false);
}

/// Upstream versions that every member can install, oldest first.
std::vector<PackageVersion> candidates(const ClusterFacts& facts) {
    std::vector<PackageVersion> common;
    for (std::size_t n = 0; n < facts.members.size(); ++n) {
        std::vector<PackageVersion> here;
        for (const std::string& version : facts.members[n].patroni.available) {
            try {
                here.emplace_back(PackageVersion(version).upstream());
            } catch (const Error&) {
                continue;  // what no version can be installed by cannot be proposed
            }
        }
        const auto missing = [&](const PackageVersion& version) {
            return std::ranges::find(here, version) == here.end();
        };
        if (n == 0) {
            common = here;
        } else {
            std::erase_if(common, missing);
        }
    }
    std::ranges::sort(common);
    common.erase(std::unique(common.begin(), common.end()), common.end());
    return common;
}

}  // namespace

/// In the order of what costs least: the same target in another order, a hop that the members can
/// install, then another target.
std::string propose_way(const Knowledge& knowledge,
                        const ClusterFacts& start,
                        const std::string& target) {
    if (target.empty()) {
        return {};
    }
    ClusterFacts facts = start;
    if (is_clean(knowledge, facts, target, true)) {
        return "Nothing is known against the leader going first, the replicas after it.";
    }
    const std::vector<PackageVersion> versions = candidates(start);
    const auto command = [](const std::string& version) {
        return "`lockstep run patroni-upgrade --set target=" + version + "`";
    };
    for (auto hop = versions.rbegin(); hop != versions.rend(); ++hop) {
        ClusterFacts on_the_way = start;
        if (hop->text() != target && is_clean(knowledge, on_the_way, hop->text(), false) &&
            is_clean(knowledge, on_the_way, target, false)) {
            return "Go over " + hop->text() + ": " + command(hop->text()) + " first, then " +
                   command(target) + ".";
        }
    }
    const PackageVersion wanted(target);
    std::optional<PackageVersion> nearest;
    for (const PackageVersion& version : versions) {
        ClusterFacts there = start;
        if (version != wanted && is_clean(knowledge, there, version.text(), false) &&
            (!nearest || *nearest < wanted)) {  // the first above it, else the last below
            nearest = version;
        }
    }
    return nearest ? "Of the versions that the members can install, " + nearest->text() +
                         " has nothing critical known against it."
                   : std::string();
}

}  // namespace lockstep
