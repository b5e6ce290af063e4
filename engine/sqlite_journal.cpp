#include "base/error.hpp"
#include "engine/journal.hpp"
#include "engine/plan.hpp"

#include <sqlite3.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <filesystem>

namespace lockstep {

namespace {

// "lkst": tells our database from any other SQLite file (pragma application_id).
constexpr int k_application_id = 0x6c6b7374;
constexpr int k_schema_version = 2;

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

/// Magic numbers of statfs(2) where fcntl locks or shared memory cannot be relied on.
constexpr std::array<unsigned long, 7> k_network_file_systems{
    0x6969UL,      // NFS
    0xff534d42UL,  // CIFS
    0xfe534d42UL,  // SMB2
    0x517bUL,      // SMB
    0x65735546UL,  // FUSE: sshfs and its like
    0x47504653UL,  // GPFS
    0x0bd00bd0UL,  // Lustre
};

class Statement {
  public:
    Statement(sqlite3* db, const std::string& sql) : db_(db) {
        if (sqlite3_prepare_v2(db, sql.c_str(), -1, &statement_, nullptr) != SQLITE_OK) {
            throw JournalError(std::string("the journal cannot be used: ") + sqlite3_errmsg(db));
        }
    }

    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    ~Statement() { sqlite3_finalize(statement_); }

    Statement& bind(const std::string& text) {
        check(sqlite3_bind_text(
            statement_, ++bound_, text.c_str(), static_cast<int>(text.size()), SQLITE_TRANSIENT));
        return *this;
    }

    Statement& bind(std::int64_t number) {
        check(sqlite3_bind_int64(statement_, ++bound_, number));
        return *this;
    }

    /// True while there is a row.
    bool step() {
        const int code = sqlite3_step(statement_);
        if (code != SQLITE_ROW && code != SQLITE_DONE) {
            throw JournalError(
                std::string("the journal cannot be read or written: ") + sqlite3_errmsg(db_),
                "Check the free space and the permissions of the state folder. Nothing is done "
                "that is not on record.");
        }
        return code == SQLITE_ROW;
    }

    [[nodiscard]] std::string text(int column) {
        const auto* bytes = sqlite3_column_text(statement_, column);
        const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
        return bytes == nullptr ? "" : std::string(bytes, bytes + size);
    }

    [[nodiscard]] std::int64_t integer(int column) {
        return sqlite3_column_int64(statement_, column);
    }

  private:
    void check(int code) {
        if (code != SQLITE_OK) {
            throw JournalError(std::string("the journal cannot be used: ") + sqlite3_errmsg(db_));
        }
    }

