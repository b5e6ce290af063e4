#include "engine/plan/way_back.hpp"

#include "engine/plan/binding.hpp"

#include <algorithm>

namespace lockstep {

namespace {

class WayBackJudge {
  public:
    WayBackJudge(Plan& plan,
                 const ActionCatalog& actions,
                 StepRunner& runner,
                 const WayBackFrom& from)
        : plan_(plan), actions_(actions), runner_(runner), from_(from) {}

    std::vector<Finding> judge() {
        const std::vector<PlannedStep*> way = way_back();
        if (way.empty()) {
            return {};
        }
        PathJudgement straight = from_.path.another(from_.end);
        const ClusterFacts end = go_back(way, straight);
        Reconciliation mended = runner_.reconcile(end);
        if (changes_versions()) {
            refusals_ = std::move(mended.refusals);
        } else {
            for (const Finding& refusal : mended.refusals) {
                advise_no_way_back(refusal.member,
                                   refusal.message,
                                   "Bring the members to one version first: `lockstep check " +
                                       plan_.cluster + "` says to which.");
            }
        }
        bool placed = false;
        for (const Undo& undo : mended.calls) {
            placed = place(undo, way, end) || placed;
        }
        if (!placed) {
            apply_knowledge(straight, end);
            return std::move(refusals_);
        }
        PathJudgement with_mending = from_.path.another(from_.end);
        const ClusterFacts there = go_back(way, with_mending);
        apply_knowledge(with_mending, there);
        return std::move(refusals_);
    }

  private:
    /// Whether a member is to run another version, or have it installed. If not, the way back
    /// leads to no pair that the plan did not begin with.
    [[nodiscard]] bool changes_versions() const {
        return std::ranges::any_of(from_.end.members, [this](const MemberFacts& later) {
            const MemberFacts* before = plan_.facts.find(later.name);
            return before == nullptr || before->patroni.running != later.patroni.running ||
                   before->patroni.installed != later.patroni.installed;
        });
    }

    void advise_no_way_back(const std::string& member, const std::string& why, std::string remedy) {
        plan_.advice.push_back(
            {.id = "rollback.bad_pair",
             .severity = Severity::warning,
             .member = member,
             .subject = "refused",
             .message = "while " + member +
                        " runs another version than the leader, this run is not taken back: that "
                        "would leave a pair which must not stand side by side, and the way back "
                        "cannot mend it, for " +
                        why,
             .remedy = std::move(remedy)});
    }

    /// The steps that a rollback would take back, newest first.
    [[nodiscard]] std::vector<PlannedStep*> way_back() {
        std::vector<PlannedStep*> way;
        for (std::size_t i = plan_.steps.size(); i-- > 0;) {
            PlannedStep& step = plan_.steps[i];
            if (step.verdict != Verdict::wont && !step.always && !step.undo.empty() &&
                !find_action(actions_, step.uses)->temporary) {
                way.push_back(&step);
            }
        }
        return way;
    }

    ClusterFacts go_back(const std::vector<PlannedStep*>& way, PathJudgement& back) {
        ClusterFacts end = from_.end;
        for (const PlannedStep* step : way) {
            for (const Undo& undo : step->whole_undo()) {
                const Preview preview = runner_.preview(call_of(undo, step->id), end);
                if (preview.effect && !find_action(actions_, undo.uses)->temporary) {
                    preview.effect(end);
                    ClusterFacts meanwhile = end;
                    meanwhile.paused = meanwhile.paused || from_.path.was_paused();
                    back.after("the undo of " + step->id, meanwhile);
                }
            }
        }
        return end;
    }

    /// A call that mends where the way back ends goes in the place of the undos of the same thing,
    /// so that a member which the run has not come to is left alone; one of a member that the plan
    /// does not touch goes with the step that takes the leader back, for its going makes the pair.
    /// False: nothing covers it there, so it is none.
    bool place(const Undo& mending, const std::vector<PlannedStep*>& way, const ClusterFacts& end) {
        ClusterFacts meanwhile = end;
        StepCall call = call_of(mending, way.back()->id);
        for (const Hold& hold : from_.holds) {
            hold.effect(meanwhile);
            call.open_temporaries.push_back(hold.action);
        }
        const Preview preview = runner_.preview(call, meanwhile);
        if (!preview.blocked_by.empty()) {
            advise_no_way_back(
                mending.member,
                preview.blocked_by.front().message,
                "Bring the members to one version first: `lockstep run patroni-align-replicas -c " +
                    plan_.cluster + "`.");
            return false;
        }
        bool placed = false;
        PlannedStep* of_leader = nullptr;
        for (PlannedStep* step : way) {
            for (const Undo& own : step->undo) {
                const bool same = same_thing(own, mending);
                if (same) {
                    step->undo_besides.push_back(mending);
                    placed = true;
                    break;
                }
                if (of_leader == nullptr && own.uses == mending.uses &&
                    own.member == plan_.facts.leader) {
                    of_leader = step;
                }
            }
        }
        if (!placed) {
            (of_leader == nullptr ? way.back() : of_leader)->undo_besides.push_back(mending);
        }
        return true;
    }

    /// The same for the way back. Pairs that it would end in were mended or refused already; while
    /// a run that has paused goes back, it is paused.
    void apply_knowledge(PathJudgement& back, const ClusterFacts& end) {
        for (Finding& finding : back.conclude(end).refusals) {
            const auto is_mended = [&](const Finding& other) {
                return other.id == "rollback.bad_pair" && other.member == finding.member;
            };
            if (std::ranges::any_of(refusals_, is_mended)) {
                continue;
            }
            finding.id = "rollback.known_issue";
            finding.message = "on the way back, " + finding.message;
            finding.remedy =
                "To go without a way back: --accept rollback.known_issue:" + finding.subject +
                " --reason \"…\".";
            refusals_.push_back(std::move(finding));
        }
    }

    Plan& plan_;
    const ActionCatalog& actions_;
    StepRunner& runner_;
    const WayBackFrom& from_;
    std::vector<Finding> refusals_;
};

}  // namespace

std::vector<Finding> plan_way_back(Plan& plan,
                                   const ActionCatalog& actions,
                                   StepRunner& runner,
                                   const WayBackFrom& from) {
    return WayBackJudge(plan, actions, runner, from).judge();
}

}  // namespace lockstep
