#pragma once

#include "base/deadline.hpp"

#include <condition_variable>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>

namespace lockstep {

/// How many logins go on at once on one host or bastion. sshd drops connections at random from ten
/// unauthenticated ones on (MaxStartups 10:30:100, sshd_config(5) of OpenSSH 9.2; one source may be
/// limited further by PerSourceMaxStartups), and other people log in, too.
class LoginGate {
  public:
    static constexpr int k_most_at_once = 6;

    /// One login's place; given back when it goes.
    class Pass {
      public:
        Pass(LoginGate& gate, std::string where) : gate_(&gate), where_(std::move(where)) {}

        ~Pass();
        Pass(const Pass&) = delete;
        Pass& operator=(const Pass&) = delete;
        Pass(Pass&&) = delete;
        Pass& operator=(Pass&&) = delete;

      private:
        LoginGate* gate_;
        std::string where_;
    };

    /// Waits for a place. Throws TransportError: connect at the deadline, or cancelled.
    [[nodiscard]] Pass enter(const std::string& where,
                             Deadline deadline,
                             const std::stop_token& stop);

    /// To be called when the host has dropped a connection by itself: from now on half as many
    /// logins go on at once.
    void slow_down(const std::string& where);

    /// The one of this process: hosts count the logins of all its sessions.
    static LoginGate& of_process();

  private:
    std::mutex mutex_;
    std::condition_variable_any free_;
    std::map<std::string, int> going_on_;
    std::map<std::string, int> limits_;  // where it is less than k_most_at_once
};

/// Waits before another try to connect: longer each time, and for a random length, so that those
/// that were dropped at the same moment do not come back together. Throws TransportError cancelled;
/// `peer` is for the message.
void back_off(int attempt, const std::string& peer, Deadline deadline, const std::stop_token& stop);

/// How often a login is tried when the server closes the connection before it says anything.
inline constexpr int k_most_login_attempts = 5;

}  // namespace lockstep
