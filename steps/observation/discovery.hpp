#pragma once

#include "base/deadline.hpp"
#include "inventory/facts.hpp"
#include "steps/observation/links.hpp"

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
    std::optional<nlohmann::json> config;   ///< body of GET /config
    std::string cluster_error;              ///< why there is no `cluster`
    std::map<std::string, std::string>
        names_of_urls;  ///< without `cluster`: endpoint -> its member
};

/// Asks the endpoints one after the other, but without waiting for one that is slow: the next one
/// is asked a moment later, and the first answer wins. Throws TransportError connect that lists
/// every endpoint with its error when none answers at all.
[[nodiscard]] Discovery discover(Links& links, Deadline deadline, std::stop_token stop);

}  // namespace lockstep
