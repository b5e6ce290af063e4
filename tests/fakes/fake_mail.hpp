#pragma once

#include "base/error.hpp"
#include "transport/mailer.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace lockstep {

/// The mail servers of a test at once: they take everything, unless `answer` says otherwise. Safe
/// to use from several threads.
class FakeMail {
  public:
    std::function<MailResult(const Mail&)> answer;  ///< may throw a TransportError

    struct Sent {
        MailSettings settings;
        Mail mail;
    };

    [[nodiscard]] std::vector<Sent> sent() {
        const std::lock_guard lock(mutex_);
        return sent_;
    }

    [[nodiscard]] std::function<std::unique_ptr<Mailer>(MailSettings)> factory() {
        return [this](MailSettings settings) {
            return std::make_unique<Client>(*this, std::move(settings));
        };
    }

  private:
    class Client final : public Mailer {
      public:
        Client(FakeMail& servers, MailSettings settings)
            : servers_(servers), settings_(std::move(settings)) {}

        MailResult send(const Mail& mail, Deadline, std::stop_token) override {
            {
                const std::lock_guard lock(servers_.mutex_);
                servers_.sent_.push_back({settings_, mail});
            }
            return servers_.answer ? servers_.answer(mail) : MailResult{};
        }

      private:
        FakeMail& servers_;
        MailSettings settings_;
    };

    std::mutex mutex_;
    std::vector<Sent> sent_;
};

}  // namespace lockstep
