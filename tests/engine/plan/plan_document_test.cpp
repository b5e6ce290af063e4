#include "engine/plan/plan_document.hpp"

#include "tests/scenarios/world.hpp"

namespace lockstep {
namespace {

class OnRecord : public World {
  protected:
    Plan restored(const nlohmann::json& document) {
        return restore_plan({document, runbook, inventory, cluster, {}});
    }
};

TEST_F(OnRecord, APlanIsTheSameAfterItWasReadAgain) {
    const Plan planned = plan(R"(
- {id: gate, uses: look}
- {id: hold, uses: hold}
- id: block
  on: members
  strategy: {batch: all}
  steps: [{id: a, uses: change}, {id: b, uses: look}]
- {id: each, for_each: "['x', 'y']", uses: look, with: {text: "${{ item }}"}}
- {id: release, uses: release}
)");
    const nlohmann::json document = nlohmann::json::parse(planned.to_json().dump());
    const Plan again = restored(document);
    EXPECT_EQ(again.to_json().dump(2), planned.to_json().dump(2));
    ASSERT_EQ(again.steps.size(), planned.steps.size());
    for (std::size_t i = 0; i < planned.steps.size(); ++i) {
        EXPECT_EQ(again.steps[i].after, planned.steps[i].after);
        EXPECT_EQ(again.steps[i].within.size(), planned.steps[i].within.size());
        EXPECT_EQ(again.steps[i].fan_out == nullptr, planned.steps[i].fan_out == nullptr);
    }
}

TEST_F(OnRecord, WhatDoesNotFitTheRunbookIsRefused) {
    nlohmann::json document = plan("- {id: a, uses: look}\n").to_json();
    document["steps"][0]["path"] = {7};
    document["steps"][0]["made_with"] = nullptr;
    EXPECT_THROW(restored(document), JournalError);
    document.erase("facts");
    EXPECT_THROW(restored(document), JournalError);
}

TEST(FactsOnRecord, AreTheSameAfterTheyWereReadAgain) {
    ClusterFacts facts;
    facts.name = "orders";
    facts.leader = "n1";
    facts.timeline = 3;
    facts.paused = true;
    facts.config = {{"ttl", 20}};
    MemberFacts member;
    member.name = "n1";
    member.role = "leader";
    member.position = 42;
    member.lag_bytes = 0;
    member.tags = {{"nofailover", true}};
    member.patroni = {"4.0.7", "4.0.7-1", {"4.0.7-1", "3.0.2-1"}};
    member.unit = UnitFacts{.active_state = "active", .main_pid = 7, .started_at = 8};
    member.wal = WalFacts{.bytes = 1, .oldest = Lsn{16}, .redo = Lsn{32}};
    member.disk = DiskFacts{.mount = "/", .free_bytes = 1, .total_bytes = 2};
    member.slots = std::vector<SlotFacts>{
        {.name = "n2", .type = "physical", .restart_lsn = Lsn{16}, .serves = SlotServes::member}};
    member.api.asked = true;
    member.ssh = {.asked = true, .error = "refused", .hint = "look", .refused = true};
    facts.members.push_back(member);
    EXPECT_EQ(ClusterFacts::from_json(facts.to_json()).to_json().dump(2), facts.to_json().dump(2));
}

}  // namespace
}  // namespace lockstep
