#pragma once

#include <string_view>

/// Pieces of the shell scripts that look into the folder of lockstep on a member: POSIX sh, with
/// builtins wherever they do, because a busy host has little patience for hundreds of forks.
namespace lockstep {

/// Sets `folder`: only root can write to /var/lib; any other login has a folder of its own.
inline constexpr const char* k_member_folder = R"sh(
if [ -w /var/lib ]; then
  folder=/var/lib/lockstep
else
  folder=${XDG_STATE_HOME:-$HOME/.local/state}/lockstep
fi
)sh";

/// `trust PATH...` is asked before anything below `folder` is read, written or run: what of these
/// is there has to be a plain folder or file of the account that asks, which nobody else may write
/// to. Else it is false, and `untrusted` says what is wrong with which; nothing is ever mended by
/// chmod or chown, because what somebody else could write to may hold what he wrote. Folders first:
/// below one that is not ours the rest means nothing.
inline constexpr const char* k_trust = R"sh(
trust() {
  untrusted= modes=$(stat -c "%A %U %n" -- "$@" 2>/dev/null)
  # Somebody may have made it just after it was looked for: another command of ours.
  if [ -z "$modes" ] && { [ -e "$1" ] || [ -h "$1" ]; }; then modes=$(stat -c "%A %U %n" -- "$@" 2>/dev/null); fi
  if [ -z "$modes" ] && { [ -e "$1" ] || [ -h "$1" ]; }; then modes="? ? $1"; fi
  IFS="
"
  set -f
  for line in $modes; do
    path=${line#* } owner=${path%% *} path=${path#* }
    case $line in
    l*) why="it is a symbolic link" ;;
    [!d-]*) why="it is neither a folder nor a file" ;;
    *)
      if [ ! -O "$path" ]; then why="it belongs to $owner"
      else
        case $line in ?????-??-*) continue ;; *) why="others may write to it" ;; esac
      fi ;;
    esac
    untrusted="$path is not what lockstep made: $why"
    break
  done
  set +f
  unset IFS
  [ -z "$untrusted" ]
}
)sh";

/// By these words a refusal of `trust` is known, and what is to be done about it.
inline constexpr std::string_view k_untrusted = " is not what lockstep made: ";
inline constexpr const char* k_untrusted_hint =
    "Whoever can write there could become that account, so nothing of it is read, run or changed. "
    "See who made it (a service whose StateDirectory is lockstep? The shipped units have "
    "/var/lib/lockstep-engine), and move it away on the member: `mv /var/lib/lockstep "
    "/var/lib/lockstep.found`.";

/// `guard` is held from then on, by one script of the folder at a time, the lock's and the spool's:
/// it waits for up to `patience` seconds, then calls `taken FILE [held]`, which must not return.
/// flock of busybox has no -w. Without any flock a folder is the guard; what is left of it after a
/// crash is for a person to remove, since nobody can tell it from one that is held. `unguard` gives
/// it back, as the end of the script does.
inline constexpr const char* k_guard = R"sh(
guard() {
  if command -v flock >/dev/null 2>&1; then
    exec 9>>"$folder/guard"
    flock -w "$patience" 9 2>/dev/null || flock -n 9 || taken "$folder/guard" held
    return
  fi
  give_up=$(($(date +%s) + patience))
  until mkdir -- "$folder/guard.d" 2>/dev/null; do
    [ "$(date +%s)" -lt "$give_up" ] || taken "$folder/guard.d"
    sleep 0.1 2>/dev/null || sleep 1
  done
  trap 'rmdir -- "$folder/guard.d"' EXIT
  trap 'exit 1' HUP INT TERM
  guarded=folder
}
unguard() {
  if [ "${guarded-}" != folder ]; then exec 9>&-; return; fi
  guarded=
  rmdir -- "$folder/guard.d"
  trap - EXIT HUP INT TERM
}
)sh";

/// Sets `boot`, and `alive PID START` tells whether that process is still there: START is its start
/// time (proc(5), field 22 of stat, in ticks since boot). A pid alone may be another process by
/// now; a zombie has ended.
inline constexpr const char* k_alive = R"sh(
read -r boot </proc/sys/kernel/random/boot_id
alive() {
  [ -r "/proc/$1/stat" ] || return 1
  want=$2
  read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
  set -- ${stat##*") "}
  [ "${20}" = "$want" ] && [ "$1" != Z ]
}
)sh";

/// Behind k_alive. `job_state FOLDER` sets `state` of a spooled command to running, ended or died;
/// false: it never began. `started` holds the pid and start of its wrapper and the boot id, or `-`
/// where it was given up; `command` the command's own pid and start; `rc` says `ended STATUS`.
inline constexpr const char* k_job_state = R"sh(
job_state() {
  [ -s "$1/started" ] && read -r pid born its_boot <"$1/started" && [ "$pid" != - ] || return 1
  state=died
  if [ -s "$1/rc" ] && read -r word rest <"$1/rc" && [ "$word" = ended ]; then
    state=ended
  elif [ "$its_boot" != "$boot" ]; then
    :
  elif alive "$pid" "$born"; then
    state=running
  elif [ -s "$1/command" ] && read -r pid born <"$1/command" && alive "$pid" "$born"; then
    state=running
  fi
}
)sh";

}  // namespace lockstep
