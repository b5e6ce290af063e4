#include "base/error.hpp"
#include "tests/fakes/fake_cluster.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

const char* const k_old = "3.0.2-1";
const char* const k_new = "4.0.7-3~deb13u1";

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

StepCall install(const std::string& version, const std::string& package = "patroni") {
    return step_call("package.install", "n2", {{"package", package}, {"version", version}});
}

/// What the probe's script prints on a member where nothing is in the way.
std::string repository(const std::string& installed, const Names& available) {
    std::string text = "installed=" + installed + "\naudit=\n";
    for (const std::string& version : available) {
        text += "available=" + version + "\n";
    }
    return text;
}

class Install : public testing::Test {
  protected:
    Install() {
        world.has_version("n2", k_old);
        world.is_paused();
        says(repository(k_old, {"4.1.5-2", k_new, k_old}));
    }

    void says(const std::string& out) {
        world.members.at("n2").commands = [out](const std::string&) {
            return command_result(0, out);
        };
    }

    /// Probes and previews, as a plan does.
    Preview plan(StepCall call) {
        call.probed = world.probe(call);
        return world.preview(call);
    }

    /// Probes, then runs with another answer.
    StepResult run(const std::string& version, const CommandResult& answer) {
        StepCall call = install(version);
        call.probed = world.probe(call);
        world.members.at("n2").commands = [answer](const std::string&) { return answer; };
        return world.run(call);
    }

    FakeCluster world;
};

TEST_F(Install, TakesAVersionInFull) {
    const Preview preview = plan(install(k_new));
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_TRUE(preview.blocked_by.empty());
    EXPECT_EQ(preview.because, "3.0.2-1 is installed");
    ASSERT_EQ(preview.operations.size(), 1U);
    EXPECT_TRUE(preview.operations[0].text.ends_with(" install 'patroni=4.0.7-3~deb13u1'"));
    EXPECT_TRUE(contains(preview.operations[0].text, "--no-remove"));
}

TEST_F(Install, TakesAnUpstreamVersionThatNamesOnePackage) {
    EXPECT_TRUE(plan(install("4.1.5")).operations.at(0).text.ends_with("patroni=4.1.5-2"));
}

TEST_F(Install, PrefersTheExactVersionToItsUpstream) {
    says(repository(k_old, {"1:4.0.7-2", "4.0.7", "4.0.7-1"}));
    EXPECT_TRUE(plan(install("4.0.7")).operations.at(0).text.ends_with("patroni=4.0.7"));
}

TEST_F(Install, IsRefusedWhenAnUpstreamVersionNamesSeveral) {
    says(repository(k_old, {"4.0.7-2", "4.0.7-1"}));
    const Preview preview = plan(install("4.0.7"));
    EXPECT_EQ(ids_of(preview.blocked_by), (Names{"package.ambiguous"}));
    EXPECT_TRUE(contains(preview.blocked_by.at(0).message, "4.0.7-2, 4.0.7-1"));
}

TEST_F(Install, CountsAVersionOfTwoRepositoriesOnce) {
    says(repository(k_old, {"4.0.7-2", "4.0.7-2"}));
    EXPECT_TRUE(plan(install("4.0.7")).blocked_by.empty());
}

TEST_F(Install, IsRefusedWhenNoRepositoryHasTheVersion) {
    const Preview preview = plan(install("9.9.9"));
    EXPECT_EQ(ids_of(preview.blocked_by), (Names{"package.unavailable"}));
    EXPECT_TRUE(contains(preview.blocked_by.at(0).remedy, "4.1.5-2"));
    says(repository(k_old, {}));
    EXPECT_TRUE(contains(plan(install(k_new)).blocked_by.at(0).remedy, "apt-get update"));
}

TEST_F(Install, WontWhereTheVersionIsInstalled) {
    world.has_version("n2", k_new);
    const Preview preview = plan(install(k_new));
    EXPECT_EQ(preview.verdict, Verdict::wont);
    EXPECT_TRUE(preview.operations.empty());
    EXPECT_EQ(plan(install("4.0.7")).verdict, Verdict::wont);
}

// Versions vanish from repositories; what is there need not be found.
TEST_F(Install, WontWhereAVersionIsInstalledThatNoRepositoryHasAnyMore) {
    world.has_version("n2", k_new);
    says(repository(k_new, {"4.1.5-2"}));
    EXPECT_EQ(plan(install(k_new)).verdict, Verdict::wont);
}

struct Obstacle {
    const char* lines;
    const char* id;
    const char* says;
};

