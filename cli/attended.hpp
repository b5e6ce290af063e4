#pragma once

#include "cli/identity.hpp"
#include "cli/options.hpp"
#include "cli/people.hpp"
#include "engine/run/run_session.hpp"
#include "steps/catalog.hpp"
#include "steps/live_runner.hpp"

#include <functional>

namespace lockstep {

struct Interrupts;

/// What a run of the plan works with. `place` has its people, cluster, clock and runner, and lives
/// as long.
template <class Place>
[[nodiscard]] RunSession::Setup session_setup(const Options& options,
                                              Place& place,
                                              const Plan& plan,
                                              JournalStore& journal,
                                              RecordListener listener) {
    return {plan,
            place.cluster,
            action_catalog(),
            place.runner,
            journal,
            place.clock,
            std::move(listener),
            place.people(),
            {options.wait, options.override_window},
            own_engine()};
}

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
