#pragma once

#include "base/error.hpp"
#include "transport/process_runner.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace lockstep {

/// The processes of this machine, answered by one function. Without one, any process is a test
/// failure.
class FakeProcesses {
  public:
    std::function<CommandResult(const LocalCommand&)> answer;

    [[nodiscard]] std::vector<LocalCommand> seen() {
        const std::lock_guard lock(mutex_);
        return seen_;
    }

    [[nodiscard]] std::function<std::unique_ptr<ProcessRunner>()> factory() {
        return [this] { return std::make_unique<Runner>(*this); };
    }

  private:
    class Runner final : public ProcessRunner {
      public:
        explicit Runner(FakeProcesses& processes) : processes_(processes) {}

        CommandResult run(const LocalCommand& command, Deadline, std::stop_token) override {
            return processes_.serve(command);
        }

      private:
        FakeProcesses& processes_;
    };

    CommandResult serve(const LocalCommand& command) {
        {
            const std::lock_guard lock(mutex_);
            seen_.push_back(command);
        }
        if (!answer) {
            ADD_FAILURE() << "no process was expected, and not " << command.argv.front();
            throw TransportError(TransportError::Kind::connect, "no process was expected");
        }
        return answer(command);
    }

    std::mutex mutex_;
    std::vector<LocalCommand> seen_;
};

}  // namespace lockstep
