#include "engine/run/run_state.hpp"

#include "base/clock.hpp"
#include "base/error.hpp"

#include <algorithm>
#include <array>

namespace lockstep {

namespace {

struct OutcomeRow {
    StepOutcome outcome;
    StepState state;
};

/// What a result makes of a step.
constexpr std::array k_outcomes{
    OutcomeRow{StepOutcome::succeeded, StepState::succeeded},
    OutcomeRow{StepOutcome::already_done, StepState::already_done},
    OutcomeRow{StepOutcome::failed, StepState::failed},
    OutcomeRow{StepOutcome::unreachable, StepState::failed},
    OutcomeRow{StepOutcome::in_doubt, StepState::in_doubt},
    OutcomeRow{StepOutcome::cancelled, StepState::cancelled},
    OutcomeRow{StepOutcome::absent, StepState::pending},
};

/// Words of the record: what is written today is read by later versions, so they are no place for
/// rewording.
template <typename Enum, std::size_t Size>
struct Words {
    std::array<std::pair<Enum, std::string_view>, Size> rows;

    [[nodiscard]] std::string_view text(Enum wanted) const {
        for (const auto& [value, text] : rows) {
            if (value == wanted) {
                return text;
            }
        }
        return "?";
    }
};

constexpr Words<StepState, 9> k_states{{{{StepState::pending, "pending"},
                                         {StepState::running, "running"},
                                         {StepState::succeeded, "succeeded"},
                                         {StepState::already_done, "already_done"},
                                         {StepState::skipped, "skipped"},
                                         {StepState::failed, "failed"},
                                         {StepState::in_doubt, "in_doubt"},
                                         {StepState::cancelled, "cancelled"},
                                         {StepState::undone, "undone"}}}};

constexpr Words<ApprovalProgress::State, 4> k_approvals{
    {{{ApprovalProgress::State::open, "open"},
      {ApprovalProgress::State::granted, "granted"},
      {ApprovalProgress::State::rejected, "rejected"},
      {ApprovalProgress::State::expired, "expired"}}}};

constexpr Words<RunPhase, 10> k_phases{{{{RunPhase::running, "running"},
                                         {RunPhase::succeeded, "succeeded"},
                                         {RunPhase::failed, "failed"},
                                         {RunPhase::in_doubt, "in_doubt"},
                                         {RunPhase::interrupted, "interrupted"},
                                         {RunPhase::waiting, "waiting"},
                                         {RunPhase::rolled_back, "rolled_back"},
                                         {RunPhase::rollback_failed, "rollback_failed"},
                                         {RunPhase::cancelled, "cancelled"},
                                         {RunPhase::rolling_back, "running"}}}};

// A note of one engine: of the lock that it took, of what it found open at its end.
constexpr std::string_view k_until_taken_up = "until it is taken up";

/// What is not understood is not skipped: a state that leaves records out would be another one.
[[noreturn]] void throw_unknown(const std::string& what, const std::string& text) {
    throw JournalError("the journal holds an unknown " + what + ": " + text,
                       "It was written by another version of lockstep.");
}

StepState state_after(const std::string& outcome) {
    for (const OutcomeRow& row : k_outcomes) {
        if (to_text(row.outcome) == outcome) {
            return row.state;
        }
    }
    throw_unknown("outcome", outcome);
}

RunPhase parse_phase(const std::string& text) {
    for (const auto& [phase, word] : k_phases.rows) {
        if (word == text) {
            return phase;
        }
    }
    throw_unknown("state", text);
}

/// A record of another version may lack what ours has: that is no damage.
std::string text_of(const nlohmann::json& payload, const char* key) {
    const auto found = payload.find(key);
    return found == payload.end() || !found->is_string() ? "" : found->get<std::string>();
}

}  // namespace

std::string_view to_text(StepState state) {
    return k_states.text(state);
}

std::string_view to_text(ApprovalProgress::State state) {
    return k_approvals.text(state);
}

std::string_view to_text(RunPhase phase) {
    return k_phases.text(phase);
}

/// Not "did act": what is in doubt or failed halfway counts, since its undo finds out. Only what
/// surely never began is left out.
bool StepProgress::may_have_acted() const {
    const bool never = (state == StepState::failed && unreachable) ||
                       state == StepState::cancelled || state == StepState::undone;
    return changes && intent_seq > 0 && !never;
}

/// From the plan as recorded, not as it would be made today: a replay depends on nothing but the
/// journal.
RunState::RunState(const nlohmann::json& plan) {
    for (const nlohmann::json& planned : plan.at("steps")) {
        StepProgress step;
        step.id = planned.at("id");
        step.member = planned.at("member").is_null() ? "" : planned.at("member");
        step.uses = planned.at("uses");
        step.changes = planned.at("changes");
        step.always = planned.value("always", false);
        index_.emplace(std::pair(step.id, step.member), steps_.size());
        steps_.push_back(std::move(step));
    }
}

/// A record about a step that the plan lacks is damage, not news.
StepProgress& RunState::at(const JournalRecord& record) {
    const auto found = index_.find({record.step, record.member});
    if (found == index_.end()) {
        throw JournalError("record " + std::to_string(record.seq) + " is about step " +
                           record.step + ", which the plan of this run does not have");
    }
    return steps_[found->second];
}

/// The one place where state changes, for a live run and a replay alike. What is not listed here
/// does not change a step.
void RunState::apply(const JournalRecord& record) {
    const bool alone = record.kind == RecordKind::run_resumed && !exit_code_ && last_seq_ > 0;
    if (alone) {
        gaps_.push_back({last_at_, record.at});
    }
    last_at_ = record.at;
    last_seq_ = record.seq;
    if (record.payload.contains("seen")) {
        last_seen_ = record.payload.at("seen");
    }
    if (record.payload.contains("engine")) {
        const nlohmann::json& engine = record.payload.at("engine");
        engine_ = {text_of(engine, "process"), text_of(engine, "host"), engine.value("pid", 0)};
    }
    switch (record.kind) {
        case RecordKind::step_intent:
            apply_intent(at(record), record);
            return;
        case RecordKind::step_accepted:
            at(record).accepted = true;
            accept_call(record, true);
            return;
        case RecordKind::undo_accepted:
            accept_call(record, false);
            return;
        case RecordKind::step_result:
            apply_result(at(record), record);
            return;
        case RecordKind::step_verified:
            apply_verified(at(record), record);
            return;
        case RecordKind::step_skipped: {
            StepProgress& step = at(record);
            const std::string state = text_of(record.payload, "state");
            step.state = state == to_text(StepState::cancelled)      ? StepState::cancelled
                         : state == to_text(StepState::already_done) ? StepState::already_done
                                                                     : StepState::skipped;
            step.message = text_of(record.payload, "because");
            step.started_at = step.ended_at = record.at;
            ends_in_vain_ = 0;
            return;
        }
        case RecordKind::undo_intent:
        case RecordKind::undo_result:
            apply_undo(at(record), record);
            return;
        case RecordKind::approval_asked:
        case RecordKind::approval_answered:
        case RecordKind::approval_ended:
            apply_approval(record);
            return;
        default:
            apply_to_run(record);
    }
}

/// Somebody goes on: how the run ended before is not its end any more.
void RunState::apply_to_run(const JournalRecord& record) {
    const nlohmann::json& payload = record.payload;
    switch (record.kind) {
        case RecordKind::run_resumed:
            rolling_back_ = rolling_back_ || payload.value("rolling_back", false);
            ended_before_going_back_ = ended_before_going_back_ && rolling_back_;
            phase_ = rolling_back_ ? RunPhase::rolling_back : RunPhase::running;
            exit_code_.reset();
            ended_at_.clear();
            failure_.clear();
            failure_hint_.clear();
            // An engine that was ended in order has got somewhere; one that died may not have.
            ++ends_in_vain_;
            has_waited_ = false;
            for (OpenCall& call : open_calls_) {  // the engine that waited for it is gone
                if (call.unwatched_since.empty()) {
                    call.unwatched_since = record.at;
                }
            }
            drop_notes(k_until_taken_up);
            for (const OpenTemporary& each : temporaries_) {
                drop_notes(each.action);  // it is given back now, or that is said again
            }
            open_findings_.clear();
            reopen(payload.value("reopen", nlohmann::json::array()));
            return;
        case RecordKind::rollback_started:
            rolling_back_ = true;
            rollback_because_ = text_of(payload, "because");
            phase_ = RunPhase::rolling_back;
            return;
        case RecordKind::waiting:
            has_waited_ = true;
            return;
        case RecordKind::guard_tripped:
            failure_ = payload.at("message");
            return;
        case RecordKind::note:
            reopen(payload.value("reopen", nlohmann::json::array()));
            notes_.push_back(payload.at("message"));
            if (payload.contains("group")) {
                chosen_[payload.at("group")] = payload.at("members");
            }
            marks_.push_back(payload.contains("kept") ? text_of(payload, "kept")
                             : payload.contains("finding") || payload.value("passing", false)
                                 ? std::string(k_until_taken_up)
                                 : "");
            if (payload.contains("finding")) {
                open_findings_.push_back(payload.at("finding").at("id"));
            }
            return;
        case RecordKind::run_ended:
            apply_end(record);
            return;
        default:  // said for the record alone
            return;
    }
}

void RunState::apply_end(const JournalRecord& record) {
    const nlohmann::json& payload = record.payload;
    phase_ = parse_phase(payload.at("state").get<std::string>());
    exit_code_ = payload.at("exit_code").get<int>();
    measured_ = payload.at("measured");
    if (!rolling_back_ && payload.contains("differs")) {
        differed_ = payload.at("differs").get<std::vector<std::string>>();
        ended_before_going_back_ = true;
    }
    failure_ = payload.at("message");
    failure_hint_ = text_of(payload, "hint");
    unproven_ = payload.value("unproven", std::vector<std::string>());
    waiting_for_ = payload.value("waiting_for", std::vector<std::string>());
    not_before_ = text_of(payload, "not_before");
    ended_at_ = record.at;
    ends_in_vain_ = 0;
}

/// One that is asked again begins anew: what was said to the one before does not count for it.
void RunState::apply_approval(const JournalRecord& record) {
    const nlohmann::json& payload = record.payload;
    const std::string gate = payload.at("gate");
    auto found = std::ranges::find(approvals_, gate, &ApprovalProgress::gate);
    ends_in_vain_ = 0;
    if (record.kind == RecordKind::approval_answered) {
        answers_taken_ = payload.at("number");
    }
    if (found == approvals_.end() && record.kind != RecordKind::approval_asked) {
        return;  // an answer to what nobody asked
    }
    if (found == approvals_.end()) {
        found = approvals_.insert(found, ApprovalProgress{});
    }
    switch (record.kind) {
        case RecordKind::approval_asked:
            *found = {.gate = gate,
                      .message = payload.at("message"),
                      .count = payload.at("count"),
                      .from = payload.at("from"),
                      .not_self = payload.at("not_self"),
                      .by_hand = payload.at("by_hand"),
                      .asked_at = record.at,
                      .expires_at = text_of(payload, "expires_at")};
            return;
        case RecordKind::approval_answered:
            found->answers.push_back({payload.at("yes"),
                                      payload.at("by"),
                                      payload.at("given_at"),
                                      text_of(payload, "comment"),
                                      text_of(payload, "why_not")});
            return;
        default:
            for (const auto& [state, word] : k_approvals.rows) {
                if (payload.at("state") == word) {
                    found->state = state;
                }
            }
            return;
    }
}

const ApprovalProgress* RunState::approval(std::string_view gate) const {
    const auto found = std::ranges::find(approvals_, gate, &ApprovalProgress::gate);
    return found == approvals_.end() ? nullptr : &*found;
}

/// The state is `running` from the intent on, before anything is sent: after a crash here nobody
/// knows, and that must show.
void RunState::apply_intent(StepProgress& step, const JournalRecord& record) {
    const nlohmann::json& payload = record.payload;
    step.state = StepState::running;
    step.attempts = payload.at("attempt");
    step.key = text_of(payload, "key");
    step.with = payload.value("with", nlohmann::json::object());
    step.accepted = false;
    step.intent_seq = record.seq;
    step.no_way_back = text_of(payload, "no_way_back");
    step.point_of_no_return = text_of(payload, "point_of_no_return");
    step.covered = payload.value("covered", std::vector<std::string>());
    step.led_by = text_of(payload, "led_by");
    step.leads_after = text_of(payload, "leads_after");
    if (step.started_at.empty()) {
        step.started_at = record.at;
    }
    // A second attempt finds what the first one has left half done: how it was before that is the
    // way back.
    if (step.undo.empty()) {
        for (const nlohmann::json& undo : payload.value("undo", nlohmann::json::array())) {
            step.undo.push_back({.undo = Undo::from_json(undo)});
        }
    }
    if (payload.value("acts", step.changes)) {
        open_call(record,
                  payload.value("gives_back", false) ? OpenCall::Purpose::give_back
                                                     : OpenCall::Purpose::forward,
                  true);
    }
    begin_temporary(record);
}

/// An outcome with `retry` leaves the step pending. Whether a temporary change is in force is
/// decided here as well: from its intent until something proves that it never began or has ended.
void RunState::apply_result(StepProgress& step, const JournalRecord& record) {
    const nlohmann::json& payload = record.payload;
    const std::string outcome = payload.at("outcome");
    step.state = payload.at("retry").get<bool>() ? StepState::pending : state_after(outcome);
    step.unreachable = outcome == to_text(StepOutcome::unreachable);
    step.ended_at = record.at;
    step.message = payload.at("message");
    step.hint = payload.at("hint");
    step.last_lines = payload.at("last_lines").get<std::vector<std::string>>();
    step.output = payload.at("output");
    step.holds_secret = payload.value("holds_secret", false);
    step.unproven = payload.value("unproven", std::vector<std::string>());
    close_call(record, true);
    const bool good = step.state == StepState::succeeded || step.state == StepState::already_done;
    const bool found_done = step.state == StepState::already_done && step.attempts <= 1;
    if (found_done) {
        step.intent_seq = 0;  // it looked, and there was nothing to do: so is there to take back
    }
    const bool never_began = found_done || step.unreachable ||
                             outcome == to_text(StepOutcome::cancelled) ||
                             outcome == to_text(StepOutcome::absent);
    if (good) {
        end_temporary(record, text_of(payload, "ends"), true);
    }
    if (never_began) {
        end_temporary(record, text_of(payload, "temporary"), false);
    }
    ends_in_vain_ = 0;
}

/// "Not done" makes it pending again under a new attempt; "unknown" leaves it in doubt, for a
/// person.
void RunState::apply_verified(StepProgress& step, const JournalRecord& record) {
    const std::string verdict = text_of(record.payload, "verdict");
    step.message = text_of(record.payload, "message");
    if (verdict != "unknown" || record.payload.value("acts_no_more", false)) {
        close_call(record, true);
    }
    if (verdict == "done") {
        step.state = StepState::succeeded;
        step.ended_at = record.at;
        end_temporary(record, text_of(record.payload, "ends"), true);
    } else if (verdict == "not_done") {
        step.state = StepState::pending;
        end_temporary(record, text_of(record.payload, "temporary"), false);
    } else {
        step.state = StepState::in_doubt;
        step.ended_at = record.at;
    }
    ends_in_vain_ = 0;
}

/// `n` says which undo of the step; without it a temporary change is made or ended for a rollback.
void RunState::apply_undo(StepProgress& step, const JournalRecord& record) {
    const nlohmann::json& payload = record.payload;
    const bool intent = record.kind == RecordKind::undo_intent;
    const std::string outcome = text_of(payload, "outcome");
    const bool good =
        outcome == to_text(StepOutcome::succeeded) || outcome == to_text(StepOutcome::already_done);
    if (intent) {
        const bool makes = !text_of(payload, "temporary").empty();
        open_call(record,
                  payload.contains("n") ? OpenCall::Purpose::undo
                  : makes               ? OpenCall::Purpose::take_again
                                        : OpenCall::Purpose::give_back,
                  false);
        begin_temporary(record);
    } else {
        close_call(record, false);
        end_temporary(record, text_of(payload, good ? "ends" : ""), good);
        ends_in_vain_ = 0;
    }
    if (!payload.contains("n")) {
        return;
    }
    UndoProgress& undo = step.undo.at(payload.at("n").get<std::size_t>());
    if (intent) {
        undo.state = UndoProgress::State::running;
        undo.attempts = payload.at("attempt");
        undo.key = text_of(payload, "key");
        return;
    }
    undo.state = good                                  ? UndoProgress::State::done
                 : find_call(record, false) != nullptr ? UndoProgress::State::in_doubt
                                                       : UndoProgress::State::failed;
    undo.message = text_of(payload, "message");
    undo.hint = text_of(payload, "hint");
    undo.last_lines = payload.value("last_lines", std::vector<std::string>());
    if (std::ranges::all_of(step.undo, [](const UndoProgress& each) {
            return each.state == UndoProgress::State::done;
        })) {
        step.state = StepState::undone;
        step.message = undo.message;
        step.ended_at = record.at;
    }
}

/// From the intent on: whether it was sent at all nobody can tell who comes later.
void RunState::open_call(const JournalRecord& record, OpenCall::Purpose purpose, bool own_step) {
    const nlohmann::json& payload = record.payload;
    OpenCall call{
        .purpose = purpose,
        .key = text_of(payload, "key"),
        .uses = text_of(payload, "uses"),
        .step = record.step,
        .step_member = record.member,
        .member = own_step ? record.member : text_of(payload, "on"),
        .undo = payload.value("n", std::size_t{0}),
        .own_step = own_step,
        .sent_at = record.at,
        .acts_within = std::chrono::milliseconds{0},
        .answers_within = std::chrono::milliseconds{payload.value("answers_within_ms", 10'000)}};
    if (payload.contains("acts_within_ms")) {
        const nlohmann::json& within = payload.at("acts_within_ms");
        call.acts_within =
            within.is_null() ? std::nullopt
                             : std::optional(std::chrono::milliseconds(within.get<std::int64_t>()));
    }
    open_calls_.push_back(std::move(call));
}

/// Calls of one step come one after the other: rule 1 keeps a second one from being started.
OpenCall* RunState::find_call(const JournalRecord& record, bool own_step) {
    const auto found = std::ranges::find_if(open_calls_, [&](const OpenCall& call) {
        return call.own_step == own_step && call.step == record.step &&
               call.step_member == record.member;
    });
    return found == open_calls_.end() ? nullptr : &*found;
}

void RunState::accept_call(const JournalRecord& record, bool own_step) {
    if (OpenCall* call = find_call(record, own_step)) {
        call->accepted = true;
    }
}

/// In doubt it stays open, unless it is known that it acts no more, or is to be sent again.
void RunState::close_call(const JournalRecord& record, bool own_step) {
    OpenCall* call = find_call(record, own_step);
    if (call == nullptr) {
        return;
    }
    const nlohmann::json& payload = record.payload;
    const OpenEnd end = open_end_from(text_of(payload, "open"));
    const bool doubt = text_of(payload, "outcome") == to_text(StepOutcome::in_doubt);
    if (doubt && end != OpenEnd::died && !payload.value("retry", false)) {
        call->end = end;
        call->unwatched_since = record.at;
        return;
    }
    open_calls_.erase(open_calls_.begin() + (call - open_calls_.data()));
}

/// From the intent on, not from the result: of a pause that may be in force somebody has to take
/// care.
void RunState::begin_temporary(const JournalRecord& record) {
    const std::string action = text_of(record.payload, "temporary");
    const bool open = std::ranges::any_of(temporaries_, [&](const OpenTemporary& other) {
        return other.action == action && other.member == record.member;
    });
    if (!action.empty() && !open) {
        temporaries_.push_back({action,
                                record.step,
                                record.member,
                                record.at,
                                text_of(record.payload, "measured_as")});
    }
}

/// Only a change that was ended by its own end is measured: one that never began has lasted no
/// time.
void RunState::end_temporary(const JournalRecord& record,
                             const std::string& action,
                             bool by_its_end) {
    const auto found = std::ranges::find_if(temporaries_, [&](const OpenTemporary& other) {
        return other.action == action && other.member == record.member;
    });
    if (action.empty() || found == temporaries_.end()) {
        return;
    }
    if (by_its_end) {
        lasted_[found->measured_as] += std::chrono::duration_cast<std::chrono::milliseconds>(
            from_iso8601(record.at) - from_iso8601(found->since));
    }
    temporaries_.erase(found);
    drop_notes(action);
}

void RunState::drop_notes(std::string_view mark) {
    for (std::size_t i = notes_.size(); i-- > 0;) {
        if (marks_[i] == mark) {
            notes_.erase(notes_.begin() + static_cast<std::ptrdiff_t>(i));
            marks_.erase(marks_.begin() + static_cast<std::ptrdiff_t>(i));
        }
    }
}

/// `attempts` goes on counting, because keys are made of it; `retry` starts afresh.
void RunState::reopen(const nlohmann::json& steps) {
    for (const nlohmann::json& name : steps) {
        const auto found = index_.find({name.at(0).get<std::string>(), name.at(1)});
        if (found == index_.end()) {
            continue;
        }
        StepProgress& step = steps_[found->second];
        step.state = StepState::pending;
        step.attempts_before = step.attempts;
        step.ended_at.clear();
    }
}

/// What is always done does not count: it is no reason to go back, and stays after going back.
std::vector<const StepProgress*> RunState::leader_moves() const {
    std::vector<const StepProgress*> moves;
    for (const StepProgress& step : steps_) {
        if (!step.leads_after.empty() && step.may_have_acted()) {
            moves.push_back(&step);
        }
    }
    std::ranges::stable_sort(moves, {}, &StepProgress::intent_seq);
    return moves;
}

const std::vector<std::string>* RunState::chosen(const std::string& group) const {
    const auto found = chosen_.find(group);
    return found == chosen_.end() ? nullptr : &found->second;
}

bool RunState::changed_anything() const {
    return std::ranges::any_of(steps_, [](const StepProgress& step) {
        return !step.always && (step.may_have_acted() || step.state == StepState::undone);
    });
}

bool RunState::has_more_to_take_back() const {
    return std::ranges::any_of(steps_, [](const StepProgress& step) {
        return step.may_have_acted() && !step.always &&
               std::ranges::any_of(step.undo, [](const UndoProgress& undo) {
                   return undo.state != UndoProgress::State::done;
               });
    });
}

std::string RunState::beyond_return() const {
    for (const StepProgress& step : steps_) {
        if (!step.point_of_no_return.empty() && step.may_have_acted()) {
            return step.where() + " was started: " + step.point_of_no_return;
        }
    }
    return {};
}

const StepProgress* RunState::find(std::string_view step, std::string_view member) const {
    const auto found = index_.find({std::string(step), std::string(member)});
    return found == index_.end() ? nullptr : &steps_[found->second];
}

}  // namespace lockstep
