#pragma once

/// steps/: what the engine cannot do itself: actions, looking, the lock, the spool, notifications,
/// each in a folder of its own. In what order anything is done, and what becomes of a failure, is
/// for engine/. Read this file first, then catalog.cpp, which has every action in a row, and
/// actions/action.hpp.

#include "base/clock.hpp"
#include "engine/plan/step_runner.hpp"
#include "steps/actions/action.hpp"
#include "steps/lock/cluster_lock.hpp"
#include "steps/notify/notifier.hpp"
#include "steps/observation/connections.hpp"
#include "steps/observation/observer.hpp"
#include "steps/reachability.hpp"
#include "steps/read_ahead.hpp"
#include "steps/write_probe.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace lockstep {

/// The StepRunner of real runs: actions on worker threads, one thread a running step, connections
/// kept from step to step.
class LiveRunner final : public StepRunner {
  public:
    /// `targets`: who can be notified, `Inventory::notify`.
    LiveRunner(const Cluster& cluster,
               ConnectionFactory factory,
               Clock& clock,
               const NotifyTargets& targets = {});
    LiveRunner(const LiveRunner&) = delete;
    LiveRunner& operator=(const LiveRunner&) = delete;
    /// Cancels what still runs and waits for it.
    ~LiveRunner() override;

    void remember_members(const ClusterFacts& planned) override { observer_.remember(planned); }

    [[nodiscard]] ClusterFacts observe(bool full, std::stop_token stop) override;
    [[nodiscard]] std::vector<Finding> diagnose(ClusterFacts& facts, std::stop_token stop) override;

    /// How a caller that only looks wants it done. Not to be changed while a step runs.
    struct Looking {
        std::chrono::milliseconds timeout{15000};         ///< of one member
        std::chrono::milliseconds second_timeout{60000};  ///< the same, in a second sample
        /// Decides about suspicious slots by samples of before: see settle_by_earlier(). Empty:
        /// there are none.
        std::function<bool(ClusterFacts& now)> settle;
        bool second_sample = true;  ///< take one where that did not decide; false: another time
    };

    void look(Looking how) { looking_ = std::move(how); }

    /// Whether each member can be worked on, by every way there is; observes first.
    [[nodiscard]] std::vector<Way> reachability(std::stop_token stop);

    [[nodiscard]] nlohmann::json probe(const StepCall& call,
                                       const ClusterFacts& facts,
                                       std::stop_token stop) override;
    [[nodiscard]] Preview preview(const StepCall& call, const ClusterFacts& facts) override;

    [[nodiscard]] Reconciliation reconcile(const ClusterFacts& end) override;
    [[nodiscard]] LockGrant take_lock(const LockRequest& request,
                                      const ClusterFacts& facts,
                                      std::stop_token stop) override;
    [[nodiscard]] std::string lock_trouble(std::stop_token stop) override;
    [[nodiscard]] std::string sign_lock(const std::string& would_leave,
                                        std::stop_token stop) override;
    void sign_lock_later(const std::string& would_leave) override;
    void release_lock(const std::string& left_behind) override;
    void clean_up(const std::string& run, const ClusterFacts& facts) override;

    void start(std::size_t index,
               StepCall call,
               std::shared_ptr<const ClusterFacts> facts) override;
    [[nodiscard]] std::optional<StepEvent> wait(std::chrono::milliseconds at_most) override;
    void drop_read_ahead() override;
    /// Safe to call from another thread.
    void cancel_all() override;

    void start_write_probe(const ProbeSettings& settings, const ClusterFacts& facts) override;
    [[nodiscard]] std::optional<ProbeReport> write_probe() override;
    void stop_write_probe() override;

    void notify(const std::string& target, Notification notification) override;
    [[nodiscard]] std::vector<std::string> notification_troubles() override;
    void finish_notifications(std::chrono::milliseconds at_most) override;

  private:
    /// The facts that an action gets: a copy, because it may look again. Copies of many members at
    /// once would be large, so an action that needs no other member gets only its own.
    [[nodiscard]] static ClusterFacts facts_for(const StepTask& task);
    void work(std::stop_token stop);
    [[nodiscard]] StepResult perform(StepTask& task, ReadAheadBatch* batch);
    [[nodiscard]] std::stop_token stop_of_now();
    [[nodiscard]] ActionContext context_for(const StepTask& task, ReadAheadBatch* batch);
    void finish(const StepTask& task,
                const std::shared_ptr<ReadAheadBatch>& batch,
                StepResult result);

    const Cluster& cluster_;
    Clock& clock_;
    Connections connections_;
    Observer observer_;
    Notifier notifier_;
    Looking looking_;
    std::optional<ClusterFacts> earlier_;  ///< the sample before, for slots that do not move
    std::unique_ptr<WriteProbe> write_probe_;
    std::string scope_;                  ///< Patroni's, when the lock was taken
    std::string run_;                    ///< that took it
    std::unique_ptr<ClusterLock> lock_;  ///< while this run holds the cluster
    std::mutex lock_use_;                // one thread at a time asks it

    std::mutex mutex_;  // guards what follows
    std::condition_variable_any wake_;
    std::deque<StepTask> tasks_;
    std::deque<StepEvent> events_;
    ReadAhead read_ahead_;
    std::size_t idle_workers_ = 0;
    std::stop_source cancel_;

    std::vector<std::jthread> workers_;  // last: they stop before what they use is gone
};

}  // namespace lockstep
