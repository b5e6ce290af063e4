#include "base/shell_quote.hpp"
#include "steps/packages/package_tool.hpp"
#include "tests/fakes/fake_cluster.hpp"
#include "tests/fakes/fake_tools.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace lockstep {
namespace {

/// package.keep by this machine's own dpkg and apt-get, which simulates: nothing is installed.
class KeptPackage : public testing::Test {
  protected:
    void SetUp() override {
        if (::geteuid() != 0 || on.run("command -v dpkg-deb apt-get >/dev/null").exit_status != 0) {
            GTEST_SKIP() << "wants root on a Debian";
        }
        is_installed();
        world.members.at("n2").commands = [this](const std::string& script) {
            return on.run(replaced(script, "/var/lib/lockstep", on.path("lockstep")));
        };
        // Nobody has it any more: it can only be made again from what is installed.
        on.has("apt-cache", "exit 0");
        // The real one takes seconds on a busy machine.
        on.has("apt-get", "echo 'Inst lockstep-sample (2:1.0-1+local1 local-deb [all])'");
    }

    /// What dpkg knows of a package with an epoch and folders of two modes, in an admin directory
    /// of its own beside the real one's.
    void is_installed() const {
        const std::string built = on.path("built");
        const CommandResult made =
            on.run("set -e\numask 022\nmkdir -p '" + built + "/DEBIAN' '" + root() +
                   "/share' && chmod 750 '" + root() + "/share'\n" + "echo text >'" + root() +
                   "/share/a file' && chmod 640 '" + root() + "/share/a file'\nln -s share '" +
                   root() + "/link'\n");
        ASSERT_EQ(made.exit_status, 0) << made.out;
        write("list",
              "/.\n" + root() + "\n" + root() + "/share\n" + root() + "/share/a file\n" + root() +
                  "/link\n");
        is_known_to_dpkg();
    }

    void is_known_to_dpkg() const {
        on.has("dpkg-query",
               "case $* in\n"
               "*db:Status*) echo \"installed 2:1.0-1+local1\" ;;\n"
               "*-L*) cat \"${0%/*}/list\" ;;\n"
               "*-s*) printf 'Package: lockstep-sample\\nStatus: install ok installed\\nVersion: "
               "2:1.0-1+local1\\nArchitecture: all\\nMaintainer: a <a@b.c>\\nConffiles:\\n /etc/a "
               "0\\nDescription: a sample\\n of two lines\\n' ;;\n"
               "*) exit 1 ;;\nesac");
    }

    /// The index knows the file that is kept.
    void is_indexed() const {
        const std::string sum = on.run("sha256sum <" + shell_quote(kept())).out.substr(0, 64);
        on.has("apt-cache", "[ \"$1\" != show ] || echo 'SHA256: " + sum + "'");
    }

    /// Another version is installed by now; what apt-get is called with is in `calls`.
    StepResult restore(const nlohmann::json& prepared) {
        write("version", "3.0-1");
        on.has("dpkg-query",
               "case $* in\n*db:Status*) echo \"installed $(cat \"${0%/*}/version\")\" ;;\n"
               "*Version*) cat \"${0%/*}/version\" ;;\n*) exit 1 ;;\nesac");
        on.has("apt-get",
               "echo \"$*\" >>\"${0%/*}/calls\"; printf 2:1.0-1+local1 >\"${0%/*}/version\"");
        write("calls", "");
        StepCall call = keep();
        call.uses = "package.restore";
        call.prepared = prepared;
        return world.run(call);
    }

    [[nodiscard]] std::string calls() const { return read_file(on.path("calls")); }

    [[nodiscard]] std::string root() const { return on.path("root"); }

    void write(const std::string& name, const std::string& text) const {
        std::ofstream(on.path(name)) << text;
    }

    static StepCall keep() {
        return step_call(
            "package.keep",
            "n2",
            {{"package", Value("lockstep-sample")}, {"version", Value("2:1.0-1+local1")}});
    }

    Preview plan() {
        StepCall call = keep();
        call.probed = world.probe(call);
        return world.preview(call);
    }

    [[nodiscard]] std::string kept() const {
        return on.path(
            "lockstep/kept/lockstep-sample=2%3a1.0-1+local1/lockstep-sample_repacked.deb");
    }

