#include "transport/sudo_session.hpp"

#include "base/error.hpp"
#include "base/shell_quote.hpp"
#include "base/text.hpp"
#include "transport/encoding.hpp"
#include "transport/exec_trailer.hpp"

#include <array>
#include <utility>

namespace lockstep {

namespace {

// sudo reads the password from a pipe that ends with it. Were it in front of the script's own
// input, then after a wrong one sudo would take the next lines for further attempts, and after
// none at all (NOPASSWD) the script would get it. sudo closes what is beyond stderr, so root opens
// the script's input anew, through /proc: for that it has to be a pipe, which sshd's need not be.
constexpr const char* k_with_password = R"sh(IFS= read -r password
case $(command -v printf) in printf) ;; *) echo 'the shell has no printf of its own' >&2; exit 1 ;; esac
cat | {
exec 3<&0
read -r self rest </proc/self/stat
printf '%s\n' "$password" | LC_ALL=C sudo -S -p '' -- /bin/sh -c )sh";
constexpr const char* k_with_password_end = " sh \"$self\"\n}";
constexpr const char* k_take_input = "exec <\"/proc/$1/fd/3\"\nshift\n";

std::string marker(std::string_view nonce) {
    return "\036root " + std::string(nonce) + "\n";
}

/// The script with a mark on stderr in front: where that is missing, sudo did not start it.
std::string announced(std::string_view script, std::string_view nonce, bool with_password) {
    std::string label;
    if (script.starts_with(": ")) {
        const std::size_t end = script.find('\n');
        label = std::string(script.substr(0, end)) + "\n";
        script.remove_prefix(end == std::string_view::npos ? script.size() : end + 1);
    }
    std::string text = label;
    text += with_password ? k_take_input : "";
    text += "unset LC_ALL; printf '\\036root %s\\n' " + std::string(nonce) + " >&2\n";
    return text + std::string(script);
}

std::string under_sudo(std::string_view script, std::string_view nonce, bool with_password) {
    const std::string text = shell_quote(announced(script, nonce, with_password));
    if (with_password) {
        return k_with_password + text + k_with_password_end;
    }
    return "LC_ALL=C sudo -n -- /bin/sh -c " + text;
}

/// The last line of sudo's own, else the last that says something: before it may be a lecture.
std::string last_word(std::string_view err) {
    std::string_view last;
    std::string_view of_sudo;
    while (!err.empty()) {
        const std::size_t end = err.find('\n');
        const std::string_view line = err.substr(0, end);
        err.remove_prefix(end == std::string_view::npos ? err.size() : end + 1);
        last = line.find_first_not_of(" \t\r") == std::string_view::npos ? last : line;
        of_sudo = line.starts_with("sudo: ") ? line : of_sudo;
    }
    constexpr std::size_t k_longest = 300;
    return without_secrets(std::string(of_sudo.empty() ? last : of_sudo)).substr(0, k_longest);
}

class SudoSession final : public SshSession {
  public:
    SudoSession(std::unique_ptr<SshSession> owned, SshSession& session, SudoSettings settings)
        : owned_(std::move(owned)), session_(session), settings_(std::move(settings)) {}

    CommandResult run(const RemoteCommand& command,
                      Deadline deadline,
                      std::stop_token stop) override {
        if (was_wrong_) {
            refuse(SudoTrouble::password_wrong, {});
        }
        const std::string nonce = random_hex(k_nonce_bytes);
        RemoteCommand sent = command;
        sent.script = under_sudo(command.script, nonce, settings_.password.has_value());
        if (settings_.password) {
            sent.stdin_data = settings_.password->reveal() + "\n" + command.stdin_data;
        }
        CommandResult result = session_.run(sent, deadline, std::move(stop));
        const std::string mark = marker(nonce);
        const std::size_t at = result.err.find(mark);
        if (at == std::string::npos) {
            refuse(sudo_trouble(result.err, result.exit_status), result.err);
        }
        result.err.erase(0, at + mark.size());
        return result;
    }

