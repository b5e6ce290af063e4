# shellcheck shell=bash
# What can go wrong with a cluster, on purpose and reversibly. Each fault is a pair break_KIND and mend_KIND; `reset` mends all of them.

fault_kinds() {
  cat <<'EOF'
usage: lab/lab break KIND M [ARGUMENT]    lab/lab mend KIND M

  stop-patroni M         the unit is stopped: outside a pause PostgreSQL stops with it
  kill-patroni M         SIGKILL, and the unit does not start it again: PostgreSQL runs on without Patroni
  freeze-patroni M       SIGSTOP
  freeze M PROCESS       SIGSTOP to every process of that name on the member (sshd, etcd, postgres, ...)
  stale-patroni M V      the package of Patroni V is installed, the daemon not restarted
  repository M [V]       apt knows no package any more; with V: not this one of Patroni's (a package version)
  stop-etcd M|all        the DCS member is stopped; all: no DCS any more
  stop-sshd M            no new SSH connection; those that are open stay
  drop-ssh M             every open SSH connection is ended, what runs under it goes on; new ones are let in
  host-key M             the member has another SSH host key than known_hosts says
  cut M [SECONDS]        the member is off the network, for good or for that long
  close-rest M           the REST API of the member answers to other members alone, and not to the operator
  power-off M            the host is off; mend boots it
  reboot M               the host boots again; nothing to mend
  fill-disk M [PERCENT]  /var/lib/postgresql is full up to that much (default 95)
  stop-replication M     the replica cannot reach any other member's PostgreSQL; REST, SSH and etcd go on
  orphan-slot M [MB]     slot 'legacy' on a replica holds that much WAL there (default 200)
  pause M                somebody else has paused the cluster (asked through M)
  no-leader M            the cluster is paused and the leader M has lost its Patroni: PostgreSQL writes, nobody holds the lock
EOF
}

# fault break|mend KIND M [ARGUMENT]
fault() {
  local direction=$1 kind=${2-} member=${3-}
  [[ -n $kind ]] || { fault_kinds; return 0; }
  load_settings
  declare -F "${direction}_${kind//-/_}" >/dev/null || usage_error "there is no fault '$kind'; 'lab/lab break' lists them"
  [[ $kind = stop-etcd && $member = all ]] || require_member "$member"
  "${direction}_${kind//-/_}" "$member" "${@:4}"
}

# ---- Patroni ---------------------------------------------------------------------------------

break_stop_patroni() { in_member "$1" timeout 60 systemctl stop patroni; }
mend_stop_patroni() { in_member "$1" sh -c 'systemctl reset-failed patroni 2>/dev/null; timeout 60 systemctl start patroni'; }

break_kill_patroni() {
  in_member "$1" sh -ec '
    mkdir -p /run/systemd/system/patroni.service.d
    printf "[Service]\nRestart=no\n" >/run/systemd/system/patroni.service.d/lab.conf
    systemctl daemon-reload
    systemctl kill --kill-whom=main --signal=KILL patroni'
  wait_for 5 patroni_is_dead "$1"
}
patroni_is_dead() { ! in_member "$1" systemctl is-active --quiet patroni; }
mend_kill_patroni() {
  in_member "$1" sh -c 'rm -rf /run/systemd/system/patroni.service.d; systemctl daemon-reload; systemctl reset-failed patroni 2>/dev/null'
  mend_stop_patroni "$1"
}

break_freeze_patroni() { in_member "$1" systemctl kill --kill-whom=main --signal=STOP patroni; }
mend_freeze_patroni() { in_member "$1" systemctl kill --kill-whom=main --signal=CONT patroni; }

# The postinst would restart the daemon; policy-rc.d is Debian's way to forbid it.
break_stale_patroni() {
  local version
  version=$(package_version "${2-}")
  in_member "$1" timeout 60 env DEBIAN_FRONTEND=noninteractive sh -ec '
    trap "rm -f /usr/sbin/policy-rc.d" EXIT
    printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    apt-get install -y -qq -o Dpkg::Use-Pty=0 --allow-downgrades "patroni=$1" >/dev/null
    systemctl daemon-reload' sh "$version"
}
mend_stale_patroni() { in_member "$1" timeout 60 systemctl restart patroni; }

# ---- packages --------------------------------------------------------------------------------

