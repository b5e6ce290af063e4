#include "engine/run/guards.hpp"

#include "base/units.hpp"

#include <algorithm>
#include <charconv>

namespace lockstep {

namespace {

/// An argument of a guard: constants only, so that a guard means the same all through a run.
std::optional<Value> constant(const GuardSpec& guard, std::string_view name) {
    const auto found = guard.with.find(name);
    if (found == guard.with.end()) {
        return std::nullopt;
    }
    Evaluation evaluated = Value();
    if (const auto* value = std::get_if<Value>(&found->second.content)) {
        evaluated = *value;
    } else if (const auto* text = std::get_if<Template>(&found->second.content)) {
        evaluated = text->render({});
    }
    if (const auto* value = std::get_if<Value>(&evaluated)) {
        return *value;
    }
    throw InputError(found->second.where,
                     "guard " + guard.name + ": " + std::string(name) + " must be a constant");
}

std::chrono::milliseconds duration_of(const GuardSpec& guard,
                                      std::string_view name,
                                      std::chrono::milliseconds otherwise) {
    const std::optional<Value> value = constant(guard, name);
    return value ? parse_duration(value->to_text()).value_or(otherwise) : otherwise;
}

using Judged = std::optional<GuardVerdict>;

/// A lock that nobody holds trips it as well: the next holder may be another member.
Judged check_leader(const ClusterFacts& start, const ClusterFacts& now) {
    if (now.leader == start.leader) {
        return std::nullopt;
    }
    if (now.leader.empty()) {
        return GuardVerdict{"nobody holds the leader lock any more; it was " + start.leader};
    }
    return GuardVerdict{"the leader changed from " + start.leader + " to " + now.leader};
}

/// Process ids of one boot can be compared; of another they mean nothing.
bool hosts_compare(const MemberFacts& before, const MemberFacts& after) {
    return before.on_host && after.on_host && before.boot_id == after.boot_id;
}

bool is_gone(const PostmasterFacts& postmaster, const MemberFacts& after) {
    return std::ranges::find(after.on_host->postmasters, postmaster.pid, &PostmasterFacts::pid) ==
           after.on_host->postmasters.end();
}

const PostmasterFacts* own_postmaster(const MemberFacts& member) {
    return member.on_host
               ? member.on_host->postmaster(member.postgres.data_directory, member.pg_port)
               : nullptr;
}

std::string what_became_of(const MemberFacts& before, const MemberFacts& after) {
    const std::string whose = "PostgreSQL on " + before.name;
    const std::string& was = before.postgres.started_at;
    const std::string& is = after.postgres.started_at;
    if (same_start(before.postgres, after.postgres) == false) {
        return whose + " was restarted: it runs since " + is + ", before since " + was;
    }
    const PostmasterFacts* old = own_postmaster(before);
    const std::string pid = old == nullptr ? "" : std::to_string(old->pid);
    if (const PostmasterFacts* other = own_postmaster(after)) {
        return whose + " was restarted: it runs as pid " + std::to_string(other->pid) +
               ", before as pid " + pid;
    }
    return whose + " is gone: it ran as pid " + pid + " since " + was +
           ", and its host has no such process any more";
}

/// A cluster beside this one, that a package or a unit of ours took along.
Judged check_neighbours(const MemberFacts& before, const MemberFacts& after) {
    if (!hosts_compare(before, after)) {
        return std::nullopt;
    }
    const std::vector<PatroniUnit>& units = before.on_host->patronis;
    const PostmasterFacts* own = own_postmaster(before);
    for (const PostmasterFacts& postmaster : before.on_host->postmasters) {
        const bool of_patroni =
            std::ranges::find(units, postmaster.unit, &PatroniUnit::name) != units.end();
        if (of_patroni && &postmaster != own && is_gone(postmaster, after)) {
            return GuardVerdict{"PostgreSQL of another cluster on " + before.name + " (" +
                                postmaster.unit + ", port " + std::to_string(postmaster.port) +
                                ") was stopped or restarted: its pid was " +
                                std::to_string(postmaster.pid)};
        }
    }
    return std::nullopt;
}

Judged check_postmasters(const ClusterFacts& start, const ClusterFacts& now) {
    Judged unknown;
    for (const MemberFacts& before : start.members) {
        const MemberFacts* after = now.find(before.name);
        const bool ran = before.state == "running" || before.state == "streaming" ||
                         before.state == "in archive recovery" || own_postmaster(before) != nullptr;
        if (before.postgres.started_at.empty() && !ran) {
            continue;  // it was not running when the run began: nothing to protect
        }
        const std::optional<bool> stayed = postmaster_stayed(before, after);
        if (stayed == false) {
            return GuardVerdict{what_became_of(before, *after)};
        }
        if (!stayed && !unknown) {
            const std::string whose = "PostgreSQL on " + before.name;
            unknown = GuardVerdict{
                before.postgres.started_at.empty()
                    ? "it is not known since when " + whose + " ran at the start"
                    : "it is not known whether " + whose + " still runs: its Patroni does not say",
                true};
        }
        if (Judged beside = after == nullptr ? std::nullopt : check_neighbours(before, *after)) {
            return beside;
        }
    }
    return unknown;
}

/// `10%` of the disk, or an absolute size; nullopt for anything else.
std::optional<std::int64_t> free_wanted(const Value& free, const DiskFacts& disk) {
    const std::string text = free.to_text();
    if (!text.ends_with('%')) {
        return parse_bytes(text);
    }
    int percent = 0;
    const char* end = text.data() + text.size() - 1;
    const auto [stop, error] = std::from_chars(text.data(), end, percent);
    if (error != std::errc() || stop != end || percent < 0 || percent > 100) {
        return std::nullopt;
    }
    return static_cast<std::int64_t>(static_cast<double>(disk.total_bytes) * percent / 100.0);
}

/// A disk that nobody could look at is unknown, not fine: the run waits for the fact, then stops.
Judged check_disk(const GuardSpec& guard, const ClusterFacts& now) {
    const Value free = constant(guard, "free").value_or(Value("10%"));
    for (const MemberFacts& member : now.members) {
        if (!member.disk) {
            return GuardVerdict{"the free space of " + member.name + " is not known", true};
        }
        const std::optional<std::int64_t> wanted = free_wanted(free, *member.disk);
        if (!wanted || member.disk->free_bytes < *wanted) {
            return GuardVerdict{"only " + format_bytes(member.disk->free_bytes) + " are free on " +
                                member.disk->mount + " of " + member.name + ", less than " +
                                free.to_text()};
        }
    }
    return std::nullopt;
}

/// A limit on the size alone; what holds the WAL is the diagnosis' business.
Judged check_pg_wal(const GuardSpec& guard, const ClusterFacts& now) {
    const std::optional<std::int64_t> limit =
        parse_bytes(constant(guard, "size").value_or(Value("")).to_text());
    for (const MemberFacts& member : now.members) {
        if (!member.wal) {
            return GuardVerdict{"the size of pg_wal on " + member.name + " is not known", true};
        }
        if (!limit || member.wal->bytes > *limit) {
            return GuardVerdict{"pg_wal of " + member.name + " holds " +
                                format_bytes(member.wal->bytes) + ", more than " +
                                format_bytes(limit.value_or(0))};
        }
    }
    return std::nullopt;
}

const GuardSpec* find_guard(const Runbook& runbook, std::string_view name) {
    for (const GuardSpec& guard : runbook.guards) {
        if (guard.name == name) {
            return &guard;
        }
    }
    return nullptr;
}

}  // namespace

const ActionCatalog& guard_catalog() {
    static const ActionCatalog k_guards{
        {.name = "leader_unchanged", .summary = "The leader lock stays where it was", .params = {}},
        {.name = "postgres_not_restarted",
         .summary = "No postmaster restarts on any member",
         .params = {}},
        {.name = "disk_above",
         .summary = "Free space for the data directory, on every member",
         .params = {{.name = "free",
                     .kind = ParamKind::string,
                     .required = true,
                     .description = "`10%` of the disk, or a size: `5GB`"}}},
        {.name = "pg_wal_below",
         .summary = "pg_wal stays smaller than this on every member",
         .params = {{.name = "size",
                     .kind = ParamKind::bytes,
                     .required = true,
                     .description = "`20GB`"}}},
        {.name = "write_probe",
         .summary = "A client that writes through the whole run and measures the longest gap",
         .params = {{.name = "every",
                     .kind = ParamKind::duration,
                     .description = "Time between two writes; 100ms unless given"},
                    {.name = "max_gap",
                     .kind = ParamKind::duration,
                     .description = "A longer gap between two writes fails the run"},
                    {.name = "max_errors",
                     .kind = ParamKind::integer,
                     .description = "More failed writes fail the run"},
                    {.name = "from",
                     .kind = ParamKind::string,
                     .description = "`member`: psql on the leader, over SSH; `here`: libpq",
                     .values = {"member", "here"}}}},
    };
    return k_guards;
}

std::optional<bool> postmaster_stayed(const MemberFacts& before, const MemberFacts* after) {
    if (after == nullptr) {
        return std::nullopt;
    }
    const PostmasterFacts* postmaster = own_postmaster(before);
    if (postmaster != nullptr && hosts_compare(before, *after)) {
        if (is_gone(*postmaster, *after)) {
            return false;
        }
        if (before.postgres.started_at.empty()) {
            return true;  // one process all the time
        }
    }
    return same_start(before.postgres, after->postgres);
}

std::optional<GuardVerdict> check_guard(const GuardSpec& guard,
                                        const ClusterFacts& start,
                                        const ClusterFacts& now) {
    Judged judged;  // write_probe is judged by its own report
    if (guard.name == "leader_unchanged") {
        judged = check_leader(start, now);
    } else if (guard.name == "postgres_not_restarted") {
        judged = check_postmasters(start, now);
    } else if (guard.name == "disk_above") {
        judged = check_disk(guard, now);
    } else if (guard.name == "pg_wal_below") {
        judged = check_pg_wal(guard, now);
    }
    if (judged) {
        judged->why = "guard " + guard.name + ": " + judged->why;
    }
    return judged;
}

void forget_postmaster(MemberFacts& before) {
    if (const PostmasterFacts* own = own_postmaster(before)) {
        std::vector<PostmasterFacts>& all = before.on_host->postmasters;
        all.erase(all.begin() + (own - all.data()));
    }
    before.state.clear();
    before.postgres.started_at.clear();
}

/// Only these two cost an SSH round trip; the others are content with REST, and so are checked with
/// every look.
bool needs_full_facts(const GuardSpec& guard) {
    return guard.name == "disk_above" || guard.name == "pg_wal_below";
}

std::optional<ProbeSettings> write_probe_settings(const Runbook& runbook) {
    const GuardSpec* guard = find_guard(runbook, "write_probe");
    if (guard == nullptr) {
        return std::nullopt;
    }
    ProbeSettings settings;
    settings.every = duration_of(*guard, "every", settings.every);
    settings.over_ssh = constant(*guard, "from").value_or(Value("member")).to_text() == "member";
    return settings;
}

/// A probe that never wrote has measured no gap: limits that nobody could look at count as broken.
std::optional<std::string> check_write_probe(const Runbook& runbook, const ProbeReport& report) {
    const GuardSpec* guard = find_guard(runbook, "write_probe");
    if (guard == nullptr) {
        return std::nullopt;
    }
    const bool limited = guard->with.contains("max_gap") || guard->with.contains("max_errors");
    if (limited && report.writes == 0) {
        return "the write probe never wrote: " + report.last_error;
    }
    const std::chrono::milliseconds limit =
        duration_of(*guard, "max_gap", std::chrono::milliseconds::max());
    if (report.longest_gap > limit) {
        return "the write probe saw a gap of " + format_duration(report.longest_gap) +
               ", longer than " + format_duration(limit);
    }
    const std::optional<Value> errors = constant(*guard, "max_errors");
    if (errors && report.errors > errors->as_integer()) {
        return "the write probe saw " + counted(report.errors, "error") +
               ", the last: " + report.last_error;
    }
    return std::nullopt;
}

}  // namespace lockstep
