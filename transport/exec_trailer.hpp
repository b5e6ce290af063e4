#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace lockstep {

/// Of a nonce, from random_hex().
inline constexpr std::size_t k_nonce_bytes = 8;

/// The command line that a login shell gets to run `script` by /bin/sh and to report its status in
/// band, at the end of stdout and of stderr: `\036lockstep <word> <status>\036` and a line end.
/// Before the script begins it says the word, `\036lockstep <nonce> +<word>\036` and a line end: a
/// command line is seen by everybody there, and a script may print what others wrote. The word is
/// the nonce itself, and is not said, where /proc has none to give.
/// libssh2 1.10 cannot tell a status 0 from one that never arrived (libssh2 #2515: OpenSSH's
/// ChannelTimeout looks like a clean success). The script runs in a shell of its own, so that
/// neither `exit`, `set -e`, a syntax error nor `kill -9 $$` keeps the trailer from being written.
/// Quoted for every login shell of the POSIX family and fish, and for csh while the script has no
/// line ends. Throws Error for a NUL byte and for more than libssh2 1.10 can send in one packet.
[[nodiscard]] std::string wrap_script(std::string_view script, std::string_view nonce);

/// Cuts the trailer off one stream, however the stream is broken into pieces.
class TrailerScanner {
  public:
    explicit TrailerScanner(std::string_view nonce);

    /// Takes the next piece and gives what is output for certain. What follows the trailer, the
    /// output of a process left in the background, is dropped.
    [[nodiscard]] std::string feed(std::string_view piece);

    /// The status, once the trailer was seen.
    [[nodiscard]] std::optional<int> status() const { return status_; }

    /// At the end of a stream without a trailer: what was held back, because it might have been
    /// the beginning of one.
    [[nodiscard]] std::string take_rest();

  private:
    std::string prefix_;
    bool own_word_ = false;  ///< it was said
    std::string held_;
    std::optional<int> status_;
};

/// Keeps the beginning of a stream, up to a limit in bytes.
class CappedText {
  public:
    explicit CappedText(std::size_t limit) : limit_(limit) {}

    void append(std::string_view piece);

    [[nodiscard]] const std::string& text() const { return text_; }

    [[nodiscard]] bool truncated() const { return truncated_; }

    [[nodiscard]] std::string take() { return std::move(text_); }

  private:
    std::size_t limit_;
    std::string text_;
    bool truncated_ = false;
};

}  // namespace lockstep
