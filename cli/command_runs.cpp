#include "base/error.hpp"
#include "base/or_null.hpp"
#include "cli/commands.hpp"
#include "cli/texts.hpp"
#include "cli/unfinished_run.hpp"

#include <unistd.h>

#include <iostream>

namespace lockstep {

RunState replay(const RunHeader& header, const std::vector<JournalRecord>& records) {
    RunState state(header.plan);
    for (const JournalRecord& record : records) {
        state.apply(record);
    }
    return state;
}

RunHeader named_run(JournalStore& journal, const std::string& run) {
    const std::optional<RunHeader> header = journal.find(run);
    if (!header) {
        throw UsageError("no run " + run,
                         "`lockstep runs` lists them; --state says where they are kept.");
    }
    return *header;
}

Inventory inventory_on_record(const RunHeader& run) {
    return parse_inventory(run.inventory_text,
                           run.plan.value("inventory_path", "the inventory on record"));
}

int command_runs(const Options& options) {
    const std::unique_ptr<JournalStore> journal = open_sqlite_journal(state_folder(options));
    nlohmann::json list = nlohmann::json::array();
    Table table({"RUN", "CLUSTER", "RUNBOOK", "STATE", "EXIT", "STARTED", "BY"});
    for (const RunHeader& header : journal->runs()) {
        if (!options.cluster.empty() && header.cluster != options.cluster) {
            continue;
        }
        const RunState state = replay(header, journal->records(header.id));
        const bool gone = engine_of(state) == EngineFate::gone;
        const std::string exit_code = state.exit_code() ? std::to_string(*state.exit_code()) : "-";
        table.add({header.id,
                   header.cluster,
                   header.runbook,
                   std::string(to_text(state.phase())) + (gone ? ", engine gone" : ""),
                   exit_code,
                   header.started_at,
                   header.started_by});
        list.push_back({{"run", header.id},
                        {"cluster", header.cluster},
                        {"runbook", header.runbook},
                        {"state", to_text(state.phase())},
                        {"started_at", header.started_at},
                        {"started_by", header.started_by}});
        list.back()["exit_code"] = or_null(state.exit_code());
    }
    if (options.output != Output::text) {
        std::cout << json_text(list, Output::json);
    } else if (list.empty()) {
        std::cout << "no runs on record\n";
    } else {
        std::cout << table.text(Terminal::on(STDOUT_FILENO));
    }
    return 0;
}

int command_show(const Options& options) {
    const std::unique_ptr<JournalStore> journal = open_sqlite_journal(state_folder(options));
    std::optional<RunHeader> header;
    if (!options.run.empty()) {
        header = named_run(*journal, options.run);
    } else {
        for (RunHeader& run : journal->runs()) {  // newest first
            if (options.cluster.empty() || run.cluster == options.cluster) {
                header = std::move(run);
                break;
            }
        }
    }
    if (!header) {
        throw UsageError("no runs on record",
                         "`lockstep runs` lists them; --state says where they are kept.");
    }
    const RunState state = replay(*header, journal->records(header->id));
    if (options.output == Output::text) {
        std::cout << show_text(*header, state, Terminal::on(STDOUT_FILENO));
        if (engine_of(state) == EngineFate::gone) {
            const Finding finding = as_finding({*header, state});
            std::cout << "\n" << findings_text({finding}, Terminal::on(STDOUT_FILENO));
        }
    } else {
        nlohmann::json document = to_json(*header, state);
        if (const EngineFate fate = engine_of(state); fate != EngineFate::unknown) {
            document["engine"]["alive"] = fate == EngineFate::runs;
        }
        std::cout << json_text(document, Output::json);
    }
    return 0;
}

}  // namespace lockstep
