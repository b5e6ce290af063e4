#include "base/error.hpp"
#include "tests/fakes/fake_cluster.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace lockstep {
namespace {

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// A position that is far behind those of the recording.
const nlohmann::json k_far_behind = {{"restart_lsn", "0/1000000"}};

class SlotsDrop : public testing::Test {
  protected:
    SlotsDrop() { world.has_slot("n1", "legacy", k_far_behind); }

    /// Facts of two samples, as a plan has them.
    ClusterFacts settled() {
        ClusterFacts facts = world.observe();
        settle_slots(facts, nullptr, world.observer(), world.clock, {});
        return facts;
    }

    Preview preview(const StepCall& call) { return world.preview(call, settled()); }

    static StepCall drop(const std::string& slot = "legacy") {
        return step_call("slots.drop", "", {{"slot", slot}});
    }

    FakeCluster world;
};

TEST_F(SlotsDrop, ShowsTheExactStatementAndWhatItCosts) {
    const Preview preview = this->preview(drop());
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_TRUE(preview.blocked_by.empty());
    ASSERT_EQ(preview.operations.size(), 1U);
    EXPECT_EQ(preview.operations[0].text,
              "on n1: SELECT pg_catalog.pg_drop_replication_slot('legacy')");
    EXPECT_EQ(preview.undo.at(0).operation.text,
              "on n1: SELECT pg_catalog.pg_create_physical_replication_slot('legacy', true)");
    EXPECT_TRUE(contains(preview.because, "64 MB of WAL for nobody")) << preview.because;
    EXPECT_FALSE(preview.notes.empty());
}

TEST_F(SlotsDrop, WontWhereNoMemberHasIt) {
    const Preview preview = world.preview(drop("other"));
    EXPECT_EQ(preview.verdict, Verdict::wont);
    EXPECT_EQ(preview.because, "no member has a slot other");
}

TEST_F(SlotsDrop, IsRefusedForASlotThatIsInUse) {
    world.members.at("n1").sql["slots"].back()["active"] = true;
    const Preview preview = world.preview(drop());
    ASSERT_EQ(ids_of(preview.blocked_by), (Names{"slot.in_use"}));
    EXPECT_EQ(preview.blocked_by[0].message, "slot legacy on n1 is in use");
}

TEST_F(SlotsDrop, IsRefusedForAMembersSlotEvenWhereItIsNotActive) {
    const Preview preview = world.preview(drop("n3"));  // on n1 in use, on n2 a copy of it
    EXPECT_EQ(ids_of(preview.blocked_by), (Names{"slot.in_use", "slot.in_use"}));
    EXPECT_EQ(preview.blocked_by.at(1).message, "slot n3 on n2 belongs to Patroni");
}

TEST_F(SlotsDrop, IsRefusedForAPermanentSlot) {
    world.config["slots"] = {{"legacy", {{"type", "physical"}}}};
    EXPECT_EQ(ids_of(world.preview(drop()).blocked_by), (Names{"slot.in_use"}));
}

// A slot that nobody could look for is not a slot that is not there.
TEST_F(SlotsDrop, IsRefusedWhileAMemberCannotBeAsked) {
    world.sql.fail("10.0.0.12", TransportError::Kind::connect, "refused");
    for (const char* slot : {"legacy", "other"}) {
        const Preview preview = world.preview(drop(slot));
        ASSERT_EQ(ids_of(preview.blocked_by), (Names{"member.unreachable"})) << slot;
        EXPECT_EQ(preview.blocked_by[0].member, "n2");
    }
}

TEST_F(SlotsDrop, DropsItWhereverItIsAndNowhereElse) {
    world.has_slot("n2", "legacy", k_far_behind);
    std::vector<std::string> asked;
    for (const char* name : {"n1", "n2"}) {
        world.members.at(name).statements = [&asked, name](const SqlStatement& statement) {
            EXPECT_EQ(statement.text,
                      "SELECT pg_catalog.pg_drop_replication_slot($1::pg_catalog.name)");
            EXPECT_EQ(statement.params, (Names{"legacy"}));
            EXPECT_FALSE(statement.read_only);
            asked.emplace_back(name);
            return SqlResult{};
        };
    }
    const StepResult result = world.run(drop());
    EXPECT_EQ(result.outcome, StepOutcome::succeeded);
    EXPECT_EQ(result.message, "dropped on n1, n2");
    EXPECT_EQ(asked, (Names{"n1", "n2"}));
    ClusterFacts facts = world.observe();
    result.learned(facts);
    EXPECT_EQ(world.preview(drop(), facts).verdict, Verdict::wont);
}

TEST_F(SlotsDrop, OnOneMemberLeavesTheOthersAlone) {
    world.has_slot("n2", "legacy", k_far_behind);
    StepCall call = drop();
    call.member = "n2";
    EXPECT_EQ(preview(call).operations.size(), 1U);
    world.members.at("n2").statements = [](const SqlStatement&) { return SqlResult{}; };
    EXPECT_EQ(world.run(call).message, "dropped on n2");
}

// A new logical slot starts at the present: what its consumer has not read is gone.
TEST_F(SlotsDrop, PromisesNoWayBackForALogicalSlot) {
    world.has_slot("n1", "cdc", {{"slot_type", "logical"}, {"restart_lsn", "0/1000000"}});
    const Preview preview = this->preview(drop("cdc"));
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_TRUE(preview.undo.empty());
    EXPECT_TRUE(std::ranges::any_of(
        preview.notes, [](const std::string& note) { return contains(note, "logical"); }));
}

// It would hold WAL that it never held.
TEST_F(SlotsDrop, GivesASlotBackThatHeldNothingAsOne) {
    world.has_slot("n2", "idle", {{"restart_lsn", nullptr}});
    world.config["ignore_slots"] = {{{"name", "idle"}}};
    EXPECT_EQ(preview(drop("idle")).verdict, Verdict::wont);
    StepCall call = drop("idle");
    call.with.emplace("only_stuck", false);
    EXPECT_EQ(preview(call).undo.at(0).operation.text,
              "on n2: SELECT pg_catalog.pg_create_physical_replication_slot('idle', false)");
}

// Its reader may be away for a second.
TEST_F(SlotsDrop, WontWhereNoTwoSamplesSayThatItStandsStill) {
    const Preview preview = world.preview(drop());
    EXPECT_EQ(preview.verdict, Verdict::wont);
    EXPECT_EQ(preview.because, "no slot legacy stands still");
}

TEST_F(SlotsDrop, ThatThePlanDidNotFindStuckStays) {
    StepCall call = drop();
    call.at_start = std::make_shared<const ClusterFacts>(world.observe());
    EXPECT_EQ(world.run(call).outcome, StepOutcome::already_done);
    call.at_start = std::make_shared<const ClusterFacts>(settled());
    world.members.at("n1").statements = [](const SqlStatement&) { return SqlResult{}; };
    EXPECT_EQ(world.run(call).message, "dropped on n1");
}

// Between the plan and the run somebody came back to read it.
TEST_F(SlotsDrop, LeavesASlotThatMovesBetweenTwoSamples) {
    const ClusterFacts facts = world.observe();
    world.members.at("n1").sql["slots"].back()["restart_lsn"] = "0/2000000";
    const StepResult result = world.run(drop(), facts);
    EXPECT_EQ(result.outcome, StepOutcome::already_done) << result.message;
    world.members.at("n1").sql["slots"].back()["active"] = true;
    EXPECT_EQ(world.run(drop(), facts).outcome, StepOutcome::failed);
}

// The copy on a replica stands still, and the original on the leader is of the same name.
TEST_F(SlotsDrop, NeverTouchesAHealthyOriginalForTheSakeOfACopy) {
    const nlohmann::json logical = {{"slot_type", "logical"}, {"failover", true}};
    for (const bool connected : {true, false}) {
        world.members.at("n1").sql["slots"].erase(2);
        world.has_slot("n1", "cdc", logical);
        world.members.at("n1").sql["slots"].back()["active"] = connected;
        world.has_slot("n2", "cdc", logical);
        world.members.at("n2").sql["slots"].back().update(k_far_behind);
        world.members.at("n2").sql["slots"].back()["synced"] = true;
        const Preview preview = this->preview(drop("cdc"));
        ASSERT_FALSE(preview.blocked_by.empty());
        EXPECT_TRUE(preview.operations.empty());
        EXPECT_TRUE(contains(preview.blocked_by.back().message, "copy that PostgreSQL keeps"))
            << preview.blocked_by.back().message;
    }
}

TEST_F(SlotsDrop, TakesTheOneThatStandsStillAndLeavesTheOther) {
    world.has_slot("n2", "legacy", {{"restart_lsn", "0/5000000"}});
    const Preview preview = this->preview(drop());
    ASSERT_EQ(preview.operations.size(), 1U);
    EXPECT_TRUE(contains(preview.operations[0].text, "on n1")) << preview.operations[0].text;
    EXPECT_TRUE(std::ranges::any_of(preview.notes, [](const std::string& note) {
        return contains(note, "on n2 it is not stuck");
    }));
}

// The upgrade itself made it Patroni's: it was nobody's under the leader of before.
TEST_F(SlotsDrop, IsNotFailedByAnUpgradeAfterWhichPatroniDealsWithTheSlot) {
    world.has_slot("n1", "n9", k_far_behind);
    world.has_version("n1", "3.3.2-1");
    const ClusterFacts start = settled();
    EXPECT_EQ(world.preview(drop("n9"), start).verdict, Verdict::will);
    world.has_version("n1", "4.0.7-3~deb13u1");
    StepCall call = drop("n9");
    call.at_start = std::make_shared<const ClusterFacts>(start);
    const Preview preview = this->preview(call);
    EXPECT_TRUE(preview.blocked_by.empty());
    EXPECT_EQ(preview.verdict, Verdict::wont);
    EXPECT_EQ(world.run(call).outcome, StepOutcome::already_done);
}

TEST_F(SlotsDrop, IsRefusedForTheSlotOfAMemberThatIsAway) {
    world.has_slot("n1", "n9", k_far_behind);
    const Preview preview = this->preview(drop("n9"));
    ASSERT_EQ(ids_of(preview.blocked_by), (Names{"slot.in_use"}));
    EXPECT_TRUE(contains(preview.blocked_by[0].message, "kept for a member that is away"));
}

class SlotsCreate : public testing::Test {
  protected:
    static StepCall create(const std::string& slot, Value::Map more = {}) {
        more.emplace("slot", slot);
        return step_call("slots.create", "n2", std::move(more));
    }

