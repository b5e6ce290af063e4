#pragma once

#include "engine/plan/plan.hpp"
#include "inventory/inventory.hpp"

/// A plan as a document and back: what a run pins in its header is what a later engine goes on
/// with, whatever the files say by then.
namespace lockstep {

struct PlanDocument {
    const nlohmann::json& document;  ///< what Plan::to_json() gave
    std::shared_ptr<const Runbook> runbook;
    const Inventory& inventory;
    const Cluster& cluster;
    const std::map<std::string, std::string>& given;  ///< inputs; secrets are resolved anew
};

/// Throws JournalError when the document and the runbook do not fit together.
[[nodiscard]] Plan restore_plan(const PlanDocument& from);

}  // namespace lockstep
