# shellcheck shell=bash
# One member: a network namespace, an overlayfs on the base, a file system of its own for PostgreSQL, a container that boots systemd.
#
#   $RUN/members/n1/root      the merged file system
#                  /disk      tmpfs: what the member has changed
#                  /postgres  tmpfs of a limited size: its /var/lib/postgresql, kept over a reboot
#                  /wal       tmpfs: its pg_wal, in the variant `disks` alone
#                  /console.log, nspawn.pid, patroni.yml, hostkey, hostkey.pub

# ---- network ---------------------------------------------------------------------------------

# The bridge lives in the operator's namespace, so that no lab address exists in the host's own.
make_operator_network() {
  ip netns add "$NS_OP"
  ip -n "$NS_OP" link set lo up
  ip -n "$NS_OP" link add lab0 type bridge forward_delay 0
  ip -n "$NS_OP" address add "$OPERATOR/24" dev lab0
  ip -n "$NS_OP" link set lab0 up
}

make_member_network() {
  local member=$1 ns
  ns=$(netns_of "$member")
  ip netns add "$ns"
  ip -n "$ns" link set lo up
  ip -n "$NS_OP" link add "$member" type veth peer name eth0 netns "$ns"
  ip -n "$NS_OP" link set "$member" master lab0 up
  ip -n "$ns" address add "$(address_of "$member")/24" dev eth0
  ip -n "$ns" link set eth0 up
}

# ---- file systems ----------------------------------------------------------------------------

# make_member_files M PATRONI: mounts, and everything in /etc that is this member's own, except for Patroni's configuration.
make_member_files() {
  local member=$1 layer=$BASE/layer-$2 dir root postgres other
  dir=$(dir_of "$member")
  root=$dir/root
  mkdir -p "$dir/disk" "$dir/postgres" "$root"
  mount -t tmpfs -o mode=755,size=2G lab-disk "$dir/disk"
  mkdir "$dir/disk/changes" "$dir/disk/work"
  mount -t overlay lab-root -o "lowerdir=$layer:$BASE/root,upperdir=$dir/disk/changes,workdir=$dir/disk/work" "$root"
  postgres=$(awk -F: '$1 == "postgres" { print $3 ":" $4 }' "$root/etc/passwd")
  mount -t tmpfs -o "mode=755,size=$DISK_SIZE" lab-postgres "$dir/postgres"
  chown "$postgres" "$dir/postgres"
  make_wal_disk "$dir" "$postgres"

  tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
  echo "$member" >"$root/etc/hostname"
  {
    echo '127.0.0.1 localhost'
    for other in $(members); do echo "$(address_of "$other") $other"; done
  } >"$root/etc/hosts"
  : >"$root/etc/resolv.conf"

  install -d -m 700 "$root/root/.ssh"
  install -m 600 "$RUN/id_ed25519.pub" "$root/root/.ssh/authorized_keys"
  ssh-keygen -q -t ed25519 -N '' -C "root@$member" -f "$dir/hostkey"
  install_host_key "$member"
  enable_unit "$root"
  make_accounts "$root"
  install_certificates "$member" "$root"
  if etcd_members | grep -qx "$member"; then
    etcd_configuration "$member" >"$root/etc/default/etcd"
  else
    ln -s /dev/null "$root/etc/systemd/system/etcd.service"
  fi
  (umask 077 && patroni_configuration "$member" >"$dir/patroni.yml")
}

install_host_key() {
  local dir
  dir=$(dir_of "$1")
  install -m 600 "$dir/hostkey" "$dir/root/etc/ssh/ssh_host_ed25519_key"
  install -m 644 "$dir/hostkey.pub" "$dir/root/etc/ssh/ssh_host_ed25519_key.pub"
}

# Debian's unit waits for this file, so a member whose file is missing stays out of the cluster.
install_patroni_configuration() {
  local dir
  dir=$(dir_of "$1")
  install -m 640 -o root -g "$(awk -F: '$1 == "postgres" { print $3 }' "$dir/root/etc/group")" "$dir/patroni.yml" "$dir/root/$(patroni_file)"
}

# ---- running ---------------------------------------------------------------------------------

