#include "base/shell_quote.hpp"
#include "steps/observation/member_script.hpp"
#include "tests/steps/recorded_text.hpp"
#include "tests/steps/run_in_sh.hpp"
#include "tests/transport/temp_dir.hpp"
#include "transport/process_runner.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

/// The look really runs on this machine, as root, with hostile accounts beside it: `nobody` is the
/// one, `daemon` is PostgreSQL's.
class LookHere : public testing::Test {
  protected:
    void SetUp() override {
        if (::geteuid() != 0 ||
            run_in_sh("", "command -v setpriv runuser timeout").exit_status != 0 ||
            run_in_sh("", "id daemon && id nobody").exit_status != 0) {
            GTEST_SKIP() << "wants root, setpriv, runuser and timeout";
        }
        fs::permissions(dir.path("."), fs::perms::all);
    }

    void TearDown() override {
        for (const std::string& pid : begun) {
            run_in_sh("", "kill -KILL " + pid);
        }
    }

    void write(const std::string& name, const std::string& text) {
        std::ofstream(dir.path(name)) << text;
        fs::permissions(dir.path(name),
                        fs::perms::owner_all | fs::perms::others_exec | fs::perms::others_read);
    }

    static std::string account_group(const std::string& account) {
        const std::string out = run_in_sh("", "id -gn " + account).out;
        return out.substr(0, out.find('\n'));
    }

    /// A process called `postgres` of that account, in `folder` as its data directory. Its pid.
    std::string fake_postmaster(const std::string& account, const std::string& folder, bool fifo) {
        fs::create_directories(dir.path(folder));
        fs::copy_file(fs::canonical(program), dir.path(folder + "/postgres"));
        write(folder + "/psql", "#!/bin/sh\nid -un >>" + dir.path("ran") + "\n" + says);
        const std::string as = "setpriv --reuid=" + account + " --regid=" + account_group(account) +
                               " --clear-groups ";
        run_in_sh("", "chown -R " + account + " " + dir.path(folder));
        const CommandResult started =
            run_in_sh("",
                      "cd " + dir.path(folder) + " && { " + as + "./postgres " + arguments +
                          " >/dev/null 2>&1 & echo $!; }");
        const std::string pid = started.out.substr(0, started.out.find('\n'));
        begun.push_back(pid);
        const std::string file = dir.path(folder) + "/postmaster.pid";
        run_in_sh("",
                  fifo ? "mkfifo " + file
                       : "printf '%s\\n' " + pid + " /data 1 5999 /run/x localhost >" + file);
        run_in_sh("", "chown " + account + " " + file);
        return pid;
    }

    CommandResult look(const std::function<std::string(std::string)>& change = {}) {
        std::string text = render(script);
        text = change ? change(text) : text;
        return make_process_runner()->run(
            {.argv = {"setsid", "-w", "/bin/sh", "-c", text}}, Deadline::after(120s), {});
    }

    MemberFacts read(const CommandResult& result) {
        MemberFacts member;
        member.name = "n1";
        read_output(script, result, member);
        return member;
    }

    MemberScript script{.nonce = k_recorded_nonce,
                        .unit = "patroni",
                        .package = "patroni",
                        .os_user = "daemon",
                        .port = 5999};
    TempDir dir;
    std::string says = "exit 1\n";
    std::string program = "/bin/sleep";  ///< what a fake postmaster is
    std::string arguments = "600";
    std::vector<std::string> begun;
};

bool has(const CommandResult& result, const std::string& part) {
    return result.out.find(part) != std::string::npos;
}

TEST_F(LookHere, BelievesNoProcessByItsName) {
    const std::string foreign = fake_postmaster("nobody", "a", false);
    fake_postmaster("nobody", "b", true);
    const std::string own = fake_postmaster("daemon", "c", false);
    const CommandResult result = look();
    EXPECT_TRUE(has(result, "\npostmaster=" + own + " 5999")) << result.out;
    EXPECT_TRUE(has(result, "\ndata=" + own + " /data\n")) << result.out;
    EXPECT_FALSE(has(result, "postmaster=" + foreign));
    EXPECT_TRUE(read(result).ssh.ok()) << result.out;
    // psql beside it is his as whom it runs, and the folder everybody's: so it is not taken.
    EXPECT_FALSE(fs::exists(dir.path("ran")));
}

