#pragma once

#include "transport/process_runner.hpp"
#include "transport/ssh_session.hpp"

#include <string>
#include <utility>
#include <vector>

namespace lockstep {

/// A session whose scripts run on this machine, with a PATH of their own.
class HereSession final : public SshSession {
  public:
    explicit HereSession(std::string path) : path_(std::move(path)) {}

    CommandResult run(const RemoteCommand& command,
                      Deadline deadline,
                      std::stop_token stop) override {
        scripts.push_back(command.script);
        return make_process_runner()->run({.argv = {"/bin/sh", "-c", command.script},
                                           .env = {{"PATH", path_}},
                                           .stdin_data = command.stdin_data},
                                          deadline,
                                          std::move(stop));
    }

    [[nodiscard]] std::string peer() const override { return "ops@n1:22"; }

    std::vector<std::string> scripts;

  private:
    std::string path_;
};

}  // namespace lockstep
