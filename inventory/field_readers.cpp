#include "inventory/field_readers.hpp"

#include "base/known_secrets.hpp"
#include "inventory/inventory_language.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <optional>
#include <vector>

namespace lockstep::inventory_fields {

namespace {

using yaml::Node;

constexpr std::string_view k_three_ways =
    "Say where it comes from: {env: NAME}, {file: PATH} or {command: [argv…]}.";

bool is_space(char c) {
    return std::isspace(static_cast<unsigned char>(c)) != 0;
}

bool is_alnum(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

std::string expand(const Node& node, std::string_view what, const PathBase& base) {
    std::string text = yaml::as_string(node, what);
    if (text.empty()) {
        fail(node, std::string(what) + " must not be empty", "Name a file, or remove the key.");
    }
    if (text == "~" || text.starts_with("~/")) {
        return base.home + text.substr(1);
    }
    if (text.front() == '~') {
        fail(node,
             std::string(what) + ": the home of another user is not looked up",
             "Write the whole path; ~/ is the home of the current user.");
    }
    return text;
}

SecretRef::Env read_env(const Node& node, std::string_view what) {
    const std::string name = yaml::as_string(node, std::string(what) + ": env");
    const bool valid =
        !name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
        std::all_of(name.begin(), name.end(), [](char c) { return is_alnum(c) || c == '_'; });
    if (!valid) {
        fail(node,
             std::string(what) + ": env must be the name of an environment variable",
             "Letters, digits and _: {env: PATRONI_REST_PASSWORD}, without a $.");
    }
    remember_secret_variable(name);
    return {name};
}

/// The authority of a URL, cut into what matters here.
struct Authority {
    std::string host;
    std::string port;
};

Authority split_authority(const Node& node, std::string_view authority) {
    const bool bracketed = authority.starts_with('[');
    const std::size_t end = bracketed ? authority.find(']') : authority.find(':');
    if (bracketed && end == std::string_view::npos) {
        fail(node, "endpoint: the [ of its IPv6 address is never closed", "http://[::1]:8008");
    }
    const std::size_t host_length = std::min(bracketed ? end + 1 : end, authority.size());
    const std::string_view rest = authority.substr(host_length);
    if (rest.find(':', 1) != std::string_view::npos) {
        fail(node,
             "endpoint: more than one colon after the scheme",
             "Write an IPv6 address in brackets: http://[::1]:8008.");
    }
    return {std::string(authority.substr(0, host_length)),
            std::string(rest.empty() ? rest : rest.substr(1))};
}

void check_host(const Node& node, const std::string& host) {
    const bool valid = !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
        return is_alnum(c) || std::string_view(".-_:[]%").find(c) != std::string_view::npos;
    });
    if (!valid || host == "[]") {
        fail(node, "endpoint: no valid host in it", "Write it as http://10.0.0.11:8008.");
    }
}

void check_port(const Node& node, const std::string& port) {
    if (port.empty()) {
        fail(node,
             "endpoint: the port is missing",
             "Patroni's REST API listens on 8008 unless told otherwise.");
    }
    const bool digits = port.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || port.size() > 5 || std::stoi(port) < 1 ||
        std::stoi(port) > std::numeric_limits<std::uint16_t>::max()) {
        fail(node, "endpoint: \"" + port + "\" is not a port", "Ports go from 1 to 65535.");
    }
}

std::size_t skip_spaces(std::string_view text, std::size_t i) {
    while (i < text.size() && is_space(text[i])) {
        ++i;
    }
    return i;
}

/// After the value of a conninfo that begins at `i`: quoted or not, a backslash takes what follows.
std::size_t skip_value(std::string_view text, std::size_t i) {
    const bool quoted = i < text.size() && text[i] == '\'';
    i += quoted ? 1U : 0U;
    while (i < text.size() && (quoted ? text[i] != '\'' : !is_space(text[i]))) {
        i += text[i] == '\\' ? 2U : 1U;
    }
    return std::min(i + (quoted ? 1U : 0U), text.size());
}

