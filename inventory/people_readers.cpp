#include "inventory/people_readers.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace lockstep::inventory_fields {

namespace {

using yaml::Node;

/// `anna`, or `anna@jump1`: what a run notes of who acts.
std::string read_person(const Node& node, const std::string& what) {
    std::string person = read_word(node, what);
    const std::size_t at = person.find('@');
    if (at != std::string::npos &&
        (at == 0 || at + 1 == person.size() || person.find('@', at + 1) != std::string::npos)) {
        fail(node,
             what + ": \"" + person + "\" is neither a user nor user@host",
             "Write anna, or anna@jump1 for anna on that host alone.");
    }
    return person;
}

}  // namespace

std::string read_name(const Node& node, const std::string& what) {
    std::string name = read_word(node, what);
    const bool plain = std::ranges::all_of(name, [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
    });
    if (!plain) {
        fail(node,
             what + " may hold letters, digits, _, - and . only",
             "Runbooks and command lines name it.");
    }
    return name;
}

std::map<std::string, std::vector<std::string>, std::less<>> read_groups(const Node& node) {
    require_map(node, "groups");
    std::map<std::string, std::vector<std::string>, std::less<>> groups;
    for (const auto& [key, value] : node.entries) {
        const std::string name = read_name(key, "the name of a group");
        const std::string what = "group " + name;
        if (!value.is(Node::Kind::list)) {
            fail(value,
                 what + " must be a list, not " + value.describe(),
                 "One is enough: " + name + ": [anna].");
        }
        if (value.items.empty()) {
            fail(value,
                 what + " is empty",
                 "Nobody could ever approve: name somebody, or remove the group.");
        }
        const std::string each = "a member of " + what;
        std::vector<std::string>& people = groups[name];
        for (const Node& item : value.items) {
            std::string person = read_person(item, each);
            if (std::ranges::find(people, person) != people.end()) {
                fail(item, person + " is given twice in " + what);
            }
            people.push_back(std::move(person));
        }
    }
    return groups;
}

std::map<std::string, Approver, std::less<>> read_approvers(const Node& node,
                                                            const PathBase& base) {
    require_map(node, "approvers");
    std::map<std::string, Approver, std::less<>> approvers;
    for (const auto& [key, value] : node.entries) {
        const std::string name = read_word(key, "the name of an approver");
        if (name.find('@') != std::string::npos) {
            fail(key,
                 "an approver is named without a host",
                 "The key belongs to the person, wherever they come from.");
        }
        const std::string what = "approver " + name;
        if (!value.is(Node::Kind::map)) {  // what it is instead may be the secret itself
            fail(value, what + " must be a map", "Write {secret: {file: PATH}}.");
        }
        refuse_unknown_keys(value, "inventory.approver", what);
        const Node* secret = value.find("secret");
        if (secret == nullptr) {
            fail(value,
                 what + " has no secret",
                 "Write " + name + ": {secret: {file: PATH}}, or {env: NAME}.");
        }
        approvers.emplace(name, Approver{read_secret(*secret, what + ": secret", base), key.where});
    }
    return approvers;
}

}  // namespace lockstep::inventory_fields
