#include "engine/run_session.hpp"

#include "base/error.hpp"
#include "engine/guards.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using namespace std::chrono_literals;

// The slow facts (disk, pg_wal) behind a guard may be this old before a change.
constexpr auto k_full_facts_age = 10s;
// A fact that a guard or a gate lacks may come back within this time: a daemon takes seconds to
// start.
constexpr auto k_guard_patience = 30s;

bool is_good(StepOutcome outcome) {
    return outcome == StepOutcome::succeeded || outcome == StepOutcome::already_done;
}

nlohmann::json result_payload(const StepResult& result) {
    return {{"outcome", to_text(result.outcome)},
            {"message", result.message},
            {"hint", result.hint},
            {"last_lines", result.last_lines},
            {"findings", to_json(result.findings)},
            {"output", result.output}};
}

std::string why_no_undo(const PlannedStep& step, const Preview& preview) {
    if (step.spec->no_undo || preview.needs_no_undo) {
        return {};
    }
    const std::string& why = step.no_way_back.empty() ? preview.no_way_back : step.no_way_back;
    return why.empty() ? k_no_undo : why;
}

/// The step that ends a temporary change: the first one behind it.
std::optional<std::size_t> find_end(const Plan& plan,
                                    const ActionCatalog& actions,
                                    const OpenTemporary& temporary) {
    bool behind = false;
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
        const PlannedStep& step = plan.steps[i];
        if (behind && find_action(actions, step.uses)->ends == temporary.action &&
            step.member == temporary.member) {
            return i;
        }
        behind = behind || (step.id == temporary.step && step.member == temporary.member);
    }
    return std::nullopt;
}

}  // namespace

nlohmann::json digest(const ClusterFacts& facts) {
    nlohmann::json members = nlohmann::json::object();
    for (const MemberFacts& member : facts.members) {
        members[member.name] = {{"installed", member.patroni.installed},
                                {"running", member.patroni.running},
                                {"started_at", member.postgres.started_at}};
    }
    return {
        {"leader", facts.leader},
        {"timeline", facts.timeline ? nlohmann::json(*facts.timeline) : nlohmann::json(nullptr)},
        {"paused", facts.paused},
        {"members", members}};
}

RunSession::RunSession(Setup setup, RunHeader header)
    : setup_(std::move(setup)),
      header_(std::move(header)),
      state_(header_.plan),
      facts_(setup_.plan.facts),
      full_at_(setup_.clock.steady_now()) {}

void RunSession::replay(const std::vector<JournalRecord>& records) {
    for (const JournalRecord& record : records) {
        state_.apply(record);
    }
    for (std::size_t i = 0; i < setup_.plan.steps.size(); ++i) {
        const std::string& name = setup_.plan.steps[i].spec->register_as;
        const StepState now = progress(i).state;
        if (!name.empty() && (now == StepState::succeeded || now == StepState::already_done)) {
            registered_.insert_or_assign(name, Value::from_json(progress(i).output));
        }
    }
}

void RunSession::record(RecordKind kind, const PlannedStep* step, nlohmann::json payload) {
    JournalRecord entry{state_.last_seq() + 1,
                        to_iso8601(setup_.clock.wall_now()),
                        kind,
                        step == nullptr ? "" : step->id,
                        step == nullptr ? "" : step->member,
                        std::move(payload)};
    setup_.journal.append(header_.id, entry);
    state_.apply(entry);
    if (setup_.listener) {
        setup_.listener(entry, state_);
    }
}

void RunSession::note(const std::string& message, nlohmann::json more) {
    more["message"] = message;
    record(RecordKind::note, nullptr, std::move(more));
}

void RunSession::record_intent(const PlannedStep& step,
                               const StepCall& call,
                               const Preview& preview,
                               bool gives_back) {
    const ActionSchema& schema = schema_of(step);
    nlohmann::json covered = nlohmann::json::array();
    for (const OpenTemporary& temporary : state_.temporaries()) {
        if (temporary.member.empty()) {  // of the whole cluster: a rollback needs it again
            covered.push_back(temporary.action);
        }
    }
    const bool undoable = step.changes && schema.ends.empty() && !schema.temporary;
    const std::vector<Undo> undo = undoable ? freeze_undo(step, preview) : std::vector<Undo>{};
    record(RecordKind::step_intent,
           &step,
           {{"attempt", call.attempt},
            {"key", call.key},
            {"uses", step.uses},
            {"operations", to_json(preview.operations)},
            {"undo", to_json(undo)},
            {"no_way_back", undoable && undo.empty() ? why_no_undo(step, preview) : ""},
            {"point_of_no_return", step.spec->point_of_no_return},
            {"temporary", is_temporary(step) ? schema.name : ""},
            {"measured_as", schema.measured_as},
            {"ends", schema.ends},
            {"gives_back", gives_back},
            {"covered", covered},
            {"seen", digest(facts_)}});
}

