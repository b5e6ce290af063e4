#include "steps/actions/switchover_rules.hpp"
#include "tests/fakes/fake_cluster.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

using Json = nlohmann::json;
using Kind = TransportError::Kind;

constexpr const char* k_request = R"({"candidate":"n2","leader":"n1"})";

StepCall to(const std::string& candidate) {
    StepCall call = step_call("patroni.switchover", "", {{"candidate", Value(candidate)}});
    call.timeout = std::chrono::seconds{10};
    return call;
}

class Switchover : public testing::Test {
  protected:
    Switchover() {
        for (auto& [name, member] : world.members) {
            member.statements = [this, on = name](const SqlStatement& statement) {
                said.push_back(on + ": " + statement.text.substr(0, 10));
                return SqlResult{};
            };
        }
        answers(200, "Successfully switched over to \"n2\"", true);
    }

    /// What Patroni answers, and whether the lead moves at once.
    void answers(long status, const std::string& text, bool moves) {
        world.on_switchover = [=, this](const Json& body) {
            requests.push_back(body.dump());
            if (moves) {
                world.moves_leader_to(body.at("candidate"));
            }
            return HttpResponse{status, text, "text/plain"};
        };
    }

    std::string refusal(const StepCall& call = to("n2")) {
        const Preview preview = world.preview(call);
        return preview.blocked_by.empty() ? "" : preview.blocked_by.front().id;
    }

    FakeCluster world;
    Names requests;
    Names said;  ///< by SQL
};

TEST_F(Switchover, IsPlannedWithTheExactRequestItsEffectAndItsWayBack) {
    ClusterFacts facts = world.observe();
    const Preview preview = world.preview(to("n2"), facts);
    EXPECT_TRUE(preview.blocked_by.empty()) << preview.blocked_by.front().message;
    ASSERT_EQ(preview.operations.size(), 2U);
    EXPECT_EQ(preview.operations[0].text, "CHECKPOINT on n1");
    EXPECT_EQ(preview.operations[1].text,
              "POST http://10.0.0.11:8008/switchover " + std::string(k_request));
    ASSERT_EQ(preview.undo.size(), 1U);
    EXPECT_EQ(preview.undo[0].operation.text,
              R"(POST http://10.0.0.12:8008/switchover {"candidate":"n1","leader":"n2"})");
    EXPECT_EQ(preview.undo[0].with, (Json{{"candidate", "n1"}}));
    preview.effect(facts);
    EXPECT_EQ(facts.leader, "n2");
    EXPECT_EQ(facts.timeline, 5);
    EXPECT_EQ(world.preview(to("n2"), facts).verdict, Verdict::wont);
    EXPECT_TRUE(world.preview(to("n1"), facts).blocked_by.empty());
    EXPECT_TRUE(requests.empty());
}

TEST_F(Switchover, GoesToAMemberThatThePlanChoosesAndKeeps) {
    StepCall call = to("");
    call.probed = world.probe(call);
    EXPECT_EQ(call.probed, (Json{{"candidate", "n2"}}));
    world.members.at("n2").status["tags"] = {{"nofailover", true}};
    EXPECT_EQ(world.probe(call), (Json{{"candidate", "n3"}}));
    EXPECT_EQ(refusal(call), "patroni.no_failover");
    world.members.at("n2").status["tags"] = {{"failover_priority", 1}};
    world.members.at("n3").status["tags"] = {{"failover_priority", 5}};
    EXPECT_EQ(world.probe(call), (Json{{"candidate", "n3"}}));
    world.members.at("n3").status["replication_state"] = "in archive recovery";
    world.is_dead("n2");
    EXPECT_EQ(world.probe(call), Json());
    call.probed = nullptr;
    EXPECT_FALSE(world.preview(call).blocked_by.empty());
}

TEST_F(Switchover, InSynchronousModeIsForASynchronousStandbyAlone) {
    world.config["synchronous_mode"] = true;
    EXPECT_EQ(refusal(), "replication.not_synchronous");
    world.members.at("n3").role = "sync_standby";
    EXPECT_EQ(world.probe(to("")), (Json{{"candidate", "n3"}}));
    EXPECT_EQ(refusal(to("n3")), "");
}

