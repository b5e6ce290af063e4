# shellcheck shell=bash
# Variants of how a cluster is reached: accounts of PostgreSQL, addresses, names.

# ---- PostgreSQL's accounts -------------------------------------------------------------------

# The environment of a superuser's psql, as arguments of env(1).
psql_environment() {
  echo PGDATABASE=postgres
  ! has_variant superuser || echo PGUSER=pgadm
  ! has_variant scram-local || echo PGPASSFILE=/etc/patroni/lab.pgpass
}

vary_superuser() {
  rename_superuser postgres pgadm || return 1
  local member
  for member in $(members); do
    edit_patroni "$member" -e 's/username: postgres,/username: pgadm,/' -e 's/host all,replication postgres,/host all,replication pgadm,/' || return 1
  done
  wait_for 30 cluster_ready
}
# Nobody renames himself: another superuser does it.
rename_superuser() {
  psql_as n1 "$1" 'create role lab_renames superuser login' &&
    psql_as n1 lab_renames "alter role $1 rename to $2" && psql_as n1 "$2" 'drop role lab_renames'
}
psql_as() { in_member "$1" timeout 60 runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -U "$2" -d postgres -c "$3"; }
unvary_superuser() {
  holds_lock n1 || return 1
  rename_superuser pgadm postgres
}

vary_scram_local() {
  local member
  for member in $(members); do
    printf '*:*:*:*:%s\n' "$(<"$RUN/superuser.password")" |
      in_member "$member" sh -ec 'umask 077; cat >/etc/patroni/lab.pgpass; chown postgres: /etc/patroni/lab.pgpass' || return 1
    edit_patroni "$member" 's/- local all,replication all trust/- local all,replication all scram-sha-256/' || return 1
    wait_for 20 asks_for_password "$member" || return 1
  done
}
trusts_local() { in_member "$1" runuser -u postgres -- psql -Xwqc '' -d postgres; }
asks_for_password() { ! trusts_local "$1"; }
unvary_scram_local() {
  local member
  for member in $(members); do
    install_patroni_configuration "$member"
    in_member "$member" systemctl reload "$(patroni_unit)" || return 1
  done
  for member in $(members); do wait_for 20 trusts_local "$member" || return 1; done
  for member in $(members); do in_member "$member" rm -f /etc/patroni/lab.pgpass /var/lib/postgresql/.pgpass; done
}

# ---- what Patroni publishes ------------------------------------------------------------------

# publish M HOST: another host of the REST API, which listens everywhere then.
publish() { edit_patroni "$1" -e "s/^  listen: .*:8008\$/  listen: '*:8008'/" -e "s/^  connect_address: .*:8008\$/  connect_address: '$2:8008'/"; }
published() { rest_view n1 /cluster | jq -e --arg host "$1" --argjson count "$MEMBER_COUNT" '[.members[] | select(.api_url | contains($host))] | length == $count'; }

vary_loopback() {
  local member
  for member in $(members); do publish "$member" 127.0.0.1 || return 1; done
  wait_for 20 published //127.0.0.1:
}

vary_host_names() {
  local member
  for member in $(members); do publish "$member" "$member" || return 1; done
  know_hosts
  wait_for 20 published //n
}
unvary_host_names() { rm -f "$RUN/hosts"; }

address6_of() { echo "fd5a::$((10 + ${1#n}))"; }
vary_ipv6() {
  local member
  ip -n "$NS_OP" address replace fd5a::1/64 dev lab0 nodad
  for member in $(members); do
    ip -n "$(netns_of "$member")" address replace "$(address6_of "$member")/64" dev eth0 nodad
    printf '%s %s\n' "$(address6_of "$member")" "$(cut -d' ' -f1,2 "$(dir_of "$member")/hostkey.pub")" >>"$RUN/known_hosts"
    publish "$member" "[$(address6_of "$member")]" || return 1
  done
  wait_for 20 published fd5a::
}
unvary_ipv6() {
  local member
  sed -i /^fd5a::/d "$RUN/known_hosts"
  ip -n "$NS_OP" address delete fd5a::1/64 dev lab0
  for member in $(members); do ip -n "$(netns_of "$member")" address delete "$(address6_of "$member")/64" dev eth0; done
}

# ---- what the operator knows them by ---------------------------------------------------------

# $RUN/hosts is /etc/hosts of what `lab exec` runs.
know_hosts() {
  local member
  {
    cat /etc/hosts
    for member in $(members); do echo "$(address_of "$member") $member db${member#n}.zoo.example"; done
  } >"$RUN/hosts"
}
vary_dns() {
  local member
  know_hosts
  for member in $(members); do
    printf 'db%s.zoo.example %s\n' "${member#n}" "$(cut -d' ' -f1,2 "$(dir_of "$member")/hostkey.pub")" >>"$RUN/known_hosts"
  done
}
unvary_dns() {
  rm -f "$RUN/hosts"
  sed -i '/^db[0-9]*\.zoo/d' "$RUN/known_hosts"
}

vary_balancer() {
  local member addresses=()
  for member in $(members); do addresses+=("$(address_of "$member"):8008"); done
  setsid nsenter --net="/run/netns/$NS_OP" -- "$LAB_DIR/balancer" "$OPERATOR:8000" "${addresses[@]}" </dev/null >"$RUN/balancer.log" 2>&1 9>&- &
  echo "$! $(start_time $!)" >"$RUN/balancer.pid"
  wait_for 5 balancer_answers
}
balancer_answers() { in_op curl --silent --fail --max-time 2 "http://$OPERATOR:8000/patroni"; }
unvary_balancer() {
  end_process "$RUN/balancer.pid"
  rm -f "$RUN/balancer.pid"
}

# The endpoints that an inventory of this lab has.
endpoints() {
  local member list=()
  for member in $(members); do
    if has_variant dns; then list+=("http://db${member#n}.zoo.example:8008")
    elif has_variant ipv6; then list+=("'http://[$(address6_of "$member")]:8008'")
    else list+=("$(api_url "$member")"); fi
  done
  ! has_variant balancer || list=("http://$OPERATOR:8000")
  printf '%s, ' "${list[@]}" | sed 's/, $//'
}
