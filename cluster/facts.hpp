#pragma once

/// cluster/: what is known of a cluster, and what it means: facts, the findings that diagnosis
/// makes of them, and the samples of earlier looks. It asks no member, which is for
/// steps/observation/, and judges no versions by what is known of them, which is for
/// engine/knowledge/. Read this file first, then diagnosis.hpp; sample_history.hpp is the only part
/// that keeps files.

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What was observed of a cluster at one moment. Plain data: a fact that could not be had is
/// absent (nullopt or an empty text), never a guess. The JSON of it is what `check --output json`
/// prints *and* what expressions see as `cluster` and `member`: one rendering for both.
namespace lockstep {

/// An LSN as a byte position.
using Lsn = std::uint64_t;

/// `0/4000060` of an LSN and back; nullopt when it is none.
[[nodiscard]] std::string format_lsn(Lsn lsn);
[[nodiscard]] std::optional<Lsn> parse_lsn(std::string_view text);

/// Whether one way to a member worked. Empty error: it did.
struct Access {
    bool asked = false;  ///< false: this observation did not need it
    std::string error;
    std::string hint;
    bool refused = false;  ///< it answered, but does not let us in (401, 403, host key, login)

    [[nodiscard]] bool ok() const { return asked && error.empty(); }

    [[nodiscard]] bool failed() const { return asked && !error.empty(); }
};

/// Whom a slot is there for.
enum class SlotServes {
    member,     ///< named after a member of the cluster
    absent,     ///< a member that is away: Patroni 4.0+ keeps its slot for `member_slots_ttl`
    permanent,  ///< in the `slots` of the dynamic configuration
    consumer,   ///< a logical slot, or one that something is connected to
    orphan,     ///< nobody that we know of
};

[[nodiscard]] std::string_view to_text(SlotServes serves);

struct SlotFacts {
    std::string name;
    std::string type;      ///< physical | logical
    std::string plugin;    ///< of a logical slot
    std::string database;  ///< of a logical slot
    bool active = false;
    std::optional<Lsn> restart_lsn;  ///< absent: invalidated, or never reserved
    std::optional<Lsn> confirmed;    ///< of a logical slot: what its reader has confirmed
    std::optional<std::int64_t> retained_bytes;
    std::string wal_status;  ///< PostgreSQL 13+; on a replica it is not to be trusted
    SlotServes serves = SlotServes::orphan;
    bool stuck = false;  ///< decided by diagnosis from two samples
    /// PostgreSQL 17+: this is a copy of the leader's slot, which the replica makes and moves by
    /// itself, and lets nobody drop (sync_replication_slots).
    bool synced = false;
};

/// pg_stat_archiver, and what waits. Times are seconds ago, by the member's own clock.
struct ArchiverFacts {
    std::int64_t failed = 0;  ///< attempts that failed since the statistics were reset
    std::string last_failed_wal;
    std::optional<std::int64_t> last_failed_ago;
    std::optional<std::int64_t> last_archived_ago;
    std::optional<std::int64_t> waiting;  ///< segments that are not archived yet (PostgreSQL 13+)
};

/// What has an xid for longest: a logical slot cannot move past its begin.
struct TransactionFacts {
    std::int64_t pid = 0;  ///< 0: it is prepared, and no process has it
    std::int64_t age_seconds = 0;
    std::string xid;
    std::string name;  ///< application_name of the session, or the id of the prepared transaction
};

/// What pg_wal holds and why it could be there.
struct WalFacts {
    std::int64_t bytes = 0;
    std::int64_t files = 0;
    std::int64_t segment_bytes = 0;
    std::optional<Lsn> oldest;  ///< start of the oldest segment that is still there
    std::optional<Lsn> redo;    ///< where recovery would start: last checkpoint or restartpoint
    std::int64_t max_wal_size = 0;
    std::int64_t min_wal_size = 0;
    std::int64_t keep_size = 0;  ///< wal_keep_size, or wal_keep_segments before PostgreSQL 13
    std::int64_t max_slot_wal_keep_size = -1;  ///< PostgreSQL 13+; -1: without limit
    bool archiving_fails =
        false;  ///< the archiver's last attempt failed: it holds what it has not got away
    /// Absent: nothing is archived here. A replica archives with archive_mode=always alone.
    std::optional<ArchiverFacts> archiver;
    /// Since the last checkpoint began, by the member's own clock; on a replica since the leader
    /// began, by its clock, the checkpoint that was the last restartpoint here.
    std::optional<std::int64_t> checkpoint_age_seconds;
    std::int64_t checkpoint_timeout_seconds = 0;
    std::int64_t apply_delay_ms = 0;  ///< recovery_min_apply_delay (a parameter from 12 on)
    std::int64_t base_backups = 0;    ///< that are being taken from it now (PostgreSQL 13+)
    std::optional<TransactionFacts> oldest_transaction;  ///< absent: none has an xid
    /// By samples of before, where `check` has any: see growth.hpp. Negative: it shrinks.
    std::optional<double> growth_per_second;

