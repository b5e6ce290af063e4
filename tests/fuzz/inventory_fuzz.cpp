#include "inventory/inventory.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <variant>

// The input as an inventory. Whatever it is: clusters that can be reached for, or an InputError
// with a place in the file; nothing else, and soon.
namespace {

using namespace lockstep;

void require(bool holds) {
    if (!holds) {
        std::abort();
    }
}

// What is empty is left to ssh's configuration; nothing may read as an option of ssh's.
void check_ssh(const SshSettings& ssh) {
    require(!ssh.user.starts_with('-') && !ssh.host.starts_with('-'));
}

bool is_one_line(const std::string& text) {
    return !text.empty() && text.find_first_of("\r\n") == std::string::npos;
}

void check_target(const NotifyTarget& target) {
    if (const auto* webhook = std::get_if<WebhookTarget>(&target)) {
        if (const auto* url = std::get_if<std::string>(&webhook->url)) {
            require(webhook_trouble(*url, webhook->insecure).empty() && !host_of(*url).empty());
        }
        for (const auto& [name, value] : webhook->headers) {
            const auto* text = std::get_if<std::string>(&value);
            require(is_one_line(name) && (text == nullptr || is_one_line(*text)));
        }
    } else if (const auto* mail = std::get_if<MailTarget>(&target)) {
        require(is_one_line(mail->from) && !mail->to.empty() && !host_of(mail->url).empty());
        for (const std::string& address : mail->to) {
            require(is_one_line(address));
        }
    } else {
        require(!std::get<CommandTarget>(target).argv.empty());
    }
}

void check(const Inventory& inventory) {
    require(!inventory.clusters.empty());
    for (const Cluster& cluster : inventory.clusters) {
        require(&inventory.cluster(cluster.name) == &cluster);
        require(!cluster.patroni.endpoints.empty());
        for (const std::string& endpoint : cluster.patroni.endpoints) {
            require(endpoint.starts_with("http") && endpoint.find('@') == std::string::npos);
        }
        check_ssh(cluster.ssh);
        for (const MemberSettings& member : cluster.members) {
            require(!member.name.empty());
            check_ssh(cluster.ssh_of(member.name));
        }
    }
    for (const auto& [name, group] : inventory.groups) {
        require(!name.empty() && !group.empty());
    }
    for (const auto& [name, target] : inventory.notify) {
        require(!name.empty());
        check_target(target);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    try {
        check(parse_inventory(text, "f"));
    } catch (const InputError& error) {
        require(error.where().file == "f" && (error.where().line == 0 || error.where().column > 0));
    }
    return 0;
}
