#include "transport/ssh_policy.hpp"

#include "transport/ssh_config.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace lockstep {

namespace {

/// What libssh2, or what stands around it here, does not do: whatever the value is.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> k_beyond{
    {{"revokedhostkeys", "RevokedHostKeys"},
     {"knownhostscommand", "KnownHostsCommand"},
     {"bindaddress", "BindAddress"},
     {"bindinterface", "BindInterface"}}};

std::vector<std::string_view> items_of(std::string_view list) {
    std::vector<std::string_view> items;
    while (!list.empty()) {
        items.push_back(list.substr(0, list.find(',')));
        list.remove_prefix(std::min(items.back().size() + 1, list.size()));
    }
    return items;
}

/// Those of ours that are allowed, in our order.
std::string common(std::string_view ours, std::string_view allowed) {
    const std::vector<std::string_view> known = items_of(allowed);
    std::string both;
    for (const std::string_view item : items_of(ours)) {
        if (std::find(known.begin(), known.end(), item) != known.end()) {
            both += (both.empty() ? "" : ",") + std::string(item);
        }
    }
    return both;
}

void narrow(SshRoute& route, std::string& ours, std::string_view name, const std::string& allowed) {
    ours = common(ours, allowed);
    if (ours.empty()) {
        route.only_openssh = std::string(name) + " " + allowed;
    }
}

}  // namespace

const std::vector<std::string_view>& policy_keywords() {
    static const std::vector<std::string_view> k_keywords = [] {
        std::vector<std::string_view> all{"addressfamily",
                                          "pubkeyauthentication",
                                          "preferredauthentications",
                                          "pubkeyacceptedalgorithms",
                                          "pubkeyacceptedkeytypes",
                                          "kexalgorithms",
                                          "hostkeyalgorithms",
                                          "ciphers",
                                          "macs"};
        for (const auto& [keyword, name] : k_beyond) {
            all.push_back(keyword);
        }
        return all;
    }();
    return k_keywords;
}

void apply_policy(SshRoute& route, std::string_view keyword, const std::string& value) {
    for (const auto& [beyond, name] : k_beyond) {
        if (keyword == beyond) {
            route.only_openssh = name;
        }
    }
    const bool refused = value == "no" || value == "false";
    if (keyword == "addressfamily" && value != "any") {
        route.only_openssh = "AddressFamily " + value;
    } else if (keyword == "pubkeyauthentication" && refused) {
        route.only_openssh = "PubkeyAuthentication no";
    } else if (keyword == "preferredauthentications" && common("publickey", value).empty()) {
        route.only_openssh = "PreferredAuthentications " + value;
    } else if (keyword == "pubkeyacceptedalgorithms" || keyword == "pubkeyacceptedkeytypes") {
        // libssh2 cannot be told which keys it may show.
        const std::string& keys = accepted_algorithms().host_keys;
        if (common(keys, value) != keys) {
            route.only_openssh = "PubkeyAcceptedAlgorithms";
        }
    } else if (keyword == "kexalgorithms") {
        narrow(route, route.offer.key_exchanges, "KexAlgorithms", value);
    } else if (keyword == "hostkeyalgorithms") {
        narrow(route, route.offer.host_keys, "HostKeyAlgorithms", value);
    } else if (keyword == "ciphers") {
        narrow(route, route.offer.ciphers, "Ciphers", value);
    } else if (keyword == "macs") {
        narrow(route, route.offer.macs, "MACs", value);
    }
}

}  // namespace lockstep
