#include "transport/exec_output.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <cctype>

namespace lockstep {

namespace {

using Kind = TransportError::Kind;

/// The first line of a text, short and printable, for a message.
std::string first_line(const std::string& text) {
    constexpr std::size_t k_longest = 200;
    std::string line = text.substr(0, std::min(text.find('\n'), k_longest));
    line.erase(std::remove_if(
                   line.begin(), line.end(), [](unsigned char c) { return std::iscntrl(c) != 0; }),
               line.end());
    return line;
}

}  // namespace

ExecOutput::ExecOutput(const RemoteCommand& command, std::string_view nonce)
    : command_(command),
      out_(nonce),
      err_(nonce),
      out_text_(command.output_limit),
      err_text_(command.output_limit) {}

void ExecOutput::take_out(std::string_view piece) {
    keep_out(out_.feed(piece));
}

void ExecOutput::take_err(std::string_view piece) {
    err_text_.append(err_.feed(piece));
}

void ExecOutput::keep_out(const std::string& piece) {
    if (piece.empty()) {
        return;
    }
    out_text_.append(piece);
    if (command_.on_output) {
        command_.on_output(piece);
    }
}

CommandResult ExecOutput::finish(const std::string& peer, std::chrono::milliseconds took) {
    if (!err_.status()) {
        err_text_.append(err_.take_rest());
    }
    if (!out_.status()) {
        keep_out(out_.take_rest());
        std::string said = first_line(err_text_.text());
        if (said.empty()) {
            said = first_line(out_text_.text());
        }
        throw TransportError(
            Kind::lost,
            peer + ": the command's session ended without its exit status" +
                (said.empty() ? "" : ": " + said),
            "The server may have closed it (ChannelTimeout), the command's shell may have been "
            "killed, or the account may have no login shell that runs sh: check before repeating.");
    }
    CommandResult result;
    result.exit_status = *out_.status();
    result.out_truncated = out_text_.truncated();
    result.err_truncated = err_text_.truncated();
    result.out = out_text_.take();
    result.err = err_text_.take();
    result.took = took;
    return result;
}

void throw_lost(const std::string& peer, const std::string& reason) {
    throw TransportError(
        Kind::lost,
        peer + ": the connection was lost while the command ran: " + reason,
        "It may have run to its end, go on running or have been killed: check before repeating.");
}

}  // namespace lockstep
