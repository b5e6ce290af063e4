#pragma once

#include <string_view>
#include <vector>

/// The rules that a runbook or inventory can break, as validate names them: stable, so that a
/// program can tell them apart and a person can look them up.
namespace lockstep {

struct RuleRow {
    std::string_view id;
    std::string_view help;  ///< what is wrong where it is named, and why that matters
    bool warning = false;   ///< it is reported, and nothing is refused for it
};

[[nodiscard]] const std::vector<RuleRow>& rule_table();
/// nullptr for a rule that is none.
[[nodiscard]] const RuleRow* find_rule(std::string_view id);

}  // namespace lockstep
