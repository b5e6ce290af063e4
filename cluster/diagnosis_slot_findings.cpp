#include "base/units.hpp"
#include "cluster/diagnosis_rules.hpp"

#include <algorithm>
#include <map>

namespace lockstep::rules {

namespace {

/// The member that a slot is named after.
const MemberFacts* served_member(const ClusterFacts& facts, std::string_view slot) {
    const auto found = std::ranges::find_if(facts.members, [&](const MemberFacts& member) {
        return slot_name_of(member.name) == slot;
    });
    return found == facts.members.end() ? nullptr : &*found;
}

std::string remedy_of_member_slot(const ClusterFacts& facts,
                                  const MemberFacts& member,
                                  const SlotFacts& slot) {
    const MemberFacts* leader = facts.leader_member();
    const MemberFacts* served = served_member(facts, slot.name);
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
           "patroni-upgrade`, or the replicas to the leader's version with `lockstep run "
           "patroni-align-replicas`; PostgreSQL keeps running.";
}

/// A copy on a replica is read by nobody: its reader belongs to the leader's slot.
std::string at_the_leader(const ClusterFacts& facts, const MemberFacts& member) {
    return facts.leader.empty() || facts.leader == member.name ? "" : " on " + facts.leader;
}

// PostgreSQL 17 and 18: the slotsync worker runs with sync_replication_slots=on and
// hot_standby_feedback=on, a primary_slot_name, and a dbname in primary_conninfo; a synchronised
// slot cannot be dropped (ReplicationSlotAcquire, slot.c).
std::string synced_remedy(const ClusterFacts& facts,
                          const MemberFacts& member,
                          const SlotFacts& slot) {
    return "Set sync_replication_slots to on again (`patronictl edit-config`), and look at "
           "PostgreSQL's log on " +
           member.name +
           " for what the slot sync worker says: it needs hot_standby_feedback, primary_slot_name "
           "and a dbname in primary_conninfo. It cannot be dropped there, and the slot " +
           slot.name + " on " + (facts.leader.empty() ? "the leader" : facts.leader) +
           " is its original: that one stays.";
}

std::string drop_statement(const SlotFacts& slot) {
    return "`select pg_catalog.pg_drop_replication_slot('" + slot.name + "')`";
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
void lost_slot(const ClusterFacts& facts,
               const MemberFacts& member,
               const SlotFacts& slot,
               Findings& found) {
    const bool away = slot.serves == SlotServes::absent;
    const bool orphan = slot.serves == SlotServes::orphan || away;
    const std::string remedy =
        slot.synced ? synced_remedy(facts, member, slot)
        : away ? "Its member has to be rebuilt when it comes back (`patronictl reinit`); Patroni "
                 "drops the slot by itself."
               : "Drop it with pg_drop_replication_slot; Patroni creates its own slots anew. "
                 "Whoever read from it must be set up again.";
    found.push_back({"slot.lost",
                     orphan ? Severity::warning : Severity::critical,
                     member.name,
                     slot.name,
                     "the replication slot " + slot.name + " on " + member.name +
                         " is lost: the WAL that it stood for was removed",
                     remedy,
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
            lost_slot(facts, member, slot, found);
        } else if (slot.stuck) {
            stuck_slot(facts, member, slot, found);
        } else if (holds_nothing_for_its_reader(member, slot)) {
            invalidated_slot(member, slot, found);
        }
    }
}

/// `30min` as it is configured, else Patroni's default.
std::string member_slots_ttl_text(const ClusterFacts& facts) {
    const nlohmann::json ttl = facts.config.is_object()
                                   ? facts.config.value("member_slots_ttl", nlohmann::json())
                                   : nlohmann::json();
    if (ttl.is_string()) {
        return ttl.get<std::string>();
    }
    return ttl.is_number() ? format_duration(std::chrono::seconds{ttl.get<std::int64_t>()})
                           : "30 min by default";
}

/// Dropped by hand it is made again, or its member has to be rebuilt.
std::string absent_remedy(const ClusterFacts& facts, const std::string& slot) {
    const std::string who = absent_member_of(facts, slot);
    return "Bring " + (who.empty() ? "that member" : who) +
           " back: it goes on from where it was. Do not drop the slot: Patroni makes it again, or "
           "the member has to be rebuilt. If the member is gone for good, Patroni drops the slot "
           "itself member_slots_ttl (" +
           member_slots_ttl_text(facts) + ") after it went" +
           (facts.paused ? "; in a pause it drops none." : ".");
}

/// One finding a slot, on whatever members: the cause is one.
void absent_members(const ClusterFacts& facts, Findings& found) {
    std::map<std::string, std::vector<std::string>> held;
    for (const MemberFacts& member : facts.members) {
        if (!member.slots) {
            continue;
        }
        for (const SlotFacts& slot : *member.slots) {
            // Of a member that is listed another finding says why it does not read.
            const MemberFacts* served = served_member(facts, slot.name);
            if (slot.serves == SlotServes::absent && slot.wal_status != "lost" &&
                holds_idle_wal(member, slot) && (served == nullptr || !served->listed)) {
                held[slot.name].push_back(format_bytes(*slot.retained_bytes) + " on " +
                                          member.name);
            }
        }
    }
    for (const auto& [slot, where] : held) {
        const std::string who = absent_member_of(facts, slot);
        found.push_back({"slot.member_away",
                         Severity::warning,
                         "",
                         slot,
                         "the replication slot " + slot + " keeps WAL for " +
                             (who.empty() ? "a member that is away" : who + ", which is away") +
                             ": " + join_names(where),
                         absent_remedy(facts, slot),
                         "patroni#3108"});
    }
}

}  // namespace

std::string absent_member_of(const ClusterFacts& facts, std::string_view slot) {
    if (const MemberFacts* served = served_member(facts, slot)) {
        return served->name;
    }
    for (const MissingMember& member : facts.missing) {
        if (slot_name_of(member.name) == slot) {
            return member.name;
        }
    }
    return {};
}

std::string slot_service(const ClusterFacts& facts, const SlotFacts& slot) {
    const std::string logical =
        slot.database.empty() ? "" : " (" + slot.plugin + " in the database " + slot.database + ")";
    switch (slot.serves) {
        case SlotServes::member: {
            const MemberFacts* served = served_member(facts, slot.name);
            return "serves the member " + (served == nullptr ? slot.name : served->name);
        }
        case SlotServes::absent: {
            const MemberFacts* served = served_member(facts, slot.name);
            const std::string who = absent_member_of(facts, slot.name);
            const bool listed = served != nullptr && served->listed;
            return who.empty()
                       ? "is kept for a member that is away"
                       : "is kept for the member " + who +
                             (listed ? ", whose PostgreSQL does not run" : ", which is away");
        }
        case SlotServes::permanent:
            return "is a permanent slot of the configuration" + logical;
        case SlotServes::consumer:
            if (slot.synced) {
                return "is PostgreSQL's copy of the leader's slot" + logical;
            }
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
    if (slot.synced) {
        return synced_remedy(facts, member, slot);
    }
    switch (slot.serves) {
        case SlotServes::member:
            return remedy_of_member_slot(facts, member, slot);
        case SlotServes::absent:
            return absent_remedy(facts, slot.name);
        case SlotServes::permanent:
            return "Connect its consumer again" + at_the_leader(facts, member) +
                   ", or take it out of `slots` in the dynamic configuration (`patronictl "
                   "edit-config`): Patroni creates anew what is only dropped.";
        case SlotServes::consumer:
            return "Connect its consumer again" + at_the_leader(facts, member) +
                   ". When nobody needs it any more, drop it on " + member.name + ": " +
                   drop_statement(slot) + "; its consumer then has to start afresh.";
        case SlotServes::orphan:
            break;
    }
    return "No version change cures it. If nobody needs it, name it in the input drop_slots of "
           "`lockstep run patroni-upgrade`, or drop it on " +
           member.name + ": " + drop_statement(slot) + ".";
}

void slot_findings(const ClusterFacts& facts, Findings& found) {
    for (const MemberFacts& member : facts.members) {
        slots(facts, member, found);
    }
    absent_members(facts, found);
}

}  // namespace lockstep::rules
