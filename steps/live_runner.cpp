#include "steps/live_runner.hpp"

#include "base/error.hpp"
#include "base/known_secrets.hpp"
#include "cluster/diagnosis.hpp"
#include "engine/knowledge/judgement.hpp"
#include "steps/catalog.hpp"
#include "steps/hiding.hpp"
#include "steps/reconciliation.hpp"
#include "steps/spool/spool.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace lockstep {

namespace {

using namespace std::chrono_literals;

constexpr auto k_observe_timeout = 15s;
// A step without `timeout` may take this long; a package of a slow mirror on a slow disk fits in.
constexpr std::size_t k_most_workers = 64;
// How long a change waits for a late renewal of the cluster's lock before it is not made.
constexpr auto k_lock_patience = 30s;
constexpr auto k_clean_up_timeout = 10s;

/// $LOCKSTEP_LOCK_TTL: seconds that the cluster's lock lasts when nobody renews it; 60 unless
/// given.
LockTiming lock_timing() {
    LockTiming timing;
    const char* text = std::getenv("LOCKSTEP_LOCK_TTL");  // NOLINT(concurrency-mt-unsafe)
    const long seconds = text == nullptr ? 0 : std::strtol(text, nullptr, 10);
    if (seconds >= 8) {
        timing.ttl = std::chrono::seconds{seconds};
        timing.every = timing.ttl / 4;
        timing.margin = timing.ttl / 6;
    }
    return timing;
}

std::chrono::milliseconds allowed_time(const StepCall& call) {
    return call.timeout.count() > 0 ? call.timeout : k_default_step_timeout;
}

/// What an exception that left an action means for its step.
StepResult result_of(const TransportError& error, const StepCall& call) {
    const ActionSchema& schema = *find_action(action_catalog(), call.uses);
    const bool changes = schema.changes && !call.only_looks;
    StepResult result;
    result.message = error.what();
    result.hint = error.hint();
    if (error.nothing_sent()) {
        result.outcome = StepOutcome::unreachable;
    } else if (changes) {
        result.outcome = StepOutcome::in_doubt;
        result.open = dynamic_cast<const EndedUnseen*>(&error) != nullptr ? OpenEnd::died
                      : schema.spooled                                    ? OpenEnd::still_running
                                                                          : OpenEnd::answer_lost;
    } else if (error.kind() == TransportError::Kind::cancelled) {
        result.outcome = StepOutcome::cancelled;
    } else {
        result.outcome = StepOutcome::failed;
    }
    return result;
}

}  // namespace

namespace {

/// The step did what it does; whether that came to anything its own `verify` says. What keeps that
/// from looking says nothing of the step: it must not pass for one that never began.
void verify(const StepCall& look, ActionContext& context, StepResult& result) {
    StepResult seen;
    try {
        seen = find_action_code(look.uses).run(look, context);
    } catch (const SqlError& error) {
        seen.outcome = StepOutcome::failed;
        seen.message = std::string("PostgreSQL says: ") + error.what();
    } catch (const Error& error) {
        result.outcome = StepOutcome::in_doubt;
        result.open = OpenEnd::died;  // its command has ended
        result.message = std::string("done, but its verify could not look: ") + error.what();
        result.hint = error.hint();
        return;
    }
    if (seen.outcome != StepOutcome::succeeded && seen.outcome != StepOutcome::already_done) {
        result.outcome = StepOutcome::failed;
        result.message = "done, but its verify says no: " + seen.message;
        result.hint = seen.hint;
        result.last_lines = seen.last_lines;
    }
}

}  // namespace

LiveRunner::LiveRunner(const Cluster& cluster,
                       ConnectionFactory factory,
                       Clock& clock,
                       const NotifyTargets& targets)
    : cluster_(cluster),
      clock_(clock),
      connections_(cluster, factory),
      observer_(connections_, clock),
      notifier_(targets, std::move(factory), clock),
      read_ahead_(allowed_time) {
    remember_secrets_of(cluster, targets);
}

/// Steps are asked to stop, and waited for: they use the connections, which go next.
LiveRunner::~LiveRunner() {
    cancel_all();
    for (std::jthread& worker : workers_) {
        worker.request_stop();
    }
    wake_.notify_all();
    workers_.clear();
}

/// Whether Patroni takes changes from us is asked with the full facts only: a quick look happens
/// often, and nobody decides a write by it.
ClusterFacts LiveRunner::observe(bool full, std::stop_token stop) {
    ClusterFacts facts =
        observer_.observe(full ? Depth::full : Depth::quick, looking_.timeout, stop);
    if (full) {
        observer_.probe_write_access(facts, stop);
    }
    hide_secrets_in(facts);
    return facts;
}

