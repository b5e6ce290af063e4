#include "base/package_version.hpp"
#include "cluster/diagnosis_rules.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace lockstep {

namespace {

constexpr std::int64_t k_default_segment = std::int64_t{16} << 20;

/// Where PostgreSQL was not asked: 16 MB, the size that initdb gives.
std::int64_t segment_of(const MemberFacts& member) {
    return member.wal && member.wal->segment_bytes > 0 ? member.wal->segment_bytes
                                                       : k_default_segment;
}

/// One that waits for a member that is away stands still, as it should.
bool is_suspicious(const MemberFacts& member, const SlotFacts& slot) {
    return slot.serves != SlotServes::absent && holds_idle_wal(member, slot);
}

// After a start of PostgreSQL a slot stands where it was last saved, with a checkpoint: it may look
// unmoved although it moved in between (ReplicationSlotMarkDirty, PostgreSQL 9.4 to 18).
bool is_same_postgres(const MemberFacts& a, const MemberFacts& b) {
    return a.system_identifier == b.system_identifier &&
           same_start(a.postgres, b.postgres).value_or(false);
}

// A copy on a replica cannot be ahead of its original: Patroni advances slots of members and
// permanent slots to where the leader's slot of that name is (patroni/postgresql/slots.py, 3.2
// to 4.1), and PostgreSQL 17 does so with synchronised logical slots. When the leader's own slot is
// that far back, the leader's is the one to look at.
bool follows_the_leaders(const SlotFacts& slot,
                         const MemberFacts& member,
                         const ClusterFacts& facts) {
    const MemberFacts* leader = facts.leader_member();
    if (leader == &member || slot.serves == SlotServes::orphan) {
        return false;
    }
    const SlotFacts* original = find_slot(leader, slot.name);
    return original != nullptr && original->restart_lsn &&
           *original->restart_lsn <= *slot.restart_lsn;
}

const nlohmann::json& configured_slots(const ClusterFacts& facts) {
    static const nlohmann::json k_none = nlohmann::json::object();
    if (!facts.config.is_object()) {
        return k_none;
    }
    const auto found = facts.config.find("slots");
    return found != facts.config.end() && found->is_object() ? *found : k_none;
}

bool is_members_slot(const ClusterFacts& facts, std::string_view slot) {
    return std::ranges::any_of(facts.members, [&](const MemberFacts& member) {
        return slot_name_of(member.name) == slot;
    });
}

/// One that the inventory or an earlier sample names and Patroni does not list, or whose PostgreSQL
/// does not run: a base backup is being taken, or it does not start.
bool is_of_a_missing_member(const ClusterFacts& facts, std::string_view slot) {
    const bool told = facts.cluster_error.empty();
    return std::ranges::any_of(facts.members,
                               [&](const MemberFacts& member) {
                                   const bool away =
                                       (told && !member.listed) ||
                                       rules::postgres_state(member) != rules::PostgresState::runs;
                                   return away && slot_name_of(member.name) == slot;
                               }) ||
           std::ranges::any_of(facts.missing, [&](const MissingMember& member) {
               return slot_name_of(member.name) == slot;
           });
}

// `ignore_slots` is a list of matchers, of which each must fit in all that it names
// (patroni/dcs/__init__.py and postgresql/slots.py, ignore_replication_slot, 2.1 to 4.1).
bool is_ignored(const ClusterFacts& facts, const SlotFacts& slot) {
    const nlohmann::json ignored = facts.config.is_object()
                                       ? facts.config.value("ignore_slots", nlohmann::json())
                                       : nlohmann::json();
    const auto fits = [](const nlohmann::json& matcher, const char* key, const std::string& is) {
        return !matcher.contains(key) || matcher.at(key) == is;
    };
    return ignored.is_array() && std::ranges::any_of(ignored, [&](const nlohmann::json& matcher) {
               return matcher.is_object() && fits(matcher, "name", slot.name) &&
                      fits(matcher, "type", slot.type) && fits(matcher, "plugin", slot.plugin) &&
                      fits(matcher, "database", slot.database);
           });
}

// Patroni drops in every loop the physical slots that it does not know, unless paused; from 4.0 on
// it knows for member_slots_ttl those of members that are away (retain_slots in the DCS, 4.0 to
// 4.1). So one that is still there under such a leader is kept for a member, whatever its name; and
// where it is not, Patroni drops it by itself.
bool is_retained(const ClusterFacts& facts, const SlotFacts& slot) {
    const MemberFacts* leader = facts.leader_member();
    const std::string version =
        leader == nullptr ? std::string() : rules::plain_upstream(leader->patroni.running);
    return !version.empty() && PackageVersion(version) >= PackageVersion("4.0.0") &&
           keeps_member_slots(facts) && !is_ignored(facts, slot);
}

/// An active slot has a consumer, and a logical one is of no use without: only an inactive physical
/// one that nobody names is nobody's.
SlotServes whom_it_serves(const ClusterFacts& facts, const SlotFacts& slot) {
    const bool physical = slot.type == "physical";
    if (physical && !slot.active && is_of_a_missing_member(facts, slot.name)) {
        return SlotServes::absent;
    }
    if (physical && is_members_slot(facts, slot.name)) {
        return SlotServes::member;
    }
    if (configured_slots(facts).contains(slot.name)) {
        return SlotServes::permanent;
    }
    if (physical && !slot.active && is_retained(facts, slot)) {
        return SlotServes::absent;
    }
    return slot.active || slot.type == "logical" ? SlotServes::consumer : SlotServes::orphan;
}

}  // namespace

