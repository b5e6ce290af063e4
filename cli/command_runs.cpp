#include "base/error.hpp"
#include "base/join.hpp"
#include "base/or_null.hpp"
#include "cli/commands.hpp"
#include "cli/inventory_file.hpp"
#include "cli/seals.hpp"
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

namespace {

/// With several clusters in the inventory it is not said which is meant, although only one has
/// runs.
void refuse_several_clusters(const Options& options) {
    std::vector<std::string> names;
    try {
        for (const Cluster& cluster : read_inventory(options).clusters) {
            names.push_back(cluster.name);
        }
    } catch (const Error&) {
        return;  // a record needs no inventory
    }
    if (names.size() > 1) {
        throw UsageError("the inventory has several clusters: " + join(names),
                         "Say which: -c NAME, or the run's id. `lockstep runs` lists them.");
    }
}

}  // namespace

RunHeader meant_run(const Options& options, JournalStore& journal, bool of_plans) {
    if (!options.run.empty()) {
        return named_run(journal, options.run);
    }
    std::optional<RunHeader> newest;
    for (RunHeader& header : journal.runs()) {  // newest first
        const bool of_cluster = options.cluster.empty() || header.cluster == options.cluster;
        const bool has_steps = !header.plan.value("steps", nlohmann::json::array()).empty();
        if (!of_cluster || (of_plans && !has_steps)) {
            continue;
        }
        if (newest && header.cluster != newest->cluster) {
            throw UsageError("there are runs of several clusters on record",
                             "Say which: -c " + newest->cluster +
                                 ", or the run's id. `lockstep runs` lists them.");
        }
        if (!newest) {
            newest = std::move(header);
        }
    }
    if (!newest) {
        throw UsageError(
            "no runs on record" + (options.cluster.empty() ? "" : " of " + options.cluster),
            "`lockstep runs` lists them; --state says where they are kept.");
    }
    if (options.cluster.empty()) {
        refuse_several_clusters(options);
    }
    return *newest;
}

Inventory inventory_on_record(const RunHeader& run) {
    return parse_inventory(run.inventory_text,
                           run.plan.value("inventory_path", "the inventory on record"));
}

int command_runs(const Options& options) {
    const std::unique_ptr<JournalStore> journal =
        open_sqlite_journal(state_folder(options), JournalUse::as_it_is);
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
    const std::unique_ptr<JournalStore> journal =
        open_sqlite_journal(state_folder(options), JournalUse::as_it_is);
    const RunHeader header = meant_run(options, *journal, false);
    const std::vector<JournalRecord> records = journal->records(header.id);
    const RunState state = replay(header, records);
    const SealView seal = look_at_seal(*journal, header, records);
    const bool shared = seal.state != SealView::State::not_needed;
    if (options.output == Output::text) {
        std::cout << show_text(header, state, Terminal::on(STDOUT_FILENO));
        if (shared) {
            std::cout << "\nthe record is sealed " << printable(to_text(seal)) << "\n";
        }
        if (engine_of(state) == EngineFate::gone) {
            const Finding finding = as_finding({header, state});
            std::cout << "\n" << findings_text({finding}, Terminal::on(STDOUT_FILENO));
        }
    } else {
        nlohmann::json document = to_json(header, state);
        if (const EngineFate fate = engine_of(state); fate != EngineFate::unknown) {
            document["engine"]["alive"] = fate == EngineFate::runs;
        }
        if (shared) {
            document["sealed"] = to_text(seal);
        }
        std::cout << json_text(document, Output::json);
    }
    return 0;
}

}  // namespace lockstep
