#include "base/units.hpp"
#include "cli/texts.hpp"
#include "cluster/diagnosis.hpp"
#include "engine/plan/durations.hpp"
#include "engine/run/approval.hpp"

#include <algorithm>
#include <map>
#include <set>
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

std::string pad(const std::string& text, std::size_t width) {
    const std::size_t used = columns(text);
    return used < width ? text + std::string(width - used, ' ') : text;
}

std::string name_of(const PlannedStep& step) {
    return one_line(step.member.empty() ? step.id : step.id + " on " + step.member);
}

/// `~20 s`; nothing for what takes no time worth mentioning, or is not done.
std::string length_of(const PlannedStep& step) {
    const auto length = std::chrono::round<std::chrono::seconds>(step.expected.length);
    return step.verdict == Verdict::wont || length.count() < 1 ? "" : "~" + format_duration(length);
}

/// What a step waits for before it starts.
std::string approval_words(const ApprovalSpec& approval) {
    return approvals_text(approval.count, approval.from) +
           (approval.not_self ? ", not of who starts the run" : "") +
           (approval.expires ? ", within " + format_duration(*approval.expires) : "");
}

/// `said`: the blocks whose approval was told of at an earlier step.
std::string gates_text(const PlannedStep& step, std::set<std::string>& said) {
    std::string text;
    const auto add = [&](const std::string& what) {
        text += "           asks       " + wrap(what, 22) + "\n";
    };
    for (std::size_t depth = 0; depth < step.within.size(); ++depth) {
        if (step.within[depth]->approval && said.insert(step.within_ids[depth]).second) {
            add(approval_words(*step.within[depth]->approval) + "; once, for all of " +
                step.within_ids[depth]);
        }
    }
    if (step.spec->approval) {
        add(approval_words(*step.spec->approval));
    }
    if (step.spec->window) {
        add("only in its window (" + step.spec->window->time_zone + ")");
    }
    return text;
}

std::string step_text(const PlannedStep& step,
                      std::size_t width,
                      std::size_t length_width,
                      std::set<std::string>& said,
                      const Terminal& terminal) {
    const std::string name = name_of(step);
    std::string text = "  " +
                       terminal.paint(pad(std::string(verdict_word(step)), 5), verdict_tone(step)) +
                       "  " + terminal.paint(pad(name, width), Tone::strong) + "  ";
    if (length_width > 0) {
        text += terminal.paint(pad(length_of(step), length_width), Tone::dim) + "  ";
    }
    text += wrap(step.because, 11 + width + (length_width > 0 ? length_width + 2 : 0)) + "\n";
    if (step.verdict != Verdict::wont) {
        text += gates_text(step, said);
    }
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
    for (const Undo& undo : step.whole_undo()) {
        const bool besides = std::ranges::find(step.undo_besides, undo) != step.undo_besides.end();
        line(besides && undo.member != step.member ? "and" : "undo", undo.operation, Tone::dim);
        if (besides) {
            text += std::string(22, ' ') +
                    wrap((undo.member == step.member ? "" : "on " + undo.member + ", ") +
                             "so that the versions go together again",
                         22) +
                    "\n";
        }
    }
    if (!step.no_way_back.empty() && step.verdict != Verdict::wont) {
        text += "           " + terminal.paint("undo", Tone::warn) + "       " +
                wrap("none: " + step.no_way_back, 22) + "\n";
    }
    if (!step.spec->point_of_no_return.empty() && step.verdict != Verdict::wont) {
        text += "           " + terminal.paint("return", Tone::warn) +
                "     none once it was started: " + wrap(step.spec->point_of_no_return, 22) + "\n";
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
            const SlotFacts* slot = find_slot(plan.facts.find(finding.member), finding.subject);
            const bool may_go = slot != nullptr && may_be_dropped(*slot);
            text += "  " + terminal.paint("decide", Tone::warn) + "  " +
                    wrap(finding.message + ". It stays as it is" +
                             (!may_go    ? ". " + finding.remedy
                              : can_drop ? " unless you say: --set drop_slots=" + finding.subject
                                         : ": this runbook drops no slot"),
                         10) +
                    "\n";
        }
    }
    return text.empty() ? "" : "\n" + text;
}

