#include "transport/libssh2_exec.hpp"

#include "transport/encoding.hpp"
#include "transport/exec_trailer.hpp"
#include "transport/wait_fd.hpp"

#include <poll.h>

#include <chrono>
#include <string_view>
#include <utility>

namespace lockstep {

namespace {

using Kind = TransportError::Kind;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds k_keepalive = 15s;
constexpr std::size_t k_read_size = std::size_t{32}
                                    << 10;  // one packet: LIBSSH2_CHANNEL_PACKET_DEFAULT

}  // namespace

/// The nonce makes the trailer this command's own: no output can imitate it.
Libssh2Exec::Libssh2Exec(const Libssh2Link& link, const RemoteCommand& command)
    : link_(link),
      command_(command),
      nonce_(random_hex(k_nonce_bytes)),
      output_(command, nonce_),
      buffer_(k_read_size, '\0') {
    line_ = wrap_script(command.script, nonce_);
}

/// False where the connection is no good any more: nothing was sent, so the caller may connect
/// anew. A server that refuses the session is another matter, and is told.
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

/// A request that is denied has started nothing. After any other error the command may run, so that
/// one is of the lost kind: in doubt.
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
        throw_lost(link_.peer(), link_.last_error());
    }
    pump(terms);
    return output_.finish(
        link_.peer(),
        std::chrono::duration_cast<milliseconds>(Deadline::SteadyClock::now() - begin));
}

/// Until the trailer, not until the end of file: a background process may hold the channel open.
/// Both streams are read in turn, since one that fills its window blocks the other side.
void Libssh2Exec::pump(const WaitTerms& terms) {
    while (!output_.complete()) {
        link_.check(terms);
        const bool wrote = write_stdin(terms);
        const bool read_out = read(0, terms);
        const bool read_err = read(SSH_EXTENDED_DATA_STDERR, terms);
        if (wrote || read_out || read_err) {
            last_byte_ = Deadline::SteadyClock::now();
            continue;
        }
        if (::libssh2_channel_eof(channel_) != 0) {
            return;
        }
        await(terms);
    }
}

/// In pieces of the keepalive's length, so that a silent command keeps its connection and a stop is
/// heard.
void Libssh2Exec::await(const WaitTerms& terms) const {
    const bool has_limit = command_.quiet_limit.count() > 0;
    const Deadline quiet(last_byte_ + command_.quiet_limit);
    WaitTerms piece = terms;
    piece.deadline = terms.deadline.within(k_keepalive);
    if (has_limit && quiet.at() < piece.deadline.at()) {
        piece.deadline = quiet;
    }
    if (link_.await_until_deadline(piece)) {
        return;
    }
    link_.check(terms);
    if (has_limit && quiet.expired()) {
        throw_lost(link_.peer(),
                   "nothing was heard for " + std::to_string(command_.quiet_limit.count()) + " ms");
    }
    keep_alive();
}

/// For the firewalls between: they forget a connection on which a long command is silent. Only
/// when nothing is half sent and the socket takes it whole, because libssh2 1.10 would repeat the
/// rest of it from a buffer that is gone (src/keepalive.c, a buffer on the stack).
void Libssh2Exec::keep_alive() const {
    if (link_.half_sent() ||
        wait_fd(link_.socket(), POLLOUT, Deadline::after(milliseconds(0)), {}) !=
            WaitResult::ready) {
        return;
    }
    int next = 0;
    ::libssh2_keepalive_config(link_.session(), 1, static_cast<unsigned>(k_keepalive / 1s));
    ::libssh2_keepalive_send(link_.session(), &next);  // a dead connection shows in the next read
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
        throw_lost(link_.peer(), link_.last_error());
    }
    stdin_done_ = left.empty();
    written_ += static_cast<std::size_t>(count);
    return stdin_done_ || count > 0;
}

bool Libssh2Exec::read(int stream, const WaitTerms& terms) {
    const ssize_t count = once(
        [&] { return ::libssh2_channel_read_ex(channel_, stream, buffer_.data(), buffer_.size()); },
        terms);
    if (count == LIBSSH2_ERROR_EAGAIN || count == 0) {
        return false;  // 0 is not the end: ask libssh2_channel_eof()
    }
    if (count < 0) {
        throw_lost(link_.peer(), link_.last_error());
    }
    const std::string_view piece(buffer_.data(), static_cast<std::size_t>(count));
    if (stream == 0) {
        output_.take_out(piece);
    } else {
        output_.take_err(piece);
    }
    return true;
}

/// What is not closed counts against MaxSessions of the server.
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

}  // namespace lockstep
