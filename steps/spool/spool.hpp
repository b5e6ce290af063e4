#pragma once

/// steps/spool/: starts commands on members, follows them, and adopts what an earlier engine left.
/// What a command does, and what its end means for a step, is for the action. Read this file first,
/// then spool_protocol.hpp, and spool_script.cpp for the member's side.

#include "base/clock.hpp"
#include "base/deadline.hpp"
#include "transport/ssh_session.hpp"

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

/// Commands that change a member run there detached: started once by key, and alive without SSH and
/// without us. What became of one is kept on the member until the run's entries are cleaned, so
/// that whoever comes next adopts the real result.
///
/// On the member, below `/var/lib/lockstep` for root and `$XDG_STATE_HOME/lockstep` (or
/// `~/.local/state/lockstep`) for others, 0700:
///   guard           held (flock) while something is started or a fence is written
///   fence.SCOPE     the greatest fence seen for a cluster, in decimal; `SCOPE` as by
///                   member_file_name()
///   spool/KEY/      one job: `started` (process, its start time, boot id; can be made only once),
///                   `command` (the command's own process), `out`, `err`, `rc`, `cmd.*`, `wrapper`
/// stdin goes to `/run/lockstep` (memory) where that can be written, and is unlinked before the
/// command begins. A job is a session of its own (setsid), and where there is systemd and we are
/// root a unit `lockstep-KEY.scope`, so that it outlives the login.
namespace lockstep {

struct SpoolJob {
    std::string key;     ///< names this attempt; `[A-Za-z0-9._-]`, e.g. `RUN.step.member.attempt`
    std::string scope;   ///< the cluster's Patroni scope: whose fence counts
    std::int64_t fence;  ///< of our lock; a member that has seen a greater one starts nothing
    RemoteCommand command;  ///< script and stdin (which may hold secrets); umask 022, cwd and
                            ///< environment of the login. Output that was sent already is not sent
                            ///< to on_output again.
    bool attach_only = false;  ///< never starts anything: only what is there already is followed
};

struct SpoolAccepted {
    std::string boot_id;
    std::int64_t pid = 0;                 ///< of the shell that waits for the command
    bool found_running_or_ended = false;  ///< it was there already: what comes of it is adopted
};

/// What became of a job.
struct SpoolEnd {
    enum class Kind {
        ended,   ///< it has an exit status, in `result`
        absent,  ///< attach_only, and the member has never begun it. It will not, either: a start
                 ///< that is still on its way is refused. This process may start the key anew.
        fenced,  ///< refused, and nothing begun: a newer lock was seen
        died,  ///< it began and is gone without a status (reboot, kill): `result` has what it said
    };

    Kind kind = Kind::died;
    CommandResult result;  ///< `took` is how long we waited here
    std::string why;       ///< for all but `ended`: a phrase for the operator
    bool adopted = false;  ///< it had been started before we (last) asked
    std::string boot_id;   ///< the member's now; may be empty when `ended` or `fenced`
};

/// Starts or follows the job over `session` until it ended, the deadline, or a stop; the job itself
/// goes on at a deadline and at a stop. Reconnects after a lost connection as long as the deadline
/// allows, and never starts twice. Runs as who the session is. Calls `on_accepted` once, as soon
/// as the member has it.
/// Throws TransportError: connect, auth and host_key only if it certainly never reached the member,
/// else lost, timeout and cancelled. Throws Error if it could not be started: nothing has begun.
[[nodiscard]] SpoolEnd run_spooled(SshSession& session,
                                   const SpoolJob& job,
                                   Clock& clock,
                                   Deadline deadline,
                                   std::stop_token stop,
                                   const std::function<void(const SpoolAccepted&)>& on_accepted);

/// `name` as a part of a file's name, of `[A-Za-z0-9._-]` alone. Names made of these stay as they
/// are; others get a hash, so that no two are the same.
[[nodiscard]] std::string member_file_name(std::string_view name);

/// Removes the entries whose key begins with `RUN.`, and all that are older than seven days; what
/// still runs stays. For the account that ran the jobs.
[[nodiscard]] std::string spool_clean_script(const std::string& run);

/// Prints a line `spool=KEY running|ended|died AGE_SECONDS` for each job that began, and nothing
/// else. A text of its own shell: it may stand in a longer script.
[[nodiscard]] std::string spool_list_script();

}  // namespace lockstep
