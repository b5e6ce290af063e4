#include "engine/run/gatekeeper.hpp"

#include "base/units.hpp"
#include "engine/plan/durations.hpp"
#include "engine/run/approval.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using State = ApprovalProgress::State;
using Kind = Gatekeeper::Ruling::Kind;

/// What people are asked. A secret in it would go into the record and to whoever is told, so such a
/// text is left out.
std::string text_of(const StepCall& call) {
    for (const char* name : {"message", "instructions"}) {
        const auto found = call.with.find(name);
        if (found != call.with.end() && found->second.kind() == Value::Kind::string) {
            return found->second.tainted() ? "" : found->second.as_string();
        }
    }
    return {};
}

constexpr std::chrono::minutes k_look_again{1};

/// The answer that decided.
const GivenAnswer* deciding(const ApprovalProgress& asked) {
    const auto last =
        std::find_if(asked.answers.rbegin(), asked.answers.rend(), [](const GivenAnswer& answer) {
            return answer.why_not.empty();
        });
    return last == asked.answers.rend() ? nullptr : &*last;
}

nlohmann::json answer_of(const ApprovalProgress& asked) {
    const GivenAnswer* last = deciding(asked);
    return last == nullptr
               ? nlohmann::json(nullptr)
               : nlohmann::json{{"by", last->by}, {"at", last->at}, {"comment", last->comment}};
}

}  // namespace

/// Outermost first. A step that is a gate itself asks on each member; `approval` asks once for the
/// step or block, whatever the members.
std::vector<Gatekeeper::Gate> Gatekeeper::gates_of(const PlannedStep& step,
                                                   const StepCall& call) const {
    std::vector<Gate> gates;
    for (std::size_t depth = 0; depth < step.within.size(); ++depth) {
        const StepSpec& block = *step.within[depth];
        if (block.approval) {
            gates.push_back(
                {step.within_ids[depth], *block.approval, false, block.approval->message});
        }
    }
    const ActionSchema& schema = session_.schema_of(step);
    if (schema.asks) {
        const ApprovalSpec spec =
            step.spec->approval.value_or(ApprovalSpec{.not_self = !schema.answered});
        const std::string id = step.member.empty() ? step.id : step.id + "@" + step.member;
        gates.push_back({id, spec, schema.answered, text_of(call)});
    } else if (step.spec->approval) {
        gates.push_back({step.id, *step.spec->approval, false, step.spec->approval->message});
    }
    return gates;
}

/// Every window around a step counts: the narrowest one decides.
std::optional<Gatekeeper::Closed> Gatekeeper::closed_for(const PlannedStep& step) const {
    // What ends a temporary change is never kept waiting, nor what is always done.
    const bool ends = !session_.schema_of(step).ends.empty();
    if (session_.setup().patience.override_window || ends || step.always) {
        return std::nullopt;
    }
    std::vector<const WindowSpec*> windows;
    for (const StepSpec* block : step.within) {
        windows.push_back(block->window ? &*block->window : nullptr);
    }
    windows.push_back(step.spec->window ? &*step.spec->window : nullptr);
    // The runbook's own keeps changes out, and before the first one everything: what gates saw long
    // before the window says nothing in it.
    const bool begun = session_.state().changed_anything() || session_.plan().nothing_to_do();
    if (step.changes || !begun) {
        const auto& window = session_.plan().runbook->window;
        windows.push_back(window ? &*window : nullptr);
    }
    for (const WindowSpec* window : windows) {
        if (window == nullptr) {
            continue;
        }
        if (auto closed = closed_for(step, *window)) {
            return closed;
        }
    }
    return std::nullopt;
}

std::optional<Gatekeeper::Closed> Gatekeeper::closed_for(const PlannedStep& step,
                                                         const WindowSpec& window) const {
    const Clock::Wall now = session_.clock().wall_now();
    const WindowView view = look(window, now);
    if (!view.open) {
        return Closed{"the window is closed: " + view.because, view.next};
    }
    // Not only whether it is open now: a change that does not fit with its way back would leave the
    // window half done.
    const auto left = time_left(window, view, now);
    if (!left || !step.changes) {
        return std::nullopt;
    }
    const auto needed =
        time_needed(session_.plan(), session_.index_of(step), session_.setup().actions);
    if (left->count() > 0 && *left >= needed) {
        return std::nullopt;
    }
    const std::optional<Clock::Wall> next = look(window, *view.until).next;
    const std::string ends = local_text(*view.until, window.time_zone);
    if (left->count() <= 0) {
        return Closed{"the window ends " + ends + ", and nothing is started before that any more",
                      next};
    }
    return Closed{"it takes about " + format_duration(needed) + " with its way back, and " +
                      format_duration(*left) + " are left of the window that ends " + ends,
                  next};
}

