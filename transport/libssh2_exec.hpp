#pragma once

#include "transport/exec_output.hpp"
#include "transport/libssh2_link.hpp"
#include "transport/ssh_session.hpp"

#include <string>

namespace lockstep {

/// One command on one link, from the opening of its channel to the closing. The channel belongs to
/// the link's session: when any of this throws, the link is of no use any more and takes the
/// channel with it.
class Libssh2Exec {
  public:
    Libssh2Exec(const Libssh2Link& link, const RemoteCommand& command);

    /// Opens the channel; nothing of the command is sent. False when the connection turns out to be
    /// dead or does not answer in time. Throws TransportError: connect when the server refuses
    /// another channel, or cancelled.
    [[nodiscard]] bool open(const WaitTerms& terms);

    /// Sends the command and drains stdout and stderr together until both have their trailer.
    /// Throws TransportError: lost when there is none, or at the quiet limit; what the terms say;
    /// auth when the server refuses to execute anything.
    [[nodiscard]] CommandResult run(const WaitTerms& terms);

    /// Closes the channel. False when that did not work in time: the link must be dropped.
    [[nodiscard]] bool close(Deadline deadline);

  private:
    void pump(const WaitTerms& terms);
    /// As Libssh2Link::await(), and within the command's quiet limit.
    void await(const WaitTerms& terms) const;
    bool write_stdin(const WaitTerms& terms);
    bool read(int stream, const WaitTerms& terms);
    void keep_alive() const;
    template <class Call>
    ssize_t once(Call call, const WaitTerms& terms) const;

    const Libssh2Link& link_;
    const RemoteCommand& command_;
    std::string line_;
    std::string nonce_;
    LIBSSH2_CHANNEL* channel_ = nullptr;
    ExecOutput output_;
    Deadline::SteadyClock::time_point last_byte_;  ///< when one last came or went
    std::size_t written_ = 0;
    bool stdin_done_ = false;
    std::string buffer_;
};

}  // namespace lockstep
