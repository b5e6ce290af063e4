#include "engine/run_state.hpp"

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
};

StepState state_after(std::string_view outcome) {
    for (const OutcomeRow& row : k_outcomes) {
        if (to_text(row.outcome) == outcome) {
            return row.state;
        }
    }
    throw JournalError("the journal holds an unknown outcome: " + std::string(outcome),
                       "It was written by another version of lockstep.");
}

RunPhase parse_phase(std::string_view text) {
    for (const RunPhase phase : {RunPhase::running,
                                 RunPhase::succeeded,
                                 RunPhase::failed,
                                 RunPhase::in_doubt,
                                 RunPhase::interrupted}) {
        if (to_text(phase) == text) {
            return phase;
        }
    }
    throw JournalError("the journal holds an unknown state: " + std::string(text),
                       "It was written by another version of lockstep.");
}

}  // namespace

std::string_view to_text(StepState state) {
    switch (state) {
        case StepState::pending:
            return "pending";
        case StepState::running:
            return "running";
        case StepState::succeeded:
            return "succeeded";
        case StepState::already_done:
            return "already_done";
        case StepState::skipped:
            return "skipped";
        case StepState::failed:
            return "failed";
        case StepState::in_doubt:
            return "in_doubt";
        case StepState::cancelled:
            return "cancelled";
    }
    return "?";
}

std::string_view to_text(RunPhase phase) {
    switch (phase) {
        case RunPhase::running:
            return "running";
        case RunPhase::succeeded:
            return "succeeded";
        case RunPhase::failed:
            return "failed";
        case RunPhase::in_doubt:
            return "in_doubt";
        case RunPhase::interrupted:
            return "interrupted";
    }
    return "?";
}

RunState::RunState(const nlohmann::json& plan) {
    for (const nlohmann::json& planned : plan.at("steps")) {
        StepProgress step;
        step.id = planned.at("id");
        step.member = planned.at("member").is_null() ? "" : planned.at("member");
        step.uses = planned.at("uses");
        step.changes = planned.at("changes");
        index_.emplace(std::pair(step.id, step.member), steps_.size());
        steps_.push_back(std::move(step));
    }
}

StepProgress& RunState::at(const JournalRecord& record) {
    const auto found = index_.find({record.step, record.member});
    if (found == index_.end()) {
        throw JournalError("record " + std::to_string(record.seq) + " is about step " +
                           record.step + ", which the plan of this run does not have");
    }
    return steps_[found->second];
}

void RunState::apply(const JournalRecord& record) {
    const nlohmann::json& payload = record.payload;
    switch (record.kind) {
        case RecordKind::run_started:
            phase_ = RunPhase::running;
            return;
        case RecordKind::step_intent: {
            StepProgress& step = at(record);
            step.state = StepState::running;
            step.attempts = payload.at("attempt");
            if (step.started_at.empty()) {
                step.started_at = record.at;
            }
            return;
        }
        case RecordKind::step_result: {
            StepProgress& step = at(record);
            step.state = payload.at("retry").get<bool>()
                             ? StepState::pending
                             : state_after(payload.at("outcome").get<std::string>());
            step.unreachable = payload.at("outcome") == to_text(StepOutcome::unreachable);
            step.ended_at = record.at;
            step.message = payload.at("message");
            step.hint = payload.at("hint");
            step.last_lines = payload.at("last_lines").get<std::vector<std::string>>();
            step.output = payload.at("output");
            return;
        }
        case RecordKind::step_skipped: {
            StepProgress& step = at(record);
            step.state = payload.at("state") == to_text(StepState::cancelled) ? StepState::cancelled
                         : payload.at("state") == to_text(StepState::already_done)
                             ? StepState::already_done
                             : StepState::skipped;
            step.message = payload.at("because");
            step.started_at = step.ended_at = record.at;
            return;
        }
        case RecordKind::guard_tripped:
            failure_ = payload.at("message");
            return;
        case RecordKind::note:
            notes_.push_back(payload.at("message"));
            if (payload.contains("finding")) {
                open_findings_.push_back(payload.at("finding").at("id"));
            }
            return;
        case RecordKind::run_ended:
            phase_ = parse_phase(payload.at("state").get<std::string>());
            exit_code_ = payload.at("exit_code").get<int>();
            measured_ = payload.at("measured");
            failure_ = payload.at("message");
            ended_at_ = record.at;
            return;
    }
}

bool RunState::changed_anything() const {
    return std::ranges::any_of(steps_, [](const StepProgress& step) {
        const bool acted = step.state == StepState::running || step.state == StepState::succeeded ||
                           step.state == StepState::in_doubt ||
                           (step.state == StepState::failed && !step.unreachable);
        return step.changes && step.attempts > 0 && acted;
    });
}

const StepProgress* RunState::find(std::string_view step, std::string_view member) const {
    const auto found = index_.find({std::string(step), std::string(member)});
    return found == index_.end() ? nullptr : &steps_[found->second];
}

nlohmann::json to_json(const RunHeader& header, const RunState& state) {
    const auto or_null = [](const std::string& text) {
        return text.empty() ? nlohmann::json(nullptr) : nlohmann::json(text);
    };
    nlohmann::json steps = nlohmann::json::array();
    for (const StepProgress& step : state.steps()) {
        steps.push_back({
            {"id", step.id},
            {"member", or_null(step.member)},
            {"uses", step.uses},
            {"state", to_text(step.state)},
            {"attempts", step.attempts},
            {"started_at", or_null(step.started_at)},
            {"ended_at", or_null(step.ended_at)},
            {"message", step.message},
            {"hint", step.hint},
            {"last_lines", step.last_lines},
        });
    }
    nlohmann::json exit_code;
    if (state.exit_code()) {
        exit_code = *state.exit_code();
    }
    return {
        {"run", header.id},
        {"runbook", header.runbook},
        {"cluster", header.cluster},
        {"state", to_text(state.phase())},
        {"exit_code", exit_code},
        {"message", state.failure()},
        {"plan_hash", header.plan_hash},
        {"runbook_hash", header.plan.value("runbook_hash", "")},
        {"inventory_hash", header.plan.value("inventory_hash", "")},
        {"inputs", header.inputs},
        {"started_at", header.started_at},
        {"started_by", header.started_by},
        {"reason", or_null(header.reason)},
        {"ended_at", or_null(state.ended_at())},
        {"steps", steps},
        {"notes", state.notes()},
        {"measured", state.measured()},
    };
}

}  // namespace lockstep
