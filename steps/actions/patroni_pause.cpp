#include "base/error.hpp"
#include "base/units.hpp"
#include "steps/actions/daemon.hpp"
#include "steps/actions/daemon_word.hpp"
#include "steps/actions/patroni_requests.hpp"
#include "steps/catalog.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using namespace std::chrono_literals;

constexpr auto k_pause_poll = 50ms;
constexpr auto k_pause_wait = 60s;
constexpr auto k_cut_off = 2s;
constexpr const char* k_pause_subject = "patroni.pause";

/// A pause of somebody else is never taken for ours, and never lifted: they have their reasons.
bool ours(const StepCall& call) {
    return std::ranges::find(call.open_temporaries, "patroni.pause") != call.open_temporaries.end();
}

/// `null` removes the key, as `patronictl resume` does; `false` would leave it there.
std::string pause_body(bool paused) {
    return paused ? R"({"pause": true})" : R"({"pause": null})";
}

Operation as_operation(const ClusterFacts& facts, bool paused) {
    return config_operation(facts, pause_body(paused));
}

/// Every member has to answer, since each of them has to confirm the pause.
std::vector<Finding> write_refusals(const ClusterFacts& facts) {
    std::vector<Finding> refused;
    for (const MemberFacts& member : facts.members) {
        const auto found = refuse_unless_reachable(&member, member.name, false, true, false);
        refused.insert(refused.end(), found.begin(), found.end());
    }
    for (Finding& finding : refuse_unless_let_in(facts, k_pause_subject)) {
        refused.push_back(std::move(finding));
    }
    if (facts.leader.empty()) {
        refused.push_back(without_leader(k_pause_subject));
    }
    return refused;
}

/// What each member says of itself, asked of `/patroni` alone: since Patroni 3.0.3 a `GET /cluster`
/// refreshes the very cache that `pause` is read from (#2628), and would make a member say "paused"
/// before its HA loop has seen it.
std::vector<MemberStatus> statuses(ActionContext& context) {
    return ask_members(context);
}

/// What the end of our own patience cuts off says nothing: what was seen before stays.
bool is_cut_off(const ActionContext& context, const std::string& before) {
    return !before.empty() && context.deadline.remaining() < k_cut_off;
}

std::chrono::milliseconds patience(const StepCall& call) {
    return call.timeout.count() > 0 ? call.timeout : k_pause_wait;
}

/// A run that was killed in its pause is gone on with; for all else somebody has to be asked.
Finding already_paused(const ClusterFacts& facts) {
    if (const LockFacts* lock = facts.lock_over_a_pause()) {
        return cluster_refusal(
            "cluster.paused",
            k_pause_subject,
            "the cluster is already paused, by run " + lock->run + " of " + lock->who,
            lock->held()
                ? "Wait until that run has ended."
                : "`lockstep resume " + lock->run + "` goes on with it, `lockstep rollback " +
                      lock->run + "` takes it back.");
    }
    return cluster_refusal("cluster.paused",
                           k_pause_subject,
                           "the cluster is already paused, by somebody else",
                           "Find out who paused it and why. If nobody needs it any more: "
                           "`patronictl resume`.");
}

class PatroniPause final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        if (facts.paused && ours(call)) {
            preview.verdict = Verdict::wont;
            preview.because = "it is paused by this run";
            return preview;
        }
        preview.blocked_by = write_refusals(facts);
        if (facts.paused) {
            preview.blocked_by.push_back(already_paused(facts));
        }
        preview.because = "PostgreSQL must keep running while Patroni is restarted";
        preview.operations.push_back(as_operation(facts, true));
        preview.acts_within = config_acts_within(facts);
        preview.undo.push_back(
            {as_operation(facts, false), "patroni.resume", {}, nlohmann::json::object()});
        preview.notes.emplace_back("no automatic failover while paused");
        preview.effect = [](ClusterFacts& later) {
            later.paused = true;
            for (MemberFacts& member : later.members) {
                member.paused = true;
            }
        };
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        // A member that answered "not paused" just before and "paused" after the request has read
        // the new configuration in between. That is what counts: the answer to the PATCH only says
        // that it is written (#349), and `patronictl pause --wait` does not see a dead member.
        for (const MemberStatus& status : statuses(context)) {
            if (!status.error.empty()) {
                return {.outcome = StepOutcome::failed,
                        .message = status.member + " does not answer: " + status.error,
                        .hint = "Nothing was changed: it is not paused."};
            }
            if (status.paused) {
                return {.outcome = StepOutcome::failed,
                        .message = status.member + " says that it is paused already",
                        .hint = "Somebody else paused the cluster a moment ago."};
            }
        }
        const auto begun = context.clock.steady_now();
        patch_config(context, pause_body(true));
        std::string missing;
        while (context.clock.steady_now() - begun < patience(call)) {
            std::string now_missing;
            for (const MemberStatus& status : statuses(context)) {
                if (!status.paused) {
                    now_missing += (now_missing.empty() ? "" : ", ") + status.member;
                }
            }
            if (!is_cut_off(context, missing)) {
                missing = now_missing;
            }
            if (now_missing.empty()) {
                StepResult result;
                result.message =
                    "every member says so, after " +
                    format_duration(std::chrono::duration_cast<std::chrono::milliseconds>(
                        context.clock.steady_now() - begun));
                result.learned = [](ClusterFacts& facts) { facts.paused = true; };
                return result;
            }
            if (!context.clock.sleep_for(k_pause_poll, context.stop)) {
                break;
            }
        }
        return {.outcome = StepOutcome::failed,
                .message = "the pause did not reach " + missing,
                .hint =
                    "The HA loop of that member may hang: look at its log. Its daemon must "
                    "not be restarted before it is paused."};
    }
};

