#pragma once

#include "steps/actions/action.hpp"

#include <optional>
#include <string>

/// The daemon's own word, on its own host, in the very command that counts on it. What REST said
/// before may have been said by somebody in between; nobody is between a process and the sockets
/// that the kernel says are its own, and the command goes where SSH has proven to lead.
///
/// It is asked by a Python program (daemon_program()), since where a Patroni runs there is its
/// Python, with the user and the certificate of the daemon itself. So nothing secret is sent, and
/// TLS wants no settings. Refused is what contradicts (another name, scope or system identifier,
/// not paused) and what cannot be found out: a daemon that listens and does not answer. Allowed is
/// what cannot do harm:
///   - the unit has no process: nothing runs that could stop PostgreSQL, or fail over by ending;
///   - its Patroni listens nowhere: before its REST API is there its loop has not begun (`Patroni`
///     makes the API, then runs; patroni/__main__.py, 2.1 to 4.1). So it waits for its DCS, or
///     crashes again and again.
/// A unit that runs no Patroni at all is neither.
namespace lockstep {

enum class DaemonMust {
    be_paused,  ///< or not run
    /// The same, or be silent: for the way back from a daemon that hangs, in a pause of this run.
    /// What is taken back was begun only after the daemon before had said, here, that it is paused.
    be_paused_or_silent,
    hold_the_lock,  ///< run, be paused, and lead: for whoever lifts the pause
    lead_anyhow,    ///< run and lead, paused or not: for whoever moves the leader
};

/// Shell text that asks, and ends the script with status 77 and a line `refused=WHY` where the
/// answer is not that. It is to stand before anything that changes something.
[[nodiscard]] std::string ask_daemon_script(const MemberFacts& member,
                                            const ClusterFacts& facts,
                                            const Cluster& cluster,
                                            DaemonMust must);

/// The result of a step whose script ended so; nullopt: it did not. `what`: `its Patroni was not
/// restarted`.
[[nodiscard]] std::optional<StepResult> refused_by_daemon(const std::string& member,
                                                          const CommandResult& done,
                                                          const std::string& what);

/// Asks the member's daemon over SSH, by a command of its own. Why it must not be done; empty: it
/// may.
[[nodiscard]] std::string ask_daemon(ActionContext& context,
                                     const MemberFacts& member,
                                     DaemonMust must);

}  // namespace lockstep
