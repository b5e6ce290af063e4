#pragma once

#include <string_view>
#include <vector>

namespace lockstep {

/// A file of runbooks/, compiled in: the binary needs nothing beside it.
struct ShippedRunbook {
    std::string_view name;
    std::string_view text;
};

[[nodiscard]] const std::vector<ShippedRunbook>& shipped_runbooks();

}  // namespace lockstep
