#include "tests/scenarios/world.hpp"

namespace lockstep {
namespace {

class Planning : public Story {};

using Foretold = World;

TEST_F(Foretold, AreTheCommandsAndUndosOfEachStepThatTheRunThenPutsOnRecord) {
    runner.facts.find("n2")->patroni.installed = "new";  // this one is done already
    const Plan planned = plan(k_upgrade);
    ASSERT_EQ(run(planned).exit_code, 0);
    std::map<std::string, nlohmann::json> begun;
    for (const JournalRecord& record : journal.records("run")) {
        if (record.kind == RecordKind::step_intent) {
            begun[record.step + "@" + record.member] = record.payload;
        }
    }
    for (const PlannedStep& step : planned.steps) {
        const std::string name = step.id + "@" + step.member;
        const auto intent = begun.find(name);
        ASSERT_EQ(intent == begun.end(), step.verdict == Verdict::wont) << name;
        if (step.verdict == Verdict::wont) {
            continue;
        }
        EXPECT_EQ(intent->second.at("operations"), to_json(step.operations)) << name;
        if (step.uses != "hold") {  // what is temporary has no undo: it ends with the run
            EXPECT_EQ(intent->second.at("undo"), to_json(step.undo)) << name;
        }
    }
    EXPECT_EQ(begun.at("leader@n1").at("operations").at(0).at("text"), "take n1 from old to new");
    EXPECT_EQ(begun.at("hold@").at("operations").at(0).at("text"), "hold");
    EXPECT_FALSE(begun.contains("replicas.change@n2"));
}

TEST_F(Planning, LooksAtTheClusterAndStartsNothing) {
    const Plan planned = plan("- {id: a, uses: change}\n");
    EXPECT_TRUE(planned.ready());
    EXPECT_TRUE(started().empty());
}

TEST_F(Planning, WarnsOfAPasswordThatGoesByHttp) {
    const auto warns = [this] {
        const Plan planned = plan("- {id: a, uses: change}\n");
        EXPECT_TRUE(planned.ready());
        return std::ranges::any_of(planned.findings, [](const Finding& finding) {
            return finding.id == "patroni.password_in_clear";
        });
    };
    cluster.patroni.endpoints = {"https://10.0.0.11:8008"};
    cluster.patroni.username = "admin";
    cluster.patroni.password = SecretRef{SecretRef::Env{"X"}, {}};
    EXPECT_FALSE(warns());
    cluster.patroni.endpoints = {"http://10.0.0.11:8008"};
    EXPECT_TRUE(warns());
}

/// Two addresses of one entry that belong to different clusters.
std::vector<EndpointFacts> two_clusters() {
    EndpointFacts here;
    here.url = "http://10.0.0.11:8008";
    here.answers = true;
    here.system_identifier = "77";
    here.members = {"n1", "n2", "n3"};
    EndpointFacts there = here;
    there.url = "http://10.0.9.1:8008";
    there.system_identifier = "88";
    return {here, there};
}

TEST_F(Planning, ChangesNothingWhereEndpointsTellOfDifferentClusters) {
    runner.facts.endpoints = two_clusters();
    const Plan planned = plan("- {id: a, uses: change}\n");
    EXPECT_FALSE(planned.ready());
    ASSERT_EQ(planned.blocked_by.size(), 1U);
    EXPECT_EQ(planned.blocked_by[0].id, "cluster.endpoints_disagree");
    EXPECT_FALSE(planned.blocked_by[0].acceptable);
    EXPECT_TRUE(plan("- {id: a, uses: look}\n").ready());
}

// Whoever takes a run up looks anew. Once something was changed it is no reason to stop halfway.
TEST_F(Planning, IsNotFollowedWhereEndpointsDifferSince) {
    const std::string steps = "- {id: a, uses: change}\n- {id: b, uses: change}\n";
    const Plan planned = plan(steps);
    journal.die_before = 3;  // before the first intent
    EXPECT_THROW(run(planned), FakeJournal::Death);
    journal.die_before = 0;
    runner.before_observe = [&] { runner.facts.endpoints = two_clusters(); };
    EXPECT_EQ(resume().exit_code, 4);
    EXPECT_TRUE(started().empty());
}

TEST_F(Planning, IsFollowedToItsEndWhereEndpointsDifferHalfway) {
    const Plan planned = plan("- {id: a, uses: change}\n- {id: b, uses: change}\n");
    runner.before_observe = [&] {
        runner.facts.endpoints = started().empty() ? std::vector<EndpointFacts>() : two_clusters();
    };
    EXPECT_EQ(run(planned).exit_code, 0);
}

TEST_F(Planning, ChangesNothingWhereAHostIsNotTheMember) {
    runner.facts.find("n2")->setup.emplace().name = "n3";
    const Plan planned = plan("- {id: a, on: n1, uses: change}\n");
    ASSERT_EQ(planned.blocked_by.size(), 1U);
    EXPECT_EQ(planned.blocked_by[0].id, "member.identity");
    EXPECT_FALSE(planned.blocked_by[0].acceptable);
    EXPECT_TRUE(plan("- {id: a, uses: look}\n").ready());
}

// What was begun is brought to an end elsewhere, but nothing is done to somebody else's host.
TEST_F(Planning, IsNotFollowedOntoAHostThatTurnsOutToBeSomebodyElses) {
    runner.workers["change"] = [](const StepCall&, ClusterFacts&) {
        StepResult result;
        result.learned = [](ClusterFacts& facts) { facts.find("n2")->setup.emplace().name = "n3"; };
        return result;
    };
    const Plan planned = plan(
        "- {id: a, on: n1, uses: change}\n- {id: b, on: n3, uses: change}\n"
        "- {id: c, on: n2, uses: change}\n");
    EXPECT_NE(run(planned).exit_code, 0);
    const auto begun = started();
    EXPECT_EQ(std::ranges::count(begun, "b on n3"), 1);
    EXPECT_EQ(std::ranges::count(begun, "c on n2"), 0);
}

TEST_F(Planning, SpreadsABlockOverMembersInTheOrderOfTheirLag) {
    const Plan planned = plan(R"(
- id: replicas
  on: replicas
  strategy: {order: lag_desc}
  steps:
    - {id: a, uses: change}
    - {id: b, uses: look}
)");
    Names order;
    for (const PlannedStep& step : planned.steps) {
        order.push_back(step.id + " " + step.member);
    }
    EXPECT_EQ(order, (Names{"replicas.a n3", "replicas.b n3", "replicas.a n2", "replicas.b n2"}));
}

TEST_F(Planning, JudgesLaterStepsByWhatEarlierOnesWillHaveDone) {
    runner.previews["change"] = [](const StepCall&, const ClusterFacts&) {
        Preview preview;
        preview.effect = [](ClusterFacts& facts) { facts.paused = true; };
        return preview;
    };
    const Plan planned = plan(R"(
- {id: a, uses: change}
- {id: b, uses: look, when: cluster.paused}
- {id: c, uses: look, when: not cluster.paused}
)");
    EXPECT_EQ(verdict(planned, "b"), "will");
    EXPECT_EQ(verdict(planned, "c"), "wont");
}

TEST_F(Planning, SaysMayForWhatIsNotKnownUntilTheRun) {
    const Plan planned = plan(R"(
- {id: a, uses: look, register: seen}
- {id: b, uses: look, with: {text: "${{ steps.seen.text }}"}}
- {id: c, uses: look, when: steps.seen.text == 'x'}
)");
    EXPECT_EQ(verdict(planned, "b"), "may");
    EXPECT_EQ(verdict(planned, "c"), "may");
}

TEST_F(Planning, ShowsWhatAStepWouldDoWhoseConditionIsNotKnownYet) {
    runner.previews["change"] = [](const StepCall& call, const ClusterFacts&) {
        Preview preview;
        preview.operations.push_back({Operation::Kind::ssh, call.with.at("text").as_string()});
        preview.effect = [](ClusterFacts& facts) { facts.paused = true; };
        preview.blocked_by.push_back({.id = "test.refused", .severity = Severity::critical});
        return preview;
    };
    const Plan planned = plan(R"(
- {id: a, uses: look, register: seen}
- {id: b, uses: change, when: steps.seen.text == 'x', with: {text: do it}, undo: none}
- {id: c, uses: change, when: steps.seen.text == 'x', with: {text: "${{ steps.seen.text }}"}, undo: none}
- {id: d, uses: look, when: cluster.paused}
)");
    EXPECT_TRUE(planned.ready());
    EXPECT_EQ(verdict(planned, "b"), "may");
    ASSERT_EQ(planned.steps[1].operations.size(), 1U);
    EXPECT_EQ(planned.steps[1].operations[0].text, "do it");
    EXPECT_TRUE(planned.steps[2].operations.empty());
    EXPECT_EQ(verdict(planned, "d"), "wont") << "what may be done counts for what is so afterwards";
}

TEST_F(Planning, LeavesATemporaryChangeOutThatCoversNothing) {
    runner.previews["change"] = [](const StepCall&, const ClusterFacts&) {
        return Preview{.verdict = Verdict::wont, .because = "done"};
    };
    const Plan planned = plan(R"(
- {id: hold, uses: hold}
- {id: a, uses: change}
- {id: release, uses: release}
)");
    EXPECT_EQ(verdict(planned, "hold"), "wont");
    EXPECT_EQ(verdict(planned, "release"), "wont");
    EXPECT_TRUE(planned.nothing_to_do());
}

TEST_F(Planning, KeepsATemporaryChangeThatCoversOneThatMayHappen) {
    const Plan planned = plan(R"(
- {id: look, uses: look, register: seen}
- {id: hold, uses: hold}
- {id: a, uses: change, when: steps.seen.x}
- {id: release, uses: release}
)");
    EXPECT_EQ(verdict(planned, "hold"), "will");
    EXPECT_EQ(verdict(planned, "release"), "will");
}

TEST_F(Planning, AMembersTemporaryChangeThatNothingEndsIsThereToStay) {
    const Plan planned = plan(R"(
- {id: unpin, on: n2, uses: unpin}
- {id: change, on: n2, uses: change}
- {id: pin, on: n2, uses: pin}
)");
    EXPECT_EQ(verdict(planned, "pin", "n2"), "will")
        << "the package would be left without its hold";
}

TEST_F(Planning, IsBlockedByAnyRefusal) {
    runner.previews["change"] = [](const StepCall& call, const ClusterFacts&) {
        Preview preview;
        preview.blocked_by.push_back({.id = "member.unreachable", .member = call.member});
        return preview;
    };
    const Plan planned = plan("- {id: a, on: members, uses: change}\n");
    EXPECT_FALSE(planned.ready());
    EXPECT_EQ(planned.blocked_by.size(), 3U);
    EXPECT_EQ(planned.refusal_code(), 16);
}

TEST_F(Planning, SaysOnceWhatACheckAndTheStepThatItStopsFind) {
    runner.previews["look"] = [](const StepCall&, const ClusterFacts&) {
        Preview preview;
        preview.blocked_by.push_back({.id = "patroni.write_refused", .message = "401"});
        return preview;
    };
    runner.previews["change"] = [](const StepCall& call, const ClusterFacts&) {
        Preview preview;
        preview.blocked_by.push_back(
            {.id = "patroni.write_refused", .subject = "patroni.pause", .message = "401"});
        preview.blocked_by.push_back(
            {.id = "test.refused", .subject = call.with.at("text").as_string()});
        return preview;
    };
    const Plan planned = plan(R"(
- {id: a, uses: look}
- {id: b, uses: change, with: {text: b}}
- {id: c, uses: change, with: {text: c}}
)");
    ASSERT_EQ(planned.blocked_by.size(), 3U);
    EXPECT_EQ(planned.blocked_by[0].id, "patroni.write_refused");
    EXPECT_EQ(planned.blocked_by[1].subject, "b");
    EXPECT_EQ(planned.blocked_by[2].subject, "c");
}

TEST_F(Planning, IsBlockedByAnExpressionThatFails) {
    const Plan planned = plan("- {id: a, uses: look, when: cluster.pausd}\n");
    ASSERT_FALSE(planned.ready());
    EXPECT_EQ(planned.refusal_code(), 4);
    EXPECT_NE(planned.blocked_by.front().message.find("story.yaml:"), std::string::npos);
}

TEST_F(Planning, IsBlockedWhenThereIsNoLeaderToWorkOn) {
    runner.facts.leader.clear();
    runner.facts.members[0].role = "replica";
    EXPECT_FALSE(plan("- {id: a, on: leader, uses: change}\n").ready());
}

TEST_F(Planning, RepeatsAStepForEachItem) {
    const Plan planned = plan(
        "- {id: drop, for_each: \"['x', 'y']\", uses: change, with: {text: \"${{ item }}\"}}\n");
    ASSERT_EQ(planned.steps.size(), 2U);
    EXPECT_EQ(planned.steps[0].id, "drop[x]");
    EXPECT_EQ(planned.steps[1].id, "drop[y]");
}

TEST_F(Planning, TreatsAFactNobodyKnowsAsUnknown) {
    runner.facts.members[1].lag_bytes.reset();
    const Plan planned = plan("- {id: a, on: members, uses: look, when: member.lag_bytes < 10}\n");
    EXPECT_EQ(verdict(planned, "a", "n2"), "may");
    EXPECT_EQ(verdict(planned, "a", "n3"), "will");
}

TEST_F(Planning, HashesWhatItWillDoAndNotTheLag) {
    const std::string steps = "- {id: a, on: members, uses: change}\n";
    const std::string before = plan(steps).hash;
    runner.facts.members[1].lag_bytes = 4711;
    EXPECT_EQ(plan(steps).hash, before);
    EXPECT_NE(plan("- {id: b, on: members, uses: change}\n").hash, before);
}

class PlanningVersions : public Story {
  protected:
    PlanningVersions() {
        for (MemberFacts& member : runner.facts.members) {
            member.patroni.running = "3.3.2";
            member.patroni.available = {"3.3.2-1", "4.0.3-1", "4.0.7-1"};
            member.postgres.running = "16.4";
        }
    }