/// What stands between quotes, without its backslashes.
std::string unquoted(std::string_view value) {
    if (value.size() >= 2 && value.front() == '\'') {
        value = value.substr(1, value.size() - 2);
    }
    std::string text;
    for (std::size_t i = 0; i < value.size(); ++i) {
        i += value[i] == '\\' && i + 1 < value.size() ? 1U : 0U;
        text += value[i];
    }
    return text;
}

/// The keywords of a conninfo of `key = value` pairs, as libpq 15 splits them (conninfo_parse),
/// with what they are given.
std::vector<std::pair<std::string, std::string>> pairs_of(std::string_view text) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (std::size_t i = skip_spaces(text, 0); i < text.size(); i = skip_spaces(text, i)) {
        const std::size_t begin = i;
        while (i < text.size() && text[i] != '=' && !is_space(text[i])) {
            ++i;
        }
        const std::string_view keyword = text.substr(begin, i - begin);
        i = skip_spaces(text, i);
        std::size_t value = i;
        if (i < text.size() && text[i] == '=') {
            value = skip_spaces(text, i + 1);
            i = skip_value(text, value);
        }
        pairs.emplace_back(keyword, unquoted(text.substr(value, i - value)));
    }
    return pairs;
}

bool is_url(std::string_view dsn) {
    return dsn.starts_with("postgresql://") || dsn.starts_with("postgres://");
}

std::string_view authority_of(std::string_view dsn) {
    const std::string_view rest = dsn.substr(dsn.find("//") + 2);
    return rest.substr(0, rest.find_first_of("/?"));
}

bool url_has_host(std::string_view dsn) {
    const std::string_view authority = authority_of(dsn);
    return authority.rfind('@') + 1 < authority.size();  // npos + 1 is 0: all of it is the host
}

bool url_has_password(std::string_view dsn) {
    const std::string_view authority = authority_of(dsn);
    const std::size_t at = authority.rfind('@');
    const bool in_userinfo =
        at != std::string_view::npos && authority.substr(0, at).find(':') != std::string_view::npos;
    return in_userinfo || dsn.find("password=") != std::string_view::npos;
}

}  // namespace

void fail(const Node& node,
          const std::string& message,
          const std::string& hint,
          const std::string& rule) {
    throw InputError(node.where, message, hint, rule);
}

void require_map(const Node& node, std::string_view what) {
    if (!node.is(Node::Kind::map)) {
        fail(node,
             std::string(what) + " must be a map, not " + node.describe(),
             "",
             "inventory.type");
    }
}

std::string read_word(const Node& node, std::string_view what) {
    std::string word = yaml::as_string(node, what);
    if (word.empty()) {
        fail(node, std::string(what) + " must not be empty", "Give a value, or remove the key.");
    }
    if (word.front() == '-') {
        fail(node, std::string(what) + " must not begin with -", "");
    }
    if (std::any_of(word.begin(), word.end(), is_space)) {
        fail(node, std::string(what) + " must not hold white space", "");
    }
    return word;
}

std::string read_path(const Node& node, std::string_view what, const PathBase& base) {
    const std::filesystem::path path = expand(node, what, base);
    if (path.is_absolute()) {
        return path.string();
    }
    return (std::filesystem::path(base.folder) / path).lexically_normal().string();
}

std::uint16_t read_port(const Node& node) {
    const long long port = yaml::as_integer(node, "port");
    if (port < 1 || port > std::numeric_limits<std::uint16_t>::max()) {
        fail(node, std::to_string(port) + " is not a port", "Ports go from 1 to 65535.");
    }
    return static_cast<std::uint16_t>(port);
}

void refuse_unknown_keys(const Node& node, std::string_view place, std::string_view what) {
    yaml::refuse_unknown_keys(
        node, language::names(language::find_place(inventory_places(), place)), what);
}

