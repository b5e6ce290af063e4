#include "cli/inventory_file.hpp"

#include "base/yaml.hpp"
#include "cli/terminal.hpp"

#include <filesystem>
#include <iostream>
#include <set>

namespace lockstep {

namespace {

constexpr const char* k_allowed_by = "--allow-shared-inventory";

bool is_allowed(const Options& options, const InventoryPlace& place) {
    return options.allow_shared_inventory && place.by == FoundBy::name;
}

Inventory read(const Options& options, const InventoryPlace& place) {
    const std::optional<FoundBy> only_ours =
        is_allowed(options, place) ? std::nullopt : std::optional(place.by);
    const std::string path = std::filesystem::absolute(place.path).string();
    return parse_inventory(yaml::read_text(path, only_ours, k_allowed_by), path);
}

void add_ssh(const SshSettings& ssh, std::set<std::string>& files) {
    files.insert({ssh.config_file == "none" ? "" : ssh.config_file, ssh.known_hosts});
    files.insert(ssh.identity_files.begin(), ssh.identity_files.end());
}

}  // namespace

void refuse_shared_files(const Inventory& inventory) {
    std::set<std::string> files;
    for (const Cluster& cluster : inventory.clusters) {
        files.insert(
            {cluster.patroni.ca_file, cluster.patroni.cert_file, cluster.patroni.key_file});
        add_ssh(cluster.ssh, files);
        for (const MemberSettings& member : cluster.members) {
            add_ssh(member.ssh, files);
        }
    }
    for (const auto& [name, target] : inventory.notify) {
        if (const auto* webhook = std::get_if<WebhookTarget>(&target)) {
            files.insert(webhook->ca_file);
        } else if (const auto* mail = std::get_if<MailTarget>(&target)) {
            files.insert(mail->ca_file);
        }
    }
    files.erase("");
    for (const std::string& file : files) {
        if (const std::string who = who_else_may_write(file, FoundBy::name); !who.empty()) {
            throw InputError({file, 0, 0},
                             "the inventory names it, and it is not used: " + who,
                             std::string("It decides whom to believe, or what is run in your name: "
                                         "take the right from them (chmod go-w). It is used all "
                                         "the same with ") +
                                 k_allowed_by + ".",
                             "file.shared");
        }
    }
}

Inventory read_inventory(const Options& options) {
    return read(options, inventory_place(options));
}

Inventory inventory_of(const Options& options) {
    const InventoryPlace place = inventory_place(options);
    Inventory inventory = read(options, place);
    if (!is_allowed(options, place)) {
        refuse_shared_files(inventory);
    }
    if (place.here) {
        std::cerr << "the inventory is " << printable(inventory.path) << "\n";
    }
    return inventory;
}

}  // namespace lockstep
