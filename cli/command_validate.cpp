#include "cli/commands.hpp"
#include "cli/problem_text.hpp"
#include "cli/texts.hpp"
#include "engine/runbook/runbook_rules.hpp"
#include "inventory/inventory_rules.hpp"
#include "steps/catalog.hpp"

#include <unistd.h>

#include <algorithm>
#include <functional>
#include <iostream>

namespace lockstep {

namespace {

using Problems = std::vector<InputError>;

/// What `read` finds wrong, or throws.
Problems problems_of(const std::function<Problems()>& read) {
    try {
        return read();
    } catch (const InputErrors& errors) {
        return errors.errors();
    } catch (const InputError& error) {
        return {error};
    }
}

/// Of the first that there is to say it of: the others are alike.
std::string note_on_rest(const Inventory& inventory) {
    for (const Cluster& cluster : inventory.clusters) {
        if (const std::string note = cluster.note_on_rest(); !note.empty()) {
            return note + "\n";
        }
    }
    return {};
}

std::string verdict_text(const std::string& name, const Problems& problems) {
    const auto warnings = std::ranges::count_if(problems, is_warning);
    const auto errors = static_cast<std::ptrdiff_t>(problems.size()) - warnings;
    const auto counted = [](std::ptrdiff_t count, const std::string& what) {
        return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
    };
    return name + ": " + (errors == 0 ? "valid" : "not valid, " + counted(errors, "error")) +
           (warnings == 0 ? "" : ", " + counted(warnings, "warning")) + "\n";
}

}  // namespace

int command_validate(const Options& options) {
    if (options.runbooks.empty() && options.inventory.empty()) {
        throw UsageError("validate needs a runbook, or an inventory",
                         "Name runbooks, or an inventory with -i.");
    }
    const Terminal terminal = Terminal::on(STDOUT_FILENO);
    Problems all;
    const auto take = [&](const std::string& name, const Problems& problems) {
        if (options.output == Output::text) {
            std::cout << problems_text(problems, terminal) << verdict_text(name, problems);
        }
        all.insert(all.end(), problems.begin(), problems.end());
    };
    if (!options.inventory.empty()) {
        std::string note;
        take(options.inventory, problems_of([&]() -> Problems {
                 const Inventory inventory = load_inventory(options.inventory);
                 note = note_on_rest(inventory);
                 return check_inventory(inventory);
             }));
        std::cerr << printable(note);
    }
    for (const std::string& wanted : options.runbooks) {
        take(wanted,
             problems_of([&] { return check_runbook(*find_runbook(wanted), action_catalog()); }));
    }
    if (options.output == Output::sarif) {
        std::cout << json_text(problems_sarif(all), Output::json);
    } else if (options.output != Output::text) {
        std::cout << json_text(problems_json(all), options.output);
    }
    return std::ranges::all_of(all, is_warning) ? 0 : 3;
}

}  // namespace lockstep