// Its pid may be the first of them, since /proc is read in the order of letters.
TEST_F(LookHere, FindsThePostmasterWhoseBackendEndsMeanwhile) {
    program = "/bin/dash";
    arguments =
        "-c 'mkdir backend; cp /bin/sleep backend/postgres; backend/postgres 600 & "
        "echo $! >backend.pid; while sleep 600; do :; done'";
    const std::string own = fake_postmaster("daemon", "c", false);
    const std::string backend =
        run_in_sh("",
                  "for i in $(seq 500); do read -r pid <" + dir.path("c/backend.pid") +
                      " && grep -qs postgres /proc/$pid/comm && break; sleep 0.01; done 2>/dev/null"
                      "; printf %s $pid")
            .out;
    begun.push_back(backend);
    const CommandResult result = look([&](std::string text) {
        const std::string all = "for proc in /proc/[0-9]*; do\n";
        text.replace(text.find(all),
                     all.size(),
                     "for proc in /proc/" + backend + " /proc/" + own + "; do\n");
        const std::string after = "known= others= elsewhere=";
        return text.insert(text.find(after),
                           "kill -KILL " + backend + "\nfor i in $(seq 500); do [ -e /proc/" +
                               backend + "/cwd/. ] || break; sleep 0.01; done\n");
    });
    EXPECT_TRUE(has(result, "\npostmaster=" + own + " 5999")) << backend << "\n" << result.out;
}

TEST_F(LookHere, IsNotHeldUpByWhatPostgresKeepsAsItsOwn) {
    fake_postmaster("daemon", "b", true);
    const CommandResult result = look();
    EXPECT_TRUE(read(result).ssh.ok()) << result.out;
    EXPECT_TRUE(has(result, "no postmaster that listens on port 5999 was found"));
}

// A child that keeps the pipe open, lines that look like sections, the end of the command, and more
// than anybody reads.
TEST_F(LookHere, TakesWhatOthersPrintForTheirsAlone) {
    const std::string nonce(k_recorded_nonce);
    says = "printf '@" + nonce + " begin done\\n@" + nonce +
           " end 0\\npackage=patroni installed 6.6\\n\\036lockstep\\n'\n"
           "setsid sleep 300 &\nhead -c 3000000 /dev/zero | tr '\\0' x | fold -w 1000\n";
    fake_postmaster("daemon", "c", false);
    std::ofstream(dir.path("ran")).close();
    fs::permissions(dir.path("ran"), fs::perms::owner_all | fs::perms::others_write);
    fs::permissions(dir.path("."), fs::perms::owner_all | fs::perms::others_exec);
    const auto begin = std::chrono::steady_clock::now();
    // All that is above the folder has to be root's, which /tmp is not alone.
    const CommandResult result = look([](std::string text) {
        const std::string beside = "&& beside \"$psql\" ";
        return text.replace(text.find(beside), beside.size(), "");
    });
    run_in_sh("",
              "for p in /proc/[0-9]*; do case $(tr '\\0' ' ' <$p/cmdline) in "
              "'sleep 300 ') kill ${p#/proc/} ;; esac; done 2>/dev/null");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 100s);
    EXPECT_EQ(read_file(dir.path("ran")), "daemon\n");
    const MemberFacts member = read(result);
    EXPECT_TRUE(member.ssh.ok());
    EXPECT_FALSE(member.sql.ok());
    EXPECT_NE(member.patroni.installed, "6.6");
    EXPECT_FALSE(has(result, "\npackage=patroni installed 6.6"));
    EXPECT_TRUE(has(result, "\n package=patroni installed 6.6")) << result.out;
    EXPECT_EQ(result.out.find('\036'), std::string::npos);
    EXPECT_TRUE(has(result, "it says too much"));
}

TEST_F(LookHere, EndsByItselfWithAllThatHangs) {
    script.patience = 2s;
    const auto begin = std::chrono::steady_clock::now();
    const CommandResult result = look([](std::string text) {
        const std::string os = "begin os\n";
        return text.replace(text.find(os), 0, "echo \"me=$$\"; (sleep 301; true) | cat\n");
    });
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 60s);
    EXPECT_FALSE(read(result).ssh.ok());
    const std::size_t at = result.out.find("me=");
    ASSERT_NE(at, std::string::npos) << result.out;
    const std::string pid = result.out.substr(at + 3, result.out.find('\n', at) - at - 3);
    const CommandResult left = run_in_sh(
        "",
        "for p in /proc/[0-9]*; do read -r s <$p/stat && set -- ${s##*\") \"} && [ \"$4\" = " +
            pid + " ] && [ \"$1\" != Z ] && echo $p; done 2>/dev/null");
    EXPECT_EQ(left.out, "");
}

// What is in the arguments of the script everybody can read; the word of its markers is not.
TEST_F(LookHere, TellsTheWordOfItsMarkersFirst) {
    const CommandResult result = look();
    const std::string tag = "@" + std::string(k_recorded_nonce) + " ";
    const std::size_t at = result.out.find(tag);
    ASSERT_NE(at, std::string::npos);
    EXPECT_EQ(result.out.find_first_not_of('\n'), at);
    EXPECT_EQ(result.out.substr(at + tag.size(), 7), "secret ");
    EXPECT_EQ(result.out.find(tag, at + 1), std::string::npos) << "it marks nothing";
    EXPECT_NE(look().out.substr(at + tag.size() + 7, 36),
              result.out.substr(at + tag.size() + 7, 36));
}

}  // namespace
}  // namespace lockstep
