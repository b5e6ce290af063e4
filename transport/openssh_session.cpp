#include "transport/openssh_session.hpp"

#include "base/error.hpp"
#include "base/shell_quote.hpp"
#include "base/text.hpp"
#include "base/unique_fd.hpp"
#include "transport/encoding.hpp"
#include "transport/exec_output.hpp"
#include "transport/exec_trailer.hpp"
#include "transport/login_gate.hpp"
#include "transport/process_runner.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

namespace lockstep {

namespace {

namespace fs = std::filesystem;
using Kind = TransportError::Kind;
using std::chrono::milliseconds;

constexpr milliseconds k_master_timeout{40'000};
constexpr milliseconds k_goodbye_timeout{2'000};

// ssh says it before anything of a command is sent, when it does not find the master.
constexpr std::string_view k_no_master = "lockstep: no master for ";

bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

/// What ssh complained of, in one line: the last two lines that say something.
std::string last_words(const std::string& err) {
    std::istringstream lines(err);
    std::vector<std::string> said;
    for (std::string line; std::getline(lines, line);) {
        while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) {
            line.pop_back();
        }
        if (!line.empty() && !line.starts_with("@@@") && !line.starts_with("@  ")) {
            said.push_back(line);
        }
    }
    std::string text;
    for (std::size_t n = said.size() > 2 ? said.size() - 2 : 0; n < said.size(); ++n) {
        text += (text.empty() ? "" : "; ") + said[n];
    }
    return text.empty() ? "ssh does not say why" : text;
}

constexpr std::string_view k_folder_name = "lockstep-";
constexpr const char* k_owner_file = "owner";

/// A file that is locked for as long as its process lives, whatever ends that. Invalid where
/// somebody else has it, or it cannot be opened.
UniqueFd lock_owner_file(const std::string& folder, int flags) {
    UniqueFd file(::open(
        (folder + "/" + k_owner_file).c_str(), flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600));
    return file && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0 ? std::move(file) : UniqueFd();
}

/// What engines that were killed have left in a folder: their masters end by themselves
/// (ControlPersist), and nobody uses their sockets any more. A folder without the file is of
/// somebody who is about to make it.
void remove_leftovers(const fs::path& parent) {
    std::error_code ignored;
    for (fs::directory_iterator each(parent, ignored), end; !ignored && each != end;
         each.increment(ignored)) {
        const std::string path = each->path().string();

        struct stat seen {};

        const bool ours = each->path().filename().string().starts_with(k_folder_name) &&
                          ::lstat(path.c_str(), &seen) == 0 && S_ISDIR(seen.st_mode) &&
                          seen.st_uid == ::geteuid() && (seen.st_mode & 0777U) == S_IRWXU;
        if (ours && lock_owner_file(path, 0)) {
            std::error_code failed;
            fs::remove_all(path, failed);
        }
    }
}

/// A folder of this session alone, for the master's socket. Short: a socket's path has 108 bytes,
/// of which ssh takes 17 for a temporary name.
class PrivateFolder {
  public:
    PrivateFolder() {
        // Nobody changes the environment while workers run.
        const char* runtime = std::getenv("XDG_RUNTIME_DIR");  // NOLINT(concurrency-mt-unsafe)
        constexpr std::size_t k_longest = 40;
        const bool has_own =
            runtime != nullptr && *runtime == '/' && std::string_view(runtime).size() < k_longest;
        static std::once_flag once;
        std::call_once(once, [&] {
            for (const char* parent : {has_own ? runtime : "/tmp", "/tmp"}) {
                remove_leftovers(parent);
            }
        });
        if (!(has_own && make_in(runtime)) && !make_in("/tmp")) {
            throw Error("cannot create a folder in /tmp for ssh's control socket");
        }
    }

    ~PrivateFolder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }

    PrivateFolder(const PrivateFolder&) = delete;
    PrivateFolder& operator=(const PrivateFolder&) = delete;
    PrivateFolder(PrivateFolder&&) = delete;
    PrivateFolder& operator=(PrivateFolder&&) = delete;

    [[nodiscard]] std::string file(std::string_view name) const {
        return path_ + "/" + std::string(name);
    }

  private:
    bool make_in(const std::string& parent) {
        std::string name = parent + "/" + std::string(k_folder_name) + "XXXXXX";
        if (::mkdtemp(name.data()) == nullptr) {
            return false;
        }
        path_ = name;
        owner_ = lock_owner_file(path_, O_CREAT);
        return true;
    }

    std::string path_;
    UniqueFd owner_;
};

class OpensshSession final : public SshSession {
  public:
    OpensshSession(SshEndpoint endpoint, const SshRoute& route)
        : endpoint_(std::move(endpoint)),
          peer_(route.peer()),
          bastion_(route.bastion),
          processes_(make_process_runner()) {}

