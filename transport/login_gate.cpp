#include "transport/login_gate.hpp"

#include "base/error.hpp"
#include "transport/wait_fd.hpp"

#include <algorithm>
#include <chrono>
#include <random>

namespace lockstep {

using std::chrono::milliseconds;

LoginGate::Pass::~Pass() {
    {
        const std::lock_guard lock(gate_->mutex_);
        const auto found = gate_->going_on_.find(where_);
        if (--found->second == 0) {
            gate_->going_on_.erase(found);
        }
    }
    gate_->free_.notify_all();
}

LoginGate::Pass LoginGate::enter(const std::string& where,
                                 Deadline deadline,
                                 const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    const bool free = free_.wait_until(lock, stop, deadline.at(), [&] {
        const auto limit = limits_.find(where);
        return going_on_[where] < (limit == limits_.end() ? k_most_at_once : limit->second);
    });
    if (!free) {
        if (stop.stop_requested()) {
            throw TransportError(TransportError::Kind::cancelled,
                                 where + ": cancelled while waiting to log in");
        }
        throw TransportError(TransportError::Kind::connect,
                             where + ": other logins there take too long",
                             "Check that the host answers; `ssh -v` shows where a login hangs.");
    }
    ++going_on_[where];
    return {*this, where};
}

void LoginGate::slow_down(const std::string& where) {
    const std::lock_guard lock(mutex_);
    int& limit = limits_.try_emplace(where, k_most_at_once).first->second;
    limit = std::max(limit / 2, 1);
}

LoginGate& LoginGate::of_process() {
    static LoginGate gate;
    return gate;
}

void back_off(int attempt,
              const std::string& peer,
              Deadline deadline,
              const std::stop_token& stop) {
    constexpr milliseconds k_first{100};
    // Jitter, so that the workers that were dropped together do not come back together.
    std::minstd_rand random(std::random_device{}());
    const auto longest = k_first * (1 << attempt);
    std::uniform_int_distribution<milliseconds::rep> length(longest.count() / 2, longest.count());
    if (wait_fd(-1, 0, deadline.within(milliseconds(length(random))), stop) ==
        WaitResult::cancelled) {
        throw TransportError(TransportError::Kind::cancelled,
                             peer + ": cancelled while connecting");
    }
}

}  // namespace lockstep
