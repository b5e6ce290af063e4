#include "engine/plan/durations.hpp"

#include "base/clock.hpp"
#include "base/error.hpp"

#include <algorithm>

namespace lockstep {

namespace {

constexpr std::size_t k_runs = 20;
constexpr std::size_t k_samples = 50;  // of one step; the newest

/// `drop[legacy]` and `drop[other]` are one step.
std::string without_items(const std::string& id) {
    std::string plain;
    int depth = 0;
    for (const char c : id) {
        depth += c == '[' ? 1 : 0;
        if (depth == 0) {
            plain += c;
        }
        depth -= c == ']' && depth > 0 ? 1 : 0;
    }
    return plain;
}

std::string by_step(const std::string& runbook, const std::string& step, const std::string& uses) {
    return runbook + "\n" + without_items(step) + "\n" + uses;
}

Expected median(std::vector<std::chrono::milliseconds> lengths) {
    const auto middle = lengths.begin() + static_cast<std::ptrdiff_t>(lengths.size() / 2);
    std::nth_element(lengths.begin(), middle, lengths.end());
    return {*middle, static_cast<int>(lengths.size())};
}

bool counts(const PlannedStep& step) {
    return step.verdict != Verdict::wont;
}

}  // namespace

Durations Durations::of(JournalStore& journal, const std::string& cluster) {
    Durations durations;
    try {
        for (const StepLength& step : journal.step_lengths(cluster, k_runs)) {
            durations.add(step.runbook,
                          step.step,
                          step.uses,
                          std::chrono::floor<std::chrono::milliseconds>(from_iso8601(step.to) -
                                                                        from_iso8601(step.from)));
        }
    } catch (const JournalError&) {
        return {};
    }
    return durations;
}

void Durations::add(const std::string& runbook,
                    const std::string& step,
                    const std::string& uses,
                    std::chrono::milliseconds length) {
    if (length.count() < 0) {
        return;  // the clock was set back meanwhile
    }
    for (const std::string& key : {by_step(runbook, step, uses), uses}) {
        std::vector<std::chrono::milliseconds>& known = lengths_[key];
        if (known.size() < k_samples) {
            known.push_back(length);
        }
    }
}

std::optional<Expected> Durations::of(const std::string& runbook,
                                      const std::string& step,
                                      const std::string& uses,
                                      bool changes) const {
    const auto same = lengths_.find(by_step(runbook, step, uses));
    if (same != lengths_.end()) {
        return median(same->second);
    }
    const auto alike = lengths_.find(uses);
    return changes && alike != lengths_.end() ? std::optional(median(alike->second)) : std::nullopt;
}

PlannedTime planned_time(const Plan& plan) {
    PlannedTime time;
    std::vector<std::chrono::milliseconds> ends(plan.steps.size(), std::chrono::milliseconds{0});
    std::chrono::milliseconds always{0};
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
        const PlannedStep& step = plan.steps[i];
        for (const std::size_t before : step.after) {
            ends[i] = std::max(ends[i], ends[before]);
        }
        if (!counts(step)) {
            continue;
        }
        ++(step.expected.samples > 0 ? time.known : time.guessed);
        ends[i] += step.expected.length;
        if (step.always) {
            always = std::max(always, ends[i]);
        } else {
            time.length = std::max(time.length, ends[i]);
        }
    }
    time.length += always;
    return time;
}

std::chrono::milliseconds time_needed(const Plan& plan,
                                      std::size_t step,
                                      const ActionCatalog& actions) {
    const PlannedStep& first = plan.steps[step];
    const auto with_way_back = [](const PlannedStep& each) {
        return each.undo.empty() ? each.expected.length : 2 * each.expected.length;
    };
    if (!find_action(actions, first.uses)->temporary) {
        return with_way_back(first);
    }
    std::chrono::milliseconds needed = first.expected.length;
    for (std::size_t i = step + 1; i < plan.steps.size(); ++i) {
        const PlannedStep& each = plan.steps[i];
        needed += counts(each) ? with_way_back(each) : std::chrono::milliseconds{0};
        if (find_action(actions, each.uses)->ends == first.uses && each.member == first.member) {
            break;
        }
    }
    return needed;
}

}  // namespace lockstep
