#include "engine/run/run_session.hpp"

#include "base/digest.hpp"
#include "base/error.hpp"
#include "base/join.hpp"
#include "base/or_null.hpp"
#include "engine/plan/expansion.hpp"
#include "engine/run/guards.hpp"
#include "engine/run/start_and_end.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace lockstep {

namespace {

using namespace std::chrono_literals;

// The slow facts (disk, pg_wal) behind a guard may be this old before a change.
constexpr auto k_full_facts_age = 10s;
// How long an end may take to become as calm as the start was.
constexpr auto k_calm_patience = 15s;
// While the effect of something is waited for whose answer is lost.
constexpr auto k_between_looks = 200ms;
// A fact that a guard or a gate lacks may come back within this time: a daemon takes seconds to
// start.
constexpr auto k_guard_patience = 30s;
constexpr auto k_silence = 3s;  ///< of a Patroni, after which its host is asked

/// Of a failure what there is: its step may be one that the run goes on after.
bool registers(const PlannedStep& step, bool good, bool failed, const nlohmann::json& output) {
    return !step.spec->register_as.empty() && (good || (failed && !output.is_null()));
}

}  // namespace

/// What a later engine compares the cluster with. Small, because it is written with every change.
nlohmann::json digest(const ClusterFacts& facts) {
    nlohmann::json members = nlohmann::json::object();
    for (const MemberFacts& member : facts.members) {
        members[member.name] = {{"installed", member.patroni.installed},
                                {"running", member.patroni.running},
                                {"started_at", member.postgres.started_at}};
    }
    return {{"leader", facts.leader},
            {"timeline", or_null(facts.timeline)},
            {"paused", facts.paused},
            {"members", members}};
}

RunSession::RunSession(Setup setup, RunHeader header)
    : setup_(std::move(setup)),
      header_(std::move(header)),
      state_(header_.plan),
      facts_(std::make_shared<const ClusterFacts>(setup_.plan.facts)),
      at_start_(facts_),
      full_at_(setup_.clock.steady_now()) {
    header_.digest = header_digest(header_);
    setup_.runner.remember_members(*facts_);
}

/// After this the plan as a document is only in the journal: of many members it is large, and who
/// follows the run needs no more than its outline.
void RunSession::create() {
    setup_.journal.create(header_);
    header_.plan = setup_.plan.outline();
}

/// Outputs are taken from the record as well, so that steps to come see what they would have seen
/// without the interruption.
void RunSession::replay(const std::vector<JournalRecord>& records) {
    for (const JournalRecord& record : records) {
        state_.apply(record);
    }
    for (std::size_t i = 0; i < setup_.plan.steps.size(); ++i) {
        const PlannedStep& step = setup_.plan.steps[i];
        const StepProgress& now = progress(i);
        const bool good = now.state == StepState::succeeded || now.state == StepState::already_done;
        if (registers(step, good, now.state == StepState::failed, now.output)) {
            keep_registered(step, output_value(now.output, now.holds_secret), registered_);
        }
    }
}

/// Before the first change the cluster is the one of the plan.
nlohmann::json RunSession::left() const {
    return state_.last_seen().is_null() ? digest(setup_.plan.facts) : state_.last_seen();
}

void RunSession::record(RecordKind kind, const PlannedStep* step, nlohmann::json payload) {
    JournalRecord entry{state_.last_seq() + 1,
                        to_iso8601(setup_.clock.wall_now()),
                        kind,
                        step == nullptr ? "" : step->id,
                        step == nullptr ? "" : step->member,
                        std::move(payload)};
    const bool only_looks = step != nullptr && !step->changes;
    const bool of_step = kind == RecordKind::step_intent || kind == RecordKind::step_result ||
                         kind == RecordKind::step_skipped;
    if (grouping_ && only_looks && of_step) {
        // Applied before it is durable, because the steps after it depend on it. Nobody is told and
        // nothing is started until it is.
        state_.apply(entry);
        pending_.push_back(std::move(entry));
        return;
    }
    commit();
    setup_.journal.append(header_.id, entry);
    state_.apply(entry);
    if (std::string open = what_is_open(); open != signed_ && kind != RecordKind::run_ended) {
        signed_ = std::move(open);
        setup_.runner.sign_lock_later(signed_);
    }
    if (setup_.listener) {
        setup_.listener(entry, state_);
    }
}

