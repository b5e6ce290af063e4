#include "cli/texts.hpp"

#include "cli/commands.hpp"
#include "cli/shipped_runbooks.hpp"
#include "cluster/diagnosis.hpp"
#include "engine/plan/binding.hpp"
#include "engine/plan/planner.hpp"
#include "steps/catalog.hpp"
#include "steps/live_runner.hpp"
#include "tests/cli/plan_on.hpp"
#include "tests/fakes/fake_cluster.hpp"
#include "tests/golden/golden_text.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

using Json = nlohmann::json;

const Terminal k_plain(false, false);
const char* const k_old = "3.0.2-1";
const char* const k_target = "4.0.7-3~deb13u1";

/// Every line but a table's: that is as wide as its cells.
void expect_to_fit(const std::string& text) {
    bool table = false;
    for (const std::string& line : golden::lines_of(text)) {
        table = line.starts_with("  MEMBER  ") || line.starts_with("  STEP  ") ||
                (table && !line.empty());
        EXPECT_TRUE(table || columns(line) <= 100) << line;
        EXPECT_FALSE(line.ends_with(' ')) << line;
    }
}

/// The text without what changes whenever a runbook is edited.
std::string without_hash(std::string text) {
    const std::string label = "      hash    ";
    const std::size_t at = text.find(label);
    if (at != std::string::npos) {
        text.replace(at + label.size(), 16, "0123456789abcdef");
    }
    return text;
}

class Texts : public testing::Test {
  protected:
    Texts() {
        for (auto& [name, member] : world.members) {
            member.commands = [&member = member](const std::string&) {
                return command_result(0,
                                      "installed=installed " + member.installed +
                                          "\naudit=\navailable=4.1.5-2\navailable=4.0.7-3~deb13u1\n"
                                          "available=3.0.2-1\nfrom=repository\n");
            };
        }
        inventory.clusters.push_back(world.cluster);
    }

    void is_mixed_with_an_orphan() {
        world.has_version("n1", k_old);
        world.has_version("n2", k_old);
        world.has_slot("n1", "legacy", {{"restart_lsn", "0/1000000"}});
        world.members.at("n1").sql["wal"]["oldest"] = "0000000000000001";
    }

    Plan plan(const std::map<std::string, std::string>& set = {{"target", k_target}}) {
        return plan_of("patroni-upgrade", set);
    }

    Plan plan_of(const std::string& name, const std::map<std::string, std::string>& set = {}) {
        return plan_on(world, inventory, name, set);
    }

    /// A plan that may be run, as text.
    void expect_plan(const std::string& golden,
                     const std::string& name,
                     const std::map<std::string, std::string>& set = {}) {
        const Plan planned = plan_of(name, set);
        EXPECT_TRUE(planned.ready());
        const std::string text = without_hash(plan_text(planned, k_plain));
        golden::expect_text(golden, text);
        expect_to_fit(text);
    }

    std::string check() {
        LiveRunner runner(world.cluster, world.factory(), world.clock);
        ClusterFacts facts = runner.observe(true, {});
        const std::vector<Finding> findings = runner.diagnose(facts, {});
        return check_text(facts, findings, k_plain);
    }

    FakeCluster world;
    Inventory inventory;
};

TEST_F(Texts, CheckOfAHealthyCluster) {
    const std::string text = check();
    golden::expect_text("check_healthy", text);
    expect_to_fit(text);
}

TEST_F(Texts, CheckOfMixedVersionsWithAnOrphan) {
    is_mixed_with_an_orphan();
    const std::string text = check();
    golden::expect_text("check_mixed", text);
    expect_to_fit(text);
}

TEST_F(Texts, ExplanationOfWal) {
    is_mixed_with_an_orphan();
    world.is_dead("n3");
    world.members.at("n3").ssh_error = TransportError(
        TransportError::Kind::connect, "no connection to root@10.0.0.13:22: connection refused");
    LiveRunner runner(world.cluster, world.factory(), world.clock);
    ClusterFacts facts = runner.observe(true, {});
    const std::vector<Finding> findings = runner.diagnose(facts, {});
    const std::string text = explain_text(facts, findings, explain_wal(facts), k_plain);
    golden::expect_text("explain_wal", text);
    expect_to_fit(text);
}

