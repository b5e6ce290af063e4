#pragma once

#include "base/deadline.hpp"
#include "transport/ssh_session.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

/// Names without a schema are looked up in pg_catalog, then in `search_path`, last among temporary
/// ones: whoever may create something in `public` decides nothing about what we call. A function
/// there that fits the arguments better would still win where `search_path` has it, so what is ours
/// names the schema, and the types of its parameters (`$1::pg_catalog.name`), all the same.
struct SqlStatement {
    std::string text;                        ///< one statement; parameters are $1, $2, …
    std::vector<std::string> params;         ///< sent as text, types inferred by the server
    std::string database{};                  ///< empty: the client's own
    bool read_only = true;                   ///< enforced by the transaction, not by trust
    std::vector<std::string> search_path{};  ///< schemas, of a statement that a person wrote
};

struct SqlResult {
    std::vector<std::string> columns;
    std::vector<std::vector<std::optional<std::string>>> rows;  ///< nullopt is NULL
};

/// The server refused a statement. what() is its message; the outcome is known: nothing happened.
class SqlError : public std::runtime_error {
  public:
    SqlError(const std::string& message, std::string sqlstate)
        : std::runtime_error(message), sqlstate_(std::move(sqlstate)) {}

    /// Five characters, empty where it could not be told.
    [[nodiscard]] const std::string& sqlstate() const noexcept { return sqlstate_; }

  private:
    std::string sqlstate_;
};

/// Statements on one member's PostgreSQL. Used by one thread at a time.
class SqlClient {
  public:
    virtual ~SqlClient() = default;

    /// Throws SqlError when the server says no, TransportError when it could not be asked (connect)
    /// or did not answer (lost, timeout, cancelled).
    virtual SqlResult query(const SqlStatement& statement,
                            Deadline deadline,
                            std::stop_token stop) = 0;
};

/// How `psql` is started on the member, for a connection through its unix socket.
struct PsqlSettings {
    std::string become = "runuser -u postgres --";  ///< shell words in front of psql; may be empty
    std::string psql = "psql";     ///< the program; a path where it is not in the user's PATH
    std::string socket_directory;  ///< empty: the one psql was built for
    std::uint16_t port = 5432;
    std::string user;  ///< empty: the role named as who runs psql
    std::string database = "postgres";
};

/// psql over an SSH session, which must outlive the client.
[[nodiscard]] std::unique_ptr<SqlClient> make_psql_client(SshSession& session,
                                                          PsqlSettings settings);

/// libpq from here. `conninfo` is libpq's; host and port override what it says. The password, where
/// the conninfo has none, is libpq's business (PGPASSFILE, service file). It goes to nobody whose
/// certificate is not that host's (sslmode=verify-full), and to nobody who asks for the text of it
/// or for its MD5 (require_auth=scram-sha-256 of libpq 16, channel_binding=require before), unless
/// the conninfo names another sslmode, require_auth or channel_binding. A statement that changes
/// something is not sent through a pooler, where nobody can say in which session it would run.
struct PqEndpoint {
    std::string conninfo;
    std::string host;
    std::uint16_t port = 5432;
    std::string database = "postgres";  ///< where a statement names none
};

[[nodiscard]] std::unique_ptr<SqlClient> make_pq_client(PqEndpoint endpoint);

}  // namespace lockstep
