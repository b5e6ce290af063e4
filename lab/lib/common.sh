# shellcheck shell=bash disable=SC2034 # used by the other parts
# What every part of the lab needs: where things are, how to fail, how to wait, how to reach a member.

LAB_NAME=${LOCKSTEP_LAB:-lab}
RUN=${LOCKSTEP_LAB_RUN:-/run/lockstep-lab/$LAB_NAME}
CACHE=${LOCKSTEP_LAB_CACHE:-/var/cache/lockstep-lab}
DISK_SIZE=${LOCKSTEP_LAB_DISK:-3G}       # size limit of a member's /var/lib/postgresql

# RFC 2544 addresses. They exist only inside the lab's own network namespaces.
SUBNET=198.18.0
OPERATOR=$SUBNET.1
NS_OP=lockstep-$LAB_NAME-op

[[ $LAB_NAME =~ ^[a-z][a-z0-9]{0,15}$ ]] || { echo "lab: LOCKSTEP_LAB is '$LAB_NAME'; it takes lower-case letters and digits" >&2; exit 2; }

say() { printf '%s\n' "$*" >&2; }

# die WHAT [HINT]: ends the command with what is wrong, and what to do about it.
die() {
  printf 'lab: %s\n' "$1" >&2
  [[ $# -lt 2 ]] || printf 'HINT: %s\n' "$2" >&2
  exit 1
}

usage_error() {
  printf 'lab: %s\n' "$1" >&2
  printf "HINT: see 'lab/lab help'\n" >&2
  exit 2
}

# wait_for SECONDS COMMAND...: repeats the command until it succeeds; fails when the time is over.
wait_for() {
  local deadline=$((${EPOCHREALTIME//[!0-9]/} + $1 * 1000000))
  shift
  until "$@" >/dev/null 2>&1; do
    ((${EPOCHREALTIME//[!0-9]/} < deadline)) || return 1
    sleep 0.3
  done
}

# in_parallel FUNCTION ARGUMENT...: runs FUNCTION once per argument, side by side; fails if one failed.
in_parallel() {
  local call=$1 argument pids=() failed=0 pid
  shift
  for argument; do
    "$call" "$argument" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  return $failed
}

# ---- what this lab is ------------------------------------------------------------------------

# Sets MEMBER_COUNT, BASE, UP_COUNT, UP_LEADER, UP_REPLICA (upstream Patroni versions asked for by `up`), VARIANTS.
load_settings() {
  require_root
  [[ -f $RUN/settings ]] || die "no lab '$LAB_NAME' is up" "start one with: lab/lab up"
  # shellcheck source=/dev/null
  source "$RUN/settings"
  VARIANTS=$(cat "$RUN/variants" 2>/dev/null) || VARIANTS=""
}

members() { seq -f 'n%g' 1 "$MEMBER_COUNT"; }
replicas() { members | tail -n +2; }
address_of() { echo "$SUBNET.$((10 + ${1#n}))"; }
netns_of() { echo "lockstep-$LAB_NAME-$1"; }
dir_of() { echo "$RUN/members/$1"; }

require_member() {
  [[ $1 =~ ^n[0-9]+$ && ${1#n} -ge 1 && ${1#n} -le $MEMBER_COUNT ]] ||
    usage_error "there is no member '$1'; this lab has: $(members | xargs)"
}

# ---- how to reach it -------------------------------------------------------------------------

# in_op COMMAND...: runs a command on the operator's side of the lab's network.
in_op() { nsenter --net="/run/netns/$NS_OP" -- "$@"; }

# Prints the process id (here) of a member's init; fails when the member is not running.
init_of() {
  local nspawn child
  { read -r nspawn <"$(dir_of "$1")/nspawn.pid"; } 2>/dev/null || return 1
  # A kernel without this list needs pgrep, which looks at every process there is.
  for child in $(cat "/proc/$nspawn/task/$nspawn/children" 2>/dev/null || pgrep -P "$nspawn"); do
    [[ $(cat "/proc/$child/comm" 2>/dev/null) != systemd ]] || { echo "$child"; return; }
  done
  return 1
}

# in_member M COMMAND...: runs a command inside a member without its network or sshd, so that it also works on a broken one.
in_member() {
  local member=$1 init
  shift
  init=$(init_of "$member") || { say "lab: $member is not running"; return 1; }
  nsenter --target "$init" --mount --uts --ipc --net --pid --cgroup --wdns=/ -- \
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" "$@"
}

# sql M QUERY: one query as the superuser on a member, bare values out.
sql() {
  # shellcheck disable=SC2046
  in_member "$1" env $(psql_environment) timeout 60 runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -c "$2"
}

# rest METHOD M PATH [JSON]: a Patroni REST call with the lab's credentials; the body goes to stdout.
rest() {
  local method=$1 member=$2 path=$3 body=() api_options
  [[ $# -lt 4 ]] || body=(--header 'Content-Type: application/json' --data "$4")
  set_api_options
  # The password goes through a file descriptor: it must not show in a process list.
  in_op curl "${api_options[@]}" --show-error --fail-with-body --max-time "${REST_TIMEOUT:-30}" --request "$method" "${body[@]}" \
    --config <(printf 'user = "admin:%s"\n' "$(<"$RUN/rest.password")") "$(api_url "$member")$path"
}

# rest_view M [PATH]: a quick unauthenticated GET; quiet about a member that does not answer.
rest_view() {
  local api_options
  set_api_options
  in_op curl "${api_options[@]}" --max-time 3 "$(api_url "$1")${2:-/patroni}"
}

ssh_options() {
  printf '%s\n' -F /dev/null -i "$RUN/id_ed25519" -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=5 \
    -o "UserKnownHostsFile=$RUN/known_hosts" -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes -o LogLevel=ERROR
}

# Prints the member that holds the leader lock, as any member sees it; fails when nobody does.
leader() {
  local member name other
  for member in $(members); do
    name=$(rest_view "$member" /cluster | jq -er '.members[] | select(.role == "leader") | .name' 2>/dev/null) || continue
    for other in $(members); do [[ $(patroni_name "$other") != "$name" ]] || echo "$other"; done
    return 0
  done
  return 1
}

# ---- one change at a time --------------------------------------------------------------------

# take_lock NAME SECONDS: an exclusive lock held until this process ends (children must close descriptor 9).
take_lock() {
  mkdir -p "$CACHE/locks"
  exec 9>"$CACHE/locks/$1"
  flock --wait "$2" 9 || die "another lab command has held '$1' for more than $2 s" "wait for it, or look for it with: fuser $CACHE/locks/$1"
}

new_password() { head -c 24 /dev/urandom | base64 | tr -d '+/=\n'; }

require_root() {
  [[ $(id -u) = 0 ]] || die "the lab must be run as root: it makes network namespaces, mounts and containers" "run it with sudo"
}

check_host() {
  local tool missing=()
  require_root
  for tool in mmdebstrap openssl systemd-nspawn ip dpkg-scanpackages ssh ssh-keygen curl jq psql python3 nsenter flock setsid pgrep; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  [[ ${#missing[@]} = 0 ]] || die "missing: ${missing[*]}" "./setup --lab installs what the lab needs"
  unshare --mount --net true 2>/dev/null ||
    die "this machine does not let root make mount and network namespaces" "a container needs to be privileged for the lab (CAP_SYS_ADMIN, CAP_NET_ADMIN)"
  grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null ||
    die "this kernel has no overlayfs" "load or build the module 'overlay'"
  [[ -n $(cgroup_roots) ]] || die "no cgroup2 hierarchy is mounted" "members need one for their systemd: mount -t cgroup2 none /sys/fs/cgroup/unified"
}

# The places where a member gets a cgroup of its own: cgroup2, and on an older layout systemd's v1 hierarchy too.
cgroup_roots() {
  local root
  for root in /sys/fs/cgroup /sys/fs/cgroup/unified; do
    [[ $(stat -f -c %T "$root" 2>/dev/null) != cgroup2fs ]] || echo "$root"
  done
  [[ ! -d /sys/fs/cgroup/systemd ]] || echo /sys/fs/cgroup/systemd
}
