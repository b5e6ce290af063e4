#include "base/units.hpp"
#include "inventory/diagnosis.hpp"
#include "steps/catalog.hpp"

#include <algorithm>

namespace lockstep {

namespace {

class SlotsVerify final : public Action {
  public:
    Preview preview(const StepCall& /*call*/,
                    const ClusterFacts& /*facts*/,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        preview.because = "no slot may stand still over three loops";
        return preview;
    }

    StepResult run(const StepCall& /*call*/, ActionContext& context) const override {
        const ClusterFacts earlier = context.facts;
        context.refresh(Depth::full);
        settle_slots(context.facts, &earlier, context.observer, context.clock, context.stop);
        StepResult result;
        result.learned = [seen = context.facts](ClusterFacts& facts) { facts = seen; };
        std::size_t good = 0;
        for (const Finding& finding : diagnose(context.facts, context.cluster)) {
            const bool about_slots = finding.id == "slot.stuck" || finding.id == "slot.lost" ||
                                     finding.id == "member.unreachable";
            if (about_slots && !finding.needs_decision) {
                result.findings.push_back(finding);
            }
        }
        for (const MemberFacts& member : context.facts.members) {
            good += member.slots ? member.slots->size() : 0;
        }
        if (result.findings.empty()) {
            result.message = "none of " + std::to_string(good) + " slots is stuck";
            return result;
        }
        result.outcome = StepOutcome::failed;
        result.message = result.findings.front().message;
        result.hint = result.findings.front().remedy;
        return result;
    }
};

/// Where the slot is, and whether it may go.
struct Holders {
    std::vector<std::string> members;  ///< that have it
    std::vector<Finding> refused;
    std::int64_t retained = 0;
    bool logical = false;
};

Holders find_holders(const StepCall& call, const ClusterFacts& facts) {
    const std::string slot_name = text_arg(call, "slot");
    Holders holders;
    for (const MemberFacts& member : facts.members) {
        if (!call.member.empty() && member.name != call.member) {
            continue;
        }
        const auto found = refuse_unless_reachable(&member, member.name, false, false, true);
        holders.refused.insert(holders.refused.end(), found.begin(), found.end());
        if (!member.slots) {
            continue;
        }
        for (const SlotFacts& slot : *member.slots) {
            if (slot.name != slot_name) {
                continue;
            }
            holders.members.push_back(member.name);
            holders.logical = holders.logical || slot.type == "logical";
            holders.retained += std::max<std::int64_t>(slot.retained_bytes.value_or(0), 0);
            const bool kept =
                slot.serves == SlotServes::member || slot.serves == SlotServes::permanent;
            if (slot.active || kept) {
                holders.refused.push_back(
                    {.id = "slot.in_use",
                     .severity = Severity::critical,
                     .member = member.name,
                     .subject = slot.name,
                     .message = "slot " + slot.name + " on " + member.name +
                                (slot.active ? " is in use" : " belongs to Patroni"),
                     .remedy = "Only a slot that serves nobody is dropped.",
                     .source = {}});
            }
        }
    }
    return holders;
}

SqlStatement drop_statement(const std::string& slot) {
    return {.text = "SELECT pg_drop_replication_slot($1)", .params = {slot}, .read_only = false};
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
        preview.because = "it holds " + format_bytes(holders.retained) + " of WAL for nobody";
        for (const std::string& member : holders.members) {
            preview.operations.push_back(
                {Operation::Kind::sql,
                 "on " + member + ": SELECT pg_drop_replication_slot('" + slot + "')"});
            if (!holders.logical) {
                preview.undo.push_back(
                    {{Operation::Kind::sql,
                      "on " + member + ": SELECT pg_create_physical_replication_slot('" + slot +
                          "', true)"},
                     "slots.create",
                     member,
                     {{"slot", slot}}});
            }
        }
        if (holders.logical) {
            // A new one starts at the present: what its consumer had not read would be missing.
            preview.no_way_back = "a logical slot has no way back: its consumer starts anew";
            preview.notes.push_back(preview.no_way_back);
        }
        preview.notes.emplace_back("the WAL that it held cannot be brought back");
        preview.effect = [slot](ClusterFacts& later) {
            for (MemberFacts& member : later.members) {
                if (member.slots) {
                    std::erase_if(*member.slots,
                                  [&](const SlotFacts& other) { return other.name == slot; });
                }
            }
        };
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const std::string slot = text_arg(call, "slot");
        const Holders holders = find_holders(call, context.facts);
        std::string dropped;
        for (const std::string& name : holders.members) {
            context.sql(*context.facts.find(name), drop_statement(slot));
            dropped += (dropped.empty() ? "" : ", ") + name;
        }
        StepResult result;
        result.message = "dropped on " + dropped;
        result.learned = [slot](ClusterFacts& facts) {
            for (MemberFacts& member : facts.members) {
                if (member.slots) {
                    std::erase_if(*member.slots,
                                  [&](const SlotFacts& other) { return other.name == slot; });
                }
            }
        };
        return result;
    }
};

}  // namespace

std::unique_ptr<Action> make_slots_verify() {
    return std::make_unique<SlotsVerify>();
}

std::unique_ptr<Action> make_slots_drop() {
    return std::make_unique<SlotsDrop>();
}

}  // namespace lockstep
