#include "transport/psql_script.hpp"

#include "base/error.hpp"
#include "base/shell_quote.hpp"

#include <algorithm>
#include <cctype>
#include <optional>
#include <vector>

namespace lockstep {

namespace {

using Kind = TransportError::Kind;

// A control character before the mark says what it separates. psql reads the escapes itself.
constexpr char k_field = '\037';
constexpr char k_record = '\036';
constexpr char k_null = '\035';

std::string marked(char what, std::string_view mark) {
    return what + std::string(mark);
}

/// The line that psql writes before anything else once it is connected, and at the very end.
std::string begin_line(std::string_view mark) {
    return "lockstep-begin " + std::string(mark) + "\n";
}

std::string end_line(std::string_view mark) {
    return "lockstep-end " + std::string(mark) + "\n";
}

std::string sql_identifier(const std::string& name) {
    if (name.empty() || name.find('\0') != std::string::npos) {
        throw Error("a schema with the name \"" + name + "\" cannot be");
    }
    std::string quoted = "\"";
    for (const char c : name) {
        quoted += c == '"' ? "\"\"" : std::string(1, c);
    }
    return quoted + "\"";
}

std::string execute_text(const SqlStatement& statement) {
    const std::string text = single_statement(statement.text);
    if (statement.params.empty()) {
        return text + "\n;\n";
    }
    // The name lives as long as this psql does.
    std::string values;
    for (const std::string& param : statement.params) {
        values += (values.empty() ? "" : ", ") + sql_literal(param);
    }
    return "PREPARE lockstep AS\n" + text + "\n;\nEXECUTE lockstep (" + values + ");\n";
}

std::vector<std::string_view> split(std::string_view text, const std::string& separator) {
    std::vector<std::string_view> parts;
    while (true) {
        const std::size_t at = text.find(separator);
        parts.push_back(text.substr(0, at));
        if (at == std::string_view::npos) {
            return parts;
        }
        text.remove_prefix(at + separator.size());
    }
}

struct ServerError {
    std::string sqlstate;
    std::string message;
};

bool is_sqlstate(std::string_view text) {
    return text.size() == 5 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
               return std::isdigit(c) != 0 || std::isupper(c) != 0;
           });
}

/// `ERROR:  42P01: relation "x" does not exist`, as VERBOSITY verbose writes it. The severity may
/// be in the language of the server's lc_messages, so the state is what is looked for.
std::optional<ServerError> read_error(std::string_view err) {
    for (const std::string_view line : split(err, "\n")) {
        const std::size_t colon = line.find(":  ");
        if (colon == std::string_view::npos) {
            continue;
        }
        const std::string_view rest = line.substr(colon + 3);
        if (rest.size() > 7 && is_sqlstate(rest.substr(0, 5)) && rest.substr(5, 2) == ": ") {
            return ServerError{std::string(rest.substr(0, 5)), std::string(rest.substr(7))};
        }
    }
    return std::nullopt;
}

/// The last line that says something: what came before may be warnings of sudo or of the shell.
std::string last_line(std::string_view err) {
    std::string_view last;
    for (const std::string_view line : split(err, "\n")) {
        last = line.empty() ? last : line;
    }
    return std::string(last);
}

[[noreturn]] void throw_not_connected(const PsqlOutput& output) {
    const std::string said = last_line(output.err);
    const bool by_psql = output.err.find("psql: ") != std::string_view::npos;
    std::string hint = psql_hint(said);
    if (hint.empty()) {
        hint = "Check that PostgreSQL runs there, the port and the socket directory.";
    }
    std::string message = "psql could not connect: " + said;
    if (output.exit_status == 127 || output.exit_status == 126) {
        message = "psql could not be started: " + said;
        hint =
            "Install the PostgreSQL client on the member, so that psql is in the PATH of the user "
            "it runs as, or set postgres.via: direct.";
    } else if (!by_psql) {
        message = "psql could not be started (status " + std::to_string(output.exit_status) +
                  "): " + said;
        hint = "Log in as root, set become: sudo, or log in as PostgreSQL's own user.";
    }
    throw TransportError(Kind::connect, message, hint);
}

/// Cuts the answer out from between the marks; throws for every way in which it is not whole.
std::string_view answer_of(const PsqlOutput& output, std::string_view mark) {
    const std::string begin = begin_line(mark);
    const std::string end = end_line(mark);
    const std::size_t from = output.out.find(begin);
    if (from == std::string_view::npos) {
        throw_not_connected(output);
    }
    if (output.exit_status == 0 && output.out.ends_with(end)) {
        const std::size_t first = from + begin.size();
        return output.out.substr(first, output.out.size() - end.size() - first);
    }
    const std::optional<ServerError> error = read_error(output.err);
    // 3: psql stopped at an error; 2: the connection went, also by a FATAL error of the server
    // (psql's man page, "Exit Status"), and whatever it did is unknown.
    if (output.exit_status == 3 && error) {
        throw SqlError(error->message, error->sqlstate);
    }
    throw TransportError(
        Kind::lost,
        "psql ended with status " + std::to_string(output.exit_status) +
            " before the statement was done: " + (error ? error->message : last_line(output.err)));
}

}  // namespace

