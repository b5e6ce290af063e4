#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

enum class Severity { info, warning, critical };

[[nodiscard]] std::string_view to_text(Severity severity);

/// One result of `check`: what, where, how we know, and what to do about it.
struct Finding {
    std::string id;  ///< stable: `slot.stuck`
    Severity severity = Severity::warning;
    std::string member;   ///< empty: the cluster
    std::string subject;  ///< the slot, the parameter, …; with id and member it names the finding
    std::string message;
    std::string remedy;
    std::string source;  ///< where the knowledge comes from: `patroni#3184`; may be empty
    /// Only a person can decide to end it (an orphaned slot): no version change cures it, and a run
    /// that nobody told to does not touch it.
    bool needs_decision = false;
    /// Blocks a plan unless somebody says by name, and with a reason, that it may be so.
    bool acceptable = false;
    /// Of a moment: a daemon that was just started does not answer yet. A run waits a while for it.
    bool passing = false;

    [[nodiscard]] nlohmann::json to_json() const;
    [[nodiscard]] static Finding from_json(const nlohmann::json& json);
    /// `id`, `id:subject`, and both with `@member`, as `--accept` takes it.
    [[nodiscard]] bool is_named(std::string_view name) const;
};

/// Every id there is, for validation and did-you-mean.
[[nodiscard]] const std::vector<std::string>& finding_ids();

/// The worst first, then by member; what is alike stays in its order.
void sort_worst_first(std::vector<Finding>& findings);

/// The worst severity, or nullopt-like `info` for none.
[[nodiscard]] Severity worst(const std::vector<Finding>& findings);

}  // namespace lockstep
