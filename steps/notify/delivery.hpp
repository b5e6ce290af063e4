#pragma once

#include "base/clock.hpp"
#include "base/deadline.hpp"
#include "engine/plan/notification.hpp"
#include "inventory/inventory.hpp"
#include "steps/observation/connections.hpp"

#include <stop_token>
#include <string>

namespace lockstep {

/// What came of one attempt.
struct Delivery {
    std::string trouble;  ///< why it did not arrive, without secrets; empty: it did
    bool again = false;   ///< a second attempt might work
};

/// Tries once. Never throws: whatever goes wrong is the trouble. Secrets are resolved here.
[[nodiscard]] Delivery deliver_once(const NotifyTarget& target,
                                    const Notification& notification,
                                    Clock::Wall at,
                                    const ConnectionFactory& connections,
                                    Deadline deadline,
                                    const std::stop_token& stop);

}  // namespace lockstep
