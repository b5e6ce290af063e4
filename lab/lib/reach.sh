# shellcheck shell=bash
# How a cluster is reached: the accounts of its members, its certificates, and an inventory that says so.
#
#   $RUN/opspw.password       of the account that sudo asks
#   $RUN/tls                  ca, one certificate for each member and one for the operator: NAME.pem, NAME.key
#   $RUN/reach                empty, or tls: the REST API wants TLS and a certificate of the lab's CA

reach_has() { [[ " $(cat "$RUN/reach" 2>/dev/null) " = *" $1 "* ]]; }

set_reach() {
  local member kind
  for kind in ${1//,/ }; do [[ $kind = tls ]] || usage_error "--reach takes tls or nothing, not '$kind'"; done
  echo "${1//,/ }" >"$RUN/reach"
  for member in $(members); do (umask 077 && patroni_configuration "$member" >"$(dir_of "$member")/patroni.yml"); done
}

# Fills `api_options`: what curl needs for the REST API besides its URL.
api_url() { if reach_has tls; then echo "https://$(address_of "$1"):8008"; else echo "http://$(address_of "$1"):8008"; fi; }
set_api_options() {
  api_options=(--silent)
  ! reach_has tls || api_options+=(--cacert "$RUN/tls/ca.pem" --cert "$RUN/tls/operator.pem" --key "$RUN/tls/operator.key")
}

# ---- certificates ----------------------------------------------------------------------------

make_certificates() {
  local member
  mkdir -m 700 "$RUN/tls"
  # Without keyUsage the ssl module of Python 3.13 takes no authority.
  make_certificate ca basicConstraints=critical,CA:true keyUsage=critical,keyCertSign,cRLSign
  for member in $(members); do make_signed_certificate "$member" "subjectAltName=DNS:$member,IP:$(address_of "$member")"; done
  make_signed_certificate operator subjectAltName=DNS:operator
}

make_signed_certificate() {
  make_certificate "$1" "$2" authorityKeyIdentifier=keyid -CA "$RUN/tls/ca.pem" -CAkey "$RUN/tls/ca.key"
}

# make_certificate NAME EXTENSION EXTENSION [OPTION...]
make_certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 30 -subj "/CN=$1" "${@:4}" \
    -config <(printf '[req]\ndistinguished_name=d\nx509_extensions=e\n[d]\n[e]\nsubjectKeyIdentifier=hash\n%s\n%s\n' "$2" "$3") \
    -keyout "$RUN/tls/$1.key" -out "$RUN/tls/$1.pem" 2>"$RUN/openssl.log" || die "no certificate of $1 could be made" "$(tail -n 3 "$RUN/openssl.log")"
}

install_certificates() {
  local member=$1 root=$2 owner folder=$2/etc/patroni/tls
  owner=$(awk -F: '$1 == "postgres" { print $3 }' "$root/etc/passwd")
  install -d -o "$owner" -m 700 "$folder"
  install -o "$owner" -m 644 "$RUN/tls/ca.pem" "$folder/ca.pem"
  install -o "$owner" -m 644 "$RUN/tls/$member.pem" "$folder/member.pem"
  install -o "$owner" -m 600 "$RUN/tls/$member.key" "$folder/member.key"
}

# ---- accounts --------------------------------------------------------------------------------

# Two plain users: ops becomes root by sudo without a password, opspw with one.
make_accounts() {
  local root=$1 user hash
  hash=$(openssl passwd -6 -stdin <"$RUN/opspw.password")
  for user in ops opspw; do
    chroot "$root" /usr/sbin/useradd --create-home --shell /bin/bash --password "$([[ $user = ops ]] && echo '*' || echo "$hash")" "$user"
    install -d -m 700 "$root/home/$user/.ssh"
    install -m 600 "$RUN/id_ed25519.pub" "$root/home/$user/.ssh/authorized_keys"
    chroot "$root" /usr/bin/chown -R "$user:" "/home/$user/.ssh"
  done
  install_sudoers "$root"
}

# What a test has added goes away.
install_sudoers() {
  find "$1/etc/sudoers.d" -mindepth 1 ! -name README ! -name lab -delete
  printf 'ops ALL=(root) NOPASSWD: /bin/sh\nopspw ALL=(root) /bin/sh\n' | install -m 440 /dev/stdin "$1/etc/sudoers.d/lab"
}

# ---- inventory -------------------------------------------------------------------------------

# inventory [--user U] [--become sudo] [--become-password FILE] [--client C] [--via ssh] [--members no]
#           [--service UNIT] [--postgres-user U] [--endpoints "URL, URL"]
inventory() {
  local member endpoints="" user=root ssh="" patroni="" listed=yes service=patroni postgres=""
  while [[ $# -gt 0 ]]; do
    case $1 in
      --user) user=${2-} ;;
      --become) ssh+="      become: ${2-}"$'\n' ;;
      --become-password) ssh+="      become_password: {file: ${2-}}"$'\n' ;;
      --client) ssh+="      client: ${2-}"$'\n' ;;
      --members) listed=${2-} ;;
      --service) service=${2-} ;;
      --postgres-user) postgres+="      user: ${2-}"$'\n' ;;
      --endpoints) endpoints=${2-} ;;
      --via) patroni+="      via: ${2-}"$'\n' ;;
      *) usage_error "inventory: unknown option '$1'" ;;
    esac
    shift 2 || usage_error "inventory: the last option lacks its value"
  done
  ! reach_has tls || patroni+="      ca_file: $RUN/tls/ca.pem
      cert_file: $RUN/tls/operator.pem
      key_file: $RUN/tls/operator.key
"
  cat <<EOT
# yaml-language-server: \$schema=${LAB_DIR%/*}/docs/schema/inventory.json
clusters:
  lab:
    patroni:
      endpoints: [${endpoints:-$(endpoints)}]
      username: admin
      password: {file: $RUN/rest.password}
${patroni}    ssh:
      user: $user
      identity_file: $RUN/id_ed25519
      known_hosts: $RUN/known_hosts
${ssh}    postgres:
      via: ssh
${postgres}    patroni_service: $service
    patroni_package: patroni
EOT
  [[ $listed = yes ]] || return 0
  echo "    members:"
  for member in $(members); do echo "      '$(patroni_name "$member")': {ssh: {host: $(address_of "$member")}}"; done
}