void RunSession::record_result(const PlannedStep& step, const StepResult& result, bool retry) {
    const ActionSchema& schema = schema_of(step);
    nlohmann::json payload = result_payload(result);
    payload["retry"] = retry;
    payload["temporary"] = schema.temporary ? schema.name : "";
    payload["ends"] = schema.ends;
    if (step.changes) {
        payload["seen"] = digest(facts_);
    }
    record(RecordKind::step_result, &step, std::move(payload));
}

void RunSession::record_verified(const PlannedStep& step,
                                 const char* verdict,
                                 const std::string& how,
                                 const std::string& message) {
    const ActionSchema& schema = schema_of(step);
    record(RecordKind::step_verified,
           &step,
           {{"verdict", verdict},
            {"how", how},
            {"message", message},
            {"temporary", schema.temporary ? schema.name : ""},
            {"ends", schema.ends},
            {"seen", digest(facts_)}});
}

void RunSession::record_undo_intent(const PlannedStep& step,
                                    const StepCall& call,
                                    const Preview& preview,
                                    std::optional<std::size_t> n) {
    const ActionSchema& schema = *find_action(setup_.actions, call.uses);
    nlohmann::json payload = {{"attempt", call.attempt},
                              {"key", call.key},
                              {"uses", call.uses},
                              {"on", call.member},
                              {"operations", to_json(preview.operations)},
                              {"temporary", schema.temporary ? schema.name : ""},
                              {"measured_as", schema.measured_as},
                              {"ends", schema.ends},
                              {"seen", digest(facts_)}};
    if (n) {
        payload["n"] = *n;
    }
    record(RecordKind::undo_intent, &step, std::move(payload));
}

void RunSession::record_undo_result(const PlannedStep& step,
                                    const std::string& uses,
                                    const StepResult& result,
                                    std::optional<std::size_t> n) {
    const ActionSchema& schema = *find_action(setup_.actions, uses);
    nlohmann::json payload = result_payload(result);
    payload["uses"] = uses;
    payload["ends"] = schema.ends;
    payload["seen"] = digest(facts_);
    if (n) {
        payload["n"] = *n;
    }
    record(RecordKind::undo_result, &step, std::move(payload));
}

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
            event->result.learned(facts_);
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

Scope RunSession::scope_of(const PlannedStep& step) const {
    return make_scope({.plan = setup_.plan,
                       .facts = facts_,
                       .cluster = setup_.cluster,
                       .registered = &registered_,
                       .member = step.member,
                       .item = &step.item});
}

RenderedStep RunSession::render(const PlannedStep& step) const {
    RenderedStep rendered = render_step(step, schema_of(step), scope_of(step));
    rendered.call.heals = setup_.plan.runbook->heals;
    for (const OpenTemporary& temporary : state_.temporaries()) {
        rendered.call.open_temporaries.push_back(temporary.action);
    }
    return rendered;
}

std::vector<Undo> RunSession::freeze_undo(const PlannedStep& step, const Preview& preview) const {
    if (step.spec->no_undo || !step.no_way_back.empty()) {
        return {};
    }
    std::vector<Undo> undo = preview.undo;
    if (!step.spec->undo.empty()) {
        undo = render_undo(step, setup_.actions, scope_of(step)).undo;
    }
    undo.insert(undo.end(), step.undo_besides.begin(), step.undo_besides.end());
    return undo;
}

/// A member's change that nothing in the runbook ends is there to stay: a package put on hold again
/// after it was let go. The whole cluster's (a pause) never is.
bool RunSession::is_temporary(const PlannedStep& step) const {
    const OpenTemporary would_be{step.uses, step.id, step.member, {}, {}};
    return schema_of(step).temporary &&
           (step.member.empty() || find_end(setup_.plan, setup_.actions, would_be));
}

std::string RunSession::key_of(const PlannedStep& step,
                               const std::string& what,
                               int attempt) const {
    const auto index = &step - setup_.plan.steps.data();
    std::string name = std::to_string(index) + "." + step.id + what;
    name += step.member.empty() ? "" : "." + step.member;
    for (char& c : name) {
        const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
        c = fits ? c : '-';
    }
    return header_.id + "." + name + "." + std::to_string(attempt);
}

