#pragma once

#include "base/secret.hpp"
#include "transport/ssh_session.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace lockstep {

/// How the login becomes root.
struct SudoSettings {
    std::string user;                ///< who logs in, for what is to be said of sudoers
    std::optional<Secret> password;  ///< absent: sudo must not ask for one
};

/// A session whose scripts run as root, by sudo 1.8 and later or sudo-rs: one sudo a command, in
/// the same round trip. The password goes to sudo through a pipe of its own and is offered once:
/// a wrong one is not repeated, neither in this command nor in a later one of this session, because
/// that locks accounts. stdin and stdout are the script's alone, and of stderr what came before the
/// script (the lecture, warnings of sudo) is dropped.
///
/// run() throws what the session throws, and TransportError auth where sudo refuses: nothing of the
/// script has begun then. A first line of a script that begins with `: ` stays in front, for ps
/// and for the log of sudo.
[[nodiscard]] std::unique_ptr<SshSession> make_sudo_session(std::unique_ptr<SshSession> session,
                                                            SudoSettings settings);
/// The same over a session that is somebody else's, and that outlives it.
[[nodiscard]] std::unique_ptr<SshSession> make_sudo_session(SshSession& session,
                                                            SudoSettings settings);

/// What sudoers must have for `user`. /bin/sh is root, and nothing smaller would be honest: what
/// runs there are scripts.
[[nodiscard]] std::string sudoers_line(std::string_view user);

/// What kept sudo from starting a command.
enum class SudoTrouble {
    none,
    password_wanted,  ///< and there is none; whether the user may do it at all, sudo tells later
    password_wrong,
    not_allowed,
    tty_wanted,  ///< `Defaults requiretty`
    no_sudo,
    other,
};

/// Reads what sudo printed in the C locale (sudo 1.8 to 1.9.17: plugins/sudoers/{auth/sudo_auth,
/// logging,policy}.c, src/tgetpass.c; sudo-rs 0.2: src/common/error.rs).
[[nodiscard]] SudoTrouble sudo_trouble(std::string_view err, int exit_status);

}  // namespace lockstep
