#include "cli/people.hpp"

#include "base/error.hpp"
#include "steps/observation/connections.hpp"

namespace lockstep {

People people_of(const Inventory* own, const Inventory& on_record) {
    People people;
    people.inventory = own == nullptr ? &on_record : own;
    people.key_of = [own, &on_record](const std::string& name) -> std::optional<std::string> {
        if (own != nullptr) {
            const auto found = own->approvers.find(name);
            if (found != own->approvers.end()) {
                return resolve_secret(found->second.secret, *ConnectionFactory{}.process())
                    .reveal();
            }
        }
        if (!on_record.approvers.contains(name)) {
            return std::nullopt;
        }
        throw Error("it is looked up in your own inventory, never in that on record, and " +
                        (own == nullptr ? std::string("there is none here")
                                        : own->path + " has none of " + name),
                    "Name the inventory that has it: -i FILE.");
    };
    return people;
}

}  // namespace lockstep
