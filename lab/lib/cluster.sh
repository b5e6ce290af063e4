# shellcheck shell=bash
# The cluster as a whole: up, down, status.

# ---- up --------------------------------------------------------------------------------------

cluster_up() {
  local count=3 leader_patroni=4.0.7 replica_patroni=4.0.7 variants=""
  while [[ $# -gt 0 ]]; do
    case $1 in
      --members) count=${2-} ;;
      --leader-patroni) leader_patroni=${2-} ;;
      --replica-patroni) replica_patroni=${2-} ;;
      --variant) variants=$(variant_list "${2-}") ;;
      *) usage_error "up: unknown option '$1'" ;;
    esac
    shift 2 || usage_error "up: the last option lacks its value"
  done
  [[ $count =~ ^[1-7]$ ]] || usage_error "up: --members takes 1 to 7"
  check_host
  take_lock "lab-$LAB_NAME" 300
  [[ ! -e $RUN/settings ]] || die "the lab '$LAB_NAME' is up already" "take it back with 'lab/lab reset', or end it with 'lab/lab down'"
  ensure_base
  package_version "$leader_patroni" >/dev/null
  package_version "$replica_patroni" >/dev/null
  UP_COUNT=$count
  build_cluster "$(members_for "$variants" "$count")" "$leader_patroni" "$replica_patroni" "" "$(built_of "$variants")"
  vary "$variants"
}

# build_cluster COUNT LEADER_PATRONI REPLICA_PATRONI [REACH] [VARIANTS]: from nothing to a cluster that streams. The lock is held, BASE is set.
build_cluster() {
  local started=$SECONDS member
  # A half-made lab is worth nothing: whatever stops us takes it down again.
  trap 'give_up_building' EXIT
  trap 'exit 130' INT TERM HUP
  remove_lab

  mkdir -p "$RUN/members"
  chmod 711 "$RUN"
  (
    umask 077
    for member in rest superuser replication app opspw; do new_password >"$RUN/$member.password"; done
    ssh-keygen -q -t ed25519 -N '' -C lockstep-lab -f "$RUN/id_ed25519"
  )
  MEMBER_COUNT=$1 UP_LEADER=$2 UP_REPLICA=$3 VARIANTS=${5-}
  echo "$VARIANTS" >"$RUN/variants"
  make_certificates
  echo "${4-}" >"$RUN/reach"
  make_operator_network
  ! etcd_elsewhere || start_etcd_elsewhere
  for member in $(members); do
    make_member_network "$member"
    make_member_files "$member" "$([[ $member = n1 ]] && echo "$UP_LEADER" || echo "$UP_REPLICA")"
    printf '%s,%s %s\n' "$(address_of "$member")" "$member" "$(cut -d' ' -f1,2 "$(dir_of "$member")/hostkey.pub")" >>"$RUN/known_hosts"
  done
  # Only n1 may bootstrap the cluster; the others get their configuration once it leads.
  install_patroni_configuration n1
  for member in $(members); do boot_member "$member"; done

  wait_for 60 holds_lock n1 || die "n1 has not become the leader within 60 s" "its console is $(dir_of n1)/console.log"
  create_app_database &
  local app=$!
  # shellcheck disable=SC2046
  in_parallel join_cluster $(replicas) || die "a replica has not started its Patroni"
  wait "$app" || die "the database 'app' could not be created on n1"
  wait_for 60 cluster_ready || die "the replicas do not stream within 60 s" "$(why_not_ready | paste -sd';')"

  inventory >"$RUN/inventory.yaml"
  rest_view n1 /config | jq -S . >"$RUN/dynamic.json"
  save_settings
  trap - EXIT INT TERM HUP
  say "lab '$LAB_NAME' is up after $((SECONDS - started)) s: $(running_versions)"
}

# The settings are written last: a lab without them is not up.
save_settings() {
  printf 'MEMBER_COUNT=%q\nBASE=%q\nUP_COUNT=%q\nUP_LEADER=%q\nUP_REPLICA=%q\n' "$MEMBER_COUNT" "$BASE" "$UP_COUNT" "$UP_LEADER" "$UP_REPLICA" >"$RUN/settings"
}

