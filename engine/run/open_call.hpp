#pragma once

#include "base/clock.hpp"
#include "engine/plan/step_runner.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

/// What was sent and not seen to end. One thing, whatever it was sent for, with three rules:
/// 1. Nothing is started on a member, and nothing of the cluster is given back or undone, while an
///    open call touches it.
/// 2. It ends by the member's word, by a look at the cluster that stays the same for longer than
///    the other side may still act, or by a person. Never because it would be safe to do again.
/// 3. A run that ends with one keeps the sign of its lock, and ends in doubt.
namespace lockstep {

/// A message that may act: sent, or about to be, and its end not on record.
struct OpenCall {
    enum class Purpose {
        forward,     ///< a step of the runbook
        undo,        ///< takes a step back
        give_back,   ///< ends a temporary change on the way out
        take_again,  ///< makes a temporary change for a rollback
    };

    Purpose purpose = Purpose::forward;
    std::string key;          ///< the member knows it by this
    std::string uses;         ///< the action
    std::string step;         ///< the step that it is of, as `id` and `step_member`
    std::string step_member;  ///< where that is worked on
    std::string member;       ///< where the call acts; empty: the cluster
    std::size_t undo = 0;     ///< which undo of the step
    bool own_step = false;    ///< its records are those of the step itself
    std::string sent_at;      ///< ISO 8601
    bool accepted = false;    ///< the member has said that it has it
    OpenEnd end = OpenEnd::unseen;
    /// Since when nobody waits for it any more, ISO 8601; empty: the engine that sent it does.
    std::string unwatched_since;
    std::optional<std::chrono::milliseconds> acts_within;  ///< see Preview
    std::chrono::milliseconds answers_within{0};           ///< the same

    [[nodiscard]] std::string where() const {
        return member.empty() ? step : step + " on " + member;
    }

    /// From when on what was sent cannot act any more, when nobody waits for it from `now` on;
    /// nullopt: that is not known, or the member has to say so.
    [[nodiscard]] std::optional<Clock::Wall> quiet_at(Clock::Wall now) const;
};

/// Rule 1: the call that nobody waits for and that keeps something from being started on `member`
/// (empty: on the cluster as a whole). nullptr: nothing does.
[[nodiscard]] const OpenCall* in_the_way(const std::vector<OpenCall>& open,
                                         const std::string& member,
                                         Clock::Wall now);

/// What is known of it: `it is not known what replicas.install on n1 still does`.
[[nodiscard]] std::string describe(const OpenCall& call);

}  // namespace lockstep
