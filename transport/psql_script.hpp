#pragma once

#include "transport/sql_client.hpp"

#include <chrono>
#include <string>
#include <string_view>

/// A statement through psql, as text: how to call it, what to write to its stdin and how to read
/// what it answers. Pure, so that a larger script can hold the same call.
namespace lockstep {

/// The shell command that starts psql for a script on stdin: no argument of it depends on the
/// statement but the database. It works with psql 9.6 and later.
[[nodiscard]] std::string psql_command(const PsqlSettings& settings, std::string_view database);

/// A database as psql's --dbname, which takes a conninfo where there is a `=` in it.
[[nodiscard]] std::string psql_database(std::string_view database);

/// What to do about the reason why psql could not log in; empty: none that is known.
[[nodiscard]] std::string psql_hint(std::string_view said);

/// How a session begins, or the read-only transaction of the statement, which leaves nothing in a
/// session that a pooler lends to others: the timeout, and where names are looked up. Statements
/// with `;` between them. Throws Error for a schema that cannot be one.
[[nodiscard]] std::string session_begin(const SqlStatement& statement,
                                        std::chrono::milliseconds timeout);

/// What psql reads: the settings, the statement in a read-only transaction where it is one, and the
/// marks around the answer. `mark` separates the fields of the answer: a word that cannot be in it
/// (random_hex()). `timeout` becomes the server's statement_timeout. Throws Error for a NUL byte
/// and for a text that is not exactly one whole statement, or that has backslash commands of psql.
[[nodiscard]] std::string psql_stdin(const SqlStatement& statement,
                                     std::chrono::milliseconds timeout,
                                     std::string_view mark);

/// The statement_timeout for a statement that is awaited for `remaining`: a little less, so that
/// the server gives up first and says so, and at least 100 ms, because 0 would mean none.
[[nodiscard]] std::chrono::milliseconds server_timeout(std::chrono::milliseconds remaining);

/// What psql wrote.
struct PsqlOutput {
    std::string_view out;
    std::string_view err;
    int exit_status = 0;
};

/// Reads the answer. Throws SqlError when the server said no, TransportError connect when it could
/// not be asked, lost when the answer is not whole. Rows without a column are not seen.
[[nodiscard]] SqlResult parse_psql_output(const PsqlOutput& output, std::string_view mark);

/// `text` as a literal of SQL for any value of standard_conforming_strings. Throws Error for NUL.
[[nodiscard]] std::string sql_literal(std::string_view text);

/// The text without what follows its one statement: a semicolon, blanks, comments. Throws Error
/// when there are more statements, an open quote or comment, or a backslash outside of quotes.
[[nodiscard]] std::string single_statement(std::string_view text);

}  // namespace lockstep