    /// What n2 says when it is asked for the slot, and the statements that change something.
    void says(const std::optional<std::string>& type) {
        world.members.at("n2").statements = [this, type](const SqlStatement& statement) {
            if (statement.read_only) {
                SqlResult there;
                if (type) {
                    there.rows.push_back({type});
                }
                return there;
            }
            sent.push_back(statement);
            return SqlResult{};
        };
    }

    FakeCluster world;
    std::vector<SqlStatement> sent;
};

TEST_F(SlotsCreate, ShowsTheStatementAndItsWayBack) {
    const Preview preview = world.preview(create("backup"));
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_TRUE(preview.blocked_by.empty());
    EXPECT_EQ(preview.operations.at(0).text,
              "SELECT pg_catalog.pg_create_physical_replication_slot('backup', false)");
    EXPECT_EQ(preview.undo.at(0).operation.text,
              "SELECT pg_catalog.pg_drop_replication_slot('backup')");
    EXPECT_EQ(world.preview(create("backup", {{"reserve", true}})).operations.at(0).text,
              "SELECT pg_catalog.pg_create_physical_replication_slot('backup', true)");
}

TEST_F(SlotsCreate, WontWhereItIsThere) {
    world.has_slot("n2", "backup");
    EXPECT_EQ(world.preview(create("backup")).verdict, Verdict::wont);
    ClusterFacts facts = world.observe();
    world.preview(create("other"), facts).effect(facts);
    EXPECT_EQ(world.preview(create("other"), facts).verdict, Verdict::wont);
}

TEST_F(SlotsCreate, ComesBackAsItWasWhenALaterStepDropsIt) {
    for (const bool reserve : {false, true}) {
        ClusterFacts facts = world.observe();
        world.preview(create("other", {{"reserve", reserve}}), facts).effect(facts);
        const Preview drop = world.preview(
            step_call("slots.drop", "", {{"slot", "other"}, {"only_stuck", false}}), facts);
        EXPECT_EQ(drop.undo.at(0).operation.text,
                  "on n2: SELECT pg_catalog.pg_create_physical_replication_slot('other', " +
                      std::string(reserve ? "true" : "false") + ")");
    }
}

TEST_F(SlotsCreate, IsRefusedWhereALogicalSlotHasTheName) {
    world.has_slot("n2", "cdc", {{"slot_type", "logical"}});
    EXPECT_EQ(ids_of(world.preview(create("cdc")).blocked_by), (Names{"slot.other_type"}));
    says("logical");
    EXPECT_EQ(world.run(create("cdc")).outcome, StepOutcome::failed);
    EXPECT_TRUE(sent.empty());
}

TEST_F(SlotsCreate, IsRefusedWhereNobodyCanLook) {
    world.sql.fail("10.0.0.12", TransportError::Kind::connect, "refused");
    EXPECT_EQ(ids_of(world.preview(create("backup")).blocked_by), (Names{"member.unreachable"}));
}

TEST_F(SlotsCreate, SaysWherePatroniWouldDropItAgain) {
    const auto warns = [&] {
        const Preview preview = world.preview(create("backup"));
        return std::ranges::any_of(preview.notes, [](const std::string& note) {
            return contains(note, "Patroni drops a slot");
        });
    };
    EXPECT_TRUE(warns());
    world.config["ignore_slots"] = {{{"name", "other"}}, {{"name", "backup"}, {"type", "logical"}}};
    EXPECT_TRUE(warns());
    world.config["ignore_slots"].push_back({{"name", "backup"}, {"type", "physical"}});
    EXPECT_FALSE(warns());
    world.config["ignore_slots"] = nullptr;
    world.config["slots"] = {{"backup", {{"type", "physical"}}}};
    EXPECT_FALSE(warns());
}

TEST_F(SlotsCreate, CreatesItOnce) {
    says(std::nullopt);
    const StepResult result = world.run(create("backup", {{"reserve", true}}));
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].text,
              "SELECT pg_catalog.pg_create_physical_replication_slot("
              "$1::pg_catalog.name, $2::pg_catalog.bool)");
    EXPECT_EQ(sent[0].params, (Names{"backup", "true"}));
    ClusterFacts facts = world.observe();
    result.learned(facts);
    EXPECT_EQ(world.preview(create("backup"), facts).verdict, Verdict::wont);
    says("physical");
    EXPECT_EQ(world.run(create("backup")).outcome, StepOutcome::already_done);
    EXPECT_EQ(sent.size(), 1U);
}

