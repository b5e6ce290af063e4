#include "transport/libssh2_link.hpp"

#include "transport/wait_fd.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <mutex>
#include <utility>

namespace lockstep {

namespace {

/// libssh2_init() is not thread-safe (its man page), and workers come here together.
void init_libssh2() {
    static std::once_flag once;
    std::call_once(once, [] {
        if (::libssh2_init(0) != 0) {
            throw Error("libssh2 cannot be initialised");
        }
    });
}

LIBSSH2_SESSION* new_session() {
    init_libssh2();
    LIBSSH2_SESSION* session = ::libssh2_session_init_ex(nullptr, nullptr, nullptr, nullptr);
    if (session == nullptr) {
        throw Error("libssh2 cannot create a session");
    }
    ::libssh2_session_set_blocking(session, 0);
    return session;
}

// libssh2 sometimes says EAGAIN without a direction (#1672): look again soon.
constexpr std::chrono::milliseconds k_without_direction{20};

}  // namespace

Libssh2Link::Libssh2Link(UniqueFd socket, std::string peer)
    : socket_(std::move(socket)), session_(new_session()), peer_(std::move(peer)) {}

Libssh2Link::~Libssh2Link() {
    // A courtesy, for the server's log. Then nothing can block any more: libssh2_session_free()
    // would otherwise close each channel with a round trip and say EAGAIN (libssh2 #122, #232).
    ::libssh2_session_disconnect_ex(session_.get(), SSH_DISCONNECT_BY_APPLICATION, "done", "");
    ::shutdown(socket_.get(), SHUT_RDWR);
}

void Libssh2Link::FreeSession::operator()(LIBSSH2_SESSION* session) const noexcept {
    // The socket is shut down, so every step of it fails or succeeds at once; the bound is for
    // what we did not think of. A session that is not free by then is leaked.
    constexpr int k_most_steps = 1000;
    for (int step = 0; step < k_most_steps; ++step) {
        if (::libssh2_session_free(session) != LIBSSH2_ERROR_EAGAIN) {
            return;
        }
    }
}

std::string Libssh2Link::last_error() const {
    char* text = nullptr;
    const int code = ::libssh2_session_last_error(session(), &text, nullptr, 0);
    return std::string(text != nullptr ? text : "") + " (libssh2 error " + std::to_string(code) +
           ")";
}

bool Libssh2Link::half_sent() const {
    return (::libssh2_session_block_directions(session()) & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0;
}

bool Libssh2Link::says_again(ssize_t answer) const {
    return answer == LIBSSH2_ERROR_EAGAIN ||
           (answer == -1 && ::libssh2_session_last_errno(session()) == LIBSSH2_ERROR_EAGAIN);
}

bool Libssh2Link::says_again(const void* answer) const {
    return answer == nullptr && ::libssh2_session_last_errno(session()) == LIBSSH2_ERROR_EAGAIN;
}

void Libssh2Link::check(const WaitTerms& terms) const {
    if (terms.stop.stop_requested()) {
        throw TransportError(TransportError::Kind::cancelled,
                             peer_ + ": cancelled while " + std::string(terms.doing));
    }
    if (terms.deadline.expired()) {
        const bool started = terms.on_deadline == TransportError::Kind::timeout;
        throw TransportError(terms.on_deadline,
                             peer_ + ": out of time while " + std::string(terms.doing),
                             started ? "It may still be running there." : "");
    }
}

bool Libssh2Link::await_until_deadline(const WaitTerms& terms) const {
    const int directions = ::libssh2_session_block_directions(session());
    const bool sending = (directions & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0;
    const bool receiving = (directions & LIBSSH2_SESSION_BLOCK_INBOUND) != 0 || !sending;
    const int events = (sending ? POLLOUT : 0) | (receiving ? POLLIN : 0);
    const Deadline deadline =
        directions == 0 ? terms.deadline.within(k_without_direction) : terms.deadline;
    if (wait_fd(socket(), static_cast<short>(events), deadline, terms.stop) ==
        WaitResult::cancelled) {
        check(terms);
    }
    return !terms.deadline.expired();
}

void Libssh2Link::await(const WaitTerms& terms) const {
    if (!await_until_deadline(terms)) {
        check(terms);
    }
}

}  // namespace lockstep
