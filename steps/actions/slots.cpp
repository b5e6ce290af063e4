#include "base/error.hpp"
#include "base/units.hpp"
#include "cluster/diagnosis.hpp"
#include "steps/catalog.hpp"

#include <algorithm>

namespace lockstep {

namespace {

/// A member's slot of that name, and whether it may go.
struct Holder {
    std::string member;
    const SlotFacts* slot = nullptr;
    std::string kept;  ///< why not; empty: it may
};

struct Holders {
    std::vector<Holder> members;
    std::vector<Finding> refused;

    [[nodiscard]] bool any() const {
        return std::ranges::any_of(members,
                                   [](const Holder& holder) { return holder.kept.empty(); });
    }
};

const SlotFacts* slot_at_start(const StepCall& call, const Holder& holder) {
    return call.at_start == nullptr
               ? nullptr
               : find_slot(call.at_start->find(holder.member), holder.slot->name);
}

/// In the samples of the plan, and where it was then.
bool stands_still(const StepCall& call, const Holder& holder) {
    if (call.at_start == nullptr) {  // these are the facts of the plan
        return holder.slot->stuck;
    }
    const SlotFacts* before = slot_at_start(call, holder);
    return before != nullptr && before->stuck && before->restart_lsn == holder.slot->restart_lsn;
}

/// Names are judged member by member: of a stuck copy on a replica the healthy original on the
/// leader has the same.
Holder judge_slot(const StepCall& call,
                  const MemberFacts& member,
                  const SlotFacts& slot,
                  bool only_stuck) {
    Holder holder{.member = member.name, .slot = &slot, .kept = {}};
    const bool by_name_alone = slot.serves == SlotServes::absent && !only_stuck;
    if (slot.active) {
        holder.kept = "is in use";
    } else if (slot.synced) {
        holder.kept = "is a copy that PostgreSQL keeps of the leader's slot";
    } else if (slot.serves == SlotServes::absent && !by_name_alone) {
        holder.kept =
            "is kept for a member that is away: Patroni drops it itself when that does "
            "not come back";
    } else if (!may_be_dropped(slot) && !by_name_alone) {
        holder.kept = "belongs to Patroni";
    } else if (only_stuck && !stands_still(call, holder)) {
        holder.kept = "is not stuck";
    }
    return holder;
}

Finding refusal(const Holder& holder) {
    return {.id = "slot.in_use",
            .severity = Severity::critical,
            .member = holder.member,
            .subject = holder.slot->name,
            .message = "slot " + holder.slot->name + " on " + holder.member + " " + holder.kept,
            .remedy = "Only a slot that serves nobody is dropped.",
            .source = {}};
}

/// Nobody's under the leader of the plan, before 4.0; under the one that it was upgraded to Patroni
/// deals with it, and that is no reason to go back.
bool became_patronis(const StepCall& call, const Holder& holder) {
    const SlotFacts* before = slot_at_start(call, holder);
    return holder.slot->serves == SlotServes::absent && before != nullptr &&
           may_be_dropped(*before);
}

/// Refused where there is none that may go, and one that must not; else those are left alone.
Holders find_holders(const StepCall& call, const ClusterFacts& facts) {
    const std::string slot_name = text_arg(call, "slot");
    const bool only_stuck = bool_arg(call, "only_stuck", true);
    Holders holders;
    for (const MemberFacts& member : facts.members) {
        if (!call.member.empty() && member.name != call.member) {
            continue;
        }
        const auto found = refuse_unless_reachable(&member, member.name, false, false, true);
        holders.refused.insert(holders.refused.end(), found.begin(), found.end());
        if (const SlotFacts* slot = find_slot(&member, slot_name)) {
            holders.members.push_back(judge_slot(call, member, *slot, only_stuck));
        }
    }
    if (!holders.any()) {
        for (const Holder& holder : holders.members) {
            if ((holder.slot->active || !may_be_dropped(*holder.slot)) &&
                !became_patronis(call, holder)) {
                holders.refused.push_back(refusal(holder));
            }
        }
    }
    return holders;
}

SqlStatement drop_statement(const std::string& slot) {
    return {.text = "SELECT pg_catalog.pg_drop_replication_slot($1::pg_catalog.name)",
            .params = {slot},
            .read_only = false};
}

std::string drop_text(const std::string& slot) {
    return "SELECT pg_catalog.pg_drop_replication_slot('" + slot + "')";
}

std::string create_text(const std::string& slot, bool reserve) {
    return "SELECT pg_catalog.pg_create_physical_replication_slot('" + slot + "', " +
           (reserve ? "true" : "false") + ")";
}

void forget_slot(ClusterFacts& facts, const std::string& slot, const std::string& on) {
    MemberFacts* member = facts.find(on);
    if (member != nullptr && member->slots) {
        std::erase_if(*member->slots, [&](const SlotFacts& other) { return other.name == slot; });
    }
}

class SlotsDrop final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        const Holders holders = find_holders(call, facts);
        const std::string slot = text_arg(call, "slot");
        Preview preview;
        preview.blocked_by = holders.refused;
        if (holders.members.empty()) {
            preview.verdict = Verdict::wont;
            preview.because = "no member has a slot " + slot;
            return preview;
        }
        std::int64_t retained = 0;
        for (const Holder& holder : holders.members) {
            if (holder.kept.empty()) {
                retained += std::max<std::int64_t>(holder.slot->retained_bytes.value_or(0), 0);
                add(preview, holder);
            } else if (holders.refused.empty()) {
                preview.notes.push_back("on " + holder.member + " it " + holder.kept +
                                        ", and stays");
            }
        }
        if (preview.operations.empty()) {
            preview.verdict = Verdict::wont;
            preview.because = "no slot " + slot + " stands still";
            return preview;
        }
        preview.because = "it holds " + format_bytes(retained) + " of WAL for nobody";
        preview.acts_within = k_sql_acts_within;
        preview.answers_within = sql_answers_within(call);
        preview.notes.emplace_back("the WAL that it held cannot be brought back");
        std::vector<std::string> on;
        for (const Holder& holder : holders.members) {
            if (holder.kept.empty()) {
                on.push_back(holder.member);
            }
        }
        preview.effect = [slot, on](ClusterFacts& later) {
            for (const std::string& member : on) {
                forget_slot(later, slot, member);
            }
        };
        return preview;
    }