TEST_F(Texts, CheckOfAMemberThatCannotBeReached) {
    world.is_dead("n3");
    world.members.at("n3").ssh_error =
        TransportError(TransportError::Kind::connect,
                       "no connection to root@10.0.0.13:22: connection refused",
                       "Check that sshd runs there and that this host may connect to it.");
    const std::string text = check();
    golden::expect_text("check_unreachable", text);
    expect_to_fit(text);
}

TEST_F(Texts, PlanOfMixedVersionsWithAnOrphan) {
    is_mixed_with_an_orphan();
    const Plan planned = plan();
    EXPECT_TRUE(planned.ready());
    const std::string text = without_hash(plan_text(planned, k_plain));
    golden::expect_text("plan_mixed", text);
    expect_to_fit(text);
}

TEST_F(Texts, PlanWithTheReplicasSideBySide) {
    is_mixed_with_an_orphan();
    expect_plan("plan_side_by_side", "patroni-upgrade", {{"target", k_target}, {"batch", "all"}});
}

TEST_F(Texts, PlanSaysWhoIsWorkedOnAtTheSameTime) {
    const auto said = [&](const std::string& batch) {
        LiveRunner runner(world.cluster, world.factory(), world.clock);
        PlanRequest request;
        request.runbook = std::make_shared<const Runbook>(parse_runbook(
            "runbook: r\nsummary: s\nsteps:\n  - id: all\n    on: members\n"
            "    strategy: {batch: " +
                batch +
                "}\n    steps:\n"
                "      - {id: a, uses: ssh.run, with: {argv: [id], read_only: true}}\n"
                "      - {id: b, uses: ssh.run, with: {argv: [id], read_only: true}}\n",
            "r.yaml",
            {action_catalog(), {}, {}, {}}));
        request.inventory = &inventory;
        request.cluster = &world.cluster;
        request.actions = &action_catalog();
        const std::string text = plan_text(make_plan(request, runner, {}), k_plain);
        const std::size_t at = text.find("\n  all: ");
        return at == std::string::npos ? "" : text.substr(at + 3, text.find('\n', at + 1) - at - 3);
    };
    EXPECT_EQ(said("1"), "");
    EXPECT_EQ(said("all"), "all: n1, n2 and n3 side by side");
    EXPECT_EQ(said("2"), "all: n1 and n2 side by side, then n3");
    EXPECT_EQ(said("[1, all]"), "all: n1, then n2 and n3 side by side");
}

TEST_F(Texts, PlanThatDropsTheOrphan) {
    is_mixed_with_an_orphan();
    const std::string text =
        without_hash(plan_text(plan({{"target", "4.0.7"}, {"drop_slots", "legacy"}}), k_plain));
    golden::expect_text("plan_drops_slot", text);
    expect_to_fit(text);
}

TEST_F(Texts, PlanWhereAllAreOnTarget) {
    const Plan planned = plan();
    EXPECT_TRUE(planned.ready());
    EXPECT_TRUE(planned.nothing_to_do());
    const std::string text = without_hash(plan_text(planned, k_plain));
    golden::expect_text("plan_on_target", text);
    expect_to_fit(text);
}

TEST_F(Texts, PlansThatAlignReplicasWithTheirLeader) {
    EXPECT_TRUE(plan_of("patroni-align-replicas").nothing_to_do());
    expect_plan("plan_align_healthy", "patroni-align-replicas");
    is_mixed_with_an_orphan();
    expect_plan("plan_align_mixed", "patroni-align-replicas");
}

TEST_F(Texts, PlansToAlignNothingWithALeaderThatWasNotRestarted) {
    is_mixed_with_an_orphan();
    world.members.at("n1").installed = k_target;
    const Plan planned = plan_of("patroni-align-replicas");
    ASSERT_FALSE(planned.ready());
    EXPECT_EQ(planned.refusal_code(), 4);
    EXPECT_NE(planned.blocked_by.front().message.find("Run patroni-upgrade"), std::string::npos)
        << planned.blocked_by.front().message;
    EXPECT_FALSE(plan_of("patroni-align-replicas", {{"target", k_old}}).ready());
}

