#pragma once

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

/// `job_state FOLDER` sets `state` of a spooled command to running, ended or died; false: it never
/// began. `started` holds the pid of its wrapper, the start time of that (proc(5), field 22 of
/// stat) and the boot id, or `-` where it was given up; `command` the command's own pid and start;
/// `rc` says `ended STATUS`. A pid alone may be another process by now; a zombie has ended.
inline constexpr const char* k_job_state = R"sh(
read -r boot </proc/sys/kernel/random/boot_id
alive() {
  [ -r "/proc/$1/stat" ] || return 1
  want=$2
  read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
  set -- ${stat##*") "}
  [ "${20}" = "$want" ] && [ "$1" != Z ]
}
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