TEST_F(Install, IsRefusedForEveryObstacle) {
    const std::vector<Obstacle> obstacles{
        {"held=yes\n", "package.held", "patroni is on hold"},
        {"audit=The following packages are half configured\n", "package.broken", "half configured"},
        {"sim=4.0.7-3~deb13u1 Remv python3-psycopg2 [2.9]\n", "package.side_effect", "Remv"},
        {"sim=4.0.7-3~deb13u1 E: Unable to correct problems\n", "package.side_effect", "E: Unable"},
        {"sim=4.0.7-3~deb13u1 Inst postgresql-17 [17.11] (17.12 x [amd64])\n",
         "package.side_effect",
         "postgresql-17"},
        {"policy=4.0.7-3~deb13u1 -1\n", "package.pinned", "forbid patroni 4.0.7-3~deb13u1"},
    };
    for (const Obstacle& obstacle : obstacles) {
        says(repository(k_old, {k_new}) + obstacle.lines);
        const Preview preview = plan(install(k_new));
        ASSERT_EQ(ids_of(preview.blocked_by), (Names{obstacle.id})) << obstacle.lines;
        EXPECT_TRUE(contains(preview.blocked_by[0].message, obstacle.says))
            << preview.blocked_by[0].message;
        EXPECT_EQ(preview.blocked_by[0].member, "n2");
    }
}

TEST_F(Install, DoesNotMindWhatElseAptInstalls) {
    says(repository(k_old, {k_new}) + "sim=4.0.7-3~deb13u1 Inst python3-ydiff (1.3 x [all])\n" +
         "sim=4.0.7-3~deb13u1 Inst patroni [3.0.2-1] (4.0.7-3~deb13u1 x [all])\n");
    EXPECT_TRUE(plan(install(k_new)).blocked_by.empty());
}

TEST_F(Install, DoesNotTakeItsOwnPostgresqlPackageForASideEffect) {
    says(repository("17.11", {"17.12"}) + "sim=17.12 Inst postgresql-17 [17.11] (17.12 x)\n");
    EXPECT_TRUE(plan(install("17.12", "postgresql-17")).blocked_by.empty());
}

// The package's own scripts restart the daemon, and a daemon that is not paused stops PostgreSQL.
TEST_F(Install, OfPatroniIsRefusedOnAMemberThatIsNotPaused) {
    world.is_paused(false);
    EXPECT_EQ(ids_of(plan(install(k_new)).blocked_by), (Names{"patroni.not_paused"}));
}

TEST_F(Install, OfAnotherPackageNeedsNoPause) {
    world.is_paused(false);
    says(repository("1.0-1", {"1.1-1"}));
    const Preview preview = plan(install("1.1-1", "pgbouncer"));
    EXPECT_TRUE(preview.blocked_by.empty());
    EXPECT_EQ(preview.because, "1.0-1 is installed");
}

TEST_F(Install, OfAPackageThatIsNotThereHasNoWayBack) {
    says("installed=\naudit=\navailable=1.1-1\n");
    const Preview preview = plan(install("1.1-1", "pgbouncer"));
    EXPECT_EQ(preview.because, "it is not installed");
    EXPECT_TRUE(preview.undo.empty());
}

TEST_F(Install, GoesBackByInstallingWhatWasThere) {
    const Preview preview = plan(install(k_new));
    ASSERT_EQ(preview.undo.size(), 1U);
    EXPECT_TRUE(preview.undo[0].operation.text.ends_with(" install patroni=3.0.2-1"));
    EXPECT_TRUE(contains(preview.undo[0].operation.text, "--allow-downgrades"));
}

TEST_F(Install, IsRefusedWhereTheMemberCannotBeReached) {
    world.members.at("n2").ssh_error = TransportError(
        TransportError::Kind::auth, "the login is refused", "Give it an identity_file.");
    const Preview preview = plan(install(k_new));
    EXPECT_EQ(preview.verdict, Verdict::may);
    EXPECT_EQ(ids_of(preview.blocked_by), (Names{"member.unreachable"}));
    EXPECT_EQ(preview.blocked_by.at(0).remedy, "Give it an identity_file.");
}

TEST_F(Install, IsRefusedWhereNothingInstallsPackages) {
    world.members.at("n2").package_tool = "";
    const Preview preview = plan(install(k_new));
    ASSERT_EQ(ids_of(preview.blocked_by), (Names{"package.no_tool"}));
    EXPECT_FALSE(preview.blocked_by[0].remedy.empty());
    EXPECT_THROW(world.run(install(k_new)), Error);
}

