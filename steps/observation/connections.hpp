#pragma once

#include "cluster/facts.hpp"
#include "inventory/inventory.hpp"
#include "transport/http_client.hpp"
#include "transport/mailer.hpp"
#include "transport/process_runner.hpp"
#include "transport/sql_client.hpp"
#include "transport/ssh_session.hpp"
#include "transport/sudo_session.hpp"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

/// The live connections of a run: one SSH session and one HTTP client a member, opened at first
/// use and kept to the end.
namespace lockstep {

/// Makes connections; the seam under which tests put their fakes.
struct ConnectionFactory {
    std::function<std::unique_ptr<SshSession>(SshEndpoint)> ssh = make_ssh_session;
    std::function<std::unique_ptr<HttpClient>(HttpSettings)> http = make_curl_client;
    std::function<std::unique_ptr<Mailer>(MailSettings)> mail = make_curl_mailer;
    std::function<std::unique_ptr<SqlClient>(PqEndpoint)> pq = make_pq_client;
    std::function<std::unique_ptr<ProcessRunner>()> process = make_process_runner;
};

/// Everything that reaches one member. Whoever uses `ssh`, root() or `sql` holds `ssh_use`
/// meanwhile, and `http_use` for `http`: a session serves one thread at a time.
struct MemberConnections {
    std::string member;
    SshSettings ssh_settings;
    std::unique_ptr<SshSession> ssh;   ///< as who logs in
    std::unique_ptr<SshSession> sudo;  ///< over `ssh`, as root; null: `ssh` is as good as it gets
    std::unique_ptr<SqlClient> sql;    ///< through ssh, or direct
    std::unique_ptr<HttpClient> http;
    std::mutex ssh_use;
    std::mutex http_use;

    /// The session that works on the member: as root, unless the inventory says that the login
    /// stays as it is.
    [[nodiscard]] SshSession& root() const { return sudo ? *sudo : *ssh; }
};

/// Connections by member; made when first asked for, and anew when a member has another host than
/// before. Safe to use from several threads.
class Connections {
  public:
    Connections(const Cluster& cluster, ConnectionFactory factory);

    /// From now on a member stays on the host on which it was found: a run does not follow what
    /// somebody says of it meanwhile.
    void keep_hosts();

    /// `at` says where the member is: host, api_url, pg_port.
    MemberConnections& of(const MemberFacts& at);
    /// Lends a client for one of the inventory's endpoints, of which nobody knows yet to which
    /// member it belongs. A client that was given back is lent again, since over SSH each new one
    /// is a login.
    [[nodiscard]] std::unique_ptr<HttpClient> lend_endpoint(const std::string& url);
    void give_back(const std::string& url, std::unique_ptr<HttpClient> client);
    /// One more session to a member, as MemberConnections::root(), owned by the caller: for work
    /// beside the run's own.
    [[nodiscard]] std::unique_ptr<SshSession> extra_session(const MemberFacts& at);
    /// One more libpq connection to a member, from here, owned by the caller.
    [[nodiscard]] std::unique_ptr<SqlClient> extra_sql(const MemberFacts& at);
    /// How psql is started on the member, in a session as MemberConnections::root().
    [[nodiscard]] PsqlSettings psql_settings(const MemberFacts& at);

    [[nodiscard]] ProcessRunner& process() { return *process_; }

    [[nodiscard]] const Cluster& cluster() const { return cluster_; }

  private:
    [[nodiscard]] SshEndpoint endpoint(const MemberFacts& at);
    [[nodiscard]] HttpSettings http_settings();
    /// An HTTP client from here, or by the member's own curl. The latter has a session of its own,
    /// because a command that runs for minutes must not keep anybody from asking how the member is.
    [[nodiscard]] std::unique_ptr<HttpClient> http(const MemberFacts& at);
    /// nullopt: no sudo is needed.
    [[nodiscard]] std::optional<SudoSettings> sudo_settings(const SshSettings& ssh,
                                                            const std::string& user);
    /// Each reference is resolved once; `mutex_` is held.
    [[nodiscard]] Secret secret(const SecretRef& ref);

    const Cluster& cluster_;
    ConnectionFactory factory_;
    std::unique_ptr<ProcessRunner> process_;
    std::mutex mutex_;
    bool hosts_stay_ = false;
    std::map<std::string, std::unique_ptr<MemberConnections>> connections_;
    /// Connections to hosts that a member had before: another thread may still use one.
    std::vector<std::unique_ptr<MemberConnections>> retired_;
    std::multimap<std::string, std::unique_ptr<HttpClient>> idle_endpoints_;
    std::map<std::string, Secret> secrets_;  ///< by what the reference says
};

/// The text of a secret. Throws Error that names the reference, never the value.
[[nodiscard]] Secret resolve_secret(const SecretRef& ref, ProcessRunner& processes);

}  // namespace lockstep
