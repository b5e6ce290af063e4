#include "cli/people.hpp"

#include "steps/observation/links.hpp"

namespace lockstep {

People people_of(const Inventory& inventory) {
    People people;
    people.groups.insert(inventory.groups.begin(), inventory.groups.end());
    people.key_of =
        [approvers = inventory.approvers](const std::string& name) -> std::optional<std::string> {
        const auto found = approvers.find(name);
        if (found == approvers.end()) {
            return std::nullopt;
        }
        return resolve_secret(found->second.secret, *LinkFactory{}.process()).reveal();
    };
    return people;
}

}  // namespace lockstep
