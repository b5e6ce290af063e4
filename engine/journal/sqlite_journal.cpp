#include "base/canonical_json.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "base/sqlite.hpp"
#include "base/state_folder.hpp"
#include "engine/journal/journal.hpp"

#include <filesystem>
#include <system_error>

namespace lockstep {

namespace {

// "lkst": tells our database from any other SQLite file (pragma application_id).
constexpr int k_application_id = 0x6c6b7374;
constexpr int k_schema_version = 5;
constexpr int k_oldest_version = 2;  // that is brought up to ours
constexpr int k_patience_ms = 5000;  // while another process writes

constexpr const char* k_schema = R"sql(
CREATE TABLE runs (
    id TEXT PRIMARY KEY, cluster TEXT NOT NULL, runbook TEXT NOT NULL, plan_hash TEXT NOT NULL,
    started_at TEXT NOT NULL, started_by TEXT NOT NULL, reason TEXT NOT NULL,
    engine_version TEXT NOT NULL, runbook_text TEXT NOT NULL, inventory_text TEXT NOT NULL,
    inputs TEXT NOT NULL, given TEXT NOT NULL, plan TEXT NOT NULL
) STRICT;
CREATE TABLE records (
    run TEXT NOT NULL REFERENCES runs(id), seq INTEGER NOT NULL, at TEXT NOT NULL,
    kind TEXT NOT NULL, step TEXT NOT NULL, member TEXT NOT NULL, payload TEXT NOT NULL,
    hash TEXT NOT NULL, PRIMARY KEY (run, seq)
) STRICT;
)sql";

/// Since version 3.
constexpr const char* k_answers_schema = R"sql(
CREATE TABLE answers (
    number INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES runs(id), gate TEXT NOT NULL,
    yes INTEGER NOT NULL, by TEXT NOT NULL, at TEXT NOT NULL, comment TEXT NOT NULL,
    plan_hash TEXT NOT NULL, proof TEXT NOT NULL
) STRICT;
)sql";

/// Since version 4: the hash of a run's last record, written with it. The chain alone does not show
/// that its end was cut off. Of runs that are there already, the end that they have.
constexpr const char* k_heads_schema = R"sql(
ALTER TABLE runs ADD COLUMN head TEXT NOT NULL DEFAULT '';
UPDATE runs SET head = ifnull(
    (SELECT hash FROM records WHERE run = runs.id ORDER BY seq DESC LIMIT 1), '');
)sql";

/// Since version 5: who vouches for the end of a run, see seal_with().
constexpr const char* k_seals_schema = "ALTER TABLE runs ADD COLUMN seal TEXT NOT NULL DEFAULT ''";

/// Intents and results, run by run; the last column is 1 for a first attempt, and for a success
/// that is not tried again.
constexpr const char* k_step_lengths = R"sql(
SELECT runs.id, runs.runbook, kind, step, member, at, ifnull(json_extract(payload, '$.uses'), ''),
    CASE kind WHEN 'step_intent' THEN ifnull(json_extract(payload, '$.attempt'), 0) = 1
              ELSE ifnull(json_extract(payload, '$.outcome'), '') = 'succeeded'
                   AND ifnull(json_extract(payload, '$.retry'), 1) = 0 END
FROM (SELECT id, runbook, started_at FROM runs WHERE cluster = ?
      ORDER BY started_at DESC, id DESC LIMIT ?) AS runs
JOIN records ON records.run = runs.id AND kind IN ('step_intent', 'step_result')
ORDER BY runs.started_at DESC, runs.id DESC, seq
)sql";

/// What SQLite says becomes what that means here.
template <class Work>
auto on_journal(const Work& work) {
    try {
        return work();
    } catch (const sqlite::SqliteError& error) {
        const std::string hint =
            error.hint().empty() ? "Check the free space and the permissions of the state folder."
                                 : error.hint();
        throw JournalError(std::string("the journal cannot be read or written: ") + error.what(),
                           hint + " Nothing is done that is not on record.");
    }
}

