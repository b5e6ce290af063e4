#pragma once

#include "cli/options.hpp"
#include "engine/run/run_session.hpp"
#include "steps/live_runner.hpp"

#include <functional>

namespace lockstep {

struct Interrupts;

/// Runs something while a person or a program looks on: prints progress or events, takes signals,
/// prints a summary at the end.
class Attended {
  public:
    Attended(const Options& options, Interrupts& interrupts, LiveRunner& runner)
        : options_(options), interrupts_(interrupts), runner_(runner) {}

    /// `work` runs with the listener it is given; returns the exit code.
    int run(const RunHeader& header, const std::function<RunEnd(RecordListener)>& work);

  private:
    const Options& options_;
    Interrupts& interrupts_;
    LiveRunner& runner_;
};

}  // namespace lockstep
