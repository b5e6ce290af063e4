#include "transport/ssh_config.hpp"

#include "base/account.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "transport/known_hosts.hpp"

#include <glob.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace lockstep {

namespace {

namespace fs = std::filesystem;
using Kind = TransportError::Kind;

constexpr std::uint16_t k_ssh_port = 22;
constexpr std::chrono::milliseconds k_patience{5'000};
constexpr int k_deepest_include = 16;  // readconf.c of OpenSSH 9.2: READCONF_MAX_DEPTH
// A Match block may run a program (`Match exec`): it counts by the keywords within it.
constexpr std::array<std::string_view, 12> k_keywords{"hostname",
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
                                                      "proxycommand"};
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
        if (std::find(k_keywords.begin(), k_keywords.end(), keyword) != k_keywords.end()) {
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

/// ssh(1)'s own defaults for what is still empty.
void complete(SshRoute& route) {
    const Account account = own_account();
    SshEndpoint& endpoint = route.endpoint;
    if (endpoint.user.empty()) {
        endpoint.user = account.name;
    }
    if (endpoint.port == 0) {
        endpoint.port = k_ssh_port;
    }
    if (endpoint.identity_files.empty()) {
        for (const char* name : k_usual_identities) {
            std::string path = account.home + "/.ssh/" + name;
            if (::access(path.c_str(), R_OK) == 0) {
                endpoint.identity_files.push_back(std::move(path));
            }
        }
    }
    if (endpoint.known_hosts.empty()) {
        endpoint.known_hosts = {account.home + "/.ssh/known_hosts",
                                account.home + "/.ssh/known_hosts2"};
        endpoint.known_hosts.insert(
            endpoint.known_hosts.end(), k_global_known_hosts.begin(), k_global_known_hosts.end());
    }
    if (route.known_as.empty()) {
        route.known_as = known_hosts_name(endpoint.host, endpoint.port);
    }
    if (route.bastion.empty()) {
        route.bastion = endpoint.host;
    }
}

std::string environment_agent() {
    // Nobody changes the environment while workers run.
    const char* path = std::getenv("SSH_AUTH_SOCK");  // NOLINT(concurrency-mt-unsafe)
    return path == nullptr ? "" : path;
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
    route.agent_socket = environment_agent();
    const std::string home = own_account().home;
    std::istringstream lines{std::string(answer)};
    for (std::string line; std::getline(lines, line);) {
        const auto [keyword, value] = split_line(line);
        if (value.empty() || value == "none") {
            if (keyword == "identityagent") {
                route.agent_socket.clear();
            }
            continue;
        }
        if (keyword == "hostname") {
            endpoint.host = value;
        } else if (keyword == "user" && given.user.empty()) {
            endpoint.user = value;
        } else if (keyword == "port" && given.port == 0) {
            endpoint.port = static_cast<std::uint16_t>(std::atoi(value.c_str()));
        } else if (keyword == "identityfile" && given.identity_files.empty()) {
            std::string path = expand_home(value, home);
            if (::access(path.c_str(), R_OK) == 0) {  // most of the usual ones do not exist
                endpoint.identity_files.push_back(std::move(path));
            }
        } else if (keyword == "certificatefile") {
            route.more_keys = true;
        } else if (keyword == "identitiesonly" && value == "yes") {
            route.more_keys = true;
            endpoint.use_agent = false;
        } else if (keyword == "identityagent" && value != "SSH_AUTH_SOCK") {
            route.agent_socket = expand_home(value, home);
        } else if ((keyword == "userknownhostsfile" || keyword == "globalknownhostsfile") &&
                   given.known_hosts.empty()) {
            for (const std::string& path : words_of(value)) {
                endpoint.known_hosts.push_back(expand_home(path, home));
            }
        } else if (keyword == "hostkeyalias") {
            route.known_as = value;
        } else if (keyword == "proxyjump") {
            route.proxy = "ProxyJump " + value;
            route.bastion = value.substr(0, value.find(','));
        } else if (keyword == "proxycommand") {
            route.proxy = "ProxyCommand " + value;
        }
    }
    complete(route);
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