/// How long it will take, and how sure that is.
std::string time_text(const Plan& plan) {
    const PlannedTime time = planned_time(plan);
    if (time.known + time.guessed == 0) {
        return {};
    }
    std::string text =
        "about " + format_duration(std::chrono::round<std::chrono::seconds>(time.length));
    if (time.known == 0) {
        return text + ", a guess: no earlier run on this cluster tells";
    }
    return text + (time.guessed == 0
                       ? ", by earlier runs on this cluster"
                       : ", by earlier runs on this cluster; " + std::to_string(time.guessed) +
                             " of its steps are guesses");
}

/// What those notice who use the database meanwhile. Said once for the steps that it is the same
/// of.
std::string felt_text(const Plan& plan) {
    std::vector<std::pair<std::string, std::string>> felt;  // what, and the steps that do it
    for (const PlannedStep& step : plan.steps) {
        if (step.verdict == Verdict::wont || step.felt.empty()) {
            continue;
        }
        const auto known =
            std::ranges::find(felt, step.felt, [](const auto& each) { return each.first; });
        if (known == felt.end()) {
            felt.emplace_back(step.felt, name_of(step));
        } else {
            known->second += ", " + name_of(step);
        }
    }
    std::string text;
    for (const auto& [what, steps] : felt) {
        text += (text.empty() ? "" : "; ");
        text += steps + ": ";
        text += what;
    }
    return text.empty() ? "nothing: PostgreSQL goes on as it is" : text;
}

/// How many steps change something, and of how many that is not known yet.
std::string changes_text(const Plan& plan) {
    const auto count = [&](Verdict verdict) {
        return std::ranges::count_if(plan.steps, [&](const PlannedStep& step) {
            return step.changes && step.verdict == verdict;
        });
    };
    const auto steps = [](auto number, const char* one, const char* many) {
        return std::to_string(number) + (number == 1 ? one : many);
    };
    const auto will = count(Verdict::will);
    const auto may = count(Verdict::may);
    if (may == 0) {
        return steps(will, " step changes something", " steps change something");
    }
    return (will == 0 ? ""
                      : steps(will, " step changes something, ", " steps change something, ")) +
           steps(may, " step may change something", " steps may change something");
}

/// `run` asks the window, `plan` only tells of it.
std::string window_text(const Plan& plan) {
    const WindowView& view = *plan.window;
    const std::string& zone = plan.runbook->window->time_zone;
    if (!view.open) {
        return "closed: " + view.because + "; `run` refuses until then, --wait-window waits";
    }
    return view.until ? "open until " + local_text(*view.until, zone) : "open";
}

/// Who is worked on at the same time in a fan-out: one list a batch, in order.
using Batches = std::vector<std::vector<std::string>>;

/// By PlannedStep::group, of all fan-outs.
std::map<std::string, Batches> batches_of(const Plan& plan) {
    std::map<std::string, Batches> all;
    std::set<std::pair<std::string, std::string>> known;  // group and member
    for (const PlannedStep& step : plan.steps) {
        if (step.group.empty() || !known.emplace(step.group, step.member).second) {
            continue;
        }
        Batches& batches = all[step.group];
        const bool waits =
            batches.empty() || std::ranges::any_of(step.after, [&](std::size_t before) {
                const PlannedStep& other = plan.steps[before];
                return other.group == step.group &&
                       std::ranges::find(batches.back(), other.member) != batches.back().end();
            });
        if (waits) {
            batches.emplace_back();
        }
        batches.back().push_back(step.member);
    }
    return all;
}

std::string batch_text(const std::vector<std::string>& members) {
    constexpr std::size_t k_named = 4;
    if (members.size() == 1) {
        return members.front();
    }
    if (members.size() > k_named) {
        return std::to_string(members.size()) + " members side by side";
    }
    std::string text = members.front();
    for (std::size_t i = 1; i < members.size(); ++i) {
        text += (i + 1 == members.size() ? " and " : ", ") + members[i];
    }
    return text + " side by side";
}

/// `replicas: n2 and n3 side by side, then n4`; nothing where it is one after the other.
std::string side_by_side_text(const std::string& group, const Batches& batches) {
    constexpr std::size_t k_told = 6;
    if (std::ranges::all_of(batches, [](const auto& batch) { return batch.size() == 1; })) {
        return {};
    }
    std::string text = group + ": ";
    for (std::size_t i = 0; i < std::min(batches.size(), k_told); ++i) {
        text += (i == 0 ? "" : ", then ") + batch_text(batches[i]);
    }
    return text + (batches.size() > k_told ? ", and so on" : "");
}

