#include "engine/run/rollback.hpp"

#include "base/error.hpp"
#include "base/join.hpp"
#include "engine/knowledge/judgement.hpp"
#include "engine/run/start_and_end.hpp"

#include <algorithm>

namespace lockstep {

namespace {

// Some loops of Patroni: replication and pending restarts settle within them.
constexpr std::chrono::seconds k_patience_at_end{30};

/// Mixed versions are brought together first; from one version all go to the other together.
std::string way_out(const ClusterFacts& now, const ClusterFacts& end, const std::string& cluster) {
    std::string other;
    bool mixed = false;
    for (const MemberFacts& member : now.members) {
        mixed = mixed || member.patroni.running != now.members.front().patroni.running;
        const MemberFacts* then = end.find(member.name);
        if (then != nullptr && then->patroni.running != member.patroni.running) {
            other = then->patroni.running;
        }
    }
    if (mixed || other.empty()) {
        return "Bring the members to one version first, then take it back: `lockstep run "
               "patroni-align-replicas -c " +
               cluster + "`.";
    }
    return "Take all members there together: `lockstep run patroni-upgrade -c " + cluster +
           " --set target=" + other + "`.";
}

}  // namespace

/// By intent and not by place in the plan: side by side steps began in an order of their own, and a
/// failed attempt may have acted as well.
std::vector<std::size_t> Rollback::steps() const {
    std::vector<std::size_t> acted;
    for (std::size_t i = 0; i < session_.plan().steps.size(); ++i) {
        const ActionSchema& schema = session_.schema_of(session_.plan().steps[i]);
        // A temporary change goes by itself at the end, and what ended one has nothing to undo.
        const bool temporary = schema.temporary || !schema.ends.empty();
        if (!temporary && !session_.progress(i).always && session_.progress(i).may_have_acted()) {
            acted.push_back(i);
        }
    }
    std::ranges::stable_sort(
        acted, std::greater<>{}, [&](std::size_t i) { return session_.progress(i).intent_seq; });
    return acted;
}

/// The lock is asked about before each undo, as before each change: an engine that lost it has no
/// business on the members, even to mend.
std::optional<Failure> Rollback::run(const std::string& because, std::stop_token stop) {
    if (session_.state().ended_before_going_back()) {
        for (const Difference& each : compare_with_start(session_.plan().facts, session_.facts())) {
            differed_at_the_beginning_.push_back(each.what);
        }
    }
    session_.record(RecordKind::rollback_started, nullptr, {{"because", because}});
    for (const std::size_t index : steps()) {
        if (stop.stop_requested()) {
            failure_ =
                Failure{130, RunPhase::interrupted, "stopped on request, on the way back", {}};
            break;
        }
        if (const std::string why = session_.runner().lock_trouble(stop); !why.empty()) {
            failure_ = Failure{12,
                               RunPhase::rollback_failed,
                               "the cluster is not ours any more: " + why,
                               "`lockstep rollback` goes on once nobody else has it."};
            break;
        }
        if (const std::string why = session_.obstacle({}); !why.empty()) {
            failure_ = Failure{13,
                               RunPhase::in_doubt,
                               "nothing more is taken back: " + why,
                               "`lockstep rollback` looks, and goes on."};
            break;
        }
        if (!undo_step(index, stop)) {
            break;
        }
    }
    session_.give_back_temporaries();
    if (!failure_) {
        return prove_end(stop);
    }
    return failure_;
}

/// False: there is no point in trying the others.
bool Rollback::undo_step(std::size_t index, std::stop_token stop) {
    const PlannedStep& step = session_.plan().steps[index];
    const StepProgress& acted = session_.progress(index);
    // Something that cannot be taken back is told, and the others are still tried: each one less is
    // nearer to what was there.
    if (acted.undo.empty()) {
        if (!acted.no_way_back.empty()) {
            fail(acted.where(), {.message = "what it did stays: " + acted.no_way_back});
        }
        return true;
    }
    // A restart that was made under a pause must be taken back under one: without it Patroni would
    // act on its own.
    for (const std::string& temporary : acted.covered) {
        if (!session_.take_again(temporary, stop)) {
            fail(acted.where(),
                 {.message = temporary + ", which it was covered by, cannot be had again",
                  .hint = "Nothing was taken back without it. Look with `lockstep check`."});
            return false;
        }
    }
    for (std::size_t n = 0; n < session_.progress(index).undo.size(); ++n) {
        if (session_.progress(index).undo[n].state == UndoProgress::State::done) {
            continue;
        }
        const StepResult result = undo_one(step, n, stop);
        // What may still act on its way back ends it here: the next undo would meet it.
        if (result.outcome == StepOutcome::in_doubt) {
            failure_ = Failure{13,
                               RunPhase::in_doubt,
                               "the undo of " + acted.where() + ": " + result.message,
                               "`lockstep rollback` looks, and goes on."};
            return false;
        }
        if (!is_good(result.outcome)) {
            const std::string& on = acted.undo[n].undo.member;
            fail(on == step.member ? acted.where() : acted.where() + ", its undo on " + on, result);
            break;
        }
    }
    return true;
}

/// Judged like any step, by fresh facts. That is what makes a frozen undo safe: a change that never
/// happened shows as "nothing to do".
StepResult Rollback::undo_one(const PlannedStep& step, std::size_t n, std::stop_token stop) {
    const StepProgress& acted = *session_.state().find(step.id, step.member);
    const Undo undo = acted.undo[n].undo;
    StepCall call = call_of(undo, step.id);
    call.prepared = session_.prepared_for(undo);
    call.open_temporaries = session_.open_temporaries();
    call.attempt = acted.undo[n].attempts + 1;
    call.key = session_.key_of(step, ".undo" + std::to_string(n), call.attempt);
    StepResult result;
    Preview preview;
    try {
        session_.refresh(true, stop);  // what is installed where is what an undo goes by
        preview = session_.preview(call, stop);
    } catch (const Error& error) {
        result = {
            .outcome = StepOutcome::unreachable, .message = error.what(), .hint = error.hint()};
        session_.record_undo_result(step, undo.uses, result, n);
        return result;
    }
    if (!preview.blocked_by.empty()) {
        result = {.outcome = StepOutcome::failed,
                  .message = preview.blocked_by.front().message,
                  .hint = preview.blocked_by.front().remedy,
                  .findings = preview.blocked_by};
    } else if (preview.verdict == Verdict::wont) {
        result = {.outcome = StepOutcome::already_done, .message = preview.because};
    } else {
        return session_.dispatch({.step = step,
                                  .call = std::move(call),
                                  .preview = std::move(preview),
                                  .purpose = OpenCall::Purpose::undo,
                                  .undo = n},
                                 stop);
    }
    session_.record_undo_result(step, undo.uses, result, n);
    return result;
}

/// In thought: what each undo would do now, under what it needs in force, and what is known of the
/// versions that this leaves.
std::optional<Failure> Rollback::refuse_beforehand(std::stop_token stop) {
    const bool accepted = std::ranges::any_of(session_.plan().accepted, [](const Finding& finding) {
        return finding.id.starts_with("rollback.");
    });
    if (accepted) {
        return std::nullopt;
    }
    const ClusterFacts& now = session_.facts();
    ClusterFacts end = now;
    for (const std::size_t index : steps()) {
        const StepProgress& acted = session_.progress(index);
        for (const UndoProgress& undo : acted.undo) {
            if (undo.state == UndoProgress::State::done || stop.stop_requested()) {
                continue;
            }
            StepCall call = call_of(undo.undo, acted.id);
            call.open_temporaries = acted.covered;
            const Preview preview = session_.runner().preview(call, under(acted.covered, end));
            if (preview.blocked_by.empty() && preview.effect) {
                preview.effect(end);
            }
        }
    }
    const std::vector<KnownIssue> known = known_of_state(shipped_knowledge(), now);
    for (const KnownIssue& issue : known_of_state(shipped_knowledge(), end)) {
        // A version that is bad by itself is what one goes back to with open eyes.
        const bool pair = !issue.other.empty() && issue.undecided.empty() && issue.row->ask.empty();
        if (!pair || issue.row->severity != Severity::critical ||
            std::ranges::find(known, issue) != known.end()) {
            continue;
        }
        return Failure{4,
                       session_.state().phase(),
                       "not taken back: that would end so: " + issue.message(),
                       way_out(now, end, session_.plan().cluster)};
    }
    return std::nullopt;
}

/// The facts as they are while these temporary changes are in force.
ClusterFacts Rollback::under(const std::vector<std::string>& temporaries, ClusterFacts facts) {
    for (const PlannedStep& step : session_.plan().steps) {
        if (std::ranges::find(temporaries, step.uses) == temporaries.end()) {
            continue;
        }
        const BoundStep bound = session_.bind(step);
        const Preview preview = session_.runner().preview(bound.call, facts);
        if (bound.kind == BoundStep::Kind::ready && preview.effect) {
            preview.effect(facts);
        }
    }
    return facts;
}

/// The plan put another version in the place of the one of the start.
bool Rollback::is_mended(const Difference& difference) const {
    return std::ranges::any_of(session_.plan().steps, [&](const PlannedStep& step) {
        return std::ranges::any_of(step.undo_besides, [&](const Undo& undo) {
            return difference.what == "version " + undo.member;
        });
    });
}

/// Whether the run is to answer for a difference: it was there when the run ended, or came with the
/// way back. What somebody changed between the two is not ours to complain of.
bool Rollback::is_ours(const Difference& difference) const {
    const auto has = [&](const std::vector<std::string>& all) {
        return std::ranges::find(all, difference.what) != all.end();
    };
    return !difference.on_purpose &&
           (has(session_.state().differed()) || !has(differed_at_the_beginning_));
}

/// As it was before: looked at, not assumed. What passes by itself gets a while, for nobody should
/// be called to a cluster that is about to be well.
std::optional<Failure> Rollback::prove_end(std::stop_token stop) {
    std::vector<Finding> remaining;
    std::vector<std::string> broken;
    std::vector<std::string> told;
    const auto is_as_it_was = [&](const std::vector<Finding>& found) {
        broken.clear();
        told.clear();
        for (const Difference& each : compare_with_start(session_.plan().facts, session_.facts())) {
            if (is_mended(each)) {
                told.push_back(each.text + ": so that the versions go together");
            } else {
                (is_ours(each) ? broken : told).push_back(each.text);
            }
        }
        return broken.empty() && std::ranges::none_of(found, [&](const Finding& finding) {
                   return session_.is_new_trouble(finding);
               });
    };
    try {
        remaining = session_.diagnose_end(is_as_it_was, k_patience_at_end, stop);
    } catch (const JournalError&) {
        throw;
    } catch (const Error& error) {
        return Failure{12,
                       RunPhase::rollback_failed,
                       std::string("the end of the rollback could not be proven: ") + error.what(),
                       error.hint()};
    }
    for (const std::string& text : told) {
        session_.note("not as it was at the start: " + text, {{"passing", true}});
    }
    for (const Finding& finding : remaining) {
        if (session_.is_new_trouble(finding)) {
            return Failure{12,
                           RunPhase::rollback_failed,
                           "taken back, but not as it was before: " + finding.message,
                           finding.remedy};
        }
    }
    if (!broken.empty()) {
        return Failure{12,
                       RunPhase::rollback_failed,
                       "taken back, but not as it was before: " + join(broken, "; "),
                       "See `lockstep check " + session_.plan().cluster +
                           "`, and mend by hand "
                           "what no undo brings back."};
    }
    return std::nullopt;
}

/// The first failure is the run's; each is on record, because a person has to mend them all.
void Rollback::fail(const std::string& what, const StepResult& result) {
    session_.note("not taken back: " + what + ": " + result.message,
                  {{"hint", result.hint}, {"passing", true}});
    if (!failure_) {
        failure_ = Failure{12,
                           RunPhase::rollback_failed,
                           "not everything was taken back: " + what + ": " + result.message,
                           result.hint};
    }
}

}  // namespace lockstep