void RunSession::keep_output(const PlannedStep& step, const StepResult& result) {
    if (!step.spec->register_as.empty() && is_good(result.outcome)) {
        registered_.insert_or_assign(step.spec->register_as, Value::from_json(result.output));
    }
}

std::optional<Failure> RunSession::look_again(bool may_take_long, std::stop_token stop) {
    const bool stale = setup_.clock.steady_now() - full_at_ > k_full_facts_age;
    const auto& guards = setup_.plan.runbook->guards;
    try {
        refresh(may_take_long && stale && std::ranges::any_of(guards, needs_full_facts), stop);
        return std::nullopt;
    } catch (const Error& error) {
        return Failure{state_.changed_anything() ? 10 : 16,
                       RunPhase::failed,
                       std::string("the cluster can no longer be observed: ") + error.what(),
                       error.hint()};
    }
}

void RunSession::refresh(bool full, std::stop_token stop) {
    const ClusterFacts now = setup_.runner.observe(full, stop);
    if (full) {
        facts_ = now;
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
        const MemberFacts* known = facts_.find(member.name);
        if (member.api.failed() && known != nullptr &&
            std::ranges::find(busy, member.name) != busy.end()) {
            member = *known;
        }
    }
    facts_.update(seen);
}

Preview RunSession::preview(const StepCall& call, std::stop_token stop) {
    const auto begun = setup_.clock.steady_now();
    for (;;) {
        Preview preview = setup_.runner.preview(call, facts_);
        const bool passing = !preview.blocked_by.empty() &&
                             std::ranges::all_of(preview.blocked_by, &Finding::passing);
        if (!passing || setup_.clock.steady_now() - begun > k_guard_patience ||
            !setup_.clock.sleep_for(100ms, stop) || look_again(false, stop)) {
            return preview;
        }
    }
}

