#include "base/error.hpp"
#include "base/units.hpp"
#include "cluster/wal_explanation.hpp"
#include "steps/catalog.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <thread>

namespace lockstep {

namespace {

using namespace std::chrono_literals;

constexpr auto k_wal_timeout = 2min;
constexpr auto k_wal_poll = 100ms;

/// Why a member's pg_wal is not at its floor.
struct WalVerdict {
    std::string member;
    bool released = false;
    bool may_pass = false;  ///< what holds it lets go by itself: waited for, and no failure then
    std::string text;       ///< sizes, and what still holds it
    std::string unproven;   ///< what keeps it from its floor although that is no failure
    Lsn needed = 0;         ///< from where on somebody holds it: a checkpoint removes no more
};

bool is_to_heal(const StepCall& call, const char* id) {
    return std::ranges::find(call.heals, id) != call.heals.end();
}

/// What can be foreseen not to be proven, for the plan.
std::vector<std::string> foreseen_open(const StepCall& call, const MemberFacts& member) {
    std::vector<std::string> notes;
    if (member.wal && member.wal->archiving_fails && !is_to_heal(call, "wal.not_archived")) {
        notes.push_back(member.name +
                        ": archiving fails, and keeps WAL: that is not proven then, " +
                        "and no failure");
    }
    if (member.apply_delay().count() > 0) {
        notes.push_back(
            member.name + " replays " + format_duration(member.apply_delay()) +
            " late: what it has received counts, and no checkpoint there is waited for");
    }
    return notes;
}

/// Judges one member, against what it was like when the run was planned.
class WalJudge {
  public:
    WalJudge(const StepCall& call, const ClusterFacts& facts, const MemberFacts& member)
        : call_(call),
          facts_(facts),
          member_(member),
          before_(call.at_start ? call.at_start->find(member.name) : nullptr) {}

    /// At its floor: nothing older than the last restartpoint is kept but what wal_keep_size and
    /// the slots ask for. Files recycled for the future are no sign of anything; the oldest file
    /// is. Two segments of tolerance: the one in use, and one that is switched while we look.
    WalVerdict judge() {
        verdict_.member = member_.name;
        const auto held = member_.wal ? member_.wal->held_bytes() : std::nullopt;
        if (!held || !member_.slots) {
            verdict_.text = "what its pg_wal holds is not known";
            return verdict_;
        }
        const std::int64_t floor = *held - 2 * member_.wal->segment_bytes;
        explained_ = member_.wal->keep_size;
        verdict_.needed = member_.received.value_or(0);
        verdict_.text = format_bytes(member_.wal->bytes);
        if (!add_slots()) {
            return verdict_;
        }
        verdict_.released = floor <= explained_;
        if (!verdict_.released) {
            add_archiving(floor);
        }
        if (!verdict_.released) {
            verdict_.text += ", " + format_bytes(*held) + " older than the last restartpoint";
        }
        return verdict_;
    }

  private:
    /// Somebody's slot that waited for its reader before this run waits for a decision, not for us;
    /// and what was stuck before is ours to mend only where the runbook says so.
    [[nodiscard]] bool stays_as_it_was(const SlotFacts& slot) const {
        const SlotFacts* then = find_slot(before_, slot.name);
        const bool was_stuck = then != nullptr && then->stuck;
        const bool waited = then == nullptr || !then->active;
        return slot.serves == SlotServes::orphan || (slot.serves != SlotServes::member && waited) ||
               (was_stuck && !is_to_heal(call_, "slot.stuck"));
    }

    bool add_slots() {
        for (const SlotFacts& slot : *member_.slots) {
            const std::int64_t retained = slot.retained_bytes.value_or(0);
            if (slot.stuck && !stays_as_it_was(slot)) {
                verdict_.text =
                    "slot " + slot.name + " is stuck and holds " + format_bytes(retained);
                return false;
            }
            if (slot.stuck) {
                const std::string left = ", of which slot " + slot.name +
                                         (slot.serves == SlotServes::orphan
                                              ? ", that nobody named, holds "
                                              : ", that stood still before this run, holds ") +
                                         format_bytes(retained);
                verdict_.text = format_bytes(member_.wal->bytes) + left;
                verdict_.unproven =
                    "that pg_wal of " + member_.name + " is at its floor: it has " + verdict_.text;
            }
            explained_ = std::max(explained_, retained);
            verdict_.needed = std::min(verdict_.needed, slot.restart_lsn.value_or(~Lsn{0}));
        }
        return true;
    }