// A second Patroni beside one that pip or a container brought.
TEST_F(Install, LeavesAPatroniAloneThatNoPackageHasBrought) {
    world.members.at("n2").seen = {{"package=patroni installed", "package=patroni not-installed"},
                                   {"LoadState=loaded", "LoadState=not-found"},
                                   {"patroni=69 0::/system.slice/patroni.service",
                                    "patroni=77 0::/system.slice/docker-1f.scope"}};
    says(repository("", {k_new}));
    const Preview preview = plan(install(k_new));
    ASSERT_EQ(ids_of(preview.blocked_by), (Names{"package.not_its_own"}));
    EXPECT_TRUE(
        contains(preview.blocked_by[0].message, "in a container (/system.slice/docker-1f.scope)"))
        << preview.blocked_by[0].message;
}

TEST_F(Install, SaysWhoWorksWithPackagesThere) {
    says(repository(k_old, {k_new}) + "busy=unattended-upgr (pid 12)\n");
    const Preview preview = plan(install(k_new));
    EXPECT_TRUE(preview.blocked_by.empty());
    ASSERT_EQ(preview.notes.size(), 2U);
    EXPECT_TRUE(contains(preview.notes[1], "unattended-upgr (pid 12)")) << preview.notes[1];
}

TEST_F(Install, SaysWhatNeedrestartDoesLater) {
    const std::string nonce = "\n@00112233445566778899aabbccddeeff ";
    world.members.at("n2").seen["systemd=yes"] =
        "systemd=yes\n" + nonce + "end 0" + nonce + "begin upkeep\nneedrestart=yes\nmode=a\non=\n";
    const Preview preview = plan(install(k_new));
    EXPECT_TRUE(preview.blocked_by.empty());
    ASSERT_FALSE(preview.notes.empty());
    EXPECT_TRUE(contains(preview.notes[0], "needrestart is suspended for this call"))
        << preview.notes[0];
    EXPECT_TRUE(contains(preview.operations[0].text, "NEEDRESTART_SUSPEND=1"));
}

TEST_F(Install, SaysThatAPinIsForAnotherVersion) {
    says(repository(k_old, {k_new}) + "policy=candidate 3.0.2-1\npolicy=3.0.2-1 1001\npolicy=" +
         k_new + " 500\npolicy=100 /var/lib/dpkg/status\n");
    const Preview preview = plan(install(k_new));
    EXPECT_TRUE(preview.blocked_by.empty());
    ASSERT_EQ(preview.notes.size(), 2U);
    EXPECT_TRUE(contains(preview.notes[1], "may take this back")) << preview.notes[1];
    says(repository(k_old, {k_new}) + "policy=candidate " + k_new + "\npolicy=" + k_new + " 500\n");
    EXPECT_EQ(plan(install(k_new)).notes.size(), 1U);
}

StepCall install_file(const std::string& file) {
    return step_call("package.install", "n2", {{"package", "patroni"}, {"file", file}});
}

TEST_F(Install, TakesAFileThatHoldsThePackage) {
    says(
        "installed=3.0.2-1\naudit=\ndescribed=patroni 4.0.7-3~deb13u1\n"
        "sim=file Inst patroni [3.0.2-1] (4.0.7-3~deb13u1 local-deb)\n");
    const Preview preview = plan(install_file("/srv/new ones/patroni.deb"));
    EXPECT_TRUE(preview.blocked_by.empty());
    EXPECT_TRUE(preview.operations.at(0).text.ends_with(" install '/srv/new ones/patroni.deb'"));
    EXPECT_TRUE(preview.undo.at(0).operation.text.ends_with(" install patroni=3.0.2-1"));
    world.has_version("n2", k_new);
    EXPECT_EQ(plan(install_file("/srv/new ones/patroni.deb")).verdict, Verdict::wont);
}

TEST_F(Install, RefusesAFileThatIsNotThePackage) {
    says("installed=3.0.2-1\naudit=\ndescribed=patroni-doc 4.0.7-3\n");
    Preview preview = plan(install_file("/srv/p.deb"));
    ASSERT_EQ(ids_of(preview.blocked_by), (Names{"package.unavailable"}));
    EXPECT_TRUE(contains(preview.blocked_by[0].message,
                         "/srv/p.deb is patroni-doc 4.0.7-3, and not patroni"));
    says("installed=3.0.2-1\naudit=\ndescribed=\n");
    preview = plan(install_file("/srv/p.deb"));
    ASSERT_EQ(ids_of(preview.blocked_by), (Names{"package.unavailable"}));
    EXPECT_TRUE(contains(preview.blocked_by[0].message, "is no package of apt"));
    for (const char* path : {"p.deb", "./p.deb", "/srv/*.deb", "/srv/a\nb.deb"}) {
        EXPECT_THROW(world.probe(install_file(path)), Error) << path;
    }
}

struct Way {
    const char* from;
    const char* to;
    bool noted;
};