std::vector<std::string> read_argv(const Node& node, std::string_view what) {
    if (!node.is(Node::Kind::list) || node.items.empty()) {
        fail(node,
             std::string(what) + ": command must be a list of a program and its arguments",
             "No shell is involved: {command: [pass, show, patroni]}.",
             "inventory.type");
    }
    std::vector<std::string> argv;
    for (const Node& item : node.items) {
        argv.push_back(yaml::as_string(item, std::string(what) + ": an argument of command"));
    }
    if (argv.front().empty()) {
        fail(node.items.front(), std::string(what) + ": command names no program", "");
    }
    return argv;
}

SecretRef read_secret(const Node& node, std::string_view what, const PathBase& base) {
    if (node.is(Node::Kind::scalar)) {
        fail(node,
             std::string(what) + " must not stand in the inventory itself",
             std::string(k_three_ways),
             "inventory.secret");
    }
    require_map(node, what);
    refuse_unknown_keys(node, "inventory.secret_source", what);
    if (node.entries.size() != 1) {
        fail(node,
             std::string(what) + " must come from exactly one place",
             std::string(k_three_ways));
    }
    const auto& [key, value] = node.entries.front();
    if (key.text == "env") {
        return {read_env(value, what), node.where};
    }
    if (key.text == "file") {
        return {SecretRef::File{read_path(value, std::string(what) + ": file", base)}, node.where};
    }
    return {SecretRef::Command{read_argv(value, what)}, node.where};
}

std::string read_endpoint(const Node& node) {
    std::string url = yaml::as_string(node, "endpoint");
    const std::size_t scheme = url.find("://");
    if (!url.starts_with("http://") && !url.starts_with("https://")) {
        fail(node,
             "endpoint must be an http or https URL",
             scheme == std::string::npos ? "Write it as http://10.0.0.11:8008." : "");
    }
    if (url.find('@') != std::string::npos) {
        fail(node,
             "endpoint: user and password must not stand in a URL",
             "Use patroni.username and patroni.password.",
             "inventory.secret");
    }
    if (url.back() == '/') {
        url.pop_back();
    }
    const std::string authority = url.substr(std::min(scheme + 3, url.size()));
    if (authority.find_first_of("/?#") != std::string::npos) {
        fail(node, "endpoint: nothing may follow the port", "lockstep adds the paths itself.");
    }
    const auto [host, port] = split_authority(node, authority);
    check_host(node, host);
    check_port(node, port);
    return url;
}

std::optional<std::string> dsn_value(std::string_view dsn, std::string_view keyword) {
    if (!is_url(dsn)) {
        std::optional<std::string> last;  // the one that counts
        for (auto& [name, value] : pairs_of(dsn)) {
            last = name == keyword ? std::optional(std::move(value)) : std::move(last);
        }
        return last;
    }
    const std::size_t query = dsn.find('?');
    std::string_view rest = query == std::string_view::npos ? "" : dsn.substr(query + 1);
    std::optional<std::string> last;
    while (!rest.empty()) {
        const std::string_view one = rest.substr(0, rest.find('&'));
        if (const std::size_t equals = one.find('='); one.substr(0, equals) == keyword) {
            last = equals == std::string_view::npos ? "" : std::string(one.substr(equals + 1));
        }
        rest.remove_prefix(std::min(one.size() + 1, rest.size()));
    }
    return last;
}

std::string read_dsn(const Node& node) {
    std::string dsn = yaml::as_string(node, "dsn");
    const auto has = [&](std::string_view keyword) {
        return !is_url(dsn) && dsn_value(dsn, keyword).has_value();
    };
    if (has("password") || has("sslpassword") || (is_url(dsn) && url_has_password(dsn))) {
        fail(node,
             "dsn: a password must not stand in the inventory",
             "libpq takes it from ~/.pgpass, a passfile=, a service file or PGPASSWORD.",
             "inventory.secret");
    }
    for (const char* keyword : {"host", "hostaddr", "port"}) {
        if (has(keyword) || (is_url(dsn) && url_has_host(dsn))) {
            fail(node,
                 std::string("dsn: ") + keyword + " comes from Patroni, for each member",
                 "Remove it; dsn is for user, dbname, sslmode and the like.");
        }
    }
    return dsn;
}

}  // namespace lockstep::inventory_fields
