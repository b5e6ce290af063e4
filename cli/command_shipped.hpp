#pragma once

#include <string_view>
#include <vector>

namespace lockstep {

/// An option of such a command, and the input of the runbook that it gives.
struct ShippedOption {
    std::string_view flag;  ///< `--to`
    std::string_view input;
    std::string_view
        value;  ///< what the input is where the flag is given; empty: the flag takes it
    std::string_view description;
};

/// Work that is one command: a shipped runbook, with its plan, gates, journal and way back. The
/// same as `lockstep run RUNBOOK -c CLUSTER --set INPUT=…`.
struct ShippedCommand {
    std::string_view name;  ///< of the command
    std::string_view runbook;
    std::string_view summary;
    std::vector<ShippedOption> options;
};

/// The one table of them: a new one is a row.
[[nodiscard]] const std::vector<ShippedCommand>& shipped_commands();

/// nullptr: it is no such command.
[[nodiscard]] const ShippedCommand* find_shipped_command(std::string_view name);

}  // namespace lockstep
