#include "tests/scenarios/simulation.hpp"

#include "tests/scenarios/world.hpp"

#include <sstream>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

/// Runbooks of the kind that people write, made up at random, in a world in which things take time
/// and go wrong.
class Simulation : public World, protected Simulated {
  protected:
    Simulation() : Simulated(World::runner, World::journal, World::clock) {
        for (const char* action : {"hold", "release"}) {
            runner.previews[action] = [within = runner.previews.at(action)](
                                          const StepCall& call, const ClusterFacts& seen) {
                Preview preview = within(call, seen);
                preview.acts_within = 5s;
                return preview;
            };
        }
        // Somebody has to see it, since nothing else tells whether it was done.
        runner.previews["fragile"] = [](const StepCall&, const ClusterFacts&) {
            Preview preview;
            preview.no_way_back = "it is a script";
            return preview;
        };
        describe_pause();
        describe_members();
        runner.judge = [](const ClusterFacts& seen) {
            std::vector<Finding> found;
            for (const MemberFacts& member : seen.members) {
                if (member.api.failed()) {
                    found.push_back({.id = "member.unreachable",
                                     .severity = Severity::critical,
                                     .member = member.name,
                                     .message = member.name + " does not answer"});
                }
            }
            return found;
        };
    }

    void prepare(Chance& chance, Course& course) override {
        runner.facts = at_start_;
        happened.clear();
        broken.clear();
        state.reset();
        const std::string text = make_runbook(chance);
        const std::string head = make_head(chance);
        course.told = {head + text};
        planned_.emplace(plan(text, head));
        EXPECT_TRUE(planned_->ready());
        runner.engine_died();
    }

    RunEnd begin(std::stop_token stop) override { return run(*planned_, std::move(stop)); }

    RunEnd take_up(bool back, const TakeUp& by, std::stop_token stop) override {
        return back ? World::take_up(roll_back_run, by, std::move(stop))
                    : resume(by, std::move(stop));
    }

    const RunState& record() override { return *state; }

    void become_kind() override {
        broken.clear();
        for (const MemberFacts& member : runner.facts.members) {
            if (is_down(member.name)) {
                comes_up(member.name, member.patroni.installed);
            }
        }
    }

    void more_trouble(Chance& chance, Course& course) override {
        if (chance.one_in(6)) {
            const auto member = chance.one_of<std::string>({"n1", "n2", "n3"});
            if (course.happens("the daemon of " + member + " does not start")) {
                broken = member;
            }
        }
    }

    std::string wrong_at_end(RunPhase phase) override {
        return phase != RunPhase::rolled_back || all_are("old") ? ""
                                                                : "rolled back, and not as it was";
    }

    /// A runbook of the kind that people write: a pause around changes of members, with what may
    /// stand beside it.
    static std::string make_runbook(Chance& chance) {
        std::ostringstream text;
        const auto options = [&] {
            std::string more;
            if (chance.one_in(3)) {
                more += ", timeout: " + chance.one_of<std::string>({"1s", "3s", "20s"});
            }
            if (chance.one_in(4)) {
                more += ", retry: {attempts: 3, delay: 1s}";
            }
            if (chance.one_in(5)) {
                more += ", in_doubt: " + chance.one_of<std::string>({"retry", "fail", "verify"});
            }
            if (chance.one_in(6)) {
                more +=
                    ", on_failure: " + chance.one_of<std::string>({"continue", "rollback", "stop"});
            }
            return more;
        };
        text << "- {id: gate, uses: look}\n- {id: hold, uses: hold" << options() << "}\n";
        text << "- id: replicas\n  on: replicas\n";
        if (chance.one_in(3)) {
            text << "  strategy: {batch: all}\n";
        }
        text << "  steps: [{id: change, uses: change" << options()
             << "}, {id: seen, uses: look}]\n";
        if (chance.one_in(3)) {
            text << "- {id: script, on: n2, uses: fragile, undo: none" << options() << "}\n";
        }
        if (!chance.one_in(4)) {
            text << "- {id: leader, on: leader, uses: change" << options() << "}\n";
        }
        text << "- {id: release, uses: release}\n- {id: end, uses: look}\n";
        return text.str();
    }

    static std::string make_head(Chance& chance) {
        std::string head;
        if (chance.one_in(2)) {
            head += "on_failure: rollback\n";
        }
        if (chance.one_in(4)) {
            head += "always: [{id: told, uses: look}]\n";
        }
        if (chance.one_in(4)) {
            head += "guards: [leader_unchanged, postgres_not_restarted]\n";
        }
        return head;
    }

  private:
    void describe_pause() {
        // Also of an engine that is dead by now: whoever looks has to see whose pause it is.
        for (const bool paused : {true, false}) {
            runner.workers[paused ? "hold" : "release"] = [this, paused](const StepCall&,
                                                                         ClusterFacts&) {
                EXPECT_TRUE(!paused || !runner.lock_sign.empty())
                    << "a pause that no lock speaks of";
                paused ? pause(true) : lift_pause();
                StepResult result{.message = "done"};
                result.learned = [paused](ClusterFacts& facts) { facts.paused = paused; };
                return result;
            };
        }
    }

    /// A daemon that does not start leaves its member without one until it is taken back. What acts
    /// on a daemon asks it once more for the pause, and changes nothing without.
    void describe_members() {
        for (const char* action : {"change", "revert"}) {
            runner.workers[action] = [this, within = runner.workers.at(action)](
                                         const StepCall& call, ClusterFacts& now) {
                if (!now.paused && meddled()) {
                    return StepResult{.outcome = StepOutcome::failed, .message = "not paused"};
                }
                StepResult result = within(call, now);
                if (result.outcome == StepOutcome::failed) {
                    goes_down(call.member);
                } else {
                    comes_up(call.member, now.find(call.member)->patroni.installed);
                }
                return result;
            };
        }
    }

    const ClusterFacts at_start_ = runner.facts;
    std::optional<Plan> planned_;
};

TEST_F(Simulation, OfRandomCoursesNeverActsUnseen) {
    try_seeds(1500, 35s);
}

}  // namespace
}  // namespace lockstep