// Each is a cluster on which the shipped runbooks have a way to succeed: nothing refuses, and every
// condition on it is true of the members once they run the target.
TEST_F(Texts, PlansToUpgradeClustersThatAreNotLikeOthers) {
    const auto expect_true_at_the_end = [&](const char* what) {
        for (auto& [name, member] : world.members) {
            world.has_version(name, k_old);
        }
        const Plan planned = plan();
        EXPECT_TRUE(planned.ready()) << what;
        for (auto& [name, member] : world.members) {
            world.has_version(name, k_target);
        }
        LiveRunner runner(world.cluster, world.factory(), world.clock);
        const ClusterFacts facts = runner.observe(true, {});
        for (const PlannedStep& step : planned.steps) {
            if (step.uses != "wait_for") {
                continue;
            }
            const ScopeSource source{
                .plan = planned, .facts = facts, .cluster = world.cluster, .member = step.member};
            const Expression& that = std::get<Expression>(step.spec->with.at("that").content);
            const Evaluation holds = that.evaluate(make_scope(source));
            const auto* value = std::get_if<Value>(&holds);
            EXPECT_TRUE(value != nullptr && *value == Value(true))
                << what << ": " << step.id << " on " << step.member;
        }
    };
    expect_true_at_the_end("a usual one");
    world.members.at("n2").sql["settings"]["recovery_min_apply_delay"] = {"3600000", "ms"};
    world.members.at("n2").status["xlog"]["replayed_location"] = 1000;
    expect_true_at_the_end("a delayed replica");
    world.members.at("n3").status["tags"] = {{"nostream", true}};
    world.members.at("n3").status["replication_state"] = "in archive recovery";
    world.members.at("n3").status["xlog"] = {{"received_location", 0}, {"replayed_location", 1000}};
    expect_true_at_the_end("one that follows the archive");
    auto& leader = world.members.at("n1");
    leader.role = "standby_leader";
    leader.status["role"] = "standby_leader";
    leader.status["xlog"] = {{"received_location", 83887680}, {"replayed_location", 83887616}};
    leader.sql["in_recovery"] = true;
    expect_true_at_the_end("a standby cluster");
}

TEST_F(Texts, PlansToAlignReplicasWithNothingButTheirLeader) {
    is_mixed_with_an_orphan();
    EXPECT_TRUE(plan_of("patroni-align-replicas", {{"target", "3.0.2"}}).ready());
    EXPECT_FALSE(plan_of("patroni-align-replicas", {{"target", k_target}}).ready());
    world.members.at("n1").role = "replica";
    EXPECT_FALSE(plan_of("patroni-align-replicas").ready());
}

TEST_F(Texts, PlansThatRelieveWal) {
    EXPECT_TRUE(plan_of("patroni-relieve-wal").nothing_to_do());
    expect_plan("plan_relieve_healthy", "patroni-relieve-wal");
    is_mixed_with_an_orphan();
    expect_plan("plan_relieve_mixed", "patroni-relieve-wal", {{"drop_slots", "legacy"}});
    world.is_paused();
    EXPECT_FALSE(plan_of("patroni-relieve-wal").ready());
}

// Once every member runs one version, and not before.
TEST_F(Texts, PlansThatPutMemberSlotsBack) {
    world.config["member_slots_ttl"] = 0;
    expect_plan("plan_relieve_restores", "patroni-relieve-wal");
    EXPECT_EQ(plan_of("patroni-relieve-wal", {{"restore_to", "1h"}}).steps.at(4).operations.at(0),
              (Operation{Operation::Kind::http,
                         R"(PATCH http://10.0.0.11:8008/config {"member_slots_ttl":"1h"})"}));
    EXPECT_THROW((void)plan_of("patroni-relieve-wal", {{"restore_to", "soon"}}), UsageError);
    is_mixed_with_an_orphan();
    EXPECT_TRUE(plan_of("patroni-relieve-wal").nothing_to_do());
    world.has_version("n1", k_target);  // a leader of 4.x says how far the members are
    EXPECT_TRUE(plan_of("patroni-relieve-wal").nothing_to_do());
}

