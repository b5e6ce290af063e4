#include "steps/actions/daemon.hpp"
#include "tests/fakes/fake_cluster.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

struct DaemonCase {
    const char* name;
    const char* running;
    const char* installed;
    std::optional<UnitFacts> unit;
    DaemonState state;
};

UnitFacts unit(const char* state, std::int64_t started_at, std::int64_t package_changed_at) {
    return {.active_state = state,
            .sub_state = {},
            .main_pid = 7,
            .started_at = started_at,
            .package_changed_at = package_changed_at};
}

TEST(Daemon, IsJudgedByVersionsAndByTimes) {
    const std::vector<DaemonCase> cases{
        {"all agrees", "4.0.7", "4.0.7-3", unit("active", 20, 10), DaemonState::current},
        {"another version runs", "3.0.2", "4.0.7-3", unit("active", 20, 10), DaemonState::outdated},
        {"another version runs, unit unknown", "3.0.2", "4.0.7-3", {}, DaemonState::outdated},
        // patroni#3184: the same upstream version, unpacked below the daemon.
        {"unpacked after the start",
         "4.0.7",
         "4.0.7-4",
         unit("active", 10, 20),
         DaemonState::outdated},
        {"unpacked in the same second",
         "4.0.7",
         "4.0.7-3",
         unit("active", 10, 10),
         DaemonState::current},
        {"it is dead", "", "4.0.7-3", unit("failed", 0, 10), DaemonState::outdated},
        {"it is stopped", "4.0.7", "4.0.7-3", unit("inactive", 20, 10), DaemonState::outdated},
        {"nothing is known of the unit", "4.0.7", "4.0.7-3", {}, DaemonState::unknown},
        {"no times, but versions", "4.0.7", "4.0.7-3", unit("active", 0, 0), DaemonState::current},
        {"no times and no answer", "", "4.0.7-3", unit("active", 0, 0), DaemonState::unknown},
        {"no times and no package", "4.0.7", "", unit("active", 0, 0), DaemonState::unknown},
        {"no answer, but times", "", "4.0.7-3", unit("active", 20, 10), DaemonState::current},
        {"nothing is known", "", "", {}, DaemonState::unknown},
    };
    for (const DaemonCase& given : cases) {
        MemberFacts member;
        member.patroni.running = given.running;
        member.patroni.installed = given.installed;
        member.unit = given.unit;
        EXPECT_EQ(daemon_state(member), given.state) << given.name;
    }
}

TEST(Daemon, ReportsTheUpstreamPartOfItsPackage) {
    EXPECT_EQ(upstream_of("4.0.7-3~deb13u1"), "4.0.7");
    EXPECT_EQ(upstream_of("1:4.0.7-1.pgdg12+1"), "4.0.7");
    EXPECT_EQ(upstream_of("4.0.7"), "4.0.7");
    EXPECT_EQ(upstream_of(""), "");
}

class Restart : public testing::Test {
  protected:
    Restart() { world.is_paused(); }

    static StepCall call(const std::string& service = "patroni", Value::Map more = {}) {
        more.emplace("service", service);
        return step_call("service.restart", "n2", std::move(more));
    }

    void answers(const CommandResult& result) {
        world.members.at("n2").commands = [result](const std::string&) { return result; };
    }

    void is_outdated() { world.members.at("n2").status["patroni"]["version"] = "3.0.2"; }

    FakeCluster world;
};

TEST_F(Restart, WontWhereTheDaemonRunsWhatIsInstalled) {
    const Preview preview = world.preview(call());
    EXPECT_EQ(preview.verdict, Verdict::wont);
    EXPECT_TRUE(preview.operations.empty());
}

TEST_F(Restart, IsDoneAnywayWhereItIsWanted) {
    const Preview preview = world.preview(call("patroni", {{"always", true}}));
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_TRUE(preview.blocked_by.empty());
}

TEST_F(Restart, IsPlannedWhereTheDaemonIsOutdated) {
    is_outdated();
    ClusterFacts facts = world.observe();
    const Preview preview = world.preview(call(), facts);
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_EQ(preview.because, "it runs 3.0.2, 4.0.7-3~deb13u1 is installed");
    EXPECT_EQ(preview.operations.at(0).text, "systemctl restart -- patroni");
    preview.effect(facts);
    EXPECT_EQ(facts.find("n2")->patroni.running, "4.0.7");
}

TEST_F(Restart, MayBeNeededWhereThePackageDecides) {
    ClusterFacts facts = world.observe();
    facts.find("n2")->unit.reset();
    EXPECT_EQ(world.preview(call(), facts).verdict, Verdict::may);
}

TEST_F(Restart, IsRefusedOnAMemberThatIsNotPaused) {
    is_outdated();
    ClusterFacts facts = world.observe();
    facts.find("n2")->paused = false;  // the others, and the configuration, are
    EXPECT_EQ(ids_of(world.preview(call(), facts).blocked_by), (Names{"patroni.not_paused"}));
}

TEST_F(Restart, OfAnotherServiceNeedsNoPause) {
    world.is_paused(false);
    const Preview preview = world.preview(call("pgbouncer"));
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_TRUE(preview.blocked_by.empty());
}

TEST_F(Restart, IsRefusedWhereTheMemberCannotBeReached) {
    world.members.at("n2").ssh_error = TransportError(TransportError::Kind::connect, "refused");
    const Preview preview = world.preview(call());
    EXPECT_EQ(ids_of(preview.blocked_by), (Names{"member.unreachable"}));
}

TEST_F(Restart, QuotesTheServicesName) {
    EXPECT_EQ(world.preview(call("a;reboot")).operations.at(0).text,
              "systemctl restart -- 'a;reboot'");
}

