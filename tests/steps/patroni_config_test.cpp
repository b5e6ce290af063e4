#include "base/error.hpp"
#include "steps/actions/config_patch.hpp"
#include "tests/fakes/fake_cluster.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using Json = nlohmann::json;

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

struct PatchCase {
    const char* name;
    const char* config;
    const char* patch;
    const char* after;
    const char* inverse;
};

const std::vector<PatchCase>& patch_cases() {
    static const std::vector<PatchCase> k_cases{
        {"a new key", R"({})", R"({"a": 1})", R"({"a": 1})", R"({"a": null})"},
        {"another value", R"({"a": 1})", R"({"a": 2})", R"({"a": 2})", R"({"a": 1})"},
        {"the same value", R"({"a": 1})", R"({"a": 1})", R"({"a": 1})", R"({})"},
        {"the same text", R"({"a": 30})", R"({"a": "30"})", R"({"a": 30})", R"({})"},
        {"a truth as Python writes it",
         R"({"a": "True"})",
         R"({"a": true})",
         R"({"a": "True"})",
         R"({})"},
        {"another truth",
         R"({"a": "true"})",
         R"({"a": true})",
         R"({"a": true})",
         R"({"a": "true"})"},
        {"a key less", R"({"a": 1, "b": 2})", R"({"a": null})", R"({"b": 2})", R"({"a": 1})"},
        {"a map less", R"({"a": {"x": 1}})", R"({"a": null})", R"({})", R"({"a": {"x": 1}})"},
        {"what is not there less", R"({})", R"({"a": null})", R"({})", R"({})"},
        {"inside a map",
         R"({"p": {"x": 1, "y": 2}})",
         R"({"p": {"x": 5, "z": 3, "y": null}})",
         R"({"p": {"x": 5, "z": 3}})",
         R"({"p": {"x": 1, "y": 2, "z": null}})"},
        {"nothing new inside a map",
         R"({"p": {"x": 1}})",
         R"({"p": {"x": 1}})",
         R"({"p": {"x": 1}})",
         R"({})"},
        {"a new map", R"({})", R"({"p": {"x": 1}})", R"({"p": {"x": 1}})", R"({"p": null})"},
        {"a new map with a null",
         R"({})",
         R"({"p": {"x": null}})",
         R"({"p": {"x": null}})",
         R"({"p": null})"},
        {"a map for a scalar",
         R"({"p": 1})",
         R"({"p": {"x": 1}})",
         R"({"p": {"x": 1}})",
         R"({"p": 1})"},
        {"a scalar for a map",
         R"({"p": {"x": 1}})",
         R"({"p": 1})",
         R"({"p": 1})",
         R"({"p": {"x": 1}})"},
        {"a list is one value",
         R"({"l": [1, 2]})",
         R"({"l": [2]})",
         R"({"l": [2]})",
         R"({"l": [1, 2]})"},
        {"several levels",
         R"({"postgresql": {"parameters": {"a": 1}, "use_slots": true}, "ttl": 30})",
         R"({"postgresql": {"parameters": {"a": 2, "b": 3}}, "ttl": 20})",
         R"({"postgresql": {"parameters": {"a": 2, "b": 3}, "use_slots": true}, "ttl": 20})",
         R"({"postgresql": {"parameters": {"a": 1, "b": null}}, "ttl": 30})"},
    };
    return k_cases;
}

TEST(ConfigPatch, ChangesWhatPatroniWouldChange) {
    for (const PatchCase& given : patch_cases()) {
        const Json config = Json::parse(given.config);
        Json after = config;
        const bool changed = apply_config_patch(after, Json::parse(given.patch));
        EXPECT_EQ(after, Json::parse(given.after)) << given.name;
        EXPECT_EQ(changed, after != config) << given.name;
    }
}

TEST(ConfigPatch, HasAnInverseThatGivesTheOldConfigurationBack) {
    for (const PatchCase& given : patch_cases()) {
        const Json config = Json::parse(given.config);
        const Json patch = Json::parse(given.patch);
        const Json inverse = inverse_config_patch(config, patch);
        EXPECT_EQ(inverse, Json::parse(given.inverse)) << given.name;
        Json back = config;
        apply_config_patch(back, patch);
        apply_config_patch(back, inverse);
        EXPECT_EQ(back, config) << given.name;
    }
}

