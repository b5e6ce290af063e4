#include "steps/notify/notifier.hpp"

#include "steps/notify/delivery.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using namespace std::chrono_literals;

constexpr auto k_timeout = 10s;
constexpr auto k_pause = 1s;
constexpr int k_attempts = 2;
// More than a run has to say while a target is gone; what comes then is dropped, not kept for ever.
constexpr std::size_t k_most_waiting = 100;

}  // namespace

Notifier::Notifier(NotifyTargets targets, ConnectionFactory connections, Clock& clock)
    : targets_(std::move(targets)), connections_(std::move(connections)), clock_(clock) {}

Notifier::~Notifier() {
    {
        const std::lock_guard lock(mutex_);
        for (auto& [target, lane] : lanes_) {
            lane.worker.request_stop();
        }
    }
    lanes_.clear();
}

void Notifier::send(const std::string& target, Notification notification) noexcept {
    try {
        const std::lock_guard lock(mutex_);
        try {
            enqueue(target, std::move(notification));
        } catch (const std::exception& error) {  // no thread to be had
            troubles_.push_back(target + ": " + error.what());
        }
    } catch (...) {  // no memory either: there is nothing left to tell it with
        return;
    }
}

/// `mutex_` is held.
void Notifier::enqueue(const std::string& target, Notification notification) {
    if (!targets_.contains(target)) {
        troubles_.push_back(target + ": the inventory has no such target");
        return;
    }
    Lane& lane = lanes_[target];
    if (lane.waiting.size() >= k_most_waiting) {
        troubles_.push_back(target + ": a notification was dropped: too many are waiting");
        return;
    }
    lane.waiting.push_back({std::move(notification), clock_.wall_now()});
    if (!lane.worker.joinable()) {
        lane.worker = std::jthread(
            [this, target, &lane](const std::stop_token& stop) { work(target, lane, stop); });
    }
    wake_.notify_all();
}

void Notifier::work(const std::string& target, Lane& lane, const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (wake_.wait(lock, stop, [&] { return !lane.waiting.empty(); }) &&
           !stop.stop_requested()) {
        const Item item = std::move(lane.waiting.front());
        lane.waiting.pop_front();
        lane.busy = true;
        lock.unlock();
        std::string trouble = attempt(target, item, stop);
        lock.lock();
        lane.busy = false;
        if (!trouble.empty()) {
            troubles_.push_back(trouble.insert(0, target + ": "));
        }
        wake_.notify_all();
    }
}

std::string Notifier::attempt(const std::string& target,
                              const Item& item,
                              const std::stop_token& stop) {
    for (int number = 1;; ++number) {
        const Delivery delivery = deliver_once(targets_.at(target),
                                               item.notification,
                                               item.at,
                                               connections_,
                                               Deadline::after(k_timeout),
                                               stop);
        if (delivery.trouble.empty() || !delivery.again || number == k_attempts ||
            !clock_.sleep_for(k_pause, stop)) {
            return delivery.trouble;
        }
    }
}

std::string Notifier::deliver(const std::string& target,
                              const Notification& notification,
                              const std::stop_token& stop) {
    if (!targets_.contains(target)) {
        return "the inventory has no such target";
    }
    return attempt(target, {notification, clock_.wall_now()}, stop);
}

std::vector<std::string> Notifier::troubles() {
    const std::lock_guard lock(mutex_);
    return std::exchange(troubles_, {});
}

void Notifier::finish(std::chrono::milliseconds at_most) {
    std::unique_lock lock(mutex_);
    const auto idle = [](const auto& named) {
        return named.second.waiting.empty() && !named.second.busy;
    };
    if (wake_.wait_for(lock, at_most, [&] { return std::ranges::all_of(lanes_, idle); })) {
        return;
    }
    for (const auto& [target, lane] : lanes_) {
        const std::size_t open = lane.waiting.size() + (lane.busy ? 1 : 0);
        if (open > 0) {
            troubles_.push_back(target + ": not delivered in time: " + std::to_string(open) +
                                (open == 1 ? " notification" : " notifications"));
        }
    }
}

}  // namespace lockstep
