#include "inventory/inventory.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

// The input as an inventory. Whatever it is: clusters that can be reached for, or an InputError
// with a place in the file; nothing else, and soon.
namespace {

using namespace lockstep;

void require(bool holds) {
    if (!holds) {
        std::abort();
    }
}

void check_ssh(const SshSettings& ssh) {
    require(!ssh.user.empty() && ssh.user.front() != '-' && ssh.port > 0);
    require(ssh.host.empty() || ssh.host.front() != '-');
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
