#pragma once

#include <string>
#include <utility>

namespace lockstep {

/// A value that must not be seen: not in an argv, plan, journal or log. It cannot be printed or
/// formatted; whoever needs the text says `reveal()`, which is easy to search for.
class Secret {
  public:
    explicit Secret(std::string text) : text_(std::move(text)) {}

    [[nodiscard]] const std::string& reveal() const noexcept { return text_; }

  private:
    std::string text_;
};

}  // namespace lockstep