/// Also where it cannot be told: whoever opens it says why.
bool is_there(const std::filesystem::path& path) {
    std::error_code error;
    return std::filesystem::symlink_status(path, error).type() !=
           std::filesystem::file_type::not_found;
}

/// A record that is no JSON was not written by us; to guess at it would be to guess at what was
/// done.
nlohmann::json parse(const std::string& text) {
    ReadJson read = read_json(text, k_own_json);
    if (!read.ok()) {
        throw JournalError("the journal holds a record that " + read.trouble, "It is damaged.");
    }
    return std::move(read.document);
}

class SqliteJournal final : public JournalStore {
  public:
    SqliteJournal(const std::string& folder, JournalUse use) : use_(use) {
        on_journal([&] {
            const std::string path = usable(folder) + "/journal.db";
            if (use_ == JournalUse::as_it_is) {
                open_as_it_is(path);
            } else {
                db_.emplace(path, k_patience_ms);
            }
            prepare(path);
        });
    }

    /// One statement, and so a transaction by itself: a run is there in full, or not at all.
    void create(const RunHeader& run) override {
        on_journal([&] {
            sqlite::Statement insert(*db_,
                                     "INSERT INTO runs VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,'',?)");
            insert.bind(run.id)
                .bind(run.cluster)
                .bind(run.runbook)
                .bind(run.plan_hash)
                .bind(run.started_at)
                .bind(run.started_by)
                .bind(run.reason)
                .bind(run.engine_version)
                .bind(run.runbook_text)
                .bind(run.inventory_text)
                .bind(canonical(run.inputs))
                .bind(canonical(run.given))
                .bind(canonical(run.plan))
                .bind(sealing_ ? sealing_(header_digest(run)) : std::string());
            insert.step();
            ends_[run.id] = header_digest(run);
        });
    }

    void append(const std::string& run, const JournalRecord& record) override {
        append_all(run, {record});
    }

    /// One transaction, and so one wait for the disk: all of them are kept, or none.
    void append_all(const std::string& run, const std::vector<JournalRecord>& records) override {
        if (records.empty()) {
            return;
        }
        on_journal([&] {
            sqlite::Transaction transaction(*db_);
            std::string hash = last_hash(run, records.front().seq);
            refuse_another_end(run, hash);
            for (const JournalRecord& record : records) {
                hash = insert(run, record, hash);
            }
            sqlite::Statement head(*db_, "UPDATE runs SET head = ?, seal = ? WHERE id = ?");
            head.bind(hash).bind(sealing_ ? sealing_(hash) : std::string()).bind(run);
            head.step();
            transaction.commit();
            ends_[run] = hash;
        });
    }

    [[nodiscard]] bool is_shared() const override { return shared_; }

    void seal_with(Sealing sealing) override { sealing_ = std::move(sealing); }

    std::string seal_of(const std::string& run) override {
        return on_journal([&] {
            sqlite::Statement select(*db_, "SELECT seal FROM runs WHERE id = ?");
            select.bind(run);
            return select.step() ? select.text(0) : std::string();
        });
    }

    void answer(const std::string& run, const Answer& answer) override {
        on_journal([&] {
            sqlite::Statement insert(*db_,
                                     "INSERT INTO answers (run, gate, yes, by, at, comment, "
                                     "plan_hash, proof) VALUES (?,?,?,?,?,?,?,?)");
            insert.bind(run)
                .bind(answer.gate)
                .bind(std::int64_t{answer.yes})
                .bind(answer.by)
                .bind(answer.at)
                .bind(answer.comment)
                .bind(answer.plan_hash)
                .bind(answer.proof);
            insert.step();
        });
    }

