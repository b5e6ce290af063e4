#include "engine/expression/expression_functions.hpp"

#include <re2/re2.h>

#include <algorithm>

namespace lockstep {

namespace {

constexpr std::size_t k_longest_pattern = 1024;
// For the program and the automaton of one pattern. RE2 allots a quarter to the program, which
// bounds it to some 4000 instructions, so that `((a{100}){100}){100}` is refused.
constexpr std::int64_t k_pattern_memory = std::int64_t{256} * 1024;
constexpr std::size_t k_compile_steps = 5000;
// When the automaton outgrows its memory, RE2 simulates it: every instruction for every byte.
constexpr std::size_t k_simulated_per_step = 512;

std::unique_ptr<re2::RE2> compile(const std::string& pattern) {
    re2::RE2::Options options(re2::RE2::Quiet);
    options.set_max_mem(k_pattern_memory);
    return std::make_unique<re2::RE2>(pattern, options);
}

}  // namespace

PatternCache::PatternCache() = default;
PatternCache::~PatternCache() = default;

Evaluation PatternCache::matches(const std::string& text,
                                 const std::string& pattern,
                                 bool shown,
                                 Budget& budget) {
    if (pattern.size() > k_longest_pattern) {
        return EvaluationError{"the regular expression is longer than 1024 characters", {}};
    }
    auto found = compiled_.find(pattern);
    if (found == compiled_.end()) {
        budget.spend(k_compile_steps);
        found = compiled_.emplace(pattern, compile(pattern)).first;
    }
    const re2::RE2& compiled = *found->second;
    if (!compiled.ok()) {
        return EvaluationError{
            shown ? "the regular expression \"" + pattern + "\" is not valid: " + compiled.error()
                  : "the regular expression is not valid",
            "The syntax is RE2's: no look-around and no back references."};
    }
    const auto instructions = static_cast<std::size_t>(std::max(compiled.ProgramSize(), 1));
    budget.spend(1 + text.size() * instructions / k_simulated_per_step);
    return Value(re2::RE2::PartialMatch(text, compiled));
}

}  // namespace lockstep
