#include "base/package_version.hpp"
#include "base/units.hpp"
#include "cluster/diagnosis.hpp"
#include "cluster/diagnosis_rules.hpp"
#include "steps/catalog.hpp"

#include <algorithm>

namespace lockstep {

namespace {

/// Slots that Patroni makes and drops by itself as its version says: those of members (on replicas
/// from 4.0.0 on), and the copies of permanent physical slots on replicas (from 3.2.0 on, #2852).
/// And those that PostgreSQL makes while a subscription copies a table, and drops when it has:
/// `pg_SUBSCRIPTION_sync_TABLE_SYSTEM` (PostgreSQL 14 to 18, tablesync.c).
bool comes_and_goes(const SlotFacts& slot, const MemberFacts& now) {
    if (slot.type == "logical" && slot.name.starts_with("pg_") &&
        slot.name.find("_sync_") != std::string::npos) {
        return true;
    }
    if (slot.serves != SlotServes::permanent || slot.type != "physical" || now.is_leader()) {
        return slot.serves == SlotServes::member || slot.serves == SlotServes::absent;
    }
    const std::string running = rules::plain_upstream(now.patroni.running);
    return !running.empty() && PackageVersion(running) < PackageVersion("3.2.0");
}

/// The run was told to: by slots.drop, or by taking it out of `slots` of the configuration.
bool was_to_go(const StepCall& call, const std::string& member, const std::string& slot) {
    return std::ranges::any_of(call.earlier, [&](const EarlierCall& earlier) {
        if (earlier.uses == "slots.drop") {
            return earlier.with.value("slot", "") == slot &&
                   (earlier.member.empty() || earlier.member == member);
        }
        const nlohmann::json::json_pointer place =
            nlohmann::json::json_pointer("/patch/slots") / slot;
        return earlier.uses == "patroni.config" && earlier.with.contains(place) &&
               earlier.with.at(place).is_null();
    });
}

/// What the slots of a cluster show, against those that were there when the run was planned.
class SlotsProof {
  public:
    SlotsProof(const StepCall& call, const ClusterFacts& now, const Cluster& cluster)
        : call_(call), now_(now) {
        for (const MemberFacts& member : now.members) {
            read(member);
        }
        for (const Finding& finding : diagnose(now, cluster)) {
            if (finding.id == "slot.stuck" || finding.id == "slot.lost") {
                weigh(finding);
            }
        }
        if (call.at_start == nullptr) {
            unproven_.emplace_back(
                "that no slot was lost: which there were at the start is not known");
            return;
        }
        for (const MemberFacts& before : call.at_start->members) {
            compare(before);
        }
    }

    [[nodiscard]] StepResult result() const {
        StepResult result;
        result.findings = failures_;
        if (!failures_.empty()) {
            result.outcome = StepOutcome::failed;
            result.message = failures_.front().message;
            result.hint = failures_.front().remedy;
            for (const Finding& finding : failures_) {
                result.last_lines.push_back(finding.id + ": " + finding.message);
            }
            return result;
        }
        result.unproven = unproven_;
        result.message = "none of " + std::to_string(count_) +
                         (left_ == 0 ? " slots is stuck" : " slots is newly stuck") +
                         ", none was lost";
        for (const std::string& open : unproven_) {
            result.message += "; not proven: " + open;
        }
        return result;
    }

  private:
    void fail(const char* id,
              const std::string& member,
              const std::string& slot,
              const std::string& message,
              const std::string& remedy) {
        failures_.push_back({.id = id,
                             .severity = Severity::critical,
                             .member = member,
                             .subject = slot,
                             .message = message,
                             .remedy = remedy,
                             .source = {}});
    }

    /// Slots that cannot be read fail the proof, since nobody has looked. One whose consumer is not
    /// connected may be all right: that is said, not judged.
    void read(const MemberFacts& member) {
        if (!member.slots) {
            const std::string why = member.sql.failed() ? ": " + member.sql.error : "";
            fail("member.unreachable",
                 member.name,
                 {},
                 "the slots of " + member.name + " could not be read" + why,
                 member.sql.hint.empty() ? "Check that PostgreSQL runs there and lets us in."
                                         : member.sql.hint);
            return;
        }
        count_ += member.slots->size();
        for (const SlotFacts& slot : *member.slots) {
            // Copies on replicas are never read from there.
            const bool read_here =
                slot.serves == SlotServes::consumer || slot.serves == SlotServes::permanent;
            if (member.is_leader() && read_here && !slot.active && !slot.stuck &&
                slot.wal_status != "lost") {
                const SlotFacts* before = before_of(member.name, slot.name);
                unproven_.push_back("that the consumer of slot " + slot.name + " on " +
                                    member.name + " can go on: it is not connected" +
                                    (before != nullptr && before->active ? " any more" : ""));
            }
        }
    }

