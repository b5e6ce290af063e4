#include "engine/run/unproven.hpp"
#include "tests/scenarios/story.hpp"

namespace lockstep {
namespace {

class Running : public Story {};

constexpr const char* k_covered = R"(
- {id: hold, uses: hold}
- {id: work, on: members, uses: change}
- {id: release, uses: release}
)";

TEST_F(Running, DoesEveryStepInOrderAndEndsWithZero) {
    const RunEnd end = run(plan(k_covered));
    EXPECT_EQ(end.exit_code, 0);
    EXPECT_EQ(started(), (Names{"hold", "work on n1", "work on n2", "work on n3", "release"}));
    EXPECT_EQ(state->phase(), RunPhase::succeeded);
    EXPECT_TRUE(state->measured().contains("paused_ms"));
}

TEST_F(Running, TellsEachStepHowItBeganAndWhatItHasDoneAlsoAfterAResume) {
    std::vector<std::string> told;
    runner.workers["change"] = [](const StepCall&, ClusterFacts& now) {
        now.find("n2")->lag_bytes = 4711;
        return StepResult{};
    };
    runner.workers["look"] = [&](const StepCall& call, ClusterFacts&) {
        EXPECT_EQ(call.at_start->find("n2")->lag_bytes, 2);
        EXPECT_EQ(call.at_start->members.size(), 3U);
        for (const EarlierCall& earlier : call.earlier) {
            told.push_back(earlier.uses + " " + earlier.member + " " +
                           earlier.with.value("text", ""));
        }
        return StepResult{.outcome = told.size() < 2 ? StepOutcome::failed : StepOutcome::succeeded,
                          .unproven = {"that it is blue"}};
    };
    run(plan(R"(
- {id: first, uses: look, on_failure: continue}
- {id: work, on: n2, uses: change, with: {text: slot}}
- {id: end, uses: look}
)"));
    EXPECT_EQ(told, (Names{"change n2 slot"}));
    EXPECT_EQ(resume().exit_code, 0);
    EXPECT_EQ(told, (Names{"change n2 slot", "change n2 slot"}));
    EXPECT_EQ(state->find("end", "")->unproven, (Names{"that it is blue"}));
}

TEST_F(Running, SaysWhatItHasNotProven) {
    accepted = {"disk.low"};
    runner.previews["change"] = [](const StepCall&, const ClusterFacts&) {
        Preview preview;
        preview.blocked_by.push_back(
            {.id = "disk.low", .message = "n2 has 9% free", .acceptable = true});
        return preview;
    };
    runner.workers["change"] = [](const StepCall&, ClusterFacts&) {
        return StepResult{.unproven = {"that it is blue"}};
    };
    const auto left_open = [&](const std::string& head) {
        const Plan planned = plan("- {id: a, uses: change, undo: none}\n", head);
        runner.previews["change"] = [](const StepCall&, const ClusterFacts&) { return Preview{}; };
        run(planned);
        return unproven(header_of(planned), *state);
    };
    EXPECT_EQ(left_open(""),
              (Names{"accepted by name, and not looked at again: disk.low: n2 has 9% free",
                     "that it is blue",
                     "what a client would have seen: this runbook has no write probe"}));
    accepted.clear();
    journal = FakeJournal();
    runner.probe_report = ProbeReport{.writes = 0};
    EXPECT_EQ(
        left_open("guards: [write_probe: {every: 100ms}]\n"),
        (Names{"that it is blue", "what a client would have seen: the write probe did not write"}));
    journal = FakeJournal();
    runner.probe_report = ProbeReport{.writes = 7};
    EXPECT_EQ(left_open("guards: [write_probe: {every: 100ms}]\n"), (Names{"that it is blue"}));
}

TEST_F(Running, RecordsTheIntentBeforeItStarts) {
    Names order;
    listener = [&](const JournalRecord& record, const RunState&) {
        order.push_back(std::string(to_text(record.kind)));
        order.push_back("asked " + std::to_string(started().size()));
    };
    run(plan("- {id: a, uses: change}\n"));
    EXPECT_EQ(order,
              (Names{"run_started",
                     "asked 0",
                     "lock_taken",
                     "asked 0",
                     "step_intent",
                     "asked 0",
                     "step_result",
                     "asked 1",
                     "run_ended",
                     "asked 1"}));
}

TEST_F(Running, StartsNothingThatIsNotOnRecord) {
    const Plan planned = plan("- {id: a, uses: change}\n");
    journal.fail_at = 2;  // the intent
    EXPECT_THROW((void)start_run(setup(planned), header_of(planned), {}), JournalError);
    EXPECT_TRUE(started().empty());
}

TEST_F(Running, SaysThatThePauseStaysWhenTheJournalFailsMeanwhile) {
    const Plan planned = plan(k_covered);
    journal.fail_at = 4;  // the intent of the first change under the pause
    try {
        (void)start_run(setup(planned), header_of(planned), {});
        ADD_FAILURE() << "a journal that cannot be written went unnoticed";
    } catch (const JournalError& error) {
        EXPECT_NE(std::string(error.what()).find("still in force: hold"), std::string::npos);
    }
    EXPECT_EQ(started(), (Names{"hold"}));
}

TEST_F(Running, WorksOneMemberAtATimeUnlessToldOtherwise) {
    const std::string block = R"(
- id: members
  on: members
  strategy: {batch: BATCH}
  steps: [{id: a, uses: change}, {id: b, uses: change}]
)";
    std::string one = block;
    run(plan(one.replace(one.find("BATCH"), 5, "1")));
    EXPECT_EQ(started()[1], "members.b on n1");
    runner.asked.clear();
    journal.kept.clear();
    std::string all = block;
    run(plan(all.replace(all.find("BATCH"), 5, "all")));
    EXPECT_EQ(started()[1], "members.a on n2");
}

TEST_F(Running, FailsWithFourWhenAGateRefusesBeforeAnyChange) {
    make_fail("look", StepOutcome::failed);
    const RunEnd end = run(plan("- {id: gate, uses: look}\n- {id: a, uses: change}\n"));
    EXPECT_EQ(end.exit_code, 4);
    EXPECT_EQ(started(), (Names{"gate"}));
}

TEST_F(Running, FailsWithSixteenWhenAMemberCannotBeReachedBeforeAnyChange) {
    make_fail("change", StepOutcome::unreachable);
    EXPECT_EQ(run(plan("- {id: a, on: members, uses: change}\n")).exit_code, 16);
    EXPECT_EQ(started(), (Names{"a on n1"}));
}

TEST_F(Running, FailsWithTenWhenSomethingWasChangedAndGivesThePauseBack) {
    make_fail("change", StepOutcome::failed, "n2");
    const RunEnd end = run(plan(k_covered));
    EXPECT_EQ(end.exit_code, 10);
    EXPECT_EQ(started(), (Names{"hold", "work on n1", "work on n2", "release"}));
    EXPECT_EQ(state_of("release"), "succeeded");
    EXPECT_EQ(state_of("work", "n3"), "pending");
}

TEST_F(Running, SaysLoudlyWhenThePauseCannotBeGivenBack) {
    make_fail("change", StepOutcome::failed, "n2");
    make_fail("release", StepOutcome::failed);
    EXPECT_EQ(run(plan(k_covered)).exit_code, 10);
    ASSERT_FALSE(state->notes().empty());
    EXPECT_NE(state->notes().back().find("still in force"), std::string::npos);
}

TEST_F(Running, TakesAnUnknownAnswerForNoSuccess) {
    make_fail("change", StepOutcome::in_doubt, "n1");
    const RunEnd end = run(plan(k_covered));
    EXPECT_EQ(end.exit_code, 13);
    EXPECT_EQ(state->phase(), RunPhase::in_doubt);
    EXPECT_EQ(runner.count("start work on n1"), 1);
}

TEST_F(Running, RetriesOnlyWhatIsSafeToRepeat) {
    make_fail("change", StepOutcome::failed);
    make_fail("fragile", StepOutcome::failed);
    run(plan("- {id: a, uses: change, retry: {attempts: 3, delay: 1s}}\n"));
    EXPECT_EQ(runner.count("start a"), 3);
    journal.kept.clear();
    run(plan("- {id: b, uses: fragile, retry: {attempts: 3, delay: 1s}}\n"));
    EXPECT_EQ(runner.count("start b"), 1);
}

TEST_F(Running, NeverRetriesAStepInDoubt) {
    make_fail("change", StepOutcome::in_doubt);
    run(plan("- {id: a, uses: change, retry: {attempts: 3, delay: 1s}}\n"));
    EXPECT_EQ(runner.count("start a"), 1);
}

TEST_F(Running, GoesOnAfterAStepThatMayFail) {
    make_fail("look", StepOutcome::failed);
    const RunEnd end =
        run(plan("- {id: a, uses: look, on_failure: continue}\n- {id: b, uses: change}\n"));
    EXPECT_EQ(end.exit_code, 0);
    EXPECT_EQ(state_of("a"), "failed");
    EXPECT_EQ(state_of("b"), "succeeded");
}

TEST_F(Running, ToleratesAsManyFailedMembersAsTheStrategySays) {
    make_fail("change", StepOutcome::failed, "n2");
    const RunEnd end = run(plan(R"(
- id: members
  on: members
  strategy: {max_failed: 1}
  steps: [{id: a, uses: change}, {id: b, uses: look}]
- {id: after, uses: look}
)"));
    EXPECT_EQ(end.exit_code, 0);
    EXPECT_EQ(state_of("members.b", "n2"), "cancelled");
    EXPECT_EQ(state_of("members.b", "n3"), "succeeded");
    EXPECT_EQ(state_of("after"), "succeeded");
}

TEST_F(Running, StopsOnOneFailedMemberMoreThanTheStrategySays) {
    make_fail("change", StepOutcome::failed);
    const RunEnd end = run(plan(R"(
- {id: a, on: members, uses: change, strategy: {max_failed: 1}}
)"));
    EXPECT_EQ(end.exit_code, 10);
    EXPECT_EQ(started(), (Names{"a on n1", "a on n2"}));
}

TEST_F(Running, LooksAgainBeforeEachChangeAndStopsWhenTheLeaderMoved) {
    const Plan planned =
        plan("- {id: a, on: members, uses: change}\n", "guards: [leader_unchanged]\n");
    runner.workers["change"] = [this](const StepCall&, ClusterFacts&) {
        runner.facts.leader = "n2";
        return StepResult{};
    };
    const RunEnd end = run(planned);
    EXPECT_EQ(end.exit_code, 10);
    EXPECT_EQ(started(), (Names{"a on n1"}));
    EXPECT_NE(end.message.find("leader"), std::string::npos);
}

TEST_F(Running, StopsWhenPostgresWasRestartedUnderIt) {
    const Plan planned =
        plan("- {id: a, on: members, uses: change}\n", "guards: [postgres_not_restarted]\n");
    runner.workers["change"] = [this](const StepCall&, ClusterFacts&) {
        runner.facts.members[2].postgres.started_at = "now";
        return StepResult{};
    };
    EXPECT_EQ(run(planned).exit_code, 10);
    EXPECT_EQ(started().size(), 1U);
    EXPECT_EQ(state->measured().at("postgres_restarts"), 1);
}

TEST_F(Running, StopsAtOnceWhenAStepSaysThatThePostmasterIsGone) {
    for (MemberFacts& member : runner.facts.members) {
        member.on_host = HostFacts{.postmasters = {{7, member.pg_port, "/pg", "patroni"}}};
    }
    const Plan planned =
        plan("- {id: a, on: members, uses: change}\n", "guards: [postgres_not_restarted]\n");
    runner.workers["change"] = [this](const StepCall& call, ClusterFacts&) {
        runner.facts.find(call.member)->on_host->postmasters.clear();
        StepResult result;
        result.learned = [name = call.member](ClusterFacts& facts) {
            facts.find(name)->on_host->postmasters.clear();
        };
        return result;
    };
    const auto begun = clock.steady_now();
    const RunEnd end = run(planned);
    EXPECT_EQ(end.exit_code, 10);
    EXPECT_NE(end.message.find("PostgreSQL on n1 is gone"), std::string::npos) << end.message;
    EXPECT_EQ(started(), Names{"a on n1"});
    EXPECT_LT(clock.steady_now() - begun, std::chrono::seconds{3});
    EXPECT_EQ(state->measured().at("postgres_restarts"), 1);
}

TEST_F(Running, AsksTheHostsWhenAPatroniStaysSilent) {
    for (MemberFacts& member : runner.facts.members) {
        member.on_host = HostFacts{.postmasters = {{7, member.pg_port, "/pg", "patroni"}}};
    }
    const Plan planned =
        plan("- {id: a, on: members, uses: change}\n", "guards: [postgres_not_restarted]\n");
    runner.workers["change"] = [this](const StepCall&, ClusterFacts&) {
        runner.facts.members[0].postgres.started_at = "";
        runner.facts.members[0].on_host->postmasters.clear();
        return StepResult{};
    };
    const auto begun = clock.steady_now();
    const RunEnd end = run(planned);
    EXPECT_NE(end.message.find("PostgreSQL on n1 is gone"), std::string::npos) << end.message;
    EXPECT_LT(clock.steady_now() - begun, std::chrono::seconds{10});
}

// What a run was allowed to do in its plan it is not refused when it comes to it.
TEST_F(Running, GoesPastWhatWasAcceptedOfThisMemberAndSubject) {
    std::string subject = "billing";
    runner.previews["change"] = [&](const StepCall& call, const ClusterFacts&) {
        Preview preview;
        preview.blocked_by.push_back({.id = "package.restarts_other",
                                      .member = call.member,
                                      .subject = subject,
                                      .message = "another Patroni runs there",
                                      .acceptable = true});
        return preview;
    };
    accepted = {"package.restarts_other"};
    const Plan planned = plan("- {id: a, on: n2, uses: change}\n");
    EXPECT_EQ(run(planned).exit_code, 0);
    journal.kept.clear();
    runner.asked.clear();
    subject = "invoices";  // came since
    EXPECT_NE(run(planned).exit_code, 0);
    EXPECT_TRUE(started().empty());
}

TEST_F(Running, WaitsForAGuardThatIsBlindForAMomentButNotForEver) {
    const Plan planned =
        plan("- {id: a, on: members, uses: change}\n", "guards: [postgres_not_restarted]\n");
    int looks = 0;
    runner.before_observe = [&] {
        // Silent for three looks after the first change, as a daemon that is starting.
        runner.facts.members[0].postgres.started_at = ++looks > 1 && looks < 5 ? "" : "then";
    };
    EXPECT_EQ(run(planned).exit_code, 0);

    journal.kept.clear();
    runner.asked.clear();
    runner.before_observe = [&] { runner.facts.members[0].postgres.started_at = ""; };
    EXPECT_EQ(run(planned).exit_code, 4);
    EXPECT_TRUE(started().empty());
}

TEST_F(Running, ChangesNothingWhenTheClusterCanNoLongerBeSeen) {
    const Plan planned = plan("- {id: a, uses: change}\n");
    runner.before_observe = [] {
        throw TransportError(TransportError::Kind::connect, "nobody answers");
    };
    EXPECT_EQ(run(planned).exit_code, 16);
    EXPECT_TRUE(started().empty());
}

TEST_F(Running, SkipsWhatIsAlreadyDoneByTheTimeItComesToIt) {
    const Plan planned = plan("- {id: a, uses: change}\n");
    runner.previews["change"] = [](const StepCall&, const ClusterFacts&) {
        return Preview{.verdict = Verdict::wont, .because = "somebody did it"};
    };
    EXPECT_EQ(run(planned).exit_code, 0);
    EXPECT_TRUE(started().empty());
    EXPECT_EQ(state_of("a"), "already_done");
}

TEST_F(Running, RefusesAtTheLastMomentWhatIsNotSafeAnyMore) {
    const Plan planned = plan("- {id: a, uses: change}\n");
    runner.previews["change"] = [](const StepCall&, const ClusterFacts&) {
        Preview preview;
        preview.blocked_by.push_back({.id = "x", .message = "not paused", .remedy = "pause"});
        return preview;
    };
    const RunEnd end = run(planned);
    EXPECT_EQ(end.exit_code, 4);
    EXPECT_EQ(end.hint, "pause");
    EXPECT_TRUE(started().empty());
}

TEST_F(Running, FinishesWhatRunsWhenItIsStoppedAndGivesThePauseBack) {
    const Plan planned = plan(k_covered);
    std::stop_source stop;
    runner.workers["change"] = [&](const StepCall&, ClusterFacts&) {
        stop.request_stop();
        return StepResult{};
    };
    const RunEnd end = run(planned, stop.get_token());
    EXPECT_EQ(end.exit_code, 130);
    EXPECT_EQ(started(), (Names{"hold", "work on n1", "release"}));
    EXPECT_EQ(state->phase(), RunPhase::interrupted);
}

TEST_F(Running, FailsWhenWhatItHealsIsStillThere) {
    runner.findings = {{.id = "slot.stuck",
                        .severity = Severity::critical,
                        .member = "n2",
                        .subject = "n1",
                        .message = "stuck",
                        .remedy = {},
                        .source = {}}};
    const Plan planned = plan("- {id: a, uses: change}\n", "heals: [slot.stuck]\n");
    EXPECT_EQ(run(planned).exit_code, 10);
    journal.kept.clear();
    runner.findings.clear();
    EXPECT_EQ(run(planned).exit_code, 0);
}

TEST_F(Running, HealsOneOfSeveralWhereItNamesItsSubject) {
    runner.findings = {{.id = "slot.stuck", .member = "n2", .subject = "n1"}};
    EXPECT_EQ(run(plan("- {id: a, uses: change}\n", "heals: [slot.stuck:n3]\n")).exit_code, 0);
    journal.kept.clear();
    EXPECT_EQ(run(plan("- {id: a, uses: change}\n", "heals: [slot.stuck:n1]\n")).exit_code, 10);
}

TEST_F(Running, LeavesToAPersonWhatOnlyAPersonCanDecide) {
    runner.findings = {{.id = "slot.stuck",
                        .severity = Severity::critical,
                        .member = "n2",
                        .subject = "legacy",
                        .message = "orphan",
                        .remedy = {},
                        .source = {},
                        .needs_decision = true}};
    EXPECT_EQ(run(plan("- {id: a, uses: change}\n", "heals: [slot.stuck]\n")).exit_code, 0);
    ASSERT_FALSE(state->notes().empty());
    EXPECT_NE(state->notes().front().find("orphan"), std::string::npos);
}

TEST_F(Running, HandsOutputsToLaterSteps) {
    runner.workers["look"] = [](const StepCall&, ClusterFacts&) {
        return StepResult{.output = {{"text", "hello"}}};
    };
    std::string text;
    runner.workers["change"] = [&](const StepCall& call, ClusterFacts&) {
        text = call.with.at("text").as_string();
        return StepResult{};
    };
    run(plan(R"(
- {id: a, uses: look, register: seen}
- {id: b, uses: change, with: {text: "${{ steps.seen.text }} world"}}
)"));
    EXPECT_EQ(text, "hello world");
}

TEST_F(Running, AStepThatItsVerifyDoesNotSeeHasFailed) {
    const std::string steps = "- {id: a, uses: change, verify: {uses: look}}\n";
    EXPECT_EQ(run(plan(steps)).exit_code, 0);
    EXPECT_EQ(state_of("a"), "succeeded");
    EXPECT_EQ(journal.records("run").rbegin()[1].kind, RecordKind::step_verified);
    journal.kept.clear();
    make_fail("look", StepOutcome::failed);
    EXPECT_EQ(run(plan(steps)).exit_code, 10);
    EXPECT_EQ(state_of("a"), "failed");
}

TEST_F(Running, FailsByWhatTheWriteProbeSaw) {
    runner.probe_report =
        ProbeReport{.writes = 10, .errors = 0, .longest_gap = std::chrono::milliseconds{1500}};
    const RunEnd end =
        run(plan("- {id: a, uses: change}\n", "guards: [{write_probe: {max_gap: 1s}}]\n"));
    EXPECT_EQ(end.exit_code, 10);
    EXPECT_EQ(runner.count("start write probe"), 1);
    EXPECT_EQ(state->measured().at("write_gap_ms"), 1500);
}

}  // namespace
}  // namespace lockstep
