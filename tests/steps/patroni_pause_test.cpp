#include "steps/actions/patroni_requests.hpp"
#include "tests/fakes/fake_cluster.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

using Kind = TransportError::Kind;
using Json = nlohmann::json;
using testing::Test;

const char* const k_pause = R"({"pause": true})";
const char* const k_resume = R"({"pause": null})";

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

StepCall pause_call() {
    return step_call("patroni.pause");
}

StepCall resume_call() {
    StepCall call = step_call("patroni.resume");
    call.open_temporaries = {"patroni.pause"};
    return call;
}

class Pause : public Test {
  protected:
    FakeCluster world;
};

TEST_F(Pause, IsPlannedWithTheExactRequestAndItsWayBack) {
    const Preview preview = world.preview(pause_call());
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_TRUE(preview.blocked_by.empty());
    ASSERT_EQ(preview.operations.size(), 1U);
    EXPECT_EQ(preview.operations[0].text,
              "PATCH http://10.0.0.11:8008/config " + std::string(k_pause));
    ASSERT_EQ(preview.undo.size(), 1U);
    EXPECT_EQ(preview.undo[0].operation.text,
              "PATCH http://10.0.0.11:8008/config " + std::string(k_resume));
    EXPECT_TRUE(world.patches().empty());
}

TEST_F(Pause, LetsLaterStepsSeeEveryMemberPaused) {
    ClusterFacts facts = world.observe();
    world.preview(pause_call(), facts).effect(facts);
    EXPECT_TRUE(facts.paused);
    EXPECT_TRUE(std::ranges::all_of(facts.members, &MemberFacts::paused));
}

TEST_F(Pause, IsRefusedWhenSomebodyElsePaused) {
    world.is_paused();
    EXPECT_EQ(ids_of(world.preview(pause_call()).blocked_by), (Names{"cluster.paused"}));
}

TEST_F(Pause, IsNotDoneTwiceByTheSameRun) {
    world.is_paused();
    StepCall call = pause_call();
    call.open_temporaries = {"patroni.pause"};
    const Preview preview = world.preview(call);
    EXPECT_EQ(preview.verdict, Verdict::wont);
    EXPECT_TRUE(preview.blocked_by.empty());
}

TEST_F(Pause, IsRefusedWhileAMembersApiIsDead) {
    world.is_dead("n3");
    const Preview preview = world.preview(pause_call());
    EXPECT_EQ(ids_of(preview.blocked_by), (Names{"member.unreachable"}));
    EXPECT_EQ(preview.blocked_by.at(0).member, "n3");
}

TEST_F(Pause, IsRefusedWhenTheCredentialsAreRefused) {
    ClusterFacts facts = world.observe();
    facts.patroni_write_refused = true;
    facts.patroni_write_error = "n2 answers HTTP status 401";
    const Preview preview = world.preview(pause_call(), facts);
    EXPECT_EQ(ids_of(preview.blocked_by), (Names{"patroni.write_refused"}));
    EXPECT_TRUE(contains(preview.blocked_by.at(0).message, "n2 answers HTTP status 401"));
}

TEST_F(Pause, IsRefusedWithoutALeader) {
    ClusterFacts facts = world.observe();
    facts.leader.clear();
    EXPECT_EQ(ids_of(world.preview(pause_call(), facts).blocked_by), (Names{"cluster.no_leader"}));
}

TEST_F(Pause, WaitsUntilEveryMemberSaysSoItself) {
    world.members.at("n2").loops_until_it_knows = 40;
    const StepResult result = world.run(pause_call());
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(world.patches(), (Names{k_pause}));
    for (const auto& [name, member] : world.members) {
        EXPECT_TRUE(member.says_paused) << name;
    }
    // 50 ms between two looks: n2 told it at its 41st.
    EXPECT_EQ(result.message, "every member says so, after 2 s");
}

// Patroni 3.0.3 and later: a GET /cluster would refresh the cache that the member's word is from.
TEST_F(Pause, AsksNobodyForTheClusterOnceItIsRequested) {
    world.run(pause_call());
    const std::vector<HttpRequest> seen = world.http.seen();
    const auto patch = std::ranges::find(seen, "PATCH", &HttpRequest::method);
    ASSERT_NE(patch, seen.end());
    EXPECT_EQ(patch->url, FakeCluster::url("n1", "/config"));
    for (auto request = patch + 1; request != seen.end(); ++request) {
        EXPECT_TRUE(request->url.ends_with("/patroni")) << request->url;
    }
}

