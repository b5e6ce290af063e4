#include "base/error.hpp"
#include "test_postgres.hpp"
#include "test_sshd.hpp"
#include "transport/sql_client.hpp"
#include "transport/ssh_session.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using Kind = TransportError::Kind;

/// The same for both clients: psql through sshd, and libpq. The parameter says which.
class SqlLive : public testing::TestWithParam<std::string> {
  protected:
    static void SetUpTestSuite() {
        if (TestSshd::installed() && TestPostgres::installed()) {
            sshd_ = std::make_unique<TestSshd>();
            postgres_ = std::make_unique<TestPostgres>();
        }
    }

    static void TearDownTestSuite() {
        postgres_.reset();
        sshd_.reset();
    }

    void SetUp() override {
        if (postgres_ == nullptr) {
            GTEST_SKIP() << "no sshd or no PostgreSQL server";
        }
        client_ = make_client(static_cast<std::uint16_t>(postgres_->port()));
    }

    std::unique_ptr<SqlClient> make_client(std::uint16_t port) {
        if (GetParam() == "libpq") {
            return make_pq_client({.conninfo = "sslmode=disable user=" + TestPostgres::user(),
                                   .host = "127.0.0.1",
                                   .port = port});
        }
        session_ = make_ssh_session(sshd_->endpoint());
        return make_psql_client(*session_,
                                {.become = TestPostgres::become(),
                                 .socket_directory = postgres_->socket_directory(),
                                 .port = port});
    }

    SqlResult query(const SqlStatement& statement, std::chrono::milliseconds timeout = 10s) {
        return client_->query(statement, Deadline::after(timeout), {});
    }

    std::string state_of_error(const SqlStatement& statement,
                               std::chrono::milliseconds timeout = 10s) {
        try {
            query(statement, timeout);
            ADD_FAILURE() << "no error: " << statement.text;
        } catch (const SqlError& error) {
            return error.sqlstate();
        }
        return "";
    }

    static std::unique_ptr<TestSshd> sshd_;
    static std::unique_ptr<TestPostgres> postgres_;
    std::unique_ptr<SshSession> session_;
    std::unique_ptr<SqlClient> client_;
};

std::unique_ptr<TestSshd> SqlLive::sshd_;
std::unique_ptr<TestPostgres> SqlLive::postgres_;

TEST_P(SqlLive, GivesColumnsRowsAndNulls) {
    const SqlResult result =
        query({.text = "SELECT 1 AS one, NULL AS nothing, '' AS empty, true AS \"it's\""});
    EXPECT_EQ(result.columns, (std::vector<std::string>{"one", "nothing", "empty", "it's"}));
    ASSERT_EQ(result.rows.size(), 1U);
    EXPECT_EQ(result.rows[0],
              (std::vector<std::optional<std::string>>{"1", std::nullopt, "", "t"}));
}

TEST_P(SqlLive, GivesManyRowsAndNoRows) {
    EXPECT_EQ(query({.text = "SELECT generate_series(1, 1000)"}).rows.size(), 1000U);
    const SqlResult none = query({.text = "SELECT 1 AS one WHERE false;"});
    EXPECT_EQ(none.columns, std::vector<std::string>{"one"});
    EXPECT_TRUE(none.rows.empty());
}

TEST_P(SqlLive, KeepsEveryCharacterOfAValue) {
    const std::string nasty = "it's \\ \"x\" $1 :DBNAME \n\r\t\b\x7f\036\037|, Zürich; -- /*";
    const SqlResult result = query({.text = "SELECT $1::text, length($2)", .params = {nasty, ""}});
    ASSERT_EQ(result.rows.size(), 1U);
    EXPECT_EQ(result.rows[0][0], nasty);
    EXPECT_EQ(result.rows[0][1], "0");
}

TEST_P(SqlLive, LetsTheServerInferTheTypesOfParameters) {
    const SqlResult result =
        query({.text = "SELECT datname FROM pg_database WHERE oid = $1", .params = {"1"}});
    ASSERT_EQ(result.rows.size(), 1U);
    EXPECT_EQ(result.rows[0][0], "template1");
}

TEST_P(SqlLive, GivesTheStateOfAnError) {
    EXPECT_EQ(state_of_error({.text = "SELECT * FROM no_such_table"}), "42P01");
    EXPECT_EQ(state_of_error({.text = "SELECT 1/0"}), "22012");
    EXPECT_EQ(state_of_error({.text = "SELEC 1"}), "42601");
    EXPECT_EQ(query({.text = "SELECT 1"}).rows.size(), 1U);
}

TEST_P(SqlLive, RefusesToWriteWhenItIsReadOnly) {
    EXPECT_EQ(state_of_error({.text = "CREATE TABLE forbidden ()"}), "25006");
    EXPECT_THROW(query({.text = "SELECT 1; COMMIT; CREATE TABLE forbidden ()"}), Error);
    EXPECT_TRUE(query({.text = "SELECT 1 FROM pg_class WHERE relname = 'forbidden'"}).rows.empty());
}