    FakeTools on;
    FakeCluster world;
};

TEST_F(KeptPackage, IsMadeAgainFromWhatIsInstalledUnderAnyUmaskAndWithAnEpoch) {
    const Preview preview = plan();
    ASSERT_TRUE(preview.blocked_by.empty()) << preview.blocked_by[0].message;
    EXPECT_NE(preview.because.find("made from what is installed"), std::string::npos);
    const mode_t before = ::umask(077);
    const StepResult result = world.run(keep());
    ::umask(before);
    ASSERT_EQ(result.outcome, StepOutcome::succeeded)
        << (result.last_lines.empty() ? result.message : result.last_lines.back());
    const std::string content = on.run("dpkg-deb -c " + shell_quote(kept())).out;
    EXPECT_NE(content.find("drwxr-x---"), std::string::npos) << "as it is here: " << content;
    EXPECT_NE(content.find("-rw-r-----"), std::string::npos) << content;
    EXPECT_NE(content.find(" -> share"), std::string::npos) << content;
    EXPECT_EQ(content.find("drwx------"), std::string::npos) << "by no umask: " << content;
    EXPECT_EQ(plan().verdict, Verdict::will) << "nobody vouches for it: it is made anew";
    is_indexed();
    EXPECT_EQ(plan().verdict, Verdict::wont);
}

TEST_F(KeptPackage, IsInstalledFromItsFolderByApt) {
    std::filesystem::remove(on.path("apt-get"));
    ASSERT_EQ(world.run(keep()).outcome, StepOutcome::succeeded);
    is_indexed();
    const std::string folder = std::filesystem::path(kept()).parent_path();
    const std::string item = "'lockstep-sample=2:1.0-1+local1'";
    EXPECT_EQ(
        on.run(package_functions(k_apt) + "cd " + shell_quote(folder) + " && against " + item).out,
        "");
    // As earlier versions named it, from outside, apt does nothing; from inside it installs it.
    const std::string earlier = on.path("lockstep/kept/lockstep-sample=2:1.0-1+local1");
    std::filesystem::rename(folder, earlier);
    EXPECT_EQ(plan().verdict, Verdict::wont) << "it is still found";
    write("lockstep/kept/lockstep-sample=2:1.0-1+local1/complete", "");
    EXPECT_EQ(plan().verdict, Verdict::will) << "that there is such a file proves nothing";
    const CommandResult done =
        on.run("folder=" + shell_quote(earlier) + "\nset -- ./lockstep-sample_repacked.deb\n" +
               replaced(std::string(k_apt.install_kept), " -y ", " -s "));
    EXPECT_NE(done.out.find("Inst lockstep-sample"), std::string::npos) << done.out;
}

TEST_F(KeptPackage, IsNotKeptOnceItsFileIsCutShort) {
    ASSERT_EQ(world.run(keep()).outcome, StepOutcome::succeeded);
    is_indexed();
    EXPECT_EQ(plan().verdict, Verdict::wont);
    std::filesystem::resize_file(kept(), std::filesystem::file_size(kept()) - 20);
    EXPECT_EQ(on.run("dpkg-deb -f " + shell_quote(kept()) + " Package").out, "lockstep-sample\n");
    EXPECT_EQ(plan().verdict, Verdict::will);
    std::filesystem::resize_file(on.path("lockstep/kept/lockstep-sample=2%3a1.0-1+local1/complete"),
                                 0);
    EXPECT_EQ(plan().verdict, Verdict::will) << "without sums, too";
    on.has("apt-cache", "exit 0");
    EXPECT_EQ(world.run(keep()).outcome, StepOutcome::succeeded);
    is_indexed();
    EXPECT_EQ(plan().verdict, Verdict::wont);
    std::filesystem::copy_file(kept(), kept() + ".deb");
    EXPECT_EQ(plan().verdict, Verdict::will) << "nor with a file more";
}

TEST_F(KeptPackage, IsTheOneThatComesBackByTheDigestOnRecord) {
    const StepResult made = world.run(keep());
    ASSERT_EQ(made.outcome, StepOutcome::succeeded);
    ASSERT_EQ(made.output.at("sums").size(), 1U);
    EXPECT_EQ(restore(made.output).outcome, StepOutcome::succeeded);
    EXPECT_NE(calls().find(" ./lockstep-sample_repacked.deb\n"), std::string::npos) << calls();
    // With the sums made to fit, as whoever can write there would.
    std::ofstream(kept(), std::ios::app) << "and a postinst";
    (void)on.run("cd \"$(dirname " + shell_quote(kept()) + ")\" && sha256sum ./*.deb >complete");
    const StepResult refused = restore(made.output);
    EXPECT_EQ(refused.outcome, StepOutcome::failed);
    EXPECT_NE(refused.message.find("does not hold what was kept"), std::string::npos)
        << refused.message;
    EXPECT_EQ(calls(), "");
    // Of a run without a record of it: nobody vouches, so it comes from the repository.
    EXPECT_EQ(restore(nullptr).outcome, StepOutcome::succeeded);
    EXPECT_EQ(calls().find(".deb"), std::string::npos) << calls();
}

TEST_F(KeptPackage, IsNotLookedForWhereSomebodyElseCanWrite) {
    const StepResult made = world.run(keep());
    ASSERT_EQ(made.outcome, StepOutcome::succeeded);
    is_indexed();
    for (const char* part : {"lockstep", "lockstep/kept"}) {
        ASSERT_EQ(::chown(on.path(part).c_str(), 65534, 65534), 0);
        const Preview preview = plan();
        ASSERT_EQ(ids_of(preview.blocked_by), (Names{"host.foreign_folder"})) << part;
        EXPECT_NE(preview.blocked_by[0].message.find("it belongs to"), std::string::npos);
        EXPECT_EQ(world.run(keep()).outcome, StepOutcome::failed);
        const StepResult refused = restore(made.output);
        EXPECT_EQ(refused.outcome, StepOutcome::failed);
        EXPECT_NE(refused.message.find("it belongs to"), std::string::npos) << refused.message;
        EXPECT_EQ(calls(), "");
        ASSERT_EQ(::chown(on.path(part).c_str(), 0, 0), 0);
        is_known_to_dpkg();
        on.has("apt-get", "echo 'Inst lockstep-sample (2:1.0-1+local1 local-deb [all])'");
    }
}

TEST_F(KeptPackage, IsNotWhatTheRepositoryGaveWhereThatIsNotWhatTheIndexSays) {
    ASSERT_EQ(world.run(keep()).outcome, StepOutcome::succeeded);
    std::filesystem::copy_file(kept(), on.path("whole.deb"));
    std::filesystem::remove_all(on.path("lockstep"));
    on.has("apt-get",
           "case $* in *download*) cp \"${0%/*}/offered.deb\" offered.deb ;; *) echo 'Inst "
           "lockstep-sample (2:1.0-1+local1)' ;; esac");
    const std::string sum = on.run("sha256sum <'" + on.path("whole.deb") + "'").out.substr(0, 64);
    on.has("apt-cache",
           "case $1 in\nmadison) echo 'lockstep-sample | 2:1.0-1+local1 | here' ;;\n"
           "show) echo 'SHA256: " +
               sum + "' ;;\nesac");
    // Nothing of it is installed, so that only the repository can give it.
    on.has("dpkg-query", "exit 1");
    for (const auto& [cut, outcome] :
         {std::pair{true, StepOutcome::failed}, std::pair{false, StepOutcome::succeeded}}) {
        std::filesystem::copy_file(on.path("whole.deb"),
                                   on.path("offered.deb"),
                                   std::filesystem::copy_options::overwrite_existing);
        if (cut) {
            std::ofstream(on.path("offered.deb"), std::ios::app) << "more than it should be\n";
        }
        EXPECT_EQ(world.run(keep()).outcome, outcome);
        EXPECT_FALSE(
            std::filesystem::exists(on.path("lockstep/kept/lockstep-sample=2%3a1.0-1+local1.new")));
    }
}

TEST_F(KeptPackage, CannotBeMadeAgainWhereAFileOfItIsGoneExceptForManuals) {
    write("list", "/usr/share/doc/lockstep-sample/gone\n" + root() + "\n");
    EXPECT_TRUE(plan().blocked_by.empty());
    write("list", root() + "\n" + root() + "/gone\n");
    const Preview preview = plan();
    ASSERT_EQ(ids_of(preview.blocked_by), (Names{"package.no_way_back"}));
    EXPECT_TRUE(preview.blocked_by[0].acceptable);
}

}  // namespace
}  // namespace lockstep
