#include "base/error.hpp"
#include "base/shell_quote.hpp"
#include "steps/packages/package_tool.hpp"
#include "tests/fakes/fake_cluster.hpp"
#include "tests/fakes/fake_tools.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace lockstep {
namespace {

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// The scripts of the tools, run by a real sh on programs that play the member's.
class PackageTools : public testing::Test {
  protected:
    [[nodiscard]] std::string out(const PackageTool& tool, const std::string& script) const {
        return on.run(package_functions(tool) + script).out;
    }

    /// `Inst a [1]` lines of what this table of dnf says.
    [[nodiscard]] std::string simulated(const std::string& table) const {
        on.has("dnf", "cat <<'END'\n" + table + "\nEND\nexit 1");
        on.has("rpm", "for name; do :; done; case $name in new*) exit 1 ;; esac; echo 0:1.0-1");
        return out(k_dnf, "simulated patroni=2.0-1");
    }

    /// n2 is of dnf's family, and its scripts run here.
    void is_of_dnf() {
        world.is_paused();
        world.has_version("n2", "3.0.2-1PGDG.rhel9");
        world.members.at("n2").package_tool = "dnf";
        world.members.at("n2").commands = [this](const std::string& script) {
            return on.run(replaced(script, "/var/lib/lockstep", on.path("lockstep")));
        };
        on.has("systemctl", "echo MainPID=0");
        on.has("rpm",
               "case $* in\n"
               "*INSTALLTIME*) echo 1795430000 ;;\n"
               "'-K '*) for file; do :; done; [ -s \"$file\" ] && { [ -e \"${0%/*}/unsigned\" ] "
               "|| echo \"$file: digests signatures OK\"; } ;;\n"
               "'-U --test '*) [ ! -e \"${0%/*}/conflict\" ] || { cat \"${0%/*}/conflict\"; exit "
               "1; } ;;\n"
               "*'-qp '*) cat \"${0%/*}/described\" ;;\n"
               "-qc*) echo \"$LOCKSTEP_CONFIG\" ;;\n"
               "*ARCH*) printf .noarch ;;\n"
               "*'-- patroni') cat \"${0%/*}/installed\" ;;\n"
               "*) exit 1 ;;\nesac");
        on.has(
            "dnf",
            "echo \"dnf $*\" >>\"${0%/*}/calls\"\n"
            "case $* in\n"
            "*repoquery*) printf 'patroni 3.0.2-1PGDG.rhel9\\npatroni 0:4.0.7-1PGDG.rhel9\\n' ;;\n"
            "*' versionlock '*) [ -e \"${0%/*}/locks\" ] && cat \"${0%/*}/locks\" ;;\n"
            "*--assumeno*) printf 'Upgrading:\\n patroni noarch 4.0.7-1 pgdg 9 k\\n" +
                more_of_table + "\\nTransaction Summary\\n'; exit 1 ;;\n" +
                "*download*) cat \"${0%/*}/download\" >patroni.rpm ;;\n"
                "*install*) echo 4.0.7-1PGDG.rhel9 >\"${0%/*}/installed\" ;;\n"
                "esac");
        write("installed", "3.0.2-1PGDG.rhel9\n");
        write("described", "patroni 3.0.2-1PGDG.rhel9\n");
        write("download", "whole\n");
    }

    void write(const std::string& name, const std::string& text) const {
        std::ofstream(on.path(name)) << text;
    }

    Preview plan(StepCall call) {
        call.probed = world.probe(call);
        return world.preview(call);
    }

    static StepCall install() {
        return step_call(
            "package.install", "n2", {{"package", Value("patroni")}, {"version", Value("4.0.7")}});
    }

