#include "transport/ssh_session.hpp"

#include "base/error.hpp"
#include "transport/libssh2_session.hpp"
#include "transport/openssh_session.hpp"
#include "transport/process_runner.hpp"
#include "transport/ssh_config.hpp"

#include <spdlog/spdlog.h>

#include <mutex>
#include <optional>
#include <set>
#include <utility>

namespace lockstep {

namespace {

using Kind = TransportError::Kind;

/// The hosts of which this process knows that they take ssh(1): what one session has found out
/// holds for all.
class NeedsOpenssh {
  public:
    [[nodiscard]] bool knows(const std::string& peer) {
        const std::lock_guard lock(mutex_);
        return peers_.contains(peer);
    }

    void learn(const std::string& peer, const std::string& why) {
        const std::lock_guard lock(mutex_);
        if (peers_.insert(peer).second) {
            spdlog::warn("{}: by the system's ssh, because libssh2 cannot: {}", peer, why);
        }
    }

  private:
    std::mutex mutex_;
    std::set<std::string> peers_;
};

NeedsOpenssh& needs_openssh() {
    static NeedsOpenssh hosts;
    return hosts;
}

/// Picks the client at the first command, and sticks to it once it has worked.
class ChoosingSession final : public SshSession {
  public:
    explicit ChoosingSession(SshEndpoint endpoint) : endpoint_(std::move(endpoint)) {}

    CommandResult run(const RemoteCommand& command,
                      Deadline deadline,
                      std::stop_token stop) override {
        if (session_ == nullptr) {
            choose(deadline, stop);
        }
        try {
            return session_->run(command, deadline, stop);
        } catch (const Libssh2Limit& limit) {
            if (endpoint_.client == SshClient::libssh2) {
                throw TransportError(limit.kind(),
                                     limit.what(),
                                     limit.hint() + (limit.hint().empty() ? "" : " ") +
                                         "Or let the system's ssh do it: ssh.client: auto.");
            }
            return run_by_openssh(command, limit, deadline, stop);
        }
    }

    [[nodiscard]] std::string peer() const override {
        if (route_) {
            return route_->peer();
        }
        return (endpoint_.user.empty() ? "" : endpoint_.user + "@") + endpoint_.host +
               (endpoint_.port == 0 ? "" : ":" + std::to_string(endpoint_.port));
    }

    [[nodiscard]] std::string_view client() const override {
        return session_ == nullptr ? std::string_view() : session_->client();
    }

  private:
    void choose(Deadline deadline, const std::stop_token& stop) {
        if (!route_) {
            const auto processes = make_process_runner();
            route_ = find_route(endpoint_, *processes, deadline, stop);
        }
        const std::string why = !route_->proxy.empty() ? "the way there is by " + route_->proxy
                                : !route_->only_openssh.empty()
                                    ? "ssh's configuration says " + route_->only_openssh
                                    : "";
        if (!why.empty() && endpoint_.client == SshClient::libssh2) {
            throw TransportError(Kind::connect,
                                 peer() + ": not by libssh2, for " + why,
                                 "Let the system's ssh do it: ssh.client: auto.");
        }
        if (!why.empty() && endpoint_.client == SshClient::automatic) {
            needs_openssh().learn(peer(), why);
        }
        const bool openssh =
            endpoint_.client == SshClient::openssh ||
            (endpoint_.client == SshClient::automatic && needs_openssh().knows(peer()));
        session_ =
            openssh ? make_openssh_session(endpoint_, *route_) : make_libssh2_session(*route_);
    }

    CommandResult run_by_openssh(const RemoteCommand& command,
                                 const Libssh2Limit& limit,
                                 Deadline deadline,
                                 const std::stop_token& stop) {
        auto openssh = make_openssh_session(endpoint_, *route_);
        try {
            CommandResult result = openssh->run(command, deadline, stop);
            adopt(std::move(openssh), limit);
            return result;
        } catch (const TransportError& error) {
            if (!error.nothing_sent()) {  // it was logged in
                adopt(std::move(openssh), limit);
                throw;
            }
            throw TransportError(
                error.kind(),
                std::string(error.what()) + " (before that, libssh2: " + limit.what() + ")",
                error.hint());
        }
    }

    void adopt(std::unique_ptr<SshSession> openssh, const Libssh2Limit& limit) {
        session_ = std::move(openssh);
        needs_openssh().learn(peer(), limit.what());
    }

    SshEndpoint endpoint_;
    std::optional<SshRoute> route_;
    std::unique_ptr<SshSession> session_;
};

}  // namespace

std::unique_ptr<SshSession> make_ssh_session(SshEndpoint endpoint) {
    return std::make_unique<ChoosingSession>(std::move(endpoint));
}

}  // namespace lockstep
