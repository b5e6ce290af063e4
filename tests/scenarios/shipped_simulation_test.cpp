#include "engine/knowledge/judgement.hpp"
#include "engine/plan/plan_document.hpp"
#include "steps/actions/condition.hpp"
#include "steps/actions/daemon.hpp"
#include "steps/actions/patroni_requests.hpp"
#include "tests/cli/plan_on.hpp"
#include "tests/scenarios/simulation.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

/// What a shipped runbook plans on the incident: by the real planner, probes and previews.
struct ShippedPlan {
    std::string runbook;
    std::map<std::string, std::string> given;
    std::string version;  ///< package version that its members end with; empty: it changes none
    std::shared_ptr<const Plan> plan = {};
};

struct ShippedFakes {
    FakeRunner runner;
    FakeJournal journal;
    FakeClock clock;
};

/// The shipped runbooks in a world in which things take time and go wrong. Plan, schemas and
/// previews are those of the program; what a member does with a command is a function over the
/// facts, which asks the daemon for the pause once more, as the scripts do.
class ShippedSimulation : public testing::Test, private ShippedFakes, protected Simulated {
  protected:
    ShippedSimulation() : Simulated(runner, journal, clock) {
        for (const ActionSchema& schema : action_catalog()) {
            if (schema.spooled) {
                runner.spooled.push_back(schema.name);
            }
            runner.previews[schema.name] = [](const StepCall& call, const ClusterFacts& seen) {
                return find_action_code(call.uses).preview(call, seen, shipped().cluster);
            };
            runner.workers[schema.name] = [](const StepCall&, ClusterFacts&) {
                return StepResult{.message = "seen"};
            };
        }
        runner.judge = [](const ClusterFacts& seen) { return examine(seen, shipped().cluster); };
        describe_pause();
        describe_packages();
        describe_looks();
    }

    void prepare(Chance& chance, Course& course) override {
        const std::vector<ShippedPlan>& plans = shipped().plans;
        chosen_ = &plans.at(static_cast<std::size_t>(chance.below(static_cast<int>(plans.size()))));
        course.told = {chosen_->runbook};
        runner.facts = chosen_->plan->facts;
        broken_.clear();
        state_.reset();
    }

    RunEnd begin(std::stop_token stop) override {
        RunHeader header;
        header.id = "run";
        header.cluster = chosen_->plan->cluster;
        header.runbook = chosen_->runbook;
        header.plan_hash = chosen_->plan->hash;
        header.started_by = "anna@jump1";
        header.given = chosen_->plan->given;
        const Keeping keeping(*this);
        return start_run(setup(*chosen_->plan), header, std::move(stop));
    }

    RunEnd take_up(bool back, const TakeUp& by, std::stop_token stop) override {
        const RunHeader header = journal.headers.back();
        const Plan restored = restore_plan({header.plan,
                                            chosen_->plan->runbook,
                                            shipped().inventory,
                                            shipped().cluster,
                                            header.given,
                                            header.plan_hash});
        const Keeping keeping(*this);
        return (back ? roll_back_run : resume_run)(
            setup(restored), header, journal.records("run"), by, std::move(stop));
    }

    const RunState& record() override { return *state_; }

    void become_kind() override {
        broken_.clear();
        for (const MemberFacts& member : runner.facts.members) {
            if (is_down(member.name)) {
                start_daemon(member.name);
            }
        }
    }

    void more_trouble(Chance& chance, Course& course) override {
        if (chance.one_in(5)) {
            const auto member = chance.one_of<std::string>({"n1", "n2", "n3"});
            if (course.happens("the new daemon of " + member + " does not start")) {
                broken_ = member;
            }
        }
    }

