#pragma once

#include "engine/runbook/runbook.hpp"

#include <functional>
#include <set>
#include <string>

namespace lockstep::runbook_reading {

/// A text with expressions in it, or an expression: what it reads, and where to point.
struct Read {
    std::set<std::string> paths;
    const std::string* text = nullptr;
    SourceLocation where;
};

using TakeRead = std::function<void(const Read&)>;

void for_each_read(const Argument& argument, const TakeRead& take);
/// What a step evaluates by itself; of a block, without the steps in it.
void for_each_read(const StepSpec& step, const TakeRead& take);

/// The steps that are begun only after one that fits is over, by the order of the file and by
/// `needs`. A step that fits is not after itself, but the steps inside of it are.
[[nodiscard]] std::set<const StepSpec*> steps_after(
    const std::vector<StepSpec>& steps, const std::function<bool(const StepSpec&)>& fits);

}  // namespace lockstep::runbook_reading