TEST_P(SqlLive, WritesWhenItMay) {
    query({.text = "CREATE TABLE IF NOT EXISTS written (name text)",
           .read_only = false,
           .search_path = {"public"}});
    query({.text = "INSERT INTO public.written VALUES ($1)",
           .params = {GetParam()},
           .read_only = false});
    EXPECT_EQ(
        query({.text = "SELECT 1 FROM public.written WHERE name = $1", .params = {GetParam()}})
            .rows.size(),
        1U);
    // Cannot run inside a transaction block.
    query({.text = "VACUUM public.written", .read_only = false});
    query({.text = "CHECKPOINT", .read_only = false});
}

TEST_P(SqlLive, GoesToTheDatabaseOfTheStatement) {
    const SqlStatement where{.text = "SELECT current_database()", .database = "template1"};
    EXPECT_EQ(query(where).rows.at(0).at(0), "template1");
    EXPECT_EQ(query({.text = "SELECT current_database()"}).rows.at(0).at(0), "postgres");
}

TEST_P(SqlLive, HasTheServerGiveUpBeforeTheDeadline) {
    // Three seconds hold a login and a psql under the sanitizers, too.
    EXPECT_EQ(state_of_error({.text = "SELECT pg_sleep(20)"}, 3s), "57014");
}

TEST_P(SqlLive, StopsWaitingAtOnceWhenToldTo) {
    std::stop_source source;
    const std::jthread stopper([&source] {
        std::this_thread::sleep_for(400ms);
        source.request_stop();
    });
    const auto begin = std::chrono::steady_clock::now();
    try {
        client_->query({.text = "SELECT pg_sleep(20)"}, Deadline::after(20s), source.get_token());
        ADD_FAILURE();
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), Kind::cancelled);
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
    EXPECT_EQ(query({.text = "SELECT 1"}).rows.size(), 1U);
}

TEST_P(SqlLive, SaysConnectWhenPostgresqlCannotBeReached) {
    client_ = make_client(static_cast<std::uint16_t>(free_port()));
    try {
        query({.text = "SELECT 1"});
        ADD_FAILURE();
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), Kind::connect) << error.what();
        EXPECT_FALSE(error.hint().empty());
    }
}

TEST_P(SqlLive, SaysConnectWhenThereIsNoSuchDatabase) {
    try {
        query({.text = "SELECT 1", .database = "no such 'database'"});
        ADD_FAILURE();
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), Kind::connect) << error.what();
        EXPECT_NE(std::string(error.what()).find("no such 'database'"), std::string::npos);
    }
}

TEST_P(SqlLive, SaysLostWhenTheServerEndsTheConnection) {
    try {
        query({.text = "SELECT pg_terminate_backend(pg_backend_pid())", .read_only = false});
        ADD_FAILURE();
    } catch (const TransportError& error) {
        EXPECT_EQ(error.kind(), Kind::lost) << error.what();
    }
    EXPECT_EQ(query({.text = "SELECT 1"}).rows.size(), 1U);
}

// Of a role that may create in `public`: text is what an argument without a type is taken for.
TEST_P(SqlLive, CallsWhatIsInPgCatalogWhateverIsInPublic) {
    query({.text = "CREATE OR REPLACE FUNCTION public.pg_relation_filenode(text) RETURNS text "
                   "LANGUAGE sql "
                   "AS $$ SELECT 'hijacked'::text $$",
           .read_only = false});
    query({.text = "CREATE OR REPLACE FUNCTION public.ours() RETURNS text LANGUAGE sql "
                   "AS $$ SELECT 'ours'::text $$",
           .read_only = false});
    for (const bool read_only : {true, false}) {
        const auto ask = [&](const std::string& text, std::vector<std::string> path) {
            return query({.text = text, .read_only = read_only, .search_path = std::move(path)})
                .rows.at(0)
                .at(0);
        };
        EXPECT_NE(ask("SELECT pg_relation_filenode('pg_class')", {}), "hijacked");
        // Somebody's word is needed for this.
        EXPECT_EQ(ask("SELECT pg_relation_filenode('pg_class')", {"public"}), "hijacked");
        EXPECT_EQ(ask("SELECT public.ours()", {}), "ours");
        EXPECT_EQ(ask("SELECT ours()", {"public"}), "ours");
        EXPECT_EQ(state_of_error({.text = "SELECT ours()", .read_only = read_only}), "42883");
        EXPECT_EQ(ask("SHOW search_path", {"it's \"x\""}), "\"it's \"\"x\"\"\", pg_temp");
    }
    query({.text = "DROP FUNCTION public.pg_relation_filenode(text)", .read_only = false});
    query({.text = "DROP FUNCTION public.ours()", .read_only = false});
}

INSTANTIATE_TEST_SUITE_P(, SqlLive, testing::Values("psql", "libpq"), [](const auto& parameter) {
    return parameter.param;
});

TEST(PqClient, ShowsNothingOfAnInvalidConninfo) {
    const auto client =
        make_pq_client({.conninfo = "password=s3cret =", .host = "127.0.0.1", .port = 1});
    try {
        client->query({.text = "SELECT 1"}, Deadline::after(1s), {});
        ADD_FAILURE();
    } catch (const TransportError& error) {
        EXPECT_EQ(std::string(error.what()).find("s3cret"), std::string::npos) << error.what();
    }
}

}  // namespace
}  // namespace lockstep
