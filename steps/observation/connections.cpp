#include "steps/observation/connections.hpp"

#include "base/account.hpp"
#include "base/error.hpp"
#include "base/host_name.hpp"
#include "base/shell_quote.hpp"
#include "base/url.hpp"
#include "steps/observation/guarded_http_client.hpp"
#include "steps/observation/patroni_api.hpp"
#include "transport/ssh_http_client.hpp"

#include <array>

namespace lockstep {

namespace {

SshClient client_of(SshSettings::Client client) {
    switch (client) {
        case SshSettings::Client::libssh2:
            return SshClient::libssh2;
        case SshSettings::Client::openssh:
            return SshClient::openssh;
        case SshSettings::Client::automatic:
            break;
    }
    return SshClient::automatic;
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

/// What stands before psql, for somebody who is root or else PostgreSQL's own user. Who logs in may
/// be for ssh's configuration to say, so the member is asked.
std::string psql_become(const SshSettings& ssh, const std::string& os_user) {
    const std::string become =
        shell_join(std::array<std::string, 4>{"runuser", "-u", os_user, "--"});
    if (ssh.become == Become::none && ssh.user.empty()) {
        return "$([ \"$(id -un)\" = " + shell_quote(os_user) + " ] || echo " + become + ")";
    }
    return ssh.become == Become::none && ssh.user == os_user ? std::string() : become;
}

}  // namespace

Connections::Connections(const Cluster& cluster, ConnectionFactory factory)
    : cluster_(cluster), factory_(std::move(factory)), process_(factory_.process()) {}

Secret Connections::secret(const SecretRef& ref) {
    const std::string key = describe(ref);
    const auto known = secrets_.find(key);
    if (known != secrets_.end()) {
        return known->second;
    }
    return secrets_.emplace(key, resolve_secret(ref, *process_)).first->second;
}

void Connections::keep_hosts() {
    const std::lock_guard lock(mutex_);
    hosts_stay_ = true;
}

SshEndpoint Connections::endpoint(const MemberFacts& at) {
    const SshSettings settings = cluster_.ssh_of(at.name);
    SshEndpoint endpoint;
    endpoint.host = settings.host;
    if (settings.host.empty() && is_host_name(at.host)) {  // what others say is no option of ssh
        endpoint.host = at.host;
    }
    endpoint.port = settings.port;
    endpoint.user = settings.user;
    endpoint.identity_files = settings.identity_files;
    if (settings.passphrase) {
        endpoint.passphrase = secret(*settings.passphrase);
    }
    if (!settings.known_hosts.empty()) {
        endpoint.known_hosts = {settings.known_hosts};
    }
    endpoint.config_file = settings.config_file;
    endpoint.client = client_of(settings.client);
    return endpoint;
}

std::optional<SudoSettings> Connections::sudo_settings(const SshSettings& ssh,
                                                       const std::string& user) {
    if (ssh.become == Become::none || user == "root") {
        return std::nullopt;
    }
    SudoSettings settings{.user = user.empty() ? own_account().name : user,
                          .password = std::nullopt};
    if (ssh.become_password) {
        settings.password = secret(*ssh.become_password);
    }
    return settings;
}

HttpSettings Connections::http_settings() {
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

MemberConnections& Connections::of(const MemberFacts& at) {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<MemberConnections>& link = connections_[at.name];
    SshEndpoint ssh = endpoint(at);
    const bool stays = hosts_stay_ && link && !link->ssh_settings.host.empty();
    if (link && (stays || ssh.host.empty() || ssh.host == link->ssh_settings.host)) {
        return *link;
    }
    if (link) {
        retired_.push_back(std::move(link));
    }
    auto made = std::make_unique<MemberConnections>();
    made->member = at.name;
    made->ssh_settings = cluster_.ssh_of(at.name);
    made->ssh_settings.host = ssh.host;
    made->ssh_settings.user = ssh.user;
    made->ssh = factory_.ssh(std::move(ssh));
    if (auto sudo = sudo_settings(made->ssh_settings, made->ssh_settings.user)) {
        made->sudo = make_sudo_session(*made->ssh, std::move(*sudo));
    }
    made->http = http(at);
    if (cluster_.postgres.via == PostgresSettings::Via::direct) {
        made->sql = extra_sql(at);
    } else {
        made->sql = make_psql_client(made->root(), psql_settings(at));
    }
    link = std::move(made);
    return *link;
}

std::unique_ptr<HttpClient> Connections::http(const MemberFacts& at) {
    if (cluster_.patroni.via == PatroniSettings::Via::direct) {
        return make_guarded_http_client(factory_.http(http_settings()), cluster_, {});
    }
    SshEndpoint there = endpoint(at);
    std::string host = there.host;
    return make_guarded_http_client(
        make_ssh_http_client(factory_.ssh(std::move(there)), http_settings()),
        cluster_,
        std::move(host));
}

void Connections::give_back(const std::string& url, std::unique_ptr<HttpClient> client) {
    const std::lock_guard lock(mutex_);
    idle_endpoints_.emplace(url, std::move(client));
}

std::unique_ptr<HttpClient> Connections::lend_endpoint(const std::string& url) {
    const std::lock_guard lock(mutex_);
    if (auto idle = idle_endpoints_.extract(url)) {
        return std::move(idle.mapped());
    }
    MemberFacts at;
    at.host = url_host(url);
    for (const MemberSettings& member : cluster_.members) {
        if (member.ssh.host == at.host || member.name == at.host) {
            at.name = member.name;
        }
    }
    return http(at);
}

std::unique_ptr<SshSession> Connections::extra_session(const MemberFacts& at) {
    const std::lock_guard lock(mutex_);
    SshEndpoint ssh = endpoint(at);
    const auto known = connections_.find(at.name);
    if (hosts_stay_ && known != connections_.end() && !known->second->ssh_settings.host.empty()) {
        ssh.host = known->second->ssh_settings.host;
    }
    std::optional<SudoSettings> sudo = sudo_settings(cluster_.ssh_of(at.name), ssh.user);
    std::unique_ptr<SshSession> session = factory_.ssh(std::move(ssh));
    return sudo ? make_sudo_session(std::move(session), std::move(*sudo)) : std::move(session);
}

std::unique_ptr<SqlClient> Connections::extra_sql(const MemberFacts& at) {
    PqEndpoint direct;
    direct.conninfo = cluster_.postgres.dsn;
    direct.host = at.pg_host;
    direct.port = at.pg_port;
    direct.database = cluster_.postgres.database;
    return factory_.pq(std::move(direct));
}

PsqlSettings Connections::psql_settings(const MemberFacts& at) {
    return {.become = psql_become(cluster_.ssh_of(at.name), cluster_.postgres.os_user),
            .port = at.pg_port,
            .user = cluster_.postgres.user,
            .database = cluster_.postgres.database};
}

}  // namespace lockstep
