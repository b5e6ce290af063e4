#include "base/shell_quote.hpp"
#include "steps/actions/daemon.hpp"
#include "steps/actions/host_obstacles.hpp"
#include "steps/actions/package_obstacles.hpp"
#include "steps/observation/host_reading.hpp"
#include "steps/observation/member_script.hpp"
#include "steps/reachability.hpp"
#include "tests/fakes/fake_cluster.hpp"
#include "tests/fakes/shell_host.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

TEST(Cgroups, NameTheUnitOfAProcess) {
    EXPECT_EQ(unit_of_cgroups({"0::/system.slice/patroni.service"}), "patroni");
    EXPECT_EQ(unit_of_cgroups({"0::/system.slice/system-patroni.slice/patroni@17-main.service"}),
              "patroni@17-main");
    EXPECT_EQ(unit_of_cgroups({"0::/system.slice/patroni@a\\x2db.service/sub"}), "patroni@a\\x2db");
    EXPECT_EQ(unit_of_cgroups({"8:pids:/system.slice/other.service",
                               "1:name=systemd:/system.slice/patroni.service",
                               "0::/"}),
              "patroni");
    EXPECT_EQ(unit_of_cgroups({"0::/user.slice/user-0.slice/session-3.scope"}), "session-3.scope");
    EXPECT_EQ(unit_of_cgroups(
                  {"0::/user.slice/user-1000.slice/user@1000.service/app.slice/patroni.service"}),
              "user@1000");
    for (const char* contained : {"0::/docker/1f2e",
                                  "0::/lxc/c1/system.slice/patroni.service",
                                  "0::/machine.slice/x.service/system.slice/patroni.service",
                                  "0::/"}) {
        EXPECT_EQ(unit_of_cgroups({contained}), "") << contained;
    }
    EXPECT_EQ(unit_of_cgroups({"pid-namespace", "0::/c1/system.slice/patroni.service"}), "");
    EXPECT_EQ(unit_of_cgroups({}), "");
}

/// Members of which the observation saw other lines than on the healthy one.
class Host : public testing::Test {
  protected:
    Host() { world.is_paused(); }

    void saw(const std::string& line, const std::string& instead) {
        world.members.at("n2").seen[line] = instead;
    }

    void has_another(const std::string& unit, const std::string& state = "active") {
        saw("SubState=running",
            "SubState=running\n--\nId=" + unit + ".service\nActiveState=" + state);
    }

    void runs_as(const std::string& unit) {
        saw("patroni=69 0::/system.slice/patroni.service",
            "patroni=69 0::/system.slice/" + unit + ".service");
        world.members.at("n2").unit_state = "inactive";
    }

    Preview restart(const std::string& unit = "patroni") {
        return world.preview(
            step_call("service.restart", "n2", {{"service", unit}, {"always", true}}));
    }

    Preview install(const std::string& more = "") {
        world.members.at("n2").commands = [more](const std::string&) {
            return command_result(0,
                                  "installed=4.0.7-3~deb13u1\naudit=\navailable=4.1.5-2\n" + more);
        };
        StepCall call =
            step_call("package.install", "n2", {{"package", "patroni"}, {"version", "4.1.5-2"}});
        call.probed = world.probe(call);
        return world.preview(call);
    }

    FakeCluster world;
};

TEST_F(Host, IsReadWhole) {
    const ClusterFacts facts = world.observe();
    const HostFacts& host = *facts.find("n2")->on_host;
    EXPECT_EQ(host.unit, "patroni");
    EXPECT_EQ(host.kill_mode, "process");
    EXPECT_EQ(host.daemon_unit, "patroni");
    EXPECT_EQ(host.daemon_pid, 69);
    ASSERT_EQ(host.postmasters.size(), 1U);
    EXPECT_EQ(host.postmasters[0].pid, 100);
    EXPECT_EQ(host.postmasters[0].data_directory, "/var/lib/postgresql/17/main");
    EXPECT_EQ(host.postmasters[0].unit, "patroni");
    EXPECT_TRUE(host.others().empty());
    const MemberFacts again = MemberFacts::from_json(facts.find("n2")->to_json());
    EXPECT_EQ(again.to_json(), facts.find("n2")->to_json());
    EXPECT_TRUE(restart().blocked_by.empty());
    EXPECT_TRUE(install().blocked_by.empty());
}

