#pragma once

#include "base/deadline.hpp"
#include "cluster/facts.hpp"
#include "transport/http_client.hpp"

#include <nlohmann/json.hpp>

#include <stop_token>
#include <string>

/// What each address of the REST API says of the cluster, so that it can be compared.
namespace lockstep {

/// GET /cluster of `url` beside `status`, the body of its GET /patroni. In that order: /cluster
/// makes the cache new from which /patroni says whether the member knows of a pause (Patroni 3.0.3
/// and later).
[[nodiscard]] EndpointFacts ask_about_cluster(HttpClient& http,
                                              const std::string& url,
                                              const nlohmann::json& status,
                                              Deadline deadline,
                                              std::stop_token stop);

/// The same with GET /patroni first. One that answers neither has an `error`.
[[nodiscard]] EndpointFacts ask_endpoint(HttpClient& http,
                                         const std::string& url,
                                         Deadline deadline,
                                         std::stop_token stop);

}  // namespace lockstep
