#include "base/sqlite.hpp"

#include <sqlite3.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

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

/// A file of a folder that people share is for them, too. What is somebody else's cannot be
/// changed, and need not be: whoever made it did this.
void share_with_group(int fd, const std::string& folder) {
    struct stat about {};

    if (::stat(folder.c_str(), &about) == 0 && (about.st_mode & S_IWGRP) != 0) {
        (void)!::fchown(fd, static_cast<uid_t>(-1), about.st_gid);
        (void)::fchmod(fd, 0660);
    }
}

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

void make_folder(const std::string& folder) {
    std::error_code error;
    const bool is_new = std::filesystem::create_directories(folder, error);

    struct stat about {};

    if (!error && ::stat(folder.c_str(), &about) != 0) {
        error = std::error_code(errno, std::generic_category());
    }
    if (error) {
        throw SqliteError("cannot make the folder " + folder + ": " + error.message());
    }
    if (!is_new && (about.st_mode & S_IWOTH) != 0) {
        throw SqliteError("everybody may write to the folder " + folder);
    }
    if (is_new || (about.st_mode & S_IWGRP) == 0) {
        ::chmod(folder.c_str(), 0700);
    }
}

void Database::Close::operator()(sqlite3* db) const {
    sqlite3_close(db);
}

Database::Database(const std::string& path, int patience_ms) {
    if (path != ":memory:") {
        // Created by us first, so that it is never readable by others, not even for a moment.
        const int fd = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0) {
            throw SqliteError("cannot open " + path + ": " +
                              std::generic_category().message(errno));
        }
        share_with_group(fd, std::filesystem::path(path).parent_path());
        ::close(fd);
    }
    sqlite3* db = nullptr;
    const int code =
        sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    db_.reset(db);
    if (code != SQLITE_OK) {
        throw SqliteError("cannot open " + path + ": " + sqlite3_errmsg(db));
    }
    sqlite3_busy_timeout(db, patience_ms);
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
