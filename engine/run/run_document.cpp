#include "base/or_null.hpp"
#include "engine/run/run_state.hpp"
#include "engine/run/unproven.hpp"

// A run as programs see it.
namespace lockstep {

namespace {

nlohmann::json steps_of(const RunState& state) {
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
    return steps;
}

nlohmann::json approvals_of(const RunState& state) {
    nlohmann::json approvals = nlohmann::json::array();
    for (const ApprovalProgress& asked : state.approvals()) {
        nlohmann::json answers = nlohmann::json::array();
        for (const GivenAnswer& answer : asked.answers) {
            answers.push_back({{"answer", answer.yes ? "approved" : "rejected"},
                               {"by", answer.by},
                               {"at", answer.at},
                               {"comment", answer.comment},
                               {"why_not", or_null(answer.why_not)}});
        }
        approvals.push_back({{"step", asked.gate},
                             {"state", to_text(asked.state)},
                             {"message", asked.message},
                             {"count", asked.count},
                             {"from", asked.from},
                             {"not_self", asked.not_self},
                             {"asked_at", asked.asked_at},
                             {"expires_at", or_null(asked.expires_at)},
                             {"answers", answers}});
    }
    return approvals;
}

}  // namespace

nlohmann::json to_json(const RunHeader& header, const RunState& state) {
    nlohmann::json exit_code;
    if (state.exit_code()) {
        exit_code = *state.exit_code();
    }
    return {
        {"run", header.id},
        {"runbook", header.runbook},
        {"cluster", header.cluster},
        {"state", to_text(state.phase())},
        {"engine",
         {{"alive", nullptr},  // for whoever can look at the process
          {"host", or_null(state.engine().host)},
          {"pid", state.engine().pid > 0 ? nlohmann::json(state.engine().pid) : nullptr},
          {"last_seen", or_null(state.last_sign())}}},
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
        {"steps", steps_of(state)},
        {"notes", state.notes()},
        {"unproven", unproven(header, state)},
        {"approvals", approvals_of(state)},
        {"waiting_for", state.waiting_for()},
        {"not_before", or_null(state.not_before())},
        {"measured", state.measured()},
    };
}

}  // namespace lockstep
