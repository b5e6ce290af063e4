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
    const std::string& hash;                          ///< of the plan that was begun
};

/// Throws JournalError when the plan is not the one that the hash is of, or when the texts are not
/// those that it was made from.
void refuse_changed(const nlohmann::json& document,
                    const std::string& hash,
                    const std::string& runbook_text,
                    const std::string& inventory_text);

/// Throws JournalError when the document and the runbook do not fit together, and when one of them,
/// the inventory or the inputs are not those that the hash is of.
[[nodiscard]] Plan restore_plan(const PlanDocument& from);

}  // namespace lockstep