TEST_F(Pause, FailsNamingTheMemberThatNeverSaysSo) {
    world.members.at("n3").never_knows = true;
    StepCall call = pause_call();
    call.timeout = std::chrono::seconds{5};
    const StepResult result = world.run(call);
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(result.message, "the pause did not reach n3");
    EXPECT_FALSE(result.hint.empty());
}

TEST_F(Pause, CountsAMemberThatFallsSilentAsNotPaused) {
    world.on_patch = [this] { world.is_dead("n2"); };
    StepCall call = pause_call();
    call.timeout = std::chrono::seconds{5};
    const StepResult result = world.run(call);
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(result.message, "the pause did not reach n2");
}

TEST_F(Pause, SendsNothingWhenAMemberSaysThatItIsPausedAlready) {
    const ClusterFacts facts = world.observe();
    world.members.at("n2").says_paused = true;
    world.members.at("n2").never_knows = true;
    const StepResult result = world.run(pause_call(), facts);
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(result.message, "n2 says that it is paused already");
    EXPECT_TRUE(world.patches().empty());
}

TEST_F(Pause, SendsNothingWhenAMemberDoesNotAnswer) {
    const ClusterFacts facts = world.observe();
    world.is_dead("n3");
    const StepResult result = world.run(pause_call(), facts);
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(contains(result.message, "n3 does not answer")) << result.message;
    EXPECT_TRUE(world.patches().empty());
}

TEST_F(Pause, StopsWaitingWhenTold) {
    world.members.at("n3").never_knows = true;
    std::stop_source stop;
    stop.request_stop();
    const StepResult result = world.run(pause_call(), world.observe(), stop.get_token());
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(world.clock.sleeps().size(), 1U);
}

TEST_F(Pause, SaysWhatToCheckWhenItIsNotAuthorized) {
    for (const long status : {401, 403}) {
        world.patch_statuses = {status};
        try {
            world.run(pause_call());
            FAIL() << "paused";
        } catch (const Error& error) {
            EXPECT_TRUE(contains(error.what(), "status " + std::to_string(status)));
            EXPECT_TRUE(
                contains(error.hint(), status == 401 ? "patroni.password" : "restapi.allowlist"));
        }
        EXPECT_FALSE(world.config.contains("pause"));
    }
}

TEST_F(Pause, TriesAgainWhenSomebodyElseWroteAtTheSameMoment) {
    world.patch_statuses = {409, 409, 409};
    EXPECT_EQ(world.run(pause_call()).outcome, StepOutcome::succeeded);
    EXPECT_EQ(world.patches().size(), 4U);
}

TEST_F(Pause, DoesNotTryAgainForEver) {
    world.patch_statuses.assign(100, 409);
    EXPECT_THROW(world.run(pause_call()), Error);
    EXPECT_EQ(world.patches().size(), 10U);
}

TEST_F(Pause, DoesNotTryAgainWhatMayHaveBeenWritten) {
    world.patch_statuses = {503};
    EXPECT_THROW(world.run(pause_call()), Error);
    EXPECT_EQ(world.patches().size(), 1U);
}

class Resume : public Test {
  protected:
    Resume() { world.is_paused(); }

    /// Runs it and expects that it leaves the cluster paused, for the reason.
    void expect_left_paused(const std::string& why) {
        const ClusterFacts facts = world.observe();
        StepCall call = resume_call();
        call.timeout = std::chrono::seconds{5};
        const StepResult result = world.run(call, facts);
        EXPECT_EQ(result.outcome, StepOutcome::failed);
        EXPECT_TRUE(contains(result.message, "left paused")) << result.message;
        EXPECT_TRUE(contains(result.message, why)) << result.message;
        EXPECT_TRUE(contains(result.hint, "Bring the Patroni daemon back")) << result.hint;
        EXPECT_TRUE(world.patches().empty());
        EXPECT_TRUE(world.config.at("pause") == true);
    }

    FakeCluster world;
};

TEST_F(Resume, HasNothingToDoWhenItIsNotPaused) {
    world.is_paused(false);
    EXPECT_EQ(world.preview(resume_call()).verdict, Verdict::wont);
}

TEST_F(Resume, IsRefusedWhenThePauseIsSomebodyElses) {
    const Preview preview = world.preview(step_call("patroni.resume"));
    EXPECT_EQ(ids_of(preview.blocked_by), (Names{"cluster.paused"}));
}

TEST_F(Resume, IsPlannedWithTheExactRequest) {
    const Preview preview = world.preview(resume_call());
    EXPECT_TRUE(preview.blocked_by.empty());
    EXPECT_EQ(preview.operations.at(0).text,
              "PATCH http://10.0.0.11:8008/config " + std::string(k_resume));
}

