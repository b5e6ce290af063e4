# shellcheck shell=bash
# reset: from whatever a test has left back to a healthy cluster that n1 leads, in the versions asked for.
# It mends what it can name and rebuilds the lab when that does not lead there in time.

RESET_SECONDS=45

cluster_reset() {
  local started=$SECONDS
  check_host
  take_lock "lab-$LAB_NAME" 300
  load_settings
  local leader_patroni=$UP_LEADER replica_patroni=$UP_REPLICA reach="" variants=""
  while [[ $# -gt 0 ]]; do
    case $1 in
      --leader-patroni) leader_patroni=${2-} ;;
      --replica-patroni) replica_patroni=${2-} ;;
      --reach) reach=${2-} ;;
      --variant) variants=$(variant_list "${2-}") ;;
      *) usage_error "reset: unknown option '$1'" ;;
    esac
    shift 2 || usage_error "reset: the last option lacks its value"
  done
  package_version "$leader_patroni" >/dev/null
  package_version "$replica_patroni" >/dev/null

  reset_stage="taking back the variants $VARIANTS"
  if [[ $(built_of "$VARIANTS") != $(built_of "$variants") ]]; then
    build_afresh "$(members_for "$variants" "$UP_COUNT")" "$leader_patroni" "$replica_patroni" "$reach" "$variants"
  elif take_variants_back && set_reach "$reach" && reset_in_place "$leader_patroni" "$replica_patroni"; then
    say "lab '$LAB_NAME' is reset after $((SECONDS - started)) s: $(running_versions)"
  else
    say "lab: $reset_stage did not succeed after $((SECONDS - started)) s ($(why_not_ready | paste -sd';'))"
    [[ -z ${LOCKSTEP_LAB_KEEP:-} ]] || die "the cluster is left as it is (LOCKSTEP_LAB_KEEP is set)"
    say "building the cluster afresh"
    build_afresh "$MEMBER_COUNT" "$leader_patroni" "$replica_patroni" "$reach" "$variants"
  fi
  vary "$variants"
}

# build_afresh COUNT LEADER_PATRONI REPLICA_PATRONI REACH VARIANTS
build_afresh() {
  local up_leader=$UP_LEADER up_replica=$UP_REPLICA
  build_cluster "$1" "$2" "$3" "$4" "$(built_of "$5")"
  UP_LEADER=$up_leader UP_REPLICA=$up_replica
  save_settings
}

# within: runs wait_for with what is left of the time for a reset.
within() { wait_for $((reset_deadline > SECONDS ? reset_deadline - SECONDS : 1)) "$@"; }

# patiently: like within, but replicas that do not stream after a while are made anew from the leader. A replica whose history
# has parted from the leader's on the same timeline would wait for ever; Patroni 3.0.2 brings that about when its leader comes
# back from behind a cut link and takes the lock from its successor.
patiently() {
  wait_for 8 "$@" || {
    reinitialize_stragglers
    within "$@"
  }
}