    /// By number and not by time: the clocks of two machines may differ.
    std::vector<Answer> answers(const std::string& run) override {
        return on_journal([&]() -> std::vector<Answer> {
            std::vector<Answer> found;
            sqlite::Statement select(*db_,
                                     "SELECT number, gate, yes, by, at, comment, plan_hash, proof "
                                     "FROM answers WHERE run = ? ORDER BY number");
            select.bind(run);
            while (select.step()) {
                found.push_back({select.integer(0),
                                 select.text(1),
                                 select.integer(2) != 0,
                                 select.text(3),
                                 select.text(4),
                                 select.text(5),
                                 select.text(6),
                                 select.text(7)});
            }
            return found;
        });
    }

    std::vector<RunHeader> runs() override {
        return on_journal([&]() -> std::vector<RunHeader> {
            std::vector<RunHeader> found;
            sqlite::Statement select(*db_, "SELECT * FROM runs ORDER BY started_at DESC, id DESC");
            while (select.step()) {
                found.push_back(header(select));
            }
            return found;
        });
    }

    std::optional<RunHeader> newest(const std::string& cluster) override {
        return on_journal([&]() -> std::optional<RunHeader> {
            sqlite::Statement select(*db_,
                                     "SELECT * FROM runs WHERE cluster = ? "
                                     "ORDER BY started_at DESC, id DESC LIMIT 1");
            select.bind(cluster);
            return select.step() ? std::optional(header(select)) : std::nullopt;
        });
    }

    /// Steps that were tried again or failed say little about how long one takes, and are left out.
    std::vector<StepLength> step_lengths(const std::string& cluster, std::size_t runs) override {
        return on_journal([&]() -> std::vector<StepLength> {
            std::vector<StepLength> found;
            sqlite::Statement select(*db_, k_step_lengths);
            select.bind(cluster).bind(static_cast<std::int64_t>(runs));
            std::map<std::pair<std::string, std::string>, StepLength> begun;  // of this run
            std::string run;
            while (select.step()) {
                if (select.text(0) != run) {
                    run = select.text(0);
                    begun.clear();
                }
                const std::pair step{select.text(3), select.text(4)};
                const bool at_once = select.integer(7) == 1;
                if (select.text(2) == to_text(RecordKind::step_intent)) {
                    begun.erase(step);
                    if (at_once) {
                        begun[step] = {
                            select.text(1), step.first, select.text(6), select.text(5), {}};
                    }
                } else if (auto length = begun.extract(step); !length.empty() && at_once) {
                    length.mapped().to = select.text(5);
                    found.push_back(std::move(length.mapped()));
                }
            }
            return found;
        });
    }

    /// Two rows are enough to see that a prefix is not unique.
    std::optional<RunHeader> find(const std::string& run) override {
        return on_journal([&]() -> std::optional<RunHeader> {
            sqlite::Statement select(
                *db_, "SELECT * FROM runs WHERE substr(id, 1, length(?1)) = ?1 LIMIT 2");
            select.bind(run);
            if (!select.step()) {
                return std::nullopt;
            }
            RunHeader found = header(select);
            if (found.id != run && select.step()) {
                throw UsageError("\"" + run + "\" is the start of several run ids",
                                 "`lockstep runs` lists them.");
            }
            return found;
        });
    }

    /// The chain is checked whenever records are read, since a resume acts by them.
    std::vector<JournalRecord> records(const std::string& run) override {
        return on_journal([&]() -> std::vector<JournalRecord> {
            const std::optional<RunHeader> about = find(run);
            std::vector<JournalRecord> found;
            if (!about) {
                return found;
            }
            std::string previous = header_digest(*about);
            sqlite::Statement select(
                *db_,
                "SELECT seq, at, kind, step, member, payload, hash FROM records "
                "WHERE run = ? ORDER BY seq");
            select.bind(about->id);
            while (select.step()) {
                const auto kind = parse_record_kind(select.text(2));
                if (!kind) {
                    throw JournalError(
                        "run " + run + " has a record of the unknown kind " + select.text(2),
                        "It was written by a newer version of lockstep.");
                }
                JournalRecord record{select.integer(0),
                                     select.text(1),
                                     *kind,
                                     select.text(3),
                                     select.text(4),
                                     parse(select.text(5))};
                const std::string hash = next_link(previous, about->id, record, select.text(5));
                const auto expected_seq = static_cast<std::int64_t>(found.size()) + 1;
                if (hash != select.text(6) || record.seq != expected_seq) {
                    throw JournalError("the journal of run " + about->id +
                                           " is damaged at record " + std::to_string(record.seq),
                                       "Somebody or something changed it after it was written. "
                                       "Look at the cluster "
                                       "with `lockstep check` before anything else.");
                }
                previous = hash;
                found.push_back(std::move(record));
            }
            refuse_cut(about->id, found.empty() ? "" : previous);
            ends_.try_emplace(about->id, previous);
            return found;
        });
    }

