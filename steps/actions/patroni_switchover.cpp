#include "base/error.hpp"
#include "base/json.hpp"
#include "base/units.hpp"
#include "steps/actions/daemon.hpp"
#include "steps/actions/daemon_word.hpp"
#include "steps/actions/patroni_requests.hpp"
#include "steps/actions/switchover_rules.hpp"
#include "steps/catalog.hpp"
#include "steps/observation/patroni_api.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using namespace std::chrono_literals;

constexpr auto k_switchover_poll = 100ms;
constexpr auto k_switchover_patience = 5min;
/// For a candidate that lags for a moment after the checkpoint.
constexpr auto k_ready_patience = 15s;
constexpr long k_service_unavailable = 503;

/// As it was given, else as the plan has chosen it; empty: nobody could be chosen.
std::string candidate_of(const StepCall& call, const ClusterFacts& facts) {
    if (std::string given = text_arg(call, "candidate"); !given.empty()) {
        return given;
    }
    if (call.probed.is_object() && call.probed.contains("candidate")) {
        return call.probed.at("candidate").get<std::string>();
    }
    return choose_candidate(facts);
}

std::string body_for(const std::string& leader, const std::string& candidate) {
    return nlohmann::json{{"leader", leader}, {"candidate", candidate}}.dump();
}

Operation switchover_operation(const MemberFacts& leader, const std::string& candidate) {
    return {Operation::Kind::http,
            "POST " + leader.api_url + "/switchover " + body_for(leader.name, candidate)};
}

bool checkpoints(const StepCall& call) {
    return bool_arg(call, "checkpoint", true);
}

/// Nobody can lead: of each member why.
void refuse_everybody(const ClusterFacts& facts, Preview& preview) {
    for (const MemberFacts& member : facts.members) {
        if (member.name != facts.leader) {
            for (Finding& finding : refuse_candidate(facts, member.name)) {
                preview.blocked_by.push_back(std::move(finding));
            }
        }
    }
    if (preview.blocked_by.empty()) {
        preview.blocked_by.push_back(cluster_refusal("cluster.no_candidate",
                                                     k_switchover_subject,
                                                     "there is no other member that could lead",
                                                     "Add one first."));
    }
}

/// The roles change places; the one that led comes back as a replica with another postmaster.
std::function<void(ClusterFacts&)> effect_of(const std::string& from, const std::string& to) {
    return [from, to](ClusterFacts& later) {
        MemberFacts* before = later.find(from);
        MemberFacts* after = later.find(to);
        if (before == nullptr || after == nullptr || later.leader == to) {
            return;
        }
        later.leader = to;
        std::swap(before->role, after->role);
        before->state = "streaming";
        after->state = "running";
        before->in_recovery = true;
        after->in_recovery = false;
        before->postgres.started_at.clear();
        after->lag_bytes = 0;
        if (later.timeline) {
            ++*later.timeline;
        }
        for (MemberFacts& member : later.members) {
            if (member.timeline) {
                member.timeline = later.timeline;
            }
        }
    };
}

/// What came of the request, by Patroni's own word. Nothing of it counts before the cluster says
/// so.
struct Answer {
    std::string text;      ///< for a person
    bool refused = false;  ///< nothing was begun
    std::string hint;
};

