#include "inventory/rest_policy.hpp"

#include "base/text.hpp"
#include "base/url.hpp"

#include <algorithm>

namespace lockstep {

namespace {

/// Schemes have no case (RFC 3986, 3.1), and hosts neither.
bool is_https(std::string_view url) {
    return lower(url.substr(0, 8)) == "https://";
}

std::string host_in(std::string_view url) {
    return lower(url_host(url));
}

}  // namespace

bool is_loopback_host(std::string_view host) {
    const bool dotted = std::ranges::count(host, '.') == 3 &&
                        host.find_first_not_of("0123456789.") == std::string_view::npos;
    return host == "localhost" || host == "::1" || (dotted && host.starts_with("127."));
}

bool is_downgrade(const PatroniSettings& patroni, std::string_view url) {
    const auto& endpoints = patroni.endpoints;
    return !url.empty() && !is_https(url) && std::ranges::any_of(endpoints, is_https) &&
           std::ranges::none_of(endpoints, [&](const std::string& endpoint) {
               return !is_https(endpoint) && host_in(endpoint) == host_in(url);
           });
}

bool may_have_credentials(const Cluster& cluster, std::string_view url, std::string_view asked_on) {
    const PatroniSettings& patroni = cluster.patroni;
    const std::string host = host_in(url);
    if (host.empty() || is_downgrade(patroni, url)) {
        return false;
    }
    const bool named = std::ranges::any_of(patroni.endpoints,
                                           [&](const std::string& endpoint) {
                                               return host_in(endpoint) == host;
                                           }) ||
                       std::ranges::any_of(cluster.members, [&](const MemberSettings& member) {
                           return lower(member.name) == host || lower(member.ssh.host) == host;
                       });
    const bool vouched = is_https(url) && !patroni.insecure_skip_verify && !patroni.ca_file.empty();
    const bool at_home = patroni.via == PatroniSettings::Via::ssh &&
                         (is_loopback_host(host) || host == lower(asked_on));
    return named || vouched || at_home;
}

bool sends_password_in_clear(const PatroniSettings& patroni) {
    return patroni.password && patroni.via == PatroniSettings::Via::direct &&
           std::ranges::any_of(patroni.endpoints, [](const std::string& endpoint) {
               return !is_https(endpoint) && !is_loopback_host(url_host(endpoint));
           });
}

}  // namespace lockstep
