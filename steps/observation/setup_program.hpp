#pragma once

#include "cluster/facts.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>

/// What Patroni was set up with on a member: asked by its own Python, there.
namespace lockstep {

/// The beginning of a program for Python 2.7 and 3, given the daemon's pid: read() takes up its
/// configuration, setting() and whose() look into that, and ask(path, seconds) asks its REST API,
/// on this host, at the very sockets of the process.
[[nodiscard]] const std::string& daemon_program();

/// A whole one, whose pid may be 0. It prints one line of JSON, and of the configuration nothing
/// but what it names: no credentials, and of postgresql.parameters only numbers, booleans and
/// single words whose names do not speak of commands, keys or passwords. Where the daemon answers,
/// a second line has what it says of the cluster.
[[nodiscard]] const std::string& setup_program();

/// Shell text. `find_python` sets, for the process `daemon` (0: none), `python`: its interpreter as
/// it was called, since /proc/PID/exe of a virtual environment is the system's Python, which lacks
/// its modules; `owner`: its account; and `as`: the words in front that make it run as that
/// account, for what that account may choose is nothing to run as root. `uid`, whose shell it is,
/// is set before. `bounded SECONDS COMMAND...` ends what takes longer, where there is a `timeout`.
inline constexpr const char* k_find_python = R"sh(
bounded() { if command -v timeout >/dev/null; then timeout -k 1 "$@"; else shift; "$@"; fi; }
find_python() {
  python=python3 owner= as=
  [ "${daemon:-0}" != 0 ] || return 0
  first=$(bounded 2 tr "\0" "\n" <"/proc/$daemon/cmdline") owner=$(stat -c %U "/proc/$daemon")
  first=${first%%"
"*}
  for word in "$first" "$(readlink "/proc/$daemon/exe")"; do
    case $word in /*/python*) if [ -x "$word" ]; then python=$word; break; fi ;; esac
  done
  if [ "$uid" = 0 ] && [ -n "$owner" ] && [ "$owner" != root ]; then as="runuser -u $owner --"; fi
}
)sh";

/// What that line says.
[[nodiscard]] SetupFacts setup_of(const nlohmann::json& body);

}  // namespace lockstep
