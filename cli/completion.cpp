#include "base/error.hpp"
#include "cli/command_line.hpp"
#include "cli/commands.hpp"
#include "cli/inventory_file.hpp"
#include "cli/runbooks.hpp"
#include "cli/shipped_runbooks.hpp"
#include "cli/terminal.hpp"
#include "cluster/finding.hpp"
#include "engine/runbook/reference.hpp"
#include "steps/catalog.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <ranges>
#include <sstream>

namespace lockstep {

namespace {

/// One of what could be typed. `:files` leaves it to the shell.
struct Candidate {
    std::string text;
    std::string is;
};

using Candidates = std::vector<Candidate>;

const Candidates k_files{{":files", ""}};

/// A record of the words before the one that is completed.
struct Typed {
    const CLI::App* command = nullptr;
    const CLI::Option* wants = nullptr;    ///< the option whose value comes next
    std::vector<std::string> positionals;  ///< of the command, in order
    Options options;                       ///< -i, -c, --state, as far as they are there
};

const CLI::Option* option_in(const CLI::App& app, const std::string& name) {
    for (const CLI::Option* option : app.get_options()) {
        if (option->check_name(name)) {
            return option;
        }
    }
    for (const CLI::App* group : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (const CLI::Option* option =
                group->get_name().empty() ? option_in(*group, name) : nullptr) {
            return option;
        }
    }
    return nullptr;
}

void keep_value(const CLI::Option& option, const std::string& value, Options& options) {
    if (option.check_name("--inventory")) {
        options.inventory = value;
    } else if (option.check_name("--cluster")) {
        options.cluster = value;
    } else if (option.check_name("--state")) {
        options.state = value;
    }
}

Typed read(const CLI::App& app, const std::vector<std::string>& words) {
    Typed typed;
    for (const std::string& word : words) {
        if (typed.wants != nullptr) {
            keep_value(*typed.wants, word, typed.options);
            typed.wants = nullptr;
        } else if (word.size() > 1 && word.front() == '-') {
            const std::size_t equals = word.find('=');
            const std::string name = word.substr(0, equals);
            const CLI::Option* option =
                typed.command == nullptr ? nullptr : option_in(*typed.command, name);
            option = option == nullptr ? option_in(app, name) : option;
            if (option != nullptr && !value_of(*option).empty()) {
                if (equals == std::string::npos) {
                    typed.wants = option;
                } else {
                    keep_value(*option, word.substr(equals + 1), typed.options);
                }
            }
        } else if (typed.command == nullptr) {
            typed.command = find_command(app, word);
        } else {
            typed.positionals.push_back(word);
        }
    }
    return typed;
}

Candidates options_of(const CLI::App& app) {
    Candidates found;
    for (const CLI::Option* option : app.get_options()) {
        for (const std::string& name : option->get_lnames()) {
            found.push_back({"--" + name, option->get_description()});
        }
    }
    for (const CLI::App* group : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (group->get_name().empty()) {
            std::ranges::move(options_of(*group), std::back_inserter(found));
        }
    }
    return found;
}

Candidates commands(const CLI::App& app) {
    Candidates found;
    for (const CLI::App* command :
         app.get_subcommands([](const CLI::App* each) { return !each->get_group().empty(); })) {
        if (!command->get_name().empty()) {
            found.push_back({command->get_name(), command->get_description()});
        }
    }
    return found;
}

Candidates clusters(const Typed& typed) {
    Candidates found;
    for (const Cluster& cluster : read_inventory(typed.options).clusters) {
        found.push_back({cluster.name, "cluster"});
    }
    return found;
}

Candidates members(const Typed& typed) {
    Candidates found;
    for (const Cluster& cluster : read_inventory(typed.options).clusters) {
        for (const MemberSettings& member : cluster.members) {
            if (typed.positionals.empty() || typed.positionals.front() == cluster.name) {
                found.push_back({member.name, "member of " + cluster.name});
            }
        }
    }
    return found;
}

Candidates runbooks() {
    Candidates found = k_files;
    for (const ShippedRunbook& shipped : shipped_runbooks()) {
        found.push_back({std::string(shipped.name), "shipped runbook"});
    }
    return found;
}

/// Nothing is made of what is not there.
std::unique_ptr<JournalStore> record_of(const Typed& typed) {
    const std::string folder = state_folder(typed.options);
    if (!std::filesystem::is_directory(folder)) {
        throw UsageError("there is no record");
    }
    return open_sqlite_journal(folder, JournalUse::as_it_is);
}

Candidates runs(const Typed& typed) {
    const std::unique_ptr<JournalStore> journal = record_of(typed);
    Candidates found;
    for (const RunHeader& run : journal->runs()) {
        if (typed.options.cluster.empty() || typed.options.cluster == run.cluster) {
            found.push_back({run.id, run.runbook + " on " + run.cluster});
        }
        if (found.size() == 50) {  // the newest ones: nobody types an older one by hand
            break;
        }
    }
    return found;
}

Candidates waiting_steps(const Typed& typed) {
    const std::unique_ptr<JournalStore> journal = record_of(typed);
    const RunHeader run = named_run(*journal, typed.positionals.at(0));
    Candidates found;
    const RunState state = replay(run, journal->records(run.id));
    for (const ApprovalProgress& asked : state.approvals()) {
        if (asked.state == ApprovalProgress::State::open) {
            found.push_back({asked.gate, asked.message});
        }
    }
    return found;
}

/// `target=`, of the runbook that was named.
Candidates inputs(const Typed& typed) {
    Candidates found;
    if (!typed.positionals.empty()) {
        const std::shared_ptr<const Runbook> runbook = find_runbook(typed.positionals.front());
        for (const InputSpec& input : runbook->inputs) {
            found.push_back({input.name + "=", input.description});
        }
    }
    return found;
}

/// What `lockstep explain` knows.
Candidates keys() {
    Candidates found;
    for (const ReferenceEntry& entry : reference(runbook_vocabulary())) {
        found.push_back({entry.key, entry.description});
    }
    return found;
}

Candidates findings() {
    Candidates found;
    for (const std::string& id : finding_ids()) {
        found.push_back({id, "finding"});
    }
    return found;
}

Candidates texts(const std::string& choices) {
    Candidates found;
    std::istringstream rest(choices);
    for (std::string text; std::getline(rest, text, '|');) {
        found.push_back({text, ""});
    }
    return found;
}

Candidates values(const CLI::App& app, const Typed& typed, const std::string& value) {
    const std::map<std::string, std::function<Candidates()>> k_sources{
        {"CLUSTER", [&] { return clusters(typed); }},
        {"MEMBER", [&] { return members(typed); }},
        {"RUNBOOK", [] { return runbooks(); }},
        {"RUN", [&] { return runs(typed); }},
        {"STEP", [&] { return waiting_steps(typed); }},
        {"COMMAND", [&] { return commands(app); }},
        {"KEY", [] { return keys(); }},
        {"NAME=VALUE", [&] { return inputs(typed); }},
        {"FINDING[:SUBJECT][@MEMBER]", [] { return findings(); }},
    };
    const auto source = k_sources.find(value);
    if (source != k_sources.end()) {
        return source->second();
    }
    if (value.find('|') != std::string::npos) {
        return texts(value);
    }
    const bool is_file = value.starts_with("FILE") || value == "FOLDER";
    return is_file ? k_files : Candidates();
}

/// The positional that comes next; the last one again where it may be given often.
const CLI::Option* next_positional(const CLI::App& command, std::size_t given) {
    std::vector<const CLI::Option*> positionals =
        command.get_options([](const CLI::Option* each) { return each->get_positional(); });
    if (given < positionals.size()) {
        return positionals[given];
    }
    const bool again = !positionals.empty() && positionals.back()->get_expected_max() > 1;
    return again ? positionals.back() : nullptr;
}

Candidates candidates(const CLI::App& app, const Typed& typed, const std::string& last) {
    if (typed.wants != nullptr) {
        return values(app, typed, value_of(*typed.wants));
    }
    if (last.starts_with("-")) {
        Candidates found = typed.command == nullptr ? Candidates() : options_of(*typed.command);
        std::ranges::move(options_of(app), std::back_inserter(found));
        return found;
    }
    if (typed.command == nullptr) {
        return commands(app);
    }
    const CLI::Option* next = next_positional(*typed.command, typed.positionals.size());
    return next == nullptr ? Candidates() : values(app, typed, value_of(*next));
}

}  // namespace

std::vector<std::string> completions(const std::vector<std::string>& words) {
    const CommandLine line;
    const std::string last = words.empty() ? "" : words.back();
    const Typed typed =
        read(line.app, {words.begin(), words.empty() ? words.end() : words.end() - 1});
    Candidates found;
    try {
        found = candidates(line.app, typed, last);
    } catch (const Error&) {  // no inventory, no record: then there is nothing to offer
    }
    std::vector<std::string> lines;
    for (const Candidate& each : found) {
        const bool fits = each.text.starts_with(':') || each.text.starts_with(last);
        std::string text = one_line(each.text) + (each.is.empty() ? "" : "\t" + one_line(each.is));
        if (fits && std::ranges::find(lines, text) == lines.end()) {
            lines.push_back(std::move(text));
        }
    }
    return lines;
}

int command_complete(const Options& options) {
    for (const std::string& line : completions(options.words)) {
        std::cout << line << "\n";
    }
    return 0;
}

}  // namespace lockstep
