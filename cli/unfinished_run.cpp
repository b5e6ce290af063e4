#include "cli/unfinished_run.hpp"

#include "base/error.hpp"
#include "cli/commands.hpp"

#include <filesystem>

namespace lockstep {

EngineFate engine_of(const RunState& state) {
    return state.has_no_end() ? fate_of_engine(state.engine().process) : EngineFate::unknown;
}

std::optional<AbandonedRun> abandoned_run(JournalStore& journal, const std::string& cluster) {
    std::optional<RunHeader> header = journal.newest(cluster);
    if (!header) {
        return std::nullopt;
    }
    RunState state = replay(*header, journal.records(header->id));
    if (engine_of(state) != EngineFate::gone) {
        return std::nullopt;
    }
    return AbandonedRun{*std::move(header), std::move(state)};
}

Finding as_finding(const AbandonedRun& run) {
    const RunState& state = run.state;
    std::string open;
    for (const OpenTemporary& each : state.temporaries()) {
        open += (open.empty() ? "in force: " : ", ") + each.text();
    }
    for (const OpenCall& call : state.open_calls()) {
        open += (open.empty() ? "" : "; ") + describe(call);
    }
    return {.id = "state.run_abandoned",
            .severity = open.empty() ? Severity::warning : Severity::critical,
            .member = {},
            .subject = run.header.id,
            .message = "run " + run.header.id + " of " + run.header.started_by + " (" +
                       run.header.runbook + ") has no end: its engine is gone, its last sign was " +
                       state.last_sign() + (open.empty() ? "" : "; " + open),
            .remedy = "`lockstep resume " + run.header.id +
                      "` goes on with it, `lockstep rollback " + run.header.id + "` takes it back.",
            .source = {}};
}

std::unique_ptr<JournalStore> journal_if_any(const Options& options) {
    const std::string folder = state_folder(options);
    std::error_code error;
    if (!std::filesystem::exists(folder + "/journal.db", error)) {
        return nullptr;
    }
    try {
        return open_sqlite_journal(folder, JournalUse::as_it_is);
    } catch (const JournalError&) {  // somebody else's, or of another version: nothing is known
        return nullptr;
    }
}

}  // namespace lockstep
