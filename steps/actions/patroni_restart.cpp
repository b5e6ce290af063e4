#include "base/package_version.hpp"
#include "base/units.hpp"
#include "cluster/pending_restart.hpp"
#include "steps/actions/patroni_requests.hpp"
#include "steps/catalog.hpp"
#include "steps/observation/patroni_api.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using namespace std::chrono_literals;

constexpr const char* k_restart_subject = "patroni.restart";
constexpr auto k_restart_poll = 100ms;
// How long a proof may lag behind Patroni's answer, beside some loops: pending_restart is worked
// out in the loop after the restart.
constexpr auto k_restart_proof = 20s;
constexpr int k_loops_to_prove = 3;

nlohmann::json restart_body(const StepCall& call) {
    nlohmann::json body = nlohmann::json::object();
    if (bool_arg(call, "if_pending", false)) {
        body["restart_pending"] = true;
    }
    if (const std::string version = text_arg(call, "if_version_below"); !version.empty()) {
        body["postgres_version"] = version;
    }
    return body;
}

HttpRequest restart_request(const StepCall& call) {
    return {.method = "POST", .url = "/restart", .body = restart_body(call).dump()};
}

const MemberFacts* at_start(const StepCall& call) {
    return call.at_start == nullptr ? nullptr : call.at_start->find(call.member);
}

/// Since this run was planned.
bool restarted_meanwhile(const StepCall& call, const MemberFacts& member) {
    const MemberFacts* before = at_start(call);
    return before != nullptr && same_start(before->postgres, member.postgres) == false;
}

std::string reasons_of(const MemberFacts& member) {
    std::string names;
    if (member.pending_restart_reason.is_object()) {
        for (const auto& [name, change] : member.pending_restart_reason.items()) {
            names += (names.empty() ? "" : ", ") + name;
        }
    }
    return names;
}

std::string remedy_of_ghost() {
    return "The value is set elsewhere: SELECT name, setting, source, sourcefile FROM "
           "pg_catalog.pg_settings "
           "WHERE pending_restart; another restart does not cure that.";
}

/// Why nothing has to be done; empty: it has to.
std::string no_need(const StepCall& call, const MemberFacts& member) {
    if (bool_arg(call, "if_pending", false)) {
        return member.pending_restart ? "" : "PostgreSQL there waits for no restart";
    }
    if (const std::string wanted = text_arg(call, "if_version_below"); !wanted.empty()) {
        const std::string& runs = member.postgres.running;
        return !runs.empty() && PackageVersion(runs) >= PackageVersion(wanted)
                   ? "it runs " + runs + " already"
                   : "";
    }
    return restarted_meanwhile(call, member) ? "it was restarted since this run was planned" : "";
}

std::string why_restart(const StepCall& call, const MemberFacts& member) {
    if (bool_arg(call, "if_pending", false)) {
        const std::string names = reasons_of(member);
        return "PostgreSQL there waits for a restart" + (names.empty() ? "" : ": " + names);
    }
    const std::string wanted = text_arg(call, "if_version_below");
    return wanted.empty() ? "always" : "it runs " + member.postgres.running + ", below " + wanted;
}

void add_refusals(const StepCall& call,
                  const ClusterFacts& facts,
                  const MemberFacts& member,
                  std::vector<Finding>& refused) {
    for (Finding& finding : refuse_unless_let_in(facts, k_restart_subject)) {
        refused.push_back(std::move(finding));
    }
    const auto refuse = [&](const char* id, const std::string& why, const std::string& remedy) {
        refused.push_back(member_refusal(call, id, k_restart_subject, why, remedy));
    };
    if (facts.paused) {
        refused.push_back(cluster_refusal("cluster.paused",
                                          k_restart_subject,
                                          "the cluster is paused: nobody would mend a PostgreSQL "
                                          "that does not come back, nor take over",
                                          "Resume it first."));
    }
    if (!is_up(member)) {
        refuse("postgres.not_running",
               "PostgreSQL there is " + (member.state.empty() ? "in no known state" : member.state),
               "Only one that runs is restarted: look at it with `lockstep check`.");
        refused.back().passing = is_busy(member);
    }
    if (member.postgres.started_at.empty()) {
        refuse("postgres.start_unknown",
               "it is not known since when PostgreSQL there runs, so its restart could not be seen",
               "Look at it with `lockstep check`.");
    }
    if (bool_arg(call, "if_pending", false) && restarted_meanwhile(call, member)) {
        refuse("restart.still_pending",
               "it was restarted since this run was planned, and still waits for a restart",
               remedy_of_ghost());
    }
    if (!text_arg(call, "if_version_below").empty() && member.postgres.running.empty()) {
        refuse("postgres.version_unknown",
               "it is not known which version runs there",
               "Look at it with `lockstep check`.");
    }
    if (const std::string why = out_of_order(facts, member); !why.empty()) {
        refuse("restart.order",
               why,
               "Use rolling-restart, which knows the order. Where one of these is raised and "
               "another lowered, set one of them back and do it in two runs.");
    }
}