give_up_building() {
  local status=$?
  trap - EXIT INT TERM HUP
  if [[ -n ${LOCKSTEP_LAB_KEEP:-} ]]; then
    say "lab: what was built is kept in $RUN (LOCKSTEP_LAB_KEEP is set); remove it with: lab/lab down"
  else
    tail -n 5 "$RUN"/members/*/console.log >&2 2>/dev/null || true
    remove_lab
  fi
  exit "$status"
}

holds_lock() { [[ $(rest_status "$1" /leader) = 200 ]]; }
rest_status() {
  local api_options
  set_api_options
  in_op curl "${api_options[@]}" --max-time 3 --output /dev/null --write-out '%{http_code}' "$(api_url "$1")$2" || true
}

join_cluster() {
  install_patroni_configuration "$1"
  wait_for 30 in_member "$1" systemctl --quiet start "$(patroni_unit)"
}

create_app_database() {
  sql n1 "create role app login password '$(<"$RUN/app.password")'"
  sql n1 "create database app owner app"
}

# ---- is it as it should be -------------------------------------------------------------------

# One line per thing that keeps the cluster from: n1 leads, every replica streams, nothing is paused, scheduled or pending.
why_not_ready() {
  local leader_view member view
  if ! leader_view=$(rest_view n1) || [[ -z $leader_view ]]; then
    echo "n1 does not answer on its REST API"
    return
  fi
  holds_lock n1 || echo "n1 does not hold the leader lock"
  for member in $(members); do
    view=$leader_view
    if [[ $member != n1 ]] && ! view=$(rest_view "$member"); then
      echo "$member does not answer on its REST API"
      continue
    fi
    jq -r --arg member "$member" --argjson leader "$leader_view" '
      if .state != "running" then "\($member) is \(.state)" else empty end,
      if .pause then "\($member) is paused" else empty end,
      if .pending_restart then "\($member) has a pending restart" else empty end,
      if .cluster_unlocked then "\($member) sees no leader" else empty end,
      if $member == "n1" then empty
      elif .role != "replica" then "\($member) is \(.role)"
      elif .replication_state != "streaming" and (any($leader.replication[]?; .application_name == $member and .state == "streaming") | not) then "\($member) does not stream from n1"
      elif .timeline != $leader.timeline then "\($member) is on timeline \(.timeline), n1 on \($leader.timeline)"
      else empty end' <<<"$view" 2>/dev/null || echo "$member gives no proper answer"
  done
}

cluster_ready() { [[ -z $(why_not_ready) ]]; }

running_versions() {
  local member
  for member in $(members); do echo "$member $(rest_view "$member" | jq -r '.patroni.version')"; done | paste -sd, | sed 's/,/, /g'
}

# ---- down ------------------------------------------------------------------------------------

cluster_down() {
  require_root
  take_lock "lab-$LAB_NAME" 300
  remove_lab
  local ns left=()
  mapfile -t left < <(member_processes)
  [[ ${#left[@]} = 0 ]] || die "these processes of the lab do not end: ${left[*]}"
}

# Removes whatever there is of this lab, also of a half-made or half-removed one. Finds it by name, not by what was recorded.
remove_lab() {
  local ns file
  case $RUN in /*/*) ;; *) die "LOCKSTEP_LAB_RUN is '$RUN'" "it must be a folder of the lab's own, two levels deep at least" ;; esac
  for file in "$RUN"/writer/pid "$RUN"/balancer.pid "$RUN"/etcd/pid "$RUN"/timers/*; do [[ ! -e $file ]] || end_process "$file"; done
  kill_members || say "lab: some processes of the members do not end"
  remove_nspawn_traces
  unmount_all
  for ns in $(lab_netns); do
    if [[ $ns = "$NS_OP" && -n $(ip netns pids "$ns") ]]; then
      say "lab: still running in the operator's network, and left alone: $(ip netns pids "$ns" | xargs ps -o pid=,args= -p | paste -sd';')"
    fi
    ip netns delete "$ns"
  done
  remove_cgroups
  rm -rf --one-file-system "$RUN"
  rmdir "${RUN%/*}" 2>/dev/null || true
}

# end_process FILE: ends a process of ours whose id and start time the file holds; a later process with the same id is left alone.
end_process() {
  local pid started
  read -r pid started <"$1" || return 0
  [[ $(start_time "$pid") = "$started" ]] || return 0
  kill -TERM "$pid" 2>/dev/null || return 0
  wait_for 5 process_gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
}

process_gone() { [[ -z $(start_time "$1") ]]; }
# Prints nothing for a process that has ended, reaped or not.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'; }

# ---- status ----------------------------------------------------------------------------------

status() {
  local member rows=$RUN/status.$BASHPID
  mkdir "$rows"
  # shellcheck disable=SC2046
  in_parallel status_row $(members) || true
  {
    echo "MEMBER|ADDRESS|BOOT|SSH|ROLE|STATE|TIMELINE|STREAMS|PATRONI|INSTALLED|POSTGRES|PAUSED"
    for member in $(members); do cat "$rows/$member"; done
  } | column -t -s '|'
  rm -rf "$rows"
  wanting=$(why_not_ready)
  [[ -z $wanting ]] || printf '%s\n' "$wanting" >&2
}

status_row() {
  local member=$1 boot ssh=no installed=- view streams=-
  boot=$(in_member "$member" timeout 5 systemctl is-system-running 2>/dev/null) || boot=${boot:-down}
  timeout 3 nsenter --net="/run/netns/$NS_OP" bash -c "exec 3<>/dev/tcp/$(address_of "$member")/22" 2>/dev/null && ssh=yes
  # shellcheck disable=SC2016
  [[ $boot = down ]] || installed=$(in_member "$member" dpkg-query -W -f '${Version}' patroni 2>/dev/null) || installed='?'
  view=$(rest_view "$member") || view='{}'
  streams=$(sql "$member" "select coalesce((select status from pg_stat_wal_receiver), '-')" 2>/dev/null) || streams='?'
  jq -r --arg row "$member|$(address_of "$member")|$boot|$ssh" --arg streams "$streams" --arg installed "$installed" '
    [$row, .role // "-", .state // "no answer", .timeline // "-", $streams, .patroni.version // "-", $installed,
     ((.server_version // 0) as $v | if $v > 0 then "\($v / 10000 | floor).\($v % 10000)" else "-" end),
     (if .pause then "yes" elif .patroni then "no" else "-" end)] | map(tostring) | join("|")' <<<"$view" >"$rows/$member"
}