/// Listeners hear of a record only once it is durable: what a person has read must still be there
/// after a crash.
void RunSession::commit() {
    if (pending_.empty()) {
        return;
    }
    setup_.journal.append_all(header_.id, pending_);
    for (const JournalRecord& entry : std::exchange(pending_, {})) {
        if (setup_.listener) {
            setup_.listener(entry, state_);
        }
    }
}

/// In this order: nothing is started whose intent could still be lost.
void RunSession::flush() {
    commit();
    for (Start& start : std::exchange(starts_, {})) {
        setup_.runner.start(start.index, std::move(start.call), facts_);
    }
}

/// With nothing pending the intent is durable already, and waiting would only cost time.
void RunSession::start(std::size_t index, StepCall call) {
    starts_.push_back({index, std::move(call)});
    if (pending_.empty()) {
        flush();
    }
}

void RunSession::note(const std::string& message, nlohmann::json more) {
    more["message"] = message;
    record(RecordKind::note, nullptr, std::move(more));
}

std::string RunSession::obstacle(const std::string& member) const {
    const OpenCall* call = in_the_way(state_.open_calls(), member, setup_.clock.wall_now());
    return call == nullptr ? "" : describe(*call);
}

/// Before the change and not after it: of an engine that dies in between, the lock still says what
/// it may have left.
std::string RunSession::not_ours(const OpenTemporary* temporary, std::stop_token stop) {
    if (temporary == nullptr) {
        return setup_.runner.lock_trouble(std::move(stop));
    }
    signed_ = what_is_open();
    signed_ += (signed_.empty() ? "" : ", ") + temporary->text();
    return setup_.runner.sign_lock(signed_, std::move(stop));
}

StepResult RunSession::dispatch(Outgoing out, std::stop_token stop) {
    StepCall& call = out.call;
    const std::string in_way = obstacle(call.member);
    const OpenTemporary again{call.uses, {}, call.member, {}, {}};
    const bool makes_one = out.purpose == OpenCall::Purpose::take_again;
    const std::string trouble =
        in_way.empty() ? not_ours(makes_one ? &again : nullptr, stop) : std::string();
    if (!in_way.empty() || !trouble.empty()) {
        return {.outcome = StepOutcome::cancelled,
                .message = in_way.empty() ? trouble : in_way,
                .hint = in_way.empty() ? "Whoever has the cluster now decides."
                                       : "`lockstep resume` looks, and goes on."};
    }
    call.only_looks = out.preview.read_only;
    call.acts_within = out.preview.acts_within;
    if (out.own_step) {
        record_intent(out.step, call, out.preview, out.purpose == OpenCall::Purpose::give_back);
    } else {
        record_undo_intent(out.step, call, out.preview, out.undo);
    }
    StepResult result = perform(
        out.step, call, out.own_step ? RecordKind::step_accepted : RecordKind::undo_accepted);
    if (result.outcome == StepOutcome::in_doubt && result.open == OpenEnd::answer_lost &&
        call.acts_within) {
        result = find_out(call, result.message, std::move(stop));
    }
    if (out.own_step) {
        record_result(out.step, result, false);
    } else {
        record_undo_result(out.step, call.uses, result, out.undo);
    }
    return result;
}

/// Either answer counts only when the time is over: what was sent may still be on its way through
/// the other side's queue, and what is in place before that may be somebody else's.
StepResult RunSession::find_out(StepCall call, const std::string& why, std::stop_token stop) {
    call.open_temporaries = open_temporaries();  // by now its own: what is found is this run's
    StepResult doubt{.outcome = StepOutcome::in_doubt,
                     .open = OpenEnd::answer_lost,
                     .message = why,
                     .hint = "Nobody can be asked what came of it."};
    const auto& open = state_.open_calls();
    const auto sent = std::ranges::find(open, call.key, &OpenCall::key);
    const std::optional<Clock::Wall> quiet_at =
        sent == open.end() ? setup_.clock.wall_now() : sent->quiet_at(setup_.clock.wall_now());
    if (!quiet_at) {
        return doubt;
    }
    for (;;) {
        const bool last = setup_.clock.wall_now() >= *quiet_at;
        try {
            refresh(true, stop);
            const Preview now = setup_.runner.preview(call, *facts_);
            if (last && now.verdict == Verdict::wont) {
                return {.message = "its answer was lost, and it took effect: " + now.because};
            }
            if (last && !now.effect) {  // the facts do not hold what it does: a look tells nothing
                doubt.open = OpenEnd::died;
                return doubt;
            }
            if (last) {
                return {.outcome = StepOutcome::failed,
                        .message = "its answer was lost, and it had no effect: " + why};
            }
        } catch (const JournalError&) {
            throw;
        } catch (const Error& error) {
            if (last) {
                doubt.message +=
                    "; and the cluster cannot be looked at: " + std::string(error.what());
                doubt.hint = error.hint();
                return doubt;
            }
        }
        if (!setup_.clock.sleep_for(k_between_looks, stop)) {
            return doubt;
        }
    }
}

