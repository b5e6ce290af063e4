#include "cli/command_shipped.hpp"

#include "cli/commands.hpp"
#include "cli/options.hpp"

#include <algorithm>
#include <stdexcept>

namespace lockstep {

const std::vector<ShippedCommand>& shipped_commands() {
    static const std::vector<ShippedCommand> k_commands{
        {.name = "switchover",
         .runbook = "switchover",
         .summary = "Have another member lead: prints the plan and asks first",
         .options = {{"--to", "to", "", "Who is to lead; the plan chooses one unless given"},
                     {"--no-checkpoint",
                      "checkpoint",
                      "false",
                      "Without a CHECKPOINT before: less I/O, a longer gap"}}},
    };
    return k_commands;
}

const ShippedCommand* find_shipped_command(std::string_view name) {
    const auto found = std::ranges::find(shipped_commands(), name, &ShippedCommand::name);
    return found == shipped_commands().end() ? nullptr : &*found;
}

int command_shipped(const Options& options, Interrupts& interrupts) {
    const ShippedCommand* command = find_shipped_command(options.command);
    if (command == nullptr) {
        throw std::logic_error("the command " + options.command + " is parsed and not known");
    }
    Options run = options;
    run.command = "run";
    run.runbooks = {std::string(command->runbook)};
    return command_run(run, interrupts);
}

}  // namespace lockstep
