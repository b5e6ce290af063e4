#pragma once

#include "cli/options.hpp"
#include "cluster/finding.hpp"
#include "engine/journal/journal.hpp"
#include "engine/run/run_state.hpp"
#include "steps/lock/engine_process.hpp"

#include <memory>
#include <optional>
#include <string>

/// Runs whose end is not on record: an engine is at work on them, or has died over them.
namespace lockstep {

/// Whether the engine that has worked on it last still runs. Of a run that has ended: unknown.
[[nodiscard]] EngineFate engine_of(const RunState& state);

/// The newest run on a cluster, where its engine died over it; nullopt: it has ended, or its engine
/// may run yet, perhaps on another machine. An older one does not count: what came after it is what
/// the cluster is like now.
struct AbandonedRun {
    RunHeader header;
    RunState state;
};

[[nodiscard]] std::optional<AbandonedRun> abandoned_run(JournalStore& journal,
                                                        const std::string& cluster);

/// `state.run_abandoned`: critical while something of it is in force or was not seen to end.
[[nodiscard]] Finding as_finding(const AbandonedRun& run);

/// The journal for a look at it; nullptr: there is none yet, or none that this version can read.
[[nodiscard]] std::unique_ptr<JournalStore> journal_if_any(const Options& options);

}  // namespace lockstep