/// One step alone, waited for: for settling and going back, where nothing may run beside it.
StepResult RunSession::perform(const PlannedStep& step, StepCall call, RecordKind accepted) {
    setup_.runner.start(0, std::move(call), facts_);
    for (;;) {
        const std::optional<StepEvent> event = setup_.runner.wait(200ms);
        if (!event) {
            continue;
        }
        if (!event->accepted.is_null()) {
            record(accepted, &step, event->accepted);
            continue;
        }
        if (event->result.learned) {
            learn(event->result.learned);
        }
        return event->result;
    }
}

const ActionSchema& RunSession::schema_of(const PlannedStep& step) const {
    return *find_action(setup_.actions, step.uses);
}

const PlannedStep* RunSession::find(const std::string& id, const std::string& member) const {
    const auto& steps = setup_.plan.steps;
    const auto found = std::ranges::find_if(
        steps, [&](const PlannedStep& step) { return step.id == id && step.member == member; });
    return found == steps.end() ? nullptr : &*found;
}

ScopeSource RunSession::source_of(const PlannedStep& step) const {
    if (!observed_) {
        observed_ = observed_value(*facts_, setup_.cluster, setup_.plan.facts);
    }
    return {.plan = setup_.plan,
            .facts = *facts_,
            .cluster = setup_.cluster,
            .registered = &registered_,
            .outputs = outputs_read_by(step),
            .member = step.member,
            .frame = frame_of(step),
            .item = &step.item,
            .observed = &*observed_};
}

Scope RunSession::scope_of(const PlannedStep& step) const {
    return make_scope(source_of(step));
}

BoundStep RunSession::bind(const PlannedStep& step) const {
    return bind(step, source_of(step));
}

/// Outputs of the steps before it count as unknown here: a call that needs one of them cannot be
/// sent together with them.
std::optional<StepCall> RunSession::bind_for_read_ahead(std::size_t first,
                                                        std::size_t index) const {
    const PlannedStep& step = setup_.plan.steps[index];
    ScopeSource source = source_of(step);
    Value::Map registered = source.outputs ? only(*source.outputs, step, registered_) : registered_;
    for (std::size_t i = first; i < index; ++i) {
        const PlannedStep& before = setup_.plan.steps[i];
        if (!before.spec->register_as.empty()) {
            keep_registered(before, Value::unknown("it has not run yet"), registered);
        }
    }
    source.registered = &registered;
    BoundStep bound = bind(step, source);
    return bound.kind == BoundStep::Kind::ready ? std::optional(std::move(bound.call))
                                                : std::nullopt;
}

BoundStep RunSession::bind(const PlannedStep& step, const ScopeSource& source) const {
    BoundStep bound = bind_step(step, schema_of(step), make_scope(source), source);
    bound.call.heals = setup_.plan.runbook->heals;
    bound.call.open_temporaries = open_temporaries();
    bound.call.at_start = at_start_;
    if (schema_of(step).moves_leader()) {  // it looks at every step there is
        bound.call.led_by = led_by(step);
    }
    bound.call.earlier = earlier_calls(schema_of(step));
    return bound;
}

std::vector<std::string> RunSession::open_temporaries() const {
    std::vector<std::string> actions;
    for (const OpenTemporary& temporary : state_.temporaries()) {
        actions.push_back(temporary.action);
    }
    return actions;
}

/// So that a check of the whole cluster can tell what this run did on purpose from what was lost.
std::vector<EarlierCall> RunSession::earlier_calls(const ActionSchema& schema) const {
    std::vector<EarlierCall> calls;
    for (const StepProgress& other : state_.steps()) {
        if (schema.scope != ActionScope::member && other.may_have_acted()) {
            calls.push_back({other.uses, other.member, other.with});
        }
    }
    return calls;
}

