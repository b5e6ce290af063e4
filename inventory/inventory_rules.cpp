#include "inventory/inventory_rules.hpp"

#include "inventory/field_readers.hpp"
#include "inventory/rest_policy.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace lockstep {

namespace {

using Warnings = std::vector<InputError>;

void rest_password(const Cluster& cluster, Warnings& found) {
    if (sends_password_in_clear(cluster.patroni)) {
        found.emplace_back(
            cluster.patroni.password->where,
            "cluster " + cluster.name +
                ": the password of the REST API goes over the network by http, and "
                "who answers there is not proven",
            "Give Patroni certificates (restapi.certfile) and write https endpoints, "
            "or set patroni.via: ssh.",
            "inventory.password_in_clear");
    }
    if (cluster.patroni.password && cluster.patroni.insecure_skip_verify) {
        found.emplace_back(cluster.patroni.password->where,
                           "cluster " + cluster.name +
                               ": with insecure_skip_verify whoever answers gets the password of "
                               "the REST API",
                           "Give ca_file instead.",
                           "inventory.unverified_server");
    }
}

/// What the conninfo does not name is as strict as can be (PqEndpoint).
void libpq_is_lax(const Cluster& cluster, Warnings& found) {
    if (cluster.postgres.via != PostgresSettings::Via::direct) {
        return;
    }
    const std::string& dsn = cluster.postgres.dsn;
    const auto names_other = [&](const char* keyword, const char* strict) {
        const std::optional<std::string> value = inventory_fields::dsn_value(dsn, keyword);
        return value && *value != strict;
    };
    if (names_other("sslmode", "verify-full")) {
        found.emplace_back(cluster.postgres.dsn_where,
                           "cluster " + cluster.name +
                               ": sslmode in dsn does not prove who answers for PostgreSQL",
                           "Leave it out: without it it is verify-full. sslrootcert= names the "
                           "authority.",
                           "inventory.unverified_server");
    }
    if (names_other("require_auth", "scram-sha-256") || names_other("channel_binding", "require")) {
        found.emplace_back(cluster.postgres.dsn_where,
                           "cluster " + cluster.name +
                               ": dsn lets a server ask for the password in other ways than SCRAM",
                           "Leave out require_auth and channel_binding, and let the server use "
                           "password_encryption = scram-sha-256.",
                           "inventory.unverified_server");
    }
}

}  // namespace

Warnings check_inventory(const Inventory& inventory) {
    Warnings found;
    for (const Cluster& cluster : inventory.clusters) {
        rest_password(cluster, found);
        libpq_is_lax(cluster, found);
    }
    Warnings once;  // what `defaults` say, for the first cluster
    for (InputError& warning : found) {
        if (std::ranges::none_of(once, [&](const InputError& other) {
                return other.where().text() == warning.where().text() &&
                       other.rule() == warning.rule();
            })) {
            once.push_back(std::move(warning));
        }
    }
    return once;
}

}  // namespace lockstep