reset_in_place() {
  local leader_patroni=$1 replica_patroni=$2 file
  reset_deadline=$((SECONDS + RESET_SECONDS))
  reset_stage="ending the lab's own helpers"
  for file in "$RUN"/writer/pid "$RUN"/timers/*; do [[ ! -e $file ]] || end_process "$file"; done

  reset_stage="mending the hosts"
  # shellcheck disable=SC2046
  in_parallel mend_host $(member_packages "$leader_patroni" "$replica_patroni") || return 1
  reset_stage="waiting for Patroni on every member"
  within patroni_answers_everywhere || return 1
  reset_stage="waiting until members publish how they are reached"
  within addresses_published || return 1
  reset_stage="restoring Patroni's dynamic configuration"
  within restore_dynamic_configuration || return 1
  reset_stage="waiting for a leader"
  within leader || return 1
  cancel_scheduled
  reset_stage="giving the leadership to n1"
  holds_lock n1 || patiently lead_with_n1 || return 1
  reset_stage="changing Patroni versions"
  change_versions "$leader_patroni" "$replica_patroni" || return 1
  reset_stage="waiting until every replica streams"
  patiently cluster_ready || return 1
  reset_stage="dropping foreign slots"
  drop_foreign_slots
}

# ---- hosts -----------------------------------------------------------------------------------

# member_packages LEADER REPLICA: lines "member=package version" of what each is to have.
member_packages() {
  local member
  for member in $(members); do echo "$member=$(package_version "$([[ $member = n1 ]] && echo "$1" || echo "$2")")"; done
}

# mend_host M=PACKAGE-VERSION: that version is installed only where the daemon of the present one cannot start.
mend_host() {
  local member=${1%%=*} dir
  dir=$(dir_of "$member")
  reconnect "$member"
  unblock_replication "$member"
  rm -f "$dir/postgres/lab-filler"
  install_sudoers "$dir/root"
  if ! init_of "$member" >/dev/null; then boot_member "$member"; fi
  wait_for 20 has_booted "$member" || { say "lab: $member does not boot"; return 1; }
  cmp -s "$dir/hostkey" "$dir/root/etc/ssh/ssh_host_ed25519_key" || restore_host_key "$member"
  cmp -s "$dir/patroni.yml" "$dir/root/$(patroni_file)" || {
    install_patroni_configuration "$member"
    in_member "$member" timeout 10 systemctl reload "$(patroni_unit)" 2>/dev/null || true
  }
  mend_repository "$member"
  in_member "$member" timeout 40 sh -c '
    # Thaw first: a frozen process can block all that follows.
    grep -l "^State:[[:space:]]*T" /proc/[0-9]*/status 2>/dev/null | cut -d/ -f3 | xargs -r kill -CONT
    rm -f /usr/sbin/policy-rc.d /var/tmp/lab-quick
    if [ -d /run/systemd/system/patroni.service.d ]; then rm -r /run/systemd/system/patroni.service.d && systemctl daemon-reload; fi
    # What a run of lockstep that a test has cut short leaves on a member: units, commands outside of units, which have
    # files there open, an apt that goes on without it, and its folders.
    systemctl stop "lockstep-*" 2>/dev/null
    running() { find /proc/[0-9]*/fd /proc/[0-9]*/cwd \( -lname "/var/lib/lockstep/*" -o -lname "/run/lockstep/*" \) 2>/dev/null; pgrep -x "apt-get|dpkg|patroni.postins"; }
    running | sed "s,^/proc/,,; s,/.*,," | sort -u | xargs -r kill -KILL 2>/dev/null
    rm -rf /var/lib/lockstep /run/lockstep
    # A member that a test made one of the family of dnf: its files may be of another version than dpkg believes.
    if mountpoint -q /usr/lib/os-release; then
      umount /usr/lib/os-release
      rpm -e --justdb --noscripts patroni patroni-etcd postgresql17-server lab-shell 2>/dev/null
      [ ! -e /srv/rpms.away ] || mv /srv/rpms.away /srv/rpms
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --reinstall --allow-downgrades "patroni=$1" >/tmp/lab-install.log 2>&1
    fi
    held=$(dpkg-query -W -f "\${db:Status-Want} \${Package}\n" | sed -n "s/^hold //p")
    [ -z "$held" ] || apt-mark unhold $held >/dev/null
    case $(dpkg-query -W -f "\${Version}" patroni) in
      *broken*)
        # Nothing runs that a stop could end. A start soon after five that failed is refused, and fails apt: hence reset-failed.
        systemctl stop patroni
        systemctl reset-failed patroni 2>/dev/null
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 --allow-downgrades "patroni=$1" >/tmp/lab-install.log 2>&1 ;;
      *) [ -z "$(dpkg --audit)" ] || dpkg --configure -a >/dev/null 2>&1 ;;
    esac
    systemctl reset-failed 2>/dev/null
    units="ssh $2"
    [ "$(systemctl is-enabled etcd 2>/dev/null)" = masked ] || units="ssh etcd $2"
    systemctl --no-block start $units
    ' sh "${1#*=}" "$(patroni_unit)" || { say "lab: the services of $member cannot be started"; return 1; }
}

has_booted() { in_member "$1" timeout 3 systemctl is-active --quiet multi-user.target || in_member "$1" timeout 3 systemctl is-active --quiet dbus.service; }

# ---- cluster ---------------------------------------------------------------------------------

patroni_answers_everywhere() {
  local member
  for member in $(members); do rest_view "$member" | jq -e .patroni.version || return 1; done
}

addresses_published() {
  rest_view n1 /cluster | jq -e --arg url "$(api_url n1)" 'all(.members[]; .api_url | startswith($url | split(":")[0] + ":"))'
}

# The configuration as it was after `up`, which ends a pause too.
restore_dynamic_configuration() {
  local now
  now=$(rest_view n1 /config | jq -S .) || return 1
  [[ $now = "$(<"$RUN/dynamic.json")" ]] || REST_TIMEOUT=5 rest PUT n1 /config "$(<"$RUN/dynamic.json")"
}