TEST_F(Resume, WaitsForEveryMembersWord) {
    world.members.at("n3").loops_until_it_knows = 30;
    const StepResult result = world.run(resume_call());
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(world.patches(), (Names{k_resume}));
    EXPECT_FALSE(world.members.at("n3").says_paused);
    ClusterFacts facts;
    facts.paused = true;
    facts.members.resize(1);
    facts.members[0].paused = true;
    result.learned(facts);
    EXPECT_FALSE(facts.paused);
    EXPECT_FALSE(facts.members[0].paused);
}

TEST_F(Resume, WaitsUntilTheDaemonIsBack) {
    // It answers again at its 20th time of being asked.
    const ClusterFacts facts = world.observe();
    int asked = 0;
    const Json body = [&] {
        Json status = world.members.at("n2").status;
        status["pause"] = true;
        return status;
    }();
    world.http.compute("GET " + FakeCluster::url("n2", "/patroni"),
                       [&asked, body, this](const HttpRequest&) -> HttpResponse {
                           if (++asked < 20) {
                               EXPECT_TRUE(world.config.at("pause") == true);
                               throw TransportError(Kind::connect, "refused");
                           }
                           Json now = body;
                           if (!world.config.contains("pause")) {
                               now.erase("pause");
                           }
                           return {200, now.dump(), ""};
                       });
    EXPECT_EQ(world.run(resume_call(), facts).outcome, StepOutcome::succeeded);
    EXPECT_GE(world.clock.sleeps().size(), 19U);
}

TEST_F(Resume, LeavesItPausedWhileTheLeadersDaemonIsDown) {
    world.is_dead("n1");
    expect_left_paused("the Patroni of n1 does not answer");
}