    sqlite3* db_;
    sqlite3_stmt* statement_ = nullptr;
    int bound_ = 0;
};

std::string dump(const nlohmann::json& json) {
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

nlohmann::json parse(const std::string& text) {
    nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    if (json.is_discarded()) {
        throw JournalError("the journal holds a record that is not JSON", "It is damaged.");
    }
    return json;
}

/// Each record's hash covers the one before it: a changed or missing record shows.
std::string chain(const std::string& previous,
                  const std::string& run,
                  const JournalRecord& record,
                  const std::string& payload) {
    const nlohmann::json link = {previous,
                                 run,
                                 record.seq,
                                 record.at,
                                 to_text(record.kind),
                                 record.step,
                                 record.member,
                                 payload};
    return sha256_hex(dump(link));
}

/// The first link of a run's chain: what it is about.
std::string chain_root(const RunHeader& run) {
    return sha256_hex(dump({run.id,
                            run.cluster,
                            run.runbook,
                            run.plan_hash,
                            run.started_at,
                            run.started_by,
                            run.reason,
                            run.engine_version,
                            sha256_hex(run.runbook_text),
                            sha256_hex(run.inventory_text),
                            dump(run.inputs),
                            dump(run.given),
                            dump(run.plan)}));
}

class SqliteJournal final : public JournalStore {
  public:
    explicit SqliteJournal(const std::string& folder) {
        make_folder(folder);
        const std::string path = folder + "/journal.db";
        // Created by us first, so that it is never readable by others, not even for a moment.
        const int fd = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0) {
            throw JournalError(
                "cannot open " + path + ": " + std::generic_category().message(errno),
                "Choose another state folder with --state.");
        }
        ::close(fd);
        if (sqlite3_open_v2(
                path.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr) !=
            SQLITE_OK) {
            const std::string why = sqlite3_errmsg(db_);
            sqlite3_close(db_);
            throw JournalError("cannot open " + path + ": " + why);
        }
        try {
            prepare(path);
        } catch (...) {
            sqlite3_close(db_);
            throw;
        }
    }

    SqliteJournal(const SqliteJournal&) = delete;
    SqliteJournal& operator=(const SqliteJournal&) = delete;

    ~SqliteJournal() override { sqlite3_close(db_); }

    void create(const RunHeader& run) override {
        Statement insert(db_, "INSERT INTO runs VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)");
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
            .bind(dump(run.inputs))
            .bind(dump(run.given))
            .bind(dump(run.plan));
        insert.step();
    }

    void append(const std::string& run, const JournalRecord& record) override {
        const std::string payload = dump(record.payload);
        const std::string hash = chain(last_hash(run, record.seq), run, record, payload);
        Statement insert(db_, "INSERT INTO records VALUES (?,?,?,?,?,?,?,?)");
        insert.bind(run)
            .bind(record.seq)
            .bind(record.at)
            .bind(std::string(to_text(record.kind)))
            .bind(record.step)
            .bind(record.member)
            .bind(payload)
            .bind(hash);
        insert.step();
    }

    std::vector<RunHeader> runs() override {
        std::vector<RunHeader> found;
        Statement select(db_, "SELECT * FROM runs ORDER BY started_at DESC, id DESC");
        while (select.step()) {
            found.push_back(header(select));
        }
        return found;
    }

    std::optional<RunHeader> find(const std::string& run) override {
        Statement select(db_, "SELECT * FROM runs WHERE substr(id, 1, length(?1)) = ?1 LIMIT 2");
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
    }

    std::vector<JournalRecord> records(const std::string& run) override {
        const std::optional<RunHeader> about = find(run);
        std::vector<JournalRecord> found;
        if (!about) {
            return found;
        }
        std::string previous = chain_root(*about);
        Statement select(db_,
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
            const std::string hash = chain(previous, about->id, record, select.text(5));
            const auto expected_seq = static_cast<std::int64_t>(found.size()) + 1;
            if (hash != select.text(6) || record.seq != expected_seq) {
                throw JournalError(
                    "the journal of run " + about->id + " is damaged at record " +
                        std::to_string(record.seq),
                    "Somebody or something changed it after it was written. Look at the cluster "
                    "with `lockstep check` before anything else.");
            }
            previous = hash;
            found.push_back(std::move(record));
        }
        return found;
    }

  private:
    static void make_folder(const std::string& folder) {
        std::error_code error;
        std::filesystem::create_directories(folder, error);
        if (error) {
            throw JournalError("cannot make the state folder " + folder + ": " + error.message(),
                               "Choose another one with --state.");
        }
        ::chmod(folder.c_str(), 0700);

        struct statfs about {};

        if (::statfs(folder.c_str(), &about) != 0) {
            throw JournalError("cannot look at the state folder " + folder);
        }
        for (const unsigned long magic : k_network_file_systems) {
            if (static_cast<unsigned long>(about.f_type) == magic) {
                throw JournalError("the state folder " + folder + " is on a network file system",
                                   "The journal needs a local disk: choose one with --state.");
            }
        }
    }

    void prepare(const std::string& path) {
        sqlite3_busy_timeout(db_, 5000);
        execute("PRAGMA foreign_keys = ON");
        const std::int64_t application = number("PRAGMA application_id");
        const std::int64_t version = number("PRAGMA user_version");
        if (application == 0 && version == 0 && is_empty()) {
            // FULL: an acknowledged record survives a power loss; about 0.2 ms a commit.
            execute("PRAGMA journal_mode = WAL");
            execute("BEGIN IMMEDIATE");
            if (is_empty()) {
                execute("PRAGMA application_id = " + std::to_string(k_application_id));
                execute("PRAGMA user_version = " + std::to_string(k_schema_version));
                execute(k_schema);
            }
            execute("COMMIT");
        } else if (application != k_application_id) {
            throw JournalError(path + " is a database of another program",
                               "Choose another state folder with --state.");
        } else if (version != k_schema_version) {
            throw JournalError(path + " was written by another version of lockstep",
                               "Use that version, or choose another state folder with --state.");
        }
        execute("PRAGMA synchronous = FULL");
    }

    [[nodiscard]] std::int64_t number(const char* query) {
        Statement select(db_, query);
        select.step();
        return select.integer(0);
    }

    [[nodiscard]] bool is_empty() { return number("SELECT count(*) FROM sqlite_master") == 0; }

    void execute(const std::string& sql) {
        char* message = nullptr;
        if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, &message) != SQLITE_OK) {
            const std::string why = message == nullptr ? "unknown error" : message;
            sqlite3_free(message);
            throw JournalError("the journal cannot be used: " + why,
                               "Check the state folder: its disk, its permissions, and whether "
                               "journal.db is what lockstep wrote.");
        }
    }

    [[nodiscard]] std::string last_hash(const std::string& run, std::int64_t seq) {
        if (seq == 1) {
            return chain_root(find(run).value());
        }
        Statement select(db_, "SELECT hash FROM records WHERE run = ? AND seq = ?");
        select.bind(run).bind(seq - 1);
        if (!select.step()) {
            throw JournalError("the journal of run " + run + " lacks record " +
                               std::to_string(seq - 1));
        }
        return select.text(0);
    }

    static RunHeader header(Statement& row) {
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

    sqlite3* db_ = nullptr;
};

}  // namespace

std::unique_ptr<JournalStore> open_sqlite_journal(const std::string& folder) {
    return std::make_unique<SqliteJournal>(folder);
}

}  // namespace lockstep