# Patroni answers 409 when something else has just changed the configuration; repeat it then.
patch_configuration() { REST_TIMEOUT=5 rest PATCH "$1" /config "$2"; }

cancel_scheduled() {
  local cluster member
  cluster=$(rest_view n1 /cluster) || return 0
  jq -e 'has("scheduled_switchover") | not' <<<"$cluster" >/dev/null || rest DELETE n1 /switchover >/dev/null || true
  for member in $(jq -r '.members[] | select(.scheduled_restart) | .name' <<<"$cluster"); do rest DELETE "$member" /restart >/dev/null || true; done
}

lead_with_n1() {
  local current
  holds_lock n1 && return 0
  current=$(leader) || return 1
  [[ $current != n1 ]] || return 1
  rest_view "$current" | jq -e 'any(.replication[]?; .application_name == "n1" and .state == "streaming")' || return 1
  rest POST "$current" /switchover "{\"leader\": \"$current\", \"candidate\": \"n1\"}" || true
  holds_lock n1
}

reinitialize_stragglers() {
  local lead member view
  lead=$(leader) && view=$(rest_view "$lead") || return 0
  for member in $(members); do
    [[ $member != "$lead" ]] || continue
    jq -e --arg member "$member" 'any(.replication[]?; .application_name == $member and .state == "streaming")' <<<"$view" >/dev/null ||
      rest POST "$member" /reinitialize '{"force": true}' >/dev/null || true
  done
}

# ---- versions --------------------------------------------------------------------------------

change_versions() {
  local member todo=()
  for member in $(member_packages "$1" "$2"); do
    has_version "${member%%=*}" "${member#*=}" || todo+=("$member")
  done
  [[ ${#todo[@]} -gt 0 ]] || return 0
  # In pause the restart of a daemon stops no PostgreSQL and moves no leader, so all members can go at once.
  within patch_configuration n1 '{"pause": true}' || return 1
  within paused_everywhere || return 1
  in_parallel install_patroni "${todo[@]}" || return 1
  for member in "${todo[@]}"; do within has_version "${member%%=*}" "${member#*=}" || return 1; done
  within holds_lock n1 || return 1
  within patch_configuration n1 '{"pause": null}'
}

# has_version M PACKAGE-VERSION: both installed and running.
has_version() {
  # shellcheck disable=SC2016
  [[ $(in_member "$1" dpkg-query -W -f '${db:Status-Abbrev}${Version}' patroni) = "ii $2" ]] &&
    [[ $(rest_view "$1" | jq -r .patroni.version) = "${2%%-*}" ]]
}

# A member's own key says so only after a whole loop in pause; the REST API may say so a moment earlier, which is too early to restart it.
paused_everywhere() {
  local keys
  keys=$(etcdctl_on_a_member get --prefix /service/lab/members/ --print-value-only) || return 1
  jq -e -s --argjson count "$MEMBER_COUNT" 'map(select(.pause)) | length == $count' <<<"$keys"
}

etcdctl_on_a_member() {
  local member
  if etcd_elsewhere; then in_op "$BASE/root/usr/bin/etcdctl" --endpoints "http://$OPERATOR:2379" "$@" 2>/dev/null; return; fi
  for member in $(etcd_members); do in_member "$member" timeout 5 etcdctl "$@" 2>/dev/null && return; done
  return 1
}

install_patroni() {
  local member=${1%%=*} version=${1#*=}
  # Where the package is there and only the daemon is old, apt would do nothing.
  in_member "$member" timeout 60 env DEBIAN_FRONTEND=noninteractive sh -c '
    apt-get install -y -qq -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold --allow-downgrades "patroni=$1" >/tmp/lab-install.log 2>&1 ||
      { cat /tmp/lab-install.log >&2; exit 1; }' sh "$version" || { say "lab: apt cannot install patroni $version on $member"; return 1; }
  wait_for 15 has_version "$member" "$version" || in_member "$member" timeout 40 systemctl restart "$(patroni_unit)"
}

# ---- slots -----------------------------------------------------------------------------------

drop_foreign_slots() {
  local dropped names
  # Patroni calls the slots of members that are not called as slots may be otherwise.
  ! has_variant names || return 0
  names=$(members | sed "s/.*/'&'/" | paste -sd,)
  # shellcheck disable=SC2046
  dropped=$(in_parallel drop_foreign_slots_on $(members)) || return 1
  [[ -z $dropped ]] || checkpoint_everywhere
}

drop_foreign_slots_on() {
  sql "$1" "select slot_name, pg_drop_replication_slot(slot_name) from pg_replication_slots where not active and slot_name not in ($names)"
}
