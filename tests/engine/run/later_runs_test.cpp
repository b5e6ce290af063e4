#include "engine/run/later_runs.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using Names = std::vector<std::string>;

const ActionCatalog& actions() {
    static const ActionCatalog k_actions{
        {.name = "change", .summary = "", .changes = true},
        {.name = "hold", .summary = "", .changes = true, .temporary = true},
        {.name = "release", .summary = "", .changes = true, .ends = "hold"},
    };
    return k_actions;
}

/// A run that has paused, and changed each of `members`; the last of them only where it got there.
RunState run_over(const Names& members, bool undone = false, std::size_t acted = 99) {
    nlohmann::json steps = nlohmann::json::array();
    const auto add = [&](const char* id, const char* uses, const std::string& member) {
        steps.push_back({{"id", id},
                         {"uses", uses},
                         {"member", member.empty() ? nlohmann::json() : nlohmann::json(member)},
                         {"changes", true}});
    };
    add("hold", "hold", "");
    for (const std::string& member : members) {
        add("change", "change", member);
    }
    RunState state({{"steps", steps}});
    std::int64_t seq = 0;
    const std::string at = "2026-11-23T08:25:01.123Z";
    const auto did = [&](const char* id, const std::string& member) {
        const nlohmann::json undo = {{"kind", "ssh"},
                                     {"text", "back"},
                                     {"uses", "change"},
                                     {"member", member},
                                     {"with", nlohmann::json::object()}};
        state.apply(
            {++seq, at, RecordKind::step_intent, id, member, {{"attempt", 1}, {"undo", {undo}}}});
        state.apply({++seq,
                     at,
                     RecordKind::step_result,
                     id,
                     member,
                     {{"outcome", "succeeded"},
                      {"retry", false},
                      {"message", ""},
                      {"hint", ""},
                      {"last_lines", Names{}},
                      {"output", nullptr}}});
        if (undone) {
            state.apply({++seq,
                         at,
                         RecordKind::undo_result,
                         id,
                         member,
                         {{"n", 0}, {"outcome", "succeeded"}}});
        }
    };
    did("hold", "");
    for (std::size_t i = 0; i < members.size() && i < acted; ++i) {
        did("change", members[i]);
    }
    return state;
}

LaterRun later(const std::string& id, RunState state) {
    RunHeader header;
    header.id = id;
    header.runbook = "work-mem";
    return {header, std::move(state)};
}

TEST(LaterRuns, StandInTheWayWhereTheyChangedTheSameMembers) {
    const RunState run = run_over({"n1", "n2"});
    EXPECT_EQ(changed_since(run, Going::back, {later("b", run_over({"n2", "n3"}))}, actions()),
              (Names{"b (work-mem) changed n2"}));
    EXPECT_EQ(changed_since(run, Going::back, {later("b", run_over({"n3"}))}, actions()), Names{});
    EXPECT_EQ(changed_since(run, Going::back, {later("b", run_over({""}))}, actions()),
              (Names{"b (work-mem) changed the cluster"}));
    EXPECT_EQ(changed_since(run_over({""}), Going::back, {later("b", run_over({"n3"}))}, actions()),
              (Names{"b (work-mem) changed n3"}));
}

TEST(LaterRuns, DoNotOnceTheyAreTakenBackOrWhereTheyOnlyPaused) {
    const RunState run = run_over({"n1", "n2"});
    EXPECT_EQ(changed_since(run, Going::back, {later("b", run_over({"n2"}, true))}, actions()),
              Names{});
    EXPECT_EQ(changed_since(run, Going::back, {later("b", run_over({"n2"}, false, 0))}, actions()),
              Names{});
}

TEST(LaterRuns, CountForAResumeOnWhatIsStillToComeAsWell) {
    const RunState half = run_over({"n1", "n2"}, false, 1);
    const std::vector<LaterRun> other{later("b", run_over({"n2"}))};
    EXPECT_EQ(changed_since(half, Going::back, other, actions()), Names{});
    EXPECT_EQ(changed_since(half, Going::on, other, actions()), (Names{"b (work-mem) changed n2"}));
}

}  // namespace
}  // namespace lockstep