    ~OpensshSession() override {
        if (is_up_) {
            say_goodbye();
        }
    }

    OpensshSession(const OpensshSession&) = delete;
    OpensshSession& operator=(const OpensshSession&) = delete;
    OpensshSession(OpensshSession&&) = delete;
    OpensshSession& operator=(OpensshSession&&) = delete;

    CommandResult run(const RemoteCommand& command,
                      Deadline deadline,
                      std::stop_token stop) override;

    [[nodiscard]] std::string peer() const override { return peer_; }

    [[nodiscard]] std::string_view client() const override { return "openssh"; }

  private:
    /// The result; nothing when the master did not take it, and `refusal_` says why.
    std::optional<CommandResult> attempt(const RemoteCommand& command,
                                         Deadline deadline,
                                         const std::stop_token& stop);
    void log_in(Deadline deadline, const std::stop_token& stop);
    CommandResult start_master(Deadline deadline, const std::stop_token& stop);
    void give_passphrase(LocalCommand& master);
    [[noreturn]] void throw_refused(const std::string& err) const;
    void say_goodbye() noexcept;
    [[nodiscard]] std::vector<std::string> words(
        std::initializer_list<std::string_view> options) const;

    SshEndpoint endpoint_;
    std::string peer_;
    std::string bastion_;
    std::unique_ptr<ProcessRunner> processes_;
    PrivateFolder folder_;
    bool is_up_ = false;
    std::string refusal_;
};

/// ssh with what every call of ours has. What it must not do is said first, and so counts.
std::vector<std::string> OpensshSession::words(
    std::initializer_list<std::string_view> options) const {
    std::vector<std::string> argv{"ssh", "-S", folder_.file("s"), "-T"};
    for (const std::string_view option : {"StrictHostKeyChecking=yes",
                                          "LogLevel=ERROR",
                                          "ClearAllForwardings=yes",
                                          "ForwardAgent=no",
                                          "ForwardX11=no",
                                          "PermitLocalCommand=no",
                                          "RemoteCommand=none",
                                          "UpdateHostKeys=no",
                                          "AddKeysToAgent=no",
                                          "EscapeChar=none",
                                          "ServerAliveInterval=15",
                                          "ServerAliveCountMax=3"}) {
        argv.insert(argv.end(), {"-o", std::string(option)});
    }
    for (const std::string_view option : options) {
        argv.insert(argv.end(), {"-o", std::string(option)});
    }
    if (!endpoint_.known_hosts.empty()) {
        std::string files = "UserKnownHostsFile=";
        for (const std::string& path : endpoint_.known_hosts) {
            files += "\"" + path + "\" ";
        }
        argv.insert(argv.end(), {"-o", files, "-o", "GlobalKnownHostsFile=none"});
    }
    if (!endpoint_.use_agent) {
        argv.insert(argv.end(), {"-o", "IdentityAgent=none"});
    }
    for (const std::string& path : endpoint_.identity_files) {
        argv.insert(argv.end(), {"-i", path});
    }
    const std::vector<std::string> given = ssh_config_options(endpoint_);
    argv.insert(argv.end(), given.begin(), given.end());
    return argv;
}

CommandResult OpensshSession::run(const RemoteCommand& command,
                                  Deadline deadline,
                                  std::stop_token stop) {
    const bool was_up = is_up_;
    if (!is_up_) {
        log_in(deadline, stop);
    }
    std::optional<CommandResult> result = attempt(command, deadline, stop);
    if (!result && was_up) {  // the master died meanwhile; nothing was sent
        log_in(deadline, stop);
        result = attempt(command, deadline, stop);
    }
    if (!result) {
        const bool sessions = has(refusal_, "Session open refused");
        throw TransportError(
            Kind::connect,
            peer_ + ": cannot open a session: " + refusal_,
            sessions ? "Check MaxSessions in the server's sshd_config."
                     : "The connection was lost right after the login: check the host.");
    }
    return std::move(*result);
}

std::optional<CommandResult> OpensshSession::attempt(const RemoteCommand& command,
                                                     Deadline deadline,
                                                     const std::stop_token& stop) {
    const std::string nonce = random_hex(k_nonce_bytes);
    ExecOutput output(command, nonce);
    LocalCommand ssh;
    // Without its master ssh would log in anew. It gets no further than this ProxyCommand, which
    // keeps its stdout open until it has spoken: ssh ends when that is closed.
    const std::string no_way =
        "ProxyCommand=sh -c 'echo \"" + std::string(k_no_master) + nonce + "\" >&2; exit 1'";
    ssh.argv = words({"BatchMode=yes", "ControlMaster=no", "ProxyJump=none", no_way});
    ssh.argv.insert(ssh.argv.end(), {"--", endpoint_.host, wrap_script(command.script, nonce)});
    ssh.stdin_data = command.stdin_data;
    ssh.quiet_limit = command.quiet_limit;
    ssh.on_output = [&output](OutputStream stream, std::string_view piece) {
        if (stream == OutputStream::out) {
            output.take_out(piece);
        } else {
            output.take_err(piece);
        }
        return !output.complete();
    };
    const auto begin = Deadline::SteadyClock::now();
    try {
        processes_->run(ssh, deadline, stop);
    } catch (const TransportError& error) {
        switch (error.kind()) {
            case Kind::timeout:
                throw TransportError(Kind::timeout,
                                     peer_ + ": out of time while the command ran",
                                     "It may still be running there.");
            case Kind::cancelled:
                throw TransportError(Kind::cancelled, peer_ + ": cancelled while the command ran");
            case Kind::lost:
                throw_lost(
                    peer_,
                    "nothing was heard for " + std::to_string(command.quiet_limit.count()) + " ms");
            default:
                throw;
        }
    }
    if (!output.has_status() && has(output.err(), std::string(k_no_master) + nonce)) {
        is_up_ = false;
        refusal_ = last_words(output.err().substr(0, output.err().find(k_no_master)));
        return std::nullopt;
    }
    return output.finish(
        peer_, std::chrono::duration_cast<milliseconds>(Deadline::SteadyClock::now() - begin));
}

/// Connects and logs in. Refused connections, and those closed at once, are tried again.
void OpensshSession::log_in(Deadline deadline, const std::stop_token& stop) {
    const Deadline patience = deadline.within(k_master_timeout);
    LoginGate& gate = LoginGate::of_process();
    for (int attempt = 1;; ++attempt) {
        {
            const LoginGate::Pass pass = gate.enter(bastion_, patience, stop);
            const CommandResult result = start_master(patience, stop);
            if (result.ok()) {
                is_up_ = true;
                return;
            }
            const bool dropped =
                has_any(result.err, {"kex_exchange_identification", "banner exchange: Connection"});
            const bool again = dropped || has(result.err, "Connection refused");
            if (!again || attempt == k_most_login_attempts || patience.expired()) {
                throw_refused(result.err);
            }
            if (dropped) {
                gate.slow_down(bastion_);
            }
        }
        back_off(attempt, peer_, patience, stop);
    }
}

CommandResult OpensshSession::start_master(Deadline deadline, const std::stop_token& stop) {
    std::error_code ignored;
    fs::remove(folder_.file("s"), ignored);  // of one that was killed
    LocalCommand master;
    const std::string patience = "ConnectTimeout=10";
    const bool asks = endpoint_.passphrase.has_value();
    master.argv = words({asks ? "BatchMode=no" : "BatchMode=yes",
                         "ControlMaster=yes",
                         "ControlPersist=30",
                         "PasswordAuthentication=no",
                         "KbdInteractiveAuthentication=no",
                         patience});
    // -f: it ends as soon as the login has worked, and a process in the background has it.
    master.argv.insert(master.argv.end(), {"-N", "-f", "--", endpoint_.host});
    master.leaves_daemon = true;
    if (asks) {
        give_passphrase(master);
    }
    try {
        return processes_->run(master, deadline, stop);
    } catch (const TransportError& error) {
        if (error.kind() == Kind::connect) {
            throw TransportError(Kind::connect,
                                 peer_ + ": " + error.what(),
                                 "Install OpenSSH's client, or set ssh.client: libssh2.");
        }
        throw TransportError(  // nothing but a login was under way
            error.kind() == Kind::cancelled ? Kind::cancelled : Kind::connect,
            peer_ + (error.kind() == Kind::cancelled ? ": cancelled while connecting"
                                                     : ": out of time while connecting"),
            "Check that the host is up and that no firewall is between.");
    }
}

/// ssh asks a program for it (SSH_ASKPASS_REQUIRE: OpenSSH 8.4), which has it from the environment:
/// only this user and root can read that.
void OpensshSession::give_passphrase(LocalCommand& master) {
    const std::string program = folder_.file("askpass");
    if (std::ofstream(program) << "#!/bin/sh\nprintf '%s\\n' \"$LOCKSTEP_PASSPHRASE\"\n") {
        ::chmod(program.c_str(), S_IRWXU);
    }
    master.env = {{"SSH_ASKPASS", program},
                  {"SSH_ASKPASS_REQUIRE", "force"},
                  {"LOCKSTEP_PASSPHRASE", endpoint_.passphrase->reveal()}};
}

void OpensshSession::throw_refused(const std::string& err) const {
    const std::string what = peer_ + ": ssh: " + last_words(err);
    if (has_any(err,
                {"Host key verification failed",
                 "HOST IDENTIFICATION HAS CHANGED",
                 "host key is known for",
                 "REVOKED HOST KEY"})) {
        const bool changed = has_any(err, {"HAS CHANGED", "REVOKED"});
        throw TransportError(
            Kind::host_key,
            what,
            changed ? "Somebody may be in between. If the host was reinstalled, remove the old key "
                      "with ssh-keygen -R and add the new one."
                    : "Compare the fingerprint with ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub on "
                      "the host, then add the key to known_hosts: ssh-keyscan " +
                          shell_quote(endpoint_.host));
    }
    if (has_any(err, {"Permission denied", "Too many authentication failures", "sign_and_send"})) {
        throw TransportError(Kind::auth,
                             what,
                             "Try it by hand: `ssh -v " + peer_.substr(0, peer_.rfind(':')) +
                                 " true`. It shows which keys are offered and what the server "
                                 "says.");
    }
    std::string hint = "Check that the host is up and that no firewall is between.";
    if (has(err, "Connection refused")) {
        hint = "Check that sshd runs on the host and listens on this port.";
    } else if (has(err, "kex_exchange_identification")) {
        hint =
            "The server may have too many logins at once (sshd's MaxStartups), or punish this "
            "address (PerSourcePenalties).";
    } else if (has(err, "no matching")) {
        hint = "Let the server offer one of ours, or allow the old one in ssh's configuration.";
    }
    throw TransportError(Kind::connect, what, hint);
}

void OpensshSession::say_goodbye() noexcept {
    try {
        LocalCommand bye;
        bye.argv = words({"BatchMode=yes", "ProxyCommand=none"});
        bye.argv.insert(bye.argv.end(), {"-O", "exit", "--", endpoint_.host});
        processes_->run(bye, Deadline::after(k_goodbye_timeout), {});
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): it ends by itself
    }
}

}  // namespace

std::unique_ptr<SshSession> make_openssh_session(SshEndpoint endpoint, const SshRoute& route) {
    return std::make_unique<OpensshSession>(std::move(endpoint), route);
}

}  // namespace lockstep
