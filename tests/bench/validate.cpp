// How long does it take to check a runbook of a thousand steps, compared with yaml-cpp reading it
// into its own tree and looking at nothing? bench/README.md says how to run it.

#include "engine/runbook/runbook_rules.hpp"
#include "steps/catalog.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <chrono>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <vector>

namespace {

using namespace lockstep;

constexpr int k_steps = 1000;
constexpr int k_rounds = 21;
constexpr double k_goal_ms = 50;

std::string runbook_text() {
    std::string text =
        "runbook: big\ninputs:\n  target: {type: version}\nguards: [leader_unchanged]\nsteps:\n"
        "  - {id: gate, uses: check, with: {refuse_on: critical}}\n";
    for (int i = 1; i < k_steps; ++i) {
        const std::string number = std::to_string(i);
        text +=
            "  - id: step_" + number + "\n    name: The step number " + number +
            "\n    on: replicas\n    when: member.state == 'streaming' and inputs.target != "
            "null\n    uses: ssh.run\n    with:\n      argv: [echo, \"${{ inputs.target }}\", \"" +
            number + "\"]\n    register: r" + number +
            "\n    timeout: 2m\n    retry: {attempts: 3, delay: 5s}\n    undo: none\n";
    }
    return text;
}

double milliseconds(const auto& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
        .count();
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

}  // namespace

int main() {
    const std::string text = runbook_text();
    const RunbookVocabulary vocabulary = runbook_vocabulary();
    std::vector<double> ours;
    std::vector<double> theirs;
    for (int round = 0; round < k_rounds; ++round) {
        theirs.push_back(milliseconds([&] {
            if (!YAML::Load(text)["steps"].IsSequence()) {
                throw std::logic_error("yaml-cpp does not see the steps");
            }
        }));
        ours.push_back(milliseconds([&] {
            const Runbook runbook = parse_runbook(text, "big.yaml", vocabulary);
            if (!check_runbook(runbook, vocabulary.actions).empty()) {
                throw std::logic_error("the runbook is not clean");
            }
        }));
    }
    std::cout << std::fixed << std::setprecision(1) << k_steps << " steps, " << text.size() / 1024
              << " KiB, medians of " << k_rounds << " rounds in turn\nlockstep validates in "
              << median(ours) << " ms (goal: " << k_goal_ms << "), yaml-cpp alone reads in "
              << median(theirs) << " ms: ratio " << std::setprecision(2)
              << median(ours) / median(theirs) << "\n";
    return 0;
}