std::string RunSession::led_by(const PlannedStep& step) const {
    std::string leader = setup_.plan.facts.leader;
    for (const StepProgress* moved : state_.leader_moves()) {
        if (moved->is_done() && (moved->id != step.id || moved->member != step.member)) {
            leader = moved->leads_after;
        }
    }
    return leader;
}

/// Of a step whose end is not good the leader may be either one.
std::shared_ptr<const ClusterFacts> RunSession::guarded_start() const {
    const std::vector<const StepProgress*> moves = state_.leader_moves();
    if (moves.empty()) {
        return at_start_;
    }
    ClusterFacts start = *at_start_;
    for (const StepProgress* moved : moves) {
        if (moved->is_done() || facts_->leader == moved->leads_after) {
            start.leader = moved->leads_after;
        }
        if (MemberFacts* before = start.find(moved->led_by)) {
            forget_postmaster(*before);
        }
    }
    return std::make_shared<const ClusterFacts>(std::move(start));
}

/// Decided once for the whole fan-out, by who has the role when the first of it begins, and kept on
/// record: a step of it that moves the leader itself does not move those behind it elsewhere.
std::optional<std::vector<std::string>> RunSession::chosen_for(const PlannedStep& step) {
    if (const std::vector<std::string>* known = state_.chosen(step.group)) {
        return *known;
    }
    if (facts_->leader_member() == nullptr) {
        return std::nullopt;
    }
    std::vector<std::string> members;
    for (const MemberFacts& member : facts_->members) {
        if (has_role(member, step.by_role)) {
            members.push_back(member.name);
        }
    }
    note(step.group + " is for " + (members.empty() ? "nobody" : join(members, ", ")) + ": " +
             step.by_role + " as " + facts_->leader + " leads now",
         {{"group", step.group}, {"members", members}});
    return members;
}

BoundStep RunSession::bind_verify(const PlannedStep& step, const StepCall& call) const {
    const CallSpec& spec = *step.spec->verify;
    const ActionSchema& schema = *find_action(setup_.actions, spec.uses);
    BoundStep look = bind_call(step, spec, schema, scope_of(step));
    look.call.at_start = call.at_start;
    look.call.earlier = earlier_calls(schema);
    look.call.earlier.push_back({call.uses, call.member, Value(call.with).to_json()});
    return look;
}

/// Once a run: a second one would forget the gaps that the first has seen.
void RunSession::start_write_probe() {
    const std::optional<ProbeSettings> probe = write_probe_settings(*setup_.plan.runbook);
    if (probe && !probing_) {
        probing_ = true;
        const MemberFacts* leader = facts_->leader_member();
        if (leader != nullptr && leader->role == "standby_leader") {
            note("the write probe does not write: a standby cluster takes no writes");
            return;
        }
        ProbeSettings settings = *probe;
        settings.follows = std::ranges::any_of(
            setup_.plan.steps, [&](const auto& step) { return schema_of(step).moves_leader(); });
        setup_.runner.start_write_probe(settings, *facts_);
    }
}

/// Made before the step acts, because afterwards nobody could tell what was there. The runbook's
/// own undo replaces the action's; what the planner added for the versions' sake stays.
std::vector<Undo> RunSession::freeze_undo(const PlannedStep& step, const Preview& preview) const {
    if (step.spec->no_undo || !step.no_way_back.empty()) {
        return {};
    }
    std::vector<Undo> undo = preview.undo;
    if (!step.spec->undo.empty()) {
        undo = bind_undo(step, setup_.actions, scope_of(step)).undo;
    }
    return with_besides(std::move(undo), step.undo_besides);
}

/// The planner made the step of the undo's own arguments. One that had nothing to do has no output:
/// what was there already, its probe has found.
nlohmann::json RunSession::prepared_for(const Undo& undo) const {
    const ActionSchema* action = find_action(setup_.actions, undo.uses);
    if (action == nullptr || action->prepared_by.empty()) {
        return nullptr;
    }
    for (const PlannedStep& step : setup_.plan.steps) {
        const bool for_it = step.made && step.uses == action->prepared_by &&
                            step.member == undo.member &&
                            std::ranges::all_of(step.spec->with, [&](const auto& argument) {
                                const Value* value = std::get_if<Value>(&argument.second.content);
                                return value != nullptr && undo.with.contains(argument.first) &&
                                       undo.with.at(argument.first) == value->to_json();
                            });
        if (for_it) {
            const nlohmann::json& output = progress(index_of(step)).output;
            return output.is_null() ? step.probed : output;
        }
    }
    return nullptr;
}