bool somebody_could_take_over(const ClusterFacts& facts, const MemberFacts& member) {
    return std::ranges::any_of(facts.members, [&](const MemberFacts& other) {
        const auto tag = other.tags.find("nofailover");
        const bool may = tag == other.tags.end() || tag->second != true;
        return &other != &member && other.state == "streaming" && may;
    });
}

/// What a restart leaves, for the steps after it.
void as_restarted(ClusterFacts& facts, const std::string& name) {
    MemberFacts* member = facts.find(name);
    if (member == nullptr) {
        return;
    }
    for (const SettingMove& move : moves_of_restart(facts, *member)) {
        member->postgres.settings[move.name] = std::to_string(move.to);
    }
    member->pending_restart = false;
    member->pending_restart_reason = nullptr;
    member->postgres.started_at = to_iso8601(facts.observed_at);
}

/// Patroni begins at once, and its state says so until PostgreSQL is up again: one that runs since
/// as before after that time was never asked (patroni/ha.py, restart, 2.1 to 4.1).
constexpr auto k_restart_begins_within = 60s;

StepResult failed(std::string message, std::string hint) {
    return {.outcome = StepOutcome::failed, .message = std::move(message), .hint = std::move(hint)};
}

[[noreturn]] void stopped() {
    throw TransportError(TransportError::Kind::cancelled, "stopped while PostgreSQL restarted");
}

