#include "transport/sudo_session.hpp"

#include "base/error.hpp"
#include "tests/transport/here_session.hpp"
#include "tests/transport/temp_dir.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace lockstep {
namespace {

// Does what sudo does with its descriptors, its pipe and its words, and counts what it is offered.
constexpr const char* k_sudo = R"sh(#!/bin/sh
here=${0%/*} ask=
read -r mode <"$here/mode"
for word; do
  case $word in -n) ask=no ;; -S) ask=yes ;; --) break ;; esac
done
until [ "$1" = -- ]; do shift; done
shift
exec 3<&-
printf 'We trust you have received the usual lecture.\n    #1) Respect the privacy of others.\n' >&2
case $mode in
  free) exec "$@" ;;
  tty) echo 'sudo: sorry, you must have a tty to run sudo' >&2; exit 1 ;;
  foreign) echo 'ops is not in the sudoers file.' >&2; exit 1 ;;
esac
if [ "$ask" = no ]; then echo 'sudo: a password is required' >&2; exit 1; fi
tries=0
while IFS= read -r given; do
  tries=$((tries + 1))
  printf '%s\n' "$given" >>"$here/offered"
  if [ "$given" = 's3 cr\et"' ]; then exec "$@"; fi
  echo 'Sorry, try again.' >&2
done
echo 'sudo: no password was provided' >&2
echo "sudo: $tries incorrect password attempt" >&2
exit 1
)sh";

class SudoSession : public testing::Test {
  protected:
    SudoSession() {
        std::ofstream(dir_.path("sudo")) << k_sudo;
        std::filesystem::permissions(dir_.path("sudo"), std::filesystem::perms::owner_all);
    }

    void sudo_is(const std::string& mode) const {
        std::ofstream(dir_.path("mode")) << mode << "\n";
    }

    void has_password(const std::string& password) {
        root_ = make_sudo_session(here_, {.user = "ops", .password = Secret(password)});
    }

    CommandResult run(const std::string& script, const std::string& input = {}) {
        return root_->run(
            {.script = script, .stdin_data = input}, Deadline::after(std::chrono::seconds{30}), {});
    }

    /// The message and the hint with which it is refused; it must be so before anything is done.
    std::string refusal() {
        const std::string trace = dir_.path("trace");
        try {
            run("touch " + trace);
            ADD_FAILURE() << "not refused";
        } catch (const TransportError& error) {
            EXPECT_EQ(error.kind(), TransportError::Kind::auth);
            EXPECT_FALSE(std::filesystem::exists(trace));
            return std::string(error.what()) + " / " + error.hint();
        }
        return {};
    }

    TempDir dir_;
    HereSession here_{dir_.path("") + ":/usr/bin:/bin"};
    std::unique_ptr<SshSession> root_ = make_sudo_session(here_, {.user = "ops"});
    const std::string password_ = "s3 cr\\et\"";
};

void expect_in(const std::string& text, std::initializer_list<const char*> pieces) {
    for (const char* piece : pieces) {
        EXPECT_NE(text.find(piece), std::string::npos) << piece << " is not in: " << text;
    }
}

TEST_F(SudoSession, GivesAScriptItsOwnInputOutputAndStatus) {
    sudo_is("free");
    const CommandResult result = run("cat; echo 'it''s' \"$#\"; echo bad >&2; exit 3", "line\n");
    EXPECT_EQ(result.out, "line\nits 0\n");
    EXPECT_EQ(result.err, "bad\n");  // and no lecture
    EXPECT_EQ(result.exit_status, 3);
}

TEST_F(SudoSession, HandsThePasswordToSudoAndNothingOfItToTheScript) {
    has_password(password_);
    for (const char* mode : {"asks", "free"}) {
        sudo_is(mode);
        const CommandResult result = run("cat; echo \"$#\"; echo bad >&2; exit 3", "line\nend");
        EXPECT_EQ(result.out, "line\nend0\n") << mode;
        EXPECT_EQ(result.err, "bad\n") << mode;
        EXPECT_EQ(result.exit_status, 3) << mode;
    }
    for (const std::string& script : here_.scripts) {
        EXPECT_EQ(script.find("s3 cr"), std::string::npos);
    }
}

TEST_F(SudoSession, TakesALongInputThatTheScriptDoesNotRead) {
    has_password(password_);
    sudo_is("asks");
    EXPECT_EQ(run("echo done", std::string(300'000, 'x')).out, "done\n");
    const CommandResult read = run("wc -c", std::string(300'000, 'x'));
    EXPECT_EQ(std::stoi(read.out), 300'000);
}

TEST_F(SudoSession, OffersAWrongPasswordOnceAndNeverAgain) {
    has_password("wrong");
    sudo_is("asks");
    expect_in(refusal(), {"does not take the password of ops", "become_password"});
    expect_in(refusal(), {"does not take the password of ops"});
    EXPECT_EQ(read_file(dir_.path("offered")), "wrong\n");
    EXPECT_EQ(here_.scripts.size(), 1U);
}

TEST_F(SudoSession, TellsWhyItCannotBecomeRoot) {
    sudo_is("asks");
    expect_in(refusal(),
              {"sudo wants a password of ops",
               "ssh.become_password",
               "`ops ALL=(root) NOPASSWD: /bin/sh`"});
    sudo_is("foreign");
    expect_in(refusal(), {"does not allow ops", "`ops ALL=(root) NOPASSWD: /bin/sh`"});
    sudo_is("tty");
    expect_in(refusal(), {"requiretty", "`Defaults:ops !requiretty`"});
    std::filesystem::remove(dir_.path("sudo"));
    if (std::filesystem::exists("/usr/bin/sudo") || std::filesystem::exists("/bin/sudo")) {
        GTEST_SKIP() << "this machine has a sudo of its own";
    }
    expect_in(refusal(), {"there is no sudo"});
}

TEST_F(SudoSession, KeepsALabelInFront) {
    sudo_is("free");
    EXPECT_EQ(run(": lockstep r1.n1\necho x").out, "x\n");
    expect_in(here_.scripts.back(), {"-c ': lockstep r1.n1\n"});
}

TEST(SudoTrouble, IsReadFromWhatSudoSays) {
    const std::vector<std::pair<std::string, SudoTrouble>> said{
        {"Sorry, try again.\nsudo: no password was provided\nsudo: 1 incorrect password attempt\n",
         SudoTrouble::password_wrong},
        {"sudo: Authentication failed, try again.\n", SudoTrouble::password_wrong},
        {"sudo: a password is required\n", SudoTrouble::password_wanted},
        {"sudo: interactive authentication is required\n", SudoTrouble::password_wanted},
        {"ops is not in the sudoers file.  This incident will be reported.\n",
         SudoTrouble::not_allowed},
        {"Sorry, user ops is not allowed to execute '/bin/sh -c id' as root on n1.\n",
         SudoTrouble::not_allowed},
        {"Sorry, user ops may not run sudo on n1.\n", SudoTrouble::not_allowed},
        {"sudo: I'm sorry ops. I'm afraid I can't do that\n", SudoTrouble::not_allowed},
        {"sudo: sorry, you must have a tty to run sudo\n", SudoTrouble::tty_wanted},
        {"sudo: /usr/bin/sudo must be owned by uid 0 and have the setuid bit set\n",
         SudoTrouble::other},
    };
    for (const auto& [text, trouble] : said) {
        EXPECT_EQ(sudo_trouble(text, 1), trouble) << text;
    }
    EXPECT_EQ(sudo_trouble("/bin/sh: 1: sudo: not found\n", 127), SudoTrouble::no_sudo);
}

}  // namespace
}  // namespace lockstep