TEST_F(Switchover, IsRefusedOfACandidateThatWouldNotDo) {
    EXPECT_EQ(refusal(to("n9")), "member.unknown");
    auto& member = world.members.at("n2");
    const Json well = member.status;
    member.status["xlog"] = {{"received_location", 83887680}, {"replayed_location", 1000}};
    EXPECT_EQ(refusal(), "replication.lag");
    member.status = well;
    member.status["timeline"] = 3;
    EXPECT_EQ(refusal(), "replication.timeline");
    member.status = well;
    member.status["tags"] = {{"nostream", true}};
    EXPECT_EQ(refusal(), "replication.not_streaming");
    member.status = well;
    member.status["scheduled_restart"] = {{"schedule", "2026-12-24T00:00:00+00:00"}};
    EXPECT_EQ(refusal(), "cluster.scheduled_action");
    member.status = well;
    EXPECT_EQ(refusal(), "");
}

TEST_F(Switchover, IsRefusedOfALeaderThatCannotGiveItAway) {
    world.is_paused();
    EXPECT_EQ(refusal(), "cluster.paused");
    StepCall ours = to("n2");
    ours.open_temporaries = {"patroni.pause"};
    EXPECT_EQ(refusal(ours), "");
    world.is_paused(false);
    ClusterFacts facts = world.observe();
    facts.find("n1")->wal->archiving_fails = true;
    EXPECT_EQ(ids_of(world.preview(to("n2"), facts).blocked_by), (Names{"wal.not_archived"}));
    facts.find("n1")->wal.reset();
    EXPECT_EQ(ids_of(world.preview(to("n2"), facts).blocked_by), (Names{"wal.unknown"}));
    facts = world.observe();
    facts.scheduled_switchover = true;
    EXPECT_EQ(ids_of(world.preview(to("n2"), facts).blocked_by),
              (Names{"cluster.scheduled_action"}));
    facts = world.observe();
    facts.patroni_write_refused = true;
    EXPECT_EQ(ids_of(world.preview(to("n2"), facts).blocked_by), (Names{"patroni.write_refused"}));
    StepCall later = to("n2");
    later.led_by = "n3";
    EXPECT_EQ(refusal(later), "cluster.leader_moved");
}

TEST_F(Switchover, WouldLeaveALogicalSlotBehindOnlyIfSomebodyAcceptsIt) {
    world.has_slot("n1", "cdc", {{"slot_type", "logical"}, {"plugin", "wal2json"}});
    const Preview preview = world.preview(to("n2"));
    ASSERT_EQ(ids_of(preview.blocked_by), (Names{"slot.left_behind"}));
    EXPECT_TRUE(preview.blocked_by[0].acceptable);
    EXPECT_EQ(preview.blocked_by[0].subject, "cdc");
    EXPECT_EQ(world.run(to("n2")).outcome, StepOutcome::succeeded);  // it was accepted
}

TEST_F(Switchover, IsDoneWhenTheNewLeaderWritesAndTheOldOneStreams) {
    ClusterFacts facts = world.observe();
    const StepResult result = world.run(to("n2"), facts);
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(requests, (Names{k_request}));
    EXPECT_EQ(said, (Names{"n1: CHECKPOINT", "n2: SELECT pg_"}));
    EXPECT_EQ(result.output, (Json{{"leader", "n2"}, {"before", "n1"}, {"timeline", 5}}));
    result.learned(facts);
    EXPECT_EQ(facts.leader, "n2");
    EXPECT_EQ(facts.timeline, 5);
}

