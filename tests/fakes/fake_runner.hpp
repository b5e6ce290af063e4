#pragma once

#include "base/error.hpp"
#include "engine/plan/step_runner.hpp"
#include "tests/fakes/fake_clock.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

/// A world in which steps are functions: the facts are what the test says, a step's result is what
/// the test says. Everything that is asked is kept in `asked`. A call of an action that nobody
/// described is a test failure.
///
/// With `pace` a call takes time on the clock: a command outlives whoever follows it, a request
/// acts late, an answer comes late or never. What may never be is then watched for, and collected
/// in `violations`.
class FakeRunner final : public StepRunner {
  public:
    /// How one call goes.
    struct Pace {
        std::chrono::milliseconds acts_after{50};  ///< of a command: when it has ended
        bool never_acts = false;                   ///< it is lost on its way; a command is killed
        /// Of a request: its answer never comes. Whoever waits gives up after `gives_up_after`.
        bool no_answer = false;
        std::chrono::milliseconds gives_up_after{10'000};
        bool unreachable = false;  ///< nothing is sent
    };

    std::function<Pace(const StepCall&)> pace;  ///< empty: everything happens at once
    FakeClock* clock = nullptr;                 ///< must be set with `pace`
    std::vector<std::string> violations;
    std::vector<std::string> course;  ///< what was sent and what it did, with the second

    /// Lets something happen at a time.
    void at(Clock::Wall when, std::function<void()> what) {
        happenings_.emplace(std::pair(when, ++order_), std::move(what));
    }

    /// Everything that is due by now happens, in its order.
    void catch_up() {
        while (clock != nullptr && !happenings_.empty() &&
               happenings_.begin()->first.first <= clock->wall_now()) {
            const std::function<void()> what = std::move(happenings_.begin()->second);
            happenings_.erase(happenings_.begin());
            what();
        }
    }

    /// A new world: nothing was sent yet.
    void start_over() {
        events_.clear();
        happenings_.clear();
        sent_.clear();
        spool.clear();
        asked.clear();
        depths.clear();
        violations.clear();
        course.clear();
        away.clear();
        remembered.clear();
    }

    /// The engine is gone, with what it knew. What it sent goes on.
    void engine_died() {
        events_.clear();
        remembered.clear();
        for (auto& [key, sent] : sent_) {
            sent.follower.reset();
        }
    }

    /// A member is booted anew: its commands are gone, without a status.
    void reboot(const std::string& member) {
        for (auto& [key, sent] : sent_) {
            if (sent.call.member == member && sent.command && !sent.over) {
                sent.over = sent.died = true;
                tell(sent, died_result());
            }
        }
    }

    /// What of the engines may still act.
    [[nodiscard]] std::vector<std::string> still_open() const {
        std::vector<std::string> open;
        for (const auto& [key, sent] : sent_) {
            if (!sent.over && !sent.call.only_looks) {
                open.push_back(name(sent.call));
            }
        }
        return open;
    }

    using Previewer = std::function<Preview(const StepCall&, const ClusterFacts&)>;
    using Worker = std::function<StepResult(const StepCall&, ClusterFacts&)>;

    ClusterFacts facts;             ///< what the next observation sees
    std::vector<Finding> findings;  ///< what the next diagnosis says
    /// What a diagnosis of these facts says; empty: `findings`.
    std::function<std::vector<Finding>(const ClusterFacts&)> judge;
    /// Members that are not in the DCS: who was not told to remember them does not see them.
    std::set<std::string> away;
    std::vector<std::string> asked;       ///< "observe", "preview x on n1", "start x on n1", …
    std::vector<bool> depths;             ///< of each observation: whether all facts were asked for
    std::vector<std::string> read_ahead;  ///< with what is started: "step2 after step1 on n1"
    std::map<std::string, Previewer> previews;  ///< by action
    std::map<std::string, Worker> workers;      ///< by action
    std::optional<ProbeReport> probe_report;
    std::function<void()> before_observe;  ///< may throw, or change the facts
    Reconciliation reconciliation;         ///< what a rollback has to do besides
    std::string lock_held_by;              ///< not empty: take_lock() finds another run
    std::string lock_sign;                 ///< what is written in the lock as left, or about to be
    std::string lock_problem;              ///< what lock_trouble() says
    std::vector<std::string> remembered;   ///< what remember_members() was told
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

