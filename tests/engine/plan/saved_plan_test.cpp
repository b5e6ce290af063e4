#include "engine/plan/saved_plan.hpp"

#include "tests/scenarios/story.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

class SavedPlans : public Story {
  protected:
    SavedPlans() {
        runner.previews["change"] = [](const StepCall& call, const ClusterFacts& facts) {
            Preview preview;
            preview.because = "lag " + std::to_string(facts.members[1].lag_bytes.value_or(0));
            preview.operations.push_back({Operation::Kind::ssh, "change " + call.member});
            return preview;
        };
    }

    nlohmann::json document(const std::string& steps = k_steps) { return plan(steps).to_json(); }

    static SavedPlan saved(const nlohmann::json& document) {
        SavedPlan plan;
        plan.made_at = "2026-11-25T20:00:00Z";
        plan.made_by = "ann@ops1";
        plan.runbook_from = "story.yaml";
        plan.runbook_text = "runbook: story\n";
        plan.cluster = "orders";
        plan.given = {{"target", "4.0.7"}};
        plan.accepted = {"slot.stuck"};
        plan.plan = document;
        return plan;
    }

    static std::string complaint(const std::string& text) {
        try {
            (void)SavedPlan::parse(text, "plan.json");
        } catch (const InputError& error) {
            return error.what();
        }
        return "none";
    }

    static constexpr const char* k_steps = "- {id: a, on: members, uses: change}\n";
};

TEST_F(SavedPlans, AreReadAsTheyWereWritten) {
    const SavedPlan before = saved(document());
    const SavedPlan after = SavedPlan::parse(before.to_text(), "plan.json");
    EXPECT_EQ(after.to_text(), before.to_text());
    EXPECT_EQ(after.plan, before.plan);
    EXPECT_EQ(after.given, before.given);
    EXPECT_EQ(after.accepted, before.accepted);
    EXPECT_EQ(after.cluster, "orders");
    EXPECT_TRUE(differences(after.plan, document()).empty());
}

TEST_F(SavedPlans, AreRefusedOnceSomebodyEditedThem) {
    std::string text = saved(document()).to_text();
    const std::size_t command = text.find("change n2");
    ASSERT_NE(command, std::string::npos);
    text.replace(command, 9, "change n3");
    EXPECT_NE(complaint(text).find("changed after it was made"), std::string::npos);
    EXPECT_NE(complaint("{}").find("no saved plan"), std::string::npos);
    EXPECT_NE(complaint("runbook: x\n").find("no saved plan"), std::string::npos);
    EXPECT_NE(complaint(R"({"lockstep_plan": 2})").find("another version"), std::string::npos);
    EXPECT_NE(complaint(R"({"lockstep_plan": 1, "hash": 3})").find("changed"), std::string::npos);
    EXPECT_NE(complaint(std::string(100000, '[')).find("no saved plan"), std::string::npos);
}

TEST_F(SavedPlans, AreBoundToWhatTheyDoAndNotToLag) {
    const nlohmann::json before = document();
    runner.facts.members[1].lag_bytes = 4711;
    runner.facts.members[2].position = 99;
    EXPECT_TRUE(differences(before, document()).empty());
    EXPECT_EQ(plan(k_steps).hash, before.at("plan_hash"));
}

TEST_F(SavedPlans, DoNotDependOnWhichReplicaIsBehindAtTheMoment) {
    const char* steps = "- {id: a, on: replicas, strategy: {order: lag_desc}, uses: change}\n";
    const nlohmann::json before = document(steps);
    std::swap(runner.facts.members[1].lag_bytes, runner.facts.members[2].lag_bytes);
    const nlohmann::json after = document(steps);
    EXPECT_NE(before.at("steps").at(0).at("member"), after.at("steps").at(0).at("member"));
    EXPECT_TRUE(differences(before, after).empty());
    EXPECT_EQ(before.at("plan_hash"), after.at("plan_hash"));
}

TEST_F(SavedPlans, HaveNoConfigurationInThem) {
    runner.facts.config = {{"postgresql", {{"parameters", {{"archive_command", "KEY=hunter2"}}}}}};
    const nlohmann::json told = SavedPlan::facts_told(document().at("facts"));
    EXPECT_EQ(told.dump().find("hunter2"), std::string::npos);
    nlohmann::json small = document();
    small["facts"] = told;
    EXPECT_TRUE(differences(small, document()).empty());
}

TEST_F(SavedPlans, ThatMustNotBeStartedAreRefused) {
    nlohmann::json blocked = document();
    blocked["verdict"] = "blocked";
    EXPECT_NE(complaint(saved(blocked).to_text()).find("must not be started"), std::string::npos);
}

TEST_F(SavedPlans, SayWhatIsDifferent) {
    const nlohmann::json before = document("- {id: a, on: leader, uses: change}\n");
    runner.facts.leader = "n2";
    runner.facts.members[0].role = "replica";
    runner.facts.members[1].role = "leader";
    const auto found = differences(before, document("- {id: a, on: leader, uses: change}\n"));
    EXPECT_EQ(found,
              (Names{"leader: n1, now n2",
                     "role of n1: leader, now replica",
                     "role of n2: replica, now leader",
                     "step a on n1 is not there any more",
                     "step a on n2 is new"}));
}

TEST_F(SavedPlans, SayThatACommandIsAnotherOne) {
    const nlohmann::json before = document();
    runner.previews["change"] = [](const StepCall& call, const ClusterFacts&) {
        Preview preview;
        preview.operations.push_back({Operation::Kind::ssh, "remove " + call.member});
        return preview;
    };
    EXPECT_EQ(differences(before, document()).front(),
              "actions of step a on n1: change n1, now remove n1");
}

TEST_F(SavedPlans, SayThatTheyWouldBeRefused) {
    const nlohmann::json before = document();
    runner.previews["change"] = [](const StepCall& call, const ClusterFacts&) {
        Preview preview;
        preview.operations.push_back({Operation::Kind::ssh, "change " + call.member});
        preview.blocked_by.push_back({.id = "disk.low", .member = call.member, .message = "full"});
        return preview;
    };
    EXPECT_EQ(differences(before, document()).front(), "it would be refused: full");
}

TEST_F(SavedPlans, AreOfOneInventoryAndOneRunbook) {
    const nlohmann::json before = document();
    inventory.text = "clusters: {}\n";
    EXPECT_EQ(differences(before, document()), (Names{"the inventory was changed"}));
    inventory.text.clear();
    nlohmann::json after = document();
    after["runbook_hash"] = "another";
    EXPECT_EQ(differences(before, after), (Names{"the runbook is another one"}));
}

}  // namespace
}  // namespace lockstep