TEST_F(SlotsCreate, TakesNoNameThatPostgresRefuses) {
    for (const std::string& name : {std::string(),
                                    std::string("a-b"),
                                    std::string("a'b"),
                                    std::string("Backup"),
                                    std::string(64, 'a')}) {
        EXPECT_THROW(world.preview(create(name)), Error) << name;
        EXPECT_THROW(world.run(create(name)), Error) << name;
    }
}

class SlotsVerify : public testing::Test {
  protected:
    SlotsVerify() { at_start = world.observe(); }

    /// The step at the end of a run that began with the cluster as it is now.
    void begins() { at_start = world.observe(); }

    StepResult verify() {
        StepCall call = step_call("slots.verify");
        call.at_start = std::make_shared<const ClusterFacts>(at_start);
        call.earlier = earlier;
        return world.run(call);
    }

    void loses_slot(const std::string& member, const std::string& name) {
        auto& slots = world.members.at(member).sql["slots"];
        slots.erase(std::ranges::find_if(
            slots, [&](const auto& slot) { return slot["slot_name"] == name; }));
    }

    void expect_vanished(const std::string& member, const std::string& slot) {
        const StepResult result = verify();
        EXPECT_EQ(result.outcome, StepOutcome::failed) << result.message;
        ASSERT_EQ(ids_of(result.findings), (Names{"slot.vanished"})) << result.message;
        EXPECT_EQ(result.findings[0].member, member);
        EXPECT_EQ(result.findings[0].subject, slot);
        EXPECT_FALSE(result.hint.empty());
    }

