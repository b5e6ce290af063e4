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

/// The member that a slot is named after.
const MemberFacts* served_member(const ClusterFacts& facts, const SlotFacts& slot) {
    const auto found = std::ranges::find_if(facts.members, [&](const MemberFacts& member) {
        return slot_name_of(member.name) == slot.name;
    });
    return found == facts.members.end() ? nullptr : &*found;
}

std::string remedy_of_member_slot(const ClusterFacts& facts,
                                  const MemberFacts& member,
                                  const SlotFacts& slot) {
    const MemberFacts* leader = facts.leader_member();
    const MemberFacts* served = served_member(facts, slot);
    if (leader == &member) {
        const std::string name = served == nullptr ? slot.name : served->name;
        return "Let " + name + " stream again. If it is gone for good, remove it from the cluster.";
    }
    // A replica's slots are moved by its own Patroni, once in a loop, to where the leader says that
    // the member is; under a leader before 4.0.0 the served member's Patroni says it.
    for (const MemberFacts* silent : {&member, served}) {
        if (silent != nullptr && silent->api.failed()) {
            return "Start Patroni on " + silent->name +
                   ": without its daemon nobody advances this slot.";
        }
    }
    if (leader != nullptr && leader->patroni.running == member.patroni.running) {
        return "Look at Patroni's log on " + member.name +
               ": its daemon should advance this slot in every loop.";
    }
    return "Bring every member to one Patroni of 4.0.4 or later with `lockstep run "
           "patroni-upgrade`; "
           "PostgreSQL keeps running.";
}

std::string drop_statement(const SlotFacts& slot) {
    return "`select pg_drop_replication_slot('" + slot.name + "')`";
}

void stuck_slot(const ClusterFacts& facts,
                const MemberFacts& member,
                const SlotFacts& slot,
                Findings& found) {
    const std::string held = format_bytes(slot.retained_bytes.value_or(0));
    found.push_back(
        {"slot.stuck",
         Severity::critical,
         member.name,
         slot.name,
         "the replication slot " + slot.name + " on " + member.name +
             " does not advance and holds " + held + " of WAL; it " + slot_service(facts, slot) +
             ", nothing is connected to it, and it stood at " +
             format_lsn(slot.restart_lsn.value_or(0)) + " in two samples at least " +
             format_duration(stuck_interval(facts)) + " apart",
         slot_remedy(facts, member, slot),
         slot.serves == SlotServes::member ? "patroni#3184" : "",
         // A member's slot moves again once the versions agree; the others are somebody's.
         slot.serves != SlotServes::member});
}

// PostgreSQL 13 to 18: an invalidated slot never becomes valid again. Patroni before 4.0.10
// and 4.1.4 does not replace it (#3641, #3659), and 3.2.0 to 4.0.6 stop managing any slot on that
// member (#3388).
void lost_slot(const MemberFacts& member, const SlotFacts& slot, Findings& found) {
    const bool orphan = slot.serves == SlotServes::orphan;
    found.push_back({"slot.lost",
                     orphan ? Severity::warning : Severity::critical,
                     member.name,
                     slot.name,
                     "the replication slot " + slot.name + " on " + member.name +
                         " is lost: the WAL that it stood for was removed",
                     "Drop it with pg_drop_replication_slot; Patroni creates its own slots anew. "
                     "Whoever read from it must be set up again.",
                     "patroni#3641"});
}

// PostgreSQL 13 to 17 let a walsender go on with a physical slot that was invalidated, and show it
// as `unreserved` while it is active, as if it were about to be lost. It is that only beyond
// max_slot_wal_keep_size; within it, it is lost already (GetWALAvailability, seen with 17.12).
bool holds_nothing_for_its_reader(const MemberFacts& member, const SlotFacts& slot) {
    return member.is_leader() && slot.active && slot.wal_status == "unreserved" &&
           slot.retained_bytes && member.wal &&
           (member.wal->max_slot_wal_keep_size < 0 ||
            *slot.retained_bytes <= member.wal->max_slot_wal_keep_size);
}

void invalidated_slot(const MemberFacts& member, const SlotFacts& slot, Findings& found) {
    found.push_back({"slot.lost",
                     Severity::warning,
                     member.name,
                     slot.name,
                     "the replication slot " + slot.name + " on " + member.name +
                         " was invalidated: its reader streams on, but no WAL is kept for it when "
                         "it falls behind",
                     "End its walsender (pg_terminate_backend), and drop the slot in the same "
                     "moment with pg_drop_replication_slot; Patroni creates a member's anew in its "
                     "next loop.",
                     "patroni#3641"});
}

/// Lost before stuck: a slot that holds nothing any more cannot hold WAL back.
void slots(const ClusterFacts& facts, const MemberFacts& member, Findings& found) {
    if (!member.slots) {
        return;
    }
    for (const SlotFacts& slot : *member.slots) {
        if (slot.wal_status == "lost") {
            lost_slot(member, slot, found);
        } else if (slot.stuck) {
            stuck_slot(facts, member, slot, found);
        } else if (holds_nothing_for_its_reader(member, slot)) {
            invalidated_slot(member, slot, found);
        }
    }
}

