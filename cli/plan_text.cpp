#include "base/units.hpp"
#include "cli/texts.hpp"

#include <algorithm>
#include <sstream>

namespace lockstep {

namespace {

std::string_view verdict_word(const PlannedStep& step) {
    if (step.verdict == Verdict::wont) {
        return "won't";
    }
    return to_text(step.verdict);
}

Tone verdict_tone(const PlannedStep& step) {
    if (step.verdict == Verdict::wont) {
        return Tone::dim;
    }
    if (!step.changes) {
        return Tone::plain;
    }
    return step.verdict == Verdict::may ? Tone::warn : Tone::good;
}

std::string pad(std::string text, std::size_t width) {
    const std::size_t used = columns(text);
    return used < width ? text + std::string(width - used, ' ') : text;
}

std::string name_of(const PlannedStep& step) {
    return one_line(step.member.empty() ? step.id : step.id + " on " + step.member);
}

std::string step_text(const PlannedStep& step, std::size_t width, const Terminal& terminal) {
    const std::string name = name_of(step);
    std::string text = "  " +
                       terminal.paint(pad(std::string(verdict_word(step)), 5), verdict_tone(step)) +
                       "  " + terminal.paint(pad(name, width), Tone::strong) + "  ";
    text += wrap(step.because, 11 + width) + "\n";
    const auto line = [&](const char* label, const Operation& operation, Tone tone) {
        if (operation.text.find('\n') != std::string::npos) {
            // A script is shown as it is: its lines mean something.
            text += "           " +
                    terminal.paint(pad(label, 5) + std::string(to_text(operation.kind)), tone) +
                    "\n";
            std::istringstream lines(operation.text);
            for (std::string one; std::getline(lines, one);) {
                text += std::string(22, ' ') + printable(one) + "\n";
            }
            return;
        }
        text += "           " +
                terminal.paint(pad(label, 5) + pad(std::string(to_text(operation.kind)), 5), tone) +
                " " + wrap(operation.text, 22) + "\n";
    };
    for (const Operation& operation : step.operations) {
        line("", operation, Tone::plain);
    }
    for (const Undo& undo : step.undo) {
        line("undo", undo.operation, Tone::dim);
    }
    for (const Undo& undo : step.undo_besides) {
        line("and", undo.operation, Tone::dim);
        text += std::string(22, ' ') +
                wrap("on " + undo.member + ", so that the versions go together again", 22) + "\n";
    }
    if (!step.no_way_back.empty() && step.verdict != Verdict::wont) {
        text += "           " + terminal.paint("undo", Tone::warn) + "       " +
                wrap("none: " + step.no_way_back, 22) + "\n";
    }
    for (const std::string& note : step.notes) {
        text +=
            "           " + terminal.paint("note", Tone::warn) + "       " + wrap(note, 22) + "\n";
    }
    return text;
}

std::string inputs_text(const Plan& plan) {
    std::string text;
    for (const auto& [name, value] : plan.inputs) {
        const nlohmann::json json = value.to_json();
        if (json.is_null()) {  // not given, and without a default
            continue;
        }
        text += (text.empty() ? "" : ", ") + name + "=" +
                (json.is_string() ? json.get<std::string>() : json.dump());
    }
    return text;
}

/// Findings that only a person's decision ends, and that no step of this plan acts on.
std::string decisions_text(const Plan& plan, const Terminal& terminal) {
    std::string text;
    const bool can_drop = std::ranges::any_of(
        plan.runbook->inputs, [](const InputSpec& input) { return input.name == "drop_slots"; });
    for (const Finding& finding : plan.findings) {
        const bool dropped = std::ranges::any_of(plan.steps, [&](const PlannedStep& step) {
            return step.verdict != Verdict::wont && !finding.subject.empty() &&
                   step.uses == "slots.drop" &&
                   step.id.find("[" + finding.subject + "]") != std::string::npos;
        });
        if (finding.needs_decision && !finding.subject.empty() && !dropped) {
            text += "  " + terminal.paint("decide", Tone::warn) + "  " +
                    wrap(finding.message + ". It stays as it is" +
                             (can_drop ? " unless you say: --set drop_slots=" + finding.subject
                                       : ": this runbook drops no slot"),
                         10) +
                    "\n";
        }
    }
    return text.empty() ? "" : "\n" + text;
}

}  // namespace

std::string plan_text(const Plan& plan, const Terminal& terminal) {
    std::string text = terminal.paint("PLAN", Tone::strong) + "  " + plan.runbook->name + " on " +
                       plan.cluster + "\n";
    if (!plan.runbook->summary.empty()) {
        text += "      " + wrap(plan.runbook->summary, 6) + "\n";
    }
    const std::string inputs = inputs_text(plan);
    if (!inputs.empty()) {
        text += "      inputs  " + wrap(inputs, 14) + "\n";
    }
    std::string guards;
    for (const GuardSpec& guard : plan.runbook->guards) {
        guards += (guards.empty() ? "" : ", ") + guard.name;
    }
    if (!guards.empty()) {
        text += "      guards  " + wrap(guards, 14) + "\n";
    }
    text += std::string("      failure ") +
            (plan.on_failure == OnFailure::rollback ? "what was done is taken back"
                                                    : "stops; `lockstep rollback` takes it back") +
            "\n";
    for (const Finding& finding : plan.accepted) {
        text += "      " + terminal.paint("accepted", Tone::warn) + " " +
                wrap(finding.message, 15) + "\n";
    }
    text += "      hash    " + plan.hash.substr(0, 16) + "\n\n";
    std::size_t width = 0;
    for (const PlannedStep& step : plan.steps) {
        width = std::max(width, columns(name_of(step)));
    }
    for (const PlannedStep& step : plan.steps) {
        text += step_text(step, width, terminal);
    }
    text += decisions_text(plan, terminal);
    if (!plan.findings.empty()) {
        text += "\n  now on the cluster:\n" + findings_text(plan.findings, terminal);
    }
    if (!plan.advice.empty()) {
        text += "\n  known of these versions:\n" + findings_text(plan.advice, terminal);
    }
    if (!plan.ready()) {
        text += "\n" + refusal_text(plan, terminal);
    } else if (plan.nothing_to_do()) {
        text += "\n" + terminal.paint("READY", Tone::good) + "  nothing to change\n";
    } else {
        const auto changes = std::ranges::count_if(plan.steps, [](const PlannedStep& step) {
            return step.changes && step.verdict != Verdict::wont;
        });
        text += "\n" + terminal.paint("READY", Tone::good) + "  " + std::to_string(changes) +
                " steps change something\n";
    }
    return text;
}

std::string refusal_text(const Plan& plan, const Terminal& terminal) {
    return terminal.paint("BLOCKED", Tone::bad) + "  this must not be started:\n" +
           findings_text(plan.blocked_by, terminal);
}

}  // namespace lockstep