    [[nodiscard]] const SlotFacts* before_of(const std::string& member,
                                             const std::string& slot) const {
        return call_.at_start ? find_slot(call_.at_start->find(member), slot) : nullptr;
    }

    [[nodiscard]] bool is_to_heal(const char* id) const {
        return std::ranges::find(call_.heals, id) != call_.heals.end();
    }

    /// Somebody's slot that waited for its reader before this run waits for a decision, not for us.
    void weigh(const Finding& finding) {
        const SlotFacts* before = before_of(finding.member, finding.subject);
        const SlotFacts* slot = find_slot(now_.find(finding.member), finding.subject);
        const std::string where = "slot " + finding.subject + " on " + finding.member;
        if (finding.id == "slot.stuck") {
            const bool lost_its_reader = before != nullptr && before->active;
            const bool was_so = before != nullptr && before->stuck && !is_to_heal("slot.stuck");
            if (!was_so && (!finding.needs_decision || lost_its_reader)) {
                failures_.push_back(finding);
                return;
            }
            ++left_;
            unproven_.push_back(where +
                                (was_so
                                     ? " was stuck before this run, and stays as it is: it holds "
                                     : " stays as it is, for nobody named it: it holds ") +
                                format_bytes(slot->retained_bytes.value_or(0)) + " of WAL");
            return;
        }
        const bool as_before = before != nullptr && before->wal_status == slot->wal_status;
        if (!as_before || is_to_heal("slot.lost")) {
            failures_.push_back(finding);
            return;
        }
        unproven_.push_back(where + " was lost before this run, and stays as it is");
    }

    /// A slot that is gone was either Patroni's to drop, or this run's, or it was lost.
    void compare(const MemberFacts& before) {
        const MemberFacts* now = now_.find(before.name);
        if (now == nullptr) {
            fail("member.unreachable",
                 before.name,
                 {},
                 before.name + " is no member any more: its slots are not known",
                 "Look at it with `lockstep check`.");
            return;
        }
        if (!before.slots) {
            unproven_.push_back("that no slot of " + before.name +
                                " was lost: which it had at the start is not known");
            return;
        }
        for (const SlotFacts& slot : *before.slots) {
            const bool there = !now->slots || find_slot(now, slot.name) != nullptr;
            if (!there && !comes_and_goes(slot, *now) && !was_to_go(call_, now->name, slot.name)) {
                fail("slot.vanished",
                     now->name,
                     slot.name,
                     "the replication slot " + slot.name + " on " + now->name +
                         " was there at the start and is gone",
                     "Whoever reads from it must be set up again: a new slot begins at the "
                     "present. Patroni drops a slot that neither `slots` nor `ignore_slots` of "
                     "its configuration names.");
            }
        }
    }

    const StepCall& call_;
    const ClusterFacts& now_;
    std::vector<Finding> failures_;
    std::vector<std::string> unproven_;
    std::size_t count_ = 0;
    std::size_t left_ = 0;  ///< stuck slots that wait for a decision
};

class SlotsVerify final : public Action {
  public:
    Preview preview(const StepCall& /*call*/,
                    const ClusterFacts& /*facts*/,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        preview.because = "no slot may stand still over three loops, and none may be lost";
        return preview;
    }

    /// The facts that the step came with serve as the first of two samples: where they are old
    /// enough nobody has to wait.
    StepResult run(const StepCall& call, ActionContext& context) const override {
        const ClusterFacts earlier = context.facts;
        context.refresh(Depth::full);
        settle_slots(context.facts, &earlier, context.observer, context.clock, context.stop);
        StepResult result = SlotsProof(call, context.facts, context.cluster).result();
        result.learned = [seen = context.facts](ClusterFacts& facts) { facts = seen; };
        return result;
    }
};

}  // namespace

std::unique_ptr<Action> make_slots_verify() {
    return std::make_unique<SlotsVerify>();
}

}  // namespace lockstep
