#pragma once

#include <cstddef>
#include <string>

namespace lockstep {

/// The whole terminal, drawn again and again: on the terminal's second screen, without a cursor and
/// without wrapping. What was there before is back when this ends, whichever way it does.
class LiveScreen {
  public:
    /// `fd` is a terminal.
    explicit LiveScreen(int fd);
    LiveScreen(const LiveScreen&) = delete;
    LiveScreen& operator=(const LiveScreen&) = delete;
    ~LiveScreen();

    [[nodiscard]] bool draw(const std::string& text);

  private:
    int fd_;
};

/// What is sent to make a screen of `rows` rows show `text` (0: any number): in place and in one
/// piece, each line over what was there, so that nothing flickers. Too long a text is cut, and says
/// so.
[[nodiscard]] std::string frame(const std::string& text, std::size_t rows);

}  // namespace lockstep
