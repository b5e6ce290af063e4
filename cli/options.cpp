#include "cli/options.hpp"

#include "base/account.hpp"
#include "base/error.hpp"
#include "base/join.hpp"
#include "base/suggest.hpp"
#include "base/units.hpp"
#include "cli/command_line.hpp"
#include "cli/command_shipped.hpp"
#include "cli/version.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>

namespace lockstep {

namespace {

std::string environment(const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
    return value == nullptr ? "" : value;
}

/// An option that is given and empty is a variable of a script that is not set: as if it were not
/// given it would mean something else.
std::string not_empty(const std::string& text) {
    return text.empty() ? "must not be empty" : "";
}

void add_global_options(CLI::App& app, Options& options, std::vector<std::string>& assignments) {
    app.add_option("-i,--inventory", options.inventory, "Inventory file")->check(&not_empty);
    app.add_option("-c,--cluster", options.cluster, "Cluster of the inventory")->check(&not_empty);
    app.add_option("--set", assignments, "Input of the runbook (repeatable)")
        ->allow_extra_args(false);
    app.add_option("--state", options.state, "Folder of the journal")->check(&not_empty);
    static const std::map<std::string, Output> k_outputs{{"text", Output::text},
                                                         {"json", Output::json},
                                                         {"jsonl", Output::jsonl},
                                                         {"prometheus", Output::prometheus},
                                                         {"sarif", Output::sarif}};
    app.add_option_function<std::string>(
           "--output",
           [&options](const std::string& name) { options.output = k_outputs.at(name); },
           "How results are written; prometheus is of check, sarif of validate")
        ->check(CLI::IsMember({"text", "json", "jsonl", "prometheus", "sarif"}));
    app.add_option("--log-level", options.log_level, "What is told on stderr beside the result")
        ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error"}));
    app.add_flag("--allow-shared-inventory",
                 options.allow_shared_inventory,
                 "Use the inventory that is named although others may write to it, or to what it "
                 "names");
    app.add_flag("-y,--yes", options.yes, "Do not ask before a run");
    app.add_option("--reason", options.reason, "Why, for the record")->option_text("TEXT");
}

CLI::Option* add_duration(CLI::App& command,
                          const std::string& name,
                          std::function<void(std::chrono::milliseconds)> take,
                          const std::string& what) {
    return command.add_option_function<std::string>(
        name,
        [name, take = std::move(take)](const std::string& text) {
            const auto length = parse_duration(text);
            if (!length || *length < std::chrono::seconds{1}) {
                throw CLI::ValidationError(
                    name, "\"" + text + "\" is not a length of time of at least 1s, such as 30s");
            }
            take(*length);
        },
        what);
}

void add_check(CLI::App& app, Options& options) {
    auto* check = app.add_subcommand("check", "Diagnose a cluster: versions, roles, slots, WAL");
    auto* cluster = check->add_option("CLUSTER", options.cluster, "Cluster of the inventory");
    auto* member = check->add_option("MEMBER", options.member, "Of --explain: this member alone");
    check->add_option("--explain", options.explain, "wal: what holds the WAL of each member");
    check->add_flag("--all", options.all, "Every cluster of the inventory")
        ->excludes(cluster)
        ->excludes(member);
    check->add_option("--output-file", options.output_file, "Put the output there, all at once");
    add_duration(
        *check,
        "--watch",
        [&options](auto length) { options.watch = length; },
        "Look again and again, so often: 30s");
    add_duration(
        *check,
        "--timeout",
        [&options](auto length) { options.member_timeout = length; },
        "How long a member may take to answer; 15s unless given");
}

/// One, and no vector for CLI11: that would take the cluster, too.
CLI::Option* add_runbook(CLI::App& command, Options& options, const std::string& what) {
    return command.add_option_function<std::string>(
        "RUNBOOK", [&options](const std::string& name) { options.runbooks = {name}; }, what);
}

/// A command that is a shipped runbook: its options are inputs of that.
CLI::App* add_shipped(CLI::App& app, const ShippedCommand& shipped, Options& options) {
    auto* command = app.add_subcommand(std::string(shipped.name), std::string(shipped.summary));
    command->add_option("CLUSTER", options.cluster, "Cluster of the inventory");
    for (const ShippedOption& option : shipped.options) {
        const auto give = [&options, input = std::string(option.input)](const std::string& value) {
            if (!options.set.emplace(input, value).second) {
                throw CLI::ValidationError(input, "given twice");
            }
        };
        if (option.value.empty()) {
            command->add_option_function<std::string>(
                std::string(option.flag), give, std::string(option.description));
        } else {
            command->add_flag_callback(
                std::string(option.flag),
                [give, value = std::string(option.value)] { give(value); },
                std::string(option.description));
        }
    }
    return command;
}

/// plan, run, resume, rollback and cancel: what decides how a run goes.
void add_run_commands(CLI::App& app, Options& options) {
    auto* plan = app.add_subcommand("plan", "Show what a runbook would do; changes nothing");
    auto* run = app.add_subcommand("run", "Execute a runbook: prints the plan and asks first");
    auto* out = plan->add_option("--out", options.out, "Save the plan, for run FILE");
    auto* diff =
        plan->add_option("--diff", options.diff, "What is different now from a saved plan");
    diff->excludes(out);
    std::vector<CLI::App*> start{run};
    for (const ShippedCommand& shipped : shipped_commands()) {
        start.push_back(add_shipped(app, shipped, options));
    }
    for (CLI::App* command : {plan, run}) {
        add_runbook(*command,
                    options,
                    "A path, the name of a shipped runbook, or of run a saved plan (.json)")
            ->required(command == run);
        command->add_option("CLUSTER", options.cluster, "Cluster of the inventory");
        command->add_flag("--allow-shared-runbook",
                          options.allow_shared_runbook,
                          "Use the runbook although others may write to it");
    }
    std::vector<CLI::App*> planned = start;
    planned.push_back(plan);
    for (CLI::App* command : planned) {
        command
            ->add_option("--accept",
                         options.accept,
                         "Finding that need not block; --reason is on the record")
            ->allow_extra_args(false);
        command->add_option("--on-failure", options.on_failure, "Whatever the runbook says")
            ->check(CLI::IsMember({"stop", "rollback"}));
    }
    plan->add_option("--allow-drift",
                     options.allow_drift,
                     "Of --out: a fact that may move until the run: lag, leader, …")
        ->allow_extra_args(false);
    for (CLI::App* command : start) {
        command->add_flag(
            "--wait-window", options.wait_window, "Begin although the window is closed: it waits");
    }
    auto* resume = app.add_subcommand("resume", "Go on with a run that was interrupted or failed");
    resume->add_option("RUN", options.run, "Its id, or the start of it; the newest unless given");
    resume->add_option("--done", options.done, "A step in doubt was done: STEP[@MEMBER]")
        ->allow_extra_args(false);
    resume->add_option("--redo", options.redo, "A step in doubt is to be done again: STEP[@MEMBER]")
        ->allow_extra_args(false);
    resume->add_flag("--once-more", options.once_more, "Although engines keep ending there");
    resume->add_flag("--if-waiting",
                     options.if_waiting,
                     "Only a run that waits, or whose engine has died: for a timer");
    start.push_back(resume);
    for (CLI::App* command : start) {
        command->add_flag("--wait", options.wait, "Stay while a person or a window is waited for");
        command->add_flag("--override-window",
                          options.override_window,
                          "Whatever the windows say; --reason is on the record");
    }
    auto* rollback = app.add_subcommand("rollback", "Take back what a run did, newest first");
    rollback->add_option("RUN", options.run, "Its id, or the start of it; the newest unless given");
    auto* cancel = app.add_subcommand("cancel", "End a run that waits; nothing is taken back");
    cancel->add_option("RUN", options.run, "Its id, or the start of it")->required();
    for (CLI::App* command : {resume, rollback, cancel}) {
        command->add_flag("--unsealed",
                          options.unsealed,
                          "Although nobody vouches for a shared record; --reason is on the record");
    }
}

void add_unlock(CLI::App& app, Options& options) {
    auto* unlock = app.add_subcommand("unlock", "Break a lock whose run is gone, on the record");
    unlock->add_option("CLUSTER", options.cluster, "Cluster of the inventory");
    auto* what = unlock->add_option_group("What", "One of these");
    what->require_option(1);
    what->add_flag("--reset-fence",
                   options.reset_fence,
                   "Put back fences that no run can have left (member.fence_odd)");
    what->add_option("--lock-id", options.lock_id, "Id of the lock, as a refused run names it")
        ->check(&not_empty);
}

/// Those that ask, answer and explain, and the ways out of a lock.
void add_other_commands(CLI::App& app, Options& options) {
    auto* approve = app.add_subcommand("approve", "Answer a step that asks: yes, or --reject");
    approve->add_option("RUN", options.run, "Its id, or the start of it")->required();
    approve->add_option("STEP", options.step, "STEP[@MEMBER]; not needed where one asks alone");
    approve->add_flag("--reject", options.reject, "No");
    approve->add_option(
        "--comment", options.comment, "What there is to say; of manual, what was done");
    approve->add_option("--key-file",
                        options.key_file,
                        "The key that proves who answers, where the inventory asks for it");
    auto* windows = app.add_subcommand("windows", "The next times in which a runbook may run");
    add_runbook(*windows, options, "A path, or the name of a shipped runbook")->required();
    windows->add_option("CLUSTER", options.cluster, "Cluster of the inventory");
    windows->add_flag("--explain",
                      options.explain_calendars,
                      "What of each calendar is left out, and why; or why it is refused");
    app.add_subcommand("keys",
                       "Your key for records in a shared state folder, and whose you trust");
    app.add_subcommand("runs", "List the runs on record");
    app.add_subcommand("help", "What a command does and takes, with examples")
        ->add_option("COMMAND", options.topic, "A command; all of them unless given");
    app.add_subcommand("version", "The version of lockstep");
    // Of the shells' completions and of the package's build.
    app.add_subcommand("__complete", "")
        ->group("")
        ->add_option("WORDS", options.words, "The words so far; the last one is completed");
    app.add_subcommand("__man", "")
        ->group("")
        ->add_option("PAGE", options.topic, "Its name; the names unless given");
    auto* show = app.add_subcommand("show", "Show one run: every step, what was measured");
    show->add_option("RUN", options.run, "Its id, or the start of it; the newest unless given");
    auto* validate = app.add_subcommand("validate", "Check runbooks, and with -i an inventory");
    validate->add_option("RUNBOOK", options.runbooks, "Paths, or names of shipped runbooks");
    auto* explain = app.add_subcommand("explain", "What a key, action, guard or rule means");
    auto* topic = explain->add_option("KEY", options.topic, "Such as step.retry, ssh.run.argv");
    explain->add_flag("--markdown", options.markdown, "All of it, as docs/reference.md")
        ->excludes(topic);
    app.add_subcommand("schema", "JSON Schema of runbooks and inventories, for editors")
        ->add_option("FILE", options.topic, "runbook or inventory; both unless given")
        ->check(CLI::IsMember({"runbook", "inventory"}));
    auto* knowledge = app.add_subcommand("knowledge", "What is known of versions of Patroni");
    knowledge->add_option("--for", options.versions, "Only what matters from A to B: A..B");
    auto* doctor = app.add_subcommand("doctor", "Can every member be reached, and if not, why");
    doctor->add_option("CLUSTER", options.cluster, "Cluster of the inventory");
    add_unlock(app, options);
}

void add_commands(CLI::App& app, Options& options) {
    add_check(app, options);
    add_run_commands(app, options);
    add_other_commands(app, options);
}

/// Never a guess: /root would be somebody else's.
std::string home() {
    std::string folder = own_account().home;
    if (folder.empty()) {
        throw UsageError(
            "it is not known where this user's files are: $HOME is not set, and the "
            "user database has no entry for uid " +
                std::to_string(::geteuid()),
            "Set HOME, or name the folder and the file: --state, -i.");
    }
    return folder;
}

}  // namespace

CommandLine::CommandLine()
    : app("Upgrades Patroni-managed PostgreSQL clusters, step by step, with a way back.",
          "lockstep") {
    app.set_version_flag("--version", std::string("lockstep ") + k_version, "Its version");
    app.require_subcommand(1);
    app.fallthrough();  // global options may stand behind the command, too
    add_global_options(app, options, assignments);
    add_commands(app, options);
    set_help(app);
}

namespace {

void take_assignments(const std::vector<std::string>& assignments, Options& options) {
    for (const std::string& assignment : assignments) {
        const std::size_t equals = assignment.find('=');
        if (equals == std::string::npos || equals == 0) {
            throw CLI::ValidationError("--set " + assignment, "not of the form name=value");
        }
        const std::string name = assignment.substr(0, equals);
        if (!options.set.emplace(name, assignment.substr(equals + 1)).second) {
            throw CLI::ValidationError("--set " + name, "given twice");
        }
    }
}

/// `lockstep help`, `lockstep help run`. CLI11 shows the help of the command that was parsed, so it
/// is asked of one that has parsed nothing.
std::string help_of(const std::string& name) {
    const CommandLine line;
    if (name.empty()) {
        return line.app.help();
    }
    const CLI::App* command = find_command(line.app, name);
    if (command == nullptr) {
        throw CLI::ExtrasError({name});
    }
    return command->help("lockstep");
}

/// Those that are of the command line itself: nothing is looked at for them.
bool answered_at_once(const CommandLine& line) {
    if (line.options.command == "help") {
        std::cout << help_of(line.options.topic);
    } else if (line.options.command == "version" && line.options.output != Output::text) {
        std::cout << R"({"lockstep": ")" << k_version << "\"}\n";
    } else if (line.options.command == "version") {
        std::cout << "lockstep " << k_version << "\n";
    } else {
        return false;
    }
    return true;
}

}  // namespace