class Config : public testing::Test {
  protected:
    static StepCall call(const char* patch) {
        return step_call("patroni.config", "", {{"patch", Value::from_json(Json::parse(patch))}});
    }

    FakeCluster world;
};

TEST_F(Config, IsPlannedWithTheExactRequestAndItsInverse) {
    const Preview preview = world.preview(call(R"({"ttl": 30, "maximum_lag_on_failover": 1})"));
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_TRUE(preview.blocked_by.empty());
    EXPECT_EQ(preview.operations.at(0).text,
              R"(PATCH http://10.0.0.11:8008/config {"maximum_lag_on_failover":1,"ttl":30})");
    EXPECT_EQ(preview.undo.at(0).operation.text,
              R"(PATCH http://10.0.0.11:8008/config {"maximum_lag_on_failover":null,"ttl":20})");
    EXPECT_TRUE(world.patches().empty());
}

TEST_F(Config, WontWhereItSaysSoAlready) {
    const Preview preview = world.preview(call(R"({"ttl": 20, "standby_cluster": null})"));
    EXPECT_EQ(preview.verdict, Verdict::wont);
    EXPECT_TRUE(preview.operations.empty());
    EXPECT_TRUE(preview.undo.empty());
}

TEST_F(Config, LetsLaterStepsSeeTheNewOne) {
    ClusterFacts facts = world.observe();
    world.preview(call(R"({"ttl": 30})"), facts).effect(facts);
    EXPECT_EQ(facts.config["ttl"], 30);
    EXPECT_EQ(world.preview(call(R"({"ttl": 30})"), facts).verdict, Verdict::wont);
    EXPECT_EQ(world.preview(call(R"({"ttl": 20})"), facts).verdict, Verdict::will);
}

TEST_F(Config, IsNotAWayToPause) {
    for (const char* patch : {R"({"pause": true})", R"({"pause": null, "ttl": 30})"}) {
        EXPECT_EQ(ids_of(world.preview(call(patch)).blocked_by), (Names{"config.pause"})) << patch;
    }
}

TEST_F(Config, IsRefusedWhereTheOldOneIsNotKnown) {
    ClusterFacts facts = world.observe();
    facts.config = nullptr;
    const Preview preview = world.preview(call(R"({"ttl": 30})"), facts);
    EXPECT_EQ(ids_of(preview.blocked_by), (Names{"config.unknown"}));
    EXPECT_TRUE(preview.undo.empty());
}

TEST_F(Config, IsRefusedWhereItCannotBeWritten) {
    ClusterFacts facts = world.observe();
    facts.patroni_write_refused = true;
    EXPECT_EQ(ids_of(world.preview(call(R"({"ttl": 30})"), facts).blocked_by),
              (Names{"patroni.write_refused"}));
    facts = world.observe();
    facts.leader.clear();
    EXPECT_EQ(ids_of(world.preview(call(R"({"ttl": 30})"), facts).blocked_by),
              (Names{"cluster.no_leader"}));
    facts = world.observe();
    facts.find("n1")->api.error = "refused";
    EXPECT_EQ(ids_of(world.preview(call(R"({"ttl": 30})"), facts).blocked_by),
              (Names{"member.unreachable"}));
}

// "***" would be written for a secret, and a null, which deletes, for what is not known.
TEST_F(Config, TakesNothingThatWouldArriveAsSomethingElse) {
    const std::vector<Value> patches{
        Value("text"),
        Value(Value::List{"a"}),
        Value(Value::Map{}),
        Value(Value::Map{{"a", Value::secret("s")}}),
        Value(Value::Map{{"a", Value(Value::Map{{"b", Value::secret("s")}})}}),
        Value(Value::Map{{"a", Value(Value::List{Value::unknown("n2 did not answer")})}}),
        Value(Value::Map{{"a", "\xff"}})};
    for (const Value& patch : patches) {
        const StepCall bad = step_call("patroni.config", "", {{"patch", patch}});
        EXPECT_THROW(world.preview(bad), Error) << patch.to_json();
        EXPECT_THROW(world.run(bad), Error) << patch.to_json();
    }
    EXPECT_TRUE(world.patches().empty());
}

