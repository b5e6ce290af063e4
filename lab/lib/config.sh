# shellcheck shell=bash
# What is configured on a member: etcd and Patroni.

# The first three members carry the DCS.
etcd_members() { etcd_elsewhere || members | head -n 3; }

etcd_configuration() {
  local member=$1 address other initial=()
  address=$(address_of "$member")
  for other in $(etcd_members); do initial+=("$other=http://$(address_of "$other"):2380"); done
  # Slower than the defaults, so that a busy machine does not make the lab's DCS elect all the time.
  cat <<EOF
ETCD_NAME="$member"
ETCD_LISTEN_PEER_URLS="http://$address:2380"
ETCD_LISTEN_CLIENT_URLS="http://$address:2379,http://127.0.0.1:2379"
ETCD_INITIAL_ADVERTISE_PEER_URLS="http://$address:2380"
ETCD_ADVERTISE_CLIENT_URLS="http://$address:2379"
ETCD_INITIAL_CLUSTER="$(IFS=,; echo "${initial[*]}")"
ETCD_INITIAL_CLUSTER_STATE="new"
ETCD_INITIAL_CLUSTER_TOKEN="lockstep-$LAB_NAME"
ETCD_HEARTBEAT_INTERVAL="150"
ETCD_ELECTION_TIMEOUT="1500"
EOF
}

patroni_configuration() {
  local member=$1 address other hosts=()
  address=$(address_of "$member")
  for other in $(etcd_members); do hosts+=("$(address_of "$other"):2379"); done
  ! etcd_elsewhere || hosts=("$OPERATOR:2379")
  cat <<EOF
scope: lab
name: '$(patroni_name "$member")'
restapi:
  listen: $address:8008
  connect_address: $address:8008
  authentication: {username: admin, password: $(<"$RUN/rest.password")}
$(tls_configuration)
etcd3:
  hosts: [$(IFS=,; echo "${hosts[*]}")]
bootstrap:
  dcs: $(dynamic_configuration)
  initdb: [{encoding: UTF8}, {locale: C.UTF-8}, data-checksums$(wal_directory_option)]
postgresql:
  listen: $address,127.0.0.1:5432
  connect_address: $address:5432
  bin_dir: /usr/lib/postgresql/17/bin
  data_dir: /var/lib/postgresql/17/main
  pgpass: /var/lib/postgresql/.pgpass.patroni
  use_unix_socket: true
  use_unix_socket_repl: true
  basebackup: [{checkpoint: fast}$(wal_directory_option)]
  authentication:
    superuser: {username: postgres, password: $(<"$RUN/superuser.password")}
    replication: {username: replicator, password: $(<"$RUN/replication.password")}
  pg_hba:
    - local all,replication all trust
    - host all,replication postgres,replicator $SUBNET.0/24 scram-sha-256
    - host app app $SUBNET.0/24 scram-sha-256
  parameters:
    unix_socket_directories: /var/run/postgresql
EOF
}

# Continues the section of the REST API. With it, Patroni's own calls from member to member need a certificate, too.
tls_configuration() {
  ! reach_has tls || cat <<'EOF'
  cafile: /etc/patroni/tls/ca.pem
  certfile: /etc/patroni/tls/member.pem
  keyfile: /etc/patroni/tls/member.key
  verify_client: required
ctl:
  cacert: /etc/patroni/tls/ca.pem
  certfile: /etc/patroni/tls/member.pem
  keyfile: /etc/patroni/tls/member.key
EOF
}

# What Patroni keeps in the DCS. Small WAL limits and frequent checkpoints make the effects of slots visible within a minute.
# ignore_slots: a physical slot named 'legacy' is left alone by Patroni; 'break orphan-slot' uses it.
dynamic_configuration() {
  jq --null-input --compact-output '{
    ttl: 20, loop_wait: 3, retry_timeout: 4,
    ignore_slots: [{name: "legacy", type: "physical"}],
    postgresql: {
      use_slots: true, use_pg_rewind: true,
      parameters: {
        wal_level: "logical", hot_standby: "on", max_wal_senders: 10, max_replication_slots: 10, wal_log_hints: "on",
        max_wal_size: "64MB", min_wal_size: "32MB", wal_keep_size: "32MB", checkpoint_timeout: "30s",
        wal_retrieve_retry_interval: "1s", shared_buffers: "32MB", max_connections: 50, log_checkpoints: "on"
      }
    }
  }'
}
