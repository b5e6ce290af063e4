#include "inventory/inventory_language.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using language::Key;
using language::Place;
using language::Shape;
using enum language::Kind;
constexpr Shape::Many k_list = Shape::Many::list;
constexpr Shape::Many k_map = Shape::Many::map;

Place without(Place place, std::string_view key, std::string_view name, std::string_view what) {
    std::erase_if(place.keys, [key](const Key& candidate) { return candidate.name == key; });
    place.name = name;
    place.description = what;
    return place;
}

Place inventory_place() {
    return {"inventory",
            "A file: which clusters there are, and how to reach them.",
            {{.name = "clusters",
              .shapes = {{keys, "inventory.cluster", k_map}},
              .description = "The clusters, by the name that `-c` takes.",
              .example = "clusters: {orders: {patroni: {endpoints: [http://10.0.0.11:8008]}}}",
              .required = true},
             {.name = "defaults",
              .shapes = {{keys, "inventory.cluster_defaults"}},
              .description = "What holds for every cluster that does not say otherwise.",
              .example = "defaults: {ssh: {user: lockstep, become: sudo}}"},
             {.name = "groups",
              .shapes = {{any, {}, k_map}},
              .description = "Who may approve, by group: lists of users, of any host or as "
                             "`user@host`.",
              .example = "groups: {dba: [anna, bert@jump1]}"},
             {.name = "approvers",
              .shapes = {{keys, "inventory.approver", k_map}},
              .description = "Those whose approvals have to prove themselves, by user name.",
              .example = "approvers: {anna: {secret: {file: ~/.config/lockstep/approval.key}}}"},
             {.name = "notify",
              .shapes = {{keys, "inventory.target", k_map}},
              .description = "Where notifications go, by the name that runbooks use. Each is one "
                             "of webhook, smtp and command.",
              .example = "notify: {ops: {webhook: {env: SLACK_URL}}}"}}};
}

Place approver_place() {
    return {"inventory.approver",
            "Somebody whose approvals have to prove themselves.",
            {{.name = "secret",
              .shapes = {{keys, "inventory.secret_source"}},
              .description = "The key of an HMAC, which `lockstep approve --key-file` has, too.",
              .example = "secret: {file: ~/.config/lockstep/approval.key}",
              .required = true}}};
}

Place target_place() {
    const Shape secret{keys, "inventory.secret_source"};
    return {"inventory.target",
            "Where a notification goes: one of webhook, smtp and command, with what belongs to it.",
            {{.name = "webhook",
              .shapes = {{word}, secret},
              .description = "A URL that takes JSON, as Slack does; https, or this machine.",
              .example = "webhook: {env: SLACK_URL}"},
             {.name = "headers",
              .shapes = {{any, {}, k_map}},
              .description = "Of a webhook: header fields, texts or secrets.",
              .example = "headers: {Authorization: {env: HOOK_TOKEN}}"},
             {.name = "insecure",
              .shapes = {{boolean}},
              .description = "Of a webhook: http to another machine is wanted.",
              .example = "insecure: true",
              .otherwise = "false"},
             {.name = "smtp",
              .shapes = {{text}},
              .description = "A mail server: `smtps://host:465`, or `smtp://host` with STARTTLS.",
              .example = "smtp: smtps://mail.example:465"},
             {.name = "from",
              .shapes = {{text}},
              .description = "Of mail: the sender.",
              .example = "from: lockstep@example.org"},
             {.name = "to",
              .shapes = {{text, {}, k_list}},
              .description = "Of mail: who gets it.",
              .example = "to: [dba@example.org]"},
             {.name = "username",
              .shapes = {{text}},
              .description = "Of mail: who logs in, with `password`.",
              .example = "username: lockstep"},
             {.name = "password",
              .shapes = {secret},
              .description = "Of mail: with `username`.",
              .example = "password: {env: SMTP_PASSWORD}"},
             {.name = "tls",
              .shapes = {{words}},
              .description = "Of smtp://: none, where STARTTLS cannot be had.",
              .example = "tls: none",
              .otherwise = "starttls",
              .words = {"starttls", "none"}},
             {.name = "ca_file",
              .shapes = {{path}},
              .description = "Of webhook and mail: the authorities that the server is verified "
                             "against.",
              .example = "ca_file: tls/ca.pem",
              .otherwise = "those of the system"},
             {.name = "command",
              .shapes = {{text, {}, k_list}},
              .description = "A program of this machine; it reads the notification as JSON.",
              .example = "command: [/usr/local/bin/page, --urgent]"}}};
}

