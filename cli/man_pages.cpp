#include "base/error.hpp"
#include "base/suggest.hpp"
#include "cli/command_line.hpp"
#include "cli/commands.hpp"
#include "cli/version.hpp"
#include "engine/runbook/reference.hpp"
#include "steps/catalog.hpp"

#include <algorithm>
#include <iostream>

namespace lockstep {

namespace {

/// Text for man(7): no backslash, dash, quote or dot in it is a request.
std::string roff(const std::string& text) {
    std::string safe;
    bool at_start = true;
    for (const char c : text) {
        if (at_start && (c == '.' || c == '\'')) {
            safe += "\\&";
        }
        at_start = c == '\n';
        switch (c) {
            case '\\':
                safe += "\\e";
                break;
            case '-':
                safe += "\\-";
                break;
            case '\'':
                safe += "\\(aq";
                break;
            case '`':
                safe += "\\(ga";
                break;
            default:
                safe += c;
        }
    }
    return safe;
}

std::string heading(const std::string& page, char section, const std::string& about) {
    std::string title = page;
    std::ranges::transform(title, title.begin(), [](unsigned char c) { return std::toupper(c); });
    return ".TH " + roff(title) + " " + section + " \"\" \"lockstep " + k_version +
           "\" \"lockstep\"\n.SH NAME\n" + roff(page + " - " + about) + "\n";
}

std::string entry(const std::string& term, const std::string& text) {
    return ".TP\n\\fB" + roff(term) + "\\fR\n" + (text.empty() ? "\\&" : roff(text)) + "\n";
}

/// Of an option: `-i, --inventory FILE`.
std::string term_of(const CLI::Option& option) {
    std::string names = option.get_name(false, true);
    for (std::size_t comma = names.find(','); comma != std::string::npos;
         comma = names.find(',', comma + 2)) {
        names.insert(comma + 1, " ");
    }
    const std::string value = value_of(option);
    return option.get_positional() || value.empty() ? names : names + " " + value;
}

void add_entries(const CLI::App& app, bool positional, std::string& text) {
    for (const CLI::Option* option : app.get_options()) {
        if (option->get_positional() == positional) {
            text +=
                entry(positional ? value_of(*option) : term_of(*option), option->get_description());
        }
    }
    for (const CLI::App* group : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (group->get_name().empty()) {
            add_entries(*group, positional, text);
        }
    }
}

std::string section(const std::string& title, const std::string& text) {
    return text.empty() ? "" : ".SH " + title + "\n" + text;
}

std::string whole_page(const CLI::App& app) {
    std::string commands;
    std::string pages;
    for (const CLI::App* command :
         app.get_subcommands([](const CLI::App* each) { return !each->get_group().empty(); })) {
        if (command->get_name().empty()) {
            continue;
        }
        commands += entry(command->get_name(), command->get_description());
        pages += ".BR lockstep\\-" + command->get_name() + " (1),\n";
    }
    std::string options;
    add_entries(app, false, options);
    return heading("lockstep", '1', app.get_description()) +
           section("SYNOPSIS",
                   ".B lockstep\n[\\fIOPTION\\fR...] \\fICOMMAND\\fR [\\fIARGUMENT\\fR...]\n") +
           section("COMMANDS", commands) + section("OPTIONS", options) +
           section("FILES",
                   entry("inventory.yaml",
                         "Of the working directory: the inventory, unless -i or "
                         "$LOCKSTEP_INVENTORY names another one.") +
                       entry("~/.config/lockstep/inventory.yaml, /etc/lockstep/inventory.yaml",
                             "Where it is looked for after that.") +
                       entry("~/.local/state/lockstep",
                             "The record of runs, unless --state or $LOCKSTEP_STATE names another "
                             "folder.")) +
           section("EXIT STATUS",
                   "See the table in README.md; of check those of monitoring "
                   "plugins: 0 ok, 1 warning, 2 critical, 3 unknown.\n") +
           section("SEE ALSO",
                   pages + ".BR lockstep\\-runbook (5),\n.BR lockstep\\-inventory (5)\n");
}

std::string command_page(const CLI::App& command) {
    std::string arguments;
    std::string options;
    std::string synopsis = ".B lockstep " + command.get_name() + "\n[\\fIOPTION\\fR...]";
    for (const CLI::Option* option : command.get_options()) {
        if (option->get_positional()) {
            const std::string name = "\\fI" + roff(value_of(*option)) + "\\fR";
            synopsis += option->get_required() ? " " + name : " [" + name + "]";
        }
    }
    add_entries(command, true, arguments);
    add_entries(command, false, options);
    const std::string footer = command.get_footer();
    const std::size_t begin = footer.find('\n');
    const std::string examples = footer.substr(begin + 1, footer.find("\n\n") - begin);
    return heading("lockstep-" + command.get_name(), '1', command.get_description()) +
           section("SYNOPSIS", synopsis + "\n") + section("ARGUMENTS", arguments) +
           section("OPTIONS",
                   options + ".PP\nThe options of every command are in\n.BR lockstep (1).\n") +
           section("EXAMPLES", ".nf\n" + roff(examples) + ".fi\n") +
           section("SEE ALSO", ".BR lockstep (1)\n");
}

/// Of the entries that `lockstep explain` knows, those that a file of that kind may hold.
std::string file_page(const std::string& page, const std::string& about, bool of_inventory) {
    std::string text = heading(page, '5', about);
    for (const ReferenceEntry& each : reference(runbook_vocabulary())) {
        const bool inventory = each.key == "inventory" || each.key.starts_with("inventory.");
        if (inventory != of_inventory) {
            continue;
        }
        if (!each.inside.empty()) {
            text += ".SH " + roff(each.key) + "\n" + roff(each.description) + "\n";
        } else {
            std::string more = each.description;
            more += each.takes.empty() ? "" : "\nTakes " + each.takes + ".";
            more += each.otherwise.empty() ? "" : "\nUnless given: " + each.otherwise + ".";
            more += each.example.empty() ? "" : "\nExample: " + each.example;
            text += entry(each.key + (each.required ? " (required)" : ""), more);
        }
    }
    return text + section("SEE ALSO", ".BR lockstep (1),\n.BR lockstep\\-explain (1)\n");
}

}  // namespace

std::vector<std::string> man_page_names(const CLI::App& app) {
    std::vector<std::string> names{"lockstep.1"};
    for (const CLI::App* command :
         app.get_subcommands([](const CLI::App* each) { return !each->get_group().empty(); })) {
        if (!command->get_name().empty()) {
            names.push_back("lockstep-" + command->get_name() + ".1");
        }
    }
    names.insert(names.end(), {"lockstep-runbook.5", "lockstep-inventory.5"});
    return names;
}

std::string man_page(const CLI::App& app, const std::string& name) {
    if (name == "lockstep.1") {
        return whole_page(app);
    }
    if (name == "lockstep-runbook.5") {
        return file_page("lockstep-runbook", "what a runbook may hold", false);
    }
    if (name == "lockstep-inventory.5") {
        return file_page("lockstep-inventory", "what an inventory may hold", true);
    }
    const std::string prefix = "lockstep-";
    const bool of_command = name.starts_with(prefix) && name.ends_with(".1");
    const CLI::App* command =
        of_command ? find_command(app, name.substr(prefix.size(), name.size() - prefix.size() - 2))
                   : nullptr;
    if (command == nullptr) {
        throw UsageError("there is no manual page " + name,
                         did_you_mean(name, man_page_names(app)));
    }
    return command_page(*command);
}

int command_man(const Options& options) {
    const CommandLine line;
    if (!options.topic.empty()) {
        std::cout << man_page(line.app, options.topic);
        return 0;
    }
    for (const std::string& name : man_page_names(line.app)) {
        std::cout << name << "\n";
    }
    return 0;
}

}  // namespace lockstep