  private:
    /// What others made of the file meanwhile is not gone on from, and above all not vouched for.
    void refuse_another_end(const std::string& run, const std::string& end) {
        const auto known = ends_.find(run);
        if (known == ends_.end() ? bool(sealing_) : known->second != end) {
            throw JournalError("the record of run " + run + " is not the one that was read",
                               "Somebody else wrote to it meanwhile: `lockstep show " + run +
                                   "` says what is there.");
        }
    }

    /// What was done after the last record that is there nobody could tell.
    void refuse_cut(const std::string& run, const std::string& end) {
        sqlite::Statement select(*db_, "SELECT head FROM runs WHERE id = ?");
        select.bind(run);
        if (select.step() && select.text(0) != end) {
            throw JournalError("the journal of run " + run + " has lost its end",
                               "Records were removed after they were written. Look at the cluster "
                               "with `lockstep check` before anything else.");
        }
    }

    /// One of an older version is brought up to ours in a copy.
    void open_as_it_is(const std::string& path) {
        const std::filesystem::path file(path);
        if (!is_there(file)) {
            for (const char* end : {"-wal", "-shm", "-journal"}) {
                if (is_there(path + end)) {
                    StateFolder(file.parent_path()).refuse_unfit(file.filename().string() + end);
                }
            }
            db_.emplace(":memory:", k_patience_ms);
            return;
        }
        if (StateFolder(file.parent_path()).is_writable(file.filename())) {
            db_.emplace(path, k_patience_ms);
        } else {
            db_ = sqlite::Database::to_read(path, k_patience_ms);
        }
        const std::int64_t application = db_->number("PRAGMA application_id");
        if ((application == 0 || application == k_application_id) &&
            db_->number("PRAGMA user_version") < k_schema_version) {
            db_ = db_->in_memory();
        }
    }

    /// SQLite's WAL needs shared memory, which a network file system does not have
    /// (sqlite.org/wal.html).
    [[nodiscard]] std::string usable(const std::string& folder) {
        std::string path;
        try {
            if (use_ == JournalUse::as_it_is && !is_there(folder)) {
                return folder;
            }
            const StateFolder made =
                use_ == JournalUse::as_it_is ? StateFolder(folder) : StateFolder::make(folder);
            shared_ = made.is_shared();
            path = made.path();
        } catch (const Error& error) {
            throw JournalError(std::string("the state folder cannot be used: ") + error.what(),
                               "Choose another one with --state: your own, or one that a group "
                               "shares (chmod 2770).");
        }
        if (sqlite::is_on_network(path)) {
            throw JournalError("the state folder " + folder + " is on a network file system",
                               "The journal needs a local disk: choose one with --state.");
        }
        return path;
    }

