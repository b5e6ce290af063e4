#include "cli/commands.hpp"
#include "cli/signals.hpp"
#include "cli/texts.hpp"

#include <unistd.h>

#include <iostream>

namespace lockstep {

int command_check(const Options& options, Interrupts& interrupts) {
    Workplace place(options);
    ClusterFacts facts = place.runner.observe(true, interrupts.token());
    const std::vector<Finding> findings = place.runner.diagnose(facts, interrupts.token());
    const Severity severity = worst(findings);
    const char* status = severity == Severity::critical  ? "critical"
                         : severity == Severity::warning ? "warning"
                                                         : "ok";
    if (options.output == Output::text) {
        std::cout << check_text(facts, findings, Terminal::on(STDOUT_FILENO));
    } else {
        nlohmann::json document = facts.to_json();
        document["status"] = status;
        document["findings"] = to_json(findings);
        std::cout << document.dump(options.output == Output::json ? 2 : -1,
                                   ' ',
                                   false,
                                   nlohmann::json::error_handler_t::replace)
                  << "\n";
    }
    return severity == Severity::critical ? 2 : severity == Severity::warning ? 1 : 0;
}

}  // namespace lockstep