std::vector<Way> LiveRunner::reachability(std::stop_token stop) {
    ClusterFacts facts;
    try {
        facts = observe(true, stop);
    } catch (const TransportError& error) {
        // No endpoint answers. The members that the inventory names may still do.
        if (error.kind() == TransportError::Kind::cancelled || cluster_.members.empty()) {
            throw;
        }
        for (const MemberSettings& expected : cluster_.members) {
            MemberFacts& member = facts.members.emplace_back();
            member.name = expected.name;
            member.host = expected.ssh.host;
            member.api = {.asked = true, .error = error.what(), .hint = error.hint()};
        }
    }
    std::vector<Way> ways = find_reachability(connections_, facts, std::move(stop));
    for (Way& way : ways) {
        hide_secrets(way.access.error);
        hide_secrets(way.access.hint);
    }
    return ways;
}

/// Patience is spent only where nothing else settles it: an older sample of `check`, or the look
/// that this runner has made before.
std::vector<Finding> LiveRunner::diagnose(ClusterFacts& facts, std::stop_token stop) {
    const bool settled = looking_.settle && looking_.settle(facts);
    if (!settled && looking_.second_sample) {
        settle_slots(facts,
                     earlier_ ? &*earlier_ : nullptr,
                     observer_,
                     clock_,
                     stop,
                     looking_.second_timeout);
    }
    hide_secrets_in(facts);  // the second sample, too
    earlier_ = facts;
    std::vector<Finding> found = examine(facts, cluster_);
    hide_secrets_in(found);
    return found;
}

/// With a deadline of its own: a plan is not kept waiting by one member for as long as a step may
/// take.
nlohmann::json LiveRunner::probe(const StepCall& call,
                                 const ClusterFacts& facts,
                                 std::stop_token stop) {
    ActionContext context{connections_,
                          observer_,
                          clock_,
                          cluster_,
                          facts,
                          std::move(stop),
                          Deadline::after(k_observe_timeout)};
    return find_action_code(call.uses).probe(call, context);
}

Preview LiveRunner::preview(const StepCall& call, const ClusterFacts& facts) {
    Preview preview = find_action_code(call.uses).preview(call, facts, cluster_);
    // http.request is of this machine, whatever the members' REST API is reached by.
    const bool asks_member = call.uses != "http.request" &&
                             std::ranges::any_of(preview.operations, [](const Operation& each) {
                                 return each.kind == Operation::Kind::http;
                             });
    if (asks_member && cluster_.patroni.via == PatroniSettings::Via::ssh) {
        preview.notes.emplace_back("the request is made by the member's own curl, over SSH");
    }
    return preview;
}

Reconciliation LiveRunner::reconcile(const ClusterFacts& end) {
    return lockstep::reconcile(end, cluster_);
}

LockGrant LiveRunner::take_lock(const LockRequest& request,
                                const ClusterFacts& facts,
                                std::stop_token stop) {
    if (facts.scope.empty()) {  // it names the lock on the members
        throw Error("no member says what Patroni's scope is",
                    "Look at the members with `lockstep doctor`.");
    }
    connections_.keep_hosts();
    scope_ = facts.scope;
    run_ = request.run;
    lock_ = std::make_unique<ClusterLock>(connections_, clock_, facts, scope_, lock_timing());
    try {
        return lock_->take({make_lock_id(), request.run, request.owner}, std::move(stop));
    } catch (...) {
        lock_.reset();
        throw;
    }
}

/// Waits for a renewal that is late: a slow network is no reason to stop a run.
std::string LiveRunner::lock_trouble(std::stop_token stop) {
    const std::lock_guard one_asks(lock_use_);  // the executor, and workers before a request
    return lock_ ? lock_->trouble(k_lock_patience, std::move(stop)) : std::string();
}

std::string LiveRunner::sign_lock(const std::string& would_leave, std::stop_token stop) {
    const std::lock_guard one_asks(lock_use_);
    return lock_ ? lock_->sign(would_leave, k_lock_patience, std::move(stop)) : std::string();
}

void LiveRunner::sign_lock_later(const std::string& would_leave) {
    const std::lock_guard one_asks(lock_use_);
    if (lock_) {
        lock_->sign_later(would_leave);
    }
}

