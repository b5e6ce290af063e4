#pragma once

#include "base/deadline.hpp"
#include "cluster/facts.hpp"
#include "steps/observation/connections.hpp"

#include <nlohmann/json.hpp>

#include <map>
#include <optional>
#include <stop_token>
#include <string>

/// From the inventory's endpoints to the list of members.
namespace lockstep {

/// What the endpoints told. Without `cluster` at least one of them is alive all the same: a REST
/// API answers for its own member while the DCS is down.
struct Discovery {
    std::optional<nlohmann::json> cluster;  ///< body of GET /cluster
    std::string endpoint;                   ///< that gave it, as in the inventory
    std::optional<nlohmann::json> config;   ///< without `cluster`: body of GET /config
    std::string cluster_error;              ///< why there is no `cluster`
    std::map<std::string, std::string>
        names_of_urls;  ///< without `cluster`: endpoint -> its member
};

/// Asks the endpoints one after the other, but without waiting for one that is slow: the next one
/// is asked a moment later, and the first answer wins. Throws TransportError connect that lists
/// every endpoint with its error when none answers at all.
[[nodiscard]] Discovery discover(Connections& connections, Deadline deadline, std::stop_token stop);

/// GET /config of the endpoint that gave `cluster`; nullopt where there is none. After /cluster and
/// never beside it: Patroni answers it from a cache that /cluster of the same daemon makes new
/// (patroni/api.py, do_GET_config, 2.1 to 4.1), and that is a loop old otherwise.
[[nodiscard]] std::optional<nlohmann::json> ask_config(Connections& connections,
                                                       const Discovery& found,
                                                       Deadline deadline,
                                                       std::stop_token stop);

}  // namespace lockstep
