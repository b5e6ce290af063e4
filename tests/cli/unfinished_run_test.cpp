#include "cli/unfinished_run.hpp"

#include "tests/fakes/fake_journal.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

/// A run that has paused and was not seen to end.
class UnfinishedRun : public testing::Test {
  protected:
    UnfinishedRun() {
        RunHeader header;
        header.id = "r1";
        header.cluster = "orders";
        header.runbook = "upgrade";
        header.started_by = "ann@ops1";
        header.plan = {{"steps",
                        {{{"id", "pause"},
                          {"member", nullptr},
                          {"uses", "patroni.pause"},
                          {"changes", true},
                          {"always", false}}}}};
        journal.create(header);
    }

    void begin(const std::string& engine) {
        add(RecordKind::run_started, "", {{"engine", {{"process", engine}, {"pid", 7}}}});
    }

    void pause() {
        add(RecordKind::step_intent,
            "pause",
            {{"attempt", 1}, {"acts", true}, {"temporary", "patroni.pause"}});
        add(RecordKind::step_result,
            "pause",
            {{"outcome", "succeeded"},
             {"message", ""},
             {"hint", ""},
             {"last_lines", nlohmann::json::array()},
             {"retry", false},
             {"output", nullptr},
             {"temporary", "patroni.pause"}});
    }

    void add(RecordKind kind, const std::string& step, nlohmann::json payload) {
        auto& records = journal.kept["r1"];
        records.push_back({static_cast<std::int64_t>(records.size()) + 1,
                           "2026-11-23T09:15:02Z",
                           kind,
                           step,
                           "",
                           std::move(payload)});
    }

    /// This process, were it another: with its pid, and started at another time.
    static std::string dead() { return own_engine_process() + "1"; }

    FakeJournal journal;
};

TEST_F(UnfinishedRun, WhoseEngineDiedInItsPauseIsCriticalAndNamesTheWayOn) {
    begin(dead());
    pause();
    const auto run = abandoned_run(journal, "orders");
    ASSERT_TRUE(run);
    const Finding finding = as_finding(*run);
    EXPECT_EQ(finding.id, "state.run_abandoned");
    EXPECT_EQ(finding.severity, Severity::critical);
    EXPECT_NE(finding.message.find("in force: patroni.pause"), std::string::npos)
        << finding.message;
    EXPECT_NE(finding.message.find("2026-11-23T09:15:02Z"), std::string::npos) << finding.message;
    EXPECT_NE(finding.remedy.find("`lockstep resume r1`"), std::string::npos) << finding.remedy;
}

TEST_F(UnfinishedRun, WithNothingInForceIsAWarning) {
    begin(dead());
    const auto run = abandoned_run(journal, "orders");
    ASSERT_TRUE(run);
    EXPECT_EQ(as_finding(*run).severity, Severity::warning);
}

TEST_F(UnfinishedRun, WhoseEngineRunsOrCannotBeSeenFromHereIsNotAbandoned) {
    EXPECT_FALSE(abandoned_run(journal, "orders")) << "nothing says whose it is";
    begin(own_engine_process());
    EXPECT_FALSE(abandoned_run(journal, "orders"));
    begin("another machine 7 100");
    EXPECT_FALSE(abandoned_run(journal, "orders"));
}

TEST_F(UnfinishedRun, IsNoneThatHasEndedAndNoneOfAnotherCluster) {
    begin(dead());
    EXPECT_FALSE(abandoned_run(journal, "billing"));
    add(RecordKind::run_ended,
        "",
        {{"state", "failed"},
         {"exit_code", 10},
         {"measured", nullptr},
         {"message", ""},
         {"hint", ""},
         {"seen", nullptr}});
    EXPECT_FALSE(abandoned_run(journal, "orders"));
}

}  // namespace
}  // namespace lockstep
