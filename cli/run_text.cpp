#include "base/units.hpp"
#include "cli/texts.hpp"
#include "engine/run/approval.hpp"
#include "engine/run/unproven.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace lockstep {

namespace {

struct Ending {
    RunPhase phase;
    const char* word;
    Tone tone;
};

constexpr Ending k_endings[] = {
    {RunPhase::running, "RUNNING", Tone::warn},
    {RunPhase::succeeded, "SUCCEEDED", Tone::good},
    {RunPhase::failed, "FAILED", Tone::bad},
    {RunPhase::in_doubt, "IN DOUBT", Tone::bad},
    {RunPhase::interrupted, "INTERRUPTED", Tone::warn},
    {RunPhase::waiting, "WAITING", Tone::warn},
    {RunPhase::rolling_back, "GOING BACK", Tone::warn},
    {RunPhase::rolled_back, "ROLLED BACK", Tone::warn},
    {RunPhase::rollback_failed, "ROLLBACK FAILED", Tone::bad},
    {RunPhase::cancelled, "CANCELLED", Tone::warn},
};

std::string headline(const RunHeader& header, const RunState& state, const Terminal& terminal) {
    std::string text;
    for (const Ending& ending : k_endings) {
        if (ending.phase == state.phase()) {
            text = terminal.paint(ending.word, ending.tone);
        }
    }
    text += "  " + header.runbook + " on " + header.cluster + "  (run " + header.id + ")\n";
    const bool failed = state.phase() != RunPhase::succeeded && state.phase() != RunPhase::running;
    if (failed && !state.failure().empty()) {
        text += "  " + wrap(state.failure(), 2) + "\n";
    }
    return text;
}

std::string row(const char* label, const std::string& text, const Terminal& terminal) {
    const std::string name(label);
    return "  " + terminal.paint(name + std::string(12 - name.size(), ' '), Tone::dim) +
           wrap(text, 14) + "\n";
}

std::string counts(const RunState& state) {
    std::map<std::string_view, int> by_state;
    for (const StepProgress& step : state.steps()) {
        ++by_state[to_text(step.state)];
    }
    std::string text;
    for (const auto& [name, count] : by_state) {
        std::string words(name);
        std::ranges::replace(words, '_', ' ');
        text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + words;
    }
    return text;
}

std::string measured_text(const nlohmann::json& measured) {
    std::string text;
    const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
    if (measured.value("paused_ms", 0) > 0) {
        add("paused for " +
            format_duration(std::chrono::milliseconds(measured.at("paused_ms").get<int>())));
    }
    if (measured.contains("write_gap_ms") && !measured.at("write_gap_ms").is_null()) {
        add("longest write gap " +
            format_duration(std::chrono::milliseconds(measured.at("write_gap_ms").get<int>())));
        const nlohmann::json last = measured.value("last_client_error", nlohmann::json());
        const int errors = measured.value("client_errors", 0);
        add(counted(errors, "client error") + " in " +
            counted(measured.value("writes", 0), "write") +
            (errors > 0 && last.is_string()
                 ? " (the last: " + one_line(last.get<std::string>()) + ")"
                 : ""));
    }
    return text;
}

/// Null where nobody could see it on every member.
int restarts_of(const RunState& state, int unknown) {
    const nlohmann::json& measured = state.measured();
    const nlohmann::json restarts = measured.is_object()
                                        ? measured.value("postgres_restarts", nlohmann::json())
                                        : nlohmann::json();
    return restarts.is_number() ? restarts.get<int>() : unknown;
}

/// What is certain about a run that succeeded: its guards held, and what it was to heal is gone.
std::string proven_text(const RunHeader& header, const RunState& state) {
    std::string text;
    const auto add = [&](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
    if (restarts_of(state, -1) == 0) {
        add("PostgreSQL was not restarted on any member");
    }
    std::set<std::string> healed;
    const auto heals = header.plan.value("heals", std::vector<std::string>());
    for (const nlohmann::json& finding : header.plan.value("findings", nlohmann::json::array())) {
        for (const std::string& name : heals) {
            if (Finding::from_json(finding).is_named(name)) {
                healed.insert(name);
            }
        }
    }
    std::string guards;
    for (const std::string& guard : header.plan.value("guards", std::vector<std::string>())) {
        guards += (guards.empty() ? "" : ", ") + guard;
    }
    if (!guards.empty()) {
        add("held all the way: " + guards);
    }
    std::string gone;
    for (const std::string& name : healed) {
        const std::string id = name.substr(0, name.find(':'));
        const bool open = std::ranges::any_of(
            state.open_findings(), [&](const std::string& other) { return other == id; });
        gone += open ? "" : (gone.empty() ? "" : ", ") + name;
    }
    if (!gone.empty()) {
        add("gone: " + gone);
    }
    return text;
}

/// What went wrong, with the last words of what was run.
std::string failure_text(const std::string& label,
                         const std::string& what,
                         const std::vector<std::string>& last_lines,
                         const std::string& hint,
                         const Terminal& terminal) {
    std::string text = row(label.c_str(), what, terminal);
    for (const std::string& line : last_lines) {
        text += "              " + terminal.paint("| " + one_line(line), Tone::dim) + "\n";
    }
    return hint.empty() ? text : text + row("hint", hint, terminal);
}

std::string failed_steps(const RunState& state, const Terminal& terminal) {
    std::string text;
    for (const StepProgress& step : state.steps()) {
        if (step.state == StepState::failed || step.state == StepState::in_doubt) {
            text += failure_text(
                "step", step.where() + ": " + step.message, step.last_lines, step.hint, terminal);
        }
        for (const UndoProgress& undo : step.undo) {
            if (undo.state == UndoProgress::State::failed) {
                const std::string& on = undo.undo.member;
                text += failure_text("undo",
                                     (on == step.member ? step.where() : step.id + ", on " + on) +
                                         ": " + undo.message,
                                     undo.last_lines,
                                     undo.hint,
                                     terminal);
            }
        }
    }
    return text;
}

/// What people said, and what is still asked.
std::string approvals_text(const RunState& state, const Terminal& terminal) {
    std::string text;
    for (const ApprovalProgress& asked : state.approvals()) {
        for (const GivenAnswer& answer : asked.answers) {
            text +=
                row(answer.yes ? "approved" : "rejected",
                    asked.gate + " by " + answer.by +
                        (answer.comment.empty() ? "" : ": " + answer.comment) +
                        (answer.why_not.empty() ? "" : " (does not count: " + answer.why_not + ")"),
                    terminal);
        }
        if (asked.state == ApprovalProgress::State::open) {
            text += row("asked",
                        asked.gate + " waits for " + waits_for(asked) +
                            (asked.message.empty() ? "" : ": " + asked.message),
                        terminal);
        }
    }
    return text;
}

/// What can be done now, the likeliest first.
std::string next_text(const RunHeader& header, const RunState& state, const Terminal& terminal) {
    std::vector<std::string> commands;
    const bool settled = state.phase() == RunPhase::succeeded ||
                         state.phase() == RunPhase::rolled_back ||
                         state.phase() == RunPhase::cancelled;
    for (const ApprovalProgress& asked : state.approvals()) {
        if (state.phase() == RunPhase::waiting && asked.state == ApprovalProgress::State::open) {
            commands.push_back("lockstep approve " + header.id + " " + asked.gate +
                               " (or --reject)");
        }
    }
    if (!settled && state.changed_anything()) {
        commands.push_back("lockstep check " + header.cluster);
    }
    // Of a cluster that moved meanwhile (17) it never goes on.
    if (!settled && !state.rolling_back() && state.exit_code() != 17) {
        commands.push_back("lockstep resume " + header.id + " (goes on from here)");
    }
    if (state.phase() == RunPhase::waiting) {
        commands.push_back("lockstep cancel " + header.id + " (ends it, takes nothing back)");
    }
    if (state.phase() != RunPhase::rolled_back && state.changed_anything() &&
        state.beyond_return().empty()) {
        if (!state.rolling_back()) {
            commands.push_back("lockstep rollback " + header.id + " (takes it back)");
        } else if (state.has_more_to_take_back()) {
            commands.push_back("lockstep rollback " + header.id + " (goes on with the way back)");
        }
    }
    commands.push_back("lockstep show " + header.id);
    std::string text;
    for (const std::string& command : commands) {
        text += row(text.empty() ? "next" : "", command, terminal);
    }
    return text;
}

/// What is still in force, last and loud: nobody must go to bed over a paused cluster.
std::string left_text(const RunState& state, const Terminal& terminal) {
    std::string text;
    for (const OpenTemporary& left : state.temporaries()) {
        text += (text.empty() ? "" : ", ") + left.text();
    }
    if (text.empty()) {
        return text;
    }
    return terminal.paint("STILL IN FORCE:", Tone::bad) + " " + wrap(text, 16) +
           "\n  Nothing fails over while a cluster is paused. `lockstep resume` or `lockstep "
           "rollback`\n  goes on from here and ends it.\n";
}

}  // namespace

std::string summary_text(const RunHeader& header, const RunState& state, const Terminal& terminal) {
    std::string text = headline(header, state, terminal);
    text += row("steps", counts(state), terminal);
    const nlohmann::json& measured = state.measured();
    if (measured.is_object()) {
        std::string figures = measured_text(measured);
        if (!figures.empty()) {
            figures += state.rolling_back() ? "; the run and its way back together" : "";
            text += row("measured", figures, terminal);
        }
        const int restarts = restarts_of(state, 0);
        if (restarts > 0) {
            text += row("PostgreSQL", "restarted on " + counted(restarts, "member"), terminal);
        }
    }
    if (state.phase() == RunPhase::succeeded && state.changed_anything()) {
        text += row("proven", proven_text(header, state), terminal);
    }
    const char* label = "not proven";
    for (const std::string& open : unproven(header, state)) {
        text += row(label, open, terminal);
        label = "";
    }
    text += approvals_text(state, terminal);
    text += failed_steps(state, terminal);
    for (const std::string& note : state.notes()) {
        text += row("note", note, terminal);
    }
    if (!state.changed_anything()) {
        text += row("changed", "nothing", terminal);
    }
    return text + next_text(header, state, terminal) + left_text(state, terminal);
}

std::string show_text(const RunHeader& header, const RunState& state, const Terminal& terminal) {
    std::string text = headline(header, state, terminal);
    text += row("started", header.started_at + " by " + header.started_by, terminal);
    if (!state.ended_at().empty()) {
        text += row("ended", state.ended_at(), terminal);
    }
    if (!header.reason.empty()) {
        text += row("reason", header.reason, terminal);
    }
    text += row("plan", header.plan_hash, terminal);
    text += row("inputs", header.inputs.dump(), terminal) + "\n";
    Table table({"STEP", "MEMBER", "STATE", "TRIES", "MESSAGE"});
    for (const StepProgress& step : state.steps()) {
        std::string words(to_text(step.state));
        std::ranges::replace(words, '_', ' ');
        const bool bad = step.state == StepState::failed || step.state == StepState::in_doubt;
        table.add({step.id,
                   step.member.empty() ? "-" : step.member,
                   words,
                   std::to_string(step.attempts),
                   step.message},
                  {Tone::strong, Tone::plain, bad ? Tone::bad : Tone::plain});
    }
    text += table.text(terminal) + "\n" + approvals_text(state, terminal);
    const nlohmann::json& measured = state.measured();
    if (measured.is_object()) {
        std::string figures;
        for (const auto& [name, value] : measured.items()) {
            figures += (figures.empty() ? "" : ", ") + name + "=" + value.dump();
        }
        text += row("measured", figures, terminal);
    }
    for (const std::string& note : state.notes()) {
        text += row("note", note, terminal);
    }
    return text;
}

}  // namespace lockstep
