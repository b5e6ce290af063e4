#include "base/units.hpp"
#include "cluster/diagnosis_rules.hpp"

#include <algorithm>

namespace lockstep::rules {

namespace {

double free_part(const DiskFacts& disk) {
    return static_cast<double>(disk.free_bytes) / static_cast<double>(disk.total_bytes);
}

/// The same limit makes failing archiving critical: then it is a matter of time.
bool is_low(const MemberFacts& member) {
    constexpr double k_warning = 0.20;
    return member.disk && member.disk->total_bytes > 0 && free_part(*member.disk) < k_warning;
}

// WAL that readers are still busy with is no excess: behind the slots that something reads from.
// But only so much as piles up while they read a burst: one that is further behind does not keep
// up, or is held, and one look cannot tell. Growth over time is wal.growing.
std::int64_t read_backlog(const MemberFacts& member) {
    std::int64_t backlog = 0;
    for (const SlotFacts& slot : *member.slots) {
        if (slot.active && slot.restart_lsn && *slot.restart_lsn < *member.wal->redo) {
            backlog =
                std::max(backlog, static_cast<std::int64_t>(*member.wal->redo - *slot.restart_lsn));
        }
    }
    return std::min(backlog, 4 * member.wal->max_wal_size);
}

/// A slot of somebody else that stands still, here or, where this is a copy of it, on the leader;
/// one whose member is away, or one whose reader is behind. No change of versions moves it.
bool waits_for_a_person(const ClusterFacts& facts, const SlotFacts& slot) {
    const SlotFacts* original = find_slot(facts.leader_member(), slot.name);
    const bool still = slot.stuck || (original != nullptr && original->stuck);
    return slot.serves == SlotServes::absent || slot.active ||
           ((still || !slot.active) && slot.serves != SlotServes::member);
}

// What a reader that is away, or a failing archive, keeps is for whoever has those to decide, on a
// replica's copy of the slot as well: no upgrade mends it.
// The slack of one max_wal_size is what a cluster may write between two checkpoints: slots that
// trail by some loops stay within it.
void oversize(const ClusterFacts& facts, const MemberFacts& member, Findings& found) {
    if (!member.wal || !member.slots) {
        return;
    }
    const WalFacts& wal = *member.wal;
    const auto held = wal.held_bytes();
    if (!held || *held <= wal.keep_size + read_backlog(member) + wal.max_wal_size) {
        return;
    }
    const auto oldest = std::ranges::min_element(*member.slots, {}, [](const SlotFacts& slot) {
        return slot.restart_lsn.value_or(~Lsn{0});
    });
    const bool by_slot = oldest != member.slots->end() && oldest->restart_lsn &&
                         *oldest->restart_lsn <= *wal.oldest + static_cast<Lsn>(wal.segment_bytes);
    std::string holder;
    std::string remedy;
    if (by_slot) {
        holder = "the " + std::string(oldest->active ? "active " : "") + "slot " + oldest->name +
                 " holds them";
        remedy = slot_holds_wal(facts, member, *oldest);
    } else if (wal.archiving_fails) {
        holder = "they wait for archiving, which fails";
        remedy = "Look at archive_command and at PostgreSQL's log on " + member.name + ".";
    } else {
        holder = "nothing holds them any more";
        remedy = "They go with the next checkpoint; an idle cluster makes none by itself.";
    }
    found.push_back({"wal.oversize",
                     by_slot || wal.archiving_fails ? Severity::warning : Severity::info,
                     member.name,
                     "",
                     "pg_wal of " + member.name + " has " + format_bytes(wal.bytes) +
                         ", of which " + format_bytes(*held) +
                         " are older than the last checkpoint needs, with max_wal_size " +
                         format_bytes(wal.max_wal_size) + "; " + holder,
                     remedy,
                     "patroni#3184",
                     by_slot ? waits_for_a_person(facts, *oldest) : wal.archiving_fails});
}

// The archiver tries a segment three times, waits a minute, and takes no other before it
// (PostgreSQL 11 to 18, pgarch.c): all newer segments wait for the one that fails.
void not_archived(const MemberFacts& member, Findings& found) {
    if (!member.wal || !member.wal->archiver || !member.wal->archiving_fails) {
        return;
    }
    const ArchiverFacts& archiver = *member.wal->archiver;
    std::string message = "archiving of WAL fails on " + member.name;
    if (!archiver.last_failed_wal.empty()) {
        message += ": " + archiver.last_failed_wal + " was tried";
        message += archiver.last_failed_ago ? " " + ago(*archiver.last_failed_ago) : "";
    }
    message += archiver.last_archived_ago
                   ? ", the last success was " + ago(*archiver.last_archived_ago)
                   : ", and none was archived since the statistics began";
    if (archiver.waiting) {
        message += "; " + std::to_string(*archiver.waiting) +
                   (*archiver.waiting == 1 ? " segment waits" : " segments wait");
        if (member.wal->segment_bytes > 0) {
            message += " (" + format_bytes(*archiver.waiting * member.wal->segment_bytes) + ")";
        }
        message += " and cannot be removed";
    }
    found.push_back({"wal.not_archived",
                     is_low(member) ? Severity::critical : Severity::warning,
                     member.name,
                     archiver.last_failed_wal,
                     message,
                     "Look for archive_command in PostgreSQL's log on " + member.name +
                         ": the archive is full, not reached, or refuses what is there already. "
                         "Remove nothing in pg_wal by hand.",
                     "PostgreSQL: Continuous Archiving"});
}

void low_disk(const MemberFacts& member,
              const DiskFacts& disk,
              const char* what,
              double critical,
              const char* remedy,
              Findings& found) {
    const double free = free_part(disk);
    found.push_back({"disk.low",
                     free < critical ? Severity::critical : Severity::warning,
                     member.name,
                     disk.mount,
                     "the file system " + disk.mount + " of " + member.name + ", where " + what +
                         " is, has " + format_bytes(disk.free_bytes) + " of " +
                         format_bytes(disk.total_bytes) + " free (" +
                         std::to_string(static_cast<int>(free * 100)) + "%)",
                     remedy,
                     ""});
}

/// The file system of pg_wal, for that is the one whose end stops PostgreSQL; and that of the data,
/// where it is another: it does not fill by WAL, so that less of it is enough.
void disk(const MemberFacts& member, Findings& found) {
    if (is_low(member)) {
        low_disk(
            member,
            *member.disk,
            "pg_wal",
            0.10,
            "Free or add space before anything else: PostgreSQL stops when pg_wal has no room.",
            found);
    }
    if (member.data_disk && member.data_disk->total_bytes > 0 &&
        free_part(*member.data_disk) < 0.10) {
        low_disk(
            member,
            *member.data_disk,
            "the data directory",
            0.05,
            "Free or add space: without room no table grows, no temporary file is written, and "
            "checkpoints fail.",
            found);
    }
}

}  // namespace

bool is_held_by_a_transaction(const MemberFacts& member, const SlotFacts& slot) {
    const auto at = member.received ? member.received : member.position;
    const Lsn near = member.wal ? static_cast<Lsn>(member.wal->segment_bytes) : 0;
    return slot.active && slot.confirmed && slot.restart_lsn && at &&
           *slot.confirmed + near >= *at && *slot.confirmed > *slot.restart_lsn + near;
}

// A slot's restart_lsn does not pass the begin of a transaction that is still open, whatever its
// reader has confirmed (SnapBuildProcessRunningXacts, PostgreSQL 11 to 18).
std::string reader_remedy(const MemberFacts& member, const SlotFacts& slot) {
    if (!is_held_by_a_transaction(member, slot)) {
        return "Look why the reader of the slot " + slot.name +
               " does not keep up with what is written, at its host and the network to it.";
    }
    std::string text = "The reader of the slot " + slot.name +
                       " keeps up; what holds it is a transaction that is still open: ";
    const auto& oldest = member.wal->oldest_transaction;
    if (!oldest) {
        return text + "look for it in pg_stat_activity (backend_xid) and pg_prepared_xacts on " +
               member.name + "; once it has ended the slot moves with the next checkpoint.";
    }
    const std::string since = format_duration(std::chrono::seconds{oldest->age_seconds});
    const std::string xid = "xid " + oldest->xid + ", open for " + since;
    return text + (oldest->pid > 0
                       ? "pid " + std::to_string(oldest->pid) + " on " + member.name +
                             (oldest->name.empty() ? "" : " (" + oldest->name + ")") + ", " + xid +
                             ". Let it end; if its work may be lost, end it: `select "
                             "pg_catalog.pg_terminate_backend(" +
                             std::to_string(oldest->pid) + ")`."
                       : "it is prepared, " + oldest->name + ", " + xid +
                             ". Whoever prepared it has to commit it or roll it back.");
}

std::string slot_holds_wal(const ClusterFacts& facts,
                           const MemberFacts& member,
                           const SlotFacts& slot) {
    const std::string goes = " The WAL goes with the next checkpoint after that.";
    const SlotFacts* original = find_slot(facts.leader_member(), slot.name);
    if (slot.serves == SlotServes::absent || slot.synced) {
        return slot_remedy(facts, member, slot) + goes;
    }
    if (!member.is_leader() && original != nullptr && original->restart_lsn && slot.restart_lsn &&
        *original->restart_lsn <= *slot.restart_lsn) {
        return "Look at the slot " + slot.name + " on " + facts.leader +
               ", of which this is a copy: it stands there, too." + goes;
    }
    if (slot.active) {
        return reader_remedy(member, slot);
    }
    return "Cure what holds the slot " + slot.name +
           " back; the WAL goes with the next checkpoint after that.";
}

void storage(const ClusterFacts& facts, Findings& found) {
    for (const MemberFacts& member : facts.members) {
        oversize(facts, member, found);
        not_archived(member, found);
        disk(member, found);
    }
}

}  // namespace lockstep::rules