/// What it is about, and what it comes to: above the steps.
std::string head_text(const Plan& plan, const Terminal& terminal) {
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
    if (!plan.nothing_to_do()) {
        text += "      takes   " + wrap(time_text(plan), 14) + "\n";
        text += "      users   notice " + wrap(felt_text(plan), 21) + "\n";
    }
    if (plan.window) {
        text += "      window  " + wrap(window_text(plan), 14) + "\n";
    }
    for (const Finding& finding : plan.accepted) {
        text += "      " + terminal.paint("accepted", Tone::warn) + " " +
                wrap(finding.message, 15) + "\n";
    }
    return text + "      hash    " + plan.hash.substr(0, 16) + "\n";
}

/// Each step, under what it has in common with those beside it.
std::string steps_text(const Plan& plan, const Terminal& terminal) {
    std::size_t width = 0;
    std::size_t length_width = 0;
    for (const PlannedStep& step : plan.steps) {
        width = std::max(width, columns(name_of(step)));
        length_width = std::max(length_width, columns(length_of(step)));
    }
    std::string text;
    bool always = false;
    std::set<std::string> said;
    std::map<std::string, Batches> batches = batches_of(plan);
    for (const PlannedStep& step : plan.steps) {
        if (step.always && !always) {
            always = true;
            text += "  " + terminal.paint("always, at the end:", Tone::dim) + "\n";
        }
        if (const auto begun = batches.extract(step.group)) {
            const std::string beside = side_by_side_text(begun.key(), begun.mapped());
            if (!beside.empty()) {
                text += "  " + terminal.paint(wrap(one_line(beside), 4), Tone::dim) + "\n";
            }
        }
        text += step_text(step, width, length_width, said, terminal);
    }
    return text;
}

/// What a rollback would do, newest first, and what it could not.
std::string way_back_text(const Plan& plan, const Terminal& terminal) {
    std::string text;
    std::string beyond;
    for (auto step = plan.steps.rbegin(); step != plan.steps.rend(); ++step) {
        if (step->verdict == Verdict::wont || step->always || !step->changes) {
            continue;
        }
        const std::vector<Undo> undo = step->whole_undo();
        for (const Undo& each : undo) {
            std::string what = each.uses;
            for (const auto& [name, value] : each.with.items()) {
                what += " " + name + "=" +
                        (value.is_string() ? value.get<std::string>() : value.dump());
            }
            text += "    " +
                    wrap(one_line(what + (each.member.empty() ? "" : " on " + each.member)), 4) +
                    "\n";
        }
        if (undo.empty() && !step->no_way_back.empty()) {
            text += "    " + wrap(name_of(*step) + " stays: " + step->no_way_back, 4) + "\n";
        }
        if (!step->spec->point_of_no_return.empty()) {
            beyond = name_of(*step);  // the first one in time
        }
    }
    if (text.empty()) {
        return {};
    }
    return "\n  " + terminal.paint("the way back", Tone::strong) + ", newest first" +
           (beyond.empty() ? "" : ", until " + beyond + " was started") + ":\n" + text;
}

}  // namespace

std::string plan_text(const Plan& plan, const Terminal& terminal) {
    std::string text = head_text(plan, terminal) + "\n" + steps_text(plan, terminal) +
                       way_back_text(plan, terminal) + decisions_text(plan, terminal);
    if (!plan.examined) {
        text +=
            "\n  the members were not examined: no step changes anything or reads their facts\n";
    }
    if (!plan.findings.empty()) {
        text += "\n  now on the cluster:\n" + findings_text(plan.findings, terminal);
    }
    std::vector<Finding> of_versions = plan.advice;
    for (const Finding& finding : plan.advice) {
        if (finding.id == "runbook.selects_nobody") {
            text += "\n  " + wrap(one_line(finding.message), 2) + "\n";
        }
    }
    std::erase_if(of_versions,
                  [](const Finding& finding) { return finding.id == "runbook.selects_nobody"; });
    if (!of_versions.empty()) {
        text += "\n  known of these versions:\n" + findings_text(of_versions, terminal);
    }
    if (!plan.ready()) {
        return text + "\n" + refusal_text(plan, terminal);
    }
    return text + "\n" + terminal.paint("READY", Tone::good) + "  " +
           (plan.nothing_to_do() ? "nothing to change" : changes_text(plan)) + "\n";
}

std::string refusal_text(const Plan& plan, const Terminal& terminal) {
    return terminal.paint("BLOCKED", Tone::bad) + "  this must not be started:\n" +
           findings_text(plan.blocked_by, terminal);
}

}  // namespace lockstep
