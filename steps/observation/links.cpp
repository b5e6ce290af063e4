#include "steps/observation/links.hpp"

#include "base/error.hpp"
#include "base/shell_quote.hpp"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

namespace lockstep {

namespace {

struct Account {
    std::string name;
    std::string home;
};

// getpwuid_r and not $USER: under sudo and cron the environment says something else.
Account own_account() {
    passwd entry{};
    passwd* found = nullptr;
    std::array<char, 4096> buffer{};
    if (::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
        found == nullptr) {
        return {};
    }
    Account account{found->pw_name, found->pw_dir};
    if (const char* home = std::getenv("HOME")) {  // NOLINT(concurrency-mt-unsafe)
        account.home = home;
    }
    return account;
}

// What ssh(1) tries when nothing is named, without the kinds that libssh2 1.10 cannot use.
std::vector<std::string> usual_identity_files(const std::string& home) {
    std::vector<std::string> files;
    for (const char* name : {"id_ed25519", "id_ecdsa", "id_rsa"}) {
        std::string path = home + "/.ssh/" + name;
        if (::access(path.c_str(), R_OK) == 0) {
            files.push_back(std::move(path));
        }
    }
    return files;
}

// Two references that say the same are the same secret.
std::string describe(const SecretRef& ref) {
    if (const auto* env = std::get_if<SecretRef::Env>(&ref.source)) {
        return "env " + env->name;
    }
    if (const auto* file = std::get_if<SecretRef::File>(&ref.source)) {
        return "file " + file->path;
    }
    return "command " + shell_join(std::get<SecretRef::Command>(ref.source).argv);
}

std::string psql_become(const SshSettings& ssh, const std::string& os_user) {
    if (ssh.become == Become::sudo) {
        return shell_join(std::array<std::string, 5>{"sudo", "-n", "-u", os_user, "--"});
    }
    if (ssh.user == os_user) {
        return {};
    }
    return shell_join(std::array<std::string, 4>{"runuser", "-u", os_user, "--"});
}

}  // namespace

// -n: a password prompt would wait for ever, and there is no terminal to answer it.
std::string MemberLink::as_root(const std::string& script) const {
    if (ssh_settings.become == Become::none) {
        return script;
    }
    return "sudo -n -- /bin/sh -c " + shell_quote(script);
}

Links::Links(const Cluster& cluster, LinkFactory factory)
    : cluster_(cluster), factory_(std::move(factory)), process_(factory_.process()) {}

Secret Links::secret(const SecretRef& ref) {
    const std::string key = describe(ref);
    const auto known = secrets_.find(key);
    if (known != secrets_.end()) {
        return known->second;
    }
    return secrets_.emplace(key, resolve_secret(ref, *process_)).first->second;
}

SshEndpoint Links::endpoint(const MemberFacts& at) {
    const SshSettings settings = cluster_.ssh_of(at.name);
    const Account account = own_account();
    SshEndpoint endpoint;
    endpoint.host = settings.host.empty() ? at.host : settings.host;
    endpoint.port = settings.port;
    endpoint.user = settings.user.empty() ? account.name : settings.user;
    endpoint.identity_files = settings.identity_files.empty() ? usual_identity_files(account.home)
                                                              : settings.identity_files;
    if (settings.passphrase) {
        endpoint.passphrase = secret(*settings.passphrase);
    }
    endpoint.known_hosts =
        settings.known_hosts.empty() ? account.home + "/.ssh/known_hosts" : settings.known_hosts;
    return endpoint;
}

HttpSettings Links::http_settings() {
    const PatroniSettings& patroni = cluster_.patroni;
    HttpSettings settings;
    settings.username = patroni.username;
    if (patroni.password) {
        settings.password = secret(*patroni.password);
    }
    settings.ca_file = patroni.ca_file;
    settings.cert_file = patroni.cert_file;
    settings.key_file = patroni.key_file;
    settings.verify = !patroni.insecure_skip_verify;
    return settings;
}

MemberLink& Links::of(const MemberFacts& at) {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<MemberLink>& link = links_[at.name];
    SshEndpoint ssh = endpoint(at);
    if (link && (ssh.host.empty() || ssh.host == link->ssh_settings.host)) {
        return *link;
    }
    if (link) {
        retired_.push_back(std::move(link));
    }
    auto made = std::make_unique<MemberLink>();
    made->member = at.name;
    made->ssh_settings = cluster_.ssh_of(at.name);
    made->ssh_settings.host = ssh.host;
    made->ssh_settings.user = ssh.user;
    made->ssh = factory_.ssh(std::move(ssh));
    made->http = factory_.http(http_settings());
    if (cluster_.postgres.via == PostgresSettings::Via::direct) {
        made->sql = extra_sql(at);
    } else {
        made->sql = make_psql_client(*made->ssh, psql_settings(at));
    }
    link = std::move(made);
    return *link;
}

Links::HttpClients Links::take_endpoint_clients() {
    const std::lock_guard lock(mutex_);
    HttpClients clients;
    if (!endpoint_clients_.empty()) {
        clients = std::move(endpoint_clients_.back());
        endpoint_clients_.pop_back();
    }
    while (clients.size() < cluster_.patroni.endpoints.size()) {
        clients.push_back(factory_.http(http_settings()));
    }
    return clients;
}

void Links::give_back(HttpClients clients) {
    const std::lock_guard lock(mutex_);
    endpoint_clients_.push_back(std::move(clients));
}

std::unique_ptr<SshSession> Links::extra_session(const MemberFacts& at) {
    const std::lock_guard lock(mutex_);
    return factory_.ssh(endpoint(at));
}

std::unique_ptr<SqlClient> Links::extra_sql(const MemberFacts& at) {
    PqEndpoint direct;
    direct.conninfo = cluster_.postgres.dsn;
    direct.host = at.pg_host;
    direct.port = at.pg_port;
    return factory_.pq(std::move(direct));
}

PsqlSettings Links::psql_settings(const MemberFacts& at) {
    SshSettings settings = cluster_.ssh_of(at.name);
    if (settings.user.empty()) {
        settings.user = own_account().name;
    }
    return {.become = psql_become(settings, cluster_.postgres.os_user), .port = at.pg_port};
}

}  // namespace lockstep
