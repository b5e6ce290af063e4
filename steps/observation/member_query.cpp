#include "steps/observation/member_query.hpp"

#include "base/error.hpp"
#include "base/json.hpp"
#include "steps/observation/json_fields.hpp"
#include "steps/observation/observed_time.hpp"
#include "steps/observation/patroni_api.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace lockstep {

namespace {

using Json = nlohmann::json;
using namespace json_fields;

std::optional<Lsn> lsn_at(const Json& object, const char* key) {
    return parse_lsn(text(object, key));
}

// A setting as pg_settings has it: the number, and the unit that it counts.
std::optional<std::int64_t> setting(const Json& settings, const char* name) {
    const Json& row = at(settings, name);
    if (!row.is_array() || row.size() != 2 || !row[0].is_string()) {
        return std::nullopt;
    }
    const std::string unit = row[1].is_string() ? row[1].get<std::string>() : std::string();
    std::int64_t number = 0;
    try {
        number = std::stoll(row[0].get<std::string>());
    } catch (const std::exception&) {
        return std::nullopt;
    }
    constexpr std::int64_t k_kib = 1024;
    if (number < 0) {
        return -1;  // "no limit" whatever the unit
    }
    if (number > std::numeric_limits<std::int32_t>::max()) {
        return std::nullopt;  // no setting of a server is (guc.h)
    }
    if (unit == "kB") {
        return number * k_kib;
    }
    if (unit == "8kB") {
        return number * 8 * k_kib;
    }
    if (unit == "16MB") {  // the segment, as max_wal_size was counted before PostgreSQL 11
        return number * 16 * k_kib * k_kib;
    }
    if (unit == "MB") {
        return number * k_kib * k_kib;
    }
    return number;
}

// `00000000000000A3`, the last 16 digits of a segment's name, is its log and its number in that log
// (PostgreSQL 11 to 18, XLogFromFileName); a log is 4 GiB.
std::optional<Lsn> segment_start(const std::string& digits, std::int64_t segment_bytes) {
    if (digits.size() != 16 || segment_bytes <= 0) {
        return std::nullopt;
    }
    const auto as_lsn = parse_lsn(digits.substr(0, 8) + "/" + digits.substr(8));
    if (!as_lsn) {
        return std::nullopt;
    }
    const Lsn log = *as_lsn >> 32U;
    const Lsn segment = *as_lsn & 0xFFFFFFFFU;
    return (log << 32U) + segment * static_cast<Lsn>(segment_bytes);
}

std::optional<TransactionFacts> read_transaction(const Json& row) {
    if (!row.is_object()) {
        return std::nullopt;
    }
    return TransactionFacts{.pid = integer(row, "pid").value_or(0),
                            .age_seconds = integer(row, "age").value_or(0),
                            .xid = text(row, "xid"),
                            .name = text(row, "name")};
}

std::optional<ArchiverFacts> read_archiver(const Json& row) {
    if (!row.is_object()) {
        return std::nullopt;
    }
    ArchiverFacts archiver;
    archiver.failed = integer(row, "failed").value_or(0);
    archiver.last_failed_wal = text(row, "last_failed_wal");
    archiver.last_failed_ago = integer(row, "last_failed_ago");
    archiver.last_archived_ago = integer(row, "last_archived_ago");
    return archiver;
}

// WalSegMaxSize of xlog_internal.h.
constexpr std::int64_t k_largest_segment = std::int64_t{1} << 30;

WalFacts read_wal(const Json& document) {
    const Json& settings = at(document, "settings");
    const Json& files = at(document, "wal");
    WalFacts wal;
    const std::int64_t segment = setting(settings, "wal_segment_size").value_or(0);
    wal.segment_bytes = segment > 0 && segment <= k_largest_segment ? segment : 0;
    wal.bytes = integer(files, "bytes").value_or(0);
    wal.files = integer(files, "files").value_or(0);
    wal.oldest = segment_start(text(files, "oldest"), wal.segment_bytes);
    wal.redo = lsn_at(document, "redo");
    wal.max_wal_size = setting(settings, "max_wal_size").value_or(0);
    wal.min_wal_size = setting(settings, "min_wal_size").value_or(0);
    wal.max_slot_wal_keep_size = setting(settings, "max_slot_wal_keep_size").value_or(-1);
    wal.archiving_fails = flag(document, "archiving_fails");
    wal.archiver = read_archiver(at(document, "archiver"));
    if (wal.archiver) {
        wal.archiver->waiting = integer(document, "waiting");
    }
    wal.checkpoint_age_seconds = integer(document, "checkpoint_age");
    wal.checkpoint_timeout_seconds = setting(settings, "checkpoint_timeout").value_or(0);
    wal.apply_delay_ms = setting(settings, "recovery_min_apply_delay").value_or(0);
    wal.base_backups = integer(document, "base_backups").value_or(0);
    wal.oldest_transaction = read_transaction(at(document, "transaction"));
    if (const auto segments = setting(settings, "wal_keep_segments")) {
        wal.keep_size = *segments * wal.segment_bytes;
    } else {
        wal.keep_size = setting(settings, "wal_keep_size").value_or(0);
    }
    return wal;
}

SlotFacts read_slot(const Json& row, std::optional<Lsn> position) {
    SlotFacts slot;
    slot.name = text(row, "slot_name");
    slot.type = text(row, "slot_type");
    slot.plugin = text(row, "plugin");
    slot.database = text(row, "database");
    slot.active = flag(row, "active");
    slot.restart_lsn = lsn_at(row, "restart_lsn");
    slot.confirmed = lsn_at(row, "confirmed_flush_lsn");
    slot.wal_status = text(row, "wal_status");
    slot.synced = flag(row, "synced");
    if (slot.restart_lsn && position) {
        slot.retained_bytes = static_cast<std::int64_t>(*position - *slot.restart_lsn);
    }
    return slot;
}

std::vector<SlotFacts> read_slots(const Json& document, std::optional<Lsn> position) {
    std::vector<SlotFacts> slots;
    for (const Json& row : at(document, "slots")) {
        slots.push_back(read_slot(row, position));
    }
    std::ranges::sort(slots, {}, &SlotFacts::name);
    return slots;
}

// What replicas need alike, or not smaller than the leader, and what the next leader would lack.
constexpr std::array k_shared_settings{"max_connections",
                                       "max_prepared_transactions",
                                       "max_locks_per_transaction",
                                       "max_worker_processes",
                                       "max_wal_senders",
                                       "max_replication_slots",
                                       "wal_level",
                                       "track_commit_timestamp",
                                       "hot_standby",
                                       "wal_log_hints",
                                       "shared_preload_libraries"};

void read_parameters(const Json& parameters, MemberFacts& member) {
    const auto keep = [&](const char* name) {
        const Json& value = at(parameters, name);
        if (value.is_string()) {
            member.postgres.settings[name] = value.get<std::string>();
        }
    };
    std::ranges::for_each(k_shared_settings, keep);
    if (member.setup && member.setup->parameters.is_object()) {
        for (const auto& [name, value] : member.setup->parameters.items()) {
            keep(name.c_str());
        }
    }
}

constexpr std::string_view k_from_13 = "{13}";

// What the query asks about WAL that waits for archiving, and about base backups.
constexpr const char* k_counts = R"sql(
  'base_backups', (SELECT count(*) FROM pg_stat_progress_basebackup),
  'waiting', CASE WHEN a.archives
                  THEN (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') END,)sql";

// to_jsonb() of the whole row, because pg_replication_slots has grown columns in 13, 14, 16, 17 and
// 18. The oldest segment is the smallest by its position alone: after a promotion, recycled files
// of the old timeline sort before everything else by name, and files recycled for the future are
// greater by position. The timeline of a standby is its WAL receiver's; pg_control's is that of the
// last restartpoint.
// Settings of a session, a role or a database are not what the server runs with. A standby archives
// with archive_mode=always alone (PostgreSQL 9.5 to 18, XLogArchiveCheckDone).
std::string query_with(const std::string& from_13) {
    std::string query = R"sql(SELECT pg_catalog.jsonb_build_object(
  'in_recovery', pg_is_in_recovery(),
  'position', CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
  'received', CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() END,
  'timeline', CASE WHEN pg_is_in_recovery()
                   THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver), c.timeline_id)
                   ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
  'redo', c.redo_lsn,
  'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
  'server_version', current_setting('server_version_num')::int,
  'started_at', to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US"Z"'),
  'data_directory', (SELECT setting FROM pg_settings WHERE name = 'data_directory'),
  'wal', (SELECT jsonb_build_object('files', count(*), 'bytes', coalesce(sum(size), 0),
                                    'oldest', min(substr(name, 9, 16)))
            FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'),
  'archiving_fails', a.archives AND a.last_failed_time IS NOT NULL
                     AND a.last_failed_time > coalesce(a.last_archived_time, '-infinity'),
  'archiver', CASE WHEN a.archives THEN jsonb_build_object(
      'failed', a.failed_count, 'last_failed_wal', a.last_failed_wal,
      'last_failed_ago', extract(epoch FROM clock_timestamp() - a.last_failed_time)::bigint,
      'last_archived_ago', extract(epoch FROM clock_timestamp() - a.last_archived_time)::bigint) END,
  'checkpoint_age', extract(epoch FROM clock_timestamp() - c.checkpoint_time)::bigint,
  'transaction', (SELECT to_jsonb(t) FROM (
      SELECT pid, xid::text, name, extract(epoch FROM clock_timestamp() - at)::bigint AS age
        FROM (SELECT pid, backend_xid AS xid, application_name AS name, xact_start AS at
                FROM pg_stat_activity WHERE backend_xid IS NOT NULL
              UNION ALL SELECT 0, transaction, gid, prepared FROM pg_prepared_xacts) x
       ORDER BY age(x.xid) DESC LIMIT 1) t),{13}
  'slots', (SELECT coalesce(jsonb_agg(to_jsonb(s)), '[]'::jsonb)
              FROM pg_replication_slots s WHERE NOT s.temporary),
  'settings', (SELECT jsonb_object_agg(name, jsonb_build_array(setting, unit)) FROM pg_settings
                WHERE name IN ('wal_segment_size', 'max_wal_size', 'min_wal_size', 'wal_keep_size',
                               'wal_keep_segments', 'max_slot_wal_keep_size', 'checkpoint_timeout',
                               'recovery_min_apply_delay')),
  'parameters', (SELECT jsonb_object_agg(name, current_setting(name)) FROM pg_settings
                  WHERE name IN ('wal_level', 'archive_mode', 'shared_preload_libraries')
                     OR vartype IN ('bool', 'integer', 'real') AND context <> 'internal'
                        AND name NOT LIKE '%.%'
                        AND source IN ('default', 'environment variable', 'configuration file',
                                       'command line', 'override')))
FROM pg_control_checkpoint() c,
     (SELECT *, current_setting('archive_mode') = 'always'
                OR current_setting('archive_mode') = 'on' AND NOT pg_is_in_recovery() AS archives
        FROM pg_stat_archiver) a)sql";
    query.replace(query.find(k_from_13), k_from_13.size(), from_13);
    return query;
}

}  // namespace

