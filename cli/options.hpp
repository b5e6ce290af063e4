#pragma once

#include "base/trusted_file.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

enum class Output { text, json, jsonl, prometheus, sarif };

/// The command line, parsed. What is not given is empty; defaults are filled in by the functions
/// below.
struct Options {
    std::string command;  ///< check, plan, run, resume, rollback, runs, show, …

    std::string inventory;
    std::string cluster;
    std::map<std::string, std::string> set;  ///< inputs: name=value
    std::string state;
    Output output = Output::text;
    std::string log_level = "warning";
    bool yes = false;
    std::string reason;

    std::vector<std::string> runbooks;  ///< one, or several for validate
    std::string run;                    ///< of show, resume, rollback; empty: the newest
    std::vector<std::string> accept;    ///< findings that need not block: `id` or `id@member`
    std::string on_failure;             ///< stop | rollback; empty: what the runbook says
    std::vector<std::string> done;      ///< of resume: steps in doubt that were done
    std::vector<std::string> redo;      ///< of resume: steps in doubt to do again
    bool if_waiting = false;            ///< of resume: only a run that waits, or whose engine died
    bool once_more = false;             ///< of resume: although engines keep ending there
    std::string out;                    ///< of plan: save it there
    std::string diff;                   ///< of plan: a saved one to compare with
    std::vector<std::string> allow_drift;  ///< of plan --out: facts that may move until the run
    bool wait = false;         ///< of run, resume: stay where a person or a window is waited for
    bool wait_window = false;  ///< of run: begin although the window is closed, and wait for it
    bool override_window = false;  ///< of run, resume: whatever the windows say; with a reason
    std::string step;              ///< of approve; empty: the one that asks
    bool reject = false;           ///< of approve
    std::string comment;           ///< of approve
    std::string key_file;          ///< of approve: proves who answers
    bool unsealed = false;         ///< of resume, rollback: although nobody vouches for the record
    bool allow_shared_inventory = false;  ///< one that others may write to; to be named
    bool allow_shared_runbook = false;    ///< of plan, run: the same
    bool from_saved_plan = false;         ///< these are what a saved plan was made with
    std::string lock_id;                  ///< of unlock
    bool reset_fence = false;             ///< of unlock, instead of a lock: the fences that are odd
    std::string versions;                 ///< of knowledge: `A..B`; empty: everything
    std::string topic;                    ///< of explain, schema, help; empty: everything
    std::vector<std::string> words;       ///< of __complete
    std::string explain;                  ///< of check: a topic, `wal`
    std::string member;                   ///< of check --explain; empty: all
    bool explain_calendars = false;  ///< of windows: what of each calendar is left out, and why

    bool all = false;                                 ///< of check: every cluster
    bool markdown = false;                            ///< of explain: the whole reference
    std::optional<std::chrono::milliseconds> watch;   ///< of check: how often
    std::string output_file;                          ///< of check; empty: stdout
    std::chrono::milliseconds member_timeout{15000};  ///< of check: for a member's answer
};

/// What parsing came to: options, or an exit code because everything has been said (--help, or a
/// mistake that was printed to stderr).
struct Parsed {
    Options options;
    std::optional<int> exit_code;
};

[[nodiscard]] Parsed parse_options(int argc, char** argv);

/// Throws UsageError for options of `check` that have no meaning together, or for another command.
void refuse_what_does_not_fit(const Options& options);

/// An inventory, and how it was come by.
struct InventoryPlace {
    std::string path;
    FoundBy by = FoundBy::name;
    bool here = false;  ///< it is the one of the working directory, which nobody named
};

/// -i, else $LOCKSTEP_INVENTORY, ./inventory.yaml, $XDG_CONFIG_HOME/lockstep/inventory.yaml,
/// /etc/lockstep/inventory.yaml. Throws UsageError when there is none.
[[nodiscard]] InventoryPlace inventory_place(const Options& options);

/// $XDG_CONFIG_HOME/lockstep, else ~/.config/lockstep.
[[nodiscard]] std::string config_folder();

/// --state, else $LOCKSTEP_STATE, else $XDG_STATE_HOME/lockstep.
[[nodiscard]] std::string state_folder(const Options& options);

}  // namespace lockstep
