#include "steps/spool/spool_script.hpp"

#include "base/shell_quote.hpp"
#include "steps/spool/member_folder.hpp"

namespace lockstep {

namespace {

// Builtins wherever they do: each program is a millisecond during which a cluster may be paused.
// Behind k_member_folder. `quick` is in memory; only root has it.
constexpr const char* k_quick = R"sh(
umask 077
quick=
[ ! -w /var/lib ] || quick=/run/lockstep
)sh";

// Behind k_alive. `started` has pid, start time and boot id, or `-`, who gave it up, in which
// request, and why.
constexpr const char* k_records = R"sh(
look() { [ -s "$job/started" ] && read -r pid since its_boot <"$job/started"; }
has_ended() { [ -s "$job/rc" ] && read -r word status <"$job/rc" && [ "$word" = ended ]; }
left_alone() { [ -s "$job/command" ] && read -r own born <"$job/command" && alive "$own" "$born"; }
)sh";

// What runs detached. It holds the lock from before `started` until it is gone, and the command
// does not have that descriptor, so that a daemon which the command leaves behind does not hold it.
// `started` is made with O_EXCL (set -C): of two wrappers one does nothing. A subshell and not
// another shell runs the command's shell: one program less, and /proc/self is its own. Status and
// `started` are one short write each, complete with their line end. Opening `out` closes the pipe
// at whose other end the launcher waits.
constexpr const char* k_wrapper = R"sh(
job=${0%/*} nonce=$1 in=$2
umask 077
exec 8>"$job/lock"
command -v flock >/dev/null 2>&1 && flock 8
read -r boot </proc/sys/kernel/random/boot_id
read -r stat <"/proc/$$/stat"
set -- ${stat##*") "}
set -C
printf "%s\n" "$$ ${20} $boot" >"$job/started" || exit 0
set +C
exec <"${in:-/dev/null}" >"$job/out" 2>"$job/err"
[ -z "$in" ] || rm -f "$in"
(
  read -r stat </proc/self/stat
  set -- ${stat##*") "}
  printf "%s\n" "${stat%% *} ${20}" >"$job/command"
  exec 8>&-
  umask 022
  unset INVOCATION_ID
  exec /bin/sh "$job/cmd.$nonce"
)
printf "ended %s\n" "$?" >"$job/rc"
)sh";

// `here` tells a script that ran from a sudo that refused. `withdraw` and the wrapper race for
// `started`: whoever makes it first is right, whatever else is still on its way. Given up by an
// earlier request of the same process, it may be started anew: by a request that knows of that.
constexpr const char* k_answers = R"sh(
say() { printf '\n@%s %s\n' "$nonce" "$*"; }
drop() { rm -f "$job/cmd.$nonce" ${in:+"$in"}; }
leave() { drop; say "$@"; exit 0; }
mine() { look && [ "$pid $since" = "- $me" ] && [ "${its_boot%% *}" -lt "$number" ]; }
withdraw() { (set -C; printf '%s\n' "- $me $number $*" >"$job/started") 2>/dev/null; }
nap() { sleep "$1" 2>/dev/null || sleep 1; }
)sh";

// In the order of make_request().
constexpr const char* k_request = R"sh(
nonce=$2 me=$3 number=$4 key=$5 scope=$6 fence=$7 attach=$8 limit=$9
shift 9
stream=$1 sent=$2 cmd_size=$3 in_size=$4 given=${5-}
)sh";

// dd and not head: that of busybox and of uutils reads ahead, and what it took is gone.
constexpr const char* k_receive = R"sh(
take() { dd bs="$1" count=1 iflag=fullblock 2>/dev/null; }
receive() {
  mkdir -p "$job" || leave failed "cannot make $job"
  if [ -n "$given" ]; then
    printf '%s' "$given" >"$job/cmd.$nonce" || leave failed "cannot write to $job"
    return
  fi
  take "$cmd_size" >"$job/cmd.$nonce" || leave failed "cannot write to $job"
  if [ "$in_size" -gt 0 ]; then
    in=$job/in.$nonce
    if [ -n "$quick" ] && { [ -d "$quick" ] || mkdir -p "$quick"; }; then in=$quick/$key@$nonce; fi
    take "$in_size" >"$in" || leave failed "cannot write to ${in%/*}"
  fi
  read -r last
  [ "$last" = "end $nonce" ] || { drop; exit 65; }
}
)sh";

constexpr const char* k_fence = R"sh(
patience=10
taken() { leave busy "$1 is ${2:-there}"; }
check_fence() {
  seen=0 file=$folder/fence.$scope
  [ ! -e "$file" ] || read -r seen <"$file" || :
  case $seen in ''|*[!0-9]*) leave failed "there is no number in $file" ;; esac
  [ "$seen" -le "$fence" ] || leave fenced "$seen"
  [ "$seen" -lt "$fence" ] || return 0
  printf '%s\n' "$fence" >"$file.new" && mv -f "$file.new" "$file" || leave failed "cannot write $file"
}
)sh";

// A scope (systemd-run sets INVOCATION_ID) takes the job out of the session that logind may end,
// and leaves it what a login gives: environment, limits, SELinux context. It is there until the
// last process is gone, so that daemons which the command starts by itself live on. `setsid -f`
// (util-linux 2.25) rather than `&`, because a shell without job control starts what stands before
// a `&` with SIGINT and SIGQUIT ignored, for good. `$( )` waits until the wrapper has begun or
// nobody is left who could; the guard is held meanwhile, so that under it a job has begun or not.
constexpr const char* k_launch = R"sh(
detach() {
  closed=$(setsid -f "$@" </dev/null 2>"$job/launch" 9>&-) ||
    closed=$(setsid "$@" </dev/null 2>"$job/launch" 9>&- &)
}
launch() {
  printf '%s' "$wrapper" >"$job/wrapper" || leave failed "cannot write to $job"
  printf '%s\n' "$scope" >"$job/scope"
  set -- /bin/sh "$job/wrapper" "$nonce" "$in"
  if [ -n "$quick" ] && [ -d /run/systemd/system ] && command -v systemd-run >/dev/null 2>&1; then
    detach systemd-run --quiet --scope --collect --unit="lockstep-$key.scope" \
      --description="lockstep $key" -- "$@"
  fi
  look || detach "$@"
  if ! look && withdraw "it did not start"; then
    why=''
    read -r why <"$job/launch"
    leave failed "it did not start: $why"
  fi
}
start() {
  receive
  guard
  if mine; then rm -f "$job/started"; fi
  if [ -e "$job/started" ]; then
    drop
  else
    check_fence
    launch
    found=fresh
  fi
  unguard
}
)sh";

// No sleep where there is a flock that can wait: it returns the moment the wrapper is gone. Each
// second there is a beat, by which the other side knows that the connection lives.
constexpr const char* k_follow = R"sh(
pause() {
  if [ -n "$lock" ] && [ -r "$job/lock" ]; then
    flock -w 1 -s 7 7<"$job/lock" 2>/dev/null
    case $?$lock in
      0*) has_ended || lock=; return ;;
      1sure) return ;;
      1*) case $(flock --help 2>&1) in *-w*) lock=sure; return ;; *) lock= ;; esac ;;
      *) lock= ;;
    esac
  fi
  for tenth in 1 2 3 4 5 6 7 8 9 10; do
    nap 0.1
    if has_ended; then return; fi
  done
}
send_out() {
  [ -s "$job/out" ] || return 0
  if [ "$1" != all ]; then
    size=$(wc -c <"$job/out")
    [ "$size" -le "$limit" ] || size=$limit
  else
    size=$limit
  fi
  [ "$size" -gt "$sent" ] || return 0
  say out
  if [ "$sent" = 0 ]; then
    head -c "$((size))" "$job/out"
  else
    tail -c "+$((sent + 1))" "$job/out" | head -c "$((size - sent))"
  fi
  sent=$((size))
}
follow() {
  gone='' lock=''
  ! command -v flock >/dev/null 2>&1 || lock=maybe
  until has_ended; do
    if [ "$its_boot" != "$boot" ]; then verdict="died boot $boot"; return; fi
    if alive "$pid" "$since"; then
      pause
    elif left_alone; then
      lock=
      pause
    elif [ -n "$gone" ]; then
      verdict="died gone $boot"
      return
    else
      gone=1
      continue
    fi
    if has_ended; then break; fi
    [ "$stream" = 0 ] || send_out new
    say beat
  done
  verdict="ended $status"
}
)sh";

constexpr const char* k_main = R"sh(
in='' found=adopted
if ! trust "$folder" "$folder"/* "$job" "$job"/* ${quick:+"$quick"}; then
  say failed "$untrusted"
  exit 0
fi
if look; then
  if [ "$attach" = 0 ] && mine; then start; fi
elif [ -e "$job/started" ]; then
  :
elif [ "$attach" = 0 ]; then
  start
else
  mkdir -p "$job" || leave failed "cannot make $job"
  ! withdraw "it was looked for before it began" || leave absent "$boot" "there was nothing"
  [ -e "$job/started" ] || leave failed "cannot write to $job"
fi
tries=100
until look; do
  [ "$tries" -gt 0 ] || leave died unwritten "$boot"
  tries=$((tries - 1))
  nap 0.02
done
[ "$pid" != - ] || leave absent "$boot" "${its_boot#* }"
say accepted "$its_boot" "$pid" "$found"
follow
send_out all
if [ -s "$job/err" ]; then
  say err
  head -c "$limit" "$job/err"
fi
say "$verdict"
exit 0
)sh";

std::string places() {
    return std::string(k_member_folder) + k_trust + k_quick + k_alive;
}

// Comments stay here: the text is sent each time. Root runs wrapper and cmd.* by path, and believes
// what the records say: so their owner is looked at before anything else.
std::string script_after(const std::string& request) {
    return request + k_request + "wrapper=" + shell_quote(k_wrapper) + k_answers + "say here" +
           places() + "job=$folder/spool/$key" + k_records + k_receive + k_guard + k_fence +
           k_launch + k_follow + k_main;
}

}  // namespace

std::string spool_script() {
    return script_after("read -r request || exit 64\nset -- $request");
}

std::string spool_script(const std::string& request) {
    return script_after("set -- " + request);
}

std::string spool_clean_script(const std::string& run) {
    return "(\nrun=" + shell_quote(run) + places() + k_records + R"sh(
forget() {
  job=$folder/spool/$1
  if look && [ "$its_boot" = "$boot" ] && ! has_ended && { alive "$pid" "$since" || left_alone; }; then
    return
  fi
  rm -rf -- "$job"
  [ -z "$quick" ] || rm -f -- "$quick/$1@"*
}
trust "$folder" "$folder"/* ${quick:+"$quick"} || { printf '%s\n' "$untrusted" >&2; exit 1; }
cd "$folder/spool" 2>/dev/null || exit 0
for key in "$run".*; do
  [ ! -d "$key" ] || forget "$key"
done
find . ! -name . -prune -type d -mtime +6 | while read -r key; do
  forget "${key#./}"
done
)
)sh";
}

std::string spool_list_script() {
    return "(" + places() + k_records + R"sh(
trust "$folder" "$folder"/* "$folder"/spool/* "$folder"/spool/*/* ||
  { printf '%s\n' "$untrusted" >&2; exit 1; }
cd "$folder/spool" 2>/dev/null || exit 0
now=$(date +%s)
for key in *; do
  job=$folder/spool/$key
  look && [ "$pid" != - ] || continue
  state=died
  if has_ended; then
    state=ended
  elif [ "$its_boot" = "$boot" ] && { alive "$pid" "$since" || left_alone; }; then
    state=running
  fi
  began=$(stat -c %Y "$job/started" 2>/dev/null) || continue
  printf 'spool=%s %s %s\n' "$key" "$state" "$((now - began))"
done
)
)sh";
}

}  // namespace lockstep
