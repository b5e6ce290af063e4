#include "base/error.hpp"
#include "tests/fakes/restarting_cluster.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using Json = nlohmann::json;

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

ParameterRow integer_row(const std::string& unit, double least, double most) {
    return {.name = "p", .unit = unit, .type = "integer", .least = least, .most = most};
}

TEST(ParameterValue, ReadsUnitsAsTheServerDoes) {
    const ParameterRow memory = integer_row("kB", 64, 2147483647);
    for (const auto& [value, normal] : std::map<std::string, std::string>{{"8MB", "8192"},
                                                                          {"8 MB", "8192"},
                                                                          {"1GB", "1048576"},
                                                                          {"1.5MB", "1536"},
                                                                          {"65536B", "64"},
                                                                          {" 100 ", "100"}}) {
        EXPECT_EQ(normal_value(memory, value).text, normal) << value;
    }
    EXPECT_EQ(normal_value(integer_row("8kB", 16, 1073741823), "128MB").text, "16384");
    EXPECT_EQ(normal_value(integer_row("ms", -1, 2147483647), "5min").text, "300000");
    EXPECT_EQ(normal_value(integer_row("s", 0, 3600), "1500ms").text, "2");
    EXPECT_EQ(normal_value(integer_row("ms", -1, 2147483647), "-1").text, "-1");
    const ParameterRow real{.name = "p", .type = "real", .least = 0, .most = 1};
    EXPECT_EQ(normal_value(real, "0.90").text, "0.9");
}

TEST(ParameterValue, RefusesWhatTheServerWouldNotTake) {
    const ParameterRow memory = integer_row("kB", 64, 2147483647);
    for (const char* value :
         {"abc", "", "8mb", "8 Mb", "8MB8", "8s", "63", "-1", "nan", "1e99", "--8"}) {
        EXPECT_NE(normal_value(memory, value).why_not, "") << value;
    }
    EXPECT_EQ(normal_value(integer_row("", 1, 262143), "1MB").why_not,
              "a number with a unit, and it takes none");
    EXPECT_TRUE(contains(normal_value(memory, "8mb").why_not, "B, kB, MB, GB, TB"));
    EXPECT_TRUE(contains(normal_value(memory, "1").why_not, "outside of 64 to 2147483647 (in kB)"));
}

TEST(ParameterValue, ReadsWordsAsTheServerDoes) {
    const ParameterRow truth{.name = "p", .type = "bool"};
    for (const char* value : {"on", "TRUE", "t", "yes", "1"}) {
        EXPECT_EQ(normal_value(truth, value).text, "on") << value;
    }
    for (const char* value : {"off", "of", "False", "n", "0"}) {
        EXPECT_EQ(normal_value(truth, value).text, "off") << value;
    }
    for (const char* value : {"o", "2", "", "maybe"}) {
        EXPECT_NE(normal_value(truth, value).why_not, "") << value;
    }
    const ParameterRow words{.name = "p", .type = "enum", .words = {"minimal", "replica"}};
    EXPECT_EQ(normal_value(words, "Replica").text, "replica");
    EXPECT_EQ(normal_value(words, "archive").why_not, "none of minimal, replica");
}

TEST(ParameterValue, KnowsWhatPatroniControls) {
    for (const char* name :
         {"port", "listen_addresses", "primary_conninfo", "recovery_target_lsn"}) {
        EXPECT_NE(why_patroni_refuses(name, "1"), "") << name;
    }
    EXPECT_EQ(why_patroni_refuses("max_connections", "25"), "");
    EXPECT_TRUE(contains(why_patroni_refuses("max_connections", "24"), "its default"));
    EXPECT_EQ(why_patroni_refuses("wal_keep_size", "1GB"), "");
    EXPECT_NE(why_patroni_refuses("wal_keep_size", "1MB"), "");
    EXPECT_EQ(why_patroni_refuses("max_connections", std::nullopt), "");
}

class SetParameter : public testing::Test {
  protected:
    static StepCall call(const std::string& name, Value value) {
        return step_call(
            "patroni.set_parameter", "", {{"name", name}, {"value", std::move(value)}});
    }

    /// As a plan has it: asked, then judged.
    Preview plan(StepCall of) {
        of.probed = world.probe(of);
        return world.preview(of);
    }

    RestartingCluster world;
};

TEST_F(SetParameter, IsPlannedWithTheExactRequestAndItsOldValue) {
    world.config["postgresql"]["parameters"]["work_mem"] = "8MB";
    const Preview preview = plan(call("WORK_MEM", "16MB"));
    EXPECT_TRUE(preview.blocked_by.empty());
    EXPECT_EQ(preview.operations.at(0).text,
              "PATCH http://10.0.0.11:8008/config "
              R"({"postgresql":{"parameters":{"work_mem":"16MB"}}})");
    ASSERT_EQ(preview.undo.size(), 1U) << "no restart is needed";
    EXPECT_EQ(preview.undo[0].with, (Json{{"name", "work_mem"}, {"value", "8MB"}}));
    EXPECT_EQ(plan(call("work_mem", "8MB")).verdict, Verdict::wont);
    EXPECT_TRUE(world.patches().empty());
}

