#pragma once

#include "cli/options.hpp"

#include <CLI/CLI.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// The command line as CLI11 has it. Parsing, help, manual pages and completion are made of the one
/// object, so that none can say what another does not know. `options` is filled in by parsing, and
/// has to outlive `app`, which refers to it.
struct CommandLine {
    CommandLine();
    CommandLine(const CommandLine&) = delete;
    CommandLine& operator=(const CommandLine&) = delete;
    ~CommandLine() = default;

    Options options;
    std::vector<std::string> assignments;  ///< `name=value` of --set
    CLI::App app;
};

/// What stands behind an option or for a positional: `FILE`, `CLUSTER`, or what it may be:
/// `stop|rollback`. Empty for a flag.
[[nodiscard]] std::string value_of(const CLI::Option& option);

/// A command by its name, or null.
[[nodiscard]] const CLI::App* find_command(const CLI::App& app, std::string_view name);

/// What somebody has got wrong, and what to do about it.
struct Mistake {
    std::string message;
    std::string hint;
};

/// An error of CLI11's in our words, with the command or option that may have been meant.
[[nodiscard]] Mistake mistake_of(const CLI::ParseError& error, const CLI::App& app);

/// Help in our form: what it does, how it is called, examples; options without the jargon of types.
void set_help(CLI::App& app);

/// A manual page: `lockstep.1`, `lockstep-run.1`, `lockstep-runbook.5`, `lockstep-inventory.5`.
/// Throws UsageError with the names there are.
[[nodiscard]] std::string man_page(const CLI::App& app, const std::string& name);

/// All of them.
[[nodiscard]] std::vector<std::string> man_page_names(const CLI::App& app);

/// What could stand instead of the last of `words`, which follow the program's name: a line each,
/// `TEXT<TAB>what it is`. The one line `:files` leaves it to the shell. Reads the inventory, the
/// runbook and the record as far as they are there; asks no member, and runs no program.
[[nodiscard]] std::vector<std::string> completions(const std::vector<std::string>& words);

}  // namespace lockstep