    [[nodiscard]] std::string peer() const override { return session_.peer(); }

    [[nodiscard]] std::string_view client() const override { return session_.client(); }

  private:
    [[noreturn]] void refuse(SudoTrouble trouble, std::string_view err);

    std::unique_ptr<SshSession> owned_;
    SshSession& session_;
    SudoSettings settings_;
    bool was_wrong_ = false;
};

void SudoSession::refuse(SudoTrouble trouble, std::string_view err) {
    const std::string& user = settings_.user;
    const std::string line = sudoers_line(user);
    const std::string by_visudo =
        "allow it with `visudo -f /etc/sudoers.d/lockstep` there: `" + line + "`";
    std::string what;
    std::string hint;
    switch (trouble) {
        case SudoTrouble::password_wanted:
            what = "sudo wants a password of " + user;
            hint = "Give it by ssh.become_password in the inventory, or " + by_visudo +
                   ". Without the password sudo does not tell whether " + user +
                   " may become root at all.";
            break;
        case SudoTrouble::password_wrong:
            was_wrong_ = true;
            what = "sudo does not take the password of " + user;
            hint =
                "Check ssh.become_password in the inventory; only a first line counts. It was "
                "offered once and is not tried again.";
            break;
        case SudoTrouble::not_allowed:
            what = "sudo does not allow " + user + " to become root";
            hint = "Log in as somebody who may, or " + by_visudo + ".";
            break;
        case SudoTrouble::tty_wanted:
            what = "sudo wants a terminal (requiretty), which a program has not";
            hint = "Put `Defaults:" + user +
                   " !requiretty` into the sudoers there, by `visudo -f " +
                   "/etc/sudoers.d/lockstep`.";
            break;
        case SudoTrouble::no_sudo:
            what = "there is no sudo";
            hint = "Install it there, or log in as root (ssh.user).";
            break;
        case SudoTrouble::none:
        case SudoTrouble::other:
            what = "sudo has not started the command: " +
                   (err.empty() ? std::string("it says nothing") : last_word(err));
            hint = "Try it there as " + user + ": `sudo -- /bin/sh -c id`.";
            break;
    }
    throw TransportError(TransportError::Kind::auth, peer() + ": " + what, hint);
}

}  // namespace

std::string sudoers_line(std::string_view user) {
    return std::string(user) + " ALL=(root) NOPASSWD: /bin/sh";
}

SudoTrouble sudo_trouble(std::string_view err, int exit_status) {
    // After a wrong password sudo finds its pipe empty and complains of that, too.
    if (has_any(err,
                {"incorrect password attempt",
                 "Sorry, try again",
                 "incorrect authentication attempt",
                 "Authentication failed, try again"})) {
        return SudoTrouble::password_wrong;
    }
    if (has_any(err, {"must have a tty", "a terminal is required to run sudo"})) {
        return SudoTrouble::tty_wanted;
    }
    if (has_any(err,
                {"not in the sudoers file",
                 "is not allowed to execute",
                 "is not allowed to run sudo",
                 "may not run sudo",
                 "I'm afraid I can't do that"})) {
        return SudoTrouble::not_allowed;
    }
    if (has_any(err,
                {"a password is required",
                 "no password was provided",
                 "interactive authentication is required"})) {
        return SudoTrouble::password_wanted;
    }
    constexpr int k_not_found = 127;
    if (exit_status == k_not_found) {
        return SudoTrouble::no_sudo;
    }
    return SudoTrouble::other;
}

std::unique_ptr<SshSession> make_sudo_session(std::unique_ptr<SshSession> session,
                                              SudoSettings settings) {
    SshSession& inner = *session;
    return std::make_unique<SudoSession>(std::move(session), inner, std::move(settings));
}

std::unique_ptr<SshSession> make_sudo_session(SshSession& session, SudoSettings settings) {
    return std::make_unique<SudoSession>(nullptr, session, std::move(settings));
}

}  // namespace lockstep