TEST_F(Restart, SendsTheCommandThatThePlanShowsAndLearnsTheNewStart) {
    is_outdated();
    answers(command_result(0, "state=active\npid=4711\nstarted=1795430002\n"));
    const std::string planned = world.preview(call()).operations.at(0).text;
    const StepResult result = world.run(call());
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(result.message, "runs as pid 4711");
    const std::string sent = world.commands_on("n2").at(0);
    ASSERT_TRUE(contains(sent, "\n" + planned + " ")) << sent;
    EXPECT_LT(sent.find("exit 77"), sent.find(planned));  // asks first
    EXPECT_TRUE(contains(sent, "daemon_name=n2\ndaemon_scope=orders\n")) << sent;
    ClusterFacts facts = world.observe();
    result.learned(facts);
    EXPECT_EQ(facts.find("n2")->unit->started_at, 1795430002);
    EXPECT_EQ(facts.find("n2")->unit->main_pid, 4711);
}

TEST_F(Restart, IsGivenUpAtTheLastMomentWhenSomebodyResumed) {
    is_outdated();
    answers(command_result(77, "refused=it is not paused\n"));
    const StepResult result = world.run(call());
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(result.message,
              "n2: patroni was not restarted; its Patroni was asked on its own host: it is not "
              "paused");
}

TEST_F(Restart, OfAnotherServiceAsksNobody) {
    answers(command_result(0, "state=active\npid=1\nstarted=1\n"));
    EXPECT_EQ(world.run(call("pgbouncer")).outcome, StepOutcome::succeeded);
    EXPECT_FALSE(contains(world.commands_on("n2").at(0), "ask_daemon"));
}

TEST_F(Restart, BringsADeadDaemonBack) {
    const ClusterFacts facts = world.observe();
    world.is_dead("n2");
    answers(command_result(0, "state=active\npid=1\nstarted=1\n"));
    EXPECT_EQ(world.run(call(), facts).outcome, StepOutcome::succeeded);
}

TEST_F(Restart, FailsWithTheLastLinesOfTheUnitsLog) {
    answers(
        command_result(1, "state=failed\npid=0\nstarted=\n", "Job failed.\nFATAL: no config\n"));
    const StepResult result = world.run(call());
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(result.message, "patroni is failed after the restart");
    EXPECT_EQ(result.last_lines, (Names{"Job failed.", "FATAL: no config"}));
    EXPECT_TRUE(contains(world.commands_on("n2").at(0), "journalctl"));
}

TEST_F(Restart, DoesNotBelieveAStatusWithoutAnActiveUnit) {
    for (const char* out : {"state=activating\n", "state=\n", ""}) {
        answers(command_result(0, out));
        EXPECT_EQ(world.run(call()).outcome, StepOutcome::failed) << out;
    }
}

TEST_F(Restart, TouchesNoMemberThatIsGone) {
    ClusterFacts facts = world.observe();
    std::erase_if(facts.members, [](const MemberFacts& member) { return member.name == "n2"; });
    EXPECT_EQ(ids_of(world.preview(call(), facts).blocked_by), (Names{"member.unreachable"}));
    EXPECT_THROW(world.run(call(), facts), TransportError);
}

// Debian's postinst restarts patroni.service alone.
TEST(ServiceRestart, OfATemplatesInstanceIsNeededAfterItsPackage) {
    FakeCluster world;
    world.cluster.patroni_service = "patroni@main";
    world.is_paused();
    ClusterFacts facts = world.observe();
    facts.find("n2")->unit = unit("active", 10, 20);
    const Preview preview = world.preview(
        step_call("service.restart", "n2", {{"service", "patroni@main.service"}}), facts);
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_EQ(preview.operations.at(0).text, "systemctl restart -- patroni@main.service");
    world.is_paused(false);
    facts.find("n2")->paused = false;
    EXPECT_EQ(
        ids_of(
            world.preview(step_call("service.restart", "n2", {{"service", "patroni@main"}}), facts)
                .blocked_by),
        (Names{"patroni.not_paused"}));
    // Another instance is another service.
    EXPECT_TRUE(
        world.preview(step_call("service.restart", "n2", {{"service", "patroni@other"}}), facts)
            .blocked_by.empty());
}

TEST(ServiceRestart, LeavesAloneWhatSystemdDoesNotHave) {
    FakeCluster world;
    world.is_paused();
    world.members.at("n2").seen = {
        {"LoadState=loaded", "LoadState=not-found"},
        {"patroni=69 0::/system.slice/patroni.service", "patroni=77 0::/docker/1f2e"}};
    world.members.at("n3").seen = {{"systemd=yes", "systemd=no"}};
    for (const char* verb : {"service.restart", "service.start", "service.stop"}) {
        const Preview none = world.preview(step_call(verb, "n2", {{"service", "patroni"}}));
        ASSERT_EQ(ids_of(none.blocked_by), (Names{"service.unknown"})) << verb;
        EXPECT_TRUE(contains(none.blocked_by[0].message, "in a container (/docker/1f2e)"));
        EXPECT_TRUE(contains(none.blocked_by[0].remedy, "patroni@main"));
        for (const char* service : {"patroni", "pgbouncer"}) {
            const Preview booted = world.preview(step_call(verb, "n3", {{"service", service}}));
            EXPECT_EQ(ids_of(booted.blocked_by), (Names{"service.no_systemd"})) << verb << service;
            EXPECT_TRUE(booted.operations.empty());
        }
    }
}

}  // namespace
}  // namespace lockstep
