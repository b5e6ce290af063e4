#pragma once

#include "cli/terminal.hpp"
#include "engine/plan.hpp"
#include "engine/run_state.hpp"
#include "inventory/facts.hpp"
#include "inventory/finding.hpp"
#include "inventory/wal_explanation.hpp"

#include <string>
#include <vector>

/// What results look like for a person.
namespace lockstep {

/// First a line as monitoring plugins print it, then members, then findings.
[[nodiscard]] std::string check_text(const ClusterFacts& facts,
                                     const std::vector<Finding>& findings,
                                     const Terminal& terminal);

/// The same first line, then for each member what holds its WAL.
[[nodiscard]] std::string explain_text(const ClusterFacts& facts,
                                       const std::vector<Finding>& findings,
                                       const std::vector<WalExplanation>& explanations,
                                       const Terminal& terminal);

[[nodiscard]] std::string findings_text(const std::vector<Finding>& findings,
                                        const Terminal& terminal);

/// Everything a run would do, in order, with its reasons and its way back.
[[nodiscard]] std::string plan_text(const Plan& plan, const Terminal& terminal);

/// Why a plan may not be run.
[[nodiscard]] std::string refusal_text(const Plan& plan, const Terminal& terminal);

/// The end of a run: what happened, what was proven, what to do next.
[[nodiscard]] std::string summary_text(const RunHeader& header,
                                       const RunState& state,
                                       const Terminal& terminal);

/// One run, every step.
[[nodiscard]] std::string show_text(const RunHeader& header,
                                    const RunState& state,
                                    const Terminal& terminal);

}  // namespace lockstep