    /// Bytes that are kept although a restart would not need them: what slots, keep_size and a
    /// failing archiver hold. Recycled files for the future do not count.
    [[nodiscard]] std::optional<std::int64_t> held_bytes() const;
};

/// A file system.
struct DiskFacts {
    std::string mount;
    std::int64_t free_bytes = 0;
    std::int64_t total_bytes = 0;
};

/// The systemd unit of the Patroni daemon, seconds since the epoch by the member's own clock.
struct UnitFacts {
    std::string active_state;  ///< active, failed, inactive, …
    std::string sub_state;
    std::int64_t main_pid = 0;
    std::int64_t started_at = 0;          ///< 0: not running
    std::int64_t package_changed_at = 0;  ///< when the package's files last changed; 0: unknown
    std::int64_t restarts = 0;  ///< by systemd itself, since somebody started it (systemd 235)

    /// It ended and systemd starts it again, so that it may look active at any moment.
    [[nodiscard]] bool fails_again_and_again() const {
        return sub_state == "auto-restart" || restarts > 1;
    }
};

/// A unit of Patroni on a host: by its name, or because a Patroni runs in its cgroup.
struct PatroniUnit {
    std::string name;          ///< without `.service`
    std::string active_state;  ///< empty: known by its cgroup alone
};

struct PostmasterFacts {
    std::int64_t pid = 0;
    std::int64_t port = 0;
    std::string data_directory;
    std::string unit;  ///< in whose cgroup it runs; empty: in none
};

/// What the host of a member has of Patroni and PostgreSQL, whosever it is. All of it was seen by
/// one script at one moment.
struct HostFacts {
    std::string unit;        ///< that of the inventory, as systemd calls it, without `.service`
    std::string load_state;  ///< of that: loaded, masked, not-found, …
    std::string unit_state;  ///< ActiveState of that
    std::string kill_mode;   ///< of that; empty: not told
    /// The unit in whose cgroup the Patroni of this cluster runs; empty: not known.
    std::string daemon_unit;
    std::int64_t daemon_pid = 0;
    std::vector<PatroniUnit> patronis;         ///< all of them, that unit as well
    std::vector<PostmasterFacts> postmasters;  ///< all that we may look at

