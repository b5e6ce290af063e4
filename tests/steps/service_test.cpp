#include "tests/fakes/fake_cluster.hpp"
#include "tests/steps/run_in_sh.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// A member on which systemctl is a shell function: `state` and `load` are what it says, and a
/// start or stop sets `state` unless `stuck` is set.
std::string host(const std::string& load, const std::string& state, const std::string& more = "") {
    return "load=" + load + " state=" + state + " stuck= " + more +
           "\n"
           "systemctl() {\n"
           "  case $* in 'show -p MainPID --'*) echo MainPID=0; return ;; esac\n"
           "  case $1 in\n"
           "  show) printf 'MainPID=77\\nLoadState=%s\\nActiveState=%s\\n"
           "ExecMainStartTimestamp=2026-11-23 10:00:00 UTC\\n' \"$load\" \"$state\" ;;\n"
           "  start) [ -z \"$stuck\" ] || return 1; state=active ;;\n"
           "  stop) [ -z \"$stuck\" ] || return 1; state=inactive ;;\n"
           "  *) return 2 ;;\n"
           "  esac\n"
           "}\n"
           "journalctl() { echo 'FATAL: no config'; }\n";
}

class Service : public testing::Test {
  protected:
    static StepCall call(const std::string& verb, const std::string& service = "pgbouncer") {
        return step_call("service." + verb, "n2", {{"service", service}});
    }