/// Becomes a folder's name on the member, hence the characters. With run and attempt it is used
/// once only, so that a start that comes late cannot be taken for another.
std::string RunSession::key_of(const PlannedStep& step,
                               const std::string& what,
                               int attempt) const {
    std::string name = std::to_string(index_of(step)) + "." + step.id + what;
    name += step.member.empty() ? "" : "." + step.member;
    for (char& c : name) {
        const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
        c = fits ? c : '-';
    }
    if (constexpr std::size_t k_longest = 160; name.size() > k_longest) {
        name = name.substr(0, k_longest - 17) + "-" + sha256_hex(name).substr(0, 16);
    }
    return header_.id + "." + name + "." + std::to_string(attempt);
}

/// A command that failed has said something, too, and a run that goes on (`on_failure: continue`)
/// may look at it. What cannot be read as the step says is nothing: it has failed already.
void RunSession::read_output_of_failure(const PlannedStep& step, StepResult& result) const {
    if (step.spec->register_as.empty() || result.output.is_null()) {
        return;
    }
    ReadOutput read;
    try {
        read = output_of(step, result, scope_of(step));
    } catch (const Error& error) {
        read.why_not = error.what();
    }
    result.output = read.why_not.empty() ? std::move(read.output) : nlohmann::json(nullptr);
    result.holds_secret = result.holds_secret || read.holds_secret;
}

/// True: it worked, but `until` is not met, and trying again is right. An `until` that cannot be
/// evaluated is a failure, since another attempt would fail in the same way.
bool RunSession::read_output(const PlannedStep& step, StepResult& result) const {
    if (!is_good(result.outcome)) {
        read_output_of_failure(step, result);
        return false;
    }
    const auto fail = [&](std::string message, std::string hint) {
        result.outcome = StepOutcome::failed;
        result.message = std::move(message);
        result.hint = std::move(hint);
    };
    if (!step.spec->register_as.empty() || step.spec->until) {
        ReadOutput read;
        try {
            read = output_of(step, result, scope_of(step));
        } catch (const Error& error) {
            read = {nullptr, error.what()};
            result.output = nullptr;
        }
        if (!read.why_not.empty()) {
            fail("it was done, but " + read.why_not, "Look at what it prints, and at `register`.");
            return false;
        }
        result.output = std::move(read.output);
        result.holds_secret = read.holds_secret;
    }
    if (!step.spec->until) {
        return false;
    }
    Scope scope = scope_of(step);
    scope.insert_or_assign("result", output_value(result.output, result.holds_secret));
    const Evaluation evaluated = step.spec->until->evaluate(scope);
    const auto* value = std::get_if<Value>(&evaluated);
    if (value != nullptr && *value == Value(true)) {
        return false;
    }
    std::string why = "`" + step.spec->until->text() + "` is not true yet";
    if (const auto* error = std::get_if<EvaluationError>(&evaluated)) {
        why = "until: " + error->message;
    } else if (const auto* unknown = std::get_if<Value::Unknown>(&evaluated)) {
        why += ": " + unknown->because;
    }
    fail(why, {});
    return std::get_if<EvaluationError>(&evaluated) == nullptr;
}

void RunSession::keep_output(const PlannedStep& step, const StepResult& result) {
    if (registers(
            step, is_good(result.outcome), result.outcome == StepOutcome::failed, result.output)) {
        keep_registered(step, output_value(result.output, result.holds_secret), registered_);
    }
}

/// The slow facts only where a guard needs them and they are old: before a change of a paused
/// cluster every second counts.
std::optional<Failure> RunSession::look_again(bool may_take_long,
                                              std::stop_token stop,
                                              std::chrono::milliseconds age) {
    if (looked_at_ && setup_.clock.steady_now() - *looked_at_ < age) {
        return std::nullopt;
    }
    const bool stale = setup_.clock.steady_now() - full_at_ > k_full_facts_age;
    const auto& guards = setup_.plan.runbook->guards;
    return look(may_take_long && stale && std::ranges::any_of(guards, needs_full_facts), stop);
}

std::optional<Failure> RunSession::look(bool full, std::stop_token stop) {
    try {
        refresh(full, stop);
        return std::nullopt;
    } catch (const Error& error) {
        return Failure{state_.changed_anything() ? 10 : 16,
                       RunPhase::failed,
                       std::string("the cluster can no longer be observed: ") + error.what(),
                       error.hint()};
    }
}

