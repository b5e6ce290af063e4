#include "transport/ssh_config.hpp"

#include "base/account.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "transport/known_hosts.hpp"
#include "transport/ssh_policy.hpp"

#include <glob.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

namespace lockstep {

namespace {

namespace fs = std::filesystem;
using Kind = TransportError::Kind;

constexpr std::uint16_t k_ssh_port = 22;
constexpr std::chrono::milliseconds k_patience{30'000};  // `Match exec` may ask a slow directory
constexpr int k_deepest_include = 16;  // readconf.c of OpenSSH 9.2: READCONF_MAX_DEPTH
// A Match block may run a program (`Match exec`): it counts by the keywords within it. Those of
// policy_keywords() matter, too.
constexpr std::array<std::string_view, 13> k_keywords{"hostname",
                                                      "user",
                                                      "port",
                                                      "identityfile",
                                                      "certificatefile",
                                                      "identityagent",
                                                      "identitiesonly",
                                                      "userknownhostsfile",
                                                      "globalknownhostsfile",
                                                      "hostkeyalias",
                                                      "proxyjump",
                                                      "proxycommand",
                                                      "canonicalizehostname"};
// What ssh(1) tries when nothing is named (OpenSSH 9.2, ssh_config(5), IdentityFile), without DSA
// and XMSS.
constexpr std::array<const char*, 5> k_usual_identities{
    "id_ed25519", "id_ecdsa", "id_rsa", "id_ecdsa_sk", "id_ed25519_sk"};
constexpr std::array<const char*, 2> k_global_known_hosts{"/etc/ssh/ssh_known_hosts",
                                                          "/etc/ssh/ssh_known_hosts2"};
constexpr const char* k_system_config = "/etc/ssh/ssh_config";

/// `Keyword value` or `Keyword=value`, the keyword in lower case.
std::pair<std::string, std::string> split_line(std::string_view line) {
    constexpr std::string_view k_blank = " \t\r\f";
    line.remove_prefix(std::min(line.find_first_not_of(k_blank), line.size()));
    const std::size_t end = std::min(line.find_first_of(" \t\r\f="), line.size());
    std::string keyword = lower(line.substr(0, end));
    line.remove_prefix(end);
    line.remove_prefix(std::min(line.find_first_not_of(" \t\r\f="), line.size()));
    return {std::move(keyword), std::string(line.substr(0, line.find_last_not_of(k_blank) + 1))};
}

std::vector<std::string> words_of(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) {
        words.push_back(std::move(word));
    }
    return words;
}

/// The files of an Include, as far as they exist; nothing when it takes ssh to say which it means.
std::optional<std::vector<std::string>> included(const std::string& pattern,
                                                 const fs::path& folder) {
    if (pattern.empty() || pattern.find_first_of("%$~\"") != std::string::npos) {
        return std::nullopt;
    }
    const std::string whole = pattern.front() == '/' ? pattern : (folder / pattern).string();
    glob_t found{};
    std::vector<std::string> files;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): only where it expands ~, which it does not
    if (::glob(whole.c_str(), 0, nullptr, &found) == 0) {
        files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    }
    ::globfree(&found);
    return files;
}

bool file_matters(const std::string& path, const fs::path& folder, int depth) {
    std::ifstream stream(path);
    for (std::string line; std::getline(stream, line);) {
        const auto [keyword, value] = split_line(line);
        const auto& policy = policy_keywords();
        if (std::find(k_keywords.begin(), k_keywords.end(), keyword) != k_keywords.end() ||
            std::find(policy.begin(), policy.end(), keyword) != policy.end()) {
            return true;
        }
        if (keyword != "include") {
            continue;
        }
        for (const std::string& pattern : words_of(value)) {
            const auto files = included(pattern, folder);
            if (!files || depth == k_deepest_include ||
                std::any_of(files->begin(), files->end(), [&](const std::string& file) {
                    return file_matters(file, folder, depth + 1);
                })) {
                return true;
            }
        }
    }
    return false;
}

std::string expand_home(const std::string& path, const std::string& home) {
    return path.starts_with("~/") ? home + path.substr(1) : path;
}

std::string environment(const std::string& name) {
    // Nobody changes the environment while workers run.
    const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe)
    return value == nullptr ? "" : value;
}

