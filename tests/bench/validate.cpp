// How long does it take to check a runbook of a thousand steps, and how much of that is the reading
// of its YAML? bench/README.md says how to run it.

#include "base/yaml.hpp"
#include "engine/runbook/runbook_rules.hpp"
#include "steps/catalog.hpp"

#include <algorithm>
#include <chrono>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <vector>

namespace {

using namespace lockstep;

constexpr std::size_t k_steps = 1000;
constexpr int k_rounds = 21;
constexpr double k_goal_ms = 50;

const std::string k_head =
    "runbook: big\ninputs:\n  target: {type: version}\nguards: [leader_unchanged]\nsteps:\n"
    "  - {id: gate, uses: check, with: {refuse_on: critical}}\n";

/// As most steps are: an action, where, and with what.
std::string plain_step(const std::string& number) {
    return "  - id: step_" + number +
           "\n    on: replicas\n    uses: service.restart\n    with: {service: \"${{ "
           "cluster.patroni_service }}\"}\n    timeout: 2m\n";
}

/// With every key that one would give.
std::string full_step(const std::string& number) {
    return "  - id: step_" + number + "\n    name: The step number " + number +
           "\n    on: replicas\n    when: member.state == 'streaming' and inputs.target != "
           "null\n    uses: ssh.run\n    with:\n      argv: [echo, \"${{ inputs.target }}\", \"" +
           number + "\"]\n    register: r" + number +
           "\n    timeout: 2m\n    retry: {attempts: 3, delay: 5s}\n    undo: none\n";
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

void measure(const std::string& name, const auto& step) {
    std::string text = k_head;
    for (std::size_t i = 1; i < k_steps; ++i) {
        text += step(std::to_string(i));
    }
    const RunbookVocabulary vocabulary = runbook_vocabulary();
    std::vector<double> whole;
    std::vector<double> reading;
    for (int round = 0; round < k_rounds; ++round) {
        reading.push_back(milliseconds([&] {
            if (yaml::parse(text, "big.yaml").find("steps")->items.size() != k_steps) {
                throw std::logic_error("the steps are not all there");
            }
        }));
        whole.push_back(milliseconds([&] {
            const Runbook runbook = parse_runbook(text, "big.yaml", vocabulary);
            if (!check_runbook(runbook, vocabulary.actions).empty()) {
                throw std::logic_error("the runbook is not clean");
            }
        }));
    }
    std::cout << name << ", " << text.size() / 1024 << " KiB: " << std::setprecision(1)
              << median(whole) << " ms (goal " << k_goal_ms << "), of which YAML "
              << median(reading) << " ms\n";
}

}  // namespace

int main() {
    std::cout << std::fixed << k_steps << " steps, medians of " << k_rounds << " rounds in turn\n";
    measure("plain steps", plain_step);
    measure("steps with every key", full_step);
    return 0;
}
