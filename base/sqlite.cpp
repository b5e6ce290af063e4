#include "base/sqlite.hpp"

#include "base/state_folder.hpp"

#include <sqlite3.h>

#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

namespace lockstep::sqlite {

namespace {

/// Magic numbers of statfs(2).
constexpr std::array<unsigned long, 7> k_network_file_systems{
    0x6969UL,      // NFS
    0xff534d42UL,  // CIFS
    0xfe534d42UL,  // SMB2
    0x517bUL,      // SMB
    0x65735546UL,  // FUSE: sshfs and its like
    0x47504653UL,  // GPFS
    0x0bd00bd0UL,  // Lustre
};

void check(sqlite3* db, int code) {
    if (code != SQLITE_OK) {
        throw SqliteError(sqlite3_errmsg(db));
    }
}

}  // namespace

bool is_on_network(const std::string& folder) {
    struct statfs about {};

    if (::statfs(folder.c_str(), &about) != 0) {
        throw SqliteError("cannot look at " + folder + ": " +
                          std::generic_category().message(errno));
    }
    return std::ranges::find(k_network_file_systems, static_cast<unsigned long>(about.f_type)) !=
           k_network_file_systems.end();
}

void Database::Close::operator()(sqlite3* db) const {
    sqlite3_close(db);
}

namespace {

/// The file, and what SQLite keeps beside it. Nothing of it is read or written before this is
/// through.
std::string prepared(const std::string& path, bool to_write = true) {
    const std::filesystem::path file(path);
    try {
        const StateFolder folder(file.has_parent_path() ? file.parent_path().string() : ".");
        const std::string name = file.filename().string();
        for (const char* end : {"-wal", "-shm", "-journal"}) {
            folder.refuse_unfit(name + end);
        }
        if (to_write) {
            folder.make_file(name);
        } else {
            folder.refuse_unfit(name);
        }
        return folder.path() + "/" + name;
    } catch (const Error& error) {
        throw SqliteError(error.what(), error.hint());
    }
}

/// Whether the file that SQLite has open is still the one of that name, and the only one.
bool is_still_there(sqlite3* db, const std::string& path) {
    struct stat about {};

    int moved = 1;
    return sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
           moved == 0 && ::lstat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode) &&
           about.st_nlink == 1;
}

}  // namespace

/// By the real path: with SQLITE_OPEN_NOFOLLOW no folder on the way may be a symlink, either.
Database::Database(const std::string& path, int patience_ms) {
    const bool in_memory = path == ":memory:";
    const std::string real = in_memory ? path : prepared(path);
    sqlite3* db = nullptr;
    const int code = sqlite3_open_v2(
        real.c_str(),
        &db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (in_memory ? 0 : SQLITE_OPEN_NOFOLLOW),
        nullptr);
    db_.reset(db);
    if (code != SQLITE_OK) {
        throw SqliteError("cannot open " + path + ": " + sqlite3_errmsg(db));
    }
    if (!in_memory && !is_still_there(db, real)) {
        throw SqliteError(path + " was replaced while it was opened", "Find out by whom.");
    }
    sqlite3_busy_timeout(db, patience_ms);
}

namespace {

/// SQLite's name for a file of which it may believe that nobody writes to it (sqlite.org/uri.html).
std::string immutable(const std::string& path) {
    std::string uri = "file:";
    for (const char c : path) {
        uri += c == '?' ? "%3f" : c == '#' ? "%23" : c == '%' ? "%25" : std::string(1, c);
    }
    return uri + "?immutable=1";
}

}  // namespace

/// A database with a write-ahead log is read together with it, for which SQLite needs the file of
/// its index; where both are gone the last who wrote has put all into the database itself.
Database Database::to_read(const std::string& path, int patience_ms) {
    const std::string real = prepared(path, false);
    std::error_code error;
    const auto log_size = std::filesystem::file_size(real + "-wal", error);
    const bool has_log = error ? error != std::errc::no_such_file_or_directory : log_size > 0;
    if (has_log && !std::filesystem::exists(real + "-shm", error)) {
        throw SqliteError("cannot read " + path + ": it has a write-ahead log without its index",
                          "Copy it and its -wal to a folder that you may write to.");
    }
    const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    Database database;
    sqlite3* db = nullptr;
    const int code = sqlite3_open_v2((has_log ? real : immutable(real)).c_str(),
                                     &db,
                                     has_log ? flags : flags | SQLITE_OPEN_URI,
                                     nullptr);
    database.db_.reset(db);
    if (code != SQLITE_OK) {
        throw SqliteError("cannot open " + path + ": " + sqlite3_errmsg(db));
    }
    if (!is_still_there(db, real)) {
        throw SqliteError(path + " was replaced while it was opened", "Find out by whom.");
    }
    sqlite3_busy_timeout(db, patience_ms);
    return database;
}

Database Database::in_memory() {
    Database copy(":memory:", 0);
    sqlite3_backup* backup = sqlite3_backup_init(copy.get(), "main", get(), "main");
    if (backup == nullptr) {
        throw SqliteError(sqlite3_errmsg(copy.get()));
    }
    sqlite3_backup_step(backup, -1);
    check(copy.get(), sqlite3_backup_finish(backup));
    return copy;
}

void Database::execute(const std::string& sql) {
    check(db_.get(), sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr));
}

std::int64_t Database::number(const std::string& query) {
    Statement select(*this, query);
    select.step();
    return select.integer(0);
}

Transaction::~Transaction() {
    if (open_) {  // also after a COMMIT that failed: SQLite may have rolled back by itself
        sqlite3_exec(db_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
    }
}

void Transaction::commit() {
    db_.execute("COMMIT");
    open_ = false;
}

Statement::Statement(Database& db, const std::string& sql) : db_(db.get()) {
    check(db_, sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement_, nullptr));
}

Statement::~Statement() {
    sqlite3_finalize(statement_);
}

Statement& Statement::bind(const std::string& text) {
    const auto size = static_cast<int>(text.size());
    check(db_, sqlite3_bind_text(statement_, ++bound_, text.c_str(), size, SQLITE_TRANSIENT));
    return *this;
}

Statement& Statement::bind(std::int64_t number) {
    check(db_, sqlite3_bind_int64(statement_, ++bound_, number));
    return *this;
}

bool Statement::step() {
    const int code = sqlite3_step(statement_);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        throw SqliteError(sqlite3_errmsg(db_));
    }
    return code == SQLITE_ROW;
}

std::string Statement::text(int column) {
    const auto* bytes = sqlite3_column_text(statement_, column);
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
    return bytes == nullptr ? "" : std::string(bytes, bytes + size);
}

std::int64_t Statement::integer(int column) {
    return sqlite3_column_int64(statement_, column);
}

}  // namespace lockstep::sqlite