class PatroniRestart final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        const MemberFacts* member = facts.find(call.member);
        preview.blocked_by = refuse_unless_reachable(member, call.member, false, true, false);
        if (!preview.blocked_by.empty()) {
            call_unasked(preview);
            return preview;
        }
        if (std::string none = no_need(call, *member); !none.empty()) {
            preview.verdict = Verdict::wont;
            preview.because = std::move(none);
            return preview;
        }
        preview.because = why_restart(call, *member);
        preview.needs_no_undo = true;
        add_refusals(call, facts, *member, preview.blocked_by);
        preview.operations.push_back(
            {Operation::Kind::http,
             "POST " + member->api_url + "/restart " + restart_body(call).dump()});
        preview.acts_within = k_restart_begins_within;
        if (!member->is_leader()) {
            preview.felt =
                "reads on " + member->name + " are cut, and refused until it is up again";
        } else if (!somebody_could_take_over(facts, *member)) {
            preview.notes.emplace_back(
                "nobody could take over if it does not come back: no replica streams");
        }
        if (is_up(*member)) {  // of one that is under way a look tells nothing yet
            preview.effect = [name = call.member](ClusterFacts& later) {
                as_restarted(later, name);
            };
        }
        return preview;
    }

    /// By a look of its own. The answer of Patroni is not believed: 4.0.7 says "restarted
    /// successfully" where the value did not change.
    StepResult run(const StepCall& call, ActionContext& context) const override {
        const std::optional<MemberFacts> before = look_at_member(context, call.member);
        if (!before) {
            return {.outcome = StepOutcome::unreachable,
                    .message = call.member + " does not say how it is",
                    .hint = "Nothing was sent."};
        }
        const Preview now = preview(call, context.facts, context.cluster);
        if (now.verdict == Verdict::wont) {
            return {.outcome = StepOutcome::already_done, .message = now.because};
        }
        if (!now.blocked_by.empty()) {
            return failed(now.blocked_by.front().message, now.blocked_by.front().remedy);
        }
        const std::vector<SettingMove> moves = moves_of_restart(context.facts, *before);
        if (const std::string why = replay_what_lowers(moves, *before, context); !why.empty()) {
            return failed(why, "Nothing was sent. What delays its replay passes, or is found out.");
        }
        const HttpResponse response =
            context.rest(*before, restart_request(call), sql_answers_within(call));
        if (!response.ok() || response.status == 202) {
            return refused(call, response, context);
        }
        return prove(call, *before, moves, context);
    }

  private:
    /// A standby takes a lowered value only once its own control file has it, which is when it has
    /// replayed what the leader wrote when it started with it (seen with 17.12 and Patroni 4.0.7).
    /// Why that did not come about; empty: it did.
    static std::string replay_what_lowers(const std::vector<SettingMove>& moves,
                                          const MemberFacts& before,
                                          ActionContext& context) {
        const MemberFacts* leader = context.facts.leader_member();
        const bool lowers = std::ranges::any_of(moves, &SettingMove::lowers);
        if (before.is_leader() || !lowers) {
            return {};
        }
        if (leader == nullptr || !leader->position) {
            return "the leader's position is not known, which " + before.name + " has to replay";
        }
        const Lsn wanted = *leader->position;
        const auto begun = context.clock.steady_now();
        for (std::optional<MemberFacts> now = before;; now = look_at_member(context, before.name)) {
            if (now && now->position && *now->position >= wanted) {
                return {};
            }
            if (context.clock.steady_now() - begun > 60s || context.deadline.expired() ||
                !context.clock.sleep_for(k_restart_poll, context.stop)) {
                return before.name + " has not replayed " + format_lsn(wanted) +
                       " of the leader, from which on a lowered value holds there";
            }
        }
    }

    /// Conditions that are not met any more are no failure; all else is, and nothing was begun.
    StepResult refused(const StepCall& call,
                       const HttpResponse& response,
                       ActionContext& context) const {
        const std::optional<MemberFacts> now = look_at_member(context, call.member);
        if (now) {
            const std::string none = no_need(call, *now);
            if (!none.empty() &&
                response.body.find("conditions are not satisfied") != std::string::npos) {
                return {.outcome = StepOutcome::already_done, .message = none};
            }
        }
        StepResult result =
            failed("POST /restart was answered with status " + std::to_string(response.status) +
                       ": " + without_secrets(response.body).substr(0, 200),
                   patroni_api::refusal_hint(response.status, response.body));
        if (response.body.find("restart failed") != std::string::npos) {
            result.hint = "Look at PostgreSQL's log on " + call.member +
                          ": a value that it does not start with is a frequent cause. Patroni "
                          "starts it again once that is set back.";
        }
        return result;
    }

    static StepResult prove(const StepCall& call,
                            const MemberFacts& before,
                            const std::vector<SettingMove>& moves,
                            ActionContext& context) {
        const bool pending = bool_arg(call, "if_pending", false);
        const auto patience = std::max<std::chrono::milliseconds>(
            k_restart_proof, k_loops_to_prove * context.facts.loop_wait());
        const auto begun = context.clock.steady_now();
        std::optional<MemberFacts> seen;
        for (;;) {
            if (auto now = look_at_member(context, call.member)) {
                seen = std::move(now);
            }
            const bool newer = seen && same_start(before.postgres, seen->postgres) == false;
            if (newer && is_up(*seen) && !seen->pending_restart) {
                return proven(call, moves, context);
            }
            if (context.clock.steady_now() - begun > patience) {
                if (newer && is_up(*seen) && !pending) {
                    StepResult result = proven(call, moves, context);
                    result.unproven.push_back("that " + call.member +
                                              " waits for no other restart: " + reasons_of(*seen));
                    return result;
                }
                return failed(what_is_missing(call, before, seen), newer ? remedy_of_ghost() : "");
            }
            if (!context.clock.sleep_for(k_restart_poll, context.stop)) {
                stopped();
            }
        }
    }

    static std::string what_is_missing(const StepCall& call,
                                       const MemberFacts& before,
                                       const std::optional<MemberFacts>& seen) {
        const std::string said = "Patroni says that it was restarted, but ";
        if (!seen) {
            return said + call.member + " does not say how it is";
        }
        if (same_start(before.postgres, seen->postgres) != false) {
            return said + "PostgreSQL on " + call.member + " runs since " +
                   before.postgres.started_at + " as before";
        }
        if (!is_up(*seen)) {
            return said + "PostgreSQL on " + call.member + " is " + seen->state;
        }
        const std::string names = reasons_of(*seen);
        return "PostgreSQL on " + call.member + " was restarted, and still waits for a restart" +
               (names.empty() ? "" : ": " + names);
    }

    /// What runs now is asked of the server itself.
    static StepResult proven(const StepCall& call,
                             const std::vector<SettingMove>& moves,
                             ActionContext& context) {
        StepResult result;
        const MemberFacts& now = context.member(call);
        std::map<std::string, std::string> runs;
        for (const SettingMove& move : moves) {
            const SqlResult answer =
                context.sql(now,
                            {.text = "SELECT pg_catalog.current_setting($1::pg_catalog.text)",
                             .params = {move.name}});
            runs[move.name] = answer.rows.at(0).at(0).value_or("");
            if (runs[move.name] != std::to_string(move.to)) {
                return failed("PostgreSQL on " + call.member + " was restarted, and runs with " +
                                  move.name + " = " + runs[move.name] + ", not " +
                                  std::to_string(move.to),
                              remedy_of_ghost());
            }
        }
        result.message = "PostgreSQL runs since " + now.postgres.started_at;
        for (const auto& [name, value] : runs) {
            result.message += ", " + name + " = " + value;
        }
        result.learned = [seen = context.facts, runs, on = call.member](ClusterFacts& facts) {
            facts.update(seen);
            if (MemberFacts* member = facts.find(on)) {
                for (const auto& [name, value] : runs) {
                    member->postgres.settings[name] = value;
                }
            }
        };
        return result;
    }
};

}  // namespace

std::unique_ptr<Action> make_patroni_restart() {
    return std::make_unique<PatroniRestart>();
}

}  // namespace lockstep
