#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <memory>
#include <string>

struct sqlite3;
struct sqlite3_stmt;

/// The little of SQLite that is needed.
namespace lockstep::sqlite {

/// What SQLite says, or the system of the file. Everything here throws it.
class SqliteError : public Error {
  public:
    using Error::Error;
};

/// Whether `folder` is on a file system of another machine, where locks and shared memory cannot be
/// relied on. Throws when it cannot be looked at.
[[nodiscard]] bool is_on_network(const std::string& folder);

/// One connection; used by one thread at a time.
class Database {
  public:
    /// The file is made when it is not there, as StateFolder makes one, and SQLite's own files
    /// beside it follow its mode (findCreateFileMode() of os_unix.c); what is there and unfit is
    /// refused before anything of it is read. `:memory:` is one that nobody else sees. Waits up to
    /// `patience_ms` for another process that writes.
    explicit Database(const std::string& path, int patience_ms);

    /// One that is there and cannot be written, by us or where it is: nothing is made or changed.
    /// Refused where its write-ahead log cannot be read without that.
    [[nodiscard]] static Database to_read(const std::string& path, int patience_ms);

    /// A copy that nobody else sees.
    [[nodiscard]] Database in_memory();

    void execute(const std::string& sql);
    /// The one number that a query gives.
    [[nodiscard]] std::int64_t number(const std::string& query);

    [[nodiscard]] sqlite3* get() const { return db_.get(); }

  private:
    struct Close {
        void operator()(sqlite3* db) const;
    };

    Database() = default;

    std::unique_ptr<sqlite3, Close> db_;
};

/// All that is written between its construction and commit() is kept together, or nothing of it:
/// without a commit nothing is kept. Others cannot write meanwhile.
class Transaction {
  public:
    explicit Transaction(Database& db) : db_(db) { db_.execute("BEGIN IMMEDIATE"); }

    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    ~Transaction();

    void commit();

  private:
    Database& db_;
    bool open_ = true;
};

/// One prepared statement.
class Statement {
  public:
    Statement(Database& db, const std::string& sql);
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;
    ~Statement();

    Statement& bind(const std::string& text);
    Statement& bind(std::int64_t number);
    /// True while there is a row.
    bool step();
    [[nodiscard]] std::string text(int column);
    [[nodiscard]] std::int64_t integer(int column);

  private:
    sqlite3* db_;
    sqlite3_stmt* statement_ = nullptr;
    int bound_ = 0;
};

}  // namespace lockstep::sqlite
