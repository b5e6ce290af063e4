#pragma once

#include "base/yaml.hpp"
#include "inventory/field_readers.hpp"
#include "inventory/inventory.hpp"

#include <map>
#include <string>
#include <vector>

/// Reads the keys of an inventory that are about people: who approves, and who is told. Each reader
/// throws InputError at the place of what is wrong, and never shows a URL or a header's value.
namespace lockstep::inventory_fields {

[[nodiscard]] std::map<std::string, std::vector<std::string>, std::less<>> read_groups(
    const yaml::Node& node);
[[nodiscard]] std::map<std::string, Approver, std::less<>> read_approvers(const yaml::Node& node,
                                                                          const PathBase& base);
[[nodiscard]] NotifyTargets read_targets(const yaml::Node& node, const PathBase& base);

/// A name that runbooks and command lines use: letters, digits, `_`, `-` and `.`.
[[nodiscard]] std::string read_name(const yaml::Node& node, const std::string& what);

}  // namespace lockstep::inventory_fields
