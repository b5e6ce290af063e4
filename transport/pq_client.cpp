#include "base/error.hpp"
#include "transport/bounded_call.hpp"
#include "transport/pq_hint.hpp"
#include "transport/psql_script.hpp"
#include "transport/sql_client.hpp"
#include "transport/tcp_connect.hpp"
#include "transport/wait_fd.hpp"

#include <libpq-fe.h>

#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <vector>

namespace lockstep {

namespace {

using Kind = TransportError::Kind;
using std::chrono::milliseconds;

constexpr milliseconds k_connect_timeout{10'000};
constexpr milliseconds k_cancel_timeout{1'000};

struct Finish {
    void operator()(PGconn* connection) const noexcept { ::PQfinish(connection); }

    void operator()(PGresult* result) const noexcept { ::PQclear(result); }

    void operator()(PGcancel* cancel) const noexcept { ::PQfreeCancel(cancel); }

    void operator()(PQconninfoOption* options) const noexcept { ::PQconninfoFree(options); }
};

using Connection = std::unique_ptr<PGconn, Finish>;
using Result = std::unique_ptr<PGresult, Finish>;

void ignore_notice(void* /*arg*/, const PGresult* /*result*/) noexcept {}

/// libpq's messages end with a line end, and may have several lines.
std::string one_line(const char* text) {
    std::string line(text == nullptr ? "" : text);
    line.erase(line.find_last_not_of(" \n") + 1);
    std::replace(line.begin(), line.end(), '\n', ' ');
    return line;
}

std::map<std::string, std::string> parse_conninfo(const std::string& conninfo) {
    char* message = nullptr;
    const std::unique_ptr<PQconninfoOption, Finish> options(
        ::PQconninfoParse(conninfo.c_str(), &message));
    ::PQfreemem(message);
    if (options == nullptr) {
        // Without libpq's message: it quotes the text, which may hold a password.
        throw TransportError(
            Kind::connect,
            "the conninfo is not valid",
            "It is a list of key=value or a postgresql:// URI (libpq, \"Connection "
            "Strings\").");
    }
    std::map<std::string, std::string> values;
    for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
        if (option->val != nullptr) {
            values[option->keyword] = option->val;
        }
    }
    return values;
}

class PqClient final : public SqlClient {
  public:
    explicit PqClient(PqEndpoint endpoint) : endpoint_(std::move(endpoint)) {}

    SqlResult query(const SqlStatement& statement,
                    Deadline deadline,
                    std::stop_token stop) override;

  private:
    using Terms = std::pair<Deadline, std::stop_token>;

    Connection connect(const std::string& database, const Terms& terms) const;
    Connection start(const std::string& database, const Terms& terms) const;
    static Connection start(const std::map<std::string, std::string>& values);
    void prepare(PGconn* connection, const SqlStatement& statement, const Terms& terms) const;
    Result command(PGconn* connection, const std::string& text, const Terms& terms) const;
    Result execute(PGconn* connection, const SqlStatement& statement, const Terms& terms) const;
    Result collect(PGconn* connection, const Terms& terms) const;
    void flush(PGconn* connection, const Terms& terms) const;
    void await(PGconn* connection, short events, const Terms& terms) const;
    void cancel(PGconn* connection) const;
    [[noreturn]] void throw_lost(PGconn* connection) const;

    [[nodiscard]] std::string peer() const {
        return endpoint_.host + ":" + std::to_string(endpoint_.port);
    }

    PqEndpoint endpoint_;
    Connection connection_;
    std::string database_;
};

[[noreturn]] void throw_refused(const PGresult* result) {
    const char* state = ::PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char* message = ::PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    throw SqlError(one_line(message == nullptr ? ::PQresultErrorMessage(result) : message),
                   state == nullptr ? "" : state);
}

bool succeeded(const PGresult* result) {
    const ExecStatusType status = ::PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

SqlResult to_result(const PGresult* from) {
    SqlResult result;
    const int columns = ::PQnfields(from);
    for (int column = 0; column < columns; ++column) {
        result.columns.emplace_back(::PQfname(from, column));
    }
    for (int index = 0; index < ::PQntuples(from); ++index) {
        std::vector<std::optional<std::string>>& row = result.rows.emplace_back();
        for (int column = 0; column < columns; ++column) {
            if (::PQgetisnull(from, index, column) != 0) {
                row.emplace_back(std::nullopt);
            } else {
                row.emplace_back(
                    std::string(::PQgetvalue(from, index, column),
                                static_cast<std::size_t>(::PQgetlength(from, index, column))));
            }
        }
    }
    return result;
}

SqlResult PqClient::query(const SqlStatement& statement, Deadline deadline, std::stop_token stop) {
    const Terms terms{deadline, std::move(stop)};
    // The read-only transaction is worth nothing to a text that ends it.
    const SqlStatement checked{single_statement(statement.text),
                               statement.params,
                               statement.database.empty() ? endpoint_.database : statement.database,
                               statement.read_only,
                               statement.search_path};
    // Out of the member while in use: a connection that something threw on is dropped.
    Connection connection = std::move(connection_);
    if (connection == nullptr || database_ != checked.database ||
        ::PQstatus(connection.get()) != CONNECTION_OK) {
        connection = connect(checked.database, terms);
        database_ = checked.database;
    }
    prepare(connection.get(), checked, terms);
    const Result result = execute(connection.get(), checked, terms);
    const bool good = succeeded(result.get());
    if (checked.read_only) {
        const Result ended = command(connection.get(), good ? "COMMIT" : "ROLLBACK", terms);
        if (!succeeded(ended.get())) {
            throw_refused(ended.get());
        }
    }
    if (::PQtransactionStatus(connection.get()) == PQTRANS_IDLE) {
        connection_ = std::move(connection);
    }
    if (!good) {
        throw_refused(result.get());
    }
    return to_result(result.get());
}

/// Outside of a transaction a pooler may give each message to another session, and what was set to
/// somebody else's. PostgreSQL tells its process when it greets; a pooler (PgBouncer 1.8 to 1.24,
/// Odyssey, pgcat) makes up a number of its own. Where they differ an error takes back what was
/// set, because the message is one transaction.
void PqClient::prepare(PGconn* connection,
                       const SqlStatement& statement,
                       const Terms& terms) const {
    std::string text = session_begin(statement, server_timeout(terms.first.remaining()));
    if (!statement.read_only) {
        text += "; SELECT 1 / (pg_catalog.pg_backend_pid() = (" +
                std::to_string(::PQbackendPID(connection)) + "))::pg_catalog.int4";
    }
    const Result prepared = command(connection, text, terms);
    if (succeeded(prepared.get())) {
        return;
    }
    const char* state = ::PQresultErrorField(prepared.get(), PG_DIAG_SQLSTATE);
    constexpr std::string_view k_division_by_zero = "22012";
    if (state != nullptr && state == k_division_by_zero) {
        throw TransportError(Kind::connect,
                             peer() + ": a connection pooler answers for PostgreSQL there",
                             "What changes something needs a session of its own: have Patroni "
                             "publish PostgreSQL's own port (postgresql.connect_address), or leave "
                             "out postgres.via: direct in the inventory.");
    }
    throw_refused(prepared.get());
}

/// A connection that has begun to connect.
Connection PqClient::start(const std::string& database, const Terms& terms) const {
    std::map<std::string, std::string> values = parse_conninfo(endpoint_.conninfo);
    values["host"] = endpoint_.host;
    values["port"] = std::to_string(endpoint_.port);
    values["dbname"] = database;
    values["application_name"] = "lockstep";
    values["client_encoding"] = "UTF8";
    // A silent host is dead within a minute, as for SSH; unless the conninfo knows better.
    values.emplace("keepalives_idle", "15");
    values.emplace("keepalives_interval", "10");
    values.emplace("keepalives_count", "4");
    values.emplace("tcp_user_timeout", "55000");
    const bool over_network = !endpoint_.host.starts_with('/');
    if (!over_network) {
        return start(values);
    }
    // By ourselves, because the lookup of libpq blocks without a limit. The name stays for TLS.
    values["hostaddr"] = resolve_host(endpoint_.host, terms.first, terms.second).front();
    values.emplace("sslmode", "verify-full");
    // Only SCRAM proves that the server knows the password, and shows it nothing. libpq 16 can be
    // told to take no other request; an older one to want the binding to the TLS channel that SCRAM
    // alone has (libpq 15, check_expected_areq).
    const char* const strict = ::PQlibVersion() >= 160'000 ? "require_auth" : "channel_binding";
    const bool ours =
        values.emplace(strict, ::PQlibVersion() >= 160'000 ? "scram-sha-256" : "require").second;
    Connection connection = start(values);
    const char* const password = ::PQpass(connection.get());
    if (ours && (password == nullptr || *password == '\0')) {
        // Nothing is there to be given away: a certificate, or trust, is no SCRAM.
        values.erase(strict);
        connection = start(values);
    }
    return connection;
}

Connection PqClient::start(const std::map<std::string, std::string>& values) {
    std::vector<const char*> keywords;
    std::vector<const char*> texts;
    for (const auto& [keyword, text] : values) {
        keywords.push_back(keyword.c_str());
        texts.push_back(text.c_str());
    }
    keywords.push_back(nullptr);
    texts.push_back(nullptr);
    Connection connection(::PQconnectStartParams(keywords.data(), texts.data(), 0));
    if (connection == nullptr) {
        throw Error("libpq has no memory for a connection");
    }
    ::PQsetNoticeReceiver(connection.get(), ignore_notice, nullptr);
    return connection;
}

Connection PqClient::connect(const std::string& database, const Terms& terms) const {
    const Deadline deadline = terms.first.within(k_connect_timeout);
    Connection connection = start(database, terms);
    // PQconnectPoll() ignores connect_timeout, and the socket may be another one after each call
    // (PostgreSQL 15, libpq, "PQconnectStartParams"). The first wait is for writing.
    PostgresPollingStatusType status = ::PQstatus(connection.get()) == CONNECTION_BAD
                                           ? PGRES_POLLING_FAILED
                                           : PGRES_POLLING_WRITING;
    while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING) {
        const int events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        switch (wait_fd(
            ::PQsocket(connection.get()), static_cast<short>(events), deadline, terms.second)) {
            case WaitResult::ready:
                break;
            case WaitResult::cancelled:
                throw TransportError(Kind::cancelled, peer() + ": cancelled while connecting");
            case WaitResult::deadline:
                throw TransportError(Kind::connect,
                                     peer() + ": PostgreSQL does not answer in time",
                                     "Check that it runs there and that no firewall is between.");
        }
        status = ::PQconnectPoll(connection.get());
    }
    if (status != PGRES_POLLING_OK) {
        throw TransportError(Kind::connect,
                             peer() + ": cannot connect to PostgreSQL: " +
                                 one_line(::PQerrorMessage(connection.get())),
                             pq_connect_hint(::PQerrorMessage(connection.get())));
    }
    if (::PQsetnonblocking(connection.get(), 1) != 0) {
        throw Error("libpq cannot make a connection non-blocking");
    }
    return connection;
}

/// Text of ours, which may hold several statements.
Result PqClient::command(PGconn* connection, const std::string& text, const Terms& terms) const {
    if (::PQsendQuery(connection, text.c_str()) == 0) {
        throw_lost(connection);
    }
    return collect(connection, terms);
}

Result PqClient::execute(PGconn* connection,
                         const SqlStatement& statement,
                         const Terms& terms) const {
    std::vector<const char*> params;
    for (const std::string& param : statement.params) {
        if (param.find('\0') != std::string::npos) {
            throw Error("a parameter with a NUL byte cannot be sent to PostgreSQL");
        }
        params.push_back(param.c_str());
    }
    if (::PQsendQueryParams(connection,
                            statement.text.c_str(),
                            static_cast<int>(params.size()),
                            nullptr,
                            params.data(),
                            nullptr,
                            nullptr,
                            0) == 0) {
        throw_lost(connection);
    }
    return collect(connection, terms);
}

/// Reads results until there are no more. Gives the first that failed, or else the last.
Result PqClient::collect(PGconn* connection, const Terms& terms) const {
    flush(connection, terms);
    Result kept;
    while (true) {
        while (::PQisBusy(connection) != 0) {
            await(connection, POLLIN, terms);
            if (::PQconsumeInput(connection) == 0) {
                throw_lost(connection);
            }
        }
        Result result(::PQgetResult(connection));
        if (result == nullptr) {
            break;
        }
        const ExecStatusType status = ::PQresultStatus(result.get());
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
            throw TransportError(Kind::protocol, peer() + ": COPY cannot be used here");
        }
        if (kept == nullptr || succeeded(kept.get())) {
            kept = std::move(result);
        }
    }
    // A dead connection also ends in a result: an error without a SQLSTATE of the server's.
    if (kept == nullptr || ::PQstatus(connection) != CONNECTION_OK) {
        throw_lost(connection);
    }
    return kept;
}

void PqClient::flush(PGconn* connection, const Terms& terms) const {
    while (true) {
        const int left = ::PQflush(connection);
        if (left == 0) {
            return;
        }
        if (left < 0) {
            throw_lost(connection);
        }
        // The server may have to get rid of something before it reads on.
        await(connection, POLLIN | POLLOUT, terms);
        if (::PQconsumeInput(connection) == 0) {
            throw_lost(connection);
        }
    }
}

void PqClient::await(PGconn* connection, short events, const Terms& terms) const {
    switch (wait_fd(::PQsocket(connection), events, terms.first, terms.second)) {
        case WaitResult::ready:
            return;
        case WaitResult::cancelled:
            cancel(connection);
            throw TransportError(Kind::cancelled, peer() + ": cancelled while a statement ran");
        case WaitResult::deadline:
            cancel(connection);
            throw TransportError(Kind::timeout,
                                 peer() + ": no answer of PostgreSQL to a statement in time");
    }
}

/// Asks the server to give up. PQcancel() blocks, for minutes where the host is gone, and nobody
/// needs its answer: the connection is dropped anyway.
void PqClient::cancel(PGconn* connection) const {
    // Shared with the thread, which may outlive this call.
    const std::shared_ptr<PGcancel> request(::PQgetCancel(connection), Finish());
    if (request == nullptr) {
        return;
    }
    [[maybe_unused]] const auto done = bounded_call<int>(
        [request] {
            std::array<char, 256> message{};
            return ::PQcancel(request.get(), message.data(), message.size());
        },
        Deadline::after(k_cancel_timeout),
        {});
}

void PqClient::throw_lost(PGconn* connection) const {
    throw TransportError(Kind::lost,
                         peer() + ": the connection to PostgreSQL was lost: " +
                             one_line(::PQerrorMessage(connection)));
}

}  // namespace

std::unique_ptr<SqlClient> make_pq_client(PqEndpoint endpoint) {
    return std::make_unique<PqClient>(std::move(endpoint));
}

}  // namespace lockstep
