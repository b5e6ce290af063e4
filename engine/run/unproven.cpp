#include "engine/run/unproven.hpp"

#include "base/clock.hpp"
#include "base/units.hpp"

#include <algorithm>

namespace lockstep {

namespace {

bool has_write_probe(const RunHeader& header) {
    const auto guards = header.plan.value("guards", std::vector<std::string>());
    return std::ranges::find(guards, "write_probe") != guards.end();
}

}  // namespace

/// Only of a success: a run that failed promises nothing. Each text is there once, although several
/// members may say it.
std::vector<std::string> unproven(const RunHeader& header, const RunState& state) {
    std::vector<std::string> open;
    if (state.phase() != RunPhase::succeeded) {
        return open;
    }
    const auto add = [&](const std::string& text) {
        if (std::ranges::find(open, text) == open.end()) {
            open.push_back(text);
        }
    };
    for (const nlohmann::json& finding : header.plan.value("accepted", nlohmann::json::array())) {
        add("accepted by name, and not looked at again: " + finding.value("id", "") + ": " +
            finding.value("message", ""));
    }
    for (const StepProgress& step : state.steps()) {
        std::ranges::for_each(step.unproven, add);
    }
    std::ranges::for_each(state.unproven(), add);
    for (const RunState::Gap& gap : state.gaps()) {
        const auto length = std::chrono::duration_cast<std::chrono::milliseconds>(
            from_iso8601(gap.to) - from_iso8601(gap.from));
        add("that the guards held, and what a client saw, for " + format_duration(length) +
            " from " + gap.from + " on: no engine watched");
    }
    const nlohmann::json& measured = state.measured();
    const bool wrote = measured.is_object() && measured.contains("write_gap_ms") &&
                       !measured.at("write_gap_ms").is_null() && measured.value("writes", 0) > 0;
    if (state.changed_anything() && !wrote) {
        add(has_write_probe(header)
                ? "what a client would have seen: the write probe did not write"
                : "what a client would have seen: this runbook has no write probe");
    }
    return open;
}

}  // namespace lockstep