TEST_F(SetParameter, GoesBackInTheOppositeOrder) {
    const auto back = [](const Preview& preview) {
        Names order;
        for (const Undo& undo : preview.undo) {
            order.push_back(undo.uses + " " + undo.member);
        }
        return order;
    };
    const Preview raised = plan(call("max_connections", 200));
    EXPECT_EQ(raised.undo.at(0).with, (Json{{"name", "max_connections"}, {"value", nullptr}}));
    EXPECT_EQ(back(raised),
              (Names{"patroni.set_parameter ",
                     "patroni.restart n1",
                     "patroni.restart n2",
                     "patroni.restart n3"}));
    EXPECT_EQ(back(plan(call("max_connections", 50))),
              (Names{"patroni.set_parameter ",
                     "patroni.restart n2",
                     "patroni.restart n3",
                     "patroni.restart n1"}));
}

TEST_F(SetParameter, LetsLaterStepsSeeWhoWaitsForARestart) {
    ClusterFacts facts = world.observe();
    plan(call("max_connections", 200)).effect(facts);
    EXPECT_TRUE(facts.find("n1")->pending_restart);
    EXPECT_EQ(facts.config["postgresql"]["parameters"]["max_connections"], 200);
    facts = world.observe();
    plan(call("work_mem", "64MB")).effect(facts);
    EXPECT_FALSE(facts.find("n1")->pending_restart);
}

TEST_F(SetParameter, RefusesGarbageBeforeAnythingIsWritten) {
    const auto refused = [&](const char* name, const Value& value) {
        return ids_of(plan(call(name, value)).blocked_by);
    };
    EXPECT_EQ(refused("work_mem", "abc"), (Names(3, "parameter.value")));
    EXPECT_EQ(refused("work_mem", "1kB"), (Names(3, "parameter.value")));
    EXPECT_EQ(refused("wrok_mem", "8MB"), (Names{"parameter.unknown"}));
    EXPECT_EQ(refused("port", 5433), (Names{"parameter.controlled", "parameter.unknown"}));
    EXPECT_EQ(refused("max_connections", 10), (Names{"parameter.controlled"}));
    EXPECT_EQ(plan(call("pg_stat_statements.max", 10)).blocked_by.size(), 0U);
    world.config["synchronous_mode"] = true;
    EXPECT_EQ(ids_of(world.preview(call("synchronous_standby_names", "n2")).blocked_by),
              (Names{"parameter.controlled"}));
    EXPECT_TRUE(world.patches().empty());
}

TEST_F(SetParameter, IsRefusedWhereAMemberCannotBeAskedOrHasItsOwn) {
    StepCall of = call("work_mem", "64MB");
    of.probed = world.probe(of);
    of.probed["n2"] = "no route";
    of.probed["n3"]["file"] = "/data/postgresql.auto.conf";
    ClusterFacts facts = world.observe();
    EXPECT_EQ(ids_of(world.preview(of, facts).blocked_by),
              (Names{"parameter.unread", "parameter.overridden"}));
    facts.find("n1")->setup->parameters["work_mem"] = "4MB";
    EXPECT_EQ(world.preview(of, facts).blocked_by.size(), 3U);
}

TEST_F(SetParameter, TakesNoSecretAndNoMap) {
    for (const Value& bad :
         {Value::secret("s"), Value(Value::Map{}), Value(Value::List{}), Value::unknown("x")}) {
        EXPECT_THROW(world.preview(call("work_mem", bad)), Error);
    }
    EXPECT_THROW(world.preview(call("work mem", "8MB")), Error);
}

TEST_F(SetParameter, IsDoneWhenEveryMemberHasIt) {
    const StepResult result = world.run(call("work_mem", "64MB"));
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(world.runs_with("n3", "work_mem"), "64MB");
    ClusterFacts facts = world.observe();
    facts.config = nullptr;
    result.learned(facts);
    EXPECT_EQ(facts.config["postgresql"]["parameters"]["work_mem"], "64MB");
}

TEST_F(SetParameter, FailsWherePatroniLeavesItOut) {
    world.on_patch = nullptr;  // answered with 200, and forgotten
    const StepResult result = world.run(call("work_mem", "64MB"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(contains(result.message, "work_mem is not taken over: n1: it runs with 8192"))
        << result.message;
}

TEST_F(SetParameter, IsProvenOnceMembersRunWithItAndNotBefore) {
    EXPECT_EQ(world.run(call("max_connections", 200)).outcome, StepOutcome::succeeded);
    const auto verify = [&](bool pending) {
        return world
            .run(step_call("patroni.verify_parameter",
                           "",
                           {{"name", "max_connections"}, {"value", 200}, {"pending", pending}}))
            .outcome;
    };
    EXPECT_EQ(verify(true), StepOutcome::succeeded);
    EXPECT_EQ(verify(false), StepOutcome::failed);
    for (const char* member : {"n2", "n3", "n1"}) {
        world.run(step_call("patroni.restart", member, {{"if_pending", true}}));
    }
    EXPECT_EQ(verify(false), StepOutcome::succeeded);
}

TEST_F(SetParameter, OfWhatIsRemovedMembersHaveTwoLoopsToSaySo) {
    world.config["postgresql"]["parameters"]["max_connections"] = 200;
    EXPECT_EQ(world.run(call("max_connections", Value())).outcome, StepOutcome::succeeded);
    EXPECT_EQ(world.patches(),
              (Names{R"({"postgresql":{"parameters":{"max_connections":null}}})"}));
    EXPECT_EQ(world.clock.sleeps().at(0), std::chrono::seconds{7});
}

}  // namespace
}  // namespace lockstep
