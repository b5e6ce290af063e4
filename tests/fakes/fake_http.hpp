#pragma once

#include "base/error.hpp"
#include "transport/http_client.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace lockstep {

/// All servers of a test at once: what they answer to `GET http://10.0.0.1:8008/patroni`, and what
/// they were asked. Hands out clients that share it; safe to use from several threads. A request
/// without an answer is a test failure.
class FakeHttp {
  public:
    void answer(const std::string& request, std::string body, long status = 200) {
        const std::lock_guard lock(mutex_);
        answers_[request] = HttpResponse{status, std::move(body), "application/json"};
    }

    void fail(const std::string& request, TransportError::Kind kind, const std::string& message) {
        const std::lock_guard lock(mutex_);
        answers_.insert_or_assign(request, TransportError(kind, message));
    }

    /// An answer that depends on what came before. It may throw a TransportError. It is called one
    /// at a time, so its state needs no lock; it must not ask this object anything.
    using Server = std::function<HttpResponse(const HttpRequest&)>;

    void compute(const std::string& request, Server server) {
        const std::lock_guard lock(mutex_);
        answers_.insert_or_assign(request, std::move(server));
    }

    [[nodiscard]] std::vector<HttpRequest> seen() {
        const std::lock_guard lock(mutex_);
        return seen_;
    }

    [[nodiscard]] std::function<std::unique_ptr<HttpClient>(HttpSettings)> factory() {
        return [this](const HttpSettings& /*settings*/) { return std::make_unique<Client>(*this); };
    }

  private:
    class Client final : public HttpClient {
      public:
        explicit Client(FakeHttp& servers) : servers_(servers) {}

        HttpResponse send(const HttpRequest& request, Deadline, std::stop_token) override {
            return servers_.serve(request);
        }

      private:
        FakeHttp& servers_;
    };

    HttpResponse serve(const HttpRequest& request) {
        const std::lock_guard lock(mutex_);
        seen_.push_back(request);
        const std::string line = request.method + " " + request.url;
        const auto found = answers_.find(line);
        if (found == answers_.end()) {
            ADD_FAILURE() << "no answer to " << line;
            throw TransportError(TransportError::Kind::connect, "no answer to " + line);
        }
        if (const auto* error = std::get_if<TransportError>(&found->second)) {
            throw TransportError(*error);
        }
        if (const auto* server = std::get_if<Server>(&found->second)) {
            return (*server)(request);
        }
        return std::get<HttpResponse>(found->second);
    }

    std::mutex mutex_;
    std::map<std::string, std::variant<HttpResponse, TransportError, Server>> answers_;
    std::vector<HttpRequest> seen_;
};

}  // namespace lockstep