/// With what is left in force the lock stays on the members as its sign, until somebody deals with
/// it.
void LiveRunner::release_lock(const std::string& left_behind) {
    const std::lock_guard nobody_asks(lock_use_);  // a worker may, right before a request
    if (lock_) {
        lock_->release(left_behind);
        lock_.reset();
    }
}

/// What cannot be removed now is removed by a later run, or reported by `check`.
void LiveRunner::clean_up(const std::string& run, const ClusterFacts& facts) {
    std::vector<std::jthread> threads;
    for (const MemberFacts& member : facts.members) {
        threads.emplace_back([this, &run, &member] {
            try {
                MemberConnections& link = connections_.of(member);
                const std::lock_guard lock(link.ssh_use);
                (void)link.root().run(
                    {.script = spool_clean_script(run)}, Deadline::after(k_clean_up_timeout), {});
            } catch (const Error& error) {
                spdlog::info("cannot clean up on {}: {}", member.name, error.what());
            }
        });
    }
}

/// A result that was read ahead is at hand already; else a worker is added, but only where none is
/// free.
void LiveRunner::start(std::size_t index,
                       StepCall call,
                       std::shared_ptr<const ClusterFacts> facts) {
    const std::lock_guard lock(mutex_);
    std::optional<StepEvent> event;
    if (auto task = read_ahead_.take({index, std::move(call), std::move(facts)}, event)) {
        tasks_.push_back(std::move(*task));
        if (idle_workers_ < tasks_.size() && workers_.size() < k_most_workers) {
            workers_.emplace_back([this](std::stop_token until) { work(std::move(until)); });
        }
    } else if (event) {
        events_.push_back(std::move(*event));
    }
    wake_.notify_all();
}

/// The executor's thread comes by here often, so the limits of steps that share a round trip are
/// watched here.
std::optional<StepEvent> LiveRunner::wait(std::chrono::milliseconds at_most) {
    std::unique_lock lock(mutex_);
    read_ahead_.stop_late_ones();
    wake_.wait_for(lock, at_most, [this] { return !events_.empty(); });
    if (events_.empty()) {
        return std::nullopt;
    }
    StepEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
}

void LiveRunner::drop_read_ahead() {
    const std::lock_guard lock(mutex_);
    read_ahead_.drop();
}

void LiveRunner::cancel_all() {
    const std::lock_guard lock(mutex_);
    cancel_.request_stop();
    cancel_ = std::stop_source();  // what is started later (giving back a pause) runs
}

/// The lock is let go while a step runs, and only then: everything else is shared.
void LiveRunner::work(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_workers_;
        const bool has_task = wake_.wait(lock, stop, [this] { return !tasks_.empty(); });
        --idle_workers_;
        if (!has_task) {
            return;
        }
        StepTask task = std::move(tasks_.front());
        tasks_.pop_front();
        const std::shared_ptr<ReadAheadBatch> batch = read_ahead_.open(task);
        lock.unlock();
        StepResult result = perform(task, batch.get());
        hide_secrets_in(result);
        lock.lock();
        finish(task, batch, std::move(result));
        wake_.notify_all();
    }
}

/// mutex_ is held. What fails once the task's own step is over is of the one that runs by then; one
/// that did not begin is begun by itself.
void LiveRunner::finish(const StepTask& task,
                        const std::shared_ptr<ReadAheadBatch>& batch,
                        StepResult result) {
    const bool own = batch == nullptr || !batch->own_is_over();
    std::optional<StepTask> open = batch ? read_ahead_.close(batch) : std::nullopt;
    if (open && (own || is_good(result.outcome))) {
        tasks_.push_back(std::move(*open));  // this worker is free for it
        open.reset();
    }
    if (own || open) {
        events_.push_back({own ? task.index : open->index, nullptr, std::move(result)});
    }
}

/// A step that needs its own member only gets no more: a copy of a large cluster for each of many
/// steps is what memory would go to.
ClusterFacts LiveRunner::facts_for(const StepTask& task) {
    const auto is_alone = [](const StepCall& call) {
        return find_action(action_catalog(), call.uses)->alone;
    };
    const bool alone = is_alone(task.call) && (!task.call.verify || is_alone(*task.call.verify));
    return alone ? task.facts->only(task.call.member) : *task.facts;
}

