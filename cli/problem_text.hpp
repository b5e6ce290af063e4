#pragma once

#include "base/error.hpp"
#include "cli/terminal.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

/// What is wrong in a file, as a person and as programs read it. Which of it are warnings is known
/// by the rule (engine/runbook/rules.hpp).
namespace lockstep {

[[nodiscard]] bool is_warning(const InputError& problem);

/// `error: file:line:column: message [rule]`, the line with a caret, and `HINT:`. After the first
/// hundred, how many more there are.
[[nodiscard]] std::string problems_text(const std::vector<InputError>& problems,
                                        const Terminal& terminal);

/// `{"valid", "errors": [{rule, severity, file, line, column, message, hint}]}`; warnings are among
/// them, and leave it valid.
[[nodiscard]] nlohmann::json problems_json(const std::vector<InputError>& problems);

/// SARIF 2.1.0 (OASIS), one run.
[[nodiscard]] nlohmann::json problems_sarif(const std::vector<InputError>& problems);

}  // namespace lockstep
