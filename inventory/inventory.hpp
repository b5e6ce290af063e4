#pragma once

/// inventory/: clusters and how to reach them, who may approve and who is told, as a person wrote
/// them down. It reads that file and connects to nothing: what is really there is in
/// cluster/facts.hpp. Read this file first, then inventory_language.cpp, which has every key, and
/// inventory_loader.cpp.

#include "base/error.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lockstep {

/// Where a secret comes from. Resolved at the moment of use, never kept in a plan or journal.
struct SecretRef {
    struct Env {
        std::string name;
    };

    struct File {
        std::string path;  ///< the first line counts
    };

    struct Command {
        std::vector<std::string> argv;  ///< the first line of its stdout counts
    };

    std::variant<Env, File, Command> source;
    SourceLocation where;
};

/// How Patroni's REST API is spoken to.
struct PatroniSettings {
    enum class Via { direct, ssh };

    std::vector<std::string> endpoints;  ///< any one that answers is enough: members are discovered
    std::string username;                ///< empty: no basic authentication
    std::optional<SecretRef> password;
    std::string ca_file;
    std::string cert_file;
    std::string key_file;
    bool insecure_skip_verify = false;
    Via via = Via::direct;  ///< ssh: by the curl of the member that is asked

    /// Whether nobody between here and a member can answer for it: TLS that is verified, or SSH.
    [[nodiscard]] bool is_authenticated() const;
};

enum class Become { none, sudo };

/// How members are logged into. Per member what is set there, else of the cluster, else `defaults`.
/// Empty, but for the host, leaves it to ssh's own configuration, and to ssh's defaults.
struct SshSettings {
    enum class Client { automatic, libssh2, openssh };

    std::string host;  ///< empty: the host that Patroni publishes for the member
    std::string user;
    std::uint16_t port = 0;                   ///< 0: empty
    std::vector<std::string> identity_files;  ///< `identity_file`, ~ expanded
    std::optional<SecretRef> passphrase;
    std::string known_hosts;  ///< ~ expanded
    std::string config_file;  ///< ~ expanded; instead of ssh's own files; `none`: none at all
    Client client = Client::automatic;
    Become become = Become::none;
    std::optional<SecretRef> become_password;  ///< for sudo; absent: it must not ask
};

struct PostgresSettings {
    enum class Via { ssh, direct };

    Via via = Via::ssh;
    std::string dsn;  ///< for direct: a libpq conninfo; host and port come from Patroni
    std::string os_user = "postgres";   ///< for ssh: who runs psql on the member
    std::string user;                   ///< for ssh: the role; empty: the one named as os_user
    std::string database = "postgres";  ///< where no step says another
    SourceLocation dsn_where;
    SourceLocation user_where;
};

/// A member that must exist, with its own settings already merged in.
struct MemberSettings {
    std::string name;
    SshSettings ssh;
    SourceLocation where;
};

struct Cluster {
    std::string name;
    PatroniSettings patroni;
    SshSettings ssh;
    PostgresSettings postgres;
    std::string patroni_service = "patroni";
    std::string patroni_package = "patroni";
    std::vector<MemberSettings> members;        ///< empty: whoever Patroni lists
    std::vector<std::string> notify_targets{};  ///< the names in Inventory::notify
    SourceLocation where;

    /// What to know where Patroni's REST API is not authenticated, in one line; empty: it is.
    [[nodiscard]] std::string note_on_rest() const;
    /// The settings for a member by name: its own entry, else the cluster's.
    [[nodiscard]] SshSettings ssh_of(std::string_view member) const;
};

/// A text that may be a secret: as it stands in the inventory, or from elsewhere.
using TextOrSecret = std::variant<std::string, SecretRef>;

/// A JSON document by POST, in the form that Slack and what imitates it take.
struct WebhookTarget {
    TextOrSecret url;  ///< a text was checked by webhook_trouble(); a secret was not yet
    std::map<std::string, TextOrSecret> headers;
    std::string ca_file;    ///< empty: the system's authorities
    bool insecure = false;  ///< http without TLS to another machine is wanted
};

struct MailTarget {
    std::string url;   ///< `smtp://host[:port]` (STARTTLS) or `smtps://host[:port]`
    bool tls = true;   ///< false: `tls: none` was said of smtp://
    std::string from;  ///< an address, as those in `to`: ASCII, one @, no white space or brackets
    std::vector<std::string> to;
    std::string username;  ///< empty: no login
    std::optional<SecretRef> password;
    std::string ca_file;
};

/// A program of this machine, without a shell.
struct CommandTarget {
    std::vector<std::string> argv;
};

/// Where a notification goes.
using NotifyTarget = std::variant<WebhookTarget, MailTarget, CommandTarget>;
using NotifyTargets = std::map<std::string, NotifyTarget, std::less<>>;

/// Somebody who can prove an approval.
struct Approver {
    SecretRef secret;  ///< the key of an HMAC
    SourceLocation where;
};

struct Inventory {
    std::string path;
    std::string text;  ///< as read, for the hash that a run pins
    std::vector<Cluster> clusters;
    /// Who may approve, by group: `anna` on any host, or `anna@jump1`.
    std::map<std::string, std::vector<std::string>, std::less<>> groups{};
    std::map<std::string, Approver, std::less<>> approvers{};  ///< by the name of the user
    NotifyTargets notify{};                                    ///< by name

    /// Throws UsageError with a did-you-mean. An empty name means the only cluster there is.
    [[nodiscard]] const Cluster& cluster(std::string_view name) const;
    /// Whether `who` (`user@host`) is one of that group; false for a group that there is not.
    [[nodiscard]] bool is_in_group(std::string_view who, std::string_view group) const;
};

/// `anna` of `anna@jump1`; the host is behind the last @.
[[nodiscard]] std::string_view user_of(std::string_view who);
/// Whether `who` (`user@host`) is meant by `anna`, on any host, or by `anna@jump1`.
[[nodiscard]] bool is_meant_by(std::string_view name, std::string_view who);

/// Why nothing is posted to a URL; empty: nothing speaks against it. It is not quoted: such URLs
/// are secrets. `insecure`: http to other machines than this one is all right.
[[nodiscard]] std::string webhook_trouble(std::string_view url, bool insecure);
/// The host of a URL without trouble.
[[nodiscard]] std::string host_of(std::string_view url);

/// Throws InputError with `file:line:column`. Relative paths in it count from the file's folder.
[[nodiscard]] Inventory load_inventory(const std::string& path);
[[nodiscard]] Inventory parse_inventory(const std::string& text, const std::string& file_name);

}  // namespace lockstep
