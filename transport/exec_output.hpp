#pragma once

#include "transport/exec_trailer.hpp"
#include "transport/ssh_session.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace lockstep {

/// Collects stdout and stderr of one wrapped script until both have their trailer, whichever client
/// carries them.
class ExecOutput {
  public:
    /// The command outlives it.
    ExecOutput(const RemoteCommand& command, std::string_view nonce);

    void take_out(std::string_view piece);
    void take_err(std::string_view piece);

    /// Both trailers are here. Not the end of the streams: a process left in the background keeps
    /// these open as long as it lives (`pg_ctl start` without `-l` does).
    [[nodiscard]] bool complete() const { return out_.status() && err_.status(); }

    /// The streams have ended. Gives the result, for which the trailer of stdout is enough; throws
    /// TransportError lost when there is none, with what was said instead.
    [[nodiscard]] CommandResult finish(const std::string& peer, std::chrono::milliseconds took);

    /// Whether the trailer of stdout is here: finish() gives a result.
    [[nodiscard]] bool has_status() const { return out_.status().has_value(); }

    /// What stderr has said by now.
    [[nodiscard]] const std::string& err() const { return err_text_.text(); }

  private:
    void keep_out(const std::string& piece);

    const RemoteCommand& command_;
    TrailerScanner out_;
    TrailerScanner err_;
    CappedText out_text_;
    CappedText err_text_;
};

/// Throws what every client says when the connection broke in the middle of a command.
[[noreturn]] void throw_lost(const std::string& peer, const std::string& reason);

}  // namespace lockstep