    /// The postmaster of this data directory, else of this port; nullptr: none was seen.
    [[nodiscard]] const PostmasterFacts* postmaster(std::string_view data_directory,
                                                    std::int64_t port) const;
    /// Units of other Patronis that are up, or are being started again and again.
    [[nodiscard]] std::vector<std::string> others() const;
};

/// What changes packages or restarts services of a host by itself. Of apt alone; by the files of
/// the programs, which are root's.
struct UpkeepFacts {
    /// needrestart restarts services after a change of packages, without a question: mode `a`, or
    /// Ubuntu's own (`-m u`) where no mode is set.
    bool needrestart = false;
    std::vector<std::string> spared;  ///< of patroni, postgres and etcd: those that it is told of
    bool etcd = false;                ///< one runs there
    bool unattended = false;          ///< unattended-upgrades installs by its timer
    bool unattended_pgdg = false;     ///< from PGDG's repository, too
    std::vector<std::string> unattended_not;  ///< its Package-Blacklist: patterns of names
    /// policy-rc.d ends with 101: no package starts or restarts a service there.
    bool no_restarts = false;
};

struct PatroniFacts {
    std::string running;                 ///< by its own REST API
    std::string installed;               ///< package version
    bool held = false;                   ///< that package is on hold (dpkg)
    std::vector<std::string> available;  ///< package versions that the member's repositories have
};

/// What Patroni was set up with on a member: its configuration file, and the Python that runs it.
/// Read there by that Python, which tells only what is below: no secret leaves the member.
struct SetupFacts {
    std::string file;             ///< path of its configuration
    std::int64_t changed_at = 0;  ///< of that file, seconds since the epoch
    std::vector<std::string>
        dcs;              ///< its sections for one: etcd, etcd3, consul, zookeeper, raft, …
    std::string python;   ///< `3.13.5`
    std::string program;  ///< the file of Patroni's code that this Python loads
    std::optional<bool> packaged;                ///< whether that is of the package patroni_package
    std::map<std::string, std::string> modules;  ///< of Python: ydiff, psycopg2, … -> version
    bool has_bootstrap_users = false;
    bool has_dcs_user = false;  ///< it logs in to etcd
    std::string verify_client;  ///< restapi.verify_client; empty: not set
    bool has_ctl_certificate = false;
    bool allowlist_by_members = false;  ///< restapi.allowlist_include_members
    nlohmann::json parameters;          ///< postgresql.parameters of the file: name -> value
    std::string name;   ///< whose configuration it is: of the member, and of its cluster; both by
    std::string scope;  ///< the environment before the file. Empty: not told
};

struct OsFacts {
    std::string id;       ///< `debian`, of /etc/os-release
    std::string version;  ///< `13`
    std::string libc;     ///< `2.41`: text indexes depend on its collations
    /// What installs packages there: apt | dnf | yum; empty: none of them.
    std::string package_tool;
    std::optional<bool> systemd;  ///< it was booted with it (sd_booted(3)); a container was not
};

struct PostgresFacts {
    std::string running;     ///< `17.12`
    std::string installed;   ///< version of the server package
    std::string package;     ///< its name: postgresql-17
    bool held = false;       ///< that package is on hold (dpkg)
    std::string started_at;  ///< of the postmaster, ISO 8601 in UTC; compared by same_start()
    std::string data_directory;
    /// Parameters as they run, by name, as SHOW prints them: those that members must have alike, or
    /// a replica not smaller than the leader, and those that the member's own configuration sets.
    std::map<std::string, std::string> settings;
};

/// The lock of lockstep, as it is on one member. Times are by the clock of that.
struct LockFacts {
    std::string id;
    std::string run;
    std::string who;                      ///< `user@host`
    std::int64_t since = 0;               ///< seconds since the epoch
    std::int64_t expires_in_seconds = 0;  ///< not above 0: it expired so long ago
    std::string left;                     ///< what its run has in force, or left: `patroni.pause`
    bool engine_gone = false;             ///< certainly: it ran on this machine, and died

    [[nodiscard]] bool held() const { return expires_in_seconds > 0 && !engine_gone; }
};

/// A command of a run that was started detached on a member.
struct SpoolEntry {
    std::string key;    ///< `RUN.…`
    std::string state;  ///< running | ended | died: without an exit status
    std::int64_t age_seconds = 0;

    bool owner_known = true;  ///< false: it does not say for which cluster it was started

    [[nodiscard]] std::string run() const { return key.substr(0, key.find('.')); }
};

/// What lockstep itself has on a member.
struct LeftoverFacts {
    std::optional<LockFacts> lock;
    std::vector<SpoolEntry> spool;
    std::optional<std::int64_t> fence;  ///< see cluster/fences.hpp; in no JSON
};

struct ClusterFacts;

/// What one address of Patroni's REST API says of the cluster: an endpoint of the inventory, or a
/// member's own. Or what the daemon of a member says on its own host, asked over SSH.
struct EndpointFacts {
    std::string url;        ///< over SSH: the member's name and `over SSH`
    bool given = false;     ///< in the inventory, and no member's own
    bool over_ssh = false;  ///< nobody in between can have said it
    bool answers = false;   ///< /patroni, that is, or /cluster
    std::string error;      ///< why it says nothing of the cluster; empty: it does
    std::string member;     ///< whose it is, by its own word; empty: Patroni before 3.2
    std::string scope;      ///< empty: not told, as everything below
    std::string system_identifier;
    std::string leader;
    std::vector<std::string> members;    ///< in order
    std::vector<std::string> addresses;  ///< of each of these: host, port and REST API

