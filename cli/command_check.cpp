#include "base/error.hpp"
#include "base/suggest.hpp"
#include "cli/commands.hpp"
#include "cli/signals.hpp"
#include "cli/texts.hpp"

#include <unistd.h>

#include <iostream>

namespace lockstep {

namespace {

// Before anything is asked: a mistake costs no time.
void refuse_other_topics(const Options& options) {
    const std::vector<std::string> topics{"wal"};
    if (options.explain.empty() && !options.member.empty()) {
        throw UsageError(
            "check takes a member only with --explain",
            "lockstep check " + options.cluster + " " + options.member + " --explain wal");
    }
    if (!options.explain.empty() && options.explain != topics.front()) {
        throw UsageError("check cannot explain \"" + options.explain + "\"",
                         did_you_mean(options.explain, topics));
    }
}

std::vector<WalExplanation> explanations(const Options& options, const ClusterFacts& facts) {
    if (options.member.empty()) {
        return explain_wal(facts);
    }
    if (const MemberFacts* member = facts.find(options.member)) {
        return {explain_wal(facts, *member)};
    }
    std::vector<std::string> names;
    for (const MemberFacts& member : facts.members) {
        names.push_back(member.name);
    }
    throw UsageError("the cluster " + facts.name + " has no member \"" + options.member + "\"",
                     did_you_mean(options.member, names));
}

}  // namespace

int command_check(const Options& options, Interrupts& interrupts) {
    refuse_other_topics(options);
    Workplace place(options);
    ClusterFacts facts = place.runner.observe(true, interrupts.token());
    const std::vector<Finding> findings = place.runner.diagnose(facts, interrupts.token());
    const Severity severity = worst(findings);
    const char* status = severity == Severity::critical  ? "critical"
                         : severity == Severity::warning ? "warning"
                                                         : "ok";
    if (options.output == Output::text && !options.explain.empty()) {
        std::cout << explain_text(
            facts, findings, explanations(options, facts), Terminal::on(STDOUT_FILENO));
    } else if (options.output == Output::text) {
        std::cout << check_text(facts, findings, Terminal::on(STDOUT_FILENO));
    } else {
        nlohmann::json document = facts.to_json();
        document["status"] = status;
        document["findings"] = to_json(findings);
        if (!options.explain.empty()) {
            document["explanation"] = nlohmann::json::array();
            for (const WalExplanation& explanation : explanations(options, facts)) {
                document["explanation"].push_back(explanation.to_json());
            }
        }
        std::cout << document.dump(options.output == Output::json ? 2 : -1,
                                   ' ',
                                   false,
                                   nlohmann::json::error_handler_t::replace)
                  << "\n";
    }
    return severity == Severity::critical ? 2 : severity == Severity::warning ? 1 : 0;
}

}  // namespace lockstep