# The member boots under a small supervisor, in a session of its own, that boots it again after a reboot.
boot_member() {
  : >"$(dir_of "$1")/console.log"
  setsid "$LAB_DIR/lab" supervise "$1" </dev/null >>"$(dir_of "$1")/console.log" 2>&1 9>&- &
}

supervise_member() {
  local member=$1 dir root status reboot=133 wal=()
  dir=$(dir_of "$member")
  [[ ! -d $dir/wal ]] || wal=("--bind=$dir/wal:/srv/wal")
  # Everything of a member is in one cgroup per hierarchy; `down` finds it there whatever else is lost.
  for root in $(cgroup_roots); do
    mkdir -p "$root/lockstep/$LAB_NAME/$member"
    echo $$ >"$root/lockstep/$LAB_NAME/$member/cgroup.procs"
  done
  export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
  while :; do
    systemd-nspawn --quiet --directory="$dir/root" --machine="lockstep-$LAB_NAME-$member" --hostname="$member" --boot --register=no \
      --keep-unit --network-namespace-path="/run/netns/$(netns_of "$member")" --bind="$dir/postgres:/var/lib/postgresql" "${wal[@]}" \
      --resolv-conf=off --timezone=off --link-journal=no --console=pipe &
    echo $! >"$dir/nspawn.pid"
    status=0
    wait $! || status=$?
    [[ $status = "$reboot" ]] || break
  done
  rm -f "$dir/nspawn.pid"
}

# ---- the end ---------------------------------------------------------------------------------

cgroups_of_lab() {
  local root
  for root in $(cgroup_roots); do [[ ! -d $root/lockstep/$LAB_NAME ]] || echo "$root/lockstep/$LAB_NAME"; done
}

# Every process of this lab's members: what is in their cgroups, and what else runs in their network namespaces.
# `payload` limits it to what runs inside the containers.
member_processes() {
  local cgroup ns
  {
    for cgroup in $(cgroups_of_lab); do
      find "$cgroup" -path "*/${1:-}*" -name cgroup.procs -exec cat {} + 2>/dev/null || true
    done
    for ns in $(lab_netns); do [[ $ns = "$NS_OP" ]] || ip netns pids "$ns" 2>/dev/null || true; done
  } | sort -un
}

lab_netns() { ip netns list | awk -v prefix="lockstep-$LAB_NAME-" 'index($1, prefix) == 1 && $1 ~ /-(op|n[0-9]+)$/ { print $1 }'; }

# Nothing in a lab is worth an orderly shutdown: it would take ten seconds, and what it saves is thrown away next.
# Once all inside a container is gone its nspawn cleans up and ends, and its supervisor after it; what has not by then is killed too.
kill_members() {
  kill_listed payload
  wait_for 5 no_member_processes || wait_for 5 kill_and_look
}

no_member_processes() { [[ -z $(member_processes) ]]; }
kill_and_look() { kill_listed; no_member_processes; }

kill_listed() {
  local pids
  mapfile -t pids < <(member_processes "${1:-}")
  [[ ${#pids[@]} = 0 ]] || kill -KILL "${pids[@]}" 2>/dev/null || true
}

# What nspawn itself leaves in /run/systemd when it is killed; to be called while the members' roots are still mounted.
remove_nspawn_traces() {
  local root trace
  for root in "$RUN"/members/*/root; do
    [[ ! -d $root ]] || rm -f "/run/systemd/nspawn/locks/inode-$(stat -c '%d:%i' "$root")"
  done
  for trace in /run/systemd/nspawn/propagate/"lockstep-$LAB_NAME"-n[0-9]*; do [[ ! -e $trace ]] || rm -rf --one-file-system "$trace"; done
}

unmount_all() {
  local mountpoint
  awk -v dir="$RUN/" 'index($2, dir) == 1 { print $2 }' /proc/self/mounts | sort -r | while read -r mountpoint; do
    wait_for 3 umount "$mountpoint" || umount --lazy "$mountpoint" || say "lab: cannot unmount $mountpoint"
  done
}

remove_cgroups() {
  local cgroup
  for cgroup in $(cgroups_of_lab); do
    find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
    rmdir "${cgroup%/*}" 2>/dev/null || true
  done
}
