#pragma once

#include "engine/runbook/runbook.hpp"

#include <functional>
#include <set>
#include <string>

namespace lockstep::runbook_reading {

/// What a text with expressions, or an expression, reads from the scope, and the place to point at
/// in messages.
struct Read {
    std::set<std::string> paths;
    const std::string* text = nullptr;
    SourceLocation where;
};

using TakeRead = std::function<void(const Read&)>;

void for_each_read(const Argument& argument, const TakeRead& take);
/// What a step evaluates by itself; of a block, without the steps in it.
void for_each_read(const StepSpec& step, const TakeRead& take);

/// The steps that can begin only after a step that fits is over, by the order of the file and by
/// `needs`. A step that fits is not after itself, but the steps inside of it are.
[[nodiscard]] std::set<const StepSpec*> steps_after(
    const std::vector<StepSpec>& steps, const std::function<bool(const StepSpec&)>& fits);

}  // namespace lockstep::runbook_reading