void RunSession::refresh(bool full, std::stop_token stop) {
    const auto begun = setup_.clock.steady_now();
    const ClusterFacts now = setup_.runner.observe(full, stop);
    looked_at_ = begun;
    if (full) {
        set_facts(now);
        full_at_ = setup_.clock.steady_now();
        return;
    }
    // While a step works on a member, its Patroni may be silent for a moment: what was known stays.
    std::vector<std::string> busy;
    for (const StepProgress& step : state_.steps()) {
        if (step.state == StepState::running) {
            busy.push_back(step.member);
        }
    }
    ClusterFacts seen = now;
    for (MemberFacts& member : seen.members) {
        const MemberFacts* known = facts_->find(member.name);
        if (member.api.failed() && known != nullptr &&
            std::ranges::find(busy, member.name) != busy.end()) {
            member = *known;
        }
    }
    learn([&](ClusterFacts& facts) { facts.update(seen); });
}

void RunSession::set_facts(ClusterFacts facts) {
    facts_ = std::make_shared<const ClusterFacts>(std::move(facts));
    observed_.reset();
    seen_ = nullptr;
}

/// A copy, because workers still read the facts that they were started with.
void RunSession::learn(const std::function<void(ClusterFacts&)>& what) {
    ClusterFacts facts = *facts_;
    what(facts);
    set_facts(std::move(facts));
}

std::vector<Finding> RunSession::diagnose(std::stop_token stop) {
    ClusterFacts facts = *facts_;
    std::vector<Finding> found = setup_.runner.diagnose(facts, std::move(stop));
    set_facts(std::move(facts));
    return found;
}

/// What passes by itself, because daemons and replication have just begun again, gets a while.
std::vector<Finding> RunSession::diagnose_end(std::stop_token stop) {
    const auto calm = [&](const std::vector<Finding>& found) {
        return std::ranges::none_of(
            found, [&](const Finding& finding) { return is_new_trouble(finding); });
    };
    return diagnose_end(calm, k_calm_patience, std::move(stop));
}

std::vector<Finding> RunSession::diagnose_end(
    const std::function<bool(const std::vector<Finding>&)>& good,
    std::chrono::seconds patience,
    std::stop_token stop) {
    const auto begun = setup_.clock.steady_now();
    for (;;) {
        refresh(true, stop);
        std::vector<Finding> found = diagnose(stop);
        if (good(found) || setup_.clock.steady_now() - begun > patience ||
            !setup_.clock.sleep_for(1s, stop)) {
            return found;
        }
    }
}

bool RunSession::is_new_trouble(const Finding& finding) const {
    return finding.severity == Severity::critical &&
           std::ranges::none_of(setup_.plan.findings, [&](const Finding& before) {
               return before.id == finding.id && before.member == finding.member;
           });
}

const nlohmann::json& RunSession::seen() const {
    if (seen_.is_null()) {
        seen_ = digest(*facts_);
    }
    return seen_;
}

/// Somebody took it on the record, of this member and subject.
bool RunSession::was_accepted(const Finding& finding) const {
    return finding.acceptable &&
           std::ranges::any_of(setup_.plan.accepted, [&](const Finding& accepted) {
               return accepted.id == finding.id && accepted.member == finding.member &&
                      accepted.subject == finding.subject;
           });
}

/// What passes by itself (a daemon that is just starting) is waited for, for a while, instead of
/// failing the run.
Preview RunSession::preview(const StepCall& call, std::stop_token stop) {
    const auto begun = setup_.clock.steady_now();
    for (;;) {
        Preview preview = setup_.runner.preview(call, *facts_);
        std::erase_if(preview.blocked_by,
                      [&](const Finding& finding) { return was_accepted(finding); });
        const bool passing = !preview.blocked_by.empty() &&
                             std::ranges::all_of(preview.blocked_by, &Finding::passing);
        if (!passing || setup_.clock.steady_now() - begun > k_guard_patience ||
            !setup_.clock.sleep_for(100ms, stop) || look_again(false, stop)) {
            return preview;
        }
    }
}