std::optional<std::string> RunSession::tripped_guard(std::stop_token stop) {
    const auto begun = setup_.clock.steady_now();
    for (;;) {
        std::optional<GuardVerdict> worst;
        for (const GuardSpec& guard : setup_.plan.runbook->guards) {
            std::optional<GuardVerdict> verdict = check_guard(guard, setup_.plan.facts, facts_);
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
        if (look_again(true, stop)) {
            return "the cluster can no longer be observed";
        }
    }
}

LockGrant RunSession::take_lock(const std::string& owner, std::stop_token stop) {
    return setup_.runner.take_lock({header_.id, owner}, facts_, std::move(stop));
}

/// Whatever way out: a pause must not be forgotten. Where lifting it is not safe, it is kept, and
/// said so.
void RunSession::give_back_temporaries() {
    const std::vector<OpenTemporary> open = state_.temporaries();
    if (open.empty()) {
        return;
    }
    std::string why;
    std::string hint;
    for (const StepProgress& step : state_.steps()) {
        // A command that may still run must find the cluster as it was when it was started.
        if (step.changes &&
            (step.state == StepState::in_doubt || step.state == StepState::running) &&
            std::ranges::none_of(open, [&](const auto& each) { return each.step == step.id; })) {
            why = "it is not known what " + step.where() + " still does";
            hint = "`lockstep resume` looks, and goes on.";
        }
    }
    if (const std::string trouble = setup_.runner.lock_trouble({}); !trouble.empty()) {
        why = trouble;
        hint = "Whoever has the cluster now decides.";
    }
    for (auto temporary = open.rbegin(); temporary != open.rend(); ++temporary) {
        if (why.empty()) {
            give_back(*temporary);
        } else {
            keep(*temporary, why, hint);
        }
    }
}

void RunSession::keep(const OpenTemporary& temporary,
                      const std::string& why,
                      const std::string& hint) {
    note(temporary.text() + " is still in force: " + why,
         {{"hint", hint}, {"kept", temporary.action}});
}

/// No guard and no gate in between: the action itself waits until it is safe, or refuses.
void RunSession::give_back(const OpenTemporary& temporary) {
    const PlannedStep* maker = find(temporary.step, temporary.member);
    const std::optional<std::size_t> end = find_end(setup_.plan, setup_.actions, temporary);
    StepResult result;
    if (end && !progress(*end).over() && !state_.rolling_back()) {
        const PlannedStep& step = setup_.plan.steps[*end];
        RenderedStep rendered = render(step);
        if (rendered.kind != RenderedStep::Kind::ready) {
            keep(temporary, rendered.because, rendered.hint);
            return;
        }
        rendered.call.attempt = progress(*end).attempts + 1;
        rendered.call.key = key_of(step, "", rendered.call.attempt);
        record_intent(step, rendered.call, setup_.runner.preview(rendered.call, facts_), true);
        result = perform(step, rendered.call, RecordKind::step_accepted);
        record_result(step, result, false);
    } else {
        const auto ending =
            std::ranges::find(setup_.actions, temporary.action, &ActionSchema::ends);
        if (ending == setup_.actions.end() || maker == nullptr) {
            keep(temporary, "nothing is known that ends it", "Lift it by hand.");
            return;
        }
        RenderedStep rendered = render(*maker);
        rendered.call.uses = ending->name;
        rendered.call.id += ".end";
        rendered.call.key = key_of(*maker, ".end", static_cast<int>(state_.last_seq()));
        record_undo_intent(
            *maker, rendered.call, setup_.runner.preview(rendered.call, facts_), std::nullopt);
        result = perform(*maker, rendered.call, RecordKind::undo_accepted);
        record_undo_result(*maker, ending->name, result, std::nullopt);
    }
    if (is_good(result.outcome)) {
        note("taken back: " + temporary.text() + " (" + result.message + ")");
    } else {
        keep(temporary, result.message, result.hint);
    }
}

bool RunSession::take_again(const std::string& temporary, std::stop_token stop) {
    const auto& steps = setup_.plan.steps;
    const auto maker = std::ranges::find(steps, temporary, &PlannedStep::uses);
    if (maker == steps.end() || look_again(false, stop)) {
        return false;
    }
    RenderedStep rendered = render(*maker);
    rendered.call.id += ".again";
    rendered.call.key = key_of(*maker, ".again", static_cast<int>(state_.last_seq()));
    // On record it may be in force and yet not be: an engine died while it made it.
    const Preview preview = this->preview(rendered.call, stop);
    if (preview.blocked_by.empty() && preview.verdict == Verdict::wont) {
        return true;
    }
    StepResult result;
    if (preview.blocked_by.empty()) {
        record_undo_intent(*maker, rendered.call, preview, std::nullopt);
        result = perform(*maker, rendered.call, RecordKind::undo_accepted);
    } else {
        result = {.outcome = StepOutcome::failed,
                  .message = preview.blocked_by.front().message,
                  .hint = preview.blocked_by.front().remedy};
    }
    record_undo_result(*maker, maker->uses, result, std::nullopt);
    return is_good(result.outcome);
}

std::string RunSession::what_is_open() const {
    std::string text;
    for (const OpenTemporary& each : state_.temporaries()) {
        text += (text.empty() ? "" : ", ") + each.text();
    }
    return text;
}

nlohmann::json RunSession::measure() {
    nlohmann::json measured = {
        {"paused_ms", 0}, {"write_gap_ms", nullptr}, {"client_errors", nullptr}};
    for (const auto& [name, length] : state_.lasted()) {
        if (!name.empty()) {
            measured[name] = length.count();
        }
    }
    int restarts = 0;
    for (const MemberFacts& before : setup_.plan.facts.members) {
        const MemberFacts* after = facts_.find(before.name);
        if (after != nullptr && !after->postgres.started_at.empty() &&
            !before.postgres.started_at.empty() &&
            after->postgres.started_at != before.postgres.started_at) {
            ++restarts;
        }
    }
    measured["postgres_restarts"] = restarts;
    if (const std::optional<ProbeReport> probe = setup_.runner.write_probe()) {
        measured["write_gap_ms"] = probe->longest_gap.count();
        measured["client_errors"] = probe->errors;
        measured["writes"] = probe->writes;
    }
    return measured;
}

RunEnd RunSession::end(RunEnd how, bool gave_up) {
    const bool open = std::ranges::any_of(state_.steps(), [](const StepProgress& step) {
        return step.changes &&
               (step.state == StepState::in_doubt || step.state == StepState::running);
    });
    record(RecordKind::run_ended,
           nullptr,
           {{"state", to_text(how.phase)},
            {"exit_code", how.exit_code},
            {"message", how.message},
            {"hint", how.hint},
            {"gave_up", gave_up},
            {"measured", measure()},
            {"seen", digest(facts_)}});
    if (!open) {
        setup_.runner.clean_up(header_.id, facts_);
    }
    setup_.runner.release_lock(what_is_open());
    return how;
}

}  // namespace lockstep
