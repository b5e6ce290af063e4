#include "cli/people.hpp"

#include "steps/observation/connections.hpp"

namespace lockstep {

People people_of(const Inventory& inventory) {
    People people;
    people.inventory = &inventory;
    people.key_of = [&inventory](const std::string& name) -> std::optional<std::string> {
        const auto found = inventory.approvers.find(name);
        if (found == inventory.approvers.end()) {
            return std::nullopt;
        }
        return resolve_secret(found->second.secret, *ConnectionFactory{}.process()).reveal();
    };
    return people;
}

}  // namespace lockstep