Parsed parse_options(int argc, char** argv) {
    Parsed parsed;
    CommandLine line;
    try {
        line.app.parse(argc, argv);
        take_assignments(line.assignments, line.options);
        line.options.command = line.app.get_subcommands().front()->get_name();
        if (answered_at_once(line)) {
            parsed.exit_code = 0;
        }
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) {
            parsed.exit_code = line.app.exit(error);  // prints help and version
            return parsed;
        }
        const Mistake mistake = mistake_of(error, line.app);
        std::cerr << "error: " << mistake.message << "\nHINT:  " << mistake.hint << "\n";
        // 2 would read as CRITICAL of check.
        parsed.exit_code = line.app.got_subcommand("check") ? 3 : 2;
        return parsed;
    }
    parsed.options = std::move(line.options);
    if (!parsed.options.accept.empty() && parsed.options.reason.empty()) {
        throw UsageError("--accept needs a reason, for the record", "Give it as --reason \"…\".");
    }
    return parsed;
}

namespace {

void refuse_other_topics(const Options& options) {
    const std::vector<std::string> topics{"wal"};
    if (options.explain.empty() && !options.member.empty()) {
        throw UsageError(
            "check takes a member only with --explain",
            "lockstep check " + options.cluster + " " + options.member + " --explain wal");
    }
    if (options.explain.empty()) {
        return;
    }
    if (options.explain != topics.front()) {
        throw UsageError("check cannot explain \"" + options.explain + "\"",
                         did_you_mean(options.explain, topics));
    }
    if (options.all || options.watch || options.output == Output::prometheus) {
        throw UsageError(
            "--explain is of one cluster, once: not with --all, --watch or prometheus");
    }
}

}  // namespace

