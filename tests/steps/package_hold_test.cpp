#include "base/error.hpp"
#include "tests/fakes/fake_cluster.hpp"
#include "tests/steps/run_in_sh.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

/// A function of sh has no dash in its name.
std::string with_functions(const std::string& script) {
    return replaced(replaced(script, "apt-mark", "apt_mark"), "apt-cache", "apt_cache");
}

/// A member on which apt-mark is a shell function: `holds` are the packages on hold, one a line.
std::string host(const std::string& holds, const std::string& more = "") {
    return "holds='" + holds + "' fails= deaf= blind= " + more +
           "\n"
           "apt_mark() {\n"
           "  case $1 in\n"
           "  showhold) [ -z \"$blind\" ] || return 100; [ -z \"$holds\" ] || echo \"$holds\" ;;\n"
           "  *) [ -z \"$fails\" ] || { echo 'E: locked' >&2; return 100; }\n"
           "    [ -n \"$deaf\" ] || case $1 in hold) holds=$2 ;; unhold) holds= ;; esac ;;\n"
           "  esac\n"
           "}\n"
           "apt_cache() { [ \"$2\" = nowhere ] || echo \"$2:\"; }\n";
}

class Hold : public testing::Test {
  protected:
    static StepCall call(const std::string& verb, const std::string& package = "patroni") {
        return step_call("package." + verb, "n2", {{"package", package}});
    }

    void is(const std::string& functions) {
        world.members.at("n2").commands = [functions](const std::string& script) {
            return run_in_sh(functions, with_functions(script));
        };
    }

    /// Probes and previews, as a plan does.
    Preview plan(StepCall call, const ClusterFacts& facts) {
        call.probed = world.probe(call);
        return world.preview(call, facts);
    }

    Preview plan(const StepCall& call) { return plan(call, world.observe()); }

    FakeCluster world;
};

TEST_F(Hold, IsPlannedWithItsWayBack) {
    is(host("patroni-doc\npostgresql-17"));  // neither of them is patroni
    const Preview hold = plan(call("hold"));
    EXPECT_EQ(hold.verdict, Verdict::will);
    EXPECT_EQ(hold.because, "patroni is not on hold");
    EXPECT_EQ(hold.operations.at(0).text, "apt-mark hold patroni");
    EXPECT_EQ(hold.undo.at(0).operation.text, "apt-mark unhold patroni");
    is(host("bash\npatroni"));
    const Preview unhold = plan(call("unhold"));
    EXPECT_EQ(unhold.verdict, Verdict::will);
    EXPECT_EQ(unhold.operations.at(0).text, "apt-mark unhold patroni");
    EXPECT_EQ(unhold.undo.at(0).operation.text, "apt-mark hold patroni");
}

TEST_F(Hold, WontWhereItIsAlreadySo) {
    is(host("patroni"));
    EXPECT_EQ(plan(call("hold")).verdict, Verdict::wont);
    is(host(""));
    const Preview preview = plan(call("unhold"));
    EXPECT_EQ(preview.verdict, Verdict::wont);
    EXPECT_TRUE(preview.operations.empty());
    EXPECT_TRUE(preview.undo.empty());
}

TEST_F(Hold, IsJudgedByWhatTheStepsBeforeLeave) {
    is(host("patroni"));
    ClusterFacts facts = world.observe();
    plan(call("unhold"), facts).effect(facts);
    EXPECT_EQ(plan(call("hold"), facts).verdict, Verdict::will);
    EXPECT_EQ(plan(call("unhold"), facts).verdict, Verdict::wont);
    EXPECT_EQ(plan(call("unhold", "bash"), facts).verdict, Verdict::wont);
}

TEST_F(Hold, MayBeNeededWhereTheProbeIsOlderThanTheFacts) {
    is(host("patroni"));
    StepCall hold = call("hold");
    hold.probed = world.probe(hold);
    world.clock.advance(std::chrono::seconds{1});
    EXPECT_EQ(world.preview(hold).verdict, Verdict::may);
    EXPECT_EQ(world.run(hold).outcome, StepOutcome::already_done);
}

TEST_F(Hold, IsNotKnownWhereAptCannotTell) {
    is(host("", "blind=1"));
    for (const char* verb : {"hold", "unhold"}) {
        EXPECT_EQ(plan(call(verb)).verdict, Verdict::may) << verb;
        EXPECT_EQ(world.run(call(verb)).outcome, StepOutcome::failed) << verb;
    }
}

TEST_F(Hold, IsRefusedForAPackageThatAptDoesNotKnow) {
    is(host(""));
    EXPECT_EQ(ids_of(plan(call("hold", "nowhere")).blocked_by), (Names{"package.unavailable"}));
    EXPECT_EQ(ids_of(plan(call("unhold", "nowhere")).blocked_by), (Names{"package.unavailable"}));
}

TEST_F(Hold, IsRefusedWithoutApt) {
    is("command() { return 1; }");
    const Preview preview = plan(call("hold"));
    ASSERT_EQ(ids_of(preview.blocked_by), (Names{"package.unavailable"}));
    EXPECT_EQ(preview.blocked_by[0].message, "n2: there is no `apt-mark`");
}

TEST_F(Hold, TakesNoNameThatCouldBeSomethingElse) {
    for (const char* name : {"", "-o", "a b", "pat*", "a;reboot", "$(reboot)", "a\nb", "it's"}) {
        EXPECT_THROW(world.preview(call("hold", name)), Error) << name;
        EXPECT_THROW(world.run(call("unhold", name)), Error) << name;
    }
    is(host(""));
    EXPECT_EQ(plan(call("hold", "libstdc++6:amd64")).operations.at(0).text,
              "apt-mark hold libstdc++6:amd64");
}

TEST_F(Hold, IsSetAndTakenBack) {
    is(host(""));
    StepResult result = world.run(call("hold"));
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(result.message, "patroni is on hold");
    is(host("patroni"));
    EXPECT_EQ(world.run(call("hold")).outcome, StepOutcome::already_done);
    result = world.run(call("unhold"));
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(result.message, "patroni is not on hold");
}

TEST_F(Hold, FailsWhereAptMarkDoesOrHasNoEffect) {
    is(host("", "fails=1"));
    StepResult result = world.run(call("hold"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(result.message, "apt-mark ended with status 100");
    EXPECT_EQ(result.last_lines.back(), "E: locked");
    is(host("patroni", "deaf=1"));
    result = world.run(call("unhold"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(result.message, "apt-mark succeeded, but patroni is still on hold");
}

TEST_F(Hold, IsTemporaryAndUnholdEndsIt) {
    EXPECT_TRUE(find_action(action_catalog(), "package.hold")->temporary);
    EXPECT_EQ(find_action(action_catalog(), "package.unhold")->ends, "package.hold");
}

TEST_F(Hold, IsRefusedWhereTheMemberCannotBeReached) {
    world.members.at("n2").ssh_error = TransportError(TransportError::Kind::connect, "refused");
    EXPECT_EQ(ids_of(plan(call("hold")).blocked_by), (Names{"member.unreachable"}));
}

}  // namespace
}  // namespace lockstep