TEST_F(Switchover, SendsNothingWhereTheLeaderSaysOnItsHostThatItDoesNotLead) {
    world.members.at("n1").own_refusal = "it is not n1: its name is n7";
    const StepResult result = world.run(to("n2"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_NE(result.message.find("its name is n7"), std::string::npos) << result.message;
    EXPECT_TRUE(requests.empty());
}

TEST_F(Switchover, SendsNothingWhereTheCandidateFallsBackAfterTheCheckpoint) {
    world.members.at("n1").statements = [this](const SqlStatement&) {
        world.members.at("n2").status["replication_state"] = "in archive recovery";
        return SqlResult{};
    };
    const StepResult result = world.run(to("n2"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_NE(result.message.find("does not stream"), std::string::npos) << result.message;
    EXPECT_TRUE(requests.empty());
}

TEST_F(Switchover, WhoseStatusIsUnknownIsLookedAtAndNeverRepeated) {
    answers(503, "Switchover status unknown", false);
    int looks = 0;
    world.on_look = [&] {
        if (!requests.empty() && ++looks == 60) {
            world.moves_leader_to("n2");
        }
    };
    const StepResult result = world.run(to("n2"));
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(requests.size(), 1U);
}

TEST_F(Switchover, WhoseStatusIsUnknownFailsOnlyWhenPatroniCanBeginWithItNoMore) {
    answers(503, "Switchover status unknown", false);
    const ClusterFacts facts = world.observe();
    const auto begun = world.clock.steady_now();
    const StepResult result = world.run(to("n2"), facts);
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(result.message, "n1 still leads: HTTP 503 Switchover status unknown");
    EXPECT_GE(world.clock.steady_now() - begun, switchover_acts_within(facts));
    EXPECT_EQ(requests.size(), 1U);
}

TEST_F(Switchover, WhoseAnswerIsLostIsFoundOut) {
    world.on_switchover = [this](const Json& body) -> HttpResponse {
        requests.push_back(body.dump());
        world.moves_leader_to("n2");
        throw TransportError(Kind::timeout, "no answer in time");
    };
    EXPECT_EQ(world.run(to("n2")).outcome, StepOutcome::succeeded);
    EXPECT_EQ(requests.size(), 1U);
}

TEST_F(Switchover, ThatPatroniRefusesHasMovedNothing) {
    answers(412, "candidate name does not match with sync_standby", false);
    const StepResult result = world.run(to("n2"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_NE(result.message.find("sync_standby"), std::string::npos) << result.message;
}

TEST_F(Switchover, ToAnotherMemberThanWasAskedForIsNone) {
    world.on_switchover = [this](const Json&) {
        world.moves_leader_to("n3");
        return HttpResponse{200, "Switched over to \"n3\" instead of \"n2\"", "text/plain"};
    };
    const StepResult result = world.run(to("n2"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_NE(result.message.find("n3 leads, and not n2"), std::string::npos) << result.message;
}

TEST_F(Switchover, IsInDoubtWhereNobodyLeads) {
    world.on_switchover = [this](const Json&) {
        world.members.at("n1").role = "replica";
        return HttpResponse{503, "Switchover status unknown", "text/plain"};
    };
    const StepResult result = world.run(to("n2"));
    EXPECT_EQ(result.outcome, StepOutcome::in_doubt) << result.message;
}

TEST_F(Switchover, WhoseOldLeaderDoesNotComeBackFailsAndIsTakenUpWithoutAnotherRequest) {
    world.on_switchover = [this](const Json& body) {
        requests.push_back(body.dump());
        world.moves_leader_to("n2");
        world.members.at("n1").status["state"] = "start failed";
        world.members.at("n1").status.erase("replication_state");
        return HttpResponse{200, "Successfully switched over to \"n2\"", "text/plain"};
    };
    ClusterFacts facts = world.observe();
    const StepResult result = world.run(to("n2"), facts);
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_NE(result.message.find("n1 does not stream from it: it is start failed"),
              std::string::npos)
        << result.message;
    result.learned(facts);
    StepCall again = to("n2");
    again.led_by = "n1";
    EXPECT_EQ(world.preview(again, facts).verdict, Verdict::will);
    EXPECT_TRUE(world.preview(again, facts).blocked_by.empty());
    world.members.at("n1").status["state"] = "running";
    world.members.at("n1").status["replication_state"] = "streaming";
    EXPECT_EQ(world.run(again, facts).outcome, StepOutcome::succeeded);
    EXPECT_EQ(requests.size(), 1U);
    EXPECT_EQ(world.preview(again).verdict, Verdict::wont);
}

TEST_F(Switchover, OfALeaderThatIsDownIsRefused) {
    world.members.at("n1").status["state"] = "stopping";
    EXPECT_EQ(refusal(), "cluster.leader_unwell");
    EXPECT_TRUE(world.preview(to("n2")).blocked_by.front().passing);
}

}  // namespace
}  // namespace lockstep
