#include "base/join.hpp"
#include "base/suggest.hpp"
#include "cli/command_line.hpp"
#include "cli/command_shipped.hpp"
#include "cli/terminal.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <memory>

namespace lockstep {

namespace {

/// What a command is for, and how it is called.
struct CommandHelp {
    std::string_view name;
    const char* group;
    std::vector<std::string> examples;  ///< what follows `lockstep`
};

// The groups stand in this order in `lockstep help`.
const std::vector<CommandHelp> k_commands{
    {"check", "Look", {"check orders", "check --all", "check orders --explain wal"}},
    {"doctor", "Look", {"doctor orders"}},
    {"plan",
     "Change",
     {"plan patroni-upgrade orders --set target=4.0.7",
      "plan patroni-upgrade orders --set target=4.0.7 --out tonight.json"}},
    {"run", "Change", {"run patroni-upgrade orders --set target=4.0.7", "run tonight.json"}},
    {"resume", "Change", {"resume", "resume 20261123-091502-3f2a"}},
    {"rollback", "Change", {"rollback 20261123-091502-3f2a"}},
    {"approve",
     "Change",
     {"approve 20261123-091502-3f2a",
      "approve 20261123-091502-3f2a --reject --comment \"not before the backup\""}},
    {"cancel", "Change", {"cancel 20261123-091502-3f2a --reason \"not tonight\""}},
    {"unlock", "Change", {"unlock orders --lock-id 3f2a"}},
    {"runs", "Look back", {"runs -c orders"}},
    {"show", "Look back", {"show", "show 20261123-091502-3f2a --output json"}},
    {"validate", "Write", {"validate my-upgrade.yaml -i inventory.yaml"}},
    {"explain", "Write", {"explain step.retry", "explain slot.stuck"}},
    {"windows", "Write", {"windows patroni-upgrade orders"}},
    {"knowledge", "Write", {"knowledge --for 3.2.1..4.0.2"}},
    {"schema", "Write", {"schema runbook"}},
    {"keys", "Set up", {"keys"}},
    {"help", "Set up", {"help run"}},
    {"version", "Set up", {"version"}},
};

struct Taken {
    std::string_view option;
    const char* is;
};

// What an option takes; a positional says it by its own name. Those that are not here take one of
// a few texts, and say which.
constexpr std::array k_values{
    Taken{"accept", "FINDING[:SUBJECT][@MEMBER]"},
    Taken{"allow-drift", "FACT"},
    Taken{"cluster", "CLUSTER"},
    Taken{"comment", "TEXT"},
    Taken{"diff", "FILE.json"},
    Taken{"done", "STEP[@MEMBER]"},
    Taken{"explain", "wal"},
    Taken{"for", "A..B"},
    Taken{"inventory", "FILE"},
    Taken{"key-file", "FILE"},
    Taken{"lock-id", "ID"},
    Taken{"log-level", "trace|debug|info|warning|error"},
    Taken{"on-failure", "stop|rollback"},
    Taken{"out", "FILE.json"},
    Taken{"output", "text|json|jsonl|prometheus|sarif"},
    Taken{"output-file", "FILE"},
    Taken{"reason", "TEXT"},
    Taken{"redo", "STEP[@MEMBER]"},
    Taken{"set", "NAME=VALUE"},
    Taken{"state", "FOLDER"},
    Taken{"timeout", "LENGTH"},
    Taken{"to", "MEMBER"},
    Taken{"watch", "LENGTH"},
};

/// No column of types and validators: `ENUM:value in {json->1,…}` helps nobody.
class Formatter final : public CLI::Formatter {
  public:
    Formatter() {
        column_width(34);
        label("SUBCOMMAND", "COMMAND");
        label("OPTIONS", "OPTION...");
        label("Positionals", "Arguments");
    }

    std::string make_option_opts(const CLI::Option* option) const override {
        const std::string value = option->get_positional() ? "" : value_of(*option);
        return value.empty() ? "" : " " + value;
    }

    std::string make_option_desc(const CLI::Option* option) const override {
        return option->get_description() + (option->get_required() ? " (required)" : "");
    }