TEST_F(Texts, PlansToPutBackNoValueButZero) {
    world.config["member_slots_ttl"] = "2h";
    EXPECT_TRUE(plan_of("patroni-relieve-wal").nothing_to_do());
}

TEST_F(Texts, PlanThatAnUnreachableMemberBlocks) {
    is_mixed_with_an_orphan();
    world.members.at("n2").ssh_error =
        TransportError(TransportError::Kind::auth,
                       "root@10.0.0.12:22 does not let us in with any key",
                       "Name one with identity_file under ssh: in the inventory.");
    const Plan planned = plan();
    EXPECT_FALSE(planned.ready());
    EXPECT_EQ(planned.refusal_code(), 16);
    const std::string text = without_hash(plan_text(planned, k_plain));
    golden::expect_text("plan_blocked", text);
    expect_to_fit(text);
}

/// The records that a run of a plan leaves, made by hand.
class Runs : public Texts {
  protected:
    Runs() {
        is_mixed_with_an_orphan();
        planned = plan();
        header.id = "20261123-091502-3f2a";
        header.cluster = "orders";
        header.runbook = "patroni-upgrade";
        header.plan_hash = std::string(64, 'a');
        header.started_at = "2026-11-23T09:15:02.000Z";
        header.started_by = "dba@control";
        header.reason = "security update";
        header.inputs = Value(planned.inputs).to_json();
        header.plan = planned.to_json();
        state = std::make_unique<RunState>(header.plan);
        apply(RecordKind::run_started, nullptr, {{"plan_hash", header.plan_hash}});
    }

    void apply(RecordKind kind, const PlannedStep* step, Json payload) {
        state->apply({++seq,
                      "2026-11-23T09:15:" + std::to_string(10 + seq) + ".000Z",
                      kind,
                      step == nullptr ? "" : step->id,
                      step == nullptr ? "" : step->member,
                      std::move(payload)});
    }

    void result(const PlannedStep& step,
                const std::string& outcome,
                const std::string& message,
                const std::string& hint = "",
                const Names& lines = {}) {
        apply(RecordKind::step_intent,
              &step,
              {{"attempt", 1},
               {"uses", step.uses},
               {"operations", {}},
               {"undo", to_json(step.undo)},
               {"temporary", step.uses == "patroni.pause" ? step.uses : ""}});
        apply(RecordKind::step_result,
              &step,
              {{"outcome", outcome},
               {"message", message},
               {"hint", hint},
               {"last_lines", lines},
               {"unproven",
                step.uses == "slots.verify"
                    ? Json({"slot legacy on n1 stays as it is, for nobody named it: it holds 64 MB "
                            "of WAL"})
                    : Json::array()},
               {"findings", Json::array()},
               {"output", nullptr},
               {"retry", false},
               {"ends", step.uses == "patroni.resume" ? "patroni.pause" : ""}});
    }

    /// Everything up to a step (empty: all) goes well; returns that step.
    const PlannedStep* goes_well_until(const std::string& id) {
        const std::map<std::string, std::string> messages{
            {"check", "2 findings, none of them an obstacle"},
            {"patroni.pause", "every member says so, after 2.1 s"},
            {"package.keep", "patroni 3.0.2-1 is kept"},
            {"package.install", std::string("patroni ") + k_target},
            {"service.restart", "runs as pid 4711"},
            {"wait_for", "holds after 1.8 s"},
            {"patroni.resume", "every member says so"},
            {"slots.verify", "none of 7 slots is newly stuck, none was lost"},
            {"wal.verify", "n1: 96 MB -> 80 MB; n2: 96 MB -> 80 MB; n3: 96 MB -> 80 MB"}};
        for (const PlannedStep& step : planned.steps) {
            if (step.id == id) {
                return &step;
            }
            if (step.verdict == Verdict::wont) {
                apply(RecordKind::step_skipped,
                      &step,
                      {{"state", "already_done"}, {"because", step.because}});
            } else {
                result(step, "succeeded", messages.at(step.uses));
            }
        }
        return nullptr;
    }

