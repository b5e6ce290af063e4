#include "tests/fakes/fake_cluster.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using Json = nlohmann::json;

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

class Reinit : public testing::Test {
  protected:
    Reinit() {
        world.members.at("n1").statements = [](const SqlStatement& statement) {
            return contains(statement.text, "pg_database_size")
                       ? SqlResult{{"sum"}, {{"1000000000"}}}
                       : SqlResult{{"phase", "streamed", "total"},
                                   {{"streaming database files", "1048576", "2097152"}}};
        };
        world.members.at("n2").commands = [this](const std::string& script) {
            EXPECT_TRUE(contains(script, "df -Pk")) << script;
            return command_result(0, room);
        };
        world.http.compute("POST " + FakeCluster::url("n2", "/reinitialize"),
                           [this](const HttpRequest& request) {
                               EXPECT_EQ(request.body, "{}");
                               ++asked;
                               world.members.at("n2").status["state"] = "creating replica";
                               world.members.at("n2").status.erase("replication_state");
                               world.members.at("n2").status.erase("postmaster_start_time");
                               if (done_at_once) {
                                   finish();
                               }
                               return HttpResponse{200, "reinitialize started", "text/plain"};
                           });
    }

    void finish() {
        Json& status = world.members.at("n2").status;
        status["state"] = "running";
        status["replication_state"] = "streaming";
        status["postmaster_start_time"] = "2026-11-24 10:00:00+00:00";
    }

    Names refused(StepCall of) {
        of.probed = world.probe(of);
        return ids_of(world.preview(of).blocked_by);
    }

    FakeCluster world;
    StepCall call = step_call("patroni.reinitialize", "n2");
    std::string room = "used=500000\nfree=2000000\n";
    bool done_at_once = true;
    int asked = 0;
};

TEST_F(Reinit, IsPlannedWithTheExactRequestAndNoWayBack) {
    call.probed = world.probe(call);
    const Preview preview = world.preview(call);
    EXPECT_EQ(ids_of(preview.blocked_by), Names{});
    EXPECT_EQ(preview.operations.at(0).text, "POST http://10.0.0.12:8008/reinitialize {}");
    EXPECT_EQ(preview.no_way_back, "what it has is deleted before the copy is made");
    EXPECT_EQ(asked, 0);
}

TEST_F(Reinit, IsRefusedOnTheLeader) {
    EXPECT_EQ(ids_of(world.preview(step_call("patroni.reinitialize", "n1")).blocked_by),
              (Names{"reinit.leader"}));
}

TEST_F(Reinit, IsRefusedOnTheOnlyOtherCopyUnlessSomebodyTakesItByName) {
    world.members.at("n3").status["replication_state"] = "stopped";
    ClusterFacts facts = world.observe();
    facts.find("n3")->state = "stopped";
    const Preview preview = world.preview(call, facts);
    ASSERT_EQ(ids_of(preview.blocked_by), (Names{"reinit.only_copy"}));
    EXPECT_TRUE(preview.blocked_by[0].acceptable);
}

TEST_F(Reinit, IsRefusedOnOneThatIsAheadOfItsLeader) {
    ClusterFacts facts = world.observe();
    facts.find("n2")->received = *facts.find("n1")->position + 1;
    EXPECT_EQ(ids_of(world.preview(call, facts).blocked_by), (Names{"reinit.ahead"}));
    facts = world.observe();
    facts.find("n2")->timeline = 5;
    EXPECT_EQ(ids_of(world.preview(call, facts).blocked_by), (Names{"reinit.ahead"}));
    facts = world.observe();
    facts.find("n2")->received.reset();
    EXPECT_EQ(ids_of(world.preview(call, facts).blocked_by), (Names{"reinit.position_unknown"}));
}

TEST_F(Reinit, IsRefusedWhereTheCopyDoesNotFit) {
    room = "used=100\nfree=900000\n";
    EXPECT_EQ(refused(call), (Names{"disk.low"}));
    room = "mount=yes\nused=500000\nfree=2000000\n";
    EXPECT_EQ(refused(call), (Names{"reinit.mount_point"}));
    room = "used=\nfree=\n";
    EXPECT_EQ(refused(call), (Names{"reinit.room_unknown"}));
}

TEST_F(Reinit, IsDoneWhenAnotherPostmasterStreams) {
    const StepResult result = world.run(call);
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(asked, 1);
    call.at_start = std::make_shared<const ClusterFacts>([] {
        FakeCluster before;
        return before.observe();
    }());
    EXPECT_EQ(world.preview(call).verdict, Verdict::wont) << "a resume does not do it twice";
}

TEST_F(Reinit, SaysHowFarItIsWhenTimeIsOver) {
    done_at_once = false;
    call.timeout = std::chrono::seconds{30};
    const StepResult result = world.run(call);
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(contains(result.message, "it is creating replica")) << result.message;
    EXPECT_TRUE(contains(result.message, "1 MB of 2 MB") || contains(result.message, "1.0 MB of"))
        << result.message;
}

TEST_F(Reinit, WaitsForACopyThatIsUnderWayAndAsksForNoOther) {
    done_at_once = false;
    call.timeout = std::chrono::seconds{5};
    world.run(call);
    EXPECT_EQ(asked, 1);
    const Preview preview = world.preview(call);
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_TRUE(preview.operations.empty());
    EXPECT_TRUE(preview.blocked_by.empty());
    EXPECT_FALSE(preview.effect);
    ClusterFacts facts = world.observe();
    int looks = 0;
    world.http.compute("GET " + FakeCluster::url("n3", "/patroni"), [&](const HttpRequest&) {
        if (++looks == 2) {
            finish();
        }
        return HttpResponse{200, world.members.at("n3").status.dump(), "application/json"};
    });
    EXPECT_EQ(world.run(call, facts).outcome, StepOutcome::succeeded);
    EXPECT_EQ(asked, 1);
}

TEST_F(Reinit, FailsWherePatroniSaysNo) {
    world.http.answer("POST " + FakeCluster::url("n2", "/reinitialize"),
                      "reinitialize is already in progress",
                      503);
    const StepResult result = world.run(call);
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(contains(result.message, "status 503: reinitialize is already in progress"));
}

}  // namespace
}  // namespace lockstep