    FakeTools on;
    FakeCluster world;
    std::string more_of_table;
};

struct Family {
    const char* release;
    std::vector<const char*> programs;
    const char* tool;
};

TEST_F(PackageTools, AreFoundByTheFamilyOfTheOperatingSystem) {
    const char* const rocky = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n";
    const std::vector<Family> families{
        {"ID=debian\n", {"apt-get", "dnf", "yum"}, "apt"},
        {"ID=ubuntu\nID_LIKE=debian\n", {"apt-get"}, "apt"},
        {rocky, {"apt-get", "dnf", "yum"}, "dnf"},
        {"ID=fedora\n", {"dnf"}, "dnf"},
        {"ID=\"centos\"\nID_LIKE=\"rhel fedora\"\n", {"yum"}, "yum"},
        {rocky, {"apt-get"}, "apt"},
        {"ID=arch\n", {}, ""},
        {"", {"dnf"}, "dnf"},
    };
    for (const Family& family : families) {
        const FakeTools member;
        for (const char* program : family.programs) {
            member.has(program, "true");
        }
        std::ofstream(member.path("os-release")) << family.release;
        std::string script(k_find_package_tool);
        script = replaced(script, "/etc/os-release", member.path("os-release"));
        // This machine's own tools are not the member's.
        script = "PATH='" + member.path(".") + "'\n" + script + "echo \"$tool\"\n";
        EXPECT_EQ(member.run(script).out, std::string(family.tool) + "\n") << family.release;
    }
}

TEST_F(PackageTools, RenderWhatInstallsExactlyThese) {
    const Names wanted{"patroni=1:4.0.7-1~x", "/srv/a b.rpm"};
    EXPECT_TRUE(k_apt.install(wanted, Direction::down)
                    .ends_with(" install 'patroni=1:4.0.7-1~x' '/srv/a b.rpm'"));
    EXPECT_EQ(k_dnf.install(wanted, Direction::down),
              "dnf -y --setopt=exit_on_lock=True --setopt=clean_requirements_on_remove=False "
              "install 'patroni-1:4.0.7-1~x' '/srv/a b.rpm'");
    EXPECT_TRUE(contains(k_yum.install(wanted, Direction::up), " install "));
    EXPECT_TRUE(contains(k_yum.install(wanted, Direction::down), " downgrade "));
    EXPECT_EQ(direction(k_dnf, "2.0-1", "2_0-1"), Direction::up);
    EXPECT_EQ(direction(k_dnf, "1.0.1-1", "1.0^git-1"), Direction::down);
    EXPECT_EQ(direction(k_apt, "1.0.1-1", "1.0^git-1"), Direction::up);
    EXPECT_EQ(direction(k_apt, "", "1.0"), Direction::up);
}

TEST_F(PackageTools, TakeNoNameThatCouldBeSomethingElse) {
    for (const char* name :
         {"", "-o", "a b", "pat*", "a;reboot", "$(reboot)", "a\nb", "it's", ".a"}) {
        const Value::Map with{{"package", Value(name)}, {"version", Value("1.0-1")}};
        EXPECT_THROW(world.probe(step_call("package.install", "n2", with)), Error) << name;
        EXPECT_THROW(world.probe(step_call("package.keep", "n2", with)), Error) << name;
        EXPECT_THROW(world.preview(step_call("package.restore", "n2", with)), Error) << name;
    }
}

TEST_F(PackageTools, TakeEveryArgumentForData) {
    const std::string hostile = "a'\"; touch pwned; $(touch pwned) `touch pwned`\n*";
    const std::string notes = on.path("notes");
    for (const char* program :
         {"dpkg-query", "apt-cache", "apt-get", "apt-mark", "dpkg-deb", "rpm", "dnf", "yum"}) {
        on.has(program, "for each; do printf '<%s>' \"$each\"; done >>'" + notes + "'");
    }
    const std::string value = shell_quote(hostile);
    const std::string script =
        "cd '" + on.path(".") + "'\nhostile=" + value +
        "\nfor each in installed unpacked changed trouble offered held known preferred simulated "
        "described configuration; do \"$each\" \"$hostile\"; done\n"
        "source_of \"$hostile\" \"$hostile\"\nget \"$hostile\" \"$hostile\"\n";
    for (const PackageTool* tool : {&k_apt, &k_dnf, &k_yum}) {
        std::filesystem::remove(notes);
        (void)out(*tool, script);
        EXPECT_FALSE(std::filesystem::exists(on.path("pwned"))) << tool->name;
        EXPECT_TRUE(contains(read_file(notes), hostile)) << tool->name;
    }
}

TEST_F(PackageTools, ReadTheTableOfDnf) {
    EXPECT_EQ(simulated("Dependencies resolved.\n=====\n Package Arch Version Repo Size\n=====\n"
                        "Upgrading:\n patroni noarch 2.0-1 pgdg-common 400 k\n"
                        "Installing dependencies:\n new-one noarch 1-1 lab 12 k\n"
                        " new-with-a-name-that-is-longer-than-its-column\n"
                        "            noarch 1-1 lab 12 k\n\n"
                        "Transaction Summary\n=====\nUpgrade  1 Package\nInstall  1 Package\n"),
              "Inst patroni [1.0-1]\nInst new-one\n"
              "Inst new-with-a-name-that-is-longer-than-its-column\n");
    // A size below 1000 bytes has no unit.
    EXPECT_EQ(simulated("Downgrading:\n patroni noarch 2.0-1 lab 400\n"
                        "Removing dependent packages:\n pgbouncer x86_64 1.0-1 @lab 0  \n"
                        "Removing unused dependencies:\n python3-ydiff noarch 1.0-1 @lab 3 k\n"
                        "\nTransaction Summary"),
              "Inst patroni [1.0-1]\nRemv pgbouncer\nRemv python3-ydiff\n");
    EXPECT_EQ(simulated("Installing:\n patroni noarch 2.0-1 lab 400 k\n"
                        "     replacing  patroni-etcd.noarch 1.0-1\n\nTransaction Summary"),
              "Remv patroni-etcd.noarch\nInst patroni [1.0-1]\n");
}

TEST_F(PackageTools, TakeWhatDnfComplainsOfForAnError) {
    const std::string no_match = simulated(
        "No match for argument: patroni-2.0-1\n"
        "Error: Unable to find a match: patroni-2.0-1");
    EXPECT_TRUE(no_match.starts_with("E: No match for argument")) << no_match;
    const std::string conflict = simulated(
        "Error: \n Problem: conflicting requests\n  - nothing provides python3-ydiff needed by x");
    EXPECT_TRUE(contains(conflict, "E: - nothing provides python3-ydiff")) << conflict;
    EXPECT_FALSE(contains(conflict, "E: Error")) << conflict;
    EXPECT_TRUE(contains(simulated("RPMDB already locked by 812"), "E: RPMDB already locked"));
    EXPECT_EQ(simulated("Segmentation fault"), "E: it printed no plan: Segmentation fault\n");
    EXPECT_EQ(simulated("Skipping packages with conflicts:\n patroni noarch 2.0-1 lab 4 k\n"),
              "E: Skipping packages with conflicts:\n");
}

TEST_F(PackageTools, TellALockOnThisPackageFromOneOnAnother) {
    const std::vector<std::pair<const char*, const char*>> locks{
        {"patroni-0:4.0.7-1PGDG.rhel9.*", "yes"},
        {"patroni-etcd-0:4.0.7-1.*\npostgresql16-server-0:16.2-1.*", "no"},
        {"!patroni-0:4.0.2-1.*", "yes"},
        {"0:patroni-4.0.7-1.*", "yes"},  // as yum 3 writes it
        {"patroni-*", "yes"},
        {"patroni", "yes"},
        {"", "no"},
    };
    for (const auto& [lines, expected] : locks) {
        on.has("dnf", "cat <<'END'\n" + std::string(lines) + "\nEND");
        EXPECT_EQ(out(k_dnf, "held patroni"), std::string(expected) + "\n") << lines;
    }
    on.has("dnf", "echo 'No such command: versionlock' >&2; exit 1");
    EXPECT_EQ(out(k_dnf, "held patroni || echo unknown; can_hold || echo none"), "unknown\nnone\n");
}

TEST_F(PackageTools, SeeWhatAnInterruptedOneHasLeft) {
    on.has("rpm", "printf '3.0.2-1\\n4.0.7-1\\n'");
    EXPECT_EQ(out(k_dnf, "trouble patroni; installed patroni"),
              "several versions of patroni are installed: 3.0.2-1 4.0.7-1\n3.0.2-1 4.0.7-1\n");
    on.has("rpm", "echo 'error: rpmdb: damaged header' >&2; exit 1");
    EXPECT_TRUE(contains(out(k_dnf, "trouble patroni"), "damaged header"));
    on.has("rpm", "echo 'package patroni is not installed'; exit 1");
    EXPECT_EQ(out(k_dnf, "trouble patroni; installed patroni"), "");
}

TEST_F(PackageTools, WaitForALockUntilItIsFree) {
    write("tries", "");
    on.has("sleep", "true");
    on.has("dnf",
           "echo x >>\"${0%/*}/tries\"; [ \"$(wc -l <\"${0%/*}/tries\")\" -gt 2 ] || exit 200");
    EXPECT_EQ(
        out(k_dnf,
            patiently("dnf install x") + "echo \"$status\"; wc -l <'" + on.path("tries") + "'\n"),
        "0\n3\n");
}

TEST_F(PackageTools, GiveUpOnALockThatIsNotFreeInTime) {
    write("seconds", "0\n");
    on.has("sleep", "true");
    on.has("date", "now=$(($(cat \"${0%/*}/seconds\") + 25)); echo $now | tee \"${0%/*}/seconds\"");
    on.has("dnf", "exit 200");
    EXPECT_EQ(out(k_dnf, patiently("dnf install x") + "echo \"$status\"\n"), "200\n");
    EXPECT_EQ(read_file(on.path("seconds")), "100\n");
}

TEST_F(PackageTools, DoNotRepeatWhatFailedByItself) {
    write("tries", "");
    on.has("dnf", "echo x >>\"${0%/*}/tries\"; exit 1");
    on.has("find", "true");
    EXPECT_EQ(
        out(k_dnf,
            patiently("dnf install x") + "echo \"$status\"; wc -l <'" + on.path("tries") + "'\n"),
        "1\n1\n");
}

TEST_F(PackageTools, InstallByDnfAsByApt) {
    is_of_dnf();
    const Preview preview = plan(install());
    EXPECT_EQ(ids_of(preview.blocked_by), Names{}) << preview.blocked_by.at(0).message;
    EXPECT_EQ(preview.verdict, Verdict::will);
    ASSERT_EQ(preview.operations.size(), 1U);
    EXPECT_TRUE(preview.operations[0].text.ends_with(" install patroni-4.0.7-1PGDG.rhel9"));
    EXPECT_TRUE(preview.undo.at(0).operation.text.ends_with(" install patroni-3.0.2-1PGDG.rhel9"));

    StepCall call = install();
    call.probed = world.probe(call);
    on.has("systemctl",
           "printf 'ActiveState=active\\nMainPID=7\\nExecMainStartTimestamp=@1795430001\\n'");
    const std::string config = on.path("config");
    write("config", "edited\n");
    write("config.rpmnew", "of the package\n");
    ::setenv("LOCKSTEP_CONFIG", config.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
    const StepResult result = world.run(call);
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_TRUE(contains(result.message, "config.rpmnew")) << result.message;
    EXPECT_TRUE(contains(world.commands_on("n2").back(), preview.operations[0].text));
    EXPECT_TRUE(contains(read_file(on.path("calls")), preview.operations[0].text + "\n"));
    ClusterFacts facts = world.observe();
    result.learned(facts);
    EXPECT_EQ(facts.find("n2")->patroni.installed, "4.0.7-1PGDG.rhel9");
    EXPECT_EQ(facts.find("n2")->unit->started_at, 1795430001);
    EXPECT_EQ(facts.find("n2")->unit->package_changed_at, 1795430000);
}

TEST_F(PackageTools, RefuseByDnfAsByApt) {
    more_of_table = " postgresql16-server x86_64 16.4-1 pgdg 6 M";
    is_of_dnf();
    write("locks", "patroni-0:3.0.2-1PGDG.rhel9.*\n");
    const Preview preview = plan(install());
    ASSERT_EQ(ids_of(preview.blocked_by), (Names{"package.held", "package.side_effect"}));
    EXPECT_TRUE(contains(preview.blocked_by[0].remedy, "versionlock delete patroni"));
    EXPECT_TRUE(contains(preview.blocked_by[1].message, "postgresql16-server"));
}

TEST_F(PackageTools, KeepWhatDnfDownloads) {
    is_of_dnf();
    const StepCall keep =
        step_call("package.keep",
                  "n2",
                  {{"package", Value("patroni")}, {"version", Value("3.0.2-1PGDG.rhel9")}});
    const Preview preview = plan(keep);
    EXPECT_TRUE(preview.blocked_by.empty());
    EXPECT_TRUE(contains(preview.because, "from its repository")) << preview.because;
    StepResult result = world.run(keep);
    EXPECT_EQ(result.outcome, StepOutcome::succeeded) << result.message;
    EXPECT_TRUE(
        std::filesystem::exists(on.path("lockstep/kept/patroni=3.0.2-1PGDG.rhel9/patroni.rpm")));
    EXPECT_EQ(plan(keep).verdict, Verdict::wont);
    write("unsigned", "");
    EXPECT_EQ(plan(keep).verdict, Verdict::will) << "nobody vouches for what is there";
    std::filesystem::remove(on.path("unsigned"));
    write("conflict", "file /usr/bin/patroni conflicts\n");
    const Preview not_from_there = plan(keep);
    ASSERT_EQ(ids_of(not_from_there.blocked_by), (Names{"package.no_way_back"}));
    EXPECT_TRUE(contains(not_from_there.blocked_by[0].message, "/usr/bin/patroni conflicts"));
    std::filesystem::remove(on.path("conflict"));
    write("lockstep/kept/patroni=3.0.2-1PGDG.rhel9/patroni.rpm", "wh");
    EXPECT_EQ(plan(keep).verdict, Verdict::will) << "it was cut short since";
    write("download", "");
    EXPECT_EQ(world.run(keep).outcome, StepOutcome::failed) << "what came is cut short";
    EXPECT_FALSE(std::filesystem::exists(on.path("lockstep/kept/patroni=3.0.2-1PGDG.rhel9.new")));

    StepCall other = keep;
    other.with.insert_or_assign("version", Value("2.1.4-1"));
    const Preview none = plan(other);
    ASSERT_EQ(ids_of(none.blocked_by), (Names{"package.no_way_back"}));
    EXPECT_TRUE(contains(none.blocked_by[0].message, "dnf's cache")) << none.blocked_by[0].message;
    result = world.run(other);
    EXPECT_EQ(result.outcome, StepOutcome::failed);
}

TEST_F(PackageTools, HoldByVersionlockWhereItIsThere) {
    is_of_dnf();
    StepCall hold = step_call("package.hold", "n2", {{"package", Value("patroni")}});
    ASSERT_EQ(ids_of(plan(hold).blocked_by), (Names{"package.unavailable"}));
    EXPECT_TRUE(contains(plan(hold).blocked_by[0].remedy, "python3-dnf-plugin-versionlock"));
    write("locks", "");
    const Preview preview = plan(hold);
    EXPECT_TRUE(preview.blocked_by.empty());
    EXPECT_EQ(preview.operations.at(0).text,
              "dnf -q -C --setopt=exit_on_lock=True versionlock add patroni");
    EXPECT_TRUE(preview.undo.at(0).operation.text.ends_with(" versionlock delete patroni"));
    EXPECT_EQ(world.run(hold).message, "dnf versionlock succeeded, but patroni is not on hold");
}

}  // namespace
}  // namespace lockstep
