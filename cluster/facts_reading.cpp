#include "base/clock.hpp"
#include "cluster/facts.hpp"

namespace lockstep {

namespace {

using Json = nlohmann::json;

/// Null and missing are the same: an absent fact.
template <typename T>
void read(const Json& json, const char* key, T& into) {
    const auto found = json.find(key);
    if (found != json.end() && !found->is_null()) {
        into = found->get<T>();
    }
}

template <typename T>
void read(const Json& json, const char* key, std::optional<T>& into) {
    const auto found = json.find(key);
    if (found != json.end() && !found->is_null()) {
        into = found->get<T>();
    }
}

void read_lsn(const Json& json, const char* key, std::optional<Lsn>& into) {
    std::string text;
    read(json, key, text);
    into = parse_lsn(text);
}

const Json& object(const Json& json, const char* key) {
    static const Json k_none = Json::object();
    const auto found = json.find(key);
    return found == json.end() || !found->is_object() ? k_none : *found;
}

SlotFacts slot_from(const Json& json) {
    SlotFacts slot;
    read(json, "name", slot.name);
    read(json, "type", slot.type);
    read(json, "plugin", slot.plugin);
    read(json, "database", slot.database);
    read(json, "active", slot.active);
    read_lsn(json, "restart_lsn", slot.restart_lsn);
    read(json, "retained_bytes", slot.retained_bytes);
    read(json, "wal_status", slot.wal_status);
    for (const SlotServes serves :
         {SlotServes::member, SlotServes::permanent, SlotServes::consumer, SlotServes::orphan}) {
        if (json.value("serves", "") == to_text(serves)) {
            slot.serves = serves;
        }
    }
    read(json, "stuck", slot.stuck);
    return slot;
}

ArchiverFacts archiver_from(const Json& json) {
    ArchiverFacts archiver;
    read(json, "failed", archiver.failed);
    read(json, "last_failed_wal", archiver.last_failed_wal);
    read(json, "last_failed_ago", archiver.last_failed_ago);
    read(json, "last_archived_ago", archiver.last_archived_ago);
    read(json, "waiting", archiver.waiting);
    return archiver;
}

SetupFacts setup_from(const Json& json) {
    SetupFacts setup;
    read(json, "file", setup.file);
    read(json, "changed_at", setup.changed_at);
    read(json, "dcs", setup.dcs);
    read(json, "python", setup.python);
    read(json, "modules", setup.modules);
    read(json, "has_bootstrap_users", setup.has_bootstrap_users);
    read(json, "verify_client", setup.verify_client);
    read(json, "has_ctl_certificate", setup.has_ctl_certificate);
    read(json, "allowlist_by_members", setup.allowlist_by_members);
    read(json, "parameters", setup.parameters);
    return setup;
}

OsFacts os_from(const Json& json) {
    OsFacts os;
    read(json, "id", os.id);
    read(json, "version", os.version);
    read(json, "libc", os.libc);
    return os;
}

WalFacts wal_from(const Json& json) {
    WalFacts wal;
    read(json, "bytes", wal.bytes);
    read(json, "files", wal.files);
    read(json, "segment_bytes", wal.segment_bytes);
    read_lsn(json, "oldest_lsn", wal.oldest);
    read_lsn(json, "redo_lsn", wal.redo);
    read(json, "max_wal_size", wal.max_wal_size);
    read(json, "min_wal_size", wal.min_wal_size);
    read(json, "keep_size", wal.keep_size);
    read(json, "max_slot_wal_keep_size", wal.max_slot_wal_keep_size);
    read(json, "archiving_fails", wal.archiving_fails);
    if (const Json& archiver = object(json, "archiver"); !archiver.empty()) {
        wal.archiver = archiver_from(archiver);
    }
    read(json, "checkpoint_age_seconds", wal.checkpoint_age_seconds);
    read(json, "checkpoint_timeout_seconds", wal.checkpoint_timeout_seconds);
    read(json, "base_backups", wal.base_backups);
    return wal;
}

UnitFacts unit_from(const Json& json) {
    UnitFacts unit;
    read(json, "active_state", unit.active_state);
    read(json, "sub_state", unit.sub_state);
    read(json, "main_pid", unit.main_pid);
    read(json, "started_at", unit.started_at);
    read(json, "package_changed_at", unit.package_changed_at);
    return unit;
}

DiskFacts disk_from(const Json& json) {
    DiskFacts disk;
    read(json, "mount", disk.mount);
    read(json, "free_bytes", disk.free_bytes);
    read(json, "total_bytes", disk.total_bytes);
    return disk;
}

Access access_from(const Json& json) {
    Access access;
    read(json, "asked", access.asked);
    read(json, "refused", access.refused);
    read(json, "error", access.error);
    read(json, "hint", access.hint);
    return access;
}

void read_software(const Json& json, MemberFacts& member) {
    const Json& patroni = object(json, "patroni");
    read(patroni, "running", member.patroni.running);
    read(patroni, "installed", member.patroni.installed);
    read(patroni, "available", member.patroni.available);
    const Json& postgres = object(json, "postgres");
    read(postgres, "running", member.postgres.running);
    read(postgres, "installed", member.postgres.installed);
    read(postgres, "package", member.postgres.package);
    read(postgres, "started_at", member.postgres.started_at);
    read(postgres, "data_directory", member.postgres.data_directory);
    read(postgres, "settings", member.postgres.settings);
}

}  // namespace

MemberFacts MemberFacts::from_json(const Json& json) {
    MemberFacts member;
    read(json, "name", member.name);
    read(json, "host", member.host);
    read(json, "api_url", member.api_url);
    read(json, "pg_host", member.pg_host);
    read(json, "pg_port", member.pg_port);
    read(json, "role", member.role);
    read(json, "state", member.state);
    read(json, "listed", member.listed);
    read(json, "timeline", member.timeline);
    read(json, "lag_bytes", member.lag_bytes);
    read(json, "position", member.position);
    read(json, "in_recovery", member.in_recovery);
    read(json, "paused", member.paused);
    read(json, "dcs_last_seen", member.dcs_last_seen);
    read(json, "dcs_seen_ago", member.dcs_seen_ago);
    read(json, "cluster_unlocked", member.cluster_unlocked);
    read(json, "pending_restart", member.pending_restart);
    read(json, "pending_restart_reason", member.pending_restart_reason);
    read(json, "scheduled_restart", member.scheduled_restart);
    read(json, "scheduled_restart_at", member.scheduled_restart_at);
    read(json, "system_identifier", member.system_identifier);
    read(json, "tags", member.tags);
    read(json, "boot_id", member.boot_id);
    read(json, "unknown", member.unknown);
    read_software(json, member);
    if (const Json& setup = object(json, "setup"); !setup.empty()) {
        member.setup = setup_from(setup);
    }
    if (const Json& os = object(json, "os"); !os.empty()) {
        member.os = os_from(os);
    }
    if (const Json& unit = object(json, "unit"); !unit.empty()) {
        member.unit = unit_from(unit);
    }
    if (const Json& wal = object(json, "wal"); !wal.empty()) {
        member.wal = wal_from(wal);
    }
    if (const Json& disk = object(json, "disk"); !disk.empty()) {
        member.disk = disk_from(disk);
    }
    if (json.contains("slots") && json.at("slots").is_array()) {
        member.slots.emplace();
        for (const Json& slot : json.at("slots")) {
            member.slots->push_back(slot_from(slot));
        }
    }
    const Json& access = object(json, "access");
    member.api = access_from(object(access, "api"));
    member.ssh = access_from(object(access, "ssh"));
    member.sql = access_from(object(access, "sql"));
    return member;
}

ClusterFacts ClusterFacts::from_json(const Json& json) {
    ClusterFacts facts;
    read(json, "name", facts.name);
    read(json, "scope", facts.scope);
    read(json, "leader", facts.leader);
    read(json, "cluster_error", facts.cluster_error);
    read(json, "timeline", facts.timeline);
    read(json, "paused", facts.paused);
    read(json, "scheduled_switchover", facts.scheduled_switchover);
    const Json& switchover = object(json, "switchover");
    read(switchover, "at", facts.switchover.at);
    read(switchover, "from", facts.switchover.from);
    read(switchover, "to", facts.switchover.to);
    read(json, "config", facts.config);
    std::string observed_at;
    read(json, "observed_at", observed_at);
    facts.observed_at = from_iso8601(observed_at);
    for (const Json& member : json.at("members")) {
        facts.members.push_back(MemberFacts::from_json(member));
    }
    return facts;
}

}  // namespace lockstep