TEST_F(Host, ThatWouldStopPostgresWithTheUnitIsLeftAlone) {
    for (const char* mode : {"control-group", "mixed"}) {
        saw("KillMode=process", std::string("KillMode=") + mode);
        EXPECT_EQ(ids_of(restart().blocked_by), Names{"host.kill_mode"}) << mode;
        EXPECT_EQ(ids_of(install().blocked_by), Names{"host.kill_mode"}) << mode;
    }
    const Finding refused = restart().blocked_by.at(0);
    EXPECT_EQ(refused.severity, Severity::critical);
    EXPECT_TRUE(contains(refused.message, "pid 100")) << refused.message;
    EXPECT_TRUE(contains(refused.remedy, "'[Service]\\nKillMode=process\\n'")) << refused.remedy;
    EXPECT_TRUE(contains(refused.remedy, "/etc/systemd/system/patroni.service.d"));
    const StepCall stop = step_call("service.stop", "n2", {{"service", "patroni"}});
    EXPECT_EQ(ids_of(world.preview(stop).blocked_by), Names{"host.kill_mode"});
    const StepCall start = step_call("service.start", "n2", {{"service", "patroni"}});
    EXPECT_TRUE(world.preview(start).blocked_by.empty());
    const StepCall back =
        step_call("package.restore", "n2", {{"package", "patroni"}, {"version", "3.0.2-1"}});
    EXPECT_EQ(ids_of(world.preview(back).blocked_by), Names{"host.kill_mode"});
}

TEST_F(Host, WithPostgresOutsideOfTheUnitMayBeRestarted) {
    saw("KillMode=process", "KillMode=control-group");
    saw("5432 0::/system.slice/patroni.service", "5432 0::/system.slice/postgresql@17.service");
    EXPECT_TRUE(restart().blocked_by.empty());
    // What could not be seen is not outside.
    saw("5432 0::/system.slice/postgresql@17.service", "5432");
    world.members.at("n2").seen.erase("5432 0::/system.slice/patroni.service");
    saw("postmaster=100", "nothing=100");
    EXPECT_EQ(ids_of(restart().blocked_by), Names{"host.kill_mode"});
}

TEST_F(Host, WithAnotherPatroniKeepsItsPackage) {
    has_another("patroni@17-billing");
    const Preview preview = install();
    ASSERT_EQ(ids_of(preview.blocked_by), Names{"package.restarts_other"});
    const Finding& refused = preview.blocked_by[0];
    EXPECT_TRUE(refused.acceptable);
    EXPECT_TRUE(refused.is_named("package.restarts_other:patroni@17-billing@n2"));
    EXPECT_TRUE(contains(refused.message, "code is replaced under it")) << refused.message;
    EXPECT_TRUE(restart().blocked_by.empty());
    const Preview other = restart("patroni@17-billing.service");
    ASSERT_EQ(ids_of(other.blocked_by), Names{"host.other_patroni"});
    EXPECT_TRUE(other.blocked_by[0].acceptable);
    for (const char* state : {"inactive", "failed"}) {
        has_another("patroni@17-billing", state);
        EXPECT_TRUE(install().blocked_by.empty()) << state;
    }
    has_another("patroni@17-billing", "activating");  // it crashes in a loop
    EXPECT_EQ(ids_of(install().blocked_by), Names{"package.restarts_other"});
}

// The package restarts patroni.service, whosever it is.
TEST_F(Host, WhosePatroniServiceIsAnotherClustersSaysWhatWouldHappenToIt) {
    world.cluster.patroni_service = "patroni@17-billing";
    saw("Id=patroni.service", "Id=patroni@17-billing.service");
    has_another("patroni");
    saw("patroni=69 0::/system.slice/patroni.service",
        "patroni=69 0::/system.slice/patroni@17-billing.service\n"
        "patroni=70 0::/system.slice/patroni.service");
    const Preview preview = install();
    ASSERT_EQ(ids_of(preview.blocked_by), Names{"package.restarts_other"});
    EXPECT_EQ(preview.blocked_by[0].subject, "patroni");
    EXPECT_TRUE(contains(preview.blocked_by[0].message, "the package restarts patroni"));
}