    FakeCluster world;
    ClusterFacts at_start;
    std::vector<EarlierCall> earlier;
};

TEST_F(SlotsVerify, PassesWhereEverySlotMovesAndDoesNotWait) {
    const StepResult result = verify();
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(result.message, "none of 6 slots is stuck, none was lost");
    EXPECT_TRUE(result.unproven.empty());
    EXPECT_TRUE(world.clock.sleeps().empty());
}

TEST_F(SlotsVerify, FailsOnAMembersSlotThatStandsStill) {
    for (auto& slot : world.members.at("n2").sql["slots"]) {
        slot.update(k_far_behind);
    }
    const StepResult result = verify();
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    ASSERT_FALSE(result.findings.empty());
    EXPECT_EQ(result.findings[0].id, "slot.stuck");
    EXPECT_EQ(result.findings[0].member, "n2");
}

// It was there before, and nobody said that it may go: a person's decision, not a failed upgrade.
TEST_F(SlotsVerify, LeavesAnOrphanThatWaitsForADecisionAndSaysSo) {
    world.has_slot("n1", "legacy", k_far_behind);
    begins();
    const StepResult result = verify();
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    ASSERT_EQ(result.unproven.size(), 1U);
    EXPECT_TRUE(contains(result.unproven[0], "slot legacy on n1 stays as it is"))
        << result.unproven[0];
    EXPECT_TRUE(contains(result.message, result.unproven[0])) << result.message;
}

