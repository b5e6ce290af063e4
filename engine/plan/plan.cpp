#include "engine/plan/plan.hpp"

#include "base/canonical_json.hpp"
#include "base/clock.hpp"

#include <algorithm>
#include <array>

namespace lockstep {

std::string_view to_text(Verdict verdict) {
    switch (verdict) {
        case Verdict::will:
            return "will";
        case Verdict::wont:
            return "wont";
        case Verdict::may:
            return "may";
    }
    return "?";
}

std::string_view to_text(StepOutcome outcome) {
    switch (outcome) {
        case StepOutcome::succeeded:
            return "succeeded";
        case StepOutcome::already_done:
            return "already_done";
        case StepOutcome::failed:
            return "failed";
        case StepOutcome::unreachable:
            return "unreachable";
        case StepOutcome::in_doubt:
            return "in_doubt";
        case StepOutcome::cancelled:
            return "cancelled";
        case StepOutcome::absent:
            return "absent";
    }
    return "?";
}

std::string_view to_text(OpenEnd end) {
    switch (end) {
        case OpenEnd::unseen:
            return "unseen";
        case OpenEnd::still_running:
            return "still_running";
        case OpenEnd::answer_lost:
            return "answer_lost";
        case OpenEnd::died:
            return "died";
    }
    return "?";
}

OpenEnd open_end_from(std::string_view text) {
    for (const OpenEnd end : {OpenEnd::still_running, OpenEnd::answer_lost, OpenEnd::died}) {
        if (text == to_text(end)) {
            return end;
        }
    }
    return OpenEnd::unseen;
}

std::vector<Undo> PlannedStep::whole_undo() const {
    return with_besides(undo, undo_besides);
}

bool Plan::nothing_to_do() const {
    return std::ranges::none_of(steps, [](const PlannedStep& step) {
        return step.changes && step.verdict != Verdict::wont;
    });
}

int Plan::refusal_code() const {
    const bool unreachable = std::ranges::any_of(
        blocked_by, [](const Finding& finding) { return finding.id == "member.unreachable"; });
    return unreachable ? 16 : 4;
}

nlohmann::json to_json(const std::vector<Finding>& findings) {
    nlohmann::json list = nlohmann::json::array();
    for (const Finding& finding : findings) {
        list.push_back(finding.to_json());
    }
    return list;
}

nlohmann::json to_json(const WindowView& view) {
    const auto time = [](const std::optional<Clock::Wall>& at) {
        return at ? nlohmann::json(to_iso8601(*at)) : nlohmann::json(nullptr);
    };
    return {{"open", view.open},
            {"until", time(view.until)},
            {"next", time(view.next)},
            {"because", view.because}};
}

std::string runbook_hash(const Runbook& runbook) {
    return runbook_hash(runbook.text, runbook.parts);
}

std::string runbook_hash(const std::string& text, const std::map<std::string, std::string>& parts) {
    return sha256_hex(parts.empty() ? text : canonical({text, parts}));
}

}  // namespace lockstep