    /// `change` brings a member to the version, `revert` back to the first.
    void bring_to(const std::string& version) {
        const auto set = [](const std::string& to) {
            return [to](const StepCall& call, const ClusterFacts&) {
                Preview preview;
                preview.undo.push_back({{}, "revert", call.member, {{"what", "x"}}});
                preview.effect = [member = call.member, to](ClusterFacts& facts) {
                    facts.find(member)->patroni.running = to;
                };
                return preview;
            };
        };
        runner.previews["change"] = set(version);
        runner.previews["revert"] = set("3.3.2");
    }

    static constexpr const char* k_all = "- {id: a, on: members, uses: change}\n";
};

TEST_F(PlanningVersions, IsBlockedByATargetKnownToBeBad) {
    bring_to("4.0.3");
    const Plan planned = plan(k_all);
    ASSERT_EQ(planned.blocked_by.size(), 1U);
    EXPECT_EQ(planned.blocked_by[0].subject, "sslnegotiation-in-conninfo");
    EXPECT_NE(planned.blocked_by[0].remedy.find("4.0.7"), std::string::npos);
    EXPECT_EQ(planned.refusal_code(), 4);
    EXPECT_TRUE(started().empty());
    accepted = {"patroni.known_issue:sslnegotiation-in-conninfo"};
    EXPECT_TRUE(plan(k_all).ready());
}

TEST_F(PlanningVersions, GivesAdviceThatIsNoPartOfTheHash) {
    bring_to("4.0.7");
    const Plan planned = plan(k_all);
    EXPECT_TRUE(planned.ready());
    EXPECT_TRUE(std::ranges::any_of(planned.advice, [](const Finding& finding) {
        return finding.subject == "master-is-primary";
    }));
    EXPECT_EQ(planned.to_json().at("advice").size(), planned.advice.size());
}

TEST_F(PlanningVersions, LooksAtTheVersionsThatTheWayBackStarts) {
    runner.facts.config = {{"synchronous_mode", true}};
    bring_to("4.0.7");
    runner.previews["revert"] = [](const StepCall& call, const ClusterFacts&) {
        Preview preview;
        preview.effect = [member = call.member](ClusterFacts& facts) {
            facts.find(member)->patroni.running = "3.1.0";
        };
        return preview;
    };
    const Plan planned = plan(k_all);
    ASSERT_EQ(planned.blocked_by.size(), 1U);
    EXPECT_EQ(planned.blocked_by[0].id, "rollback.known_issue");
    EXPECT_EQ(planned.blocked_by[0].subject, "pause-restart-drops-settings");
}

TEST_F(PlanningVersions, LooksAtTheWayBackToo) {
    runner.facts.config = {{"synchronous_mode", "quorum"}};
    for (MemberFacts& member : runner.facts.members) {
        member.patroni.running = "4.0.4";
    }
    bring_to("4.0.7");  // and revert brings to 3.3.2: lower than where it began
    const Plan planned = plan(k_all);
    ASSERT_EQ(planned.blocked_by.size(), 1U);
    EXPECT_EQ(planned.blocked_by[0].id, "rollback.known_issue");
    EXPECT_EQ(planned.blocked_by[0].subject, "quorum-under-three");
    EXPECT_TRUE(planned.blocked_by[0].message.starts_with("on the way back, after the undo of a"));
    accepted = {"rollback.known_issue"};
    EXPECT_TRUE(plan(k_all).ready());
}

}  // namespace
}  // namespace lockstep
