#include "tests/scenarios/world.hpp"

namespace lockstep {
namespace {

/// Kills the engine at each record of a whole run in turn, takes the run up again, and looks at
/// where it ends.
class Crash : public World {
  protected:
    /// Runs to the end, whoever dies meanwhile; the second death is counted from the resume on.
    RunEnd run_through(const Plan& planned, int second_death) {
        try {
            return run(planned);
        } catch (const FakeJournal::Death&) {
            ++deaths;
        }
        for (int tries = 0; tries < 20; ++tries) {
            journal.count_from_here();
            journal.die_before = tries == 0 ? second_death : 0;
            journal.die_after = 0;
            try {
                return resume();
            } catch (const FakeJournal::Death&) {
                ++deaths;
            }
        }
        ADD_FAILURE() << "the run never ends";
        return {};
    }

    /// A fresh world of the same kind for each death.
    void start_over() {
        journal = FakeJournal();
        runner.spool.clear();
        runner.forget_events();
        runner.facts.paused = false;
        for (MemberFacts& member : runner.facts.members) {
            member.patroni.installed = "old";
        }
        happened.clear();
        deaths = 0;
    }

    template <typename Look>
    void die_everywhere(const std::string& head, const Look& look) {
        int records = 0;
        start_over();
        const Plan planned = plan(k_upgrade, head);
        ASSERT_TRUE(planned.ready()) << planned.blocked_by.front().message;
        look(run_through(planned, 0), "undisturbed");
        records = journal.appended();
        ASSERT_GT(records, 10);
        for (int n = 1; n <= records; ++n) {
            for (const auto& [written, second] :
                 {std::pair(false, 0), std::pair(true, 0), std::pair(true, 1 + n % 7)}) {
                start_over();
                (written ? journal.die_after : journal.die_before) = n;
                const std::string where = "dies " + std::string(written ? "after" : "before") +
                                          " record " + std::to_string(n) + ", then at " +
                                          std::to_string(second);
                const RunEnd end = run_through(planned, second);
                ASSERT_GT(deaths, 0) << where;
                look(end, where);
                if (HasFailure()) {
                    return;
                }
            }
        }
    }

    int deaths = 0;
};

TEST_F(Crash, AtAnyRecordOfAnUpgradeEndsWithTheUpgradeDoneOnce) {
    die_everywhere("", [this](const RunEnd& end, const std::string& where) {
        // A run that died after its last record has nothing left to do.
        EXPECT_EQ(end.exit_code, 0) << where << ": " << end.message;
        EXPECT_TRUE(all_are("new")) << where;
        EXPECT_FALSE(runner.facts.paused) << where;
        EXPECT_EQ(most_often(), 1) << where;
        EXPECT_EQ(happened.size(), 4U) << where;
        EXPECT_TRUE(state->temporaries().empty()) << where;
    });
}

TEST_F(Crash, AtAnyRecordOfAFailureThatIsRolledBackEndsAsItWasBefore) {
    broken = "n1";
    die_everywhere("on_failure: rollback\n", [this](const RunEnd& end, const std::string& where) {
        EXPECT_EQ(end.exit_code, 11) << where << ": " << end.message;
        EXPECT_EQ(state->phase(), RunPhase::rolled_back) << where;
        EXPECT_TRUE(all_are("old")) << where;
        EXPECT_FALSE(runner.facts.paused) << where;
        EXPECT_EQ(happened["revert n2"], 1) << where;
        EXPECT_EQ(happened["revert n3"], 1) << where;
        EXPECT_EQ(happened["fragile n2"], 0) << where;
        EXPECT_TRUE(state->temporaries().empty()) << where;
    });
}

TEST_F(Crash, AtAnyRecordOfARunThatIsApprovedDoesEverythingOnceAndAsksOnce) {
    const char* steps = R"(
- {id: gate, uses: look}
- {id: go, uses: ask}
- {id: hold, uses: hold}
- {id: leader, on: leader, uses: change}
- {id: release, uses: release}
)";
    int records = 1;
    for (int n = 0; n <= records; ++n) {
        start_over();
        journal.die_after = n;
        RunEnd end;
        for (int tries = 0; tries < 6; ++tries) {
            try {
                end =
                    tries == 0 ? run(plan(steps, "always: [{id: told, uses: look}]\n")) : resume();
            } catch (const FakeJournal::Death&) {
                journal.die_after = 0;
                continue;
            }
            if (end.exit_code != 14) {
                break;
            }
            if (journal.answers("run").empty()) {
                answer("go", "bert@jump2");
            }
        }
        records = n == 0 ? journal.appended() : records;
        const std::string where = "dies after record " + std::to_string(n);
        EXPECT_EQ(end.exit_code, 0) << where << ": " << end.message;
        EXPECT_EQ(version_of("n1"), "new") << where;
        EXPECT_EQ(most_often(), 1) << where;
        EXPECT_EQ(journal.answers("run").size(), 1U) << where;
        EXPECT_FALSE(runner.facts.paused) << where;
    }
    EXPECT_GT(records, 12);
}

TEST_F(Crash, AtAnyRecordOfARollbackEndsAsItWasBefore) {
    int records = 1;
    for (int n = 0; n <= records; ++n) {
        start_over();
        ASSERT_EQ(run(plan(k_upgrade)).exit_code, 0);
        journal.count_from_here();
        journal.die_after = n;
        RunEnd end;
        try {
            end = roll_back();
            records = n == 0 ? journal.appended() : records;
        } catch (const FakeJournal::Death&) {
            journal.die_after = 0;
            end = resume();
        }
        const std::string where = "dies after record " + std::to_string(n) + " of " +
                                  std::to_string(records) + ": " + end.message;
        ASSERT_TRUE(end.exit_code == (n == 0 ? 0 : 11) || n == records) << where;
        ASSERT_TRUE(all_are("old")) << where;
        ASSERT_FALSE(runner.facts.paused) << where;
        ASSERT_EQ(most_often(), 1) << where;
    }
    EXPECT_GT(records, 10);
}

TEST_F(Crash, BelowTheStoreStopsBeforeTheNextChangeAndGoesOnFromTheRecord) {
    const Plan first = plan(k_upgrade);
    run(first);
    const int records = journal.appended();
    for (int n = 1; n <= records; ++n) {
        start_over();
        journal.fail_at = n;
        const Plan planned = plan(k_upgrade);
        const auto acted = [&] { return happened.size(); };
        std::size_t at_failure = 0;
        bool failed = false;
        try {
            (void)run(planned);
        } catch (const JournalError&) {
            failed = true;
            at_failure = acted();
        }
        ASSERT_TRUE(failed) << n;
        ASSERT_EQ(acted(), at_failure);
        ASSERT_FALSE(runner.released.empty()) << "the lock is kept as if the run went on";
        journal.fail_at = 0;
        runner.forget_events();
        const RunEnd end = resume();
        ASSERT_EQ(end.exit_code, 0) << n << ": " << end.message;
        ASSERT_TRUE(all_are("new")) << n;
        ASSERT_EQ(most_often(), 1) << n;
        ASSERT_FALSE(runner.facts.paused) << n;
    }
}

}  // namespace
}  // namespace lockstep