/// The window first: nobody is asked for what could not be started anyway, and an answer may expire
/// until then.
Gatekeeper::Ruling Gatekeeper::rule_on(const PlannedStep& step, const StepCall& call) {
    Ruling ruling;
    if (auto closed = closed_for(judged_for(step))) {
        const std::string name = session_.progress(session_.index_of(step)).where();
        closed_.insert_or_assign(name, std::move(*closed));
        looked_at_ = session_.clock().wall_now();
        return {.kind = Kind::wait};
    }
    for (const Gate& gate : gates_of(judged_for(step), call)) {
        ruling = rule_on(gate);
        if (ruling.kind != Kind::pass) {
            return ruling;
        }
    }
    return ruling;
}

/// What an earlier engine was refused, or waited for too long, is asked once more: somebody took
/// the run up again. What this engine heard is final, unless the runbook says `ask_again`.
Gatekeeper::Ruling Gatekeeper::rule_on(const Gate& gate) {
    const ApprovalProgress* asked = session_.state().approval(gate.id);
    const bool news = seen_.contains(gate.id);
    if (asked == nullptr) {
        ask(gate);
        return {.kind = Kind::wait};
    }
    switch (asked->state) {
        case State::open:
            return {.kind = Kind::wait};
        case State::granted: {
            if (is_past(asked->expires_at) && !was_begun(gate.id)) {
                ask(gate);  // what was approved then and not begun is asked about again
                return {.kind = Kind::wait};
            }
            return {.answer = answer_of(*asked)};
        }
        case State::rejected: {
            if (!news) {  // somebody took the run up again: it is asked once more
                ask(gate);
                return {.kind = Kind::wait};
            }
            const GivenAnswer* no = deciding(*asked);
            return {Kind::refuse,
                    "rejected by " + (no == nullptr ? "?" : no->by) +
                        (no == nullptr || no->comment.empty() ? "" : ": " + no->comment),
                    "`lockstep resume` asks again; `lockstep rollback` takes back what was done.",
                    {}};
        }
        case State::expired:
            if (!news || gate.spec.ask_again) {
                ask(gate);
                return {.kind = Kind::wait};
            }
            return {Kind::refuse,
                    "nobody approved it before " + asked->expires_at,
                    "`lockstep resume` asks again.",
                    {}};
    }
    return {};
}

/// A gate is known by name only, in records and answers: `id`, `id@member`, or a block.
std::vector<std::size_t> Gatekeeper::steps_behind(const std::string& gate) const {
    std::vector<std::size_t> steps;
    for (std::size_t i = 0; i < session_.plan().steps.size(); ++i) {
        const PlannedStep& step = session_.plan().steps[i];
        if (step.id == gate || step.id + "@" + step.member == gate ||
            std::ranges::find(step.within_ids, gate) != step.within_ids.end()) {
            steps.push_back(i);
        }
    }
    return steps;
}

/// An approval that has expired meanwhile still holds for what was begun under it: nobody is asked
/// in the middle of a block.
bool Gatekeeper::was_begun(const std::string& gate) const {
    const std::vector<std::size_t> steps = steps_behind(gate);
    return std::ranges::any_of(steps, [&](std::size_t i) {
        return session_.progress(i).attempts > 0 || session_.progress(i).over();
    });
}

/// What prepares the way back of a change is begun no earlier than the change.
const PlannedStep& Gatekeeper::judged_for(const PlannedStep& step) const {
    const auto& steps = session_.plan().steps;
    for (std::size_t i = session_.index_of(step); i < steps.size(); ++i) {
        if (!steps[i].made) {
            return steps[i].always ? step : steps[i];
        }
    }
    return step;
}

