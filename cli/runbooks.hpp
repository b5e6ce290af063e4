#pragma once

#include "engine/runbook/runbook.hpp"

#include <map>
#include <memory>
#include <string>

/// Where runbooks come from.
namespace lockstep {

/// What becomes of a runbook that others may write to.
enum class SharedRunbook { refused, allowed };

/// A runbook by path, or by name among the shipped ones. Throws UsageError with the names there
/// are, InputErrors for what is not valid. One that is only looked at may be anybody's.
[[nodiscard]] std::shared_ptr<const Runbook> find_runbook(
    const std::string& wanted, SharedRunbook shared = SharedRunbook::allowed);

/// The text of a file that is named and run by, a runbook or a saved plan.
[[nodiscard]] std::string text_to_run(const std::string& path, SharedRunbook shared);

/// The name of a runbook as it is found from any folder: a path is made absolute. Plans and runs
/// keep this name, because files that a runbook refers to are found from its folder.
[[nodiscard]] std::string from_anywhere(const std::string& wanted);

/// One that a plan or run has pinned, as it was then. `path` is where it came from: what it calls,
/// and calendars, are relative to that; `parts` has the texts of what it calls.
[[nodiscard]] std::shared_ptr<const Runbook> pinned_runbook(
    const std::string& text,
    const std::string& path,
    const std::map<std::string, std::string>& parts);

}  // namespace lockstep
