#pragma once

/// engine/journal/: the durable record of runs: what was intended, what came of it. Append only,
/// hash-chained. It keeps records and proves that they are whole; what they mean for a run is in
/// engine/run/run_state.hpp. Read this file first, then sqlite_journal.cpp.

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

enum class RecordKind {
    run_started,
    run_resumed,    ///< another engine goes on: who, and which steps are open again
    lock_taken,     ///< of the cluster: id and fence
    step_intent,    ///< about to act: attempt, operations and the undo, frozen
    step_accepted,  ///< the member has the command: boot id and pid
    step_result,    ///< what is known afterwards
    step_verified,  ///< a step in doubt was looked at: done, not_done or unknown
    step_skipped,   ///< nothing to do: payload says why
    rollback_started,
    undo_intent,  ///< about to take back: which undo of the step, as frozen
    undo_accepted,
    undo_result,
    guard_tripped,
    approval_asked,     ///< somebody has to say yes: to what, who may, until when
    approval_answered,  ///< by whom, and whether it counts
    approval_ended,     ///< granted, rejected or expired
    waiting,            ///< nothing else is left to do but to wait: for what
    note,
    run_ended,
};

[[nodiscard]] std::string_view to_text(RecordKind kind);
[[nodiscard]] std::optional<RecordKind> parse_record_kind(std::string_view text);

struct JournalRecord {
    std::int64_t seq = 0;  ///< from 1, without gaps
    std::string at;        ///< ISO 8601, UTC
    RecordKind kind = RecordKind::note;
    std::string step;  ///< id; empty: the run
    std::string member;
    nlohmann::json payload;
};

/// What a run is about; written once, before its first record.
struct RunHeader {
    std::string id;  ///< `20261123-091502-3f2a`
    std::string cluster;
    std::string runbook;
    std::string plan_hash;
    std::string started_at;
    std::string started_by;  ///< `user@host`
    std::string reason;
    std::string engine_version;
    std::string runbook_text;  ///< pinned: a run never looks at the files again
    std::string inventory_text;
    nlohmann::json inputs;                     ///< secrets masked
    std::map<std::string, std::string> given;  ///< as on the command line: secrets by reference
    nlohmann::json plan;  ///< on record Plan::to_json(); who follows a run has outline() at least
    std::string digest;   ///< header_digest(), of an engine that has only the outline left
};

/// The first link of a run's chain: a digest of all that its header says.
[[nodiscard]] std::string header_digest(const RunHeader& run);

/// The link of a record; `payload` is its canonical text.
[[nodiscard]] std::string next_link(const std::string& previous,
                                    const std::string& run,
                                    const JournalRecord& record,
                                    const std::string& payload);

/// The last link: a digest of the header and of all records.
[[nodiscard]] std::string chain_end(const RunHeader& run,
                                    const std::vector<JournalRecord>& records);

/// Vouches for the end of a chain, by a text that nobody else can make. A chain alone anybody can
/// make anew who may write to the file.
using Sealing = std::function<std::string(const std::string& chain_end)>;

/// What a person said to a step that asks. It is put beside the record, by any process, and becomes
/// part of it when the engine that has the run takes it up: a record has one writer.
struct Answer {
    std::int64_t number = 0;  ///< in the order of arrival, from 1; given by the store
    std::string gate;         ///< `id` or `id@member`
    bool yes = false;
    std::string by;  ///< `user@host`
    std::string at;  ///< ISO 8601, UTC
    std::string comment;
    std::string plan_hash;  ///< of the plan that was looked at
    std::string proof;      ///< see approval.hpp; empty: the operating system's word alone
};

/// A step that succeeded at the first attempt.
struct StepLength {
    std::string runbook;
    std::string step;  ///< id
    std::string uses;
    std::string from, to;  ///< ISO 8601, UTC
};

/// Keeps runs. A failed write is a JournalError, and nothing is done after it.
class JournalStore {
  public:
    virtual ~JournalStore() = default;

    virtual void create(const RunHeader& run) = 0;
    /// Durable when it returns.
    virtual void append(const std::string& run, const JournalRecord& record) = 0;

    /// Appends several records in one go. If that fails, none of them is kept, or only the first
    /// ones.
    virtual void append_all(const std::string& run, const std::vector<JournalRecord>& records) {
        for (const JournalRecord& record : records) {
            append(run, record);
        }
    }

    /// Whether others may write to it, who are not root.
    [[nodiscard]] virtual bool is_shared() const { return false; }

    /// From now on each run that is created or appended to is sealed with it, in the same commit.
    // NOLINTNEXTLINE(performance-unnecessary-value-param): whoever seals keeps it
    virtual void seal_with(Sealing /*sealing*/) {}

    /// The seal of a run's end; empty: whoever wrote last had none.
    [[nodiscard]] virtual std::string seal_of(const std::string& /*run*/) { return {}; }

    virtual void answer(const std::string& run, const Answer& answer) = 0;
    /// Oldest first.
    [[nodiscard]] virtual std::vector<Answer> answers(const std::string& run) = 0;

    /// Newest first.
    [[nodiscard]] virtual std::vector<RunHeader> runs() = 0;

    /// The newest run on a cluster; nullopt: none.
    [[nodiscard]] virtual std::optional<RunHeader> newest(const std::string& cluster) {
        for (RunHeader& run : runs()) {
            if (run.cluster == cluster) {
                return std::move(run);
            }
        }
        return std::nullopt;
    }

    /// How long steps took, in the newest runs on a cluster, newest first. Read without looking at
    /// the chain: it is for estimates.
    [[nodiscard]] virtual std::vector<StepLength> step_lengths(const std::string& cluster,
                                                               std::size_t runs) = 0;
    /// nullopt: no such run. A unique prefix of an id is enough.
    [[nodiscard]] virtual std::optional<RunHeader> find(const std::string& run) = 0;
    /// Throws JournalError when the chain is broken.
    [[nodiscard]] virtual std::vector<JournalRecord> records(const std::string& run) = 0;
};

/// What becomes of a journal that an older version wrote, and of one that cannot be written.
enum class JournalUse {
    to_write,  ///< one of an older version is brought up to ours
    as_it_is,  ///< nothing of it is made or changed, wherever it is: none there is an empty one
};

/// SQLite in `folder`, made when missing with mode 0700; the files are 0600. One that was there and
/// that its group may write to (chmod 2770) keeps its mode, and the files made in it are 0660: who
/// is in that group can approve. Refuses what base/state_folder.hpp refuses, a network file system,
/// where SQLite's WAL is not safe (sqlite.org/wal.html), and a database of another program.
[[nodiscard]] std::unique_ptr<JournalStore> open_sqlite_journal(
    const std::string& folder, JournalUse use = JournalUse::to_write);

/// A new id from the time and a random tail.
[[nodiscard]] std::string make_run_id(std::chrono::system_clock::time_point now);

}  // namespace lockstep
