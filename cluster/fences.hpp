#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

/// Which of the members' fences count. Every run that ever held a cluster had its fence on a
/// majority of the members, and a member's fence only grows; so of all members at least a majority
/// has a number not below that of any earlier holder. What a majority has, or more, is therefore
/// the least that the next holder must go beyond: with n members of which u do not answer, the
/// greatest number that `n/2 + 1 - u` of those that answer reach.
///
/// Above it may be members that an attempt reached which then found no majority: it was never
/// granted and sent nothing, and it went one beyond what it saw. These count as well, so that the
/// next holder is above them and works on these members, too, but only up to k_fence_reach: a
/// number further up comes from no run. One member must not spread it: it would take all to where
/// nobody can count any more. To put it down again lets nobody back in: a holder of such a number
/// would have left it on a majority.
namespace lockstep {

/// How far a fence may be above those of a majority.
inline constexpr std::int64_t k_fence_reach = 1000;

struct Fences {
    std::int64_t greatest = 0;     ///< of those that count
    std::vector<std::size_t> odd;  ///< whose number does not count, by position
    /// Too few answer: of two numbers that far apart either may be the right one. The greater is in
    /// `odd`, and nobody may hold the cluster by either.
    bool undecided = false;
};

/// `fences` of all members, in any order; nothing for one that does not answer.
[[nodiscard]] Fences judge_fences(const std::vector<std::optional<std::int64_t>>& fences);

}  // namespace lockstep
