#pragma once

#include "base/error.hpp"
#include "transport/ssh_session.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

/// All hosts of a test at once: what each does with a script, and what was sent to it. Hands out
/// sessions that share it; safe to use from several threads. A host that is not known is a test
/// failure.
class FakeSsh {
  public:
    using Host = std::function<CommandResult(const RemoteCommand&)>;

    void on(const std::string& host, Host answer) {
        const std::lock_guard lock(mutex_);
        hosts_[host] = std::move(answer);
    }

    void fail(const std::string& host, TransportError::Kind kind, const std::string& message) {
        on(host,
           [=](const RemoteCommand&) -> CommandResult { throw TransportError(kind, message); });
    }

    /// Host and script, in the order of arrival.
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> seen() {
        const std::lock_guard lock(mutex_);
        return seen_;
    }

    [[nodiscard]] std::function<std::unique_ptr<SshSession>(SshEndpoint)> factory() {
        return [this](const SshEndpoint& endpoint) {
            return std::make_unique<Session>(*this, endpoint);
        };
    }

  private:
    class Session final : public SshSession {
      public:
        Session(FakeSsh& hosts, SshEndpoint endpoint)
            : hosts_(hosts), endpoint_(std::move(endpoint)) {}

        CommandResult run(const RemoteCommand& command, Deadline, std::stop_token) override {
            return hosts_.serve(endpoint_.host, command);
        }

        [[nodiscard]] std::string peer() const override {
            return endpoint_.user + "@" + endpoint_.host + ":" + std::to_string(endpoint_.port);
        }

        [[nodiscard]] std::string_view client() const override { return "libssh2"; }

      private:
        FakeSsh& hosts_;
        SshEndpoint endpoint_;
    };

    CommandResult serve(const std::string& host, const RemoteCommand& command) {
        Host answer;
        {
            const std::lock_guard lock(mutex_);
            seen_.emplace_back(host, command.script);
            const auto found = hosts_.find(host);
            if (found == hosts_.end()) {
                ADD_FAILURE() << "no host " << host;
                throw TransportError(TransportError::Kind::connect, "no host " + host);
            }
            answer = found->second;
        }
        return answer(command);
    }

    std::mutex mutex_;
    std::map<std::string, Host> hosts_;
    std::vector<std::pair<std::string, std::string>> seen_;
};

}  // namespace lockstep