/// A path with the tokens and variables that ssh_config(5) lets it have; nothing where it takes
/// ssh(1) to know them.
std::optional<std::string> expand(const std::string& path,
                                  const SshRoute& route,
                                  const std::string& given_host) {
    const Account account = own_account();
    const std::string text = expand_home(path, account.home);
    std::string expanded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool is_variable = text.compare(i, 2, "${") == 0;
        if (text[i] != '%' && !is_variable) {
            expanded += text[i];
            continue;
        }
        std::string value;
        if (is_variable) {
            const std::size_t end = std::min(text.find('}', i), text.size());
            value = environment(text.substr(i + 2, end - i - 2));
            i = end;
        } else {
            const std::map<char, std::string> tokens{
                {'%', "%"},
                {'d', account.home},
                {'h', route.endpoint.host},
                {'n', given_host},
                {'p', std::to_string(route.endpoint.port)},
                {'r', route.endpoint.user},
                {'u', account.name},
            };
            const auto found = tokens.find(++i < text.size() ? text[i] : '\0');
            value = found == tokens.end() ? "" : found->second;
        }
        if (value.empty()) {
            return std::nullopt;
        }
        expanded += value;
    }
    return expanded;
}

/// `ssh -G` prints paths without the quotes around them: a word that does not begin a path is the
/// rest of one with a blank in it.
std::vector<std::string> paths_in(const std::string& value) {
    const std::string home = own_account().home;
    std::vector<std::string> paths;
    for (const std::string& word : words_of(value)) {
        if (paths.empty() || word.front() == '/' || word.front() == '~') {
            paths.push_back(expand_home(word, home));
        } else {
            paths.back() += " " + word;
        }
    }
    return paths;
}

/// ssh(1)'s own defaults for what is still empty; of known_hosts where none was `named`.
void complete(SshRoute& route, bool named) {
    const Account account = own_account();
    SshEndpoint& endpoint = route.endpoint;
    if (endpoint.user.empty()) {
        endpoint.user = account.name;
    }
    if (endpoint.port == 0) {
        endpoint.port = k_ssh_port;
    }
    if (endpoint.known_hosts.empty() && !named) {
        endpoint.known_hosts = {account.home + "/.ssh/known_hosts",
                                account.home + "/.ssh/known_hosts2"};
        endpoint.known_hosts.insert(
            endpoint.known_hosts.end(), k_global_known_hosts.begin(), k_global_known_hosts.end());
    }
    if (route.known_as.empty()) {
        route.known_as = known_hosts_name(endpoint.host, endpoint.port);
        route.known_without_port =
            endpoint.port == k_ssh_port ? "" : known_hosts_name(endpoint.host, k_ssh_port);
    }
    if (route.bastion.empty()) {
        route.bastion = endpoint.host;
    }
}

/// What an answer of `ssh -G` says of keys; the usual ones where it says nothing.
struct NamedKeys {
    bool any = false;  ///< also `IdentityFile none`
    std::vector<std::string> files;
    std::string agent;
};

/// Whether the line is of keys.
bool take_key_line(SshRoute& route,
                   NamedKeys& keys,
                   const std::string& keyword,
                   const std::string& value) {
    const bool none = value.empty() || value == "none";
    if (keyword == "identityfile") {
        keys.any = true;
        if (!none) {
            keys.files.push_back(value);
        }
    } else if (keyword == "certificatefile") {
        route.more_keys = route.more_keys || !none;
    } else if (keyword == "identitiesonly") {
        if (value == "yes") {
            route.more_keys = true;
            route.endpoint.use_agent = false;
        }
    } else if (keyword == "identityagent") {
        if (none) {
            route.agent_socket.clear();
        } else if (value != "SSH_AUTH_SOCK") {
            keys.agent = value;
        }
    } else {
        return false;
    }
    return true;
}

/// After complete(), for a path may name user and port.
void take_keys(SshRoute& route, const SshEndpoint& given, NamedKeys named) {
    if (!named.any) {
        for (const char* name : k_usual_identities) {
            named.files.push_back(std::string("~/.ssh/") + name);
        }
    }
    if (given.identity_files.empty()) {
        for (const std::string& file : named.files) {
            const auto path = expand(file, route, given.host);
            if (!path) {
                route.more_keys = true;
            } else if (::access(path->c_str(), R_OK) == 0) {  // most of the usual ones do not exist
                route.endpoint.identity_files.push_back(*path);
            }
        }
    }
    if (named.agent.starts_with("$") && !named.agent.starts_with("${")) {
        route.agent_socket = environment(named.agent.substr(1));
    } else if (!named.agent.empty()) {
        const auto socket = expand(named.agent, route, given.host);
        route.more_keys = route.more_keys || !socket;
        route.agent_socket = socket.value_or("");
    }
}

}  // namespace