TEST_F(Host, OnWhichAnotherUnitRunsIsToldByItsName) {
    runs_as("system-patroni.slice/patroni@17-main");
    for (const Preview& preview : {restart(), install()}) {
        ASSERT_EQ(ids_of(preview.blocked_by), Names{"service.not_what_runs"});
        EXPECT_EQ(preview.blocked_by[0].remedy,
                  "Set `patroni_service: patroni@17-main` in the inventory.");
    }
    EXPECT_TRUE(contains(restart().blocked_by[0].message, "systemd: inactive"));
    saw("LoadState=loaded", "LoadState=masked");
    EXPECT_TRUE(contains(restart().blocked_by[0].message, "systemd: masked"));
    saw("LoadState=loaded", "LoadState=not-found");
    EXPECT_EQ(ids_of(restart().blocked_by), Names{"service.not_what_runs"});
    // Up, and another Patroni's: the worst of all.
    world.members.at("n2").unit_state = "active";
    saw("LoadState=loaded", "LoadState=loaded");
    ASSERT_EQ(ids_of(restart().blocked_by), Names{"service.not_what_runs"});
    EXPECT_TRUE(contains(restart().blocked_by[0].message, "another Patroni's"));
}

TEST_F(Host, WithAProgramOfItsOwnKeepsItsPackage) {
    saw("\"python\":", "\"module\": \"/opt/patroni/patroni/__init__.py\", \"python\":");
    saw("begin setup\n", "begin setup\npackaged=no\n");
    world.members.at("n2").status["patroni"]["version"] = "4.1.5";
    ASSERT_EQ(ids_of(install().blocked_by), Names{"package.not_its_own"});
    EXPECT_TRUE(contains(install().blocked_by[0].message, "/opt/patroni/patroni/__init__.py"));
    const ClusterFacts facts = world.observe();
    EXPECT_EQ(facts.find("n2")->setup->packaged, false);
    EXPECT_EQ(daemon_state(*facts.find("n2")), DaemonState::unknown);
    EXPECT_FALSE(facts.find("n1")->setup->packaged);
}

TEST_F(Host, ThatStartsTheDaemonAgainAndAgainDoesNotRunWhatIsInstalled) {
    world.is_dead("n2");
    saw("NRestarts=0", "NRestarts=7");
    ClusterFacts facts = world.observe();
    facts.find("n2")->patroni.running.clear();
    facts.paused = true;
    StepCall call = step_call("service.restart", "n2", {{"service", "patroni"}});
    call.open_temporaries = {"patroni.pause"};
    const Preview preview = world.preview(call, facts);
    EXPECT_EQ(preview.verdict, Verdict::will);
    EXPECT_EQ(preview.because, "it does not answer, and systemd has started it again 7 times");
}

TEST_F(Host, ReportsThePostmastersThatWentWithTheUnit) {
    const ClusterFacts facts = world.observe();
    EXPECT_TRUE(contains(postmasters_report(*facts.find("n2")), "for pid in 100;"));
    world.members.at("n2").commands = [](const std::string& script) {
        EXPECT_TRUE(contains(script, "gone=%s"));
        return command_result(0, "state=active\npid=80\nstarted=1795430002\ngone=100\n");
    };
    const StepResult result =
        world.run(step_call("service.restart", "n2", {{"service", "patroni"}}));
    ClusterFacts after = facts;
    result.learned(after);
    EXPECT_TRUE(after.find("n2")->on_host->postmasters.empty());
    EXPECT_EQ(after.find("n2")->unit->main_pid, 80);
}

TEST_F(Host, WithoutRoomForThePackageKeepsTheOldOne) {
    const std::string sizes = "sizes=1000000 9000000\n";
    const std::string roomy =
        "df=/dev/a 100 1 90000000 1% /usr\ndf=/dev/b 100 1 90000000 1% /var\n";
    EXPECT_TRUE(install(roomy + sizes).blocked_by.empty());
    const Preview preview =
        install("df=/dev/a 100 1 8000000 1% /usr\ndf=/dev/b 100 1 90000000 1% /var\n" + sizes);
    ASSERT_EQ(ids_of(preview.blocked_by), Names{"disk.low"});
    EXPECT_TRUE(preview.blocked_by[0].is_named("disk.low:/usr@n2"));
    EXPECT_TRUE(preview.blocked_by[0].acceptable);
    // One file system for both takes the sum.
    EXPECT_EQ(
        no_room({"/dev/a 9 1 20000000 1% /", "/dev/a 9 1 20000000 1% /"}, "1000000 9000000").size(),
        1U);
    EXPECT_TRUE(no_room({"/dev/a 9 1 20000000 1% /", "/dev/a 9 1 20000000 1% /"}, "").empty());
    EXPECT_TRUE(no_room({"df: /usr: Stale file handle"}, "1000000 9000000").empty());
}