// Patroni 4.0.0 release notes: 3.1.0 or later first.
TEST_F(Install, NotesAWayThatTheReleaseNotesAskToGoInTwo) {
    const std::vector<Way> ways{{"3.0.2-1", "4.0.7-3", true},
                                {"2.1.4-1", "4.1.5-2", true},
                                {"3.1.0-1", "4.0.7-3", false},
                                {"3.0.2-1", "3.3.0-1", false},
                                {"4.0.7-3", "3.0.2-1", false}};
    for (const Way& way : ways) {
        world.has_version("n2", way.from);
        says(repository(way.from, {way.to}));
        EXPECT_EQ(!plan(install(way.to)).notes.empty(), way.noted) << way.from << " " << way.to;
    }
}

TEST_F(Install, LetsLaterStepsSeeTheNewVersionAndNothingOfTheUnit) {
    ClusterFacts facts = world.observe();
    StepCall call = install("4.0.7");
    call.probed = world.probe(call);
    world.preview(call, facts).effect(facts);
    EXPECT_EQ(facts.find("n2")->patroni.installed, k_new);
    EXPECT_EQ(facts.find("n2")->patroni.running, "4.0.7");
    EXPECT_FALSE(facts.find("n2")->unit);
    EXPECT_EQ(facts.find("n1")->patroni.installed, k_new);
    EXPECT_TRUE(facts.find("n1")->unit);
}

const std::string k_report =
    "installed=4.0.7-3~deb13u1\nchanged=1795430000\nstate=active\npid=77\nstarted=1795430002\n";

TEST_F(Install, SendsTheCommandThatThePlanShows) {
    const std::string planned = plan(install(k_new)).operations.at(0).text;
    const StepResult result = run(k_new, command_result(0, k_report));
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_EQ(result.message, "patroni 4.0.7-3~deb13u1");
    EXPECT_TRUE(contains(world.commands_on("n2").back(), planned));
    EXPECT_TRUE(world.commands_on("n1").empty());
}

TEST_F(Install, LearnsWhetherThePackageRestartedItsDaemon) {
    const StepResult result = run(k_new, command_result(0, k_report));
    ClusterFacts facts = world.observe();
    result.learned(facts);
    const MemberFacts& member = *facts.find("n2");
    EXPECT_EQ(member.patroni.installed, k_new);
    EXPECT_TRUE(member.patroni.running.empty());
    ASSERT_TRUE(member.unit);
    EXPECT_EQ(member.unit->active_state, "active");
    EXPECT_EQ(member.unit->main_pid, 77);
    EXPECT_EQ(member.unit->started_at, 1795430002);
    EXPECT_EQ(member.unit->package_changed_at, 1795430000);
    EXPECT_EQ(
        world.preview(step_call("service.restart", "n2", {{"service", "patroni"}}), facts).verdict,
        Verdict::wont);
}

TEST_F(Install, FailsByTheExitStatusAndKeepsTheLastLines) {
    const StepResult result =
        run(k_new, command_result(100, k_report, "Reading package lists...\nE: broken\n"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(result.message, "apt-get ended with status 100: E: broken");
    EXPECT_EQ(result.last_lines, (Names{"Reading package lists...", "E: broken"}));
    EXPECT_TRUE(static_cast<bool>(result.learned));
}

TEST_F(Install, SaysWhoHeldTheLockUntilTheEnd) {
    const StepResult result =
        run(k_new, command_result(100, "installed=3.0.2-1\nbusy=apt-get (pid 7)\n"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(result.message,
              "apt-get ended with status 100, and the lock is held by apt-get (pid 7)");
}

TEST_F(Install, TellsWhatBecameOfConfigurationThatWasEdited) {
    const StepResult result =
        run(k_new, command_result(0, k_report + "kept=/etc/patroni/a.yml.dpkg-dist\n"));
    EXPECT_EQ(result.outcome, StepOutcome::succeeded);
    EXPECT_TRUE(contains(result.message, "/etc/patroni/a.yml.dpkg-dist")) << result.message;
}

TEST_F(Install, BelievesTheInstalledVersionMoreThanTheExitStatus) {
    const StepResult result = run(k_new, command_result(0, "installed=3.0.2-1\n"));
    EXPECT_EQ(result.outcome, StepOutcome::failed);
    EXPECT_EQ(result.message, "apt-get succeeded, but 3.0.2-1 is installed");
}

TEST_F(Install, OfAnotherPackageTeachesNothingAboutPatroni) {
    says(repository("1.0-1", {"1.1-1"}));
    StepCall call = install("1.1-1", "pgbouncer");
    call.probed = world.probe(call);
    says("installed=1.1-1\n");
    const StepResult result = world.run(call);
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_FALSE(static_cast<bool>(result.learned));
}

}  // namespace
}  // namespace lockstep
