#include "base/clock.hpp"
#include "base/url.hpp"
#include "cluster/diagnosis_rules.hpp"

#include <algorithm>

namespace lockstep {

namespace {

/// What one does not tell is no difference.
bool texts_differ(const std::string& a, const std::string& b) {
    return !a.empty() && !b.empty() && a != b;
}

bool are_two_clusters(const EndpointFacts& a, const EndpointFacts& b) {
    return texts_differ(a.scope, b.scope) || texts_differ(a.system_identifier, b.system_identifier);
}

/// The same names, which are to be found at different places.
bool place_members_differently(const EndpointFacts& a, const EndpointFacts& b) {
    return a.tells() && b.tells() && a.members == b.members && !a.addresses.empty() &&
           !b.addresses.empty() && a.addresses != b.addresses;
}

bool contradict(const EndpointFacts& a, const EndpointFacts& b) {
    return are_two_clusters(a, b) || place_members_differently(a, b) ||
           (a.tells() && b.tells() && (a.leader != b.leader || a.members != b.members));
}

template <typename Differ>
bool any_two(const ClusterFacts& facts, const Differ& differ) {
    const auto& all = facts.endpoints;
    for (std::size_t n = 0; n < all.size(); ++n) {
        for (std::size_t k = n + 1; k < all.size(); ++k) {
            if (all[n].answers && all[k].answers && differ(all[n], all[k])) {
                return true;
            }
        }
    }
    return false;
}

/// Somebody says by one way what nobody says by the other: parts of a DCS that differ say the same
/// by both.
bool ways_disagree(const ClusterFacts& facts) {
    return std::ranges::any_of(facts.endpoints, [&](const EndpointFacts& one) {
        bool asked = false;
        const bool confirmed =
            std::ranges::any_of(facts.endpoints, [&](const EndpointFacts& other) {
                const bool counts =
                    other.over_ssh != one.over_ssh && other.answers && other.tells();
                asked = asked || counts;
                return counts && !contradict(one, other);
            });
        return one.answers && one.tells() && asked && !confirmed;
    });
}

}  // namespace

bool endpoints_disagree(const ClusterFacts& facts) {
    return any_two(facts, contradict);
}

bool is_loopback_url(std::string_view url) {
    const std::string host = url_host(url);
    return host == "localhost" || host.starts_with("127.") || host == "::1" || host == "0.0.0.0" ||
           host == "::";
}

namespace {

/// `http://10.0.0.11:8008: scope orders, system 77…, members n1 and n2, leader n1`
std::string word_of(const EndpointFacts& endpoint, bool with_addresses) {
    std::string text = endpoint.url + ": ";
    text += endpoint.scope.empty() ? "" : "scope " + endpoint.scope + ", ";
    text += endpoint.system_identifier.empty()
                ? ""
                : "system identifier " + endpoint.system_identifier + ", ";
    if (!endpoint.tells()) {
        return text + "no list of members (" + endpoint.error + ")";
    }
    std::vector<std::string> names = endpoint.members;
    for (std::size_t n = 0; with_addresses && n < endpoint.addresses.size(); ++n) {
        names[n] += " (" + endpoint.addresses[n] + ")";
    }
    text += names.size() == 1 ? "member " : "members ";
    text += names.empty() ? "none" : rules::join_names(names);
    return text + (endpoint.leader.empty() ? ", no leader" : ", leader " + endpoint.leader);
}

}  // namespace

/// Of the system as a whole, and of nothing that a person could accept.
std::optional<Finding> contradiction_of(const ClusterFacts& facts) {
    if (!endpoints_disagree(facts)) {
        return std::nullopt;
    }
    const bool two = any_two(facts, are_two_clusters);
    const bool lies = ways_disagree(facts);
    const bool places = any_two(facts, place_members_differently);
    Finding finding{lies ? "cluster.members_disagree" : "cluster.endpoints_disagree",
                    Severity::critical};
    finding.message = lies  ? "members say over SSH something else of the cluster than REST does"
                      : two ? "the endpoints belong to different clusters"
                            : "the endpoints tell of the cluster in different ways";
    std::string separator = ": ";
    for (const EndpointFacts& endpoint : facts.endpoints) {
        if (endpoint.answers) {
            finding.message += separator + word_of(endpoint, places);
            separator = "; ";
        }
    }
    finding.remedy =
        lies
            ? "Change nothing before they agree: whoever answers for Patroni's REST API is not, or "
              "not only, this cluster's Patroni. Look at patroni.endpoints in the inventory and at "
              "every proxy before them. http is not authenticated: https with ca_file is, and with "
              "patroni.via: ssh the members are asked on their own hosts."
        : two ? "Change nothing before they agree. Take the endpoints of the other cluster out of "
                "patroni.endpoints in the inventory: each cluster has an entry of its own."
              : "Change nothing before they agree. Look at the DCS first (etcd: `etcdctl endpoint "
                "status --cluster`): its servers may not form one cluster, so that each part has a "
                "leader of its own. Keep clients off all primaries but the right one.";
    return finding;
}

namespace rules {

namespace {

const MissingMember* missing_at(const ClusterFacts& facts, const std::string& host) {
    const auto it = std::ranges::find(facts.missing, host, &MissingMember::host);
    return it == facts.missing.end() ? nullptr : &*it;
}

/// What is no member's own address, and says nothing, or the name of somebody who is not listed.
void strangers(const ClusterFacts& facts, Findings& found) {
    const bool disagree = endpoints_disagree(facts);
    for (const EndpointFacts& endpoint : facts.endpoints) {
        if (!endpoint.given) {
            continue;
        }
        if (!endpoint.answers && missing_at(facts, url_host(endpoint.url)) == nullptr) {
            found.push_back(
                {"endpoint.unreachable",
                 Severity::warning,
                 "",
                 endpoint.url,
                 "the endpoint " + endpoint.url +
                     " does not answer, and no member that Patroni lists has this address: " +
                     endpoint.error,
                 "If a member is there, start its Patroni: a run would leave it at the version "
                 "that it has. If none is, take the endpoint out of the inventory.",
                 ""});
            continue;
        }
        const MemberFacts* member = facts.find(endpoint.member);
        const bool unknown = member == nullptr || !member->listed;
        if (endpoint.answers && !endpoint.member.empty() && unknown && !disagree) {
            found.push_back({"endpoint.no_member",
                             Severity::warning,
                             "",
                             endpoint.url,
                             "the endpoint " + endpoint.url + " is the REST API of " +
                                 endpoint.member +
                                 ", which is not among the members that Patroni lists",
                             "Look at Patroni's log on " + endpoint.member +
                                 ": it does not reach the DCS, or was just started. A run would "
                                 "leave it at the version that it has.",
                             ""});
        }
    }
}

void missing(const ClusterFacts& facts, Findings& found) {
    for (const MissingMember& member : facts.missing) {
        const auto silent = std::ranges::find_if(facts.endpoints, [&](const EndpointFacts& each) {
            return each.given && !each.answers && url_host(each.url) == member.host;
        });
        found.push_back(
            {"member.missing",
             Severity::warning,
             member.name,
             "",
             member.name + " is not among the members that Patroni lists; it was at " +
                 to_iso8601(member.last_seen) +
                 (silent == facts.endpoints.end()
                      ? ""
                      : ", and its endpoint does not answer: " + silent->error),
             "Start Patroni on " + member.name +
                 ", or look at its log there. A run would leave it at the version that it has. If "
                 "it was removed on purpose, this is said for some hours.",
             ""});
    }
}

/// Patroni's members ask each other by these addresses: who has the lock, who is how far.
void api_addresses(const ClusterFacts& facts, const Cluster& expected, Findings& found) {
    std::vector<std::string> names;
    std::vector<std::string> urls;
    bool failed = expected.patroni.via == PatroniSettings::Via::direct;
    for (const MemberFacts& member : facts.members) {
        if (has_useless_api_url(facts, member)) {
            names.push_back(member.name);
            failed = failed || member.api.failed();
            if (std::ranges::find(urls, member.api_url) == urls.end()) {
                urls.push_back(member.api_url);
            }
        }
    }
    if (names.empty()) {
        return;
    }
    found.push_back(
        {"patroni.api_address",
         failed ? Severity::critical : Severity::warning,
         "",
         "",
         "Patroni publishes " + join_names(urls) + " as the REST API of " + join_names(names) +
             (facts.members.size() == 1
                  ? ": nobody but itself can ask it"
                  : ": members cannot ask each other, so that failover and switchover between "
                    "them cannot work"),
         "Set restapi.connect_address in Patroni's configuration on " + join_names(names) +
             " to the member's own address, and reload it (`patronictl reload " + facts.scope +
             "`)." +
             (expected.patroni.via == PatroniSettings::Via::direct
                  ? " Until then patroni.via: ssh in the inventory asks each member on its own "
                    "host."
                  : ""),
         ""});
}

}  // namespace

bool has_useless_api_url(const ClusterFacts& facts, const MemberFacts& member) {
    if (member.api_url.empty() || !member.listed) {
        return false;
    }
    const auto others = std::ranges::count(facts.members, member.api_url, &MemberFacts::api_url);
    return others > 1 ||
           (is_loopback_url(member.api_url) && (facts.members.size() > 1 || member.api.failed()));
}

void endpoints(const ClusterFacts& facts, const Cluster& expected, Findings& found) {
    if (auto finding = contradiction_of(facts)) {
        found.push_back(std::move(*finding));
    }
    strangers(facts, found);
    missing(facts, found);
    api_addresses(facts, expected, found);
}

}  // namespace rules

}  // namespace lockstep