// Whoever answers for it may be somebody else, and would end us if we took it.
TEST_F(Resume, LeavesItPausedWhileAnAnswerNestsTooDeeply) {
    world.http.answer("GET " + FakeCluster::url("n1", "/patroni"),
                      "{\"state\": \"running\", \"x\": " + std::string(100'000, '[') +
                          std::string(100'000, ']') + "}");
    expect_left_paused("the Patroni of n1 does not answer");
}

TEST_F(Resume, LeavesItPausedWhileNobodyHoldsTheLock) {
    world.members.at("n1").role = "replica";
    expect_left_paused("nobody holds the leader lock");
}

TEST_F(Resume, LeavesItPausedWhileThereAreTwoPrimaries) {
    world.members.at("n2").status["role"] = "primary";
    expect_left_paused("2 members run as primary");
}

TEST_F(Resume, LeavesItPausedWhileTheLeadersPostgresqlIsStopped) {
    world.members.at("n1").status["state"] = "stopped";
    expect_left_paused("PostgreSQL on n1 is stopped");
}

TEST_F(Resume, LeavesItPausedWhileItIsNotKnownHowAPostgresqlIs) {
    world.members.at("n3").status["state"] = "starting";
    expect_left_paused("PostgreSQL on n3 is starting");
}

// Rebooted while paused: Patroni starts its PostgreSQL only once the pause is gone.
TEST_F(Resume, IsWhatBringsAStoppedReplicaBack) {
    world.members.at("n3").status["state"] = "stopped";
    EXPECT_EQ(world.run(resume_call()).outcome, StepOutcome::succeeded);
    EXPECT_EQ(world.patches(), (Names{k_resume}));
}

TEST_F(Resume, LeavesItPausedWhileAMemberSeesNoLock) {
    world.members.at("n2").status["cluster_unlocked"] = true;
    expect_left_paused("n2 sees no leader lock");
}

TEST_F(Resume, LeavesItPausedWhenTheClusterCannotBeSeen) {
    const ClusterFacts facts = world.observe();
    for (const char* name : {"n1", "n2", "n3"}) {
        world.is_dead(name);
    }
    StepCall call = resume_call();
    call.timeout = std::chrono::seconds{1};
    const StepResult result = world.run(call, facts);
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(contains(result.message, "left paused")) << result.message;
    EXPECT_TRUE(world.patches().empty());
}

TEST_F(Resume, SendsNothingWhenSomebodyElseResumedMeanwhile) {
    const ClusterFacts facts = world.observe();
    world.is_paused(false);
    EXPECT_EQ(world.run(resume_call(), facts).outcome, StepOutcome::already_done);
    EXPECT_TRUE(world.patches().empty());
}

// The request is written: that a member does not say so yet is no reason to call it failed.
TEST_F(Resume, IsInDoubtWhenAMemberDoesNotConfirm) {
    world.members.at("n2").never_knows = true;
    StepCall call = resume_call();
    call.timeout = std::chrono::seconds{2};
    const StepResult result = world.run(call);
    EXPECT_EQ(result.outcome, StepOutcome::in_doubt);
    EXPECT_EQ(result.message, "resumed, but not confirmed by n2");
}

TEST_F(Resume, TakesSilenceForNoConfirmation) {
    world.on_patch = [this] { world.is_dead("n3"); };
    StepCall call = resume_call();
    call.timeout = std::chrono::seconds{2};
    const StepResult result = world.run(call);
    EXPECT_EQ(result.outcome, StepOutcome::in_doubt);
    EXPECT_EQ(result.message, "resumed, but not confirmed by n3");
}

// REST may be a proxy that says what one likes to hear; the daemon on its own host is not.
TEST_F(Resume, LeavesItPausedWhereTheLockHolderDoesNotSaySoItself) {
    world.members.at("n1").own_refusal = "it does not run";
    expect_left_paused("n1, asked on its own host: it does not run");
}

TEST_F(Resume, LeavesItPausedWhereTheLockHolderCannotBeAsked) {
    const ClusterFacts facts = world.observe();
    world.members.at("n1").ssh_error = TransportError(Kind::connect, "no route to host");
    StepCall call = resume_call();
    call.timeout = std::chrono::seconds{1};
    const StepResult result = world.run(call, facts);
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_TRUE(contains(result.message, "n1, by SSH: no route to host")) << result.message;
    EXPECT_TRUE(world.patches().empty());
}

struct Danger {
    const char* name;
    std::function<void(ClusterFacts&)> happens;
    const char* why;  ///< empty: it is safe
};

TEST(UnsafeToResume, KnowsEveryDanger) {
    FakeCluster world;
    const ClusterFacts well = world.observe(Depth::quick);
    const auto as_standby_cluster = [](ClusterFacts& facts) {
        facts.find("n1")->role = "standby_leader";
        facts.find("n1")->in_recovery = true;
        facts.find("n1")->state = "streaming";
    };
    const std::vector<Danger> dangers{
        {"all is well", [](ClusterFacts&) {}, ""},
        {"archive recovery",
         [](ClusterFacts& facts) { facts.find("n2")->state = "in archive recovery"; },
         ""},
        {"a standby cluster", as_standby_cluster, ""},
        {"a standby cluster with a primary",
         [&](ClusterFacts& facts) {
             as_standby_cluster(facts);
             facts.find("n2")->in_recovery = false;
         },
         "1 member runs as primary"},
        {"no lock", [](ClusterFacts& facts) { facts.leader.clear(); }, "nobody holds"},
        {"a stranger holds the lock", [](ClusterFacts& facts) { facts.leader = "n9"; }, "n9 holds"},
        {"a silent daemon",
         [](ClusterFacts& facts) { facts.find("n3")->api.error = "refused"; },
         "the Patroni of n3"},
        {"a daemon that was not asked",
         [](ClusterFacts& facts) { facts.find("n3")->api.asked = false; },
         "the Patroni of n3"},
        {"PostgreSQL starts",
         [](ClusterFacts& facts) { facts.find("n3")->state = "starting"; },
         "PostgreSQL on n3 is starting"},
        {"PostgreSQL is unknown",
         [](ClusterFacts& facts) { facts.find("n3")->state.clear(); },
         "PostgreSQL on n3 is in an unknown state"},
        {"a member is unlocked",
         [](ClusterFacts& facts) { facts.find("n2")->cluster_unlocked = true; },
         "n2 sees no leader lock"},
        {"no primary",
         [](ClusterFacts& facts) { facts.find("n1")->in_recovery = true; },
         "0 members run as primary"},
        {"two primaries",
         [](ClusterFacts& facts) { facts.find("n2")->in_recovery = false; },
         "2 members run as primary"},
        {"the one primary is not who holds the lock",
         [](ClusterFacts& facts) {
             facts.find("n1")->in_recovery = true;
             facts.find("n2")->in_recovery = false;
         },
         "n1 holds the leader lock"},
    };
    for (const Danger& danger : dangers) {
        ClusterFacts facts = well;
        danger.happens(facts);
        const std::string why = unsafe_to_resume(facts);
        if (*danger.why == '\0') {
            EXPECT_EQ(why, "") << danger.name;
        } else {
            EXPECT_TRUE(contains(why, danger.why)) << danger.name << ": " << why;
        }
    }
}

}  // namespace
}  // namespace lockstep