std::string SshRoute::peer() const {
    return endpoint.user + "@" + endpoint.host + ":" + std::to_string(endpoint.port);
}

bool config_matters(const std::string& path) {
    return file_matters(path, fs::path(path).parent_path(), 0);
}

SshRoute read_ssh_config(std::string_view answer, const SshEndpoint& given) {
    SshRoute route;
    SshEndpoint& endpoint = route.endpoint;
    endpoint = given;
    route.agent_socket = environment("SSH_AUTH_SOCK");
    NamedKeys keys;
    std::optional<std::vector<std::string>> known_by_user;
    std::vector<std::string> known_everywhere;
    std::istringstream lines{std::string(answer)};
    for (std::string line; std::getline(lines, line);) {
        const auto [keyword, value] = split_line(line);
        if (keyword == "userknownhostsfile") {
            known_by_user = value == "none" ? std::vector<std::string>{} : paths_in(value);
        }
        if (take_key_line(route, keys, keyword, value) || value.empty() || value == "none") {
            continue;
        }
        if (keyword == "hostname") {
            endpoint.host = value;
        } else if (keyword == "user" && given.user.empty()) {
            endpoint.user = value;
        } else if (keyword == "port" && given.port == 0) {
            endpoint.port = static_cast<std::uint16_t>(std::atoi(value.c_str()));
        } else if (keyword == "globalknownhostsfile") {
            known_everywhere = paths_in(value);
        } else if (keyword == "hostkeyalias") {
            route.known_as = value;
        } else if (keyword == "proxyjump") {
            route.proxy = "ProxyJump " + value;
            route.bastion = value.substr(0, value.find(','));
        } else if (keyword == "proxycommand") {
            route.proxy = "ProxyCommand " + value;
        } else {
            apply_policy(route, keyword, value);
        }
    }
    if (given.known_hosts.empty()) {
        // Errors tell to add a key to the first.
        endpoint.known_hosts = known_by_user.value_or(std::vector<std::string>{});
        endpoint.known_hosts.insert(
            endpoint.known_hosts.end(), known_everywhere.begin(), known_everywhere.end());
    }
    complete(route, known_by_user.has_value());
    take_keys(route, given, std::move(keys));
    return route;
}

std::vector<std::string> ssh_config_options(const SshEndpoint& endpoint) {
    std::vector<std::string> words;
    if (!endpoint.config_file.empty()) {
        words.insert(words.end(), {"-F", endpoint.config_file});
    }
    if (endpoint.port != 0) {
        words.insert(words.end(), {"-p", std::to_string(endpoint.port)});
    }
    if (!endpoint.user.empty()) {
        words.insert(words.end(), {"-l", endpoint.user});
    }
    return words;
}

SshRoute find_route(const SshEndpoint& endpoint,
                    ProcessRunner& processes,
                    Deadline deadline,
                    const std::stop_token& stop) {
    const bool own_file = !endpoint.config_file.empty();
    const bool matters = own_file ? endpoint.config_file != "none"
                                  : config_matters(own_account().home + "/.ssh/config") ||
                                        config_matters(k_system_config);
    if (!matters) {
        return read_ssh_config({}, endpoint);
    }
    LocalCommand ask;
    ask.argv = {"ssh", "-G"};
    const std::vector<std::string> options = ssh_config_options(endpoint);
    ask.argv.insert(ask.argv.end(), options.begin(), options.end());
    ask.argv.insert(ask.argv.end(), {"--", endpoint.host});
    std::string complaint;
    try {
        const CommandResult answer = processes.run(ask, deadline.within(k_patience), stop);
        if (answer.ok()) {
            return read_ssh_config(answer.out, endpoint);
        }
        complaint = answer.err.substr(0, answer.err.find('\n'));
    } catch (const TransportError& error) {
        if (error.kind() == Kind::cancelled) {
            throw;
        }
        complaint = error.what();  // whatever it is, nothing was sent to the host
    }
    throw TransportError(Kind::connect,
                         endpoint.host + ": ssh cannot read its configuration: " + complaint,
                         "Mend the file that it names, or set ssh.config_file in the inventory "
                         "(`none` reads no file).");
}

}  // namespace lockstep