    /// What failed before is as it was; what only waits is given the time that there is.
    void add_archiving(std::int64_t floor) {
        const WalExplanation explanation = explain_wal(facts_, member_);
        const auto found = std::ranges::find(explanation.holders, "archiving", &WalHolder::kind);
        if (found == explanation.holders.end() || floor > found->bytes.value_or(0)) {
            return;
        }
        const bool failed_before =
            before_ != nullptr && before_->wal && before_->wal->archiving_fails;
        verdict_.needed = std::min(
            verdict_.needed,
            member_.received.value_or(0) -
                std::min(member_.received.value_or(0), static_cast<Lsn>(found->bytes.value_or(0))));
        verdict_.text += ", " + found->text;
        if (member_.wal->archiving_fails &&
            (!failed_before || is_to_heal(call_, "wal.not_archived"))) {
            return;
        }
        verdict_.released = member_.wal->archiving_fails;
        verdict_.may_pass = !verdict_.released;
        verdict_.unproven = "that pg_wal of " + member_.name + " is at its floor: " + found->text +
                            (failed_before ? ", as before this run" : "");
    }

    const StepCall& call_;
    const ClusterFacts& facts_;
    const MemberFacts& member_;
    const MemberFacts* before_;
    std::int64_t explained_ = 0;
    WalVerdict verdict_;
};

std::vector<WalVerdict> wal_verdicts(const StepCall& call, const ClusterFacts& facts) {
    std::vector<WalVerdict> verdicts;
    for (const MemberFacts& member : facts.members) {
        verdicts.push_back(WalJudge(call, facts, member).judge());
    }
    return verdicts;
}

/// From where on each member's WAL is held. As long as that is the same, another checkpoint removes
/// nothing that the one before has left.
std::vector<Lsn> needed_from(const std::vector<WalVerdict>& verdicts) {
    std::vector<Lsn> needed;
    needed.reserve(verdicts.size());
    for (const WalVerdict& verdict : verdicts) {
        needed.push_back(verdict.released ? 0 : verdict.needed);
    }
    return needed;
}

bool all_released(const std::vector<WalVerdict>& verdicts) {
    return std::ranges::all_of(verdicts, &WalVerdict::released);
}

SqlStatement checkpoint() {
    return {.text = "CHECKPOINT", .params = {}, .read_only = false};
}

/// A restartpoint on a replica needs a checkpoint record from the leader that it has replayed; a
/// CHECKPOINT on the replica alone changes nothing. So: leader, wait for replay, replicas. One that
/// replays late by its configuration, or from an archive, gets there in its own time.
void checkpoint_everywhere(ActionContext& context, Clock::Steady until) {
    const MemberFacts* leader = context.facts.leader_member();
    if (leader == nullptr) {
        return;
    }
    context.sql(*leader, checkpoint());
    const SqlResult position =
        context.sql(*leader, {.text = "SELECT pg_catalog.pg_current_wal_lsn()", .params = {}});
    const Lsn target = parse_lsn(position.rows.at(0).at(0).value_or("")).value_or(0);
    std::mutex failure_mutex;
    std::exception_ptr failure;
    std::vector<std::jthread> threads;
    for (const MemberFacts& member : context.facts.members) {
        const bool in_its_own_time =
            member.apply_delay().count() > 0 || member.state == "in archive recovery";
        if (member.name == leader->name || in_its_own_time) {
            continue;
        }
        threads.emplace_back([&context, &member, &failure, &failure_mutex, target, until] {
            try {
                const SqlStatement replayed{
                    .text = "SELECT pg_catalog.pg_last_wal_replay_lsn() >= $1::pg_catalog.pg_lsn",
                    .params = {format_lsn(target)}};
                while (context.sql(member, replayed).rows.at(0).at(0) != "t") {
                    if (context.deadline.expired() || context.clock.steady_now() >= until ||
                        !context.clock.sleep_for(k_wal_poll, context.stop)) {
                        return;
                    }
                }
                context.sql(member, checkpoint());
            } catch (...) {
                const std::lock_guard lock(failure_mutex);
                failure = std::current_exception();
            }
        });
    }
    threads.clear();
    if (failure) {
        std::rethrow_exception(failure);
    }
}

class WalVerify final : public Action {
  public:
    /// What a checkpoint costs is said in the plan, since it falls on the users of the cluster.
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        preview.because = "pg_wal of every member must be back at its floor";
        if (requests(call)) {
            preview.operations.push_back(
                {Operation::Kind::sql,
                 "CHECKPOINT on the leader, then on each replica once it has replayed it"});
            preview.notes.emplace_back(
                "a checkpoint writes all dirty buffers: I/O on a big cluster");
        }
        for (const MemberFacts& member : facts.members) {
            const auto found = refuse_unless_reachable(&member, member.name, false, false, true);
            preview.blocked_by.insert(preview.blocked_by.end(), found.begin(), found.end());
            const std::vector<std::string> open = foreseen_open(call, member);
            preview.notes.insert(preview.notes.end(), open.begin(), open.end());
        }
        return preview;
    }

