#include "base/units.hpp"
#include "steps/actions/condition.hpp"
#include "steps/catalog.hpp"

namespace lockstep {

namespace {

using namespace std::chrono_literals;

constexpr auto k_default_wait = 60s;
constexpr auto k_default_every = 200ms;

const Expression& that_of(const StepCall& call) {
    return call.expressions.at("that");
}

Finding unmet(const StepCall& call, const Condition& condition) {
    const std::string message = text_arg(call, "message");
    return {.id = "runbook.assertion",
            .severity = Severity::critical,
            .member = call.member,
            .subject = call.id,
            .message = (message.empty() ? "`" + that_of(call).text() + "` is not true" : message) +
                       (condition.why.empty() ? "" : " (" + condition.why + ")"),
            .remedy = condition.hint,
            .source = {}};
}

StepResult failure(const StepCall& call, const Condition& condition) {
    const Finding finding = unmet(call, condition);
    return {.outcome = StepOutcome::failed,
            .message = finding.message,
            .hint = finding.remedy,
            .findings = {finding}};
}

class Assert final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& cluster) const override {
        const Condition condition = evaluate_condition(that_of(call), call, facts, cluster);
        Preview preview;
        preview.because = "requires `" + that_of(call).text() + "`";
        if (condition.state == Condition::State::unknown) {
            preview.verdict = Verdict::may;
            preview.because += ", not known yet: " + condition.why;
        } else if (condition.state != Condition::State::yes) {
            preview.blocked_by.push_back(unmet(call, condition));
        }
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        context.refresh(depth_for(that_of(call)));
        const Condition condition =
            evaluate_condition(that_of(call), call, context.facts, context.cluster);
        if (condition.state != Condition::State::yes) {
            return failure(call, condition);
        }
        return {.message = "holds"};
    }
};

class WaitFor final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& cluster) const override {
        const Condition condition = evaluate_condition(that_of(call), call, facts, cluster);
        Preview preview;
        preview.because = "waits until `" + that_of(call).text() + "`";
        const bool never = call.foreseen && condition.state != Condition::State::yes &&
                           can_never_hold(that_of(call), call, facts, cluster);
        if (condition.state == Condition::State::error || never) {
            preview.blocked_by.push_back(unmet(call, condition));
        }
        if (never) {
            preview.blocked_by.back().message += "; nothing in this plan changes that";
        }
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const auto wait = call.timeout.count() > 0 ? call.timeout : k_default_wait;
        const auto every = duration_arg(call, "every", k_default_every);
        const auto begun = context.clock.steady_now();
        const Depth depth = depth_for(that_of(call));
        Condition seen;  ///< by the last look that was a whole one
        for (bool ever_seen = false;;) {
            const Look look = look_once(call, context, depth);
            const Condition& condition = look.condition;
            const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(
                context.clock.steady_now() - begun);
            if (condition.state == Condition::State::yes) {
                StepResult result;
                result.message = "holds after " + format_duration(waited);
                result.learned = [seen = context.facts, depth](ClusterFacts& facts) {
                    depth == Depth::full ? facts = seen : (facts.update(seen), facts);
                };
                return result;
            }
            if (condition.state == Condition::State::error) {
                return failure(call, condition);
            }
            // The last look is cut by our own deadline: what it did not see is nobody's fault.
            const bool cut = waited >= wait && condition.state == Condition::State::unknown;
            if (!ever_seen || (look.whole && !cut)) {
                seen = condition;
                ever_seen = look.whole;
            }
            if (waited >= wait) {
                seen.why += (seen.why.empty() ? "" : "; ") + std::string("waited ") +
                            format_duration(waited);
                return failure(call, seen);
            }
            if (!context.clock.sleep_for(every, context.stop)) {
                return {.outcome = StepOutcome::cancelled, .message = "stopped while it waited"};
            }
        }
    }

  private:
    struct Look {
        Condition condition;
        bool whole = true;
    };

    /// A cluster that cannot be observed for a moment is unknown, and waited for.
    static Look look_once(const StepCall& call, ActionContext& context, Depth depth) {
        try {
            context.refresh(depth);
        } catch (const TransportError& error) {
            if (error.kind() == TransportError::Kind::cancelled) {
                throw;
            }
            return {{Condition::State::unknown, error.what(), error.hint()}, false};
        }
        return {evaluate_condition(that_of(call), call, context.facts, context.cluster)};
    }
};

class Sleep final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& /*facts*/,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        preview.takes = duration_arg(call, "for", 0ms);
        preview.because = "waits " + format_duration(*preview.takes);
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const auto length = duration_arg(call, "for", 0ms);
        if (!context.clock.sleep_for(length, context.stop)) {
            return {.outcome = StepOutcome::cancelled, .message = "stopped while it waited"};
        }
        return {.message = "waited " + format_duration(length)};
    }
};

}  // namespace

std::unique_ptr<Action> make_assert() {
    return std::make_unique<Assert>();
}

std::unique_ptr<Action> make_wait_for() {
    return std::make_unique<WaitFor>();
}

std::unique_ptr<Action> make_sleep() {
    return std::make_unique<Sleep>();
}

}  // namespace lockstep