class PatroniSwitchover final : public Action {
  public:
    /// The plan's choice, so that the run moves the lead to who was shown.
    nlohmann::json probe(const StepCall& call, ActionContext& context) const override {
        const std::string chosen =
            text_arg(call, "candidate").empty() ? choose_candidate(context.facts) : "";
        return chosen.empty() ? nlohmann::json() : nlohmann::json{{"candidate", chosen}};
    }

    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        const std::string candidate = candidate_of(call, facts);
        const std::string from = call.led_by.empty() ? facts.leader : call.led_by;
        preview.acts_within = switchover_acts_within(facts);
        preview.answers_within = switchover_answers_within(facts);
        if (!candidate.empty() && facts.leader == candidate) {
            preview_when_it_leads(facts, from, candidate, preview);
            return preview;
        }
        preview.blocked_by = refuse_to_move(facts, call.open_temporaries);
        if (facts.leader_member() == nullptr) {
            return preview;
        }
        if (facts.leader != from) {
            preview.blocked_by.push_back(
                cluster_refusal("cluster.leader_moved",
                                k_switchover_subject,
                                facts.leader + " leads now, and " + from + " was to hand over",
                                "Look at the cluster with `lockstep check`, then plan anew."));
        }
        if (candidate.empty()) {
            refuse_everybody(facts, preview);
            return preview;
        }
        for (Finding& finding : refuse_candidate(facts, candidate)) {
            preview.blocked_by.push_back(std::move(finding));
        }
        preview.because = facts.leader + " leads, " + candidate + " can";
        describe(call, *facts.leader_member(), candidate, facts, preview);
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const std::string candidate = candidate_of(call, context.facts);
        const auto until = context.clock.steady_now() +
                           (call.timeout.count() > 0 ? call.timeout : k_switchover_patience);
        const std::string from = call.led_by.empty() ? context.facts.leader : call.led_by;
        if (context.facts.leader == candidate) {
            return follow(context, from, candidate, until);
        }
        try {
            if (auto refused = make_ready(call, context, from, candidate)) {
                return *std::move(refused);
            }
        } catch (const TransportError& error) {
            const bool asked = error.kind() == TransportError::Kind::cancelled;
            return {.outcome = asked ? StepOutcome::cancelled : StepOutcome::failed,
                    .message = std::string("nothing was moved: ") + error.what(),
                    .hint = error.hint()};
        }
        const auto begun = context.clock.steady_now();
        const Answer answer = send(context, from, candidate);
        if (answer.refused) {
            return {.outcome = StepOutcome::failed,
                    .message = "Patroni refuses it: " + answer.text,
                    .hint = answer.hint};
        }
        StepResult result = look(context, from, candidate, answer.text, until);
        if (is_good(result.outcome)) {
            result.message += ", after " + took(context, begun);
        }
        return result;
    }

  private:
    /// Done, but for the one that led: of a step that was begun it has to come back as well.
    static void preview_when_it_leads(const ClusterFacts& facts,
                                      const std::string& from,
                                      const std::string& candidate,
                                      Preview& preview) {
        const bool writes = leads_and_writes(facts, candidate);
        if (writes && (from == candidate || streams_from_leader(facts, from))) {
            preview.verdict = Verdict::wont;
            preview.because = candidate + " leads";
            return;
        }
        if (from == candidate) {
            preview.blocked_by = refuse_to_move(facts, {});
            return;
        }
        preview.because = candidate + " leads already" +
                          (writes ? ", and " + from + " does not stream from it yet"
                                  : ", and is not seen to write yet");
        preview.undo.push_back({switchover_operation(*facts.leader_member(), from),
                                "patroni.switchover",
                                {},
                                {{"candidate", from}}});
        preview.leads_after = candidate;
        preview.effect = [](ClusterFacts&) {};
        preview.felt = "";
    }

    static void describe(const StepCall& call,
                         const MemberFacts& leader,
                         const std::string& candidate,
                         const ClusterFacts& facts,
                         Preview& preview) {
        if (checkpoints(call)) {
            preview.operations.push_back({Operation::Kind::sql, "CHECKPOINT on " + leader.name});
            preview.notes.emplace_back(
                "the checkpoint is so that the leader stops soon: I/O on a big cluster");
        }
        preview.operations.push_back(switchover_operation(leader, candidate));
        if (const MemberFacts* next = facts.find(candidate)) {
            preview.undo.push_back({switchover_operation(*next, leader.name),
                                    "patroni.switchover",
                                    {},
                                    {{"candidate", leader.name}}});
        }
        preview.notes.push_back("PostgreSQL on " + leader.name +
                                " is restarted: it comes back as a replica");
        preview.leads_after = candidate;
        preview.effect = effect_of(leader.name, candidate);
    }

    static std::string took(ActionContext& context, Clock::Steady begun) {
        return format_duration(std::chrono::duration_cast<std::chrono::milliseconds>(
            context.clock.steady_now() - begun));
    }

    /// All that can still refuse, at the last moment: the leader's daemon on its own host, since
    /// REST may be somebody else's word, and the conditions of the plan after the checkpoint.
    static std::optional<StepResult> make_ready(const StepCall& call,
                                                ActionContext& context,
                                                const std::string& from,
                                                const std::string& candidate) {
        const MemberFacts* leader = context.facts.leader_member();
        if (leader == nullptr || leader->name != from) {
            return StepResult{.outcome = StepOutcome::failed,
                              .message = from + " does not hold the leader lock",
                              .hint = "Nothing was sent. See `lockstep check`."};
        }
        if (const std::string why = ask_daemon(context, *leader, DaemonMust::lead_anyhow);
            !why.empty()) {
            return StepResult{.outcome = StepOutcome::failed,
                              .message = why,
                              .hint = "Nothing was sent. See `lockstep check`."};
        }
        if (checkpoints(call)) {
            context.sql(*leader, {.text = "CHECKPOINT", .params = {}, .read_only = false});
        }
        const auto until = context.clock.steady_now() + k_ready_patience;
        for (;;) {
            context.refresh(Depth::quick);
            std::vector<Finding> refused = refuse_to_move(context.facts, call.open_temporaries);
            if (context.facts.leader_member() != nullptr) {
                for (Finding& finding : refuse_candidate(context.facts, candidate)) {
                    refused.push_back(std::move(finding));
                }
            }
            std::erase_if(refused, [](const Finding& finding) { return finding.acceptable; });
            if (refused.empty() && context.facts.leader == from) {
                return std::nullopt;
            }
            if (context.clock.steady_now() >= until ||
                !std::ranges::all_of(refused, &Finding::passing) ||
                !context.clock.sleep_for(k_switchover_poll, context.stop)) {
                return StepResult{
                    .outcome = StepOutcome::failed,
                    .message = refused.empty() ? context.facts.leader + " leads now, not " + from
                                               : refused.front().message,
                    .hint = "Nothing was sent. " + (refused.empty() ? "" : refused.front().remedy),
                    .findings = refused};
            }
        }
    }

    /// Once. `patronictl` would write the key by itself where the request fails: a second request,
    /// whose end is no more certain than that of the first.
    static Answer send(ActionContext& context,
                       const std::string& from,
                       const std::string& candidate) {
        const MemberFacts& leader = *context.facts.find(from);
        HttpResponse response;
        try {
            response = context.rest(
                leader,
                {.method = "POST", .url = "/switchover", .body = body_for(from, candidate)},
                switchover_answers_within(context.facts));
        } catch (const TransportError& error) {
            if (error.nothing_sent() || error.kind() == TransportError::Kind::cancelled) {
                throw;
            }
            return {.text = std::string("its answer was lost: ") + error.what()};
        }
        const std::string said = "HTTP " + std::to_string(response.status) + " " +
                                 without_secrets(response.body).substr(0, 200);
        // 4xx: by its checks, before anything is written (patroni/api.py, 2.1 to 4.1).
        if (response.status >= 400 && response.status < 500) {
            return {.text = said,
                    .refused = true,
                    .hint = patroni_api::refusal_hint(response.status, response.body)};
        }
        return {.text = said};
    }

    /// Until it is certain who leads: whatever was answered, 503 `status unknown` most of all, the
    /// cluster itself decides (patroni#2376, #3106). The old leader counts as staying only when it
    /// runs as primary once Patroni can begin with it no more.
    static StepResult look(ActionContext& context,
                           const std::string& from,
                           const std::string& candidate,
                           const std::string& answer,
                           Clock::Steady until) {
        const auto quiet = context.clock.steady_now() + switchover_acts_within(context.facts);
        std::string unseen;
        for (;;) {
            const bool seen = refresh(context, unseen);
            const std::string& leader = context.facts.leader;
            const auto now = context.clock.steady_now();
            if (seen && leader == candidate && leads_and_writes(context.facts, candidate)) {
                return follow(context, from, candidate, until);
            }
            const bool settled = seen && leads_and_writes(context.facts, leader);
            if (settled && leader != candidate && leader != from) {
                return failed(context,
                              leader + " leads, and not " + candidate +
                                  ": Patroni took another one (" + answer + ")",
                              "`lockstep rollback` brings " + from + " back.");
            }
            if (settled && leader == from && now >= quiet) {
                return failed(context,
                              from + " still leads: " + answer,
                              "Nothing was moved. See Patroni's log on " + from + " and " +
                                  candidate + " for why.");
            }
            if ((now >= until && now >= quiet) ||
                !context.clock.sleep_for(k_switchover_poll, context.stop)) {
                return {.outcome = StepOutcome::in_doubt,
                        .open = OpenEnd::answer_lost,
                        .message = "it is not known who leads: " + answer +
                                   (unseen.empty() ? "" : "; " + unseen),
                        .hint =
                            "Look with `patronictl list`. Do not request it again by hand: "
                            "`lockstep resume` looks, and goes on."};
            }
        }
    }

    /// False: it could not be looked at; `unseen` says why.
    static bool refresh(ActionContext& context, std::string& unseen) {
        try {
            context.refresh(Depth::quick);
            unseen.clear();
            return true;
        } catch (const TransportError& error) {
            if (error.kind() == TransportError::Kind::cancelled) {
                throw;
            }
            unseen = error.what();
            return false;
        }
    }

    /// The new leader has been seen. It has to take a commit, say on its own host that it leads,
    /// and the old one has to stream from it, with a synchronous standby where there must be one.
    static StepResult follow(ActionContext& context,
                             const std::string& from,
                             const std::string& candidate,
                             Clock::Steady until) {
        const bool wants_sync = is_synchronous(context.facts);
        std::string missing = candidate + " was not seen to write";
        bool writes = false;
        do {
            std::string unseen;
            if (!refresh(context, unseen)) {
                missing = unseen;
                continue;
            }
            if (!leads_and_writes(context.facts, candidate)) {
                missing = candidate + " does not lead any more";
                continue;
            }
            writes = writes || commits(context, *context.facts.leader_member(), missing);
            if (!writes) {
                continue;
            }
            const MemberFacts* old = context.facts.find(from);
            const bool sync = std::ranges::any_of(context.facts.members, [](const auto& member) {
                return member.role == "sync_standby" || member.role == "quorum_standby";
            });
            if (from != candidate && !streams_from_leader(context.facts, from)) {
                missing =
                    from + " does not stream from it: it is " +
                    (old == nullptr || old->state.empty() ? "in an unknown state" : old->state);
            } else if (wants_sync && !sync) {
                missing = "no standby is synchronous yet";
            } else {
                return done(context, from, candidate);
            }
        } while (context.clock.steady_now() < until &&
                 context.clock.sleep_for(k_switchover_poll, context.stop));
        if (context.stop.stop_requested()) {
            return {.outcome = StepOutcome::in_doubt,
                    .open = OpenEnd::answer_lost,
                    .message = "stopped on request: " + missing,
                    .hint = "`lockstep resume` looks, and goes on.",
                    .learned = what_was_seen(context)};
        }
        return failed(context,
                      candidate + " leads" + (writes ? " and writes" : "") + "; " + missing,
                      "See Patroni's and PostgreSQL's log on " + from +
                          ": it may need pg_rewind, which wants its rights and wal_log_hints. "
                          "`lockstep resume` waits again.");
    }

    /// A commit that leaves nothing (pg_logical_emit_message, PostgreSQL 9.6), and the daemon's
    /// word.
    static bool commits(ActionContext& context, const MemberFacts& leader, std::string& missing) {
        try {
            context.sql(leader,
                        {.text = "SELECT pg_catalog.pg_logical_emit_message(true, "
                                 "'lockstep'::pg_catalog.text, 'switchover'::pg_catalog.text)",
                         .params = {},
                         .read_only = false});
            missing = ask_daemon(context, leader, DaemonMust::lead_anyhow);
            return missing.empty();
        } catch (const SqlError& error) {
            missing = leader.name + " does not write: " + error.what();
        } catch (const TransportError& error) {
            if (error.kind() == TransportError::Kind::cancelled) {
                throw;
            }
            missing = leader.name + " does not write: " + error.what();
        }
        return false;
    }

    static std::function<void(ClusterFacts&)> what_was_seen(const ActionContext& context) {
        return [seen = context.facts](ClusterFacts& facts) { facts.update(seen); };
    }

    static StepResult failed(const ActionContext& context, std::string message, std::string hint) {
        return {.outcome = StepOutcome::failed,
                .message = std::move(message),
                .hint = std::move(hint),
                .learned = what_was_seen(context)};
    }

    static StepResult done(const ActionContext& context,
                           const std::string& from,
                           const std::string& candidate) {
        return {.message = candidate + " leads and writes, " + from + " streams from it",
                .output = {{"leader", candidate},
                           {"before", from},
                           {"timeline", context.facts.timeline.value_or(0)}},
                .learned = what_was_seen(context)};
    }
};

}  // namespace

std::unique_ptr<Action> make_patroni_switchover() {
    return std::make_unique<PatroniSwitchover>();
}

}  // namespace lockstep