/// With the hash of the plan, so that an answer given to another plan does not count here.
void Gatekeeper::ask(const Gate& gate) {
    std::string expires_at;
    if (gate.spec.expires) {
        expires_at = to_iso8601(session_.clock().wall_now() + *gate.spec.expires);
    }
    seen_.insert(gate.id);
    session_.record(RecordKind::approval_asked,
                    nullptr,
                    {{"gate", gate.id},
                     {"message", gate.message},
                     {"count", gate.spec.count},
                     {"from", gate.spec.from},
                     {"not_self", gate.spec.not_self},
                     {"by_hand", gate.by_hand},
                     {"expires_at", expires_at},
                     {"plan_hash", session_.plan().hash}});
    session_.tell("approval",
                  gate.id + " of " + session_.header().runbook + " on " +
                      session_.header().cluster + " waits for " +
                      waits_for(*session_.state().approval(gate.id)),
                  {gate.message, "lockstep approve " + session_.header().id + " " + gate.id});
}

bool Gatekeeper::collect() {
    bool changed = false;
    // Not only once a window opens: its calendar may have become another one.
    const Clock::Wall now = session_.clock().wall_now();
    const auto opens = opens_at();
    if (!closed_.empty() && ((opens && now >= *opens) || now >= *looked_at_ + k_look_again)) {
        closed_.clear();
        changed = true;
    }
    for (const Answer& answer : session_.setup().journal.answers(session_.header().id)) {
        if (answer.number > session_.state().answers_taken()) {
            take_up(answer);
            changed = true;
        }
    }
    // Also what an engine took up that died before it drew the conclusion.
    for (const ApprovalProgress& asked : std::vector(session_.state().approvals())) {
        if (const auto decided = decided_as(asked)) {
            end(asked.gate, *decided);
            changed = true;
        }
    }
    return changed;
}

std::optional<ApprovalProgress::State> Gatekeeper::decided_as(const ApprovalProgress& asked) const {
    if (asked.state != State::open) {
        return std::nullopt;
    }
    const std::vector<std::size_t> steps = steps_behind(asked.gate);
    if (std::ranges::all_of(steps, [&](std::size_t i) { return session_.progress(i).over(); })) {
        return State::expired;  // what it was asked for is not to be done any more
    }
    if (const auto decided = decided_by_answers(asked)) {
        return decided;
    }
    return is_past(asked.expires_at) ? std::optional(State::expired) : std::nullopt;
}

/// Recorded even where it does not count, with the reason: whoever gave it must be able to see why
/// nothing happened.
void Gatekeeper::take_up(const Answer& answer) {
    const ApprovalProgress* asked = session_.state().approval(answer.gate);
    std::string why_not = "it is not asked for";
    if (asked != nullptr && asked->state == State::open) {
        why_not = is_past(asked->expires_at) && answer.at > asked->expires_at
                      ? "it came too late"
                      : why_not_counted(session_.header(), *asked, answer, session_.setup().people);
    }
    session_.record(RecordKind::approval_answered,
                    nullptr,
                    {{"gate", answer.gate},
                     {"number", answer.number},
                     {"yes", answer.yes},
                     {"by", answer.by},
                     {"given_at", answer.at},
                     {"comment", answer.comment},
                     {"proven", !answer.proof.empty() && why_not.empty()},
                     {"why_not", why_not}});
}

void Gatekeeper::end(const std::string& gate, State state) {
    seen_.insert(gate);
    session_.record(
        RecordKind::approval_ended, nullptr, {{"gate", gate}, {"state", to_text(state)}});
}

bool Gatekeeper::is_past(const std::string& time) const {
    return !time.empty() && session_.clock().wall_now() >= from_iso8601(time);
}

std::vector<std::string> Gatekeeper::waits() const {
    std::vector<std::string> texts;
    for (const auto& [step, closed] : closed_) {
        texts.push_back(step + ": " + closed.why);
    }
    for (const ApprovalProgress& asked : session_.state().approvals()) {
        if (asked.state == State::open) {
            texts.push_back(asked.gate + " waits for " + waits_for(asked));
        }
    }
    return texts;
}

/// The earliest of them: with it a timer knows when `resume` is worth a try.
std::optional<Clock::Wall> Gatekeeper::opens_at() const {
    std::optional<Clock::Wall> first;
    for (const auto& [step, closed] : closed_) {
        if (closed.next && (!first || *closed.next < *first)) {
            first = closed.next;
        }
    }
    return first;
}

}  // namespace lockstep
