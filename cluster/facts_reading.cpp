#include "base/clock.hpp"
#include "cluster/facts.hpp"

namespace lockstep {

namespace {

using Json = nlohmann::json;

const Json& object(const Json& json, const char* key) {
    static const Json k_none = Json::object();
    const auto found = json.find(key);
    return found == json.end() || !found->is_object() ? k_none : *found;
}

/// The fields of a JSON object, each read into where it belongs. Null and missing are the same, an
/// absent fact: then what it would be read into stays as it is.
class Fields {
  public:
    explicit Fields(const Json& json) : json_(json) {}

    template <typename T>
    const Fields& field(const char* key, T& into) const {
        if (const Json* value = find(key)) {
            into = value->get<T>();
        }
        return *this;
    }

    template <typename T>
    const Fields& field(const char* key, std::optional<T>& into) const {
        if (const Json* value = find(key)) {
            into = value->get<T>();
        }
        return *this;
    }

    /// A position as text: `0/3000060`.
    const Fields& lsn(const char* key, std::optional<Lsn>& into) const {
        std::string text;
        field(key, text);
        into = parse_lsn(text);
        return *this;
    }

    /// An object, by the overload of take() for it; absent where it has no field.
    template <typename T>
    const Fields& part(const char* key, std::optional<T>& into) const {
        if (const Json& found = object(json_, key); !found.empty()) {
            take(Fields(found), into.emplace());
        }
        return *this;
    }

    [[nodiscard]] Fields in(const char* key) const { return Fields(object(json_, key)); }

    [[nodiscard]] const Json& json() const { return json_; }

  private:
    [[nodiscard]] const Json* find(const char* key) const {
        const auto found = json_.find(key);
        return found == json_.end() || found->is_null() ? nullptr : &*found;
    }

