#pragma once

#include "engine/run/run_session.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace lockstep {

/// Decides whether a step whose turn has come may start, or has to wait for a window or for a
/// person. Asks for approvals and takes up the answers. Owned by the executor.
class Gatekeeper {
  public:
    explicit Gatekeeper(RunSession& session) : session_(session) {}

    struct Ruling {
        enum class Kind { pass, wait, refuse };

        Kind kind = Kind::pass;
        std::string why;
        std::string hint;
        nlohmann::json answer;  ///< of a step that is a gate itself: `by`, `at`, `comment`
    };

    /// Whether a step may start now. Asks for what was not asked for yet.
    [[nodiscard]] Ruling rule_on(const PlannedStep& step, const StepCall& call);

    /// Takes up new answers and expired approvals. True: a step that waits may be able to go on.
    bool collect();

    /// What the run waits for, for people.
    [[nodiscard]] std::vector<std::string> waits() const;
    /// When the next window opens that a step waits for; nullopt: no step waits for one, or the
    /// time is not known.
    [[nodiscard]] std::optional<Clock::Wall> opens_at() const;

  private:
    struct Gate {
        std::string id;
        ApprovalSpec spec;
        bool by_hand = false;
        std::string message;
    };

    struct Closed {
        std::string why;
        std::optional<Clock::Wall> next;
    };

    /// Why a step must not be begun now, by the windows around it; nullopt: it may.
    [[nodiscard]] std::optional<Closed> closed_for(const PlannedStep& step) const;
    [[nodiscard]] std::optional<Closed> closed_for(const PlannedStep& step,
                                                   const WindowSpec& window) const;
    [[nodiscard]] std::vector<Gate> gates_of(const PlannedStep& step, const StepCall& call) const;
    [[nodiscard]] Ruling rule_on(const Gate& gate);
    void ask(const Gate& gate);
    [[nodiscard]] std::vector<std::size_t> steps_behind(const std::string& gate) const;
    [[nodiscard]] bool was_begun(const std::string& gate) const;
    [[nodiscard]] const PlannedStep& judged_for(const PlannedStep& step) const;
    void take_up(const Answer& answer);
    /// The state that answers or time give to an open approval; nullopt: it stays open.
    [[nodiscard]] std::optional<ApprovalProgress::State> decided_as(
        const ApprovalProgress& asked) const;
    void end(const std::string& gate, ApprovalProgress::State state);
    [[nodiscard]] bool is_past(const std::string& time) const;

    RunSession& session_;
    std::map<std::string, Closed> closed_;  ///< by the step that waits
    std::optional<Clock::Wall> looked_at_;  ///< when the windows of these were looked at
    std::set<std::string> seen_;            ///< gates that this engine asked, or heard of
};

}  // namespace lockstep
