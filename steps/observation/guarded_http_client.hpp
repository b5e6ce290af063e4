#pragma once

#include "inventory/inventory.hpp"
#include "transport/http_client.hpp"

#include <memory>
#include <string>

namespace lockstep {

/// A client of one cluster's REST API that holds to the inventory wherever a request goes
/// (inventory/rest_policy.hpp): nothing to an address that speaks worse than its endpoints, and the
/// user name and password of `client` only to whom they may go. What only reads goes without them
/// until it is asked for them (401), for Patroni wants them for changes alone.
///
/// Throws TransportError host_key for what is not sent at all, auth for a change that would need
/// credentials which may not go there; else as `client` does. `asked_on` is the host whose curl
/// asks; empty: this one. The cluster must outlive it.
[[nodiscard]] std::unique_ptr<HttpClient> make_guarded_http_client(
    std::unique_ptr<HttpClient> client, const Cluster& cluster, std::string asked_on);

}  // namespace lockstep
