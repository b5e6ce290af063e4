#include "steps/observation/links.hpp"

#include "base/account.hpp"
#include "base/error.hpp"
#include "base/shell_quote.hpp"

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
    SshEndpoint endpoint;
    endpoint.host = settings.host.empty() ? at.host : settings.host;
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

HttpClient& Links::discovery() {
    const std::lock_guard lock(mutex_);
    if (!discovery_) {
        discovery_ = factory_.http(http_settings());
    }
    return *discovery_;
}

std::unique_ptr<HttpClient> Links::extra_http() {
    const std::lock_guard lock(mutex_);
    return factory_.http(http_settings());
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
