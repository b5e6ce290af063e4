#include "base/error.hpp"
#include "steps/observation/member_script.hpp"
#include "transport/psql_script.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Names = std::vector<std::string>;

/// The texts between quotes of a source, those that stand beside each other as one.
Names literals_of(const std::string& source) {
    static const std::regex k_literal(R"re("((?:[^"\\\n]|\\.)*)"\s*)re");
    Names literals;
    std::ptrdiff_t end = -1;
    for (std::sregex_iterator each(source.begin(), source.end(), k_literal), last; each != last;
         ++each) {
        if (each->position() == end) {
            literals.back() += (*each)[1];
        } else {
            literals.push_back((*each)[1]);
        }
        end = each->position() + each->length();
    }
    return literals;
}

/// What a role that may create functions in `public` could put its own in the place of.
Names loose_names_in(const std::string& sql) {
    static const std::regex k_loose(
        R"re((^|[^.\w])(pg_\w+)\s*\(|\$\d+(?!::pg_catalog\.|\d)|\b(?:FROM|from)\s+(pg_(?!catalog\.)\w+)|::(pg_\w+)\b(?!\.))re");
    Names loose;
    for (std::sregex_iterator each(sql.begin(), sql.end(), k_loose), last; each != last; ++each) {
        loose.push_back(each->str() + " in: " + sql);
    }
    return loose;
}

TEST(SqlText, SeesWhatIsLoose) {
    EXPECT_EQ(loose_names_in("SELECT pg_drop_replication_slot($1)").size(), 2U);
    EXPECT_EQ(loose_names_in("SELECT pg_catalog.pg_drop_replication_slot($1)").size(), 1U);
    EXPECT_EQ(loose_names_in("SELECT 1 FROM pg_class WHERE a = $1::text").size(), 2U);
    EXPECT_EQ(loose_names_in("SELECT $1::pg_lsn").size(), 2U);
    EXPECT_TRUE(
        loose_names_in("SELECT pg_catalog.pg_x($1::pg_catalog.name) FROM pg_catalog.pg_y").empty());
    EXPECT_EQ(literals_of("f(\"SELECT a\"\n  \"b\", \"c\\\"d\")"), (Names{"SELECT ab", "c\\\"d"}));
}

// Beside the search_path of a session: where a pooler is between, that may be another one's.
TEST(SqlText, OfOursNamesThePgCatalogAndTheTypesOfParameters) {
    std::size_t statements = 0;
    for (const char* room : {"base", "transport", "cluster", "steps"}) {
        for (const auto& entry :
             fs::recursive_directory_iterator(fs::path(LOCKSTEP_SOURCE_DIR) / room)) {
            if (!entry.is_regular_file()) {
                continue;
            }
            std::ifstream file(entry.path());
            const std::string source(std::istreambuf_iterator<char>(file), {});
            for (const std::string& literal : literals_of(source)) {
                static const std::regex k_sql(
                    R"re((^|[`; ]|\\n)(SELECT|select|PERFORM|CALL) \S)re");
                // SQLite has neither schemas of others nor roles.
                if (!std::regex_search(literal, k_sql) ||
                    literal.find("samples") != std::string::npos ||
                    literal.find("sqlite_") != std::string::npos) {
                    continue;
                }
                ++statements;
                EXPECT_EQ(loose_names_in(literal), Names{}) << entry.path();
            }
        }
    }
    EXPECT_GT(statements, 8U);
}

std::size_t place_of(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in: " << text;
    return text.find(part);
}

// The observation's query names much of the catalog, and is safe by what comes before it.
TEST(SqlText, OfAnObservationComesAfterItsSearchPath) {
    MemberScript script;
    script.nonce = "n";
    script.os_user = "postgres";
    const std::string text = render(script);
    const std::size_t path = place_of(text, "SET LOCAL search_path = pg_catalog, pg_temp;");
    EXPECT_LT(path, text.find("SELECT"));
    EXPECT_LT(place_of(text, "BEGIN READ ONLY;"), path);
}

TEST(SqlText, OfEverySessionComesAfterItsSearchPath) {
    const SqlStatement looks{.text = "SELECT 1"};
    EXPECT_EQ(session_begin(looks, 5s),
              "BEGIN READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL "
              "statement_timeout = 5000");
    const SqlStatement acts{
        .text = "CHECKPOINT", .read_only = false, .search_path = {"shop", "a\"; --"}};
    EXPECT_EQ(session_begin(acts, 5s),
              "SET search_path = \"shop\", \"a\"\"; --\", pg_temp; SET "
              "statement_timeout = 5000");
    for (const SqlStatement& statement : {looks, acts}) {
        const std::string text = psql_stdin(statement, 5s, "m");
        EXPECT_LT(place_of(text, "search_path = "), place_of(text, statement.text));
    }
    EXPECT_THROW((void)session_begin({.text = "SELECT 1", .search_path = {""}}, 5s), Error);
}

}  // namespace
}  // namespace lockstep
