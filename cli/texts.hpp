#pragma once

#include "cli/cluster_check.hpp"
#include "cli/options.hpp"
#include "cli/terminal.hpp"
#include "cluster/facts.hpp"
#include "cluster/finding.hpp"
#include "cluster/wal_explanation.hpp"
#include "engine/knowledge/knowledge.hpp"
#include "engine/plan/plan.hpp"
#include "engine/run/run_state.hpp"

#include <string>
#include <vector>

/// What results look like for a person.
namespace lockstep {

/// For programs: indented for `json`, a line for the others. Ends with a line break.
[[nodiscard]] std::string json_text(const nlohmann::json& document, Output output);

/// `CRITICAL` of `critical`.
[[nodiscard]] std::string upper(std::string_view text);

/// First a line as monitoring plugins print it, then members, then findings.
[[nodiscard]] std::string check_text(const ClusterFacts& facts,
                                     const std::vector<Finding>& findings,
                                     const Terminal& terminal);

/// The same first line, then for each member what holds its WAL.
[[nodiscard]] std::string explain_text(const ClusterFacts& facts,
                                       const std::vector<Finding>& findings,
                                       const std::vector<WalExplanation>& explanations,
                                       const Terminal& terminal);
/// The same of many clusters: a line for all, a line each, then the findings of each.
[[nodiscard]] std::string check_all_text(const std::vector<CheckResult>& results,
                                         const Terminal& terminal);

/// Results in Prometheus' text format, as node_exporter's textfile collector reads it.
[[nodiscard]] std::string prometheus_text(const std::vector<CheckResult>& results);

[[nodiscard]] std::string findings_text(const std::vector<Finding>& findings,
                                        const Terminal& terminal);

/// Rows of knowledge, each with its versions, its conditions and what to do.
[[nodiscard]] std::string knowledge_text(const std::vector<const KnowledgeRow*>& rows,
                                         const Terminal& terminal);

/// Everything a run would do, in order, with its reasons and its way back.
[[nodiscard]] std::string plan_text(const Plan& plan, const Terminal& terminal);

/// What a saved plan finds different by now.
[[nodiscard]] std::string stale_text(const std::string& path,
                                     const std::vector<std::string>& found,
                                     const Terminal& terminal);

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
