#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// `did you mean "timeout"?` for a near miss, else a list of what there is; empty for no names.
[[nodiscard]] std::string did_you_mean(std::string_view given,
                                       const std::vector<std::string>& names);

}  // namespace lockstep
