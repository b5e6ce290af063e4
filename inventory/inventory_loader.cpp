#include "base/account.hpp"
#include "base/yaml.hpp"
#include "inventory/field_readers.hpp"
#include "inventory/inventory.hpp"
#include "inventory/people_readers.hpp"

#include <algorithm>
#include <filesystem>

namespace lockstep {

namespace {

using inventory_fields::PathBase;
using inventory_fields::refuse_unknown_keys;
using inventory_fields::when_given;
using yaml::Node;

/// Reads one file. Every `read_*` of settings overlays what the map has onto what is there: the
/// built-in values first, then `defaults`, then the cluster, then the member.
class Loader {
  public:
    explicit Loader(const std::string& file_name)
        : base_{std::filesystem::path(file_name).parent_path().string(), own_account().home} {}

    /// Everything but path and text.
    void read(const Node& root, Inventory& inventory) const;

  private:
    enum class Level { defaults, cluster, member };

    [[nodiscard]] Cluster read_cluster(const Node& key, const Node& node, Cluster cluster) const;
    [[nodiscard]] MemberSettings read_member(const Node& key,
                                             const Node& node,
                                             const SshSettings& ssh) const;
    void read_settings(const Node& node, Level level, Cluster& cluster) const;
    void read_patroni(const Node& node, Level level, PatroniSettings& patroni) const;
    void read_ssh(const Node& node, Level level, SshSettings& ssh) const;
    [[nodiscard]] std::vector<std::string> read_identity_files(const Node& node) const;
    static void read_endpoints(const Node& node, PatroniSettings& patroni);
    static void read_postgres(const Node& node, PostgresSettings& postgres);
    static void check(const Cluster& cluster, const SourceLocation& where);