    /// "Exactly 1 of the following options is required" is said where the options are.
    std::string make_description(const CLI::App* app) const override {
        return app->get_description() + "\n";
    }
};

std::string footer_of(const std::vector<std::string>& examples) {
    std::string text = "Examples:\n";
    for (const std::string& example : examples) {
        text += "  lockstep " + example + "\n";
    }
    return text + "\n`lockstep help` shows the options that every command takes.";
}

std::vector<std::string> names_of_commands(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::App* command :
         app.get_subcommands([](const CLI::App* each) { return !each->get_group().empty(); })) {
        names.push_back(command->get_name());
    }
    return names;
}

void add_names(const CLI::App& app, std::vector<std::string>& names) {
    for (const CLI::Option* option : app.get_options()) {
        for (const std::string& name : option->get_lnames()) {
            names.push_back("--" + name);
        }
    }
    for (const CLI::App* group : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (group->get_name().empty()) {  // an option group
            add_names(*group, names);
        }
    }
}

Mistake unknown_command(const std::string& word, const CLI::App& app) {
    return {"there is no command \"" + word + "\"",
            did_you_mean(word, names_of_commands(app)) + " `lockstep help` lists them."};
}

/// What was left over: an option that does not exist, or one word too many.
Mistake left_over(const std::vector<std::string>& words, const CLI::App& app) {
    const std::vector<CLI::App*> given = app.get_subcommands();
    const std::string command = given.empty() ? "" : given.front()->get_name();
    const auto option = std::ranges::find_if(
        words, [](const std::string& word) { return word.size() > 1 && word.front() == '-'; });
    if (option == words.end()) {
        return {(command.empty() ? "lockstep" : command) + " does not take \"" + join(words, " ") +
                    "\"",
                "`lockstep help " + command + "` shows what it takes."};
    }
    std::vector<std::string> names;
    add_names(app, names);
    if (!given.empty()) {
        add_names(*given.front(), names);
    }
    const std::string name = option->substr(0, option->find('='));
    return {(command.empty() ? "lockstep" : command) + " has no option " + name,
            did_you_mean(name, names) + " `lockstep help " + command + "` lists them."};
}

}  // namespace

std::string value_of(const CLI::Option& option) {
    if (option.get_positional()) {
        return option.get_name(true, false);
    }
    if (option.get_items_expected_max() == 0 || option.get_lnames().empty()) {
        return "";
    }
    const auto* const value =
        std::ranges::find(k_values, option.get_lnames().front(), &Taken::option);
    return value == k_values.end() ? "TEXT" : value->is;
}

const CLI::App* find_command(const CLI::App& app, std::string_view name) {
    const std::vector<const CLI::App*> found = app.get_subcommands([&](const CLI::App* each) {
        return !each->get_group().empty() && each->get_name() == name;
    });
    return found.empty() || name.empty() ? nullptr : found.front();
}

void set_help(CLI::App& app) {
    const auto formatter = std::make_shared<Formatter>();
    app.formatter(formatter);
    app.set_help_flag("-h,--help", "This help");
    app.footer("`lockstep help COMMAND` shows what a command takes, with examples.");
    for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
        command->formatter(formatter);
        command->set_help_flag("-h,--help", "This help");
        const auto help = std::ranges::find(k_commands, command->get_name(), &CommandHelp::name);
        if (help != k_commands.end()) {
            command->group(help->group)->footer(footer_of(help->examples));
        } else if (find_shipped_command(command->get_name()) != nullptr) {
            command->group("Change")->footer(footer_of({command->get_name() + " orders"}));
        }
    }
}

Mistake mistake_of(const CLI::ParseError& error, const CLI::App& app) {
    const std::vector<std::string> words = app.remaining(true);
    const bool has_command = !app.get_subcommands().empty();
    const auto word = std::ranges::find_if(
        words, [](const std::string& each) { return !each.empty() && each.front() != '-'; });
    if (!has_command && word != words.end()) {
        return unknown_command(*word, app);
    }
    if (!words.empty()) {
        return left_over(words, app);
    }
    if (!has_command) {
        return {"a command is missing", "`lockstep help` lists them."};
    }
    const std::string command = app.get_subcommands().front()->get_name();
    if (command == "help") {
        return unknown_command(
            app.get_subcommands().front()->get_option("COMMAND")->results().at(0), app);
    }
    return {command + ": " + error.what(), "`lockstep help " + command + "` shows what it takes."};
}

}  // namespace lockstep