void refuse_what_does_not_fit(const Options& options) {
    refuse_other_topics(options);
    if (options.output == Output::sarif && options.command != "validate") {
        throw UsageError("--output sarif is for validate alone");
    }
    if (options.output == Output::prometheus && options.command != "check") {
        throw UsageError("--output prometheus is for check alone");
    }
    if (options.watch && options.output == Output::prometheus && options.output_file.empty()) {
        throw UsageError("--watch with --output prometheus has no use without --output-file",
                         "Name the file that the collector reads.");
    }
    if (options.watch && options.output != Output::prometheus && !options.output_file.empty()) {
        throw UsageError("--watch writes to --output-file only with --output prometheus",
                         "Redirect its output: lockstep check --watch 30s --output jsonl >> FILE.");
    }
    if (options.command == "plan" && options.runbooks.empty() && options.diff.empty()) {
        throw UsageError("plan needs a runbook",
                         "Give a path, or the name of a shipped one: patroni-upgrade.");
    }
    if (options.override_window && options.reason.empty()) {
        throw UsageError("--override-window needs a reason, for the record",
                         "Give it as --reason \"…\".");
    }
    if (options.unsealed && options.reason.empty()) {
        throw UsageError("--unsealed needs a reason, for the record", "Give it as --reason \"…\".");
    }
    if (!options.allow_drift.empty() && options.out.empty()) {
        throw UsageError("--allow-drift is of a plan that is saved", "Give --out FILE.json.");
    }
    if (!options.out.empty() && !options.out.ends_with(".json")) {
        throw UsageError("--out " + options.out + ": a saved plan is known by its ending",
                         "Name it " + options.out + ".json.");
    }
    if (!options.diff.empty() && !options.runbooks.empty()) {
        throw UsageError("--diff has its runbook in the saved plan", "Leave the runbook out.");
    }
    if (options.all && !options.cluster.empty()) {
        throw UsageError("--all is every cluster, and " + options.cluster + " is one",
                         "Leave one of them out.");
    }
}