    /// Another process may open the same new folder at this moment: what is there is looked at
    /// again once the write lock is ours.
    void prepare(const std::string& path) {
        db_->execute("PRAGMA foreign_keys = ON");
        db_->execute("PRAGMA cache_size = -512");  // KiB: a journal is read and written in order
        const std::int64_t application = db_->number("PRAGMA application_id");
        const std::int64_t version = db_->number("PRAGMA user_version");
        if (application == 0 && version == 0 && is_empty()) {
            // FULL: an acknowledged record survives a power loss; about 0.2 ms a commit.
            db_->execute("PRAGMA journal_mode = WAL");
            db_->execute("BEGIN IMMEDIATE");
            if (is_empty()) {
                db_->execute("PRAGMA application_id = " + std::to_string(k_application_id));
                db_->execute("PRAGMA user_version = " + std::to_string(k_schema_version));
                db_->execute(k_schema);
                db_->execute(k_answers_schema);
                db_->execute(k_heads_schema);
                db_->execute(k_seals_schema);
            }
            db_->execute("COMMIT");
        } else if (application == k_application_id && version >= k_oldest_version &&
                   version < k_schema_version) {
            db_->execute("BEGIN IMMEDIATE");
            const std::int64_t there = db_->number("PRAGMA user_version");  // somebody was faster?
            if (there == 2) {
                db_->execute(k_answers_schema);
            }
            if (there < 4) {
                db_->execute(k_heads_schema);
            }
            if (there < k_schema_version) {
                db_->execute(k_seals_schema);
                db_->execute("PRAGMA user_version = " + std::to_string(k_schema_version));
            }
            db_->execute("COMMIT");
        } else if (application != k_application_id) {
            throw JournalError(path + " is a database of another program",
                               "Choose another state folder with --state.");
        } else if (version != k_schema_version) {
            throw JournalError(path + " was written by another version of lockstep",
                               "Use that version, or choose another state folder with --state.");
        }
        db_->execute("PRAGMA synchronous = FULL");
    }

    /// The new end of the chain.
    std::string insert(const std::string& run,
                       const JournalRecord& record,
                       const std::string& previous) {
        const std::string payload = canonical(record.payload);
        std::string hash = next_link(previous, run, record, payload);
        sqlite::Statement insert(*db_, "INSERT INTO records VALUES (?,?,?,?,?,?,?,?)");
        insert.bind(run)
            .bind(record.seq)
            .bind(record.at)
            .bind(std::string(to_text(record.kind)))
            .bind(record.step)
            .bind(record.member)
            .bind(payload)
            .bind(hash);
        insert.step();
        return hash;
    }

    [[nodiscard]] bool is_empty() { return db_->number("SELECT count(*) FROM sqlite_master") == 0; }

    /// Read from the table each time: on a record that is not there nothing can be built.
    [[nodiscard]] std::string last_hash(const std::string& run, std::int64_t seq) {
        if (seq == 1) {
            return header_digest(find(run).value());
        }
        sqlite::Statement select(*db_, "SELECT hash FROM records WHERE run = ? AND seq = ?");
        select.bind(run).bind(seq - 1);
        if (!select.step()) {
            throw JournalError("the journal of run " + run + " lacks record " +
                               std::to_string(seq - 1));
        }
        return select.text(0);
    }

    static RunHeader header(sqlite::Statement& row) {
        RunHeader run;
        run.id = row.text(0);
        run.cluster = row.text(1);
        run.runbook = row.text(2);
        run.plan_hash = row.text(3);
        run.started_at = row.text(4);
        run.started_by = row.text(5);
        run.reason = row.text(6);
        run.engine_version = row.text(7);
        run.runbook_text = row.text(8);
        run.inventory_text = row.text(9);
        run.inputs = parse(row.text(10));
        run.given = parse(row.text(11)).get<std::map<std::string, std::string>>();
        run.plan = parse(row.text(12));
        return run;
    }

    JournalUse use_;
    bool shared_ = false;
    Sealing sealing_;
    std::map<std::string, std::string> ends_;  ///< of the runs that were created or read here
    std::optional<sqlite::Database> db_;
};

}  // namespace

std::unique_ptr<JournalStore> open_sqlite_journal(const std::string& folder, JournalUse use) {
    return std::make_unique<SqliteJournal>(folder, use);
}

}  // namespace lockstep