    /// Slots are settled in each round, because what a stuck one holds is explained by nothing.
    /// Looked at once before a checkpoint is asked for: where all is released none is needed.
    StepResult run(const StepCall& call, ActionContext& context) const override {
        const std::map<std::string, std::int64_t> before = sizes(context.facts);
        const auto until =
            context.clock.steady_now() + duration_arg(call, "timeout", k_wal_timeout);
        std::vector<WalVerdict> verdicts;
        std::optional<std::vector<Lsn>> asked_at;  ///< what was held at the last checkpoint
        for (;;) {
            const bool seen = look(call, context, verdicts);
            const bool late = context.clock.steady_now() >= until || context.deadline.expired();
            if (all_released(verdicts) || late) {
                break;
            }
            if (requests(call) && seen && asked_at != needed_from(verdicts)) {
                checkpoint_everywhere(context, until);
                context.refresh(Depth::full);
                verdicts = wal_verdicts(call, context.facts);
                asked_at = needed_from(verdicts);
            }
            // Slots are advanced once in a loop: what they release shows at the next round.
            if (all_released(verdicts) ||
                !context.clock.sleep_for(context.facts.loop_wait(), context.stop)) {
                break;
            }
        }
        return conclude(context, verdicts, before);
    }

  private:
    /// A look that fails later than the first says nothing of the WAL: what was seen before stays.
    static bool look(const StepCall& call,
                     ActionContext& context,
                     std::vector<WalVerdict>& verdicts) {
        try {
            const ClusterFacts earlier = context.facts;
            context.refresh(Depth::full);
            settle_slots(context.facts, &earlier, context.observer, context.clock, context.stop);
        } catch (const TransportError& error) {
            if (verdicts.empty() || error.kind() == TransportError::Kind::cancelled) {
                throw;
            }
            return false;
        }
        verdicts = wal_verdicts(call, context.facts);
        return true;
    }

    static bool requests(const StepCall& call) {
        return text_arg(call, "checkpoint", "request") == "request";
    }

    static std::map<std::string, std::int64_t> sizes(const ClusterFacts& facts) {
        std::map<std::string, std::int64_t> bytes;
        for (const MemberFacts& member : facts.members) {
            if (member.wal) {
                bytes.emplace(member.name, member.wal->bytes);
            }
        }
        return bytes;
    }

    /// Each member is told with its figures, the good ones too: that the end is proven must be
    /// seen.
    static StepResult conclude(const ActionContext& context,
                               const std::vector<WalVerdict>& verdicts,
                               const std::map<std::string, std::int64_t>& before) {
        StepResult result;
        result.learned = [seen = context.facts](ClusterFacts& facts) { facts = seen; };
        result.output = {{"before", before}, {"after", sizes(context.facts)}};
        for (const WalVerdict& verdict : verdicts) {
            std::string line = verdict.member + ": ";
            const auto was = before.find(verdict.member);
            if (was != before.end()) {
                line += format_bytes(was->second) + " -> ";
            }
            line += verdict.text;
            if (!verdict.released && !verdict.may_pass) {
                result.outcome = StepOutcome::failed;
                result.last_lines.push_back(line);
            }
            result.message += (result.message.empty() ? "" : "; ") + line;
            if (!verdict.unproven.empty()) {
                result.unproven.push_back(verdict.unproven);
            }
        }
        for (const MemberFacts& member : context.facts.members) {
            if (!member.disk) {
                const auto why = member.unknown.find("disk");
                result.unproven.push_back("that " + member.name +
                                          " has room: its disk is not known" +
                                          (why == member.unknown.end() ? "" : ", " + why->second));
                result.message += "; not proven: " + result.unproven.back();
            }
        }
        if (result.outcome == StepOutcome::failed) {
            result.message = "pg_wal is not released on every member: " + result.message;
            result.hint = "Run `lockstep check` to see what holds it.";
        }
        return result;
    }
};

}  // namespace

std::unique_ptr<Action> make_wal_verify() {
    return std::make_unique<WalVerify>();
}

}  // namespace lockstep