    /// n2 runs the scripts it is sent, on such a host.
    void is(const std::string& functions) {
        world.members.at("n2").commands = [functions](const std::string& script) {
            return run_in_sh(functions, script);
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

TEST_F(Service, IsStartedWhereItDoesNotRun) {
    for (const char* state : {"inactive", "failed", "deactivating", "activating"}) {
        is(host("loaded", state));
        const Preview preview = plan(call("start"));
        EXPECT_EQ(preview.verdict, Verdict::will) << state;
        EXPECT_EQ(preview.because, "it is " + std::string(state));
        EXPECT_EQ(preview.operations.at(0).text, "systemctl start -- pgbouncer");
        EXPECT_EQ(preview.undo.at(0).operation.text, "systemctl stop -- pgbouncer");
    }
}

TEST_F(Service, WontBeStartedWhereItRuns) {
    for (const char* state : {"active", "reloading"}) {
        is(host("loaded", state));
        const Preview preview = plan(call("start"));
        EXPECT_EQ(preview.verdict, Verdict::wont) << state;
        EXPECT_TRUE(preview.operations.empty());
        EXPECT_TRUE(preview.undo.empty());
    }
}

TEST_F(Service, IsStoppedWhereItRunsAndNotWhereItDoesNot) {
    is(host("loaded", "active"));
    const Preview preview = plan(call("stop"));
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_EQ(preview.operations.at(0).text, "systemctl stop -- pgbouncer");
    EXPECT_EQ(preview.undo.at(0).operation.text, "systemctl start -- pgbouncer");
    for (const char* state : {"inactive", "failed"}) {
        is(host("loaded", state));
        EXPECT_EQ(plan(call("stop")).verdict, Verdict::wont) << state;
    }
}

// What the probe saw is from before the step that stops it.
TEST_F(Service, WillBeStartedAgainAfterAStepThatStopsIt) {
    is(host("loaded", "active"));
    ClusterFacts facts = world.observe();
    plan(call("stop"), facts).effect(facts);
    const Preview preview = plan(call("start"), facts);
    EXPECT_EQ(preview.verdict, Verdict::will);
    preview.effect(facts);
    EXPECT_EQ(plan(call("start", "pgbouncer.service"), facts).verdict, Verdict::wont);
}

// At run time the probe is old: the run looks itself instead of believing it.
TEST_F(Service, MayBeStartedWhereTheProbeIsOlderThanTheFacts) {
    is(host("loaded", "active"));
    StepCall start = call("start");
    start.probed = world.probe(start);
    world.clock.advance(std::chrono::seconds{1});
    const Preview preview = world.preview(start);
    EXPECT_EQ(preview.verdict, Verdict::may);
    EXPECT_EQ(preview.because, "only if it does not run");
    EXPECT_EQ(preview.operations.size(), 1U);
    const StepResult result = world.run(start);
    EXPECT_EQ(result.outcome, StepOutcome::already_done);
    EXPECT_EQ(result.message, "pgbouncer is active");
}

TEST_F(Service, MayBeNeededWhereNobodyCouldLook) {
    is("systemctl() { return 1; }");
    EXPECT_EQ(plan(call("start")).verdict, Verdict::may);
    EXPECT_EQ(plan(call("stop")).verdict, Verdict::may);
}

TEST_F(Service, ThatIsNotThereIsNotAStoppedOne) {
    is(host("not-found", "inactive"));
    for (const char* verb : {"start", "stop"}) {
        const Preview preview = plan(call(verb));
        EXPECT_EQ(ids_of(preview.blocked_by), (Names{"service.unknown"})) << verb;
        EXPECT_EQ(preview.blocked_by.at(0).message, "n2: there is no unit pgbouncer");
        const StepResult result = world.run(call(verb));
        EXPECT_EQ(result.outcome, StepOutcome::failed) << verb;
        EXPECT_TRUE(contains(result.message, "pgbouncer could not be")) << result.message;
    }
}

TEST_F(Service, IsStoppedThoughItsFileIsGone) {
    is(host("not-found", "active"));
    EXPECT_TRUE(plan(call("stop")).blocked_by.empty());
    EXPECT_EQ(world.run(call("stop")).outcome, StepOutcome::succeeded);
}

TEST_F(Service, ThatIsMaskedIsNotStarted) {
    is(host("masked", "inactive"));
    EXPECT_EQ(ids_of(plan(call("start")).blocked_by), (Names{"service.masked"}));
    EXPECT_EQ(plan(call("stop")).verdict, Verdict::wont);
}

TEST_F(Service, SendsTheCommandThatThePlanShows) {
    is(host("loaded", "inactive"));
    const std::string planned = plan(call("start", "a b;c")).operations.at(0).text;
    EXPECT_EQ(planned, "systemctl start -- 'a b;c'");
    const StepResult result = world.run(call("start", "a b;c"));
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(result.message, "runs as pid 77");
    EXPECT_TRUE(contains(world.commands_on("n2").back(), "\n" + planned + " </dev/null\n"));
}

TEST_F(Service, IsLeftAloneWhereItIsAlreadySo) {
    is(host("loaded", "inactive", "stuck=1"));
    const StepResult result = world.run(call("stop"));
    EXPECT_EQ(result.outcome, StepOutcome::already_done) << result.message;
}

TEST_F(Service, FailsWithTheLastLinesOfTheUnitsLog) {
    is(host("loaded", "inactive", "stuck=1"));
    const StepResult result = world.run(call("start"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(result.message, "pgbouncer is inactive after it was to be started");
    EXPECT_EQ(result.last_lines.back(), "FATAL: no config");
}

TEST_F(Service, DoesNotBelieveAStatusWithoutTheState) {
    for (const char* out : {"", "before=\n", "before=inactive\nstate=activating\n"}) {
        world.members.at("n2").commands = [out](const std::string&) {
            return command_result(0, out);
        };
        EXPECT_EQ(world.run(call("start")).outcome, StepOutcome::failed) << out;
    }
}

TEST_F(Service, IsRefusedWhereTheMemberCannotBeReached) {
    world.members.at("n2").ssh_error = TransportError(TransportError::Kind::connect, "refused");
    EXPECT_EQ(ids_of(plan(call("start")).blocked_by), (Names{"member.unreachable"}));
}

TEST_F(Service, OfPatroniIsNotStoppedOnAMemberThatIsNotPaused) {
    is(host("loaded", "active"));
    for (const char* name : {"patroni", "patroni.service"}) {
        EXPECT_EQ(ids_of(plan(call("stop", name)).blocked_by), (Names{"patroni.not_paused"}))
            << name;
    }
    EXPECT_TRUE(plan(call("stop")).blocked_by.empty());
}

TEST_F(Service, OfPatroniIsStoppedInPauseAndTheFactsSaySo) {
    world.is_paused();
    is(host("loaded", "active"));
    ClusterFacts facts = world.observe();
    const Preview preview = plan(call("stop", "patroni"), facts);
    EXPECT_TRUE(preview.blocked_by.empty());
    preview.effect(facts);
    EXPECT_EQ(facts.find("n2")->unit->active_state, "inactive");
    EXPECT_EQ(facts.find("n2")->patroni.running, "");
    const StepResult result = world.run(call("stop", "patroni"));
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    facts = world.observe();
    result.learned(facts);
    EXPECT_EQ(facts.find("n2")->unit->active_state, "inactive");
    EXPECT_EQ(facts.find("n2")->unit->started_at, 0);
}

// By its own word, on its own host, whatever REST says.
TEST_F(Service, OfPatroniIsNotStoppedWhereItSaysThatItIsNotPaused) {
    world.is_paused();
    world.members.at("n2").commands = [](const std::string& script) {
        EXPECT_LT(script.find("exit 77"), script.find("systemctl stop"));
        return command_result(77, "refused=it is not paused\n");
    };
    const StepResult result = world.run(call("stop", "patroni.service"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(result.message,
              "n2: patroni.service was not stopped; its Patroni was asked on its own host: it is "
              "not paused");
    EXPECT_TRUE(contains(result.hint, "Nothing was changed there")) << result.hint;
}

TEST_F(Service, OfPatroniNeedsNoPauseToBeStarted) {
    world.members.at("n2").unit_state = "inactive";
    world.is_dead("n2");
    is(host("loaded", "inactive"));
    ClusterFacts facts = world.observe();
    const Preview preview = plan(call("start", "patroni"), facts);
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_TRUE(preview.blocked_by.empty());
    preview.effect(facts);
    EXPECT_EQ(facts.find("n2")->unit->active_state, "active");
    EXPECT_EQ(facts.find("n2")->patroni.running, "4.0.7");
    const StepResult result = world.run(call("start", "patroni"));
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_FALSE(contains(world.commands_on("n2").back(), "ask_daemon"));
    result.learned(facts);
    EXPECT_EQ(facts.find("n2")->unit->started_at, 1795428000);
}

}  // namespace
}  // namespace lockstep
