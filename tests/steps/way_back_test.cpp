#include "steps/reconciliation.hpp"
#include "tests/fakes/fake_cluster.hpp"

namespace lockstep {
namespace {

/// package.keep and package.restore, and where a rollback may end.
class WayBack : public testing::Test {
  protected:
    static StepCall call(const std::string& action, const std::string& member = "n2") {
        return step_call(
            action, member, {{"package", Value("patroni")}, {"version", Value("3.0.2-1")}});
    }

    StepCall probed(const std::string& lines) {
        world.members.at("n2").commands = [lines](const std::string&) {
            return command_result(0, lines);
        };
        StepCall keep = call("package.keep");
        keep.probed = world.probe(keep);
        return keep;
    }

    FakeCluster world;
};

TEST_F(WayBack, IsKeptFromWhereTheOldPackageCanBeHad) {
    EXPECT_NE(world.preview(probed("from=repository\n")).because.find("from its repository"),
              std::string::npos);
    EXPECT_NE(world.preview(probed("from=cache\n")).because.find("apt's cache"), std::string::npos);
    EXPECT_NE(world.preview(probed("from=installed\n")).because.find("what is installed"),
              std::string::npos);
    EXPECT_EQ(world.preview(probed("kept=1\n")).verdict, Verdict::wont);
}

TEST_F(WayBack, BlocksThePlanWhereThereIsNoneUnlessSomebodyAccepts) {
    const Preview preview = world.preview(probed("missing=patroni=3.0.2-1\n"));
    ASSERT_EQ(ids_of(preview.blocked_by), (Names{"package.no_way_back"}));
    EXPECT_TRUE(preview.blocked_by[0].acceptable);
    EXPECT_TRUE(preview.blocked_by[0].is_named("package.no_way_back@n2"));
    EXPECT_FALSE(preview.blocked_by[0].is_named("package.no_way_back@n3"));
}

TEST_F(WayBack, TakesAnAnswerThatTellsNothingForNone) {
    EXPECT_EQ(ids_of(world.preview(probed("")).blocked_by), (Names{"package.no_way_back"}));
}

TEST_F(WayBack, KeepsTheDependenciesThatWouldChangeToo) {
    StepCall keep = call("package.keep");
    keep.with.insert_or_assign("also", Value(Value::List{Value("python3-ydiff=1.2-1")}));
    keep.probed = {{"kept", false},
                   {"from", {"repository", "installed"}},
                   {"missing", nlohmann::json::array()}};
    const Preview preview = world.preview(keep);
    EXPECT_TRUE(preview.blocked_by.empty());
    EXPECT_NE(preview.operations.at(0).text.find("python3-ydiff=1.2-1"), std::string::npos);
}

TEST_F(WayBack, SaysWhyItCouldNotBePrepared) {
    world.members.at("n2").commands = [](const std::string&) {
        return command_result(1, "", "no space left on device\n");
    };
    const StepResult result = world.run(call("package.keep"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(result.last_lines, (Names{"no space left on device"}));
}

TEST_F(WayBack, HasNothingToDoWhereTheOldVersionRuns) {
    world.has_version("n2", "3.0.2-1");
    EXPECT_EQ(world.preview(call("package.restore")).verdict, Verdict::wont);
}

TEST_F(WayBack, IsNotGoneWhileTheClusterIsNotPaused) {
    EXPECT_EQ(ids_of(world.preview(call("package.restore")).blocked_by),
              (Names{"patroni.not_paused"}));
    world.is_paused();
    EXPECT_TRUE(world.preview(call("package.restore")).blocked_by.empty());
}

TEST_F(WayBack, EndsWhenTheOldDaemonRunsAndReplicates) {
    world.is_paused();
    world.members.at("n2").commands = [this](const std::string&) {
        world.has_version("n2", "3.0.2-1");
        return command_result(0, "installed=3.0.2-1\nstate=active\n");
    };
    const StepResult result = world.run(call("package.restore"));
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
}

TEST_F(WayBack, HasFailedWhenTheOldDaemonDoesNotAnswer) {
    world.is_paused();
    world.members.at("n2").commands = [this](const std::string&) {
        world.is_dead("n2");
        return command_result(0, "installed=3.0.2-1\nstate=active\n");
    };
    const StepResult result = world.run(call("package.restore"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_NE(result.message.find("does not answer"), std::string::npos) << result.message;
}

TEST_F(WayBack, HasFailedWhenAnotherVersionIsInstalledAfterwards) {
    world.is_paused();
    world.members.at("n2").commands = [](const std::string&) {
        return command_result(0, "installed=4.0.7-3\n");
    };
    EXPECT_EQ(world.run(call("package.restore")).outcome, StepOutcome::failed);
}

/// The leader's new daemon does not start: its key has expired, it has left the DCS, and there are
/// endpoints alone to look from. What the run knows of it is from its plan, as it is on record.
class WayOut : public WayBack {
  protected:
    void SetUp() override {
        const ClusterFacts planned = ClusterFacts::from_json(world.observe().to_json());
        world.is_paused();
        world.is_dead("n1");
        world.members.at("n1").listed = false;
        world.members.at("n1").unit_state = "activating";
        world.observer().remember(planned);
        restore = call("package.restore", "n1");
        restore.open_temporaries = {"patroni.pause"};
    }

    StepCall restore;
    const StepCall resume = [] {
        StepCall call = step_call("patroni.resume", "", {});
        call.open_temporaries = {"patroni.pause"};
        return call;
    }();
};

TEST_F(WayOut, OfALeaderWhoseNewDaemonCrashesOrHangsIsOpen) {
    for (const char* state : {"activating", "failed", "inactive", "active"}) {
        world.members.at("n1").unit_state = state;
        const ClusterFacts facts = world.observe();
        EXPECT_EQ(facts.leader, "");
        ASSERT_NE(facts.find("n1"), nullptr);
        EXPECT_EQ(ids_of(world.preview(restore, facts).blocked_by), Names{}) << state;
    }
    StepCall not_ours = restore;
    not_ours.open_temporaries.clear();
    EXPECT_EQ(ids_of(world.preview(not_ours).blocked_by), (Names{"patroni.not_paused"}));
}

TEST_F(WayOut, IsGoneToItsEndAndLetsThePauseBeLifted) {
    EXPECT_NE(world.run(resume).outcome, StepOutcome::succeeded) << "not while it is down";
    world.members.at("n1").commands = [this](const std::string&) {
        world.members.at("n1").api_error.reset();
        world.members.at("n1").listed = true;
        world.members.at("n1").unit_state = "active";
        world.has_version("n1", "3.0.2-1");
        return command_result(0, "installed=3.0.2-1\nstate=active\n");
    };
    const StepResult back = world.run(restore);
    ASSERT_EQ(back.outcome, StepOutcome::succeeded) << back.message;
    EXPECT_EQ(world.run(resume).outcome, StepOutcome::succeeded);
    EXPECT_FALSE(world.observe().paused);
}

/// A cluster after a rollback, with the versions that run.
ClusterFacts left_with(FakeCluster& world, const std::string& leader, const std::string& replicas) {
    world.has_version("n1", leader);
    world.has_version("n2", replicas);
    world.has_version("n3", replicas);
    return world.observe();
}

TEST_F(WayBack, DoesNotLeaveTheIncidentBehind) {
    ClusterFacts end = left_with(world, "3.2.1-1", "4.0.2-1");
    for (MemberFacts& member : end.members) {
        member.patroni.available = {"3.2.1-1", "4.0.2-1"};
    }
    const Reconciliation mended = reconcile(end, world.cluster);
    ASSERT_EQ(mended.calls.size(), 2U);
    EXPECT_EQ(mended.calls[0].member, "n2");
    EXPECT_EQ(mended.calls[0].uses, "package.restore");
    EXPECT_EQ(mended.calls[0].with.at("version"), "3.2.1-1");
    EXPECT_TRUE(mended.refusals.empty());
}

TEST_F(WayBack, IsNoneWhereItWouldLeaveTheIncidentBehind) {
    ClusterFacts end = left_with(world, "3.2.1-1", "4.0.2-1");
    for (MemberFacts& member : end.members) {
        member.patroni.available.clear();
    }
    const Reconciliation mended = reconcile(end, world.cluster);
    EXPECT_TRUE(mended.calls.empty());
    EXPECT_EQ(ids_of(mended.refusals), (Names{"rollback.bad_pair", "rollback.bad_pair"}));
    EXPECT_NE(mended.refusals[0].source.find("3184"), std::string::npos);
}

TEST_F(WayBack, MayEndOnVersionsThatGoTogether) {
    EXPECT_TRUE(reconcile(left_with(world, "3.2.1-1", "4.0.7-1"), world.cluster).calls.empty());
    EXPECT_TRUE(reconcile(left_with(world, "3.2.1-1", "3.2.1-1"), world.cluster).calls.empty());
}

TEST_F(WayBack, OfADaemonThatWasNeverRestartedIsThePackageThatItRuns) {
    world.is_paused();
    world.members.at("n2").status["patroni"]["version"] = "3.0.2";
    const StepCall restart = step_call("service.restart", "n2", {{"service", Value("patroni")}});
    ClusterFacts facts = world.observe();
    facts.find("n2")->patroni.available = {"3.0.2-1", "4.0.7-3~deb13u1"};
    const Preview preview = world.preview(restart, facts);
    ASSERT_EQ(preview.undo.size(), 1U);
    EXPECT_EQ(preview.undo[0].with.at("version"), "3.0.2-1");
    facts.find("n2")->patroni.available.clear();
    EXPECT_TRUE(world.preview(restart, facts).undo.empty());
    EXPECT_FALSE(world.preview(restart, facts).notes.empty());
}

}  // namespace
}  // namespace lockstep
