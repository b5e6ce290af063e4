#pragma once

#include "base/deadline.hpp"
#include "base/unique_fd.hpp"

#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// A key that the agent holds.
struct AgentKey {
    std::string blob;  ///< public key in wire format
    std::string comment;
};

/// Speaks to ssh-agent (draft-miller-ssh-agent) without ever waiting past a deadline, which
/// libssh2's own agent code does: it blocks in connect() and read(). No method throws; what does
/// not work in time gives nothing.
class SshAgent {
  public:
    /// The agent at this socket; nothing when nobody answers there.
    static std::optional<SshAgent> open(const std::string& path);

    [[nodiscard]] std::optional<std::vector<AgentKey>> keys(Deadline deadline,
                                                            const std::stop_token& stop);

    /// The signature alone, without the name of its algorithm.
    [[nodiscard]] std::optional<std::string> sign(const AgentKey& key,
                                                  std::string_view data,
                                                  Deadline deadline,
                                                  const std::stop_token& stop);

  private:
    explicit SshAgent(UniqueFd socket) : socket_(std::move(socket)) {}

    std::optional<std::string> ask(const std::string& message,
                                   Deadline deadline,
                                   const std::stop_token& stop);
    std::optional<std::string> receive(std::size_t length,
                                       Deadline deadline,
                                       const std::stop_token& stop);

    UniqueFd socket_;
};

}  // namespace lockstep