Place cluster_place() {
    return {"inventory.cluster",
            "One Patroni scope.",
            {{.name = "patroni",
              .shapes = {{keys, "inventory.patroni"}},
              .description = "How to reach its REST API.",
              .example = "patroni: {endpoints: [http://10.0.0.11:8008]}",
              .required = true},
             {.name = "ssh",
              .shapes = {{keys, "inventory.ssh"}},
              .description = "How to log in on its members.",
              .example = "ssh: {user: root}"},
             {.name = "postgres",
              .shapes = {{keys, "inventory.postgres"}},
              .description = "How to ask PostgreSQL.",
              .example = "postgres: {via: ssh}"},
             {.name = "patroni_service",
              .shapes = {{word}},
              .description = "The systemd unit of Patroni.",
              .example = "patroni_service: patroni@orders",
              .otherwise = "patroni"},
             {.name = "patroni_package",
              .shapes = {{word}},
              .description = "The package of Patroni.",
              .example = "patroni_package: patroni",
              .otherwise = "patroni"},
             {.name = "members",
              .shapes = {{keys, "inventory.member", k_map}},
              .description = "The members that must exist, by name, each with settings of its own "
                             "where it needs them. A missing one is a finding.",
              .example = "members: {n1: {ssh: {host: 10.0.0.11}}}",
              .otherwise = "whoever Patroni lists",
              .may_be_null = true}}};
}

Place patroni_place() {
    const std::vector<Shape> secret{{keys, "inventory.secret_source"}};
    return {
        "inventory.patroni",
        "How to reach the REST API of Patroni.",
        {{.name = "endpoints",
          .shapes = {{url, {}, k_list}},
          .description = "URLs of the REST API, scheme, host and port. One that answers is "
                         "enough: the members are discovered. All are asked whether they agree.",
          .example = "endpoints: [https://10.0.0.11:8008, https://10.0.0.12:8008]",
          .required = true},
         {.name = "via",
          .shapes = {{words}},
          .description = "`direct`: from here. `ssh`: by the curl of the member that is asked, "
                         "over SSH; certificates and keys are files of this machine all the "
                         "same.",
          .example = "via: ssh",
          .otherwise = "direct",
          .words = {"direct", "ssh"}},
         {.name = "username",
          .shapes = {{word}},
          .description = "For basic authentication, with `password`.",
          .example = "username: admin"},
         {.name = "password",
          .shapes = secret,
          .description = "For basic authentication, with `username`.",
          .example = "password: {env: PATRONI_REST_PASSWORD}"},
         {.name = "ca_file",
          .shapes = {{path}},
          .description = "The authorities that the server is verified against.",
          .example = "ca_file: tls/ca.pem",
          .otherwise = "those of the system"},
         {.name = "cert_file",
          .shapes = {{path}},
          .description = "The certificate that lockstep shows.",
          .example = "cert_file: tls/lockstep.pem"},
         {.name = "key_file",
          .shapes = {{path}},
          .description = "The key of that certificate.",
          .example = "key_file: tls/lockstep.key"},
         {.name = "insecure_skip_verify",
          .shapes = {{boolean}},
          .description = "The server is not verified: encrypted, but to whom is anyone's "
                         "guess.",
          .example = "insecure_skip_verify: true",
          .otherwise = "false"}}};
}

Place member_ssh_place() {
    return {"inventory.member_ssh",
            "How to log in on one member.",
            {{.name = "host",
              .shapes = {{word}},
              .description = "The host that answers to SSH.",
              .example = "host: 10.0.0.11",
              .otherwise = "what Patroni publishes"},
             {.name = "user",
              .shapes = {{word}},
              .description = "Who logs in.",
              .example = "user: root",
              .otherwise = "what ssh's configuration says, else the current user"},
             {.name = "port",
              .shapes = {{integer}},
              .description = "Where sshd listens.",
              .example = "port: 2222",
              .otherwise = "what ssh's configuration says, else 22",
              .least = 1,
              .most = 65535},
             {.name = "identity_file",
              .shapes = {{path}, {path, {}, k_list}},
              .description = "The private key, or several to try.",
              .example = "identity_file: ~/.ssh/id_ed25519",
              .otherwise = "what ssh's configuration says, else the usual ones in ~/.ssh"},
             {.name = "passphrase",
              .shapes = {{keys, "inventory.secret_source"}},
              .description = "What unlocks the private key.",
              .example = "passphrase: {command: [pass, show, ssh/lockstep]}"},
             {.name = "known_hosts",
              .shapes = {{path}},
              .description = "The host keys that are known.",
              .example = "known_hosts: ~/.ssh/known_hosts",
              .otherwise = "what ssh's configuration says, else ~/.ssh/known_hosts and "
                           "/etc/ssh/ssh_known_hosts"},
             {.name = "config_file",
              .shapes = {{path}},
              .description = "The configuration of ssh (ssh_config(5)) that says what is not said "
                             "here; `none`: none at all.",
              .example = "config_file: ssh_config",
              .otherwise = "~/.ssh/config and /etc/ssh/ssh_config"},
             {.name = "become",
              .shapes = {{words}},
              .description = "How the login becomes root.",
              .example = "become: sudo",
              .otherwise = "none",
              .words = {"none", "sudo"}},
             {.name = "become_password",
              .shapes = {{keys, "inventory.secret_source"}},
              .description = "The login's password, where sudo asks for it. It goes there by "
                             "stdin. Without it sudo must not ask.",
              .example = "become_password: {env: SUDO_PASSWORD}"},
             {.name = "client",
              .shapes = {{words}},
              .description = "What speaks SSH. `auto`: libssh2, in this process, and the system's "
                             "ssh where libssh2 lacks what the host asks for: RSA keys, "
                             "certificates, FIDO, GSSAPI, ProxyJump, ETM-only servers.",
              .example = "client: openssh",
              .otherwise = "auto",
              .words = {"auto", "libssh2", "openssh"}}}};
}

