#include "engine/plan/plan_document.hpp"

#include "base/canonical_json.hpp"
#include "engine/plan/saved_plan.hpp"
#include "tests/scenarios/world.hpp"

namespace lockstep {
namespace {

class OnRecord : public World {
  protected:
    Plan restored(const nlohmann::json& document) {
        return restore_plan({document, runbook, inventory, cluster, {}, hash});
    }

    [[nodiscard]] std::string refusal(const nlohmann::json& document) {
        try {
            (void)restored(document);
        } catch (const JournalError& error) {
            return error.what();
        }
        return {};
    }

    std::string hash;  ///< that the run has on record
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
    hash = planned.hash;
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
    hash = document.at("plan_hash");
    document["steps"][0]["path"] = {7};
    document["steps"][0]["made_with"] = nullptr;
    EXPECT_THROW(restored(document), JournalError);
    document.erase("facts");
    EXPECT_THROW(restored(document), JournalError);
}

TEST_F(OnRecord, WhatTheHashIsNotOfIsRefused) {
    const nlohmann::json honest = plan("- {id: a, on: n1, uses: change}\n").to_json();
    hash = honest.at("plan_hash");
    ASSERT_EQ(refusal(honest), "");
    nlohmann::json changed = honest;
    const auto step = std::ranges::find_if(
        changed["steps"], [](const nlohmann::json& each) { return each.at("id") == "a"; });
    ASSERT_NE(step, changed["steps"].end());
    (*step)["actions"] = {{{"kind", "ssh"}, {"text", "rm -rf /"}}};
    EXPECT_NE(refusal(changed).find("the plan on record"), std::string::npos);
    changed["plan_hash"] = sha256_hex(canonical(bound_part(changed)));
    EXPECT_NE(refusal(changed).find("the plan on record"), std::string::npos)
        << "a run has its own";
    hash = changed.at("plan_hash");
    EXPECT_EQ(refusal(changed), "") << "all of it made anew is for the seal to tell";
    hash = honest.at("plan_hash");
    inventory.text += "# and more";
    EXPECT_NE(refusal(honest).find("the inventory on record"), std::string::npos);
}

TEST_F(OnRecord, ARunbookThatTheHashIsNotOfIsRefused) {
    const nlohmann::json honest = plan("- {id: a, on: n1, uses: change}\n").to_json();
    hash = honest.at("plan_hash");
    (void)plan("- {id: a, on: n1, uses: change, name: Another}\n");
    EXPECT_NE(refusal(honest).find("the runbook on record"), std::string::npos);
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
    member.patroni.running = "4.0.7";
    member.patroni.installed = "4.0.7-1";
    member.patroni.available = {"4.0.7-1", "3.0.2-1"};
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