TEST(TellingLine, SaysWhyAndNotThat) {
    const std::string err =
        "Reading package lists...\nUnpacking patroni (4.1.5-2) ...\n"
        "dpkg: error processing archive /tmp/p.deb (--unpack):\n"
        " cannot copy extracted data for './usr/x': failed to write (No space left on device)\n"
        "E: Sub-process /usr/bin/dpkg returned an error code (1)\n";
    EXPECT_TRUE(telling_line(command_result(100, "busy=\n", err)).starts_with("cannot copy"));
    EXPECT_EQ(telling_line(command_result(1, "busy=\n")), "");
    EXPECT_EQ(telling_line(command_result(1, "", "a\nError: b\nc\n")), "Error: b");
    EXPECT_EQ(telling_line(command_result(1, "", "a\nc\n")), "c");
}

TEST_F(Host, IsARowOfTheWaysToTheMember) {
    for (auto& [name, member] : world.members) {
        member.commands = [](const std::string&) { return command_result(0, "user root\n"); };
    }
    const auto unit_row = [&] {
        const ClusterFacts facts = world.observe();
        for (const Way& way : find_reachability(world.connections(), facts, {})) {
            if (way.member == "n2" && way.name == "unit") {
                return way;
            }
        }
        return Way{};
    };
    EXPECT_EQ(unit_row().verdict, Way::Verdict::ok);
    EXPECT_EQ(unit_row().how, "patroni, active");
    saw("KillMode=process", "KillMode=mixed");
    EXPECT_EQ(unit_row().verdict, Way::Verdict::limited);
    EXPECT_TRUE(contains(unit_row().access.hint, "KillMode=process"));
    runs_as("patroni@17-main");
    EXPECT_EQ(unit_row().verdict, Way::Verdict::failed);
    EXPECT_TRUE(contains(unit_row().access.hint, "patroni_service: patroni@17-main"));
}

/// The script itself, where two Pythons play two Patronis, and a shell function systemd.
TEST(HostScript, FindsTheDaemonOfTheClusterByItsPort) {
    const ShellHost host;
    if (!host.run({.script = "python3 -c 'import yaml' && command -v awk && command -v timeout"})
             .ok()) {
        GTEST_SKIP() << "needs python3 with yaml, awk and timeout";
    }
    host.write("bin/patroni",
               "import socket, sys, time\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\n"
               "s.listen(1)\nopen(sys.argv[1], 'w').write(str(s.getsockname()[1]))\n"
               "time.sleep(50)\n");
    host.write("a.yml", "scope: a\n");
    const std::string program = "python3 " + shell_quote(host.path("bin/patroni")) + " ";
    const std::string configuration = " " + shell_quote(host.path("a.yml"));
    const auto launch = [&](const std::string& name) {
        const std::string file = host.path(name);
        const CommandResult result = host.run(
            {.script = "{ timeout 40 " + program + shell_quote(file) + configuration +
                       " >/dev/null 2>&1 & } \nfor n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 "
                       "18 19 20; do [ -s " +
                       shell_quote(file) + " ] && break; sleep 0.2; done\ncat " +
                       shell_quote(file) + "\necho \" $!\""});
        std::istringstream words(result.out);
        std::pair<std::string, std::string> port_and_pid;
        words >> port_and_pid.first >> port_and_pid.second;
        return port_and_pid;
    };
    const auto [port_a, pid_a] = launch("port_a");
    const auto [port_b, pid_b] = launch("port_b");
    MemberScript here{.nonce = k_recorded_nonce, .unit = "patroni", .package = "patroni"};
    here.api_port = port_b;
    std::string text = replaced(render(here), "apt-cache madison", "true");
    text = replaced(text, "[ -d /run/systemd/system ]", "true");
    text =
        "systemctl() { printf 'Id=patroni.service\\nLoadState=loaded\\nActiveState=inactive\\n"
        "MainPID=0\\n'; }\n" +
        text;
    MemberFacts member;
    read_output(here, host.run({.script = text}), member);
    const CommandResult children = host.run(
        {.script = "for p in " + pid_a + " " + pid_b + "; do cat /proc/$p/task/$p/children; done"});
    (void)host.run({.script = "kill " + children.out + " " + pid_a + " " + pid_b});
    ASSERT_TRUE(member.on_host);
    EXPECT_TRUE(contains(children.out, std::to_string(member.on_host->daemon_pid)))
        << children.out << " and not " << member.on_host->daemon_pid;
    ASSERT_TRUE(member.setup) << member.unknown.at("setup");
    EXPECT_EQ(member.setup->file, host.path("a.yml"));
}

}  // namespace
}  // namespace lockstep
