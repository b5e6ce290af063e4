#include "transport/psql_script.hpp"

#include "base/error.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

TEST(SqlLiteral, IsSafeForEveryText) {
    EXPECT_EQ(sql_literal(""), "''");
    EXPECT_EQ(sql_literal("node-1"), "'node-1'");
    EXPECT_EQ(sql_literal("it's"), "'it''s'");
    EXPECT_EQ(sql_literal("a\\'b"), " E'a\\\\''b'");
    EXPECT_EQ(sql_literal("two\nlines\r"), " E'two\\012lines\\015'");
    EXPECT_EQ(sql_literal("Zürich"), "'Zürich'");
    EXPECT_THROW(static_cast<void>(sql_literal(std::string("a\0b", 3))), Error);
}

TEST(SingleStatement, CutsWhatFollowsTheStatement) {
    EXPECT_EQ(single_statement("SELECT 1"), "SELECT 1");
    EXPECT_EQ(single_statement("SELECT 1 ; -- done\n /* really */ ; "), "SELECT 1");
    EXPECT_EQ(single_statement("SELECT 1 -- no end"), "SELECT 1");
}

TEST(SingleStatement, LooksIntoNoQuotes) {
    for (const char* text : {"SELECT ';\\'",
                             "SELECT \";\\\"",
                             "SELECT $$;\\$$",
                             "SELECT $a$;$$;$a$",
                             "SELECT E'\\';'",
                             "SELECT 'it'';'",
                             "SELECT /* ; /* ; */ ; */ 1",
                             "SELECT -- ;\n 1",
                             "SELECT name';'",
                             "SELECT $1",
                             "SELECT a$b$c"}) {
        EXPECT_EQ(single_statement(text), text);
    }
}

TEST(SingleStatement, RefusesASecondOne) {
    for (const char* text : {"SELECT 1; DROP TABLE x",
                             "SELECT 1; COMMIT;",
                             "SELECT 'a\\'; DROP TABLE x; --'",
                             "SELECT name'a\\';DROP TABLE x;--'",
                             "SELECT $1$; DROP TABLE x; $1$"}) {
        EXPECT_THROW(static_cast<void>(single_statement(text)), Error) << text;
    }
}

TEST(SingleStatement, RefusesCommandsOfPsqlAndWhatIsNotWhole) {
    for (const char* text : {"\\! reboot",
                             "SELECT 1 \\gexec",
                             "SELECT 1; \\q",
                             "SELECT 'open",
                             "SELECT \"open",
                             "SELECT /* open",
                             "SELECT $x$ open $$",
                             "",
                             " ; ",
                             "-- nothing"}) {
        EXPECT_THROW(static_cast<void>(single_statement(text)), Error) << text;
    }
    EXPECT_THROW(static_cast<void>(single_statement(std::string("SELECT\0 1", 9))), Error);
}

TEST(PsqlCommand, NamesTheDatabaseSafely) {
    EXPECT_EQ(psql_command({}, "postgres"),
              "cd / && runuser -u postgres -- env LC_ALL=C PGCLIENTENCODING=UTF8 "
              "PGAPPNAME=lockstep PGCONNECT_TIMEOUT=10 psql --no-psqlrc --quiet --no-align "
              "--no-password --port=5432 --dbname=postgres --file=-");
    PsqlSettings settings;
    settings.become = "";
    settings.psql = "/usr/lib/postgresql/15/bin/psql";
    settings.socket_directory = "/tmp/my sockets";
    settings.port = 5433;
    const std::string command = psql_command(settings, "it's=x");
    EXPECT_NE(command.find("/usr/lib/postgresql/15/bin/psql --no-psqlrc"), std::string::npos);
    EXPECT_NE(command.find("--host='/tmp/my sockets' --port=5433"), std::string::npos) << command;
    EXPECT_NE(command.find("--dbname='dbname='\\''it\\'\\''s=x'\\'''"), std::string::npos)
        << command;
}

TEST(PsqlCommand, LogsInAsTheRoleThatItIsTold) {
    PsqlSettings settings;
    settings.user = "patroni-usr";
    settings.database = "ops";
    const std::string command = psql_command(settings, "");
    EXPECT_NE(command.find("--username=patroni-usr --port=5432"), std::string::npos) << command;
    EXPECT_NE(command.find("--dbname=ops"), std::string::npos) << command;
    EXPECT_EQ(psql_command(settings, "shop").find("--dbname=ops"), std::string::npos);
}

TEST(PsqlHint, KnowsWhyNobodyIsLetIn) {
    const auto hints_at = [](const std::string& said, const std::string& part) {
        return psql_hint(said).find(part) != std::string::npos;
    };
    EXPECT_TRUE(hints_at("FATAL:  role \"postgres\" does not exist", "postgres.user"));
    EXPECT_TRUE(hints_at("FATAL:  database \"postgres\" does not exist", "postgres.database"));
    EXPECT_TRUE(hints_at("FATAL:  no pg_hba.conf entry for host \"[local]\"", "pg_hba.conf"));
    EXPECT_TRUE(hints_at("fe_sendauth: no password supplied", ".pgpass"));
    EXPECT_TRUE(hints_at("FATAL:  password authentication failed for user \"a\"", ".pgpass"));
    EXPECT_TRUE(hints_at("FATAL:  Peer authentication failed for user \"a\"", "os_user"));
    EXPECT_EQ(psql_hint("connection refused"), "");
}

