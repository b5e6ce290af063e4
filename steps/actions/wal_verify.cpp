#include "base/units.hpp"
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
    std::string text;      ///< sizes, and what still holds it
    std::string unproven;  ///< what keeps it from its floor although that is no failure
};

/// At its floor: nothing older than the last restartpoint is kept but what wal_keep_size and the
/// slots ask for. Files recycled for the future are no sign of anything; the oldest file is. Two
/// segments of tolerance: the one in use, and one that is switched while we look.
WalVerdict wal_verdict(const MemberFacts& member) {
    WalVerdict verdict;
    verdict.member = member.name;
    const std::optional<std::int64_t> held = member.wal ? member.wal->held_bytes() : std::nullopt;
    if (!held || !member.slots) {
        verdict.text = "what its pg_wal holds is not known";
        return verdict;
    }
    std::int64_t explained = member.wal->keep_size;
    std::string left;
    for (const SlotFacts& slot : *member.slots) {
        const std::int64_t retained = slot.retained_bytes.value_or(0);
        if (slot.stuck && slot.serves != SlotServes::orphan) {
            verdict.text = "slot " + slot.name + " is stuck and holds " + format_bytes(retained);
            return verdict;
        }
        if (slot.stuck) {
            left = ", of which slot " + slot.name + ", that nobody named, holds " +
                   format_bytes(retained);
        }
        explained = std::max(explained, retained);
    }
    if (!left.empty()) {
        verdict.unproven = "that pg_wal of " + member.name + " is at its floor: it has " +
                           format_bytes(member.wal->bytes) + left;
    }
    verdict.released = *held <= explained + 2 * member.wal->segment_bytes;
    verdict.text = format_bytes(member.wal->bytes) + left;
    if (!verdict.released) {
        verdict.text += ", " + format_bytes(*held) + " older than the last restartpoint";
    }
    return verdict;
}

std::vector<WalVerdict> wal_verdicts(const ClusterFacts& facts) {
    std::vector<WalVerdict> verdicts;
    for (const MemberFacts& member : facts.members) {
        verdicts.push_back(wal_verdict(member));
    }
    return verdicts;
}

bool all_released(const std::vector<WalVerdict>& verdicts) {
    return std::ranges::all_of(verdicts, &WalVerdict::released);
}

SqlStatement checkpoint() {
    return {.text = "CHECKPOINT", .params = {}, .read_only = false};
}

/// A restartpoint on a replica needs a checkpoint record from the leader that it has replayed; a
/// CHECKPOINT on the replica alone changes nothing. So: leader, wait for replay, replicas.
void checkpoint_everywhere(ActionContext& context) {
    const MemberFacts* leader = context.facts.leader_member();
    if (leader == nullptr) {
        return;
    }
    context.sql(*leader, checkpoint());
    const SqlResult position =
        context.sql(*leader, {.text = "SELECT pg_current_wal_lsn()", .params = {}});
    const Lsn target = parse_lsn(position.rows.at(0).at(0).value_or("")).value_or(0);
    std::mutex failure_mutex;
    std::exception_ptr failure;
    std::vector<std::jthread> threads;
    for (const MemberFacts& member : context.facts.members) {
        if (member.name == leader->name) {
            continue;
        }
        threads.emplace_back([&context, &member, &failure, &failure_mutex, target] {
            try {
                const SqlStatement replayed{.text = "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn",
                                            .params = {format_lsn(target)}};
                while (context.sql(member, replayed).rows.at(0).at(0) != "t") {
                    if (context.deadline.expired() ||
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
        }
        return preview;
    }

    /// Slots are settled in each round, because what a stuck one holds is explained by nothing.
    /// Looked at once before a checkpoint is asked for: where all is released none is needed.
    StepResult run(const StepCall& call, ActionContext& context) const override {
        const std::map<std::string, std::int64_t> before = sizes(context.facts);
        const auto begun = context.clock.steady_now();
        const auto timeout = duration_arg(call, "timeout", k_wal_timeout);
        std::vector<WalVerdict> verdicts;
        for (;;) {
            const ClusterFacts earlier = context.facts;
            context.refresh(Depth::full);
            settle_slots(context.facts, &earlier, context.observer, context.clock, context.stop);
            verdicts = wal_verdicts(context.facts);
            if (all_released(verdicts) || context.clock.steady_now() - begun >= timeout) {
                break;
            }
            if (requests(call)) {
                checkpoint_everywhere(context);
                context.refresh(Depth::full);
                verdicts = wal_verdicts(context.facts);
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
            if (!verdict.released) {
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