class PatroniResume final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        if (!facts.paused) {
            preview.verdict = Verdict::wont;
            preview.because = "it is not paused";
            return preview;
        }
        if (!ours(call)) {
            preview.blocked_by.push_back(
                cluster_refusal("cluster.paused",
                                k_pause_subject,
                                "the cluster was paused by somebody else: it is not ours to resume",
                                "Find out who paused it and why, then `patronictl resume`."));
        }
        preview.because = "when every daemon is up, the lock is held and there is one primary";
        preview.operations.push_back(as_operation(facts, false));
        preview.acts_within = config_acts_within(facts);
        preview.effect = [](ClusterFacts& later) {
            later.paused = false;
            for (MemberFacts& member : later.members) {
                member.paused = false;
            }
        };
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const auto begun = context.clock.steady_now();
        std::string unsafe = "nothing was observed yet";
        while (!unsafe.empty()) {
            unsafe = look(context, unsafe);
            if (unsafe.empty() && context.facts.paused) {
                unsafe = look_there(context);
            }
            if (!unsafe.empty() && (context.clock.steady_now() - begun >= patience(call) ||
                                    !context.clock.sleep_for(k_pause_poll, context.stop))) {
                return {.outcome = StepOutcome::failed,
                        .message = "left paused, because resuming is not safe: " + unsafe,
                        .hint =
                            "PostgreSQL keeps running, but nothing fails over. Bring the "
                            "Patroni daemon back first: resuming without the lock holder's "
                            "daemon promotes a replica beside the old primary, and its "
                            "commits are lost. Then `patronictl resume`."};
            }
        }
        if (!context.facts.paused) {
            return {.outcome = StepOutcome::already_done, .message = "it is not paused any more"};
        }
        patch_config(context, pause_body(false));
        return confirm(call, context);
    }

  private:
    /// Why it is not safe to resume; empty: it is, or it is not paused at all.
    static std::string look(ActionContext& context, const std::string& before) {
        try {
            context.refresh(Depth::quick);
        } catch (const TransportError& error) {
            if (error.kind() == TransportError::Kind::cancelled) {
                throw;
            }
            return is_cut_off(context, before) ? before : error.what();
        }
        return context.facts.paused ? unsafe_to_resume(context.facts) : "";  // else nothing to lift
    }

    /// Who holds the lock says so itself, on its own host: lifting the pause while its daemon is
    /// down is what makes two primaries, and REST may be somebody else's word.
    static std::string look_there(ActionContext& context) {
        try {
            return ask_daemon(context, *context.facts.leader_member(), DaemonMust::hold_the_lock);
        } catch (const TransportError& error) {
            if (error.kind() == TransportError::Kind::cancelled) {
                throw;
            }
            return context.facts.leader + ", by SSH: " + error.what();
        }
    }

    /// In doubt and not failed: the pause is lifted by what was written, and a member that is late
    /// will follow.
    static StepResult confirm(const StepCall& call, ActionContext& context) {
        const auto begun = context.clock.steady_now();
        std::string missing;
        while (context.clock.steady_now() - begun < patience(call)) {
            std::string now_missing;
            for (const MemberStatus& status : statuses(context)) {
                if (status.paused || !status.error.empty()) {
                    now_missing += (now_missing.empty() ? "" : ", ") + status.member;
                }
            }
            if (!is_cut_off(context, missing)) {
                missing = now_missing;
            }
            if (now_missing.empty()) {
                StepResult result;
                result.message = "every member says so";
                result.learned = [](ClusterFacts& facts) {
                    facts.paused = false;
                    for (MemberFacts& member : facts.members) {
                        member.paused = false;
                    }
                };
                return result;
            }
            if (!context.clock.sleep_for(k_pause_poll, context.stop)) {
                break;
            }
        }
        return {.outcome = StepOutcome::in_doubt,
                .open = OpenEnd::answer_lost,
                .message = "resumed, but not confirmed by " + missing,
                .hint = "Look at it with `lockstep check`."};
    }
};

}  // namespace

std::string unsafe_to_resume(const ClusterFacts& facts) {
    if (facts.leader.empty()) {
        return "nobody holds the leader lock";
    }
    int primaries = 0;
    for (const MemberFacts& member : facts.members) {
        if (!member.api.ok()) {
            return "the Patroni of " + member.name + " does not answer";
        }
        // While paused Patroni starts no PostgreSQL: lifting the pause is what brings a replica
        // back that was rebooted.
        const bool down = !member.is_leader() && postgres_is_down(member);
        if (!postgres_runs(member) && !down) {
            return "PostgreSQL on " + member.name + " is " +
                   (member.state.empty() ? "in an unknown state" : member.state);
        }
        if (member.cluster_unlocked) {
            return member.name + " sees no leader lock";
        }
        primaries += postgres_runs(member) && !member.in_recovery ? 1 : 0;
    }
    const MemberFacts* leader = facts.leader_member();
    if (leader == nullptr) {
        return facts.leader + " holds the leader lock and is not among the members";
    }
    const bool standby_cluster = leader->role == "standby_leader";
    if (primaries != (standby_cluster ? 0 : 1)) {
        return std::to_string(primaries) + (primaries == 1 ? " member runs" : " members run") +
               " as primary";
    }
    if (!standby_cluster && leader->in_recovery) {
        return leader->name + " holds the leader lock and does not run as primary";
    }
    return {};
}

std::unique_ptr<Action> make_patroni_pause() {
    return std::make_unique<PatroniPause>();
}

std::unique_ptr<Action> make_patroni_resume() {
    return std::make_unique<PatroniResume>();
}

}  // namespace lockstep
