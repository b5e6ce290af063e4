#pragma once

#include "tests/scenarios/story.hpp"

#include <map>
#include <string>

namespace lockstep {

/// A story whose actions have effects: `change` takes a member from old to new, `revert` back,
/// `hold` and `release` pause. How often each happened is counted, so that a repetition shows. The
/// commands run on the member under their key: what was started once is not started again.
class World : public Story {
  protected:
    World() {
        for (MemberFacts& member : runner.facts.members) {
            member.patroni.installed = member.patroni.running = "old";
        }
        runner.spooled = {"change", "fragile", "revert"};
        describe_change();
        describe_revert();
        describe_hold();
        runner.workers["fragile"] = [this](const StepCall& call, ClusterFacts&) {
            ++happened["fragile " + call.member];
            return StepResult{.message = "once"};
        };
    }

    [[nodiscard]] std::string version_of(const std::string& member) const {
        return runner.facts.find(member)->patroni.installed;
    }

    [[nodiscard]] bool all_are(const std::string& version) const {
        return version_of("n1") == version && version_of("n2") == version &&
               version_of("n3") == version;
    }

    /// How often anything happened that must happen once.
    [[nodiscard]] int most_often() const {
        int most = 0;
        for (const auto& [what, count] : happened) {
            most = std::max(most, count);
        }
        return most;
    }

    static constexpr const char* k_upgrade = R"(
- {id: gate, uses: look}
- {id: hold, uses: hold}
- id: replicas
  on: replicas
  steps: [{id: change, uses: change}, {id: seen, uses: look}]
- {id: leader, on: leader, uses: change}
- {id: script, on: n2, uses: fragile, undo: none}
- {id: release, uses: release}
- {id: end, uses: look}
)";

    std::map<std::string, int> happened;
    std::string broken;  ///< the member on which `change` does its work and fails

  private:
    void describe_change() {
        runner.previews["change"] = [](const StepCall& call, const ClusterFacts& seen) {
            Preview preview;
            const MemberFacts* member = seen.find(call.member);
            if (member->patroni.installed == "new") {
                preview.verdict = Verdict::wont;
                preview.because = "it is new";
                return preview;
            }
            if (!seen.paused) {
                preview.blocked_by.push_back(
                    {.id = "patroni.not_paused", .message = "it is not paused"});
            }
            preview.operations.push_back(
                {Operation::Kind::ssh,
                 "take " + call.member + " from " + member->patroni.installed + " to new"});
            preview.undo.push_back({{Operation::Kind::ssh, "revert " + call.member},
                                    "revert",
                                    call.member,
                                    {{"what", member->patroni.installed}}});
            preview.effect = [name = call.member](ClusterFacts& later) {
                later.find(name)->patroni.installed = "new";
            };
            return preview;
        };
        runner.workers["change"] = [this](const StepCall& call, ClusterFacts& now) {
            ++happened["change " + call.member];
            EXPECT_TRUE(now.paused) << "changed while not paused";
            now.find(call.member)->patroni.installed = "new";
            StepResult result{.message = "new"};
            if (call.member == broken) {
                result.outcome = StepOutcome::failed;
                result.message = "the daemon does not start";
            }
            result.learned = [name = call.member](ClusterFacts& facts) {
                facts.find(name)->patroni.installed = "new";
            };
            return result;
        };
    }

    void describe_revert() {
        runner.previews["revert"] = [](const StepCall& call, const ClusterFacts& seen) {
            Preview preview;
            const std::string version = call.with.at("what").as_string();
            if (seen.find(call.member)->patroni.installed == version) {
                preview.verdict = Verdict::wont;
                preview.because = "it never happened";
            } else if (!seen.paused) {
                preview.blocked_by.push_back(
                    {.id = "patroni.not_paused", .message = "it is not paused"});
            }
            preview.effect = [name = call.member, version](ClusterFacts& later) {
                later.find(name)->patroni.installed = version;
            };
            return preview;
        };
        runner.workers["revert"] = [this](const StepCall& call, ClusterFacts& now) {
            ++happened["revert " + call.member];
            EXPECT_TRUE(now.paused) << "taken back while not paused";
            now.find(call.member)->patroni.installed = call.with.at("what").as_string();
            return StepResult{.message = "old"};
        };
    }

    void describe_hold() {
        for (const bool paused : {true, false}) {
            const std::string action = paused ? "hold" : "release";
            runner.previews[action] = [paused, action](const StepCall& call,
                                                       const ClusterFacts& seen) {
                Preview preview;
                const bool ours = !call.open_temporaries.empty();
                if (seen.paused == paused && (ours || !paused)) {
                    preview.verdict = Verdict::wont;
                    preview.because = "it is so";
                } else if (paused && seen.paused) {
                    preview.blocked_by.push_back(
                        {.id = "cluster.paused", .message = "somebody else paused it"});
                }
                if (preview.verdict != Verdict::wont) {
                    preview.operations.push_back({Operation::Kind::http, action});
                }
                if (paused) {
                    preview.undo.push_back({{Operation::Kind::http, "release"}, "release", {}, {}});
                }
                preview.effect = [paused](ClusterFacts& later) { later.paused = paused; };
                return preview;
            };
            runner.workers[action] = [paused](const StepCall&, ClusterFacts& now) {
                now.paused = paused;
                StepResult result{.message = "done"};
                result.learned = [paused](ClusterFacts& facts) { facts.paused = paused; };
                return result;
            };
        }
    }
};

}  // namespace lockstep