std::chrono::milliseconds server_timeout(std::chrono::milliseconds remaining) {
    using std::chrono::milliseconds;
    const milliseconds margin = std::min(milliseconds(1'000), remaining / 10);
    // PostgreSQL takes an int of milliseconds.
    return std::clamp(remaining - margin, milliseconds(100), milliseconds(2'147'483'647));
}

std::string psql_database(std::string_view database) {
    const bool plain =
        !database.empty() && std::all_of(database.begin(), database.end(), [](unsigned char c) {
            return std::isalnum(c) != 0 || c == '_';
        });
    if (plain) {
        return std::string(database);
    }
    std::string value;
    for (const char c : database) {
        if (c == '\'' || c == '\\') {
            value += '\\';
        }
        value += c;
    }
    return "dbname='" + value + "'";
}

std::string psql_hint(std::string_view said) {
    const auto says = [&](std::string_view part) { return said.find(part) != std::string::npos; };
    if (says("role \"") && says("does not exist")) {
        return "Set postgres.user in the inventory to PostgreSQL's superuser as it is called there "
               "(superuser.username in Patroni's configuration).";
    }
    if (says("database \"") && says("does not exist")) {
        return "Set postgres.database in the inventory to one that is there.";
    }
    if (says("no pg_hba.conf entry")) {
        return "Let that role in by a `local` line of pg_hba.conf, or set postgres.user in the "
               "inventory to one that is.";
    }
    if (says("assword") || says("fe_sendauth")) {
        return "Put the password into ~/.pgpass of the user who runs psql (~postgres/.pgpass, mode "
               "0600, a line localhost:PORT:*:ROLE:PASSWORD), or set postgres.user in the "
               "inventory to a role that local connections let in without one.";
    }
    if (says("eer authentication failed")) {
        return "Set postgres.os_user in the inventory to the user whom pg_hba.conf and "
               "pg_ident.conf let in as that role.";
    }
    return {};
}

std::string psql_command(const PsqlSettings& settings, std::string_view database) {
    // env stands behind `become`, because sudo clears the environment; cd, because psql complains
    // about a working directory that its user may not read.
    std::string command = "cd / && " + settings.become;
    command += " env LC_ALL=C PGCLIENTENCODING=UTF8 PGAPPNAME=lockstep PGCONNECT_TIMEOUT=10 ";
    command += shell_quote(settings.psql) + " --no-psqlrc --quiet --no-align --no-password";
    if (!settings.socket_directory.empty()) {
        command += " --host=" + shell_quote(settings.socket_directory);
    }
    if (!settings.user.empty()) {
        command += " --username=" + shell_quote(settings.user);
    }
    command += " --port=" + std::to_string(settings.port);
    const std::string_view name = database.empty() ? settings.database : database;
    return command + " --dbname=" + shell_quote(psql_database(name)) + " --file=-";
}

std::string session_begin(const SqlStatement& statement, std::chrono::milliseconds timeout) {
    const std::string set = statement.read_only ? "SET LOCAL " : "SET ";
    // pg_catalog comes first also where it is not named; what is named first is created in.
    std::string path = statement.search_path.empty() ? "pg_catalog, " : "";
    for (const std::string& schema : statement.search_path) {
        path += sql_identifier(schema) + ", ";
    }
    return (statement.read_only ? "BEGIN READ ONLY; " : "") + set + "search_path = " + path +
           "pg_temp; " + set + "statement_timeout = " + std::to_string(timeout.count());
}

std::string psql_stdin(const SqlStatement& statement,
                       std::chrono::milliseconds timeout,
                       std::string_view mark) {
    const std::string word(mark);
    std::string text;
    text += "\\set ON_ERROR_STOP 1\n\\set VERBOSITY verbose\n\\set SHOW_CONTEXT never\n";
    text += "\\pset footer off\n\\pset fieldsep '\\037" + word + "'\n";
    text += "\\pset recordsep '\\036" + word + "\\n'\n\\pset null '\\035" + word + "'\n";
    text += "\\echo lockstep-begin " + word + "\n";
    text += session_begin(statement, timeout) + ";\n";
    const std::string set = statement.read_only ? "SET LOCAL " : "SET ";
    text += set + "standard_conforming_strings = on;\n" + set + "client_min_messages = error;\n";
    text += execute_text(statement);
    text += statement.read_only ? "COMMIT;\n" : "";
    return text + "\\echo lockstep-end " + word + "\n";
}

SqlResult parse_psql_output(const PsqlOutput& output, std::string_view mark) {
    std::string_view answer = answer_of(output, mark);
    SqlResult result;
    if (answer.empty()) {
        return result;
    }
    answer.remove_suffix(answer.ends_with('\n') ? 1 : 0);  // psql ends the last record by itself
    const std::string null = marked(k_null, mark);
    bool header = true;
    for (const std::string_view record : split(answer, marked(k_record, mark) + "\n")) {
        std::vector<std::optional<std::string>> row;
        for (const std::string_view field : split(record, marked(k_field, mark))) {
            if (header) {
                result.columns.emplace_back(field);
            } else if (field == null) {
                row.emplace_back(std::nullopt);
            } else {
                row.emplace_back(field);
            }
        }
        if (!header && row.size() != result.columns.size()) {
            throw TransportError(Kind::protocol, "psql answered with rows of different lengths");
        }
        if (!header) {
            result.rows.push_back(std::move(row));
        }
        header = false;
    }
    return result;
}

}  // namespace lockstep
