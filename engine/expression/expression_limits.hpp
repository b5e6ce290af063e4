#pragma once

#include "engine/expression/value.hpp"

#include <cstddef>
#include <cstdint>

/// What keeps an expression from hanging or filling the memory, whatever is written in it.
namespace lockstep {

constexpr std::size_t k_longest_expression = 4096;
constexpr int k_deepest_expression = 64;
/// Of a value that an expression makes: lists in lists.
constexpr int k_deepest_value = 128;
/// A list of 1000 members asked twenty things about each needs some 50,000; the whole budget is
/// used up within a second.
constexpr std::int64_t k_evaluation_steps = 1'000'000;
/// Copying or comparing so many bytes counts as one step: at most 64 MB are made in one evaluation.
constexpr std::size_t k_bytes_per_step = 64;

/// Thrown by Budget, caught by Expression::evaluate: an error that nothing absorbs.
struct BudgetExceeded {
    const char* message;
};

/// The steps that one evaluation may still take.
class Budget {
  public:
    /// Throws BudgetExceeded when they are used up.
    void spend(std::size_t steps) {
        if (steps > static_cast<std::size_t>(left_)) {
            left_ = 0;
            throw BudgetExceeded{"the expression takes too long to evaluate"};
        }
        left_ -= static_cast<std::int64_t>(steps);
    }

    void spend_bytes(std::size_t bytes) { spend(1 + bytes / k_bytes_per_step); }

  private:
    std::int64_t left_ = k_evaluation_steps;
};

/// What is in a value, at whatever depth.
struct Content {
    bool tainted = false;
    const Value* unknown = nullptr;  ///< the first unknown value
};

/// Walks through all of it. Throws BudgetExceeded for what is nested too deeply.
[[nodiscard]] Content inspect(const Value& value, Budget& budget, int depth = 0);

/// Whether lists and maps are in each other at more levels than that.
[[nodiscard]] bool nests_deeper_than(const Value& value, int levels);

}  // namespace lockstep