    void note(const std::string& message) {
        apply(RecordKind::note, nullptr, {{"message", message}});
    }

    void ends(const std::string& phase, int exit_code, const std::string& message, Json measured) {
        apply(RecordKind::run_ended,
              nullptr,
              {{"state", phase},
               {"exit_code", exit_code},
               {"message", message},
               {"hint", ""},
               {"measured", std::move(measured)}});
    }

    Plan planned;
    RunHeader header;
    std::unique_ptr<RunState> state;
    std::int64_t seq = 0;
};

TEST_F(Runs, SummaryAndShowOfOneThatSucceeded) {
    EXPECT_EQ(goes_well_until(""), nullptr);
    for (const Finding& finding : planned.findings) {
        if (finding.needs_decision) {
            apply(RecordKind::note,
                  nullptr,
                  {{"message", "still open: " + finding.message}, {"finding", finding.to_json()}});
        }
    }
    ends("succeeded",
         0,
         "done",
         {{"paused_ms", 21500},
          {"write_gap_ms", 140},
          {"client_errors", 0},
          {"writes", 640},
          {"postgres_restarts", 0}});
    const std::string summary = summary_text(header, *state, k_plain);
    golden::expect_text("summary_succeeded", summary);
    expect_to_fit(summary);
    const std::string show = show_text(header, *state, k_plain);
    golden::expect_text("show_succeeded", show);
    expect_to_fit(show);
}

TEST_F(Runs, SummaryAndShowOfOneThatLeftTheClusterPaused) {
    const PlannedStep* failed = goes_well_until("leader.restart");
    ASSERT_NE(failed, nullptr);
    result(*failed,
           "failed",
           "patroni is failed after the restart",
           "See `journalctl -u patroni` on the member.",
           {"Traceback (most recent call last):",
            "\x1b[31mModuleNotFoundError: No module named 'ydiff'"});
    note(
        "patroni.pause is still in force: left paused, because resuming is not safe: the Patroni "
        "of n1 does not answer");
    ends("failed",
         10,
         "leader.restart on n1: patroni is failed after the restart",
         {{"paused_ms", 0},
          {"write_gap_ms", 150},
          {"client_errors", 0},
          {"writes", 900},
          {"postgres_restarts", 0}});
    const std::string summary = summary_text(header, *state, k_plain);
    golden::expect_text("summary_failed", summary);
    expect_to_fit(summary);
    const std::string show = show_text(header, *state, k_plain);
    golden::expect_text("show_failed", show);
    expect_to_fit(show);
}

TEST_F(Runs, SummaryOfOneThatWasTakenBack) {
    EXPECT_EQ(goes_well_until(""), nullptr);
    apply(RecordKind::note, nullptr, {{"message", "took over the lock"}, {"passing", true}});
    apply(RecordKind::note,
          nullptr,
          {{"message", "patroni.pause is still in force"}, {"kept", "patroni.pause"}});
    ends("succeeded", 0, "done", {{"paused_ms", 13700}});
    apply(RecordKind::run_resumed, nullptr, {{"rolling_back", true}});
    const auto undo = [&](bool good) {
        for (const PlannedStep& step : planned.steps) {
            for (std::size_t n = 0; step.verdict != Verdict::wont && n < step.undo.size(); ++n) {
                const Json of{{"n", n}, {"attempt", 1}, {"on", step.undo[n].member}};
                apply(RecordKind::undo_intent, &step, of);
                Json done = of;
                done["outcome"] = good ? "succeeded" : "failed";
                done["message"] = good ? "back" : "the disk is full";
                apply(RecordKind::undo_result, &step, done);
            }
        }
    };
    undo(false);
    ends("rollback_failed", 12, "not everything was taken back", {{"paused_ms", 25100}});
    std::string summary = summary_text(header, *state, k_plain);
    EXPECT_NE(summary.find("(goes on with the way back)"), std::string::npos) << summary;
    EXPECT_NE(summary.find("paused for 25.1 s; the run and its way back together"),
              std::string::npos)
        << summary;
    EXPECT_EQ(summary.find("took over"), std::string::npos) << "of an engine before: " << summary;
    EXPECT_EQ(summary.find("still open"), std::string::npos) << summary;
    undo(true);
    ends("rollback_failed", 12, "taken back, but not as it was before", {{"paused_ms", 25100}});
    summary = summary_text(header, *state, k_plain);
    EXPECT_EQ(summary.find("lockstep rollback"), std::string::npos)
        << "there is nothing left to take back: " << summary;
}

