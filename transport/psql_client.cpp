#include "base/error.hpp"
#include "transport/encoding.hpp"
#include "transport/psql_script.hpp"
#include "transport/sql_client.hpp"

#include <algorithm>
#include <chrono>

namespace lockstep {

namespace {

using std::chrono::milliseconds;

constexpr std::size_t k_mark_bytes = 8;
// Before the server's clock starts there are a login and the start of psql.
constexpr milliseconds k_start{500};
constexpr std::size_t k_longest_answer = std::size_t{64} << 20;

class PsqlClient final : public SqlClient {
  public:
    PsqlClient(SshSession& session, PsqlSettings settings)
        : session_(session), settings_(std::move(settings)) {}

    SqlResult query(const SqlStatement& statement,
                    Deadline deadline,
                    std::stop_token stop) override {
        const std::string mark = random_hex(k_mark_bytes);
        RemoteCommand command;
        command.script = psql_command(settings_, statement.database);
        command.stdin_data =
            psql_stdin(statement, server_timeout(deadline.remaining() - k_start), mark);
        command.output_limit = k_longest_answer;
        const CommandResult result = session_.run(command, deadline, std::move(stop));
        if (result.out_truncated) {
            throw TransportError(TransportError::Kind::protocol,
                                 session_.peer() + ": the answer of psql is too long");
        }
        return parse_psql_output({result.out, result.err, result.exit_status}, mark);
    }

  private:
    SshSession& session_;
    PsqlSettings settings_;
};

}  // namespace

std::unique_ptr<SqlClient> make_psql_client(SshSession& session, PsqlSettings settings) {
    return std::make_unique<PsqlClient>(session, std::move(settings));
}

}  // namespace lockstep