    const Json& json_;
};

void take(const Fields& read, SlotFacts& slot) {
    read.field("name", slot.name)
        .field("type", slot.type)
        .field("plugin", slot.plugin)
        .field("database", slot.database)
        .field("active", slot.active)
        .lsn("restart_lsn", slot.restart_lsn)
        .lsn("confirmed_lsn", slot.confirmed)
        .field("retained_bytes", slot.retained_bytes)
        .field("wal_status", slot.wal_status)
        .field("stuck", slot.stuck);
    for (const SlotServes serves : {SlotServes::member,
                                    SlotServes::absent,
                                    SlotServes::permanent,
                                    SlotServes::consumer,
                                    SlotServes::orphan}) {
        if (read.json().value("serves", "") == to_text(serves)) {
            slot.serves = serves;
        }
    }
    slot.synced = read.json().value("synced", false);
}

void take(const Fields& read, ArchiverFacts& archiver) {
    read.field("failed", archiver.failed)
        .field("last_failed_wal", archiver.last_failed_wal)
        .field("last_failed_ago", archiver.last_failed_ago)
        .field("last_archived_ago", archiver.last_archived_ago)
        .field("waiting", archiver.waiting);
}

void take(const Fields& read, TransactionFacts& transaction) {
    read.field("pid", transaction.pid)
        .field("age_seconds", transaction.age_seconds)
        .field("xid", transaction.xid)
        .field("name", transaction.name);
}

void take(const Fields& read, UpkeepFacts& upkeep) {
    read.field("needrestart", upkeep.needrestart)
        .field("spared", upkeep.spared)
        .field("etcd", upkeep.etcd)
        .field("unattended", upkeep.unattended)
        .field("unattended_pgdg", upkeep.unattended_pgdg)
        .field("unattended_not", upkeep.unattended_not)
        .field("no_restarts", upkeep.no_restarts);
}

void take(const Fields& read, SetupFacts& setup) {
    read.field("file", setup.file)
        .field("changed_at", setup.changed_at)
        .field("dcs", setup.dcs)
        .field("python", setup.python)
        .field("program", setup.program)
        .field("packaged", setup.packaged)
        .field("modules", setup.modules)
        .field("has_bootstrap_users", setup.has_bootstrap_users)
        .field("has_dcs_user", setup.has_dcs_user)
        .field("verify_client", setup.verify_client)
        .field("has_ctl_certificate", setup.has_ctl_certificate)
        .field("allowlist_by_members", setup.allowlist_by_members)
        .field("parameters", setup.parameters)
        .field("name", setup.name)
        .field("scope", setup.scope);
}

void take(const Fields& read, OsFacts& os) {
    read.field("id", os.id)
        .field("version", os.version)
        .field("libc", os.libc)
        .field("package_tool", os.package_tool)
        .field("systemd", os.systemd);
}

void take(const Fields& read, WalFacts& wal) {
    read.field("bytes", wal.bytes)
        .field("files", wal.files)
        .field("segment_bytes", wal.segment_bytes)
        .lsn("oldest_lsn", wal.oldest)
        .lsn("redo_lsn", wal.redo)
        .field("max_wal_size", wal.max_wal_size)
        .field("min_wal_size", wal.min_wal_size)
        .field("keep_size", wal.keep_size)
        .field("max_slot_wal_keep_size", wal.max_slot_wal_keep_size)
        .field("archiving_fails", wal.archiving_fails)
        .part("archiver", wal.archiver)
        .field("checkpoint_age_seconds", wal.checkpoint_age_seconds)
        .field("checkpoint_timeout_seconds", wal.checkpoint_timeout_seconds)
        .field("apply_delay_ms", wal.apply_delay_ms)
        .field("base_backups", wal.base_backups)
        .part("oldest_transaction", wal.oldest_transaction);
}

void take(const Fields& read, UnitFacts& unit) {
    read.field("active_state", unit.active_state)
        .field("sub_state", unit.sub_state)
        .field("main_pid", unit.main_pid)
        .field("started_at", unit.started_at)
        .field("package_changed_at", unit.package_changed_at)
        .field("restarts", unit.restarts);
}

void take(const Fields& read, HostFacts& host) {
    read.field("unit", host.unit)
        .field("load_state", host.load_state)
        .field("unit_state", host.unit_state)
        .field("kill_mode", host.kill_mode)
        .field("daemon_unit", host.daemon_unit)
        .field("daemon_pid", host.daemon_pid);
    for (const Json& unit : read.json().value("patronis", Json::array())) {
        PatroniUnit& into = host.patronis.emplace_back();
        Fields(unit).field("unit", into.name).field("active_state", into.active_state);
    }
    for (const Json& postmaster : read.json().value("postmasters", Json::array())) {
        PostmasterFacts& into = host.postmasters.emplace_back();
        Fields(postmaster)
            .field("pid", into.pid)
            .field("port", into.port)
            .field("data_directory", into.data_directory)
            .field("unit", into.unit);
    }
}

void take(const Fields& read, DiskFacts& disk) {
    read.field("mount", disk.mount)
        .field("free_bytes", disk.free_bytes)
        .field("total_bytes", disk.total_bytes);
}

void take(const Fields& read, Access& access) {
    read.field("asked", access.asked)
        .field("refused", access.refused)
        .field("error", access.error)
        .field("hint", access.hint);
}

}  // namespace

MemberFacts MemberFacts::from_json(const Json& json) {
    MemberFacts member;
    const Fields read(json);
    read.field("name", member.name)
        .field("host", member.host)
        .field("api_url", member.api_url)
        .field("pg_host", member.pg_host)
        .field("pg_port", member.pg_port)
        .field("role", member.role)
        .field("state", member.state)
        .field("listed", member.listed)
        .field("timeline", member.timeline)
        .field("lag_bytes", member.lag_bytes)
        .field("position", member.position)
        .field("received", member.received)
        .field("replayed_ago", member.replayed_ago)
        .field("in_recovery", member.in_recovery)
        .field("paused", member.paused)
        .field("dcs_last_seen", member.dcs_last_seen)
        .field("dcs_seen_ago", member.dcs_seen_ago)
        .field("cluster_unlocked", member.cluster_unlocked)
        .field("pending_restart", member.pending_restart)
        .field("pending_restart_reason", member.pending_restart_reason)
        .field("scheduled_restart", member.scheduled_restart)
        .field("scheduled_restart_at", member.scheduled_restart_at)
        .field("system_identifier", member.system_identifier)
        .field("tags", member.tags)
        .field("boot_id", member.boot_id)
        .field("unknown", member.unknown)
        .part("setup", member.setup)
        .part("os", member.os)
        .part("unit", member.unit)
        .part("on_host", member.on_host)
        .part("wal", member.wal)
        .part("disk", member.disk)
        .part("data_disk", member.data_disk)
        .part("upkeep", member.upkeep)
        .field("last_words", member.last_words);
    read.in("patroni")
        .field("running", member.patroni.running)
        .field("installed", member.patroni.installed)
        .field("held", member.patroni.held)
        .field("available", member.patroni.available);
    read.in("postgres")
        .field("running", member.postgres.running)
        .field("installed", member.postgres.installed)
        .field("package", member.postgres.package)
        .field("held", member.postgres.held)
        .field("started_at", member.postgres.started_at)
        .field("data_directory", member.postgres.data_directory)
        .field("settings", member.postgres.settings);
    if (json.contains("slots") && json.at("slots").is_array()) {
        member.slots.emplace();
        for (const Json& slot : json.at("slots")) {
            take(Fields(slot), member.slots->emplace_back());
        }
    }
    const Fields access = read.in("access");
    take(access.in("api"), member.api);
    take(access.in("ssh"), member.ssh);
    take(access.in("sql"), member.sql);
    return member;
}

ClusterFacts ClusterFacts::from_json(const Json& json) {
    ClusterFacts facts;
    std::string observed_at;
    const Fields read(json);
    read.field("name", facts.name)
        .field("scope", facts.scope)
        .field("leader", facts.leader)
        .field("cluster_error", facts.cluster_error)
        .field("timeline", facts.timeline)
        .field("paused", facts.paused)
        .field("scheduled_switchover", facts.scheduled_switchover)
        .field("config", facts.config)
        .field("observed_at", observed_at);
    read.in("switchover")
        .field("at", facts.switchover.at)
        .field("from", facts.switchover.from)
        .field("to", facts.switchover.to);
    facts.observed_at = from_iso8601(observed_at);
    for (const Json& member : json.at("members")) {
        facts.members.push_back(MemberFacts::from_json(member));
    }
    return facts;
}

}  // namespace lockstep
