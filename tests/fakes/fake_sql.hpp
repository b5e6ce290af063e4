#pragma once

#include "base/error.hpp"
#include "transport/sql_client.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

/// All PostgreSQL servers of a test at once: what each answers to a statement, and what it was
/// asked. Hands out clients that share it, for libpq endpoints; safe to use from several threads. A
/// server that is not known is a test failure.
class FakeSql {
  public:
    using Server = std::function<SqlResult(const SqlStatement&)>;

    void on(const std::string& host, Server answer) {
        const std::lock_guard lock(mutex_);
        servers_[host] = std::move(answer);
    }

    void fail(const std::string& host, TransportError::Kind kind, const std::string& message) {
        on(host, [=](const SqlStatement&) -> SqlResult { throw TransportError(kind, message); });
    }

    /// Host and statement, in the order of arrival.
    [[nodiscard]] std::vector<std::pair<std::string, SqlStatement>> seen() {
        const std::lock_guard lock(mutex_);
        return seen_;
    }

    [[nodiscard]] std::function<std::unique_ptr<SqlClient>(PqEndpoint)> factory() {
        return [this](const PqEndpoint& endpoint) {
            return std::make_unique<Client>(*this, endpoint.host);
        };
    }

  private:
    class Client final : public SqlClient {
      public:
        Client(FakeSql& servers, std::string host) : servers_(servers), host_(std::move(host)) {}

        SqlResult query(const SqlStatement& statement, Deadline, std::stop_token) override {
            return servers_.serve(host_, statement);
        }

      private:
        FakeSql& servers_;
        std::string host_;
    };

    SqlResult serve(const std::string& host, const SqlStatement& statement) {
        Server answer;
        {
            const std::lock_guard lock(mutex_);
            seen_.emplace_back(host, statement);
            const auto found = servers_.find(host);
            if (found == servers_.end()) {
                ADD_FAILURE() << "no PostgreSQL at " << host;
                throw TransportError(TransportError::Kind::connect, "no PostgreSQL at " + host);
            }
            answer = found->second;
        }
        return answer(statement);
    }

    std::mutex mutex_;
    std::map<std::string, Server> servers_;
    std::vector<std::pair<std::string, SqlStatement>> seen_;
};

}  // namespace lockstep