// WAL that readers are still busy with is no excess: behind the slots that something reads from.
std::int64_t read_backlog(const MemberFacts& member) {
    std::int64_t backlog = 0;
    for (const SlotFacts& slot : *member.slots) {
        if (slot.active && slot.restart_lsn && *slot.restart_lsn < *member.wal->redo) {
            backlog =
                std::max(backlog, static_cast<std::int64_t>(*member.wal->redo - *slot.restart_lsn));
        }
    }
    return backlog;
}

// What a reader that is away, or a failing archive, keeps is for whoever has those to decide, on a
// replica's copy of the slot as well: no upgrade mends it.
// The slack of one max_wal_size is what a cluster may write between two checkpoints: slots that
// trail by some loops stay within it.
void oversize(const MemberFacts& member, Findings& found) {
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
        holder = "the slot " + oldest->name + " holds them";
        remedy = "Cure what holds the slot " + oldest->name +
                 " back; the WAL goes with the next checkpoint after that.";
    } else if (wal.archiving_fails) {
        holder = "they wait for archiving, which fails";
        remedy = "Look at archive_command and at PostgreSQL's log on " + member.name + ".";
    } else {
        holder = "nothing holds them any more";
        remedy = "They go with the next checkpoint; an idle cluster makes none by itself.";
    }
    found.push_back(
        {"wal.oversize",
         by_slot || wal.archiving_fails ? Severity::warning : Severity::info,
         member.name,
         "",
         "pg_wal of " + member.name + " has " + format_bytes(wal.bytes) + ", of which " +
             format_bytes(*held) + " are older than the last checkpoint needs, with max_wal_size " +
             format_bytes(wal.max_wal_size) + "; " + holder,
         remedy,
         "patroni#3184",
         by_slot ? !oldest->active && oldest->serves != SlotServes::member : wal.archiving_fails});
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

/// The file system of pg_wal, for that is the one whose end stops PostgreSQL.
void disk(const MemberFacts& member, Findings& found) {
    constexpr double k_critical = 0.10;
    if (!is_low(member)) {
        return;
    }
    const double free = free_part(*member.disk);
    found.push_back({"disk.low",
                     free < k_critical ? Severity::critical : Severity::warning,
                     member.name,
                     member.disk->mount,
                     "the file system " + member.disk->mount + " of " + member.name +
                         ", where pg_wal is, has " + format_bytes(member.disk->free_bytes) +
                         " of " + format_bytes(member.disk->total_bytes) + " free (" +
                         std::to_string(static_cast<int>(free * 100)) + "%)",
                     "Free or add space before anything else: PostgreSQL stops when pg_wal has no "
                     "room.",
                     ""});
}

}  // namespace

std::string slot_service(const ClusterFacts& facts, const SlotFacts& slot) {
    const std::string logical =
        slot.database.empty() ? "" : " (" + slot.plugin + " in the database " + slot.database + ")";
    switch (slot.serves) {
        case SlotServes::member: {
            const MemberFacts* served = served_member(facts, slot);
            return "serves the member " + (served == nullptr ? slot.name : served->name);
        }
        case SlotServes::permanent:
            return "is a permanent slot of the configuration" + logical;
        case SlotServes::consumer:
            return logical.empty() ? "serves a consumer" : "serves a logical consumer" + logical;
        case SlotServes::orphan:
            break;
    }
    return "serves nobody that is known";
}

/// By whom it serves: what is right for a member's slot throws somebody's consumer away.
std::string slot_remedy(const ClusterFacts& facts,
                        const MemberFacts& member,
                        const SlotFacts& slot) {
    switch (slot.serves) {
        case SlotServes::member:
            return remedy_of_member_slot(facts, member, slot);
        case SlotServes::permanent:
            return "Connect its consumer again, or take it out of `slots` in the dynamic "
                   "configuration (`patronictl edit-config`): Patroni creates anew what is only "
                   "dropped.";
        case SlotServes::consumer:
            return "Connect its consumer again. When nobody needs it any more, drop it on " +
                   member.name + ": " + drop_statement(slot) +
                   "; its consumer then has to start afresh.";
        case SlotServes::orphan:
            break;
    }
    return "No version change cures it. If nobody needs it, name it in the input drop_slots of "
           "`lockstep run patroni-upgrade`, or drop it on " +
           member.name + ": " + drop_statement(slot) + ".";
}

void storage(const ClusterFacts& facts, Findings& found) {
    for (const MemberFacts& member : facts.members) {
        slots(facts, member, found);
        oversize(member, found);
        not_archived(member, found);
        disk(member, found);
    }
}

}  // namespace lockstep::rules