bool rules::is_ignored_slot(const ClusterFacts& facts, const SlotFacts& slot) {
    return is_ignored(facts, slot);
}

/// Less than a segment keeps no file back, whatever it is.
bool holds_idle_wal(const MemberFacts& member, const SlotFacts& slot) {
    return !slot.active && slot.restart_lsn && slot.retained_bytes &&
           *slot.retained_bytes >= segment_of(member);
}

bool may_be_dropped(const SlotFacts& slot) {
    return !slot.active && !slot.synced &&
           (slot.serves == SlotServes::consumer || slot.serves == SlotServes::orphan);
}

// slot_name_from_member_name() (patroni/dcs/__init__.py, 2.1 to 4.1). Member names are text: a
// character is a code point there, so UTF-8 is decoded here.
std::string slot_name_of(std::string_view member) {
    constexpr std::size_t k_longest_name = 63;  // NAMEDATALEN - 1 (PostgreSQL)
    std::string slot;
    for (std::size_t n = 0; n < member.size();) {
        const auto lead = static_cast<unsigned char>(member[n++]);
        const bool lower = lead >= 'A' && lead <= 'Z';
        const char c = static_cast<char>(lower ? lead - 'A' + 'a' : lead);
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_') {
            slot += c;
            continue;
        }
        if (c == '-' || c == '.') {
            slot += '_';
            continue;
        }
        unsigned point = lead;
        if (lead >= 0xC0) {
            const int following = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
            point = lead & (0x3FU >> static_cast<unsigned>(following));
            for (int k = 0; k < following && n < member.size(); ++k) {
                point = (point << 6U) | (static_cast<unsigned char>(member[n++]) & 0x3FU);
            }
        }
        std::array<char, 16> code{};
        const int length = std::snprintf(code.data(), code.size(), "u%04u", point);
        slot.append(code.data(), static_cast<std::size_t>(std::max(length, 0)));
    }
    return slot.substr(0, k_longest_name);
}

void classify_slots(ClusterFacts& facts) {
    for (MemberFacts& member : facts.members) {
        if (!member.slots) {
            continue;
        }
        for (SlotFacts& slot : *member.slots) {
            slot.serves = whom_it_serves(facts, slot);
        }
    }
}

/// `type` may be left out of the configuration; it is physical then.
bool has_permanent_physical_slots(const ClusterFacts& facts) {
    for (const auto& [name, settings] : configured_slots(facts).items()) {
        const bool logical =
            settings.is_object() && settings.contains("type") && settings.at("type") == "logical";
        if (!logical && !is_members_slot(facts, name)) {
            return true;
        }
    }
    return false;
}

// A number of seconds, or a text such as `30min` (parse_int, patroni/utils.py).
bool member_slots_ttl_is_zero(const ClusterFacts& facts) {
    if (!facts.config.is_object()) {
        return false;
    }
    const nlohmann::json ttl = facts.config.value("member_slots_ttl", nlohmann::json());
    if (ttl.is_number()) {
        return ttl.get<double>() == 0;
    }
    const std::string text = ttl.is_string() ? ttl.get<std::string>() : "";
    return text.starts_with('0') && text.find_first_of("123456789.") == std::string::npos;
}

