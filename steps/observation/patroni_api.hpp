#pragma once

#include "base/json.hpp"
#include "cluster/facts.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <vector>

/// What Patroni's REST API answers, made equal over its versions 2.1 to 4.1. Pure: bodies in,
/// facts out.
namespace lockstep::patroni_api {

/// The body of an answer, by what its URL asks for: one to /config may be larger.
[[nodiscard]] ReadJson read_answer(std::string_view url, std::string_view body);

/// Members as /cluster lists them, with the roles, states and lags that it gives; the leader.
void read_cluster(const nlohmann::json& body, ClusterFacts& facts);

/// The dynamic configuration: /config, and whether it says that the cluster is paused.
void read_config(const nlohmann::json& body, ClusterFacts& facts);

/// A member's own word: GET /patroni.
void read_status(const nlohmann::json& body, MemberFacts& member);

/// What only the whole shows: roles, who streams, lags, the timeline. `statuses` holds the body of
/// GET /patroni for each of `facts.members`, null where there was none.
void combine(ClusterFacts& facts, const std::vector<nlohmann::json>& statuses);

/// What to do about an answer of its access check (patroni/api.py, check_access, 2.1 to 4.1: first
/// the allowlist, then the client certificate, then basic authentication); empty for another.
[[nodiscard]] std::string refusal_hint(long status, std::string_view body);

/// `http://10.0.0.11:8008/patroni`, as members publish it, without the path.
[[nodiscard]] std::string base_url(std::string_view api_url);
/// `170012` -> `17.12`.
[[nodiscard]] std::string server_version_text(std::int64_t number);

}  // namespace lockstep::patroni_api
