#include "engine/runbook/runbook.hpp"
#include "tests/engine/runbook/runbook_vocabulary.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <tuple>

// The input as a runbook. Whatever it is: a runbook that can be worked with, or InputErrors with
// places in the file, in their order; nothing else, and soon.
namespace {

using namespace lockstep;

void require(bool holds) {
    if (!holds) {
        std::abort();
    }
}

void check_errors(const InputErrors& errors) {
    require(!errors.errors().empty());
    std::tuple<int, int> last{0, 0};
    for (const InputError& error : errors.errors()) {
        const std::tuple<int, int> here{error.where().line, error.where().column};
        require(error.where().file == "f" && here >= last);
        require(std::get<0>(here) == 0 || std::get<1>(here) > 0);
        last = here;
    }
}

void check_steps(const std::vector<StepSpec>& steps) {
    require(!steps.empty());
    for (const StepSpec& step : steps) {
        require(!step.id.empty() && step.uses.empty() != step.steps.empty());
        require(!step.on || !step.on_that);
        require(!step.strategy.batch.empty() && step.retry.attempts >= 1);
        require(!step.no_undo || step.undo.empty());
        for (const CallSpec& call : step.undo) {
            require(!call.uses.empty() && !call.where.file.empty());
        }
        require(!step.verify || !step.verify->uses.empty());
        if (!step.steps.empty()) {
            require(step.undo.empty() && !step.verify && step.point_of_no_return.empty());
            check_steps(step.steps);
        }
    }
}

/// Every input given as a text: a value, or a UsageError.
void check_inputs(const Runbook& runbook) {
    for (const char* text : {"", "1", "true", "a,b", "[\"a\"]", "1h", "4.0.7", "file:/dev/null"}) {
        std::map<std::string, std::string> given;
        for (const InputSpec& input : runbook.inputs) {
            given.emplace(input.name, text);
        }
        try {
            require(read_inputs(runbook, given).size() == given.size());
        } catch (const UsageError& error) {
            require(*error.what() != '\0');
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    try {
        const Runbook runbook = parse_runbook(text, "f", testing_vocabulary::vocabulary());
        check_steps(runbook.steps);
        check_inputs(runbook);
    } catch (const InputErrors& errors) {
        check_errors(errors);
    }
    return 0;
}