std::string config_folder() {
    const std::string config = environment("XDG_CONFIG_HOME");
    return (config.empty() ? home() + "/.config" : config) + "/lockstep";
}

InventoryPlace inventory_place(const Options& options) {
    if (!options.inventory.empty()) {
        return {options.inventory};
    }
    if (std::string given = environment("LOCKSTEP_INVENTORY"); !given.empty()) {
        return {std::move(given)};
    }
    std::vector<std::string> places{"inventory.yaml", "/etc/lockstep/inventory.yaml"};
    if (!environment("XDG_CONFIG_HOME").empty() || !own_account().home.empty()) {
        places.insert(places.begin() + 1, config_folder() + "/inventory.yaml");
    }
    for (const std::string& place : places) {
        if (std::filesystem::exists(place)) {
            return {place, FoundBy::luck, place == places.front()};
        }
    }
    throw UsageError("there is no inventory: none of " + join(places, ", "),
                     "Write one (inventory/examples/minimal.yaml is a start), or name it with -i.");
}

std::string state_folder(const Options& options) {
    std::string folder = options.state.empty() ? environment("LOCKSTEP_STATE") : options.state;
    if (folder.starts_with("postgresql://") || folder.starts_with("postgres://")) {
        throw UsageError("a journal in PostgreSQL is not supported by this version of lockstep",
                         "Give --state a folder on a local disk.");
    }
    if (folder.empty()) {
        const std::string state = environment("XDG_STATE_HOME");
        folder = (state.empty() ? home() + "/.local/state" : state) + "/lockstep";
    }
    return folder;
}

}  // namespace lockstep
