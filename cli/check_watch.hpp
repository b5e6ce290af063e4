#pragma once

#include "cli/cluster_check.hpp"
#include "cli/options.hpp"
#include "cli/terminal.hpp"

#include <deque>
#include <map>
#include <string>
#include <vector>

/// `check --watch`: what changes from look to look.
namespace lockstep {

struct Interrupts;

struct WatchEvent {
    enum class Kind { appeared, gone, changed, failed, back };

    Kind kind;
    Clock::Wall at;
    std::string cluster;
    Finding finding;     ///< of appeared and gone
    std::string member;  ///< of changed; empty: the cluster
    std::string field;   ///< of changed: role, state, patroni, timeline, leader
    std::string from;    ///< of changed
    std::string to;      ///< of changed; of failed the error
};

/// One JSON line: finding_appeared, finding_gone, changed, observation_failed, observation_back.
[[nodiscard]] nlohmann::json to_json(const WatchEvent& event);
/// One JSON line with the numbers of a look, `"event":"sample"`.
[[nodiscard]] nlohmann::json sample_event(const CheckResult& result);
/// For the screen; `latest` marks those of the last look.
[[nodiscard]] std::string event_line(const WatchEvent& event,
                                     bool latest,
                                     const Terminal& terminal);

/// Compares one look with the one before. A cluster that could not be observed keeps its findings:
/// that nobody sees them does not mean that they are gone.
class WatchLog {
  public:
    /// What is new since the look before; at the first one every finding is.
    [[nodiscard]] std::vector<WatchEvent> take(const std::vector<CheckResult>& results);

  private:
    struct Known {
        bool failed = false;
        bool seen = false;
        std::vector<Finding> findings;
        std::map<std::pair<std::string, std::string>, std::string> values;  ///< member, field
    };

    void compare(const CheckResult& result, Known& known, std::vector<WatchEvent>& events);

    std::map<std::string, Known> known_;
};

/// Looks every `options.watch` until a stop is requested. Returns the exit code of the last look.
[[nodiscard]] int watch(const Options& options,
                        ClusterChecks& checks,
                        Clock& clock,
                        Interrupts& interrupts);

}  // namespace lockstep
