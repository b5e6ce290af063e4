#include "cluster/facts.hpp"

#include "base/clock.hpp"
#include "base/or_null.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <utility>

namespace lockstep {

namespace {

using Json = nlohmann::json;

// An empty text is an absent fact, and that is null: never "" and never a guess.
Json lsn_or_null(const std::optional<Lsn>& lsn) {
    return lsn ? Json(format_lsn(*lsn)) : Json(nullptr);
}

Json epoch_or_null(std::int64_t seconds) {
    return seconds > 0 ? Json(seconds) : Json(nullptr);
}

std::optional<std::uint32_t> parse_hex(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

Json to_json(const SlotFacts& slot) {
    Json json = {
        {"name", slot.name},
        {"type", slot.type},
        {"plugin", or_null(slot.plugin)},
        {"database", or_null(slot.database)},
        {"active", slot.active},
        {"restart_lsn", lsn_or_null(slot.restart_lsn)},
        {"retained_bytes", or_null(slot.retained_bytes)},
        {"wal_status", or_null(slot.wal_status)},
        {"serves", to_text(slot.serves)},
        {"stuck", slot.stuck},
    };
    if (slot.confirmed) {
        json["confirmed_lsn"] = format_lsn(*slot.confirmed);
    }
    if (slot.synced) {
        json["synced"] = true;
    }
    return json;
}

Json to_json(const ArchiverFacts& archiver) {
    return {
        {"failed", archiver.failed},
        {"last_failed_wal", or_null(archiver.last_failed_wal)},
        {"last_failed_ago", or_null(archiver.last_failed_ago)},
        {"last_archived_ago", or_null(archiver.last_archived_ago)},
        {"waiting", or_null(archiver.waiting)},
    };
}

Json to_json(const TransactionFacts& transaction) {
    return {
        {"pid", epoch_or_null(transaction.pid)},
        {"age_seconds", transaction.age_seconds},
        {"xid", or_null(transaction.xid)},
        {"name", or_null(transaction.name)},
    };
}

Json to_json(const WalFacts& wal) {
    return {
        {"bytes", wal.bytes},
        {"files", wal.files},
        {"held_bytes", or_null(wal.held_bytes())},
        {"segment_bytes", wal.segment_bytes},
        {"oldest_lsn", lsn_or_null(wal.oldest)},
        {"redo_lsn", lsn_or_null(wal.redo)},
        {"max_wal_size", wal.max_wal_size},
        {"min_wal_size", wal.min_wal_size},
        {"keep_size", wal.keep_size},
        {"max_slot_wal_keep_size", wal.max_slot_wal_keep_size},
        {"archiving_fails", wal.archiving_fails},
        {"archiver", wal.archiver ? to_json(*wal.archiver) : Json(nullptr)},
        {"checkpoint_age_seconds", or_null(wal.checkpoint_age_seconds)},
        {"checkpoint_timeout_seconds", wal.checkpoint_timeout_seconds},
        {"apply_delay_ms", wal.apply_delay_ms},
        {"base_backups", wal.base_backups},
        {"oldest_transaction",
         wal.oldest_transaction ? to_json(*wal.oldest_transaction) : Json(nullptr)},
        {"growth_bytes_per_second", or_null(wal.growth_per_second)},
    };
}

Json to_json(const DiskFacts& disk) {
    return {
        {"mount", or_null(disk.mount)},
        {"free_bytes", disk.free_bytes},
        {"total_bytes", disk.total_bytes},
    };
}

Json to_json(const UpkeepFacts& upkeep) {
    return {
        {"needrestart", upkeep.needrestart},
        {"spared", upkeep.spared},
        {"etcd", upkeep.etcd},
        {"unattended", upkeep.unattended},
        {"unattended_pgdg", upkeep.unattended_pgdg},
        {"unattended_not", upkeep.unattended_not},
        {"no_restarts", upkeep.no_restarts},
    };
}

Json to_json(const UnitFacts& unit) {
    return {
        {"active_state", or_null(unit.active_state)},
        {"sub_state", or_null(unit.sub_state)},
        {"main_pid", epoch_or_null(unit.main_pid)},
        {"started_at", epoch_or_null(unit.started_at)},
        {"package_changed_at", epoch_or_null(unit.package_changed_at)},
        {"restarts", unit.restarts},
    };
}

Json to_json(const HostFacts& host) {
    Json patronis = Json::array();
    for (const PatroniUnit& unit : host.patronis) {
        patronis.push_back({{"unit", unit.name}, {"active_state", or_null(unit.active_state)}});
    }
    Json postmasters = Json::array();
    for (const PostmasterFacts& postmaster : host.postmasters) {
        postmasters.push_back({{"pid", postmaster.pid},
                               {"port", postmaster.port},
                               {"data_directory", postmaster.data_directory},
                               {"unit", or_null(postmaster.unit)}});
    }
    return {
        {"unit", or_null(host.unit)},
        {"load_state", or_null(host.load_state)},
        {"unit_state", or_null(host.unit_state)},
        {"kill_mode", or_null(host.kill_mode)},
        {"daemon_unit", or_null(host.daemon_unit)},
        {"daemon_pid", epoch_or_null(host.daemon_pid)},
        {"patronis", patronis},
        {"postmasters", postmasters},
    };
}

Json to_json(const SetupFacts& setup) {
    return {
        {"file", or_null(setup.file)},
        {"changed_at", epoch_or_null(setup.changed_at)},
        {"dcs", setup.dcs},
        {"python", or_null(setup.python)},
        {"program", or_null(setup.program)},
        {"packaged", or_null(setup.packaged)},
        {"modules", setup.modules},
        {"has_bootstrap_users", setup.has_bootstrap_users},
        {"has_dcs_user", setup.has_dcs_user},
        {"verify_client", setup.verify_client},
        {"has_ctl_certificate", setup.has_ctl_certificate},
        {"allowlist_by_members", setup.allowlist_by_members},
        {"parameters", setup.parameters},
        {"name", or_null(setup.name)},
        {"scope", or_null(setup.scope)},
    };
}

Json to_json(const OsFacts& os) {
    return {{"id", or_null(os.id)},
            {"version", or_null(os.version)},
            {"libc", or_null(os.libc)},
            {"package_tool", or_null(os.package_tool)},
            {"systemd", or_null(os.systemd)}};
}

Json to_json(const SwitchoverFacts& switchover) {
    return {{"at", or_null(switchover.at)},
            {"from", or_null(switchover.from)},
            {"to", or_null(switchover.to)}};
}

Json to_json(const LockFacts& lock) {
    return {
        {"id", or_null(lock.id)},
        {"run", or_null(lock.run)},
        {"who", or_null(lock.who)},
        {"since", epoch_or_null(lock.since)},
        {"expires_in_seconds", lock.expires_in_seconds},
        {"left", or_null(lock.left)},
    };
}

Json to_json(const LeftoverFacts& leftover) {
    Json spool = Json::array();
    for (const SpoolEntry& entry : leftover.spool) {
        spool.push_back(
            {{"key", entry.key}, {"state", entry.state}, {"age_seconds", entry.age_seconds}});
    }
    return {
        {"lock", leftover.lock ? to_json(*leftover.lock) : Json(nullptr)},
        {"spool", spool},
    };
}

Json to_json(const Access& access) {
    return {
        {"asked", access.asked},
        {"ok", access.ok()},
        {"refused", access.refused},
        {"error", or_null(access.error)},
        {"hint", or_null(access.hint)},
    };
}

template <typename T>
Json object_or_null(const std::optional<T>& facts) {
    return facts ? to_json(*facts) : Json(nullptr);
}

Json to_json(const std::optional<std::vector<SlotFacts>>& slots) {
    if (!slots) {
        return nullptr;
    }
    Json list = Json::array();
    for (const SlotFacts& slot : *slots) {
        list.push_back(to_json(slot));
    }
    return list;
}

// Lengths of time Patroni takes as plain seconds.
std::chrono::seconds seconds_of(const Json& config, const char* key, int fallback) {
    if (!config.is_object()) {
        return std::chrono::seconds{fallback};
    }
    const auto found = config.find(key);
    if (found == config.end() || !found->is_number() || found->get<double>() < 1) {
        return std::chrono::seconds{fallback};
    }
    return std::chrono::seconds{found->get<std::int64_t>()};
}

template <typename Members>
auto find_by_name(Members& members, std::string_view name) -> decltype(members.data()) {
    const auto found = std::ranges::find(members, name, &MemberFacts::name);
    return found == members.end() ? nullptr : &*found;
}

}  // namespace

std::string format_lsn(Lsn lsn) {
    std::array<char, 24> text{};
    const int length = std::snprintf(text.data(),
                                     text.size(),
                                     "%X/%X",
                                     static_cast<unsigned>(lsn >> 32U),
                                     static_cast<unsigned>(lsn & 0xFFFFFFFFU));
    return {text.data(), static_cast<std::size_t>(std::max(length, 0))};
}

std::optional<Lsn> parse_lsn(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) {
        return std::nullopt;
    }
    const auto high = parse_hex(text.substr(0, slash));
    const auto low = parse_hex(text.substr(slash + 1));
    if (!high || !low) {
        return std::nullopt;
    }
    return (static_cast<Lsn>(*high) << 32U) | *low;
}

std::string_view to_text(SlotServes serves) {
    switch (serves) {
        case SlotServes::member:
            return "member";
        case SlotServes::absent:
            return "absent";
        case SlotServes::permanent:
            return "permanent";
        case SlotServes::consumer:
            return "consumer";
        case SlotServes::orphan:
            break;
    }
    return "orphan";
}

// A checkpoint removes what is older than the segment of its redo pointer, unless a slot or
// keep_size holds it (PostgreSQL 11 to 18, CreateCheckPoint and CreateRestartPoint: KeepLogSeg).
std::optional<std::int64_t> WalFacts::held_bytes() const {
    if (!oldest || !redo || segment_bytes <= 0) {
        return std::nullopt;
    }
    const Lsn needed = *redo - *redo % static_cast<Lsn>(segment_bytes);
    return needed > *oldest ? static_cast<std::int64_t>(needed - *oldest) : 0;
}

// A data directory may be told with and without its links.
const PostmasterFacts* HostFacts::postmaster(std::string_view data_directory,
                                             std::int64_t port) const {
    auto found = std::ranges::find(postmasters, data_directory, &PostmasterFacts::data_directory);
    if (found == postmasters.end()) {
        found = std::ranges::find(postmasters, port, &PostmasterFacts::port);
    }
    return found == postmasters.end() ? nullptr : &*found;
}

// A container has files of its own: no package of the host is its, and no unit.
std::vector<std::string> HostFacts::others() const {
    std::vector<std::string> names;
    for (const PatroniUnit& other : patronis) {
        const bool down = other.active_state == "inactive" || other.active_state == "failed";
        if (!other.active_state.empty() && !down && other.name != unit &&
            other.name != daemon_unit) {
            names.push_back(other.name);
        }
    }
    return names;
}

Json MemberFacts::to_json() const {
    return {
        {"name", name},
        {"host", or_null(host)},
        {"api_url", or_null(api_url)},
        {"pg_host", or_null(pg_host)},
        {"pg_port", pg_port},
        {"role", or_null(role)},
        {"is_leader", is_leader()},
        {"state", or_null(state)},
        {"listed", listed},
        {"timeline", or_null(timeline)},
        {"lag_bytes", or_null(lag_bytes)},
        {"lsn", lsn_or_null(position)},
        {"position", or_null(position)},
        {"received", or_null(received)},
        {"replayed_ago", or_null(replayed_ago)},
        {"in_recovery", in_recovery},
        {"paused", paused},
        {"dcs_last_seen", or_null(dcs_last_seen)},
        {"dcs_seen_ago", or_null(dcs_seen_ago)},
        {"cluster_unlocked", cluster_unlocked},
        {"pending_restart", pending_restart},
        {"pending_restart_reason", pending_restart_reason},
        {"scheduled_restart", scheduled_restart},
        {"scheduled_restart_at", or_null(scheduled_restart_at)},
        {"system_identifier", or_null(system_identifier)},
        {"tags", tags},
        {"boot_id", or_null(boot_id)},
        {"patroni",
         {{"running", or_null(patroni.running)},
          {"installed", or_null(patroni.installed)},
          {"held", patroni.held},
          {"available", patroni.available}}},
        {"postgres",
         {{"running", or_null(postgres.running)},
          {"installed", or_null(postgres.installed)},
          {"package", or_null(postgres.package)},
          {"held", postgres.held},
          {"started_at", or_null(postgres.started_at)},
          {"data_directory", or_null(postgres.data_directory)},
          {"settings", postgres.settings}}},
        {"setup", object_or_null(setup)},
        {"os", object_or_null(os)},
        {"unit", object_or_null(unit)},
        {"on_host", object_or_null(on_host)},
        {"wal", object_or_null(wal)},
        {"disk", object_or_null(disk)},
        {"data_disk", object_or_null(data_disk)},
        {"upkeep", object_or_null(upkeep)},
        {"last_words", last_words},
        {"slots", lockstep::to_json(slots)},
        {"leftover", object_or_null(leftover)},
        {"access",
         {{"api", lockstep::to_json(api)},
          {"ssh", lockstep::to_json(ssh)},
          {"sql", lockstep::to_json(sql)}}},
        {"unknown", unknown},
    };
}

std::optional<bool> same_start(const PostgresFacts& a, const PostgresFacts& b) {
    if (a.started_at.empty() || b.started_at.empty()) {
        return std::nullopt;
    }
    if (a.started_at == b.started_at) {
        return true;
    }
    const Clock::Wall first = from_iso8601(a.started_at);
    const Clock::Wall second = from_iso8601(b.started_at);
    const bool readable = first != Clock::Wall{};
    if (readable != (second != Clock::Wall{})) {
        return std::nullopt;
    }
    if (!readable) {
        return false;
    }
    return std::chrono::abs(first - second) <= std::chrono::milliseconds{1};
}

const SlotFacts* find_slot(const MemberFacts* member, std::string_view name) {
    if (member == nullptr || !member->slots) {
        return nullptr;
    }
    const auto found = std::ranges::find(*member->slots, name, &SlotFacts::name);
    return found == member->slots->end() ? nullptr : &*found;
}

const MemberFacts* ClusterFacts::find(std::string_view member) const {
    return find_by_name(members, member);
}

MemberFacts* ClusterFacts::find(std::string_view member) {
    return find_by_name(members, member);
}

const LockFacts* ClusterFacts::lock_over_a_pause() const {
    for (const MemberFacts& member : members) {
        if (member.leftover && member.leftover->lock &&
            member.leftover->lock->left.find("patroni.pause") != std::string::npos) {
            return &*member.leftover->lock;
        }
    }
    return nullptr;
}

const LockFacts* ClusterFacts::held_lock() const {
    for (const MemberFacts& member : members) {
        if (member.leftover && member.leftover->lock && member.leftover->lock->held()) {
            return &*member.leftover->lock;
        }
    }
    return nullptr;
}

// Patroni's own defaults (patroni/config.py, __DEFAULT_CONFIG, 2.1 to 4.1).
std::chrono::seconds ClusterFacts::loop_wait() const {
    return seconds_of(config, "loop_wait", 10);
}

std::chrono::seconds ClusterFacts::ttl() const {
    return seconds_of(config, "ttl", 30);
}

std::chrono::seconds ClusterFacts::retry_timeout() const {
    return seconds_of(config, "retry_timeout", 10);
}

Json ClusterFacts::to_json() const {
    Json list = Json::array();
    for (const MemberFacts& member : members) {
        list.push_back(member.to_json());
    }
    const LockFacts* lock = held_lock();
    return {
        {"cluster", name},
        {"name", name},
        {"scope", or_null(scope)},
        {"leader", or_null(leader)},
        {"cluster_error", or_null(cluster_error)},
        {"timeline", or_null(timeline)},
        {"paused", paused},
        {"paused_since", paused_since ? Json(to_iso8601(*paused_since)) : Json(nullptr)},
        {"scheduled_switchover", scheduled_switchover},
        {"switchover", scheduled_switchover ? lockstep::to_json(switchover) : Json(nullptr)},
        {"config", config},
        {"observed_at", to_iso8601(observed_at)},
        {"lock", lock == nullptr ? Json(nullptr) : lockstep::to_json(*lock)},
        {"members", list},
    };
}

void EndpointFacts::take(const ClusterFacts& listed) {
    answers = true;
    scope = listed.scope.empty() ? scope : listed.scope;
    leader = listed.leader;
    std::vector<std::pair<std::string, std::string>> all;
    for (const MemberFacts& each : listed.members) {
        all.emplace_back(each.name,
                         each.pg_host + ":" + std::to_string(each.pg_port) + ", " + each.api_url);
    }
    std::ranges::sort(all);
    for (auto& [name, address] : all) {
        members.push_back(name);
        addresses.push_back(address);
    }
}

ClusterFacts ClusterFacts::only(std::string_view member) const {
    ClusterFacts one;
    one.name = name;
    one.scope = scope;
    one.leader = leader;
    one.timeline = timeline;
    one.paused = paused;
    one.observed_at = observed_at;
    one.sampled_at = sampled_at;
    if (const MemberFacts* found = find(member)) {
        one.members.push_back(*found);
    }
    return one;
}

namespace {

/// What the REST API says of a member: all that a quick look reads anew. Whatever else there is,
/// and will be, stays as the last full look saw it.
void take_quick(MemberFacts& member, const MemberFacts& seen) {
    member.host = seen.host;
    member.odd_address = seen.odd_address;
    member.api_url = seen.api_url;
    member.pg_host = seen.pg_host;
    member.pg_port = seen.pg_port;
    member.role = seen.role;
    member.state = seen.state;
    member.listed = seen.listed;
    member.timeline = seen.timeline;
    member.lag_bytes = seen.lag_bytes;
    member.position = seen.position;
    member.received = seen.received;
    member.replayed_ago = seen.replayed_ago;
    member.in_recovery = seen.in_recovery;
    member.paused = seen.paused;
    member.dcs_last_seen = seen.dcs_last_seen;
    member.dcs_seen_ago = seen.dcs_seen_ago;
    member.cluster_unlocked = seen.cluster_unlocked;
    member.pending_restart = seen.pending_restart;
    member.scheduled_restart = seen.scheduled_restart;
    member.scheduled_restart_at = seen.scheduled_restart_at;
    member.pending_restart_reason = seen.pending_restart_reason;
    member.system_identifier = seen.system_identifier;
    member.tags = seen.tags;
    member.patroni.running = seen.patroni.running;
    member.postgres.running = seen.postgres.running;
    member.postgres.started_at = seen.postgres.started_at;
    member.api = seen.api;
}

}  // namespace

void ClusterFacts::update(const ClusterFacts& quick) {
    ClusterFacts merged = quick;
    for (MemberFacts& member : merged.members) {
        if (const MemberFacts* known = find(member.name)) {
            const MemberFacts seen = std::exchange(member, *known);
            take_quick(member, seen);
        }
    }
    merged.patroni_write_refused = patroni_write_refused;
    merged.patroni_write_error = patroni_write_error;
    merged.patroni_write_hint = patroni_write_hint;
    merged.endpoints = std::move(endpoints);
    merged.missing = std::move(missing);
    *this = std::move(merged);
}

}  // namespace lockstep
