#include "engine/plan/durations.hpp"

#include "tests/fakes/fake_journal.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

PlannedStep step(const char* uses,
                 std::chrono::milliseconds length,
                 std::vector<std::size_t> after) {
    PlannedStep planned;
    planned.uses = uses;
    planned.verdict = Verdict::will;
    planned.after = std::move(after);
    planned.expected = {length, 1};
    return planned;
}

TEST(Durations, AreTheMedianOfWhatTheSameStepTook) {
    Durations durations;
    for (const auto length : {10s, 60s, 20s}) {
        durations.add("upgrade", "replicas.install", "package.install", length);
    }
    const auto known = durations.of("upgrade", "replicas.install", "package.install", true);
    ASSERT_TRUE(known);
    EXPECT_EQ(known->length, 20s);
    EXPECT_EQ(known->samples, 3);
}

TEST(Durations, AreOfOneStepWhateverTheItem) {
    Durations durations;
    durations.add("upgrade", "drop[legacy]", "slots.drop", 3s);
    EXPECT_TRUE(durations.of("upgrade", "drop[a[b].c]", "slots.drop", false));
    EXPECT_FALSE(durations.of("upgrade", "other", "slots.drop", false));
}

TEST(Durations, OfAChangeAreKnownByItsActionInAnotherRunbook) {
    Durations durations;
    durations.add("upgrade", "install", "package.install", 3s);
    durations.add("upgrade", "verify", "wait_for", 3s);
    EXPECT_TRUE(durations.of("mine", "put", "package.install", true));
    EXPECT_FALSE(durations.of("mine", "look", "wait_for", false));
}

TEST(Durations, ComeFromTheJournalWithoutWhatAClockSetBack) {
    FakeJournal journal;
    journal.lengths = {
        {"r", "a", "x", "2026-11-23T08:00:00.000Z", "2026-11-23T08:00:07.500Z"},
        {"r", "b", "x", "2026-11-23T08:00:09.000Z", "2026-11-23T08:00:01.000Z"},
    };
    const Durations durations = Durations::of(journal, "orders");
    EXPECT_EQ(durations.of("r", "a", "x", false)->length, 7500ms);
    EXPECT_FALSE(durations.of("r", "b", "x", false));
}

TEST(Durations, OfStepsSideBySideCountOnce) {
    Plan plan;
    plan.steps = {step("x", 10s, {}), step("x", 30s, {}), step("x", 5s, {0, 1})};
    EXPECT_EQ(planned_time(plan).length, 35s);
    plan.steps[1].verdict = Verdict::wont;
    EXPECT_EQ(planned_time(plan).length, 15s);
}

}  // namespace
}  // namespace lockstep