std::string observation_query(int major) {
    return query_with(major >= 13 ? k_counts : "");
}

std::string observation_query(std::string_view before, std::string_view after) {
    return query_with(std::string(before) + k_counts + std::string(after));
}

void read_observation(std::string_view document, MemberFacts& member) {
    const ReadJson read = read_json(document);
    const Json& body = read.document;
    if (!at(body, "in_recovery").is_boolean() || !at(body, "slots").is_array()) {
        throw Error("the answer to the observation's query " +
                    (read.ok() ? "is not its JSON document" : read.trouble));
    }
    const auto position = lsn_at(body, "position");
    member.in_recovery = flag(body, "in_recovery");
    member.wal = read_wal(body);
    member.slots = read_slots(body, position);
    member.postgres.data_directory = text(body, "data_directory");
    read_parameters(at(body, "parameters"), member);
    // Positions of the REST API were taken at one time on all members: they are better for lags.
    if (!member.position) {
        member.position = position;
    }
    if (!member.received && position) {
        member.received = std::max(*position, lsn_at(body, "received").value_or(0));
    }
    if (!member.timeline) {
        if (const auto timeline = integer(body, "timeline")) {
            member.timeline = static_cast<int>(*timeline);
        }
    }
    member.identity.system_identifier = text(body, "system_identifier");
    if (member.system_identifier.empty()) {
        member.system_identifier = member.identity.system_identifier;
    }
    if (member.postgres.started_at.empty()) {
        member.postgres.started_at = to_utc(text(body, "started_at"));
    }
    if (const auto version = integer(body, "server_version");
        version && member.postgres.running.empty()) {
        member.postgres.running = patroni_api::server_version_text(*version);
    }
}

}  // namespace lockstep
