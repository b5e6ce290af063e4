#pragma once

#include "cluster/finding.hpp"
#include "inventory/inventory.hpp"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// What a run tells people, or their programs, while nobody looks at it. It holds no secrets.
struct Notification {
    std::string event;                 ///< start, wait, approval, failure, slow, end or message
    std::string run;                   ///< its id
    std::string cluster;               ///< its name
    std::string runbook;               ///< its name; may be empty
    std::string text;                  ///< one line for people
    std::vector<std::string> details;  ///< further lines
    nlohmann::json more;               ///< for programs; null: nothing
};

/// Why nobody of that name can be told anything; nullopt: the inventory knows them.
[[nodiscard]] std::optional<Finding> refuse_target(const std::string& target,
                                                   const Cluster& cluster);

}  // namespace lockstep
