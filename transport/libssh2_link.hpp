#pragma once

#include "base/deadline.hpp"
#include "base/error.hpp"
#include "base/unique_fd.hpp"

#include <libssh2.h>

#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

namespace lockstep {

/// How long a wait may take, and what it means when it takes longer.
struct WaitTerms {
    Deadline deadline;
    std::stop_token stop;
    TransportError::Kind on_deadline = TransportError::Kind::connect;
    std::string_view doing;  ///< for the message: `connecting`, …; outlives the terms
};

/// A socket and the non-blocking libssh2 session over it. Belongs to one thread. One call at a time
/// and the same again after EAGAIN, with the same arguments: libssh2 1.10 answers any other call
/// with BAD_USE while a packet is half sent (src/transport.c, send_existing).
class Libssh2Link {
  public:
    /// Throws Error when libssh2 has no memory for a session.
    Libssh2Link(UniqueFd socket, std::string peer);
    ~Libssh2Link();
    Libssh2Link(const Libssh2Link&) = delete;
    Libssh2Link& operator=(const Libssh2Link&) = delete;
    Libssh2Link(Libssh2Link&&) = delete;
    Libssh2Link& operator=(Libssh2Link&&) = delete;

    [[nodiscard]] LIBSSH2_SESSION* session() const { return session_.get(); }

    [[nodiscard]] int socket() const { return socket_.get(); }

    [[nodiscard]] const std::string& peer() const { return peer_; }

    /// The library's last words, copied: the next call overwrites them.
    [[nodiscard]] std::string last_error() const;

    /// Whether the last EAGAIN was about sending: then only the same call may follow.
    [[nodiscard]] bool half_sent() const;

    /// Throws TransportError when the time is over or a stop is requested.
    void check(const WaitTerms& terms) const;
    /// Waits until the last call is worth repeating; throws as check() does.
    void await(const WaitTerms& terms) const;
    /// As await(), but false at the deadline. Throws for a stop request only.
    [[nodiscard]] bool await_until_deadline(const WaitTerms& terms) const;

    /// Whether an answer means EAGAIN. Some calls say -1 instead (libssh2 #671).
    [[nodiscard]] bool says_again(ssize_t answer) const;
    [[nodiscard]] bool says_again(const void* answer) const;

    /// Repeats `call` while it says EAGAIN; gives its last answer.
    template <class Call>
    auto repeat(Call call, const WaitTerms& terms) const -> decltype(call()) {
        auto answer = call();
        while (says_again(answer)) {
            await(terms);
            answer = call();
        }
        return answer;
    }

  private:
    struct FreeSession {
        void operator()(LIBSSH2_SESSION* session) const noexcept;
    };

    UniqueFd socket_;
    std::unique_ptr<LIBSSH2_SESSION, FreeSession> session_;
    std::string peer_;
};

}  // namespace lockstep
