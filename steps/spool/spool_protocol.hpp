#pragma once

#include "steps/spool/spool.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

/// How the spool's two sides speak. The member's side is one script, the same for every job. What
/// it is to do is a line of words, the command's text, and the command's stdin. These come by the
/// script's own stdin, with a last line that proves that all of it arrived; words and a short text
/// alone stand in the script, because sshd takes nothing for stdin before it has answered that the
/// script runs: a round trip less. It answers on stdout in lines that begin with a nonce, and with
/// the command's output between them.
namespace lockstep {

/// Who asks: `process` tells one process of ours from another, `number` its requests, ascending.
struct SpoolAsker {
    std::string process;
    std::uint64_t number = 0;
};

struct SpoolRequest {
    std::string words;  ///< of `[A-Za-z0-9._-]`, in the order in which the script takes them
    std::string text;   ///< the command's, with a line end; empty where nothing may be started
    std::string input;  ///< may be secret: never part of the script
};

/// `sent` counts the bytes of stdout that are here already. Throws Error for a key that cannot name
/// a folder, and for a script with a NUL byte.
[[nodiscard]] SpoolRequest make_request(const SpoolJob& job,
                                        const std::string& nonce,
                                        const SpoolAsker& asker,
                                        std::size_t sent);

/// For the stdin of spool_script().
[[nodiscard]] std::string on_stdin(const SpoolRequest& request, const std::string& nonce);
/// For spool_script(request): a shell's words, the text quoted. Nothing for a request with an
/// input, or with a text that is too long for a command line.
[[nodiscard]] std::optional<std::string> in_script(const SpoolRequest& request);

/// Takes the member's stdout apart, however it is broken into pieces.
class SpoolAnswer {
  public:
    struct Handler {
        std::function<void(const std::string&)> line;  ///< `accepted …`, `ended 0`, …
        std::function<void(std::string_view)> out;     ///< of the command's stdout
        std::function<void(std::string_view)> err;
    };

    SpoolAnswer(const std::string& nonce, Handler handler);

    void feed(std::string_view piece);

  private:
    void give(std::string_view bytes) const;

    std::string prefix_;
    Handler handler_;
    std::string held_;
    enum class Section { none, out, err } section_ = Section::none;
};

}  // namespace lockstep