TEST_F(SlotsVerify, FailsOnASlotThatLostItsReaderMeanwhileAndStandsStill) {
    world.has_slot("n1", "cdc", {{"slot_type", "logical"}, {"active", true}});
    begins();
    world.members.at("n1").sql["slots"].back().update(k_far_behind);
    world.members.at("n1").sql["slots"].back()["active"] = false;
    const StepResult result = verify();
    EXPECT_EQ(result.outcome, StepOutcome::failed) << result.message;
    EXPECT_EQ(ids_of(result.findings), (Names{"slot.stuck"}));
}

TEST_F(SlotsVerify, DoesNotPassWhereAMemberCouldNotBeAsked) {
    world.sql.fail("10.0.0.12", TransportError::Kind::connect, "refused");
    const StepResult result = verify();
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(contains(result.message, "the slots of n2 could not be read")) << result.message;
}

TEST_F(SlotsVerify, FailsWhereASlotOfSomebodyElseIsGone) {
    world.config["slots"] = {{"archive", {{"type", "physical"}}}};
    for (const auto& [name, fields] : {std::pair<std::string, nlohmann::json>{"legacy", nullptr},
                                       {"cdc", {{"slot_type", "logical"}, {"active", true}}},
                                       {"archive", {{"active", true}}}}) {
        world.has_slot("n1", name, fields);
        begins();
        loses_slot("n1", name);
        expect_vanished("n1", name);
    }
}

// 3.x keeps none on replicas, 4.x one for every other member.
TEST_F(SlotsVerify, LetsSlotsOfMembersComeAndGo) {
    loses_slot("n2", "n1");
    EXPECT_EQ(verify().outcome, StepOutcome::succeeded);
    begins();
    world.has_slot("n2", "n1");
    EXPECT_EQ(verify().outcome, StepOutcome::succeeded);
}

// patroni/postgresql/slots.py before 3.2.0 has permanent physical slots on the leader alone.
TEST_F(SlotsVerify, LetsAReplicaThatWentBelowThreeTwoDropItsCopyOfAPermanentSlot) {
    world.config["slots"] = {{"archive", {{"type", "physical"}}}};
    world.has_slot("n1", "archive", {{"active", true}});
    world.has_slot("n2", "archive");
    begins();
    loses_slot("n2", "archive");
    expect_vanished("n2", "archive");
    world.has_version("n2", "3.0.2-1");
    EXPECT_EQ(verify().outcome, StepOutcome::succeeded);
    loses_slot("n1", "archive");
    world.has_version("n1", "3.0.2-1");
    expect_vanished("n1", "archive");
}