/// True unless it is switched off: that is Patroni's default, and what is not known must not hide a
/// slot.
bool uses_slots(const ClusterFacts& facts) {
    if (!facts.config.is_object()) {
        return true;
    }
    const auto postgresql = facts.config.find("postgresql");
    if (postgresql == facts.config.end() || !postgresql->is_object()) {
        return true;
    }
    const auto use_slots = postgresql->find("use_slots");
    return use_slots == postgresql->end() || *use_slots != false;
}

bool keeps_member_slots(const ClusterFacts& facts) {
    return uses_slots(facts) && !member_slots_ttl_is_zero(facts);
}

bool has_suspicious_slots(const ClusterFacts& facts) {
    return std::ranges::any_of(facts.members, [](const MemberFacts& member) {
        return member.slots && std::ranges::any_of(*member.slots, [&](const SlotFacts& slot) {
                   return is_suspicious(member, slot);
               });
    });
}

std::chrono::milliseconds stuck_interval(const ClusterFacts& facts) {
    return 3 * facts.loop_wait();
}

namespace {

/// Samples too close to decide by themselves: what the earlier one had decided still holds for a
/// slot that has not moved since. False: there is a suspicious slot that nobody has decided about.
bool carry_over(ClusterFacts& later, const ClusterFacts& earlier) {
    bool decided = true;
    for (MemberFacts& member : later.members) {
        if (!member.slots) {
            continue;
        }
        for (SlotFacts& slot : *member.slots) {
            const SlotFacts* before = find_slot(earlier.find(member.name), slot.name);
            slot.stuck = is_suspicious(member, slot) && before != nullptr && before->stuck &&
                         before->restart_lsn == slot.restart_lsn;
            decided = decided && (slot.stuck || !is_suspicious(member, slot));
        }
    }
    return decided;
}

}  // namespace

// The sample that settle_slots() takes comes three loops after one in which the slot was
// suspicious. An older one need not have been taken then: a slot of an idle cluster stands still
// for hours, then a second's worth of WAL makes it suspicious. So it has to have been suspicious
// there, too; and one that has moved since counts as well only when that was a short while ago.
bool settle_by_earlier(ClusterFacts& now, const ClusterFacts& earlier) {
    const auto apart = now.sampled_at - earlier.sampled_at;
    const bool old_enough = apart >= stuck_interval(now);
    bool decided = true;
    for (MemberFacts& member : now.members) {
        if (!member.slots) {
            continue;
        }
        const MemberFacts* member_before = earlier.find(member.name);
        for (SlotFacts& slot : *member.slots) {
            slot.stuck = false;
            if (!is_suspicious(member, slot)) {
                continue;
            }
            const SlotFacts* before = find_slot(member_before, slot.name);
            const bool comparable =
                old_enough && before != nullptr && is_same_postgres(*member_before, member);
            if (comparable && before->restart_lsn != slot.restart_lsn) {
                decided = decided && apart <= 4 * stuck_interval(now);
            } else if (comparable && is_suspicious(*member_before, *before)) {
                slot.stuck = !follows_the_leaders(slot, member, now);
            } else {
                decided = false;
            }
        }
    }
    return decided;
}

// That replay has moved meanwhile is not asked for: a slot that follows its member would have
// caught up with a member that stands still, for three loops are enough for that.
bool mark_stuck_slots(ClusterFacts& later, const ClusterFacts& earlier) {
    if (later.sampled_at - earlier.sampled_at < stuck_interval(later)) {
        return carry_over(later, earlier);
    }
    for (MemberFacts& member : later.members) {
        if (!member.slots) {
            continue;
        }
        for (SlotFacts& slot : *member.slots) {
            const SlotFacts* before = find_slot(earlier.find(member.name), slot.name);
            slot.stuck = is_suspicious(member, slot) && before != nullptr && !before->active &&
                         before->restart_lsn == slot.restart_lsn &&
                         !follows_the_leaders(slot, member, later);
        }
    }
    return true;
}

}  // namespace lockstep
