#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace lockstep {

/// A stretch of time [from, to). In seconds of 64 bits, which hold every year that a file may name;
/// system_clock's nanoseconds end in 2262.
struct Span {
    std::chrono::sys_seconds from, to;

    [[nodiscard]] bool holds(std::chrono::sys_seconds at) const { return from <= at && at < to; }

    friend bool operator==(const Span&, const Span&) = default;
};

/// By time, with what overlaps or adjoins made one, and without what is empty.
[[nodiscard]] std::vector<Span> merged(std::vector<Span> spans);
/// What of `spans` none of `cuts` covers. Both as merged() gives them, and so is the result.
[[nodiscard]] std::vector<Span> without(const std::vector<Span>& spans,
                                        const std::vector<Span>& cuts);

}  // namespace lockstep
