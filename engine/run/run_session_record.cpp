#include "engine/run/run_session.hpp"

#include <algorithm>
#include <set>

// What a run puts on record of its steps, and whom it tells.
namespace lockstep {

namespace {

using namespace std::chrono_literals;

nlohmann::json result_payload(const StepResult& result) {
    nlohmann::json payload{
        {"outcome", to_text(result.outcome)},
        {"open", result.outcome == StepOutcome::in_doubt ? to_text(result.open) : ""},
        {"message", result.message},
        {"hint", result.hint},
        {"last_lines", result.last_lines},
        {"unproven", result.unproven},
        {"findings", to_json(result.findings)},
        {"output", result.output}};
    if (result.holds_secret) {
        payload["holds_secret"] = true;
    }
    return payload;
}

/// Null where nobody knows, and of a command that the member runs: it says itself when it ended.
nlohmann::json within(const Preview& preview, const ActionSchema& schema) {
    return preview.acts_within && !schema.spooled ? nlohmann::json(preview.acts_within->count())
                                                  : nlohmann::json(nullptr);
}

/// On record with the intent, so that a rollback can say what it leaves, even after a crash.
std::string why_no_undo(const PlannedStep& step, const Preview& preview) {
    if (step.spec->no_undo || preview.needs_no_undo) {
        return {};
    }
    const std::string& why = step.no_way_back.empty() ? preview.no_way_back : step.no_way_back;
    return why.empty() ? k_no_undo : why;
}

}  // namespace

/// Everything that a resume or a rollback needs, frozen: neither may depend on what the step does
/// to the cluster.
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
    // What is always done comes after all going back.
    const bool undoable = step.changes && schema.ends.empty() && !schema.temporary && !step.always;
    const std::vector<Undo> undo = undoable ? freeze_undo(step, preview) : std::vector<Undo>{};
    nlohmann::json payload{
        {"attempt", call.attempt},
        {"acts", step.changes && !preview.read_only},
        {"acts_within_ms", within(preview, schema)},
        {"answers_within_ms", preview.answers_within.count()},
        {"key", call.key},
        {"uses", step.uses},
        {"with", Value(call.with).to_json()},
        {"operations", to_json(preview.operations)},
        {"undo", to_json(undo)},
        {"no_way_back", undoable && undo.empty() ? why_no_undo(step, preview) : ""},
        {"point_of_no_return", step.spec->point_of_no_return},
        {"temporary", temporary_of(step) ? schema.name : ""},
        {"measured_as", schema.measured_as},
        {"ends", schema.ends},
        {"gives_back", gives_back},
        {"covered", covered}};
    if (!preview.leads_after.empty()) {
        payload["led_by"] = call.led_by;
        payload["leads_after"] = preview.leads_after;
    }
    if (step.changes) {
        add_seen(payload);
    }
    record(RecordKind::step_intent, &step, std::move(payload));
}

void RunSession::add_seen(nlohmann::json& payload) const {
    if (seen() != state_.last_seen()) {  // of many members it is long
        payload["seen"] = seen();
    }
}

void RunSession::record_result(const PlannedStep& step, const StepResult& result, bool retry) {
    const ActionSchema& schema = schema_of(step);
    nlohmann::json payload = result_payload(result);
    payload["retry"] = retry;
    payload["temporary"] = schema.temporary ? schema.name : "";
    payload["ends"] = schema.ends;
    if (step.changes) {
        add_seen(payload);
    }
    record(RecordKind::step_result, &step, std::move(payload));
}

/// A verdict about a step in doubt also tells how the cluster looks now, because the comparison of
/// the next resume starts from here.
void RunSession::record_verified(const PlannedStep& step,
                                 const char* verdict,
                                 const std::string& how,
                                 const std::string& message,
                                 bool acts_no_more) {
    const ActionSchema& schema = schema_of(step);
    record(RecordKind::step_verified,
           &step,
           {{"verdict", verdict},
            {"how", how},
            {"message", message},
            {"acts_no_more", acts_no_more},
            {"temporary", schema.temporary ? schema.name : ""},
            {"ends", schema.ends},
            {"seen", seen()}});
}

/// Without `n` it is a temporary change that is made or ended for a rollback, and no undo of the
/// step itself.
void RunSession::record_undo_intent(const PlannedStep& step,
                                    const StepCall& call,
                                    const Preview& preview,
                                    std::optional<std::size_t> n) {
    const ActionSchema& schema = *find_action(setup_.actions, call.uses);
    nlohmann::json payload = {{"attempt", call.attempt},
                              {"key", call.key},
                              {"uses", call.uses},
                              {"on", call.member},
                              {"acts_within_ms", within(preview, schema)},
                              {"answers_within_ms", preview.answers_within.count()},
                              {"operations", to_json(preview.operations)},
                              {"temporary", schema.temporary ? schema.name : ""},
                              {"measured_as", schema.measured_as},
                              {"ends", schema.ends},
                              {"seen", seen()}};
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
    payload["on"] = n ? progress(index_of(step)).undo[*n].undo.member : step.member;
    payload["ends"] = schema.ends;
    payload["seen"] = seen();
    if (n) {
        payload["n"] = *n;
    }
    record(RecordKind::undo_result, &step, std::move(payload));
}

/// Somebody who is named by several rules is told once.
void RunSession::tell(const std::string& event,
                      const std::string& text,
                      const std::vector<std::string>& details) {
    std::set<std::string> told;
    for (const NotifySpec& spec : setup_.plan.runbook->notify) {
        if (std::ranges::find(spec.on, event) == spec.on.end()) {
            continue;
        }
        for (const std::string& target :
             spec.to.empty() ? setup_.cluster.notify_targets : spec.to) {
            if (told.insert(target).second) {
                setup_.runner.notify(target,
                                     {.event = event,
                                      .run = header_.id,
                                      .cluster = header_.cluster,
                                      .runbook = header_.runbook,
                                      .text = text,
                                      .details = details});
            }
        }
    }
}

/// That somebody was not told never stops a run, but it must not go unnoticed either.
void RunSession::note_notification_troubles() {
    for (const std::string& trouble : setup_.runner.notification_troubles()) {
        note("not notified: " + trouble);
    }
}

/// A failure is told as such; that it is over, whatever came of it, but for one that only waits.
void RunSession::tell_end(const RunEnd& how) {
    const bool waits = how.phase == RunPhase::waiting;
    const bool good = how.phase == RunPhase::succeeded || how.phase == RunPhase::cancelled || waits;
    const std::string text = header_.runbook + " on " + header_.cluster + ": " +
                             std::string(to_text(how.phase)) +
                             (how.message.empty() ? "" : ": " + how.message);
    std::vector<std::string> details{"run " + header_.id + ", exit code " +
                                     std::to_string(how.exit_code)};
    if (!how.hint.empty()) {
        details.push_back(how.hint);
    }
    if (const std::string open = what_is_open(); !open.empty()) {
        details.push_back("still in force: " + open);
    }
    if (!good) {
        tell("failure", text, details);
    }
    if (!waits) {
        tell("end", text, details);
    }
    if (!setup_.plan.runbook->notify.empty()) {
        setup_.runner.finish_notifications(5s);
        note_notification_troubles();
    }
}

}  // namespace lockstep
