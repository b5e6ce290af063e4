#pragma once

#include <string>
#include <string_view>

namespace lockstep {

/// `a, b, c` of texts, with the joint between them.
template <class Texts>
[[nodiscard]] std::string join(const Texts& texts, std::string_view joint = ", ") {
    std::string all;
    bool first = true;
    for (const auto& text : texts) {
        all += first ? std::string_view() : joint;
        all += text;
        first = false;
    }
    return all;
}

}  // namespace lockstep