Place postgres_place() {
    return {"inventory.postgres",
            "How to ask PostgreSQL.",
            {{.name = "via",
              .shapes = {{words}},
              .description = "`ssh`: psql on the member. `direct`: libpq from here.",
              .example = "via: direct",
              .otherwise = "ssh",
              .words = {"ssh", "direct"}},
             {.name = "dsn",
              .shapes = {{text}},
              .description = "For `direct`: a conninfo of libpq, without host, port and password. "
                             "Host and port come from Patroni, the password from ~/.pgpass, a "
                             "service file or PGPASSWORD. Without sslmode it is verify-full, and a "
                             "password is given by SCRAM alone, unless require_auth (libpq 16) or "
                             "channel_binding (before) is named.",
              .example = "dsn: user=lockstep dbname=postgres sslmode=verify-full"},
             {.name = "os_user",
              .shapes = {{word}},
              .description = "For `ssh`: who runs psql.",
              .example = "os_user: postgres",
              .otherwise = "postgres"},
             {.name = "user",
              .shapes = {{word}},
              .description = "For `ssh`: the role of PostgreSQL to log in as, where it is not the "
                             "one named as os_user; with a password in the ~/.pgpass of os_user "
                             "where pg_hba.conf wants one. For `direct`, dsn has it.",
              .example = "user: patroni_superuser"},
             {.name = "database",
              .shapes = {{word}},
              .description = "To connect to, where no step names another.",
              .example = "database: postgres",
              .otherwise = "postgres"}}};
}

Place member_place() {
    return {"inventory.member",
            "One member. Nothing at all is enough: then it must exist.",
            {{.name = "ssh",
              .shapes = {{keys, "inventory.member_ssh"}},
              .description = "What is different from the cluster's.",
              .example = "ssh: {host: 10.0.0.11}"}}};
}

Place secret_place() {
    return {"inventory.secret_source",
            "Where a secret comes from. It never stands in the file itself.",
            {{.name = "env",
              .shapes = {{text}},
              .description = "The name of an environment variable.",
              .example = "env: PATRONI_REST_PASSWORD"},
             {.name = "file",
              .shapes = {{path}},
              .description = "The first line of a file.",
              .example = "file: /etc/lockstep/password"},
             {.name = "command",
              .shapes = {{text, {}, k_list}},
              .description = "What a program prints. No shell is involved.",
              .example = "command: [pass, show, patroni]"}},
            true};
}

/// As `cluster` and `patroni`, without what belongs to one cluster.
Place defaults_place() {
    Place defaults = without(cluster_place(),
                             "members",
                             "inventory.cluster_defaults",
                             "What holds for every cluster that does not say otherwise.");
    defaults.keys.front().shapes = {{keys, "inventory.patroni_defaults"}};
    defaults.keys.front().example = "patroni: {ca_file: /etc/ssl/patroni.pem}";
    defaults.keys.front().required = false;
    return defaults;
}

}  // namespace

const std::vector<Place>& inventory_places() {
    static const std::vector<Place> k_places{
        inventory_place(),
        cluster_place(),
        defaults_place(),
        patroni_place(),
        without(patroni_place(),
                "endpoints",
                "inventory.patroni_defaults",
                "How to reach the REST API of every Patroni."),
        without(member_ssh_place(), "host", "inventory.ssh", "How to log in on members."),
        postgres_place(),
        member_place(),
        member_ssh_place(),
        approver_place(),
        target_place(),
        secret_place()};
    return k_places;
}

}  // namespace lockstep