    PathBase base_;
};

void Loader::read(const Node& root, Inventory& inventory) const {
    if (root.is(Node::Kind::null)) {
        throw InputError(root.where,
                         "the inventory is empty",
                         "It needs `clusters:` with a name and `patroni: {endpoints: […]}` below.",
                         "inventory.missing");
    }
    inventory_fields::require_map(root, "the inventory");
    refuse_unknown_keys(root, "inventory", "the inventory");
    const Node* clusters = root.find("clusters");
    if (clusters == nullptr) {
        throw InputError(root.where,
                         "`clusters` is missing",
                         "It maps each name to its settings.",
                         "inventory.missing");
    }
    inventory_fields::require_map(*clusters, "clusters");
    if (clusters->entries.empty()) {
        throw InputError(clusters->where, "`clusters` names no cluster", {}, "inventory.missing");
    }
    Cluster defaults;
    when_given(root, "defaults", [&](const Node& node) {
        read_settings(node, Level::defaults, defaults);
    });
    for (const auto& [key, value] : clusters->entries) {
        inventory.clusters.push_back(read_cluster(key, value, defaults));
    }
    when_given(root, "groups", [&](const Node& node) {
        inventory.groups = inventory_fields::read_groups(node);
    });
    when_given(root, "approvers", [&](const Node& node) {
        inventory.approvers = inventory_fields::read_approvers(node, base_);
    });
    when_given(root, "notify", [&](const Node& node) {
        inventory.notify = inventory_fields::read_targets(node, base_);
    });
    for (Cluster& cluster : inventory.clusters) {
        for (const auto& [name, target] : inventory.notify) {
            cluster.notify_targets.push_back(name);
        }
    }
}

Cluster Loader::read_cluster(const Node& key, const Node& node, Cluster cluster) const {
    cluster.name = inventory_fields::read_word(key, "the name of a cluster");
    if (cluster.name.find('/') != std::string::npos) {
        throw InputError(
            key.where, "the name of a cluster must not hold a /", {}, "inventory.value");
    }
    cluster.where = key.where;
    read_settings(node, Level::cluster, cluster);
    check(cluster, key.where);
    when_given(node, "members", [&](const Node& members) {
        inventory_fields::require_map(members, "members");
        for (const auto& [name, value] : members.entries) {
            cluster.members.push_back(read_member(name, value, cluster.ssh));
        }
    });
    return cluster;
}

MemberSettings Loader::read_member(const Node& key,
                                   const Node& node,
                                   const SshSettings& ssh) const {
    MemberSettings member{inventory_fields::read_word(key, "the name of a member"), ssh, key.where};
    if (node.is(Node::Kind::null)) {
        return member;  // it must exist, and that is all there is to say
    }
    inventory_fields::require_map(node, "member " + member.name);
    refuse_unknown_keys(node, "inventory.member", "member " + member.name);
    when_given(node, "ssh", [&](const Node& value) { read_ssh(value, Level::member, member.ssh); });
    return member;
}

void Loader::read_settings(const Node& node, Level level, Cluster& cluster) const {
    const std::string what = level == Level::defaults ? "defaults" : "cluster " + cluster.name;
    inventory_fields::require_map(node, what);
    if (const Node* members = node.find("members"); members && level == Level::defaults) {
        throw InputError(members->where,
                         "members belong to a cluster, not to the defaults",
                         {},
                         "inventory.misplaced");
    }
    refuse_unknown_keys(node, "inventory.cluster", what);
    when_given(node, "patroni", [&](const Node& v) { read_patroni(v, level, cluster.patroni); });
    when_given(node, "ssh", [&](const Node& v) { read_ssh(v, level, cluster.ssh); });
    when_given(node, "postgres", [&](const Node& v) { read_postgres(v, cluster.postgres); });
    when_given(node, "patroni_service", [&](const Node& v) {
        cluster.patroni_service = inventory_fields::read_word(v, "patroni_service");
    });
    when_given(node, "patroni_package", [&](const Node& v) {
        cluster.patroni_package = inventory_fields::read_word(v, "patroni_package");
    });
}

void Loader::read_patroni(const Node& node, Level level, PatroniSettings& patroni) const {
    inventory_fields::require_map(node, "patroni");
    refuse_unknown_keys(node, "inventory.patroni", "patroni");
    when_given(node, "endpoints", [&](const Node& endpoints) {
        if (level == Level::defaults) {
            throw InputError(endpoints.where,
                             "endpoints belong to a cluster, not to the defaults",
                             {},
                             "inventory.misplaced");
        }
        read_endpoints(endpoints, patroni);
    });
    when_given(node, "username", [&](const Node& v) {
        patroni.username = inventory_fields::read_word(v, "username");
    });
    when_given(node, "password", [&](const Node& v) {
        patroni.password = inventory_fields::read_secret(v, "password", base_);
    });
    when_given(node, "ca_file", [&](const Node& v) {
        patroni.ca_file = inventory_fields::read_path(v, "ca_file", base_);
    });
    when_given(node, "cert_file", [&](const Node& v) {
        patroni.cert_file = inventory_fields::read_path(v, "cert_file", base_);
    });
    when_given(node, "key_file", [&](const Node& v) {
        patroni.key_file = inventory_fields::read_path(v, "key_file", base_);
    });
    when_given(node, "via", [&](const Node& v) {
        using Via = PatroniSettings::Via;
        patroni.via = yaml::as_choice<Via>(
            v, "way to the REST API", {{"direct", Via::direct}, {"ssh", Via::ssh}});
    });
    when_given(node, "insecure_skip_verify", [&](const Node& v) {
        patroni.insecure_skip_verify = yaml::as_bool(v, "insecure_skip_verify");
    });
}

void Loader::read_endpoints(const Node& node, PatroniSettings& patroni) {
    if (!node.is(Node::Kind::list)) {
        throw InputError(node.where,
                         "endpoints must be a list, not " + node.describe(),
                         "One is enough: endpoints: [http://10.0.0.11:8008].",
                         "inventory.type");
    }
    for (const Node& item : node.items) {
        std::string url = inventory_fields::read_endpoint(item);
        auto& all = patroni.endpoints;
        if (std::find(all.begin(), all.end(), url) != all.end()) {
            throw InputError(
                item.where, "endpoint " + url + " is given twice", {}, "inventory.duplicate");
        }
        all.push_back(std::move(url));
    }
}

void Loader::read_ssh(const Node& node, Level level, SshSettings& ssh) const {
    inventory_fields::require_map(node, "ssh");
    refuse_unknown_keys(node, "inventory.member_ssh", "ssh");
    when_given(node, "host", [&](const Node& v) {
        if (level != Level::member) {
            throw InputError(v.where,
                             "ssh.host belongs to a member",
                             "Write members: {NAME: {ssh: {host: …}}}.",
                             "inventory.misplaced");
        }
        ssh.host = inventory_fields::read_word(v, "host");
    });
    when_given(
        node, "user", [&](const Node& v) { ssh.user = inventory_fields::read_word(v, "user"); });
    when_given(node, "port", [&](const Node& v) { ssh.port = inventory_fields::read_port(v); });
    when_given(
        node, "identity_file", [&](const Node& v) { ssh.identity_files = read_identity_files(v); });
    when_given(node, "passphrase", [&](const Node& v) {
        ssh.passphrase = inventory_fields::read_secret(v, "passphrase", base_);
    });
    when_given(node, "known_hosts", [&](const Node& v) {
        ssh.known_hosts = inventory_fields::read_path(v, "known_hosts", base_);
    });
    when_given(node, "become", [&](const Node& v) {
        ssh.become = yaml::as_choice<Become>(
            v, "way to become root", {{"none", Become::none}, {"sudo", Become::sudo}});
    });
    when_given(node, "config_file", [&](const Node& v) {
        ssh.config_file = yaml::as_string(v, "config_file") == "none"
                              ? "none"
                              : inventory_fields::read_path(v, "config_file", base_);
    });
    when_given(node, "become_password", [&](const Node& v) {
        ssh.become_password = inventory_fields::read_secret(v, "become_password", base_);
    });
    when_given(node, "client", [&](const Node& v) {
        using Client = SshSettings::Client;
        ssh.client = yaml::as_choice<Client>(v,
                                             "ssh client",
                                             {{"auto", Client::automatic},
                                              {"libssh2", Client::libssh2},
                                              {"openssh", Client::openssh}});
    });
}

std::vector<std::string> Loader::read_identity_files(const Node& node) const {
    if (!node.is(Node::Kind::list)) {
        return {inventory_fields::read_path(node, "identity_file", base_)};
    }
    std::vector<std::string> paths;
    for (const Node& item : node.items) {
        paths.push_back(inventory_fields::read_path(item, "identity_file", base_));
    }
    return paths;
}

void Loader::read_postgres(const Node& node, PostgresSettings& postgres) {
    inventory_fields::require_map(node, "postgres");
    refuse_unknown_keys(node, "inventory.postgres", "postgres");
    when_given(node, "via", [&](const Node& v) {
        using Via = PostgresSettings::Via;
        postgres.via = yaml::as_choice<Via>(
            v, "way to PostgreSQL", {{"ssh", Via::ssh}, {"direct", Via::direct}});
        // Of defaults that this entry departs from.
        (postgres.via == Via::ssh ? postgres.dsn : postgres.user).clear();
    });
    when_given(node, "dsn", [&](const Node& v) {
        postgres.dsn = inventory_fields::read_dsn(v);
        postgres.dsn_where = v.where;
    });
    when_given(node, "os_user", [&](const Node& v) {
        postgres.os_user = inventory_fields::read_word(v, "os_user");
    });
    when_given(node, "user", [&](const Node& v) {
        postgres.user = inventory_fields::read_word(v, "user");
        postgres.user_where = v.where;
    });
    when_given(node, "database", [&](const Node& v) {
        postgres.database = inventory_fields::read_word(v, "database");
    });
}

/// What would be ignored is refused: whoever wrote it believes that it counts.
void check_postgres(const PostgresSettings& postgres) {
    const bool direct = postgres.via == PostgresSettings::Via::direct;
    if (!direct && !postgres.dsn.empty()) {
        throw InputError(postgres.dsn_where,
                         "dsn counts for postgres.via: direct alone, and here it is ssh",
                         "Add via: direct to connect from here; psql on the member takes user: "
                         "and database:.",
                         "inventory.value");
    }
    if (direct && !postgres.user.empty()) {
        throw InputError(postgres.user_where,
                         "user counts for postgres.via: ssh alone, and here it is direct",
                         "Write it into dsn: user=….",
                         "inventory.value");
    }
}

/// What can only be said once everything is merged.
void Loader::check(const Cluster& cluster, const SourceLocation& where) {
    const PatroniSettings& patroni = cluster.patroni;
    const std::string what = "cluster " + cluster.name;
    if (patroni.endpoints.empty()) {
        throw InputError(where,
                         what + " has no patroni.endpoints",
                         "Give at least one: patroni: {endpoints: [http://10.0.0.11:8008]}.",
                         "inventory.missing");
    }
    if (patroni.username.empty() != !patroni.password) {
        throw InputError(where,
                         what + (patroni.password ? " has a patroni.password without a username"
                                                  : " has a patroni.username without a password"),
                         "Basic authentication needs both.",
                         "inventory.missing");
    }
    check_postgres(cluster.postgres);
    if (patroni.cert_file.empty() && !patroni.key_file.empty()) {
        throw InputError(
            where, what + " has a patroni.key_file without a cert_file", {}, "inventory.missing");
    }
}

}  // namespace

Inventory parse_inventory(const std::string& text, const std::string& file_name) {
    try {
        Inventory inventory{file_name, text, {}};
        Loader(file_name).read(yaml::parse(text, file_name), inventory);
        return inventory;
    } catch (const InputError& error) {
        throw error.of("inventory").in(std::make_shared<const std::string>(text));
    }
}

Inventory load_inventory(const std::string& path) {
    return parse_inventory(yaml::read_text(path), path);
}

}  // namespace lockstep
