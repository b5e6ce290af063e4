#pragma once

/// steps/notify/: sends notifications to the targets of an inventory: webhooks, mail, programs.
/// What is told, and when, is for engine/run/run_session_record.cpp; here it is written as each
/// target wants it. Read this file first, then delivery.cpp and format.cpp.

#include "base/clock.hpp"
#include "engine/plan/notification.hpp"
#include "inventory/inventory.hpp"
#include "steps/observation/connections.hpp"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace lockstep {

/// Sends notifications to the targets of an inventory. Each target has a thread of its own, started
/// with its first notification, so that one that hangs keeps no other waiting. Whatever goes wrong
/// is told by troubles() and stops nobody. Safe to use from several threads.
class Notifier {
  public:
    Notifier(NotifyTargets targets, ConnectionFactory connections, Clock& clock);
    Notifier(const Notifier&) = delete;
    Notifier& operator=(const Notifier&) = delete;
    /// Gives up what has not been delivered: see finish().
    ~Notifier();

    /// Returns at once and never throws. An attempt takes 10 s at most; where another one might
    /// help there is one, a second later. What a target gets it gets in the order of the calls, and
    /// rarely twice: when it took a notification and its answer was lost.
    void send(const std::string& target, Notification notification) noexcept;

    /// Delivers one notification in the calling thread. Returns why it did not arrive; empty: it
    /// did.
    [[nodiscard]] std::string deliver(const std::string& target,
                                      const Notification& notification,
                                      const std::stop_token& stop);

    /// What send() could not deliver since the last call: `ops: hooks.example: HTTP 500`, without
    /// secrets.
    [[nodiscard]] std::vector<std::string> troubles();

    /// Waits for the deliveries that are under way. One that is not done by then counts as a
    /// trouble, and goes on.
    void finish(std::chrono::milliseconds at_most);

  private:
    struct Item {
        Notification notification;
        Clock::Wall at;
    };

    struct Lane {
        std::deque<Item> waiting;
        bool busy = false;
        std::jthread worker;
    };

    void enqueue(const std::string& target, Notification notification);
    void work(const std::string& target, Lane& lane, const std::stop_token& stop);
    [[nodiscard]] std::string attempt(const std::string& target,
                                      const Item& item,
                                      const std::stop_token& stop);

    const NotifyTargets targets_;
    const ConnectionFactory connections_;
    Clock& clock_;
    std::mutex mutex_;  // guards what follows
    std::condition_variable_any wake_;
    std::vector<std::string> troubles_;
    std::map<std::string, Lane> lanes_;  // last: their threads stop before what they use is gone
};

}  // namespace lockstep
