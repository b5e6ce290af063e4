#pragma once

#include "engine/plan/plan.hpp"

#include <nlohmann/json.hpp>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// A plan in a file: to be reviewed, approved, and run later, as what was seen and nothing else.
namespace lockstep {

/// What a plan was made from, and the plan itself. For an input that is a secret it holds the
/// reference that was given. Its undos may hold values of the configuration: the file is for its
/// owner alone. The hash tells an accident from what was made; it keeps nobody from making another
/// plan.
struct SavedPlan {
    std::string made_at;
    std::string made_by;
    std::string reason;
    std::string runbook_from;  ///< a path, or the name of a shipped runbook
    std::string runbook_text;
    std::string cluster;
    std::map<std::string, std::string> given;
    std::vector<std::string> accepted;     ///< findings by name
    std::string on_failure;                ///< as given; empty: the runbook's
    std::vector<std::string> allow_drift;  ///< facts that may move until the run
    nlohmann::json plan;                   ///< Plan::to_json()

    /// The little of a plan's facts that is saved.
    [[nodiscard]] static nlohmann::json facts_told(const nlohmann::json& facts);

    /// Canonical JSON: the same plan gives the same bytes, and a hash over all of it is in it.
    [[nodiscard]] std::string to_text() const;
    /// Throws InputError for what is no plan, or was changed after it was made.
    [[nodiscard]] static SavedPlan parse(std::string_view text, const std::string& file_name);
};

/// The part of Plan::to_json() that a person approves: what the plan will do, where, with which way
/// back, and what it is made from. Lag, positions and sizes move all the time and are left out,
/// with the words that mention them.
[[nodiscard]] nlohmann::json bound_part(nlohmann::json plan);

/// The facts that a plan can allow to move: `lag` (which always may), `leader`, `roles`, …
[[nodiscard]] const std::vector<std::string>& facts_that_drift();

/// Compares a plan with the same plan made anew and gives the differences, a line each. Empty: the
/// newer one does exactly what the older one says. Facts that may move are not compared, but a step
/// that changes because of them is a difference.
[[nodiscard]] std::vector<std::string> differences(const nlohmann::json& saved,
                                                   const nlohmann::json& now,
                                                   const std::vector<std::string>& allowed = {});

}  // namespace lockstep