TEST(PsqlStdin, PutsAReadOnlyStatementIntoATransaction) {
    const std::string text = psql_stdin({.text = "SELECT 1;"}, 2500ms, "m");
    EXPECT_NE(text.find("BEGIN READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL "
                        "statement_timeout = 2500;\n"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find(";\nSELECT 1\n;\nCOMMIT;\n"), std::string::npos) << text;
    // Nothing is left in a session that a pooler lends to somebody else.
    EXPECT_EQ(text.find("\nSET s"), std::string::npos) << text;
    EXPECT_NE(text.find("\\set ON_ERROR_STOP 1\n"), std::string::npos);
    EXPECT_TRUE(text.ends_with("\\echo lockstep-end m\n"));
}

TEST(PsqlStdin, LeavesAWritingStatementAlone) {
    const std::string text = psql_stdin({.text = "CHECKPOINT", .read_only = false}, 1s, "m");
    EXPECT_EQ(text.find("BEGIN"), std::string::npos);
    EXPECT_NE(text.find("SET search_path = pg_catalog, pg_temp; SET statement_timeout = "),
              std::string::npos)
        << text;
    EXPECT_NE(text.find(";\nCHECKPOINT\n;\n"), std::string::npos) << text;
}

TEST(PsqlStdin, PassesParametersToAPreparedStatement) {
    const std::string text =
        psql_stdin({.text = "SELECT $1, $2 -- why", .params = {"it's", "b"}}, 1s, "m");
    EXPECT_NE(
        text.find("PREPARE lockstep AS\nSELECT $1, $2\n;\nEXECUTE lockstep ('it''s', 'b');\n"),
        std::string::npos)
        << text;
}

std::string answer(const std::string& inner) {
    return "lockstep-begin m\n" + inner + "lockstep-end m\n";
}

TEST(PsqlOutput, GivesColumnsAndRows) {
    const SqlResult result = parse_psql_output(
        {.out = answer("a\037mb\036m\n1\037m\035m\036m\n\037mtwo\nlines\036\n")}, "m");
    EXPECT_EQ(result.columns, (std::vector<std::string>{"a", "b"}));
    ASSERT_EQ(result.rows.size(), 2U);
    EXPECT_EQ(result.rows[0][0], "1");
    EXPECT_EQ(result.rows[0][1], std::nullopt);
    EXPECT_EQ(result.rows[1][0], "");
    EXPECT_EQ(result.rows[1][1], "two\nlines\036");
}

TEST(PsqlOutput, MayHaveNoRowsOrNoColumns) {
    const SqlResult no_rows = parse_psql_output({.out = answer("a\n")}, "m");
    EXPECT_EQ(no_rows.columns.size(), 1U);
    EXPECT_TRUE(no_rows.rows.empty());
    EXPECT_TRUE(parse_psql_output({.out = answer("")}, "m").columns.empty());
}

TEST(PsqlOutput, SkipsWhatWasSaidBeforePsqlBegan) {
    EXPECT_EQ(parse_psql_output({.out = "welcome\n" + answer("a\n1\n")}, "m").columns.size(), 1U);
}

TEST(PsqlOutput, GivesTheStateAndTheMessageOfAnError) {
    for (const char* err :
         {"ERROR:  42P01: relation \"x\" does not exist\nLINE 1: SELECT\nLOCATION:  here\n",
          "psql:<stdin>:14: ERROR:  42P01: relation \"x\" does not exist\n",
          "could not change directory\npsql:<stdin>:1: FEHLER:  42P01: relation \"x\" does not "
          "exist\n"}) {
        try {
            static_cast<void>(parse_psql_output(
                {.out = "lockstep-begin m\n", .err = err, .exit_status = 3}, "m"));
            ADD_FAILURE() << err;
        } catch (const SqlError& error) {
            EXPECT_EQ(error.sqlstate(), "42P01");
            EXPECT_STREQ(error.what(), "relation \"x\" does not exist");
        }
    }
}

TransportError::Kind failure(const PsqlOutput& output) {
    try {
        static_cast<void>(parse_psql_output(output, "m"));
        ADD_FAILURE();
    } catch (const TransportError& error) {
        return error.kind();
    }
    return TransportError::Kind::protocol;
}

TEST(PsqlOutput, SaysConnectWhenNothingWasAsked) {
    EXPECT_EQ(failure({.err = "sh: 1: psql: not found\n", .exit_status = 127}),
              TransportError::Kind::connect);
    EXPECT_EQ(
        failure({.err = "psql: error: connection to server on socket failed\n", .exit_status = 2}),
        TransportError::Kind::connect);
    EXPECT_EQ(failure({.err = "runuser: may not be used by non-root users\n", .exit_status = 1}),
              TransportError::Kind::connect);
}

TEST(PsqlOutput, SaysLostWhenTheAnswerIsNotWhole) {
    EXPECT_EQ(failure({.out = "lockstep-begin m\na\n1\n",
                       .err = "FATAL:  57P01: terminating connection\n",
                       .exit_status = 2}),
              TransportError::Kind::lost);
    EXPECT_EQ(failure({.out = "lockstep-begin m\na\n1\n"}), TransportError::Kind::lost);
    EXPECT_EQ(failure({.out = answer("a\n1\n"), .exit_status = 1}), TransportError::Kind::lost);
}

TEST(PsqlOutput, RefusesRowsOfDifferentLengths) {
    EXPECT_EQ(failure({.out = answer("a\037mb\036m\n1\n")}), TransportError::Kind::protocol);
}

TEST(ServerTimeout, IsALittleLessThanOurs) {
    EXPECT_EQ(server_timeout(10s), 9s);
    EXPECT_EQ(server_timeout(2s), 1800ms);
    EXPECT_EQ(server_timeout(0ms), 100ms);
    EXPECT_EQ(server_timeout(std::chrono::hours(24 * 365)).count(), 2'147'483'647);
}

}  // namespace
}  // namespace lockstep