/// The body of a worker: here, and nowhere deeper, exceptions become results.
StepResult LiveRunner::perform(StepTask& task, ReadAheadBatch* batch) {
    try {
        ActionContext context = context_for(task, batch);
        std::optional<std::stop_callback<std::function<void()>>> stop_batch;
        if (batch != nullptr) {
            stop_batch.emplace(std::exchange(context.stop, batch->stop.get_token()),
                               [stop = batch->stop]() mutable { stop.request_stop(); });
        }
        StepResult result = find_action_code(task.call.uses).run(task.call, context);
        if (task.call.verify && result.outcome == StepOutcome::succeeded) {
            verify(*task.call.verify, context, result);
        }
        return result;
    } catch (const NeverReached& error) {
        return {.outcome = StepOutcome::absent, .message = error.what()};
    } catch (const TransportError& error) {
        const std::unique_lock lock(mutex_);
        if (batch != nullptr && batch->out_of_time) {
            return result_of(
                TransportError(TransportError::Kind::timeout,
                               task.call.member + ": out of time while the command ran",
                               "It may still be running there."),
                task.call);
        }
        return result_of(error, task.call);
    } catch (const SqlError& error) {
        return {.outcome = StepOutcome::failed,
                .message = std::string("PostgreSQL says: ") + error.what()};
    } catch (const Error& error) {
        return {.outcome = StepOutcome::failed, .message = error.what(), .hint = error.hint()};
    } catch (const std::exception& error) {
        // A bug of ours: what was sent, and what came of it, is not known.
        const bool looks =
            task.call.only_looks || !find_action(action_catalog(), task.call.uses)->changes;
        return {.outcome = looks ? StepOutcome::failed : StepOutcome::in_doubt,
                .message = std::string("internal error: ") + error.what()};
    }
}

/// Taken when the step starts: a stop that was asked for earlier is not meant for what gives a
/// pause back.
std::stop_token LiveRunner::stop_of_now() {
    const std::lock_guard lock(mutex_);
    return cancel_.get_token();
}

ActionContext LiveRunner::context_for(const StepTask& task, ReadAheadBatch* batch) {
    auto timeout = allowed_time(task.call);
    for (const auto& next : task.call.read_ahead) {
        timeout += allowed_time(*next);  // of each alone: ReadAhead::stop_late_ones()
    }
    ActionContext context{connections_,
                          observer_,
                          clock_,
                          cluster_,
                          facts_for(task),
                          stop_of_now(),
                          Deadline::after(timeout)};
    context.scope = scope_;
    context.fence = lock_ ? lock_->fence() : 0;
    context.lock_trouble = [this, until = context.stop] { return lock_trouble(until); };
    context.run = run_;
    context.notify = [this, until = context.stop](const std::string& target,
                                                  const Notification& notification) {
        return without_secrets(notifier_.deliver(target, notification, until));
    };
    context.accepted = [this, index = task.index](nlohmann::json by) {
        const std::lock_guard lock(mutex_);
        events_.push_back({index, std::move(by), {}});
        wake_.notify_all();
    };
    if (batch != nullptr) {
        context.early = [this, batch](std::size_t number, StepResult result) {
            hide_secrets_in(result);
            const std::lock_guard lock(mutex_);
            if (auto event = read_ahead_.early(*batch, number, std::move(result))) {
                events_.push_back(std::move(*event));
                wake_.notify_all();
            }
        };
    }
    return context;
}

void LiveRunner::start_write_probe(const ProbeSettings& settings, const ClusterFacts& facts) {
    const MemberFacts* leader = facts.leader_member();
    if (leader == nullptr || leader->in_recovery) {
        return;  // a standby cluster takes no writes: there is nothing to measure
    }
    std::vector<MemberFacts> members{*leader};
    for (const MemberFacts& member : facts.members) {
        const bool reached = settings.over_ssh ? !member.ssh.failed() : !member.sql.failed();
        if (settings.follows && reached && member.name != leader->name) {
            members.push_back(member);
        }
    }
    write_probe_ = std::make_unique<WriteProbe>(settings, std::move(members), connections_);
}

std::optional<ProbeReport> LiveRunner::write_probe() {
    std::optional<ProbeReport> seen;
    if (write_probe_) {
        seen = write_probe_->report();
        hide_secrets(seen->last_error);
    }
    return seen;
}

void LiveRunner::stop_write_probe() {
    if (write_probe_) {
        write_probe_->stop();
    }
}

void LiveRunner::notify(const std::string& target, Notification notification) {
    notifier_.send(target, std::move(notification));
}

std::vector<std::string> LiveRunner::notification_troubles() {
    std::vector<std::string> troubles = notifier_.troubles();
    for (std::string& trouble : troubles) {
        hide_secrets(trouble);
    }
    return troubles;
}

void LiveRunner::finish_notifications(std::chrono::milliseconds at_most) {
    notifier_.finish(at_most);
}

}  // namespace lockstep
