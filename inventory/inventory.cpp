#include "inventory/inventory.hpp"

#include "base/join.hpp"
#include "base/suggest.hpp"

#include <algorithm>

namespace lockstep {

bool PatroniSettings::is_authenticated() const {
    return via == Via::ssh ||
           (!insecure_skip_verify && std::ranges::all_of(endpoints, [](const std::string& url) {
               return url.starts_with("https://");
           }));
}

std::string Cluster::note_on_rest() const {
    return patroni.is_authenticated()
               ? ""
               : "note: Patroni's REST API of " + name +
                     " is not authenticated: whoever is in between can lie. Nothing is changed on "
                     "its word alone, each member is asked over SSH, too. https with ca_file, or "
                     "patroni.via: ssh, ends that.";
}

namespace {

std::vector<std::string> names_of(const std::vector<Cluster>& clusters) {
    std::vector<std::string> names;
    names.reserve(clusters.size());
    for (const Cluster& cluster : clusters) {
        names.push_back(cluster.name);
    }
    return names;
}

}  // namespace

SshSettings Cluster::ssh_of(std::string_view member) const {
    const auto found = std::find_if(
        members.begin(), members.end(), [member](const auto& m) { return m.name == member; });
    return found == members.end() ? ssh : found->ssh;
}

const Cluster& Inventory::cluster(std::string_view name) const {
    const std::vector<std::string> names = names_of(clusters);
    if (name.empty()) {
        if (clusters.size() == 1) {
            return clusters.front();
        }
        throw UsageError("which cluster? " + path + " has " + std::to_string(clusters.size()),
                         "Name one of: " + join(names) + ".");
    }
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
        throw UsageError("no cluster \"" + std::string(name) + "\" in " + path,
                         did_you_mean(name, names));
    }
    return clusters[static_cast<std::size_t>(found - names.begin())];
}

bool Inventory::is_in_group(std::string_view who, std::string_view group) const {
    const auto found = groups.find(group);
    return found != groups.end() && std::ranges::any_of(found->second, [&](const auto& one) {
               return is_meant_by(one, who);
           });
}

std::string_view user_of(std::string_view who) {
    return who.substr(0, who.rfind('@'));
}

bool is_meant_by(std::string_view name, std::string_view who) {
    return name == who || name == user_of(who);
}

}  // namespace lockstep