    /// By a look of its own: what a plan found stuck may have moved since, or be read again.
    StepResult run(const StepCall& call, ActionContext& context) const override {
        const std::string slot = text_arg(call, "slot");
        const ClusterFacts earlier = context.facts;
        const bool only_stuck = bool_arg(call, "only_stuck", true);
        if (only_stuck) {
            context.refresh(Depth::full);
            settle_slots(context.facts, &earlier, context.observer, context.clock, context.stop);
        }
        const Holders holders = find_holders(call, context.facts);
        StepResult result;
        if (!holders.refused.empty()) {
            result.outcome = StepOutcome::failed;
            result.message = holders.refused.front().message;
            result.hint = holders.refused.front().remedy;
            result.findings = holders.refused;
            return result;
        }
        std::vector<std::string> dropped;
        for (const Holder& holder : holders.members) {
            const SlotFacts* before = find_slot(earlier.find(holder.member), slot);
            const bool still = !only_stuck || (holder.slot->stuck && before != nullptr &&
                                               before->restart_lsn == holder.slot->restart_lsn);
            if (holder.kept.empty() && still) {
                context.sql(*context.facts.find(holder.member), drop_statement(slot));
                dropped.push_back(holder.member);
            }
        }
        if (dropped.empty()) {
            result.outcome = StepOutcome::already_done;
            result.message = "no slot " + slot + " stands still";
            return result;
        }
        for (const std::string& member : dropped) {
            result.message += (result.message.empty() ? "dropped on " : ", ") + member;
        }
        result.learned = [slot, dropped](ClusterFacts& facts) {
            for (const std::string& member : dropped) {
                forget_slot(facts, slot, member);
            }
        };
        return result;
    }

  private:
    static void add(Preview& preview, const Holder& holder) {
        const std::string& slot = holder.slot->name;
        preview.operations.push_back(
            {Operation::Kind::sql, "on " + holder.member + ": " + drop_text(slot)});
        if (holder.slot->type == "logical") {
            // A new one starts at the present: what its consumer had not read would be missing.
            preview.no_way_back = "a logical slot has no way back: its consumer starts anew";
            preview.notes.push_back(preview.no_way_back);
            return;
        }
        const bool reserves = holder.slot->restart_lsn.has_value();
        preview.undo.push_back(
            {{Operation::Kind::sql, "on " + holder.member + ": " + create_text(slot, reserves)},
             "slots.create",
             holder.member,
             {{"slot", slot}, {"reserve", reserves}}});
    }
};

/// The name of a slot, checked as PostgreSQL does (ReplicationSlotValidateName, 11 to 18).
std::string slot_of(const StepCall& call) {
    std::string name = text_arg(call, "slot");
    constexpr std::size_t k_longest = 63;
    constexpr std::string_view k_allowed = "abcdefghijklmnopqrstuvwxyz0123456789_";
    if (name.empty() || name.size() > k_longest ||
        name.find_first_not_of(k_allowed) != std::string::npos) {
        throw Error(call.id + ": `" + name + "` is no name of a slot",
                    "Lower case letters, digits and _, at most 63.");
    }
    return name;
}

