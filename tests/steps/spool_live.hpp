#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/shell_quote.hpp"
#include "steps/spool/spool.hpp"
#include "steps/spool/spool_protocol.hpp"
#include "steps/spool/spool_script.hpp"
#include "tests/transport/with_sshd.hpp"

#include <gtest/gtest.h>

#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace lockstep {

/// The processes whose parent is `parent` and which are an sshd's.
inline std::vector<pid_t> sshds_of(pid_t parent) {
    std::vector<pid_t> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        std::ifstream stream(entry.path() / "stat");
        pid_t pid = 0;
        pid_t its_parent = 0;
        std::string name;
        std::string state;
        stream >> pid >> name >> state >> its_parent;
        if (stream && its_parent == parent && name.starts_with("(sshd")) {
            found.push_back(pid);
        }
    }
    return found;
}

/// Waits up to ten seconds.
inline bool eventually(const std::function<bool()>& condition) {
    for (int attempt = 0; attempt < 1000 && !condition(); ++attempt) {
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    return condition();
}

/// What a member may have: its /bin/sh, and util-linux's flock and `setsid -f` or not.
struct Member {
    std::string name;
    std::string shell;
    bool util_linux = true;

    friend void PrintTo(const Member& member, std::ostream* out) { *out << member.name; }
};

inline std::vector<Member> members() {
    std::vector<Member> there;
    for (const Member& member : {Member{"dash", "/bin/dash"},
                                 Member{"dash_alone", "/bin/dash", false},
                                 Member{"bash", "/bin/bash --posix"},
                                 Member{"busybox", "/bin/busybox sh", false}}) {
        const std::string program = member.shell.substr(0, member.shell.find(' '));
        if (::access(program.c_str(), X_OK) == 0) {
            there.push_back(member);
        }
    }
    return there;
}

inline std::string replace_all(std::string text, const std::string& from, const std::string& to) {
    for (std::size_t at = text.find(from); at != std::string::npos;
         at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
    }
    return text;
}

/// A session that changes scripts on their way.
class Rewriting final : public SshSession {
  public:
    Rewriting(SshSession& session, std::function<std::string(const std::string&)> rewrite)
        : session_(session), rewrite_(std::move(rewrite)) {}

    CommandResult run(const RemoteCommand& command,
                      Deadline deadline,
                      std::stop_token stop) override {
        RemoteCommand sent = command;
        sent.script = rewrite_(command.script);
        return session_.run(sent, deadline, std::move(stop));
    }

    [[nodiscard]] std::string peer() const override { return session_.peer(); }

  private:
    SshSession& session_;
    std::function<std::string(const std::string&)> rewrite_;
};

/// A real sshd and the real script, with the member's folders in a temporary one. A job is never a
/// unit of this machine's systemd here.
class SpoolLive : public WithSshd<testing::TestWithParam<Member>> {
  protected:
    void SetUp() override {
        WithSshd::SetUp();
        if (IsSkipped()) {
            return;
        }
        const bool root = ::geteuid() == 0;
        base_ = root ? dir_.path("lib") : sshd_->dir().path(".local/state/lockstep");
        session_ = make_ssh_session(sshd_->endpoint());
        static int count = 0;
        job_.key = "r1.step.n1." + std::to_string(++count);
        job_.scope = "orders";
        job_.fence = 5;
        job_.command.script = "echo hello";
    }

    [[nodiscard]] std::string on_member(const std::string& script) const {
        std::string text = replace_all(script, "/var/lib/lockstep", base_);
        text = replace_all(text, "/run/lockstep", dir_.path("run"));
        text = replace_all(text, "/run/systemd/system", dir_.path("none"));
        text = replace_all(text, "/bin/sh ", GetParam().shell + " ");
        if (!GetParam().util_linux) {
            text = replace_all(text, "flock", "no-such-flock");
            text = replace_all(text, "setsid -f", "setsid --no-such-option");
        }
        if (!replaced_.empty()) {
            text = replace_all(text, replaced_, replacement_);
        }
        return GetParam().shell + " -c " + shell_quote(text);
    }

    SpoolEnd run(const SpoolJob& job,
                 const std::function<void(const SpoolAccepted&)>& on_accepted = {},
                 std::chrono::milliseconds timeout = std::chrono::seconds{60}) {
        return run_on(*session_, job, on_accepted, timeout);
    }

    SpoolEnd run_on(SshSession& session,
                    const SpoolJob& job,
                    const std::function<void(const SpoolAccepted&)>& on_accepted = {},
                    std::chrono::milliseconds timeout = std::chrono::seconds{60}) {
        SystemClock clock;
        Rewriting rewriting(session,
                            [this](const std::string& script) { return on_member(script); });
        return run_spooled(rewriting, job, clock, Deadline::after(timeout), {}, on_accepted);
    }

    SpoolEnd run(const std::string& script) {
        job_.command.script = script;
        return run(job_);
    }

    /// A new connection, as another engine would have.
    SpoolEnd attach() {
        SpoolJob job = job_;
        job.attach_only = true;
        return run_on(*make_ssh_session(sshd_->endpoint()), job);
    }

    std::string out_of(const std::string& script) {
        const CommandResult result = session_->run(
            {.script = on_member(script)}, Deadline::after(std::chrono::seconds{60}), {});
        EXPECT_EQ(result.err, "");
        return result.out;
    }

    /// What the script answers to one request.
    std::string say(const std::string& request) {
        RemoteCommand command;
        command.script = on_member(spool_script());
        command.stdin_data = request;
        return session_->run(command, Deadline::after(std::chrono::seconds{60}), {}).out;
    }

    /// The path of one of the job's files.
    [[nodiscard]] std::string file(const std::string& name) const {
        return base_ + "/spool/" + job_.key + "/" + name;
    }

    /// The process named in one of the job's files, once it is there.
    [[nodiscard]] pid_t process(const std::string& name) const {
        pid_t pid = 0;
        EXPECT_TRUE(eventually([&] {
            std::istringstream words(std::filesystem::exists(file(name)) ? read_file(file(name))
                                                                         : "");
            return static_cast<bool>(words >> pid);
        })) << name;
        return pid;
    }

    static void cut_connections() {
        for (const pid_t listener : sshds_of(::getpid())) {
            for (const pid_t connection : sshds_of(listener)) {
                ::kill(connection, SIGKILL);
            }
        }
    }

    /// Whether a file below what the member keeps holds the text.
    [[nodiscard]] bool is_on_disk(const std::string& text) const {
        for (const std::string& folder : {base_, dir_.path("run")}) {
            if (!std::filesystem::exists(folder)) {
                continue;
            }
            for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
                if (entry.is_regular_file() &&
                    read_file(entry.path()).find(text) != std::string::npos) {
                    return true;
                }
            }
        }
        return false;
    }

    TempDir dir_;
    std::string base_;
    std::unique_ptr<SshSession> session_;
    SpoolJob job_;
    std::string replaced_;  ///< a piece of the script, for what cannot be had otherwise
    std::string replacement_;
};

}  // namespace lockstep
