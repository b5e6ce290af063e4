# shellcheck shell=bash
# Variants: what other people's clusters are like. Each can be had together with others, and `reset` takes all of them back.
#
# A variant is the function vary_NAME, which makes it of a healthy cluster. What `reset` does not take back by itself (Patroni's
# file and dynamic configuration, packages, the leader) unvary_NAME does; where that fails the cluster is built afresh.
# The variants of BUILT are in how members are made: the other parts ask has_variant, and `reset` builds the cluster
# afresh to make them and to take them back.
#
#   $RUN/variants   the names of those that were begun, in their order

BUILT=" names debian-layout disks one-etcd members-1 members-2 members-5 "
# shellcheck source=/dev/null
for part in clusters hosts access; do source "$LAB_DIR/lib/zoo/$part.sh"; done

variant_kinds() {
  cat <<'END'
usage: lab/lab variant NAME[,NAME]    lab/lab up --variant NAME[,NAME]    lab/lab reset [--variant NAME[,NAME]]

  no-killmode      a unit of one's own without KillMode: systemd ends PostgreSQL with the daemon
  two-clusters     a second cluster, billing, on the same hosts: patroni@17-billing, ports 8009 and 5433
  standby          n2 and n3 are a standby cluster, dr, of n1: standby_leader and a replica below it
  cascade          n3 replicates from n2
  delayed          n2 replays an hour late (recovery_min_apply_delay)
  archive          n3 follows an archive (tag nostream)
  strict-sync      synchronous_mode and synchronous_mode_strict
  quorum           synchronous_mode: quorum (Patroni 4)
  default-times    Patroni's own ttl, loop_wait and retry_timeout: 30, 10, 10
  venv             Patroni runs from /opt/patroni, the package is installed beside it
  superuser        PostgreSQL's superuser is called pgadm, no role postgres
  scram-local      local connections need a password
  names            members are called 'DB.East-1', 'Node 2 (b)' and 'Узел-3'
  loopback         every member publishes 127.0.0.1 as the address of its REST API
  balancer         a load balancer at http://198.18.0.1:8000 is the only endpoint
  dns              endpoints are names of one's own (db1.zoo.example), Patroni publishes addresses
  host-names       Patroni publishes names (n1, n2, n3), endpoints are addresses
  ipv6             Patroni publishes fd5a::11, ...
  members-1, members-2, members-5
  disks            pg_wal is on a disk of its own
  small-usr        /usr of n3 has 1 MB left
  newest-only      the repository has the newest Patroni alone
  debian-layout    as pg_createconfig_patroni makes it: patroni@17-main, /etc/patroni/17-main.yml
  one-etcd         one etcd, on another host
END
}

variant_function() { echo "${1}_${2//-/_}"; }
is_built() { [[ $BUILT = *" $1 "* ]]; }
is_variant() { is_built "$1" || declare -F "$(variant_function vary "$1")" >/dev/null; }
has_variant() { [[ " ${VARIANTS-} " = *" $1 "* ]]; }

# Prints the variants of a list that are, or (with `not`) are not, in how members are made.
built_of() { local name; for name in $1; do ! is_built "$name" || echo "$name"; done | sort | xargs; }
not_built_of() { local name; for name in $1; do is_built "$name" || echo "$name"; done | xargs; }

# variant_list NAME[,NAME]: the names, checked, with blanks between.
variant_list() {
  local name
  for name in ${1//,/ }; do is_variant "$name" || usage_error "there is no variant '$name'; 'lab/lab variant' lists them"; done
  echo "${1//,/ }"
}

# How many members a list of variants asks for; `up`'s number else.
members_for() {
  local name
  for name in $1; do [[ $name != members-* ]] || { echo "${name#members-}"; return; }; done
  echo "$2"
}

# vary LIST: those that a healthy cluster becomes. Each is on record before it is begun.
vary() {
  local name
  for name in $(not_built_of "$1"); do
    VARIANTS=$(xargs <<<"$VARIANTS $name")
    echo "$VARIANTS" >"$RUN/variants"
    "$(variant_function vary "$name")" || die "the variant '$name' cannot be made"
  done
}

# Takes back what was made of a healthy cluster, the newest first.
take_variants_back() {
  local name
  for name in $(not_built_of "$VARIANTS" | tr ' ' '\n' | tac); do
    if declare -F "$(variant_function unvary "$name")" >/dev/null; then "$(variant_function unvary "$name")" || return 1; fi
    VARIANTS=$(xargs <<<" $VARIANTS " | sed "s/\(^\| \)$name\( \|$\)/ /" | xargs)
    echo "$VARIANTS" >"$RUN/variants"
  done
}

run_variant() {
  [[ -n ${1-} ]] || { variant_kinds; return 0; }
  local wanted
  wanted=$(variant_list "$1")
  [[ -z $(built_of "$wanted") ]] || usage_error "$(built_of "$wanted") takes a cluster built for it: lab/lab reset --variant $1"
  take_lock "lab-$LAB_NAME" 300
  load_settings
  vary "$wanted"
}

# ---- what they are made with -----------------------------------------------------------------

# edit_patroni M SED...: Patroni's file of a member changed and taken up; `reset` puts the file back. One that stays as it was is an error.
edit_patroni() {
  local file
  file=$(dir_of "$1")/root/$(patroni_file)
  local before
  before=$(<"$file")
  sed -i "${@:2}" "$file" || return 1
  [[ $before != "$(<"$file")" ]] || { say "lab: '${*:2}' does not apply to the configuration of $1"; return 1; }
  in_member "$1" timeout 10 systemctl reload "$(patroni_unit)"
}

# Every daemon restarted while PostgreSQL goes on.
restart_daemons() {
  wait_for 15 patch_configuration n1 '{"pause": true}' && wait_for 20 paused_everywhere || return 1
  # shellcheck disable=SC2046
  in_parallel restart_daemon $(members) || return 1
  wait_for 30 patroni_answers_everywhere && wait_for 30 holds_lock n1 && wait_for 10 patch_configuration n1 '{"pause": null}' &&
    wait_for 30 cluster_ready
}
restart_daemon() { in_member "$1" timeout 60 systemctl restart "$(patroni_unit)"; }

replication_state_is() { rest_view "$1" | jq -e --arg state "$2" '.replication_state == $state'; }
