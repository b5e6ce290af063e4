#pragma once

#include "base/clock.hpp"
#include "base/sqlite.hpp"
#include "cluster/sample.hpp"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// The samples of earlier checks, in `samples.db` of the state folder (SQLite, WAL, as private as
/// the journal): what makes growth a rate and spares `check` its second sample. Only `check` reads
/// and writes it: what a run does must not depend on what happens to be in a folder.
///
/// Bounded: at most k_most_samples rows a cluster (see to_forget()), of about 0.5 kB a member and
/// 0.2 kB a slot: some 2 MB for a cluster of three.
///
/// It never fails a check. Where the folder cannot be used (on a network file system, not ours) or
/// written, the samples are kept in memory, for this process alone, beside those that are there and
/// can be read, and a line at log level info says so. Safe to use from several threads; another
/// process may write at the same time.
class SampleHistory {
  public:
    SampleHistory(const std::string& folder, Clock& clock);

    /// Remembers what was observed, and forgets what is too much.
    void add(const ClusterFacts& facts);

    /// The samples of the last `within` and the newest one before that, oldest first; `ago` counts
    /// to the moment at which `now` was sampled.
    [[nodiscard]] std::vector<Sample> recent(const ClusterFacts& now,
                                             std::chrono::milliseconds within);

    /// Since when every sample shows the cluster paused; nullopt: the newest does not, or there is
    /// none.
    [[nodiscard]] std::optional<Clock::Wall> paused_since(const std::string& cluster);

    /// Why it is in memory only; empty: it is kept in the folder.
    [[nodiscard]] const std::string& trouble() const { return trouble_; }

  private:
    void open(const std::string& path);
    void refuse_unknown(const std::string& path);
    void give_up(const std::string& why);
    [[nodiscard]] Moment moment_of(const ClusterFacts& facts);
    /// Of the newest sample, when that shows the cluster paused.
    [[nodiscard]] std::optional<std::int64_t> paused_ms(const std::string& cluster);
    void forget(const std::string& cluster, Clock::Wall now);

    Clock& clock_;
    std::string boot_id_;
    std::mutex mutex_;
    std::unique_ptr<sqlite::Database> db_;
    std::string trouble_;
};

}  // namespace lockstep