    [[nodiscard]] bool tells() const { return error.empty(); }

    /// Members and leader as a list of `/cluster` has them; this is then what it tells.
    void take(const ClusterFacts& listed);
};

/// Who answers where SSH leads, by what only that host itself knows. What is empty is not known.
struct HostIdentity {
    std::string host;  ///< boot id and pid namespace: one for each running system, cloned or not
    std::string system_identifier;  ///< by SQL on the member
};

// A moved-from JSON value is asserted to be sound: that is the exception that tidy 14 sees.
struct MemberFacts {  // NOLINT(bugprone-exception-escape)
    std::string name;
    std::string host;     ///< where SSH goes
    std::string api_url;  ///< `http://10.0.0.11:8008`
    std::string pg_host;
    std::uint16_t pg_port = 5432;

    /// leader | standby_leader | sync_standby | quorum_standby | replica; `primary` is one that
    /// runs as primary without holding the leader lock.
    std::string role;
    std::string
        state;  ///< running, streaming (a replica that streams, any Patroni version), stopped, …
    bool listed = false;  ///< in Patroni's own list of members, /cluster
    std::optional<int> timeline;
    std::optional<std::int64_t> lag_bytes;  ///< of a replica, behind the leader's position
    std::optional<Lsn> position;            ///< written on a primary, replayed on a replica
    /// Written on a primary; on a replica what it has got, replayed or not: a delay, a long query
    /// or a pause of the replay holds `position` back, and not this.
    std::optional<Lsn> received;
    /// How long ago the last transaction that a replica has replayed was committed, in seconds.
    std::optional<std::int64_t> replayed_ago;
    bool in_recovery = false;
    bool paused = false;                        ///< by the member's own word
    std::optional<std::int64_t> dcs_last_seen;  ///< seconds since the epoch, the member's clock
    /// How long ago that was when it answered, both by its own clock.
    std::optional<std::int64_t> dcs_seen_ago;
    bool cluster_unlocked = false;  ///< it sees no leader lock
    bool pending_restart = false;
    bool scheduled_restart = false;
    std::string scheduled_restart_at;  ///< as Patroni tells it, ISO 8601
    nlohmann::json pending_restart_reason;
    std::string system_identifier;
    std::map<std::string, nlohmann::json> tags;
    std::string boot_id;
    HostIdentity identity;  ///< in no JSON: it is for diagnosis, by a full look
    /// What Patroni publishes as an address of it and is none; it is not connected to there.
    std::string odd_address;
    std::optional<EndpointFacts> own_word;  ///< of the cluster, over SSH; goes into `endpoints`

    PatroniFacts patroni;
    PostgresFacts postgres;
    std::optional<SetupFacts> setup;
    std::optional<OsFacts> os;
    std::optional<UnitFacts> unit;
    std::optional<HostFacts> on_host;  ///< absent: its host could not be asked
    std::optional<WalFacts> wal;
    std::optional<DiskFacts> disk;       ///< where pg_wal is: what a stuck slot fills
    std::optional<DiskFacts> data_disk;  ///< where the rest of the data directory is, if elsewhere
    std::optional<UpkeepFacts> upkeep;   ///< absent: it was not asked, or has no apt
    /// Why PostgreSQL ended, of one that does not run: the last FATAL and PANIC lines of its log
    /// and of its Patroni's journal, the newest last.
    std::vector<std::string> last_words;
    std::optional<std::vector<SlotFacts>> slots;
    std::optional<LeftoverFacts> leftover;  ///< absent: its folder could not be read

    Access api;
    Access ssh;
    Access sql;
    Access api_write;  ///< changing something by REST; asked when a run is planned, in no JSON
    /// What was asked on the member and could not be found out, with the reason: `disk`, `unit`,
    /// `patroni_package`, `postgres_package`, `setup`; `folder`: lockstep's own there.
    std::map<std::string, std::string> unknown;
    /// In a plan: the state in which its steps will have left things that no observation looks at:
    /// `unit pgbouncer` -> `inactive`. Not observed, and so not in any JSON.
    std::map<std::string, std::string> foreseen;

    [[nodiscard]] bool is_leader() const { return role == "leader" || role == "standby_leader"; }

