# shellcheck shell=bash
# Variants of the cluster itself: who is in it, who follows whom, how its members are called.

# ---- names -----------------------------------------------------------------------------------

patroni_name() {
  if has_variant names; then
    case $1 in
      n1) echo 'DB.East-1' ;;
      n2) echo 'Node 2 (b)' ;;
      n3) echo 'Узел-3' ;;
      *) echo "$1" ;;
    esac
  else
    echo "$1"
  fi
}

# ---- who follows whom ------------------------------------------------------------------------

vary_cascade() {
  edit_patroni n3 '$a tags: {replicatefrom: '"'$(patroni_name n2)'"'}' && wait_for 30 follows_n2
}
follows_n2() { [[ $(sql n3 'select sender_host from pg_stat_wal_receiver') = "$(address_of n2)" ]]; }

vary_delayed() {
  edit_patroni n2 -e 's/^  parameters:$/&\n    recovery_min_apply_delay: 1h/' -e '$a tags: {nofailover: true, noloadbalance: true}' &&
    wait_for 30 replays_late && sql n1 "create table delayed as select 1; drop table delayed"
}
replays_late() { [[ $(sql n2 'show recovery_min_apply_delay') = 1h ]]; }

vary_archive() {
  edit_patroni n3 -e 's/^  parameters:$/  recovery_conf: {restore_command: \/bin\/false}\n&/' -e '$a tags: {nostream: true}' &&
    wait_for 30 replication_state_is n3 'in archive recovery'
}

vary_strict_sync() {
  wait_for 10 patch_configuration n1 '{"synchronous_mode": true, "synchronous_mode_strict": true}' && wait_for 30 has_role sync_standby
}
vary_quorum() { wait_for 10 patch_configuration n1 '{"synchronous_mode": "quorum"}' && wait_for 30 has_role quorum_standby; }
has_role() { rest_view n1 /cluster | jq -e --arg role "$1" 'any(.members[]; .role == $role)'; }

vary_default_times() { wait_for 10 patch_configuration n1 '{"ttl": 30, "loop_wait": 10, "retry_timeout": 10}'; }

# ---- a standby cluster: n1 stays alone in `lab`, n2 and n3 begin anew as `dr` ------------------

vary_standby() {
  in_parallel leave_cluster n2 n3 || return 1
  etcdctl_on_a_member del --prefix /service/lab/members/n2 >/dev/null
  etcdctl_on_a_member del --prefix /service/lab/members/n3 >/dev/null
  start_anew n2 && wait_for 40 leads_standby n2 && start_anew n3 && wait_for 40 replication_state_is n3 streaming
}
leave_cluster() {
  in_member "$1" timeout 60 sh -c 'systemctl stop patroni; rm -rf /var/lib/postgresql/17/main' || return 1
  sed -i -e 's/^scope: lab$/scope: dr/' \
    -e 's/^  dcs: {/&"standby_cluster":{"host":"'"$(address_of n1)"'","port":5432},/' "$(dir_of "$1")/root/etc/patroni/config.yml"
}
start_anew() { in_member "$1" timeout 60 systemctl start patroni; }
leads_standby() { rest_view "$1" | jq -e '.role == "standby_leader" and .replication_state == "streaming"'; }
unvary_standby() { return 1; }

# ---- a second cluster on the same hosts --------------------------------------------------------

vary_two_clusters() {
  # shellcheck disable=SC2046
  in_parallel configure_billing $(members) || return 1
  start_billing n1 && wait_for 60 leads_billing n1 || return 1
  # shellcheck disable=SC2046
  in_parallel start_billing $(replicas) || return 1
  local member
  for member in $(replicas); do wait_for 60 streams_billing "$member" || return 1; done
}
configure_billing() {
  local folder
  folder=$(dir_of "$1")/root/etc/patroni
  sed -e 's/^scope: lab$/scope: billing/' -e 's/:8008$/:8009/' -e 's/:5432$/:5433/' -e 's,17/main,17/billing,' \
    -e 's/\.pgpass\.patroni/.pgpass.billing/' "$(dir_of "$1")/patroni.yml" >"$folder/17-billing.yml" || return 1
  chmod 640 "$folder/17-billing.yml"
  chown --reference="$folder/config.yml" "$folder/17-billing.yml"
}
start_billing() { in_member "$1" timeout 60 systemctl start patroni@17-billing; }
billing_view() { in_op curl --silent --max-time 3 "http://$(address_of "$1"):8009${2:-/patroni}"; }
leads_billing() { billing_view "$1" | jq -e '.role == "primary" or .role == "master"'; }
streams_billing() { billing_view "$1" | jq -e '.replication_state == "streaming"'; }
unvary_two_clusters() {
  # shellcheck disable=SC2046
  in_parallel remove_billing $(members) || return 1
  etcdctl_on_a_member del --prefix /service/billing/ >/dev/null
}
remove_billing() {
  in_member "$1" timeout 60 sh -c 'systemctl stop patroni@17-billing; systemctl reset-failed patroni@17-billing 2>/dev/null
    if [ -e /var/lib/postgresql/17/billing/postmaster.pid ]; then kill -QUIT "$(head -n 1 /var/lib/postgresql/17/billing/postmaster.pid)"; fi
    rm -rf /etc/patroni/17-billing.yml /var/lib/postgresql/17/billing /var/lib/postgresql/.pgpass.billing'
}

# ---- one etcd elsewhere: a process beside the operator -----------------------------------------

etcd_elsewhere() { has_variant one-etcd; }
start_etcd_elsewhere() {
  mkdir -p "$RUN/etcd"
  setsid nsenter --net="/run/netns/$NS_OP" -- "$BASE/root/usr/bin/etcd" --name elsewhere --data-dir "$RUN/etcd/data" \
    --listen-client-urls "http://$OPERATOR:2379" --advertise-client-urls "http://$OPERATOR:2379" \
    --listen-peer-urls "http://$OPERATOR:2380" --initial-advertise-peer-urls "http://$OPERATOR:2380" \
    --initial-cluster "elsewhere=http://$OPERATOR:2380" </dev/null >"$RUN/etcd/log" 2>&1 9>&- &
  echo "$! $(start_time $!)" >"$RUN/etcd/pid"
}