    std::string wrong_at_end(RunPhase phase) override {
        const ClusterFacts& start = chosen_->plan->facts;
        const std::vector<KnownIssue> before = known_of_state(shipped_knowledge(), start);
        for (const KnownIssue& issue : known_of_state(shipped_knowledge(), runner.facts)) {
            if (!issue.other.empty() && issue.undecided.empty() &&
                issue.row->severity == Severity::critical &&
                std::ranges::find(before, issue) == before.end()) {
                return "it ends on a pair of versions that must not stand side by side";
            }
        }
        for (const MemberFacts& member : runner.facts.members) {
            const std::string& has = member.patroni.installed;
            if (member.patroni.running != upstream_of(has)) {
                return member.name + " does not run what is installed";
            }
            if (phase == RunPhase::succeeded && !chosen_->version.empty() &&
                has != chosen_->version) {
                return "done, and " + member.name + " has " + has;
            }
            if (phase == RunPhase::rolled_back && has == k_target) {
                return "rolled back, and " + member.name + " has " + has;
            }
        }
        const bool relieved = runner.facts.config.contains(k_ttl);
        const bool relieves = chosen_->runbook == "patroni-relieve-wal";
        return relieved == (relieves && phase == RunPhase::succeeded)
                   ? ""
                   : "the configuration is not what the run has said";
    }

  private:
    static constexpr const char* k_target = "4.0.7-3~deb13u1";
    static constexpr const char* k_ttl = "member_slots_ttl";

    /// Planned once: the courses begin with the same plans.
    struct Shipped {
        Shipped() {
            make_incident(world);
            cluster = world.cluster;
            inventory.clusters.push_back(cluster);
            const std::map<std::string, std::string> target{{"target", k_target}};
            plans = {{"patroni-upgrade", target, k_target},
                     {"patroni-upgrade", {{"target", k_target}, {"batch", "all"}}, k_target},
                     {"patroni-align-replicas", {}, "3.2.1-1"},
                     {"patroni-relieve-wal", {}, ""}};
            for (ShippedPlan& each : plans) {
                auto planned = plan_on(world, inventory, each.runbook, each.given);
                for (const Finding& finding : planned.blocked_by) {
                    ADD_FAILURE() << each.runbook << ": " << finding.message;
                }
                each.plan = std::make_shared<const Plan>(std::move(planned));
            }
        }

        FakeCluster world;
        Cluster cluster;
        Inventory inventory;
        std::vector<ShippedPlan> plans;
    };

    static const Shipped& shipped() {
        static const Shipped k_shipped;
        return k_shipped;
    }

    /// What the journal says, whatever way the engine ends.
    class Keeping {
      public:
        explicit Keeping(ShippedSimulation& test) : test_(test) {}

        Keeping(const Keeping&) = delete;
        Keeping& operator=(const Keeping&) = delete;

        ~Keeping() {
            if (!test_.journal.headers.empty()) {
                test_.state_ = std::make_unique<RunState>(test_.journal.headers.back().plan);
                for (const JournalRecord& record : test_.journal.records("run")) {
                    test_.state_->apply(record);
                }
            }
        }

      private:
        ShippedSimulation& test_;
    };

    RunSession::Setup setup(const Plan& planned) {
        return {
            planned, shipped().cluster, action_catalog(), runner, journal, clock, {}, {}, {}, {}};
    }

    void describe_pause() {
        runner.workers["patroni.pause"] = [this](const StepCall&, ClusterFacts& now) {
            EXPECT_NE(runner.lock_sign, "") << "a pause that no lock speaks of";
            for (const MemberFacts& member : now.members) {
                if (member.api.failed() || member.paused) {
                    return StepResult{.outcome = StepOutcome::failed,
                                      .message = member.name + " cannot be paused"};
                }
            }
            pause(true);
            return learned({.message = "every member says so"}, now);
        };
        runner.workers["patroni.resume"] = [this](const StepCall&, ClusterFacts& now) {
            const std::string unsafe = now.paused ? unsafe_to_resume(now) : "";
            if (!unsafe.empty()) {
                return StepResult{.outcome = StepOutcome::failed, .message = unsafe};
            }
            lift_pause();
            return learned({.message = "every member says so"}, now);
        };
        runner.workers["patroni.config"] = [this](const StepCall& call, ClusterFacts& now) {
            const Preview preview =
                find_action_code(call.uses).preview(call, now, shipped().cluster);
            if (preview.effect) {
                preview.effect(now);
            }
            keep_member_slots(now, now.config.value(k_ttl, 1) != 0);
            return learned({.message = "written"}, now);
        };
    }