/// Whether Patroni leaves a physical slot of that name alone: else it drops it in its next loop,
/// unless paused (patroni/postgresql/slots.py, _drop_incorrect_slots, 2.1 to 4.1).
bool is_configured(const nlohmann::json& config, const std::string& slot) {
    const nlohmann::json slots = config.value("slots", nlohmann::json());
    if (slots.is_object() && slots.contains(slot)) {
        return true;
    }
    const nlohmann::json ignored = config.value("ignore_slots", nlohmann::json());
    return ignored.is_array() && std::ranges::any_of(ignored, [&](const nlohmann::json& matcher) {
               return matcher.is_object() &&
                      (!matcher.contains("name") || matcher["name"] == slot) &&
                      (!matcher.contains("type") || matcher["type"] == "physical");
           });
}

class SlotsCreate final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        const std::string slot = slot_of(call);
        const bool reserve = bool_arg(call, "reserve", false);
        Preview preview;
        const MemberFacts* member = facts.find(call.member);
        preview.blocked_by = refuse_unless_reachable(member, call.member, false, false, true);
        if (member == nullptr || !member->slots) {
            preview.verdict = Verdict::may;
            preview.because = "only if it is not there";
        } else if (const SlotFacts* there = find_slot(member, slot)) {
            preview.verdict = Verdict::wont;
            preview.because = "it is there";
            if (there->type == "physical") {
                return preview;
            }
            preview.blocked_by.push_back(
                {.id = "slot.other_type",
                 .severity = Severity::critical,
                 .member = call.member,
                 .subject = slot,
                 .message = "slot " + slot + " on " + call.member + " is a " + there->type + " one",
                 .remedy = "Choose another name.",
                 .source = {}});
        } else {
            preview.because = "it is not there";
        }
        preview.operations.push_back({Operation::Kind::sql, create_text(slot, reserve)});
        preview.undo.push_back({{Operation::Kind::sql, drop_text(slot)},
                                "slots.drop",
                                call.member,
                                {{"slot", slot}, {"only_stuck", false}}});
        if (!facts.config.is_object() || !is_configured(facts.config, slot)) {
            preview.notes.emplace_back(
                "Patroni drops a slot that neither `slots` nor `ignore_slots` of its configuration "
                "names, unless it is a member's");
        }
        if (reserve) {
            preview.notes.emplace_back("it holds WAL from now on, until somebody reads it");
        }
        preview.effect = add_slot(call.member, slot, reserve);
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const std::string slot = slot_of(call);
        const bool reserve = bool_arg(call, "reserve", false);
        const MemberFacts& member = context.member(call);
        StepResult result;
        result.learned = add_slot(call.member, slot, reserve);
        const SqlResult there =
            context.sql(member,
                        {.text = "SELECT slot_type FROM pg_catalog.pg_replication_slots "
                                 "WHERE slot_name = $1::pg_catalog.name",
                         .params = {slot}});
        if (!there.rows.empty()) {
            const std::string type = there.rows.at(0).at(0).value_or("");
            if (type != "physical") {
                return {.outcome = StepOutcome::failed,
                        .message = "slot " + slot + " is a " + type + " one"};
            }
            result.outcome = StepOutcome::already_done;
            result.message = "it is there";
            return result;
        }
        context.sql(member,
                    {.text = "SELECT pg_catalog.pg_create_physical_replication_slot("
                             "$1::pg_catalog.name, $2::pg_catalog.bool)",
                     .params = {slot, reserve ? "true" : "false"},
                     .read_only = false});
        result.message = "created";
        return result;
    }

  private:
    static std::function<void(ClusterFacts&)> add_slot(const std::string& member,
                                                       const std::string& slot,
                                                       bool reserve) {
        return [member, slot, reserve](ClusterFacts& facts) {
            MemberFacts* changed = facts.find(member);
            if (changed != nullptr && changed->slots && find_slot(changed, slot) == nullptr) {
                SlotFacts added;
                added.name = slot;
                added.type = "physical";
                if (reserve) {  // from the last restartpoint on, which is close by
                    added.restart_lsn = changed->position;
                }
                changed->slots->push_back(std::move(added));
            }
        };
    }
};

}  // namespace

std::unique_ptr<Action> make_slots_drop() {
    return std::make_unique<SlotsDrop>();
}

std::unique_ptr<Action> make_slots_create() {
    return std::make_unique<SlotsCreate>();
}

}  // namespace lockstep