/// A broken guard is told at once. One that lacks a fact gets time, because a restarted Patroni is
/// silent for seconds; if it stays silent, the hosts themselves are asked.
std::optional<std::string> RunSession::tripped_guard(std::stop_token stop) {
    const auto begun = setup_.clock.steady_now();
    auto asked_hosts = begun;
    for (;;) {
        std::optional<GuardVerdict> worst;
        const std::shared_ptr<const ClusterFacts> start = guarded_start();
        for (const GuardSpec& guard : setup_.plan.runbook->guards) {
            std::optional<GuardVerdict> verdict = check_guard(guard, *start, *facts_);
            if (verdict && (!worst || worst->unknown)) {
                worst = std::move(verdict);
            }
        }
        if (!worst) {
            return std::nullopt;
        }
        const bool waited = setup_.clock.steady_now() - begun > k_guard_patience;
        if (!worst->unknown || waited || !setup_.clock.sleep_for(100ms, stop)) {
            return worst->why;
        }
        const bool asks_hosts = setup_.clock.steady_now() - asked_hosts > k_silence;
        if (asks_hosts) {
            asked_hosts = setup_.clock.steady_now();
        }
        if (asks_hosts ? look(true, stop) : look_again(true, stop)) {
            return "the cluster can no longer be observed";
        }
    }
}

LockGrant RunSession::take_lock(const std::string& owner, std::stop_token stop) {
    return setup_.runner.take_lock({header_.id, owner}, *facts_, std::move(stop));
}

/// Restarts are counted against the plan's facts, one that is gone among them, and not by what the
/// steps say of themselves.
nlohmann::json RunSession::measure() {
    nlohmann::json measured = {
        {"paused_ms", 0}, {"write_gap_ms", nullptr}, {"client_errors", nullptr}};
    for (const auto& [name, length] : state_.lasted()) {
        if (!name.empty()) {
            measured[name] = length.count();
        }
    }
    int restarts = 0;
    bool known = true;
    for (const MemberFacts& before : setup_.plan.facts.members) {
        const MemberFacts* after = facts_->find(before.name);
        const std::optional<bool> stayed = postmaster_stayed(before, after);
        known = known && stayed.has_value();
        restarts += stayed == false ? 1 : 0;
    }
    // None is a claim about every member: of one that nobody could ask it cannot be made.
    measured["postgres_restarts"] =
        known || restarts > 0 ? nlohmann::json(restarts) : nlohmann::json(nullptr);
    if (const std::optional<ProbeReport> probe = setup_.runner.write_probe()) {
        measured["write_gap_ms"] = probe->longest_gap.count();
        measured["client_errors"] = probe->errors;
        measured["last_client_error"] = or_null(probe->last_error);
        measured["writes"] = probe->writes;
    }
    return measured;
}

/// People are told first, since the delivery's troubles belong on record, and the lock is released
/// last: who waits for it finds a run that has ended. The spool stays where a step is still open:
/// the resume reads it.
RunEnd RunSession::end(RunEnd how, bool gave_up) {
    const bool open = std::ranges::any_of(state_.steps(), [](const StepProgress& step) {
        return step.changes &&
               (step.state == StepState::in_doubt || step.state == StepState::running);
    });
    // Rule 3: what is still open is the end, whatever else there is to say.
    if (const auto& calls = state_.open_calls();
        !calls.empty() && how.phase != RunPhase::in_doubt) {
        how.message += (how.message.empty() ? "" : "; ") + describe(calls.front());
        how.hint = "`lockstep resume` looks, and goes on.";
        how.exit_code = 13;
        how.phase = RunPhase::in_doubt;
    }
    tell_end(how);
    nlohmann::json differs = nlohmann::json::array();
    for (const Difference& each : compare_with_start(setup_.plan.facts, *facts_)) {
        differs.push_back(each.what);
    }
    record(RecordKind::run_ended,
           nullptr,
           {{"state", to_text(how.phase)},
            {"exit_code", how.exit_code},
            {"message", how.message},
            {"hint", how.hint},
            {"gave_up", gave_up},
            {"waiting_for", how.waiting_for},
            {"not_before", how.not_before},
            {"measured", measure()},
            {"differs", differs},
            {"unproven", unproven_},
            {"seen", how.exit_code == 17 ? left() : seen()}});
    const bool left_some = std::ranges::any_of(state_.steps(), [](const StepProgress& step) {
        return step.changes && step.attempts > 0;  // what only looks leaves nothing on a member
    });
    if (!open && state_.open_calls().empty() && left_some) {
        setup_.runner.clean_up(header_.id, *facts_);
    }
    setup_.runner.release_lock(what_it_leaves());
    return how;
}

}  // namespace lockstep