    void describe_packages() {
        runner.workers["package.keep"] = [](const StepCall&, ClusterFacts&) {
            return StepResult{.message = "kept", .output = {{"sums", {"0  a.deb"}}}};
        };
        runner.workers["package.install"] = [this](const StepCall& call, ClusterFacts& now) {
            return on_daemon(call, now, [&](MemberFacts& member) {
                const std::string version = call.probed.at("candidates").at(0);
                EXPECT_NE(member.patroni.installed, version) << call.id << " is done twice";
                member.patroni.installed = version;
                start_daemon(member.name);
                return StepResult{.message = "installed"};
            });
        };
        runner.workers["package.restore"] = [this](const StepCall& call, ClusterFacts& now) {
            return on_daemon(call, now, [&](MemberFacts& member) {
                member.patroni.installed = call.with.at("version").as_string();
                start_daemon(member.name);
                return StepResult{.message = "restored"};
            });
        };
        runner.workers["service.restart"] = [this](const StepCall& call, ClusterFacts& now) {
            return on_daemon(call, now, [&](MemberFacts& member) {
                start_daemon(member.name);
                return is_down(member.name)
                           ? StepResult{.outcome = StepOutcome::failed, .message = "activating"}
                           : StepResult{.message = "runs"};
            });
        };
    }

    void describe_looks() {
        for (const char* action : {"wait_for", "assert"}) {
            runner.workers[action] = [](const StepCall& call, ClusterFacts& now) {
                const Condition seen =
                    evaluate_condition(call.expressions.at("that"), call, now, shipped().cluster);
                if (seen.state != Condition::State::yes) {
                    return StepResult{.outcome = StepOutcome::failed, .message = seen.why};
                }
                return learned({.message = "holds"}, now);
            };
        }
    }

    /// As a script on the member: it changes nothing where a daemon that runs is not paused.
    template <typename Work>
    StepResult on_daemon(const StepCall& call, ClusterFacts& now, const Work& work) {
        MemberFacts& member = *now.find(call.member);
        if (!member.paused && !is_down(member.name)) {
            EXPECT_TRUE(meddled()) << call.id << " on " << call.member << " comes without a pause";
            return {.outcome = StepOutcome::failed, .message = "it is not paused"};
        }
        return learned(work(member), now);
    }

    static StepResult learned(StepResult result, const ClusterFacts& now) {
        result.learned = [seen = now](ClusterFacts& facts) { facts = seen; };
        return result;
    }

    /// A new one that is broken ends at once, again and again.
    void start_daemon(const std::string& name) {
        MemberFacts& member = *runner.facts.find(name);
        const bool starts = name != broken_ || member.patroni.installed != k_target;
        member.unit = UnitFacts{.active_state = starts ? "active" : "activating",
                                .sub_state = starts ? "running" : "auto-restart",
                                .main_pid = starts ? 7 : 0,
                                .started_at = starts ? 2'000 : 0,
                                .package_changed_at = 1'000,
                                .restarts = starts ? 0 : 4};
        starts ? comes_up(name, upstream_of(member.patroni.installed)) : goes_down(name);
    }

    /// Replicas of 4.x drop what they keep for other members when its time is 0, and make it anew.
    void keep_member_slots(ClusterFacts& now, bool keep) {
        for (MemberFacts& member : now.members) {
            if (!member.is_leader() && member.slots) {
                const auto& at_start = chosen_->plan->facts.find(member.name)->slots;
                member.slots = at_start;
                if (!keep) {
                    std::erase_if(*member.slots, [](const SlotFacts& slot) {
                        return slot.serves == SlotServes::member && !slot.active;
                    });
                }
            }
        }
    }

    const ShippedPlan* chosen_ = nullptr;
    std::unique_ptr<RunState> state_;
    std::string broken_;  ///< the member on which the target does not start
};

TEST_F(ShippedSimulation, OfRandomCoursesNeverActsUnseen) {
    try_seeds(1500, 20s);
}

}  // namespace
}  // namespace lockstep