// Names and versions come from the network: none of them may draw on the screen.
TEST(CheckText, SaysWhichRunHoldsTheCluster) {
    ClusterFacts facts;
    facts.name = "orders";
    facts.leader = "n1";
    facts.members.emplace_back().leftover.emplace().lock =
        LockFacts{.run = "20261123-091502-3f2a", .who = "ann@ops1", .expires_in_seconds = 42};
    const std::string text = check_text(facts, {}, k_plain);
    EXPECT_EQ(text.substr(0, text.find('\n')),
              "OK - orders: 1 member, leader n1, held by run 20261123-091502-3f2a of ann@ops1");
}

TEST(HostileNames, NeverReachTheTerminalRaw) {
    const std::string evil = "n1\x1b[2J\r\nOK - all is well";
    ClusterFacts facts;
    facts.name = "orders";
    facts.leader = evil;
    MemberFacts member;
    member.name = evil;
    member.role = evil;
    member.state = evil;
    member.patroni.running = evil;
    member.patroni.installed = evil;
    member.postgres.running = evil;
    member.api.asked = true;
    member.leftover.emplace().lock = LockFacts{.run = evil, .who = evil, .expires_in_seconds = 1};
    facts.members.push_back(member);
    Finding finding;
    finding.id = "slot.stuck";
    finding.member = finding.subject = finding.message = evil;
    finding.remedy = finding.source = evil;
    finding.needs_decision = true;
    Plan plan;
    plan.runbook = find_runbook("patroni-upgrade");
    plan.cluster = "orders";
    plan.findings = {finding};
    plan.steps.resize(1);
    plan.steps[0].id = "drop[" + evil + "]";
    plan.steps[0].member = plan.steps[0].because = evil;
    plan.steps[0].notes = {evil};
    plan.steps[0].spec = &plan.runbook->steps.front();
    plan.steps[0].operations = {{Operation::Kind::ssh, evil}};
    RunHeader header;
    header.plan = plan.to_json();
    const RunState state(header.plan);
    for (const std::string& text : {check_text(facts, {finding}, k_plain),
                                    plan_text(plan, k_plain),
                                    summary_text(header, state, k_plain),
                                    show_text(header, state, k_plain)}) {
        EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
        EXPECT_EQ(text.find('\r'), std::string::npos) << text;
        EXPECT_EQ(text.find("\nOK - all"), std::string::npos) << text;
    }
}

TEST(ShippedRunbooks, AreAllValid) {
    ASSERT_FALSE(shipped_runbooks().empty());
    for (const ShippedRunbook& shipped : shipped_runbooks()) {
        const auto runbook = find_runbook(std::string(shipped.name));
        EXPECT_EQ(runbook->name, shipped.name);
        EXPECT_FALSE(runbook->summary.empty());
        EXPECT_FALSE(runbook->steps.empty());
    }
}

TEST(ShippedRunbooks, AreFoundByNameAndOthersByPath) {
    EXPECT_EQ(find_runbook(LOCKSTEP_SOURCE_DIR "/runbooks/patroni-upgrade.yaml")->name,
              "patroni-upgrade");
    try {
        (void)find_runbook("patroni-upgrad");
        FAIL() << "found";
    } catch (const UsageError& error) {
        EXPECT_NE(error.hint().find("patroni-upgrade"), std::string::npos) << error.hint();
    }
}

}  // namespace
}  // namespace lockstep
