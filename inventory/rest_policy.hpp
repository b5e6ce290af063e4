#pragma once

#include "inventory/inventory.hpp"

#include <string_view>

/// What may be sent to an address of a REST API. Patroni publishes the addresses of its members by
/// /cluster, and so does whoever lies in its place or writes to the DCS: what a person wrote down
/// decides what goes there.
namespace lockstep {

/// Whether an address speaks worse than the inventory does: http, though an endpoint has https and
/// none with http has this host. Nothing is sent to it.
[[nodiscard]] bool is_downgrade(const PatroniSettings& patroni, std::string_view url);

/// Whether the user name and password may go there: to the hosts of the endpoints and of
/// `members:`, to who has a certificate by `ca_file` for its name, and by `via: ssh` to the host
/// itself whose curl asks (`asked_on`, as its SSH host key says). The system's authorities vouch
/// for anybody.
[[nodiscard]] bool may_have_credentials(const Cluster& cluster,
                                        std::string_view url,
                                        std::string_view asked_on);

/// Whether a password goes over the network by http.
[[nodiscard]] bool sends_password_in_clear(const PatroniSettings& patroni);

/// `localhost`, 127.0.0.0/8, `::1`, by their usual spelling.
[[nodiscard]] bool is_loopback_host(std::string_view host);

}  // namespace lockstep