# Another repository takes the place of the real one, so that this lasts over a reboot.
break_repository() {
  in_member "$1" timeout 30 sh -ec '
    [ -z "$1" ] || grep -Fxq "Version: $1" /srv/packages/Packages
    rm -rf /srv/hidden
    mkdir /srv/hidden
    if [ -n "$1" ]; then
      ln -s /srv/packages/*.deb /srv/hidden/
      awk -v RS= -v ORS="\n\n" -v version="$1" "!(/^Package: patroni\n/ && index(\$0 \"\n\", \"\nVersion: \" version \"\n\"))" /srv/packages/Packages >/srv/hidden/Packages
    else
      : >/srv/hidden/Packages
    fi
    sed -i "s,file:/srv/[a-z]*,file:/srv/hidden," /etc/apt/sources.list.d/lab.sources
    apt-get update -qq' sh "${2-}" || die "the repository of $1 cannot be hidden" "the package versions are: lab/lab ssh $1 apt-cache madison patroni"
}
mend_repository() {
  in_member "$1" timeout 30 sh -ec '
    [ -d /srv/hidden ] || exit 0
    sed -i "s,file:/srv/[a-z]*,file:/srv/packages," /etc/apt/sources.list.d/lab.sources
    apt-get update -qq
    rm -r /srv/hidden'
}

# ---- the host --------------------------------------------------------------------------------

break_freeze() {
  [[ -n ${2-} ]] || usage_error "break freeze needs the name of a process"
  in_member "$1" sh -ec 'pids=$(pgrep -x "$1"); kill -STOP $pids' sh "$2" || die "no process '$2' could be frozen on $1"
}
mend_freeze() {
  in_member "$1" sh -c 'for process in /proc/[0-9]*; do
    if grep -q "^State:[[:space:]]*T" "$process/status" 2>/dev/null; then kill -CONT "${process#/proc/}"; fi
  done'
}

break_stop_etcd() { each_etcd "$1" stop; }
mend_stop_etcd() { each_etcd "$1" start; }
each_etcd() {
  local member
  # Without a quorum a start does not return, and the first one started has none.
  for member in $(etcd_members); do
    [[ $1 != all && $1 != "$member" ]] || in_member "$member" timeout 30 systemctl --no-block "$2" etcd
  done
}

break_stop_sshd() { in_member "$1" systemctl stop ssh.service; }
mend_stop_sshd() { in_member "$1" systemctl start ssh.service; }

break_drop_ssh() { in_member "$1" sh -c 'pids=$(pgrep -x sshd-session) && kill -KILL $pids' || say "lab: nobody is connected to $1"; }
mend_drop_ssh() { :; }

break_host_key() {
  in_member "$1" sh -ec 'rm -f /etc/ssh/ssh_host_ed25519_key*; ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key; systemctl restart ssh.service'
}
mend_host_key() { restore_host_key "$1"; }
restore_host_key() {
  install_host_key "$1"
  in_member "$1" systemctl restart ssh.service
}

break_power_off() {
  in_member "$1" systemctl --no-block poweroff 2>/dev/null || true
  wait_for 60 is_off "$1" || die "$1 does not power off within 60 s"
}
is_off() { [[ ! -e $(dir_of "$1")/nspawn.pid ]]; }
mend_power_off() {
  init_of "$1" >/dev/null || boot_member "$1"
  wait_for 20 has_booted "$1" || die "$1 does not boot within 20 s" "its console is $(dir_of "$1")/console.log"
}
break_reboot() {
  local init
  init=$(init_of "$1") || die "$1 is not running"
  # systemctl may lose its connection to a systemd that is quicker than it.
  in_member "$1" systemctl --no-block reboot 2>/dev/null || true
  wait_for 60 process_gone "$init" || die "$1 does not go down for its reboot within 60 s"
}
mend_reboot() { wait_for 60 has_booted "$1" || die "$1 is not back within 60 s"; }

# ---- network and disk ------------------------------------------------------------------------

break_cut() {
  local member=$1 seconds=${2-}
  mend_cut "$member"
  ip -n "$NS_OP" link set "$member" down
  if [[ -n $seconds ]]; then
    [[ $seconds =~ ^[0-9]+(\.[0-9]+)?$ ]] || usage_error "break cut: '$seconds' is no number of seconds"
    mkdir -p "$RUN/timers"
    setsid sh -c 'sleep "$1"; ip -n "$2" link set "$3" up; rm -f "$4"' sh "$seconds" "$NS_OP" "$member" "$RUN/timers/$member" </dev/null >/dev/null 2>&1 &
    echo "$! $(start_time $!)" >"$RUN/timers/$member"
  fi
}
mend_cut() {
  [[ ! -e $RUN/timers/$1 ]] || end_process "$RUN/timers/$1"
  rm -f "$RUN/timers/$1"
  reconnect "$1"
}
reconnect() {
  ip -n "$NS_OP" link set "$1" up
  mend_close_rest "$1"
}

break_close_rest() { ip -n "$NS_OP" rule add to "$(address_of "$1")" ipproto tcp dport 8008 unreachable; }
mend_close_rest() {
  while ip -n "$NS_OP" rule del to "$(address_of "$1")" ipproto tcp dport 8008 2>/dev/null; do :; done
}

break_fill_disk() {
  local percent=${2:-95} directory filler
  [[ $percent =~ ^[0-9]+$ && $percent -le 100 ]] || usage_error "break fill-disk: '$percent' is no percentage"
  directory=$(dir_of "$1")/postgres
  filler=$directory/lab-filler
  rm -f "$filler"
  local size used wanted
  read -r size used < <(df --block-size=1 --output=size,used "$directory" | tail -n 1)
  wanted=$((size * percent / 100 - used))
  [[ $percent -lt 100 ]] || wanted=$((size - used))
  ((wanted > 0)) || die "the disk of $1 is fuller than $percent% already"
  fallocate --length "$wanted" "$filler"
}
mend_fill_disk() { rm -f "$(dir_of "$1")/postgres/lab-filler"; }

# A routing rule refuses what goes to a PostgreSQL port elsewhere. The rule also keeps the end of the open connection from
# the other side, so both ends are ended.
break_stop_replication() {
  unblock_replication "$1"
  ip -n "$(netns_of "$1")" rule add priority 100 to "$SUBNET.0/24" ipproto tcp dport 5432 prohibit
  local receiver other
  receiver=$(sql "$1" "select pid from pg_stat_wal_receiver") || true
  [[ -z $receiver ]] || in_member "$1" kill -TERM "$receiver"
  for other in $(members); do
    sql "$other" "select pg_terminate_backend(pid) from pg_stat_replication where application_name = '$1'" >/dev/null || true
  done
}
mend_stop_replication() { unblock_replication "$1"; }
unblock_replication() {
  while ip -n "$(netns_of "$1")" rule delete priority 100 2>/dev/null; do :; done
}

# ---- the cluster -----------------------------------------------------------------------------

break_pause() {
  wait_for 10 patch_configuration "$1" '{"pause": true}' || die "the pause cannot be written through $1"
  wait_for 10 paused_everywhere || say "lab: the pause is written, but not every member has seen it within 10 s"
}
mend_pause() { wait_for 10 patch_configuration "$1" '{"pause": null}' || die "the pause cannot be taken back through $1"; }

break_no_leader() {
  holds_lock "$1" || die "$1 is not the leader" "the leader is: $(leader || echo nobody)"
  break_pause "$1"
  break_stop_patroni "$1"
  # The lock would expire by itself after its ttl of 20 s.
  etcdctl_on_a_member del /service/lab/leader >/dev/null
}
mend_no_leader() {
  mend_stop_patroni "$1"
  wait_for 30 holds_lock "$1" || die "$1 has not taken the leader lock again within 30 s"
  mend_pause "$1"
}

break_orphan_slot() {
  local member=$1 megabytes=${2:-200} lead
  lead=$(leader) || die "the cluster has no leader"
  [[ $member != "$lead" ]] || usage_error "break orphan-slot: $member is the leader; take a replica"
  sql "$member" "select pg_create_physical_replication_slot('legacy', true)" >/dev/null
  # Each round fills one WAL segment of 16 MB.
  sql "$lead" "do \$\$ begin for round in 1..greatest(1, ceil($megabytes / 16.0)::int) loop
      perform pg_logical_emit_message(false, 'lab', 'orphan-slot'); perform pg_switch_wal(); end loop; end \$\$"
  # The other replicas let go of their WAL only after Patroni has moved their own slots, one loop later.
  # Each keeps up to 100 MB anyway, for its checkpoints and for reuse.
  wait_for 30 holds_more_wal_than_its_peers "$member" $((megabytes - 100)) || say "lab: $member does not hold that much more WAL than its peers"
  for member in $(members); do echo "$member: pg_wal $(wal_size "$member") MB"; done
}
wal_size() { sql "$1" "select sum(size) / 1048576 from pg_ls_waldir()" | cut -d. -f1; }
holds_more_wal_than_its_peers() {
  local own peer
  checkpoint_everywhere || return 1
  own=$(wal_size "$1")
  for peer in $(members); do [[ $peer = "$1" || $(($(wal_size "$peer") + $2)) -le $own ]] || return 1; done
}
mend_orphan_slot() {
  sql "$1" "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = 'legacy'" >/dev/null
  checkpoint_everywhere
}

# WAL of a replica goes only at a restartpoint, and that needs a checkpoint of the leader that the replica has replayed.
checkpoint_everywhere() {
  local lead member position
  lead=$(leader) || return 1
  sql "$lead" checkpoint
  position=$(sql "$lead" "select pg_current_wal_lsn()")
  for member in $(members); do
    [[ $member != "$lead" ]] || continue
    wait_for 20 has_replayed "$member" "$position" || { say "lab: $member has not replayed $position within 20 s"; return 1; }
    sql "$member" checkpoint
  done
}
has_replayed() { [[ $(sql "$1" "select pg_last_wal_replay_lsn() >= '$2'") = t ]]; }