TEST_F(Config, IsWrittenAndLearned) {
    world.config.erase("ignore_slots");
    const StepResult result = world.run(call(R"({"ttl": 30, "loop_wait": null})"));
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(world.patches(), (Names{R"({"loop_wait":null,"ttl":30})"}));
    EXPECT_EQ(world.config, (Json{{"ttl", 30}}));
    ClusterFacts facts = world.observe();
    facts.config = nullptr;
    result.learned(facts);
    EXPECT_EQ(facts.config, (Json{{"ttl", 30}}));
}

TEST_F(Config, IsTakenBackByItsUndo) {
    const Json before = world.config;
    const StepCall change = call(R"({"ttl": 30, "loop_wait": null, "slots": {"a": {}}})");
    const std::string undo = world.preview(change).undo.at(0).operation.text;
    world.run(change);
    EXPECT_NE(world.config, before);
    world.run(call(undo.substr(undo.find('{')).c_str()));
    EXPECT_EQ(world.config, before);
}

TEST_F(Config, FailsWhereTheAnswerDoesNotHoldThePatch) {
    world.http.answer("PATCH " + FakeCluster::url("n1", "/config"), R"({"ttl": 20})");
    EXPECT_EQ(world.run(call(R"({"ttl": 30})")).outcome, StepOutcome::failed);
    world.http.answer("PATCH " + FakeCluster::url("n1", "/config"), "welcome");
    EXPECT_EQ(world.run(call(R"({"ttl": 30})")).outcome, StepOutcome::failed);
    // Patroni leaves a value alone that reads the same.
    world.http.answer("PATCH " + FakeCluster::url("n1", "/config"), R"({"ttl": "30"})");
    EXPECT_EQ(world.run(call(R"({"ttl": 30})")).outcome, StepOutcome::succeeded);
}

TEST_F(Config, IsTriedAgainOnlyWhereNothingWasWritten) {
    world.patch_statuses = {409, 409};
    EXPECT_EQ(world.run(call(R"({"ttl": 30})")).outcome, StepOutcome::succeeded);
    EXPECT_EQ(world.patches().size(), 3U);
    world.patch_statuses.assign(100, 409);
    EXPECT_THROW(world.run(call(R"({"ttl": 40})")), Error);
    EXPECT_EQ(world.patches().size(), 13U);
    world.patch_statuses = {503};
    EXPECT_THROW(world.run(call(R"({"ttl": 40})")), Error);
    EXPECT_EQ(world.patches().size(), 14U);
}

TEST_F(Config, SaysWhatToCheckWhenItIsNotAuthorized) {
    world.patch_statuses = {401};
    try {
        world.run(call(R"({"ttl": 30})"));
        FAIL() << "written";
    } catch (const Error& error) {
        EXPECT_TRUE(contains(error.hint(), "patroni.password"));
    }
}

class Reload : public testing::Test {
  protected:
    void answers(long status) {
        world.http.answer("POST " + FakeCluster::url("n2", "/reload"), "reload scheduled", status);
    }

    FakeCluster world;
    StepCall call = step_call("patroni.reload", "n2");
};

TEST_F(Reload, SendsWhatThePlanShows) {
    answers(202);
    const Preview preview = world.preview(call);
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_TRUE(preview.blocked_by.empty());
    EXPECT_TRUE(preview.undo.empty());
    EXPECT_EQ(preview.operations.at(0).text, "POST http://10.0.0.12:8008/reload");
    EXPECT_EQ(world.run(call).outcome, StepOutcome::succeeded);
    EXPECT_EQ(world.http.seen().back().method, "POST");
    EXPECT_EQ(world.http.seen().back().url, "http://10.0.0.12:8008/reload");
}

TEST_F(Reload, FailsUnlessItIsAccepted) {
    for (const long status : {200, 401, 503}) {
        answers(status);
        const StepResult result = world.run(call);
        EXPECT_EQ(result.outcome, StepOutcome::failed) << status;
        EXPECT_EQ(result.hint.empty(), status != 401);
    }
}

TEST_F(Reload, IsRefusedWhereTheMemberDoesNotAnswerOrLetUsIn) {
    ClusterFacts facts = world.observe();
    facts.patroni_write_refused = true;
    EXPECT_EQ(ids_of(world.preview(call, facts).blocked_by), (Names{"patroni.write_refused"}));
    world.is_dead("n2");
    EXPECT_EQ(ids_of(world.preview(call).blocked_by), (Names{"member.unreachable"}));
}

}  // namespace
}  // namespace lockstep
