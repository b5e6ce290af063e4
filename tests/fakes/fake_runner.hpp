#pragma once

#include "base/error.hpp"
#include "engine/plan/step_runner.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

/// A world in which steps are functions: the facts are what the test says, a step's result is what
/// the test says. Everything that is asked is kept in `asked`. A call of an action that nobody
/// described is a test failure.
class FakeRunner final : public StepRunner {
  public:
    using Previewer = std::function<Preview(const StepCall&, const ClusterFacts&)>;
    using Worker = std::function<StepResult(const StepCall&, ClusterFacts&)>;

    ClusterFacts facts;                   ///< what the next observation sees
    std::vector<Finding> findings;        ///< what the next diagnosis says
    std::vector<std::string> asked;       ///< "observe", "preview x on n1", "start x on n1", …
    std::vector<bool> depths;             ///< of each observation: whether all facts were asked for
    std::vector<std::string> read_ahead;  ///< with what is started: "step2 after step1 on n1"
    std::map<std::string, Previewer> previews;  ///< by action
    std::map<std::string, Worker> workers;      ///< by action
    std::optional<ProbeReport> probe_report;
    std::function<void()> before_observe;  ///< may throw, or change the facts
    Reconciliation reconciliation;         ///< what a rollback has to do besides
    std::string lock_held_by;              ///< not empty: take_lock() finds another run
    std::string lock_problem;              ///< what lock_trouble() says
    std::vector<std::string> released;     ///< what release_lock() was told
    std::vector<std::pair<std::string, Notification>> notifications;  ///< by target, as sent
    std::vector<std::string> notification_troubles_next;  ///< what is told once, when next asked
    /// Of actions whose commands run on the member: what became of each key, as a spool keeps it.
    /// Following one that is not there is answered by `absent`.
    std::map<std::string, StepResult> spool;
    std::vector<std::string> spooled;  ///< the actions that have one

    /// An action that is always done and always succeeds.
    void describe(const std::string& action) {
        previews[action] = [](const StepCall&, const ClusterFacts&) { return Preview{}; };
        workers[action] = [](const StepCall&, ClusterFacts&) { return StepResult{}; };
    }

    [[nodiscard]] ClusterFacts observe(bool full, std::stop_token /*stop*/) override {
        asked.emplace_back("observe");
        depths.push_back(full);
        if (before_observe) {
            before_observe();
        }
        return facts;
    }

    [[nodiscard]] std::vector<Finding> diagnose(ClusterFacts& /*facts*/,
                                                std::stop_token /*stop*/) override {
        asked.emplace_back("diagnose");
        return findings;
    }

    [[nodiscard]] nlohmann::json probe(const StepCall& call,
                                       const ClusterFacts& /*facts*/,
                                       std::stop_token /*stop*/) override {
        asked.push_back("probe " + name(call));
        return nullptr;
    }

    [[nodiscard]] Preview preview(const StepCall& call, const ClusterFacts& seen) override {
        asked.push_back("preview " + name(call));
        const auto found = previews.find(call.uses);
        if (found == previews.end()) {
            ADD_FAILURE() << "nobody said what " << call.uses << " would do";
            return {};
        }
        return found->second(call, seen);
    }

    void start(std::size_t index,
               StepCall call,
               std::shared_ptr<const ClusterFacts> /*seen*/) override {
        if (call.attach_only) {
            asked.push_back("follow " + name(call));
            const auto known = spool.find(call.key);
            events_.push_back({index,
                               nullptr,
                               known == spool.end() ? StepResult{.outcome = StepOutcome::absent}
                                                    : known->second});
            return;
        }
        asked.push_back("start " + name(call));
        for (const auto& next : call.read_ahead) {
            read_ahead.push_back(next->id + " after " + name(call));
        }
        const auto found = workers.find(call.uses);
        if (found == workers.end()) {
            ADD_FAILURE() << "nobody said what comes of " << call.uses;
            throw std::logic_error("no worker for " + call.uses);
        }
        const bool on_member =
            std::find(spooled.begin(), spooled.end(), call.uses) != spooled.end();
        const auto known = spool.find(call.key);
        StepResult result =
            on_member && known != spool.end() ? known->second : found->second(call, facts);
        if (call.verify && result.outcome == StepOutcome::succeeded) {
            const StepResult seen = workers.at(call.verify->uses)(*call.verify, facts);
            result.outcome = seen.outcome;
            result.message = seen.message;
        }
        if (on_member) {
            spool[call.key] = result;
            events_.push_back({index, {{"boot_id", "boot"}, {"pid", 7}}, {}});
        }
        events_.push_back({index, nullptr, result});
    }

    [[nodiscard]] Reconciliation reconcile(const ClusterFacts& /*end*/) override {
        return reconciliation;
    }

    [[nodiscard]] LockGrant take_lock(const LockRequest& request,
                                      const ClusterFacts& /*facts*/,
                                      std::stop_token /*stop*/) override {
        asked.push_back("lock for " + request.run);
        if (!lock_held_by.empty()) {
            throw LockHeldError("another run has the cluster: " + lock_held_by);
        }
        return {"lock", ++fence_, {}};
    }

    [[nodiscard]] std::string lock_trouble(std::stop_token /*stop*/) override {
        return lock_problem;
    }

    void release_lock(const std::string& left_behind) override {
        asked.emplace_back("unlock");
        released.push_back(left_behind);
    }

    void clean_up(const std::string& run, const ClusterFacts& /*facts*/) override {
        asked.push_back("clean up " + run);
    }

    /// The engine is gone: what it was told and had not taken yet is lost.
    void forget_events() { events_.clear(); }

    [[nodiscard]] std::optional<StepEvent> wait(std::chrono::milliseconds at_most) override {
        if (events_.empty()) {
            if (on_idle_wait && at_most.count() > 0) {
                on_idle_wait();
            }
            return std::nullopt;
        }
        StepEvent event = std::move(events_.front());
        events_.pop_front();
        return event;
    }

    void drop_read_ahead() override {}

    void cancel_all() override { asked.emplace_back("cancel"); }

    void start_write_probe(const ProbeSettings& /*settings*/,
                           const ClusterFacts& /*seen*/) override {
        asked.emplace_back("start write probe");
    }

    [[nodiscard]] std::optional<ProbeReport> write_probe() override { return probe_report; }

    void stop_write_probe() override {}

    void notify(const std::string& target, Notification notification) override {
        notifications.emplace_back(target, std::move(notification));
    }

    [[nodiscard]] std::vector<std::string> notification_troubles() override {
        return std::exchange(notification_troubles_next, {});
    }

    void finish_notifications(std::chrono::milliseconds /*at_most*/) override {
        asked.emplace_back("finish notifications");
    }

    /// How often something was asked.
    [[nodiscard]] int count(const std::string& what) const {
        return static_cast<int>(std::count(asked.begin(), asked.end(), what));
    }

    std::function<void()> on_idle_wait;  ///< lets a fake clock go on while nothing runs

  private:
    static std::string name(const StepCall& call) {
        return call.member.empty() ? call.id : call.id + " on " + call.member;
    }

    std::deque<StepEvent> events_;
    std::int64_t fence_ = 0;
};

}  // namespace lockstep