    void remember_members(const ClusterFacts& planned) override {
        for (const MemberFacts& member : planned.members) {
            remembered.push_back(member.name);
        }
    }

    [[nodiscard]] ClusterFacts observe(bool full, std::stop_token /*stop*/) override {
        catch_up();
        asked.emplace_back("observe");
        depths.push_back(full);
        if (before_observe) {
            before_observe();
        }
        ClusterFacts seen = facts;
        std::erase_if(seen.members, [&](const MemberFacts& member) {
            return away.contains(member.name) &&
                   std::find(remembered.begin(), remembered.end(), member.name) == remembered.end();
        });
        return seen;
    }

    [[nodiscard]] std::vector<Finding> diagnose(ClusterFacts& seen,
                                                std::stop_token /*stop*/) override {
        asked.emplace_back("diagnose");
        return judge ? judge(seen) : findings;
    }

    [[nodiscard]] nlohmann::json probe(const StepCall& call,
                                       const ClusterFacts& /*facts*/,
                                       std::stop_token /*stop*/) override {
        asked.push_back("probe " + name(call));
        return nullptr;
    }

    std::function<void(const StepCall&)> before_preview;  ///< may throw

    [[nodiscard]] Preview preview(const StepCall& call, const ClusterFacts& seen) override {
        asked.push_back("preview " + name(call));
        if (before_preview) {
            before_preview(call);
        }
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
        if (pace) {
            start_in_time(index, std::move(call));
            return;
        }
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

    [[nodiscard]] std::string sign_lock(const std::string& would_leave,
                                        std::stop_token /*stop*/) override {
        if (lock_problem.empty()) {
            lock_sign = would_leave;
        }
        return lock_problem;
    }

    void sign_lock_later(const std::string& would_leave) override { lock_sign = would_leave; }

    void release_lock(const std::string& left_behind) override {
        lock_sign = left_behind;
        asked.emplace_back("unlock");
        released.push_back(left_behind);
    }

    void clean_up(const std::string& run, const ClusterFacts& /*facts*/) override {
        asked.push_back("clean up " + run);
    }

    /// The engine is gone: what it was told and had not taken yet is lost.
    void forget_events() { engine_died(); }

    [[nodiscard]] std::optional<StepEvent> wait(std::chrono::milliseconds at_most) override {
        if (clock != nullptr && pace && events_.empty()) {
            const Clock::Wall until = clock->wall_now() + at_most;
            catch_up();
            while (events_.empty() && !happenings_.empty() &&
                   happenings_.begin()->first.first <= until) {
                clock->advance(std::chrono::ceil<std::chrono::milliseconds>(
                    happenings_.begin()->first.first - clock->wall_now()));
                catch_up();
            }
            if (events_.empty() && clock->wall_now() < until) {
                clock->advance(
                    std::chrono::ceil<std::chrono::milliseconds>(until - clock->wall_now()));
            }
        }
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

    void cancel_all() override {
        asked.emplace_back("cancel");
        for (auto& [key, sent] : sent_) {
            if (!sent.over) {
                tell(sent, given_up(sent));
            }
        }
    }

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

    /// A call that was sent.
    struct Sent {
        StepCall call;
        bool command = false;  ///< it runs on a member under its key
        bool over = false;     ///< it acts no more
        bool died = false;
        StepResult result;
        std::optional<std::size_t> follower;  ///< the index of the start() that waits for it
        int follow = 0;                       ///< counts them, for their time limits
    };

    static StepResult died_result() {
        return {.outcome = StepOutcome::in_doubt,
                .open = OpenEnd::died,
                .message = "it ended without a status"};
    }

    [[nodiscard]] static StepResult given_up(const Sent& sent) {
        if (sent.call.only_looks) {
            return {.outcome = StepOutcome::failed, .message = "no answer in time"};
        }
        return {.outcome = StepOutcome::in_doubt,
                .open = sent.command ? OpenEnd::still_running : OpenEnd::answer_lost,
                .message = "no answer in time"};
    }

    void note(const std::string& what) {
        const auto now = clock->wall_now().time_since_epoch();
        course.push_back(
            std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(now).count() %
                           10'000'000) +
            " " + what);
    }

    void tell(Sent& sent, const StepResult& result) {
        if (sent.follower) {
            note("told " + name(sent.call) + ": " + std::string(to_text(result.outcome)));
            events_.push_back({*std::exchange(sent.follower, std::nullopt), nullptr, result});
        }
    }

    /// What may never be: something is started where something else may still act.
    void watch(const StepCall& call) {
        if (call.only_looks) {
            return;
        }
        for (const auto& [key, sent] : sent_) {
            const bool touches =
                sent.call.member.empty() || call.member.empty() || sent.call.member == call.member;
            if (!sent.over && !sent.call.only_looks && touches) {
                violations.push_back(name(call) + " (" + call.uses + ") is started while " +
                                     name(sent.call) + " may still act");
            }
        }
    }

    void follow(Sent& sent, std::size_t index, std::chrono::milliseconds limit) {
        sent.follower = index;
        const int mine = ++sent.follow;
        const std::string key = sent.call.key;
        at(clock->wall_now() + limit, [this, key, mine] {
            Sent& now = sent_.at(key);
            if (now.follow == mine) {
                tell(now, given_up(now));
            }
        });
    }

    void start_in_time(std::size_t index, StepCall call) {
        catch_up();
        asked.push_back((call.attach_only ? "follow " : "start ") + name(call));
        const bool command = std::find(spooled.begin(), spooled.end(), call.uses) != spooled.end();
        const auto known = sent_.find(call.key);
        const Pace how = pace(call);
        if (how.unreachable) {
            events_.push_back(
                {index, nullptr, {.outcome = StepOutcome::unreachable, .message = "no way there"}});
            return;
        }
        const auto limit =
            call.timeout.count() > 0 ? call.timeout : std::chrono::milliseconds{600'000};
        if (known != sent_.end() && command) {
            Sent& sent = known->second;
            if (sent.over) {
                events_.push_back({index, nullptr, sent.died ? died_result() : sent.result});
            } else {
                follow(sent, index, limit);
            }
            return;
        }
        if (call.attach_only) {
            events_.push_back({index, nullptr, StepResult{.outcome = StepOutcome::absent}});
            return;
        }
        note("start " + call.key + " by " + call.uses);
        watch(call);
        Sent& sent = sent_[call.key];
        sent = {.call = call, .command = command};
        if (command) {
            events_.push_back({index, {{"boot_id", "boot"}, {"pid", 7}}, {}});
        }
        follow(sent, index, command ? limit : std::min(limit, how.gives_up_after));
        at(clock->wall_now() + how.acts_after, [this, key = call.key, how] { act(key, how); });
    }

    void act(const std::string& key, const Pace& how) {
        Sent& sent = sent_.at(key);
        if (sent.over) {
            return;  // its host was booted meanwhile
        }
        sent.over = true;
        if (how.never_acts) {
            sent.died = sent.command;
            if (sent.command) {
                tell(sent, died_result());
            }
            return;
        }
        note("acts " + key);
        sent.result = workers.at(sent.call.uses)(sent.call, facts);
        if (!how.no_answer || sent.command) {
            tell(sent, sent.result);
        }
    }

    std::deque<StepEvent> events_;
    std::map<std::pair<Clock::Wall, int>, std::function<void()>> happenings_;
    int order_ = 0;
    std::map<std::string, Sent> sent_;  ///< by key
    std::int64_t fence_ = 0;
};

}  // namespace lockstep
