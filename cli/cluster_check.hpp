#pragma once

#include "base/clock.hpp"
#include "cluster/finding.hpp"
#include "cluster/sample_history.hpp"
#include "inventory/inventory.hpp"
#include "steps/live_runner.hpp"

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

/// One look at one cluster or at many, as `check` needs it.
namespace lockstep {

/// As monitoring plugins number them: the exit codes of `check`.
enum class CheckStatus { ok = 0, warning = 1, critical = 2, unknown = 3 };

[[nodiscard]] std::string_view to_text(CheckStatus status);

/// What a look at a cluster came to.
struct CheckResult {
    std::string cluster;
    std::string error;  ///< why nothing could be observed; empty: it could
    std::string hint;
    ClusterFacts facts;             ///< without `error`
    std::vector<Finding> findings;  ///< the same
    Clock::Wall at;
    std::chrono::milliseconds took{0};

    [[nodiscard]] bool observed() const { return error.empty(); }

    [[nodiscard]] CheckStatus status() const;
};

/// The status for several clusters: critical outweighs unknown, so that a cluster that cannot be
/// observed hides no trouble of another one.
[[nodiscard]] CheckStatus worst(const std::vector<CheckResult>& results);

/// `check --output json` of one cluster, and of several.
[[nodiscard]] nlohmann::json to_json(const CheckResult& result);
[[nodiscard]] nlohmann::json to_json(const std::vector<CheckResult>& results);

/// Clusters that are looked at again and again; connections are kept from look to look, and made
/// anew where they were lost. What is seen goes into the history, and what was seen before counts:
/// for slots, for growth, for the length of a pause.
class ClusterChecks {
  public:
    struct Settings {
        std::chrono::milliseconds member_timeout{15000};
        /// Wait three loops for a second sample where a slot is suspicious and the history does not
        /// know it. Off for one that looks again soon anyway.
        bool second_sample = true;
        ConnectionFactory connections;
    };

    /// The clusters must outlive this.
    ClusterChecks(const std::vector<const Cluster*>& clusters,
                  SampleHistory& history,
                  Clock& clock,
                  const Settings& settings);
    ClusterChecks(const ClusterChecks&) = delete;
    ClusterChecks& operator=(const ClusterChecks&) = delete;
    ~ClusterChecks() = default;

    /// All of them, side by side, in the order of the inventory; a cluster takes at most a few
    /// times `member_timeout`, and three loops more for a second sample. What goes wrong with one
    /// is its result. Throws TransportError cancelled when a stop was requested.
    [[nodiscard]] std::vector<CheckResult> look(std::stop_token stop);

  private:
    struct One {
        const Cluster* cluster;
        std::unique_ptr<LiveRunner> runner;
    };

    [[nodiscard]] CheckResult look_at(One& one, const std::stop_token& stop);
    void observe(One& one, CheckResult& result, const std::stop_token& stop);

    SampleHistory& history_;
    Clock& clock_;
    std::vector<One> clusters_;
};

}  // namespace lockstep
