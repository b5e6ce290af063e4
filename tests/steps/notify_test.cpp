#include "steps/live_runner.hpp"
#include "tests/fakes/fake_cluster.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

constexpr const char* k_url = "https://hooks.example/T0/s3cret";

class Notify : public testing::Test {
  protected:
    void SetUp() override { world.cluster.notify_targets = {"mail", "ops"}; }

    Preview preview(const StepCall& call) { return world.preview(call, ClusterFacts{}); }

    StepResult run(const StepCall& call, std::stop_token stop = {}) {
        ActionContext context = world.context(ClusterFacts{}, std::move(stop));
        context.run = "r1";
        context.notify = [this](const std::string& target, const Notification& notification) {
            sent.emplace_back(target, notification);
            return target == down ? std::string("hooks.example: HTTP 500") : std::string();
        };
        return find_action_code("notify").run(call, context);
    }

    FakeCluster world;
    std::string down;
    std::vector<std::pair<std::string, Notification>> sent;
};

StepCall call_of(const std::string& message, Value::List to = {}) {
    Value::Map with{{"message", message}};
    if (!to.empty()) {
        with.emplace("to", Value(std::move(to)));
    }
    return step_call("notify", "", std::move(with));
}

TEST_F(Notify, TellsEverybodyUnlessSomebodyIsNamed) {
    EXPECT_EQ(run(call_of("half way")).message, "notified mail, ops");
    EXPECT_EQ(sent.size(), 2U);
    sent.clear();
    EXPECT_EQ(run(call_of("half way", {"ops"})).message, "notified ops");
    ASSERT_EQ(sent.size(), 1U);
    const Notification& notification = sent[0].second;
    EXPECT_EQ(notification.event, "message");
    EXPECT_EQ(notification.run, "r1");
    EXPECT_EQ(notification.cluster, "orders");
    EXPECT_EQ(notification.text, "half way");
    EXPECT_EQ(notification.more, (nlohmann::json{{"step", "step"}}));
}

TEST_F(Notify, MakesTheFirstLineTheText) {
    (void)run(call_of("one\ntwo\n\nthree\n", {"ops"}));
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].second.text, "one");
    EXPECT_EQ(sent[0].second.details, (Names{"two", "", "three"}));
}

TEST_F(Notify, SendsNothingInAPlanAndSaysWhatItWouldSend) {
    const Preview preview = this->preview(call_of("half way", {"ops"}));
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_TRUE(preview.blocked_by.empty());
    ASSERT_EQ(preview.operations.size(), 1U);
    EXPECT_EQ(preview.operations[0], (Operation{Operation::Kind::local, "notify ops: half way"}));
    EXPECT_TRUE(sent.empty());
    EXPECT_FALSE(find_action(action_catalog(), "notify")->changes);
}

TEST_F(Notify, IsRefusedByAPlanForATargetThatThereIsNot) {
    const Preview preview = this->preview(call_of("x", {"opps", "ops"}));
    ASSERT_EQ(ids_of(preview.blocked_by), Names{"notify.unknown_target"});
    EXPECT_EQ(preview.blocked_by[0].subject, "opps");
    EXPECT_EQ(preview.blocked_by[0].remedy, "did you mean \"ops\"?");
    const auto& ids = finding_ids();
    EXPECT_NE(std::find(ids.begin(), ids.end(), "notify.unknown_target"), ids.end());
}

TEST_F(Notify, HasNothingToDoWhereNobodyIsToBeTold) {
    world.cluster.notify_targets.clear();
    const Preview preview = this->preview(call_of("x"));
    EXPECT_EQ(preview.verdict, Verdict::wont);
    EXPECT_TRUE(preview.blocked_by.empty());
    EXPECT_EQ(run(call_of("x")).outcome, StepOutcome::already_done);
    EXPECT_EQ(ids_of(this->preview(call_of("x", {"ops"})).blocked_by),
              Names{"notify.unknown_target"});
}

TEST_F(Notify, SucceedsAlthoughItCouldNotTellAndSaysSo) {
    down = "ops";
    const StepResult result = run(call_of("half way"));
    EXPECT_EQ(result.outcome, StepOutcome::succeeded);
    EXPECT_EQ(result.message, "notified mail; not notified: ops");
    EXPECT_EQ(result.unproven, Names{"the notification to ops failed: hooks.example: HTTP 500"});
}

TEST_F(Notify, IsCancelledWhenTold) {
    std::stop_source stop;
    stop.request_stop();
    EXPECT_EQ(run(call_of("x"), stop.get_token()).outcome, StepOutcome::cancelled);
}

TEST_F(Notify, RefusesToTellASecret) {
    StepCall call = call_of("x");
    call.with["message"] = Value::secret("hunter2");
    EXPECT_THROW((void)preview(call), Error);
    EXPECT_THROW((void)run(call), Error);
    EXPECT_TRUE(sent.empty());
}

TEST_F(Notify, GoesOutThroughTheRunnerOfARun) {
    world.cluster.notify_targets = {"ops"};
    world.http.answer(std::string("POST ") + k_url, "ok");
    LiveRunner runner(world.cluster,
                      world.factory(),
                      world.clock,
                      {{"ops", WebhookTarget{.url = k_url, .headers = {}, .ca_file = {}}}});
    runner.start(0, call_of("half way"), std::make_shared<const ClusterFacts>());
    const auto event = runner.wait(60s);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->result.message, "notified ops");
    runner.notify("ops", {.event = "end", .text = "done"});
    runner.notify("opps", {.event = "end", .text = "done"});
    runner.finish_notifications(60s);
    EXPECT_EQ(runner.notification_troubles(), Names{"opps: the inventory has no such target"});
    ASSERT_EQ(world.http.seen().size(), 2U);
    EXPECT_NE(world.http.seen()[1].body.value_or("").find("\"event\":\"end\""), std::string::npos);
}

}  // namespace
}  // namespace lockstep