    /// recovery_min_apply_delay: by its configuration it replays that much later. 0: at once.
    [[nodiscard]] std::chrono::milliseconds apply_delay() const {
        return std::chrono::milliseconds{in_recovery && wal ? wal->apply_delay_ms : 0};
    }

    [[nodiscard]] nlohmann::json to_json() const;
    /// What to_json() gave, in facts_reading.cpp.
    [[nodiscard]] static MemberFacts from_json(const nlohmann::json& json);
};

/// A switchover that Patroni will do later. What it does not tell is empty.
struct SwitchoverFacts {
    std::string at;    ///< ISO 8601
    std::string from;  ///< member
    std::string to;    ///< member; empty: Patroni chooses
};

/// A member of earlier samples that Patroni lists no more.
struct MissingMember {
    std::string name;
    std::string host;
    std::chrono::system_clock::time_point last_seen;
};

/// Whether two start times of a postmaster are one; nullopt where one is not known. Sources differ
/// in precision (milliseconds before Patroni 2.1, and cut or rounded), and none restarts within
/// one.
[[nodiscard]] std::optional<bool> same_start(const PostgresFacts& a, const PostgresFacts& b);

/// nullptr where the member is, where its slots are not known, or where it has no such slot.
[[nodiscard]] const SlotFacts* find_slot(const MemberFacts* member, std::string_view name);

struct ClusterFacts {
    std::string name;    ///< of the inventory
    std::string scope;   ///< Patroni's
    std::string leader;  ///< holder of the leader lock; empty: none, or unknown by cluster_error
    std::string cluster_error;  ///< why /cluster gave no list of members; empty: it did
    std::optional<int> timeline;
    bool paused = false;  ///< by the dynamic configuration
    /// Since when at least, by earlier samples; absent: not paused, or there are no earlier
    /// samples.
    std::optional<std::chrono::system_clock::time_point> paused_since;
    nlohmann::json config;  ///< dynamic configuration as served by /config
    bool scheduled_switchover = false;
    SwitchoverFacts switchover;          ///< that one
    bool patroni_write_refused = false;  ///< the REST API does not accept our credentials
    std::string patroni_write_error;
    std::string patroni_write_hint;    ///< what to do about it
    std::vector<MemberFacts> members;  ///< by name
    /// What each address says, and each member over SSH, where all were asked (the full look), and
    /// who is missing by earlier samples, where there are any. Both are for diagnosis, in no JSON.
    std::vector<EndpointFacts> endpoints;
    std::vector<MissingMember> missing;
    bool rest_unproven = false;  ///< who answers by REST is not authenticated; in no JSON
    std::chrono::system_clock::time_point observed_at;
    std::chrono::steady_clock::time_point sampled_at;

    [[nodiscard]] const MemberFacts* find(std::string_view member) const;
    [[nodiscard]] MemberFacts* find(std::string_view member);

    /// An unexpired lock of lockstep, by the first member that has one; nullptr: no run holds it.
    [[nodiscard]] const LockFacts* held_lock() const;
    /// The lock of a run that has paused the cluster, or left it so: it says that on a member.
    [[nodiscard]] const LockFacts* lock_over_a_pause() const;

    [[nodiscard]] const MemberFacts* leader_member() const { return find(leader); }

    /// Dynamic configuration with Patroni's defaults: 10 s and 30 s.
    [[nodiscard]] std::chrono::seconds loop_wait() const;
    [[nodiscard]] std::chrono::seconds ttl() const;
    /// How long Patroni goes on trying to reach its DCS for one request.
    [[nodiscard]] std::chrono::seconds retry_timeout() const;

    /// The same facts with one member only, and without the long parts of the cluster.
    [[nodiscard]] ClusterFacts only(std::string_view member) const;

    /// Takes over what a quick observation says; packages, disks, WAL and slots stay as known.
    void update(const ClusterFacts& quick);

    /// The shape of `check --output json`, without status and findings.
    [[nodiscard]] nlohmann::json to_json() const;
    /// The other way, for a run that goes on from its record. Throws nlohmann::json::exception for
    /// what to_json() never gave.
    [[nodiscard]] static ClusterFacts from_json(const nlohmann::json& json);
};

}  // namespace lockstep
