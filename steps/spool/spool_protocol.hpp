#pragma once

#include "steps/spool/spool.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

/// How the spool's two sides speak. The member's side is one script, the same for every job; what
/// it is to do comes by its stdin: a line of words (render_request), the command's text, its stdin,
/// and a line that proves that all of it arrived. It answers on stdout in lines that begin with a
/// nonce, and with the command's output between them.
namespace lockstep {

/// Who asks: `process` tells one process of ours from another, `number` its requests, ascending.
struct SpoolAsker {
    std::string process;
    std::uint64_t number = 0;
};

/// `sent` counts the bytes of stdout that are here already. Throws Error for a key that cannot name
/// a folder, and for a script with a NUL byte.
[[nodiscard]] std::string render_request(const SpoolJob& job,
                                         const std::string& nonce,
                                         const SpoolAsker& asker,
                                         std::size_t sent);

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
