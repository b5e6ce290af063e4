#include "transport/libssh2_exec.hpp"

#include "transport/encoding.hpp"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <string_view>
#include <utility>

namespace lockstep {

namespace {

using Kind = TransportError::Kind;

constexpr std::size_t k_nonce_bytes = 8;
constexpr std::size_t k_read_size = std::size_t{32}
                                    << 10;  // one packet: LIBSSH2_CHANNEL_PACKET_DEFAULT

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

Libssh2Exec::Libssh2Exec(const Libssh2Link& link, const RemoteCommand& command)
    : link_(link),
      command_(command),
      nonce_(random_hex(k_nonce_bytes)),
      out_{0, TrailerScanner(nonce_), CappedText(command.output_limit)},
      err_{SSH_EXTENDED_DATA_STDERR, TrailerScanner(nonce_), CappedText(command.output_limit)},
      buffer_(k_read_size, '\0') {
    line_ = wrap_script(command.script, nonce_);
}

bool Libssh2Exec::open(const WaitTerms& terms) {
    constexpr std::string_view k_session = "session";
    while (true) {
        channel_ = ::libssh2_channel_open_ex(link_.session(),
                                             k_session.data(),
                                             k_session.size(),
                                             LIBSSH2_CHANNEL_WINDOW_DEFAULT,
                                             LIBSSH2_CHANNEL_PACKET_DEFAULT,
                                             nullptr,
                                             0);
        if (!link_.says_again(channel_)) {
            break;
        }
        if (!link_.await_until_deadline(terms)) {
            return false;
        }
    }
    if (channel_ != nullptr) {
        return true;
    }
    if (::libssh2_session_last_errno(link_.session()) == LIBSSH2_ERROR_CHANNEL_FAILURE) {
        throw TransportError(
            Kind::connect,
            link_.peer() + ": the server refuses to open a session: " + link_.last_error(),
            "Check MaxSessions in the server's sshd_config.");
    }
    return false;
}

CommandResult Libssh2Exec::run(const WaitTerms& terms) {
    constexpr std::string_view k_exec = "exec";
    const auto begin = Deadline::SteadyClock::now();
    last_byte_ = begin;
    const auto start = [&] {
        return ::libssh2_channel_process_startup(channel_,
                                                 k_exec.data(),
                                                 k_exec.size(),
                                                 line_.data(),
                                                 static_cast<unsigned int>(line_.size()));
    };
    int rc = start();
    while (link_.says_again(rc)) {
        await(terms);
        rc = start();
    }
    if (rc == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED) {
        throw TransportError(Kind::auth,
                             link_.peer() + ": the server refuses to run commands",
                             "Check ForceCommand and the options in authorized_keys.");
    }
    if (rc != 0) {
        throw_lost(link_.last_error());
    }
    pump(terms);
    CommandResult result;
    result.exit_status = out_.scanner.status().value_or(-1);
    result.out_truncated = out_.kept.truncated();
    result.err_truncated = err_.kept.truncated();
    result.out = out_.kept.take();
    result.err = err_.kept.take();
    result.took =
        std::chrono::duration_cast<std::chrono::milliseconds>(Deadline::SteadyClock::now() - begin);
    return result;
}

/// Both trailers end it, not the end of the streams: a process left in the background keeps these
/// open as long as it lives (`pg_ctl start` without `-l` does).
void Libssh2Exec::pump(const WaitTerms& terms) {
    while (!out_.scanner.status() || !err_.scanner.status()) {
        link_.check(terms);
        const bool wrote = write_stdin(terms);
        const bool read_out = read(out_, terms);
        const bool read_err = read(err_, terms);
        if (wrote || read_out || read_err) {
            last_byte_ = Deadline::SteadyClock::now();
            continue;
        }
        if (::libssh2_channel_eof(channel_) != 0) {
            if (!out_.scanner.status()) {
                throw_no_trailer();
            }
            take(err_, err_.scanner.take_rest());
            return;
        }
        await(terms);
    }
}

void Libssh2Exec::await(const WaitTerms& terms) const {
    const Deadline quiet(last_byte_ + command_.quiet_limit);
    if (command_.quiet_limit.count() == 0 || quiet.at() >= terms.deadline.at()) {
        link_.await(terms);
        return;
    }
    WaitTerms until_quiet = terms;
    until_quiet.deadline = quiet;
    if (!link_.await_until_deadline(until_quiet)) {
        throw_lost("nothing was heard for " + std::to_string(command_.quiet_limit.count()) + " ms");
    }
}

/// Calls once, or as often as it takes to get a half-sent packet out. EAGAIN then means that the
/// other side has nothing for us, or no room.
template <class Call>
ssize_t Libssh2Exec::once(Call call, const WaitTerms& terms) const {
    ssize_t count = call();
    while (count == LIBSSH2_ERROR_EAGAIN && link_.half_sent()) {
        await(terms);
        count = call();
    }
    return count;
}

bool Libssh2Exec::write_stdin(const WaitTerms& terms) {
    if (stdin_done_) {
        return false;
    }
    const std::string_view left = std::string_view(command_.stdin_data).substr(written_);
    const ssize_t count = once(
        [&]() -> ssize_t {
            return left.empty() ? ::libssh2_channel_send_eof(channel_)
                                : ::libssh2_channel_write_ex(channel_, 0, left.data(), left.size());
        },
        terms);
    if (count == LIBSSH2_ERROR_EAGAIN) {
        return false;
    }
    if (count == LIBSSH2_ERROR_CHANNEL_CLOSED || count == LIBSSH2_ERROR_CHANNEL_EOF_SENT) {
        stdin_done_ = true;  // the command ended without reading it all, which is its right
        return false;
    }
    if (count < 0) {
        throw_lost(link_.last_error());
    }
    stdin_done_ = left.empty();
    written_ += static_cast<std::size_t>(count);
    return stdin_done_ || count > 0;
}

bool Libssh2Exec::read(Stream& stream, const WaitTerms& terms) {
    const ssize_t count = once(
        [&] {
            return ::libssh2_channel_read_ex(channel_, stream.id, buffer_.data(), buffer_.size());
        },
        terms);
    if (count == LIBSSH2_ERROR_EAGAIN || count == 0) {
        return false;  // 0 is not the end: ask libssh2_channel_eof()
    }
    if (count < 0) {
        throw_lost(link_.last_error());
    }
    const std::string_view piece(buffer_.data(), static_cast<std::size_t>(count));
    take(stream, stream.scanner.feed(piece));
    return true;
}

void Libssh2Exec::take(Stream& stream, const std::string& piece) {
    if (piece.empty()) {
        return;
    }
    stream.kept.append(piece);
    if (stream.id == 0 && command_.on_output) {
        command_.on_output(piece);
    }
}

bool Libssh2Exec::close(Deadline deadline) {
    if (channel_ == nullptr) {
        return true;
    }
    // libssh2_channel_free() closes it first and waits for the other side's word. Not to be
    // stopped: the result is there, and this is short.
    const WaitTerms terms{deadline, {}, Kind::timeout, "closing a session"};
    int rc = ::libssh2_channel_free(channel_);
    while (link_.says_again(rc)) {
        if (!link_.await_until_deadline(terms)) {
            return false;
        }
        rc = ::libssh2_channel_free(channel_);
    }
    channel_ = nullptr;
    return rc == 0;
}

void Libssh2Exec::throw_lost(const std::string& reason) const {
    throw TransportError(
        Kind::lost,
        link_.peer() + ": the connection was lost while the command ran: " + reason,
        "It may have run to its end, go on running or have been killed: check before repeating.");
}

void Libssh2Exec::throw_no_trailer() {
    take(out_, out_.scanner.take_rest());
    take(err_, err_.scanner.take_rest());
    std::string said = first_line(err_.kept.text());
    if (said.empty()) {
        said = first_line(out_.kept.text());
    }
    throw TransportError(
        Kind::lost,
        link_.peer() + ": the command's session ended without its exit status" +
            (said.empty() ? "" : ": " + said),
        "The server may have closed it (ChannelTimeout), the command's shell may have been killed, "
        "or the account may have no login shell: check before repeating.");
}

}  // namespace lockstep
