#pragma once

#include <nlohmann/json.hpp>

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

}  // namespace lockstep