TEST_F(SlotsVerify, LetsGoWhatThisRunWasToldToDropThereAndNothingElse) {
    world.has_slot("n1", "legacy");
    begins();
    loses_slot("n1", "legacy");
    earlier = {{"slots.drop", "", {{"slot", "other"}}}, {"slots.drop", "n2", {{"slot", "legacy"}}}};
    expect_vanished("n1", "legacy");
    earlier.push_back({"slots.drop", "", {{"slot", "legacy"}}});
    EXPECT_EQ(verify().outcome, StepOutcome::succeeded);
    earlier = {{"slots.drop", "n1", {{"slot", "legacy"}}}};
    EXPECT_EQ(verify().outcome, StepOutcome::succeeded);
}

TEST_F(SlotsVerify, LetsGoWhatThisRunTookOutOfTheConfiguration) {
    world.config["slots"] = {{"archive", {{"type", "physical"}}}};
    world.has_slot("n1", "archive", {{"active", true}});
    begins();
    loses_slot("n1", "archive");
    earlier = {{"patroni.config", "", {{"patch", {{"slots", {{"archive", {{"a", 1}}}}}}}}}};
    expect_vanished("n1", "archive");
    earlier = {{"patroni.config", "", {{"patch", {{"slots", {{"archive", nullptr}}}}}}}};
    EXPECT_EQ(verify().outcome, StepOutcome::succeeded);
}

TEST_F(SlotsVerify, FailsOnALostSlotUnlessItWasLostBefore) {
    const nlohmann::json lost = {{"wal_status", "lost"}, {"restart_lsn", nullptr}};
    world.has_slot("n1", "legacy");
    begins();
    world.members.at("n1").sql["slots"].back().update(lost);
    EXPECT_EQ(ids_of(verify().findings), (Names{"slot.lost"}));
    begins();
    const StepResult result = verify();
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(result.unproven,
              (Names{"slot legacy on n1 was lost before this run, and stays as it is"}));
    world.has_slot("n1", "cdc", {{"slot_type", "logical"}});
    world.members.at("n1").sql["slots"].back().update(lost);
    EXPECT_EQ(verify().outcome, StepOutcome::failed);
    begins();
    EXPECT_EQ(verify().outcome, StepOutcome::succeeded);
    EXPECT_EQ(verify().unproven.size(), 2U);
}

// PostgreSQL 13 to 17 stream on through such a slot.
TEST_F(SlotsVerify, FailsWhereASlotThatIsReadWasInvalidatedMeanwhile) {
    auto& slot = world.members.at("n1").sql["slots"][0];
    const auto fine = slot;
    slot["wal_status"] = "unreserved";
    EXPECT_EQ(ids_of(verify().findings), (Names{"slot.lost"}));
    begins();
    EXPECT_EQ(verify().outcome, StepOutcome::succeeded);
    EXPECT_EQ(verify().unproven.size(), 1U);
    slot = fine;
    EXPECT_TRUE(verify().unproven.empty());
}

TEST_F(SlotsVerify, SaysThatAConsumerWasNotThereToGoOn) {
    world.has_slot("n1", "cdc", {{"slot_type", "logical"}, {"active", true}});
    begins();
    EXPECT_TRUE(verify().unproven.empty());
    world.members.at("n1").sql["slots"].back()["active"] = false;
    EXPECT_EQ(verify().unproven,
              (Names{"that the consumer of slot cdc on n1 can go on: it is not connected any "
                     "more"}));
    begins();
    EXPECT_EQ(verify().unproven,
              (Names{"that the consumer of slot cdc on n1 can go on: it is not connected"}));
}

TEST_F(SlotsVerify, NeverTakesAnUnknownStartForNothingLost) {
    at_start.find("n2")->slots.reset();
    ASSERT_EQ(verify().unproven.size(), 1U);
    EXPECT_TRUE(contains(verify().unproven[0], "no slot of n2")) << verify().unproven[0];
    EXPECT_EQ(world.run(step_call("slots.verify")).unproven.size(), 1U);
    MemberFacts gone = *at_start.find("n2");
    gone.name = "n4";
    at_start.members.push_back(gone);
    EXPECT_EQ(verify().outcome, StepOutcome::failed);
}

}  // namespace
}  // namespace lockstep
