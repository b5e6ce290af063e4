#include "cluster/fences.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using Numbers = std::vector<std::optional<std::int64_t>>;
using Positions = std::vector<std::size_t>;

constexpr std::int64_t k_far = 999'999'999'999'999'999;
constexpr auto k_away = std::nullopt;

TEST(Fences, CountByTheGreatestThatAMajorityReaches) {
    EXPECT_EQ(judge_fences({5, 5, 5}).greatest, 5);
    EXPECT_EQ(judge_fences({0, 5, 5}).greatest, 5) << "one that was away, or set up anew";
    EXPECT_EQ(judge_fences({0, 0, 5}).greatest, 5) << "an attempt that found no majority";
    EXPECT_EQ(judge_fences({k_away, 3, 5}).greatest, 5) << "the one away may be the other of two";
    EXPECT_EQ(judge_fences({0, 5'000, 5'000}).greatest, 5'000);
    EXPECT_TRUE(judge_fences({0, 5'000, 5'000}).odd.empty());
    EXPECT_EQ(judge_fences({}).greatest, 0);
    EXPECT_EQ(judge_fences({k_away, k_away, k_away}).greatest, 0);
}

TEST(Fences, OfAMinorityFarAboveAreOdd) {
    for (const Numbers& numbers : {Numbers{5, 6, k_far}, Numbers{5, 6, 6 + 2'000}}) {
        const Fences judged = judge_fences(numbers);
        EXPECT_EQ(judged.greatest, 6);
        EXPECT_EQ(judged.odd, Positions{2});
        EXPECT_FALSE(judged.undecided);
    }
    const Fences two = judge_fences({k_far, 6, 7, k_far, 6});
    EXPECT_EQ(two.greatest, 7);
    EXPECT_EQ(two.odd, (Positions{0, 3}));
    const Fences pair = judge_fences({3, k_far});
    EXPECT_EQ(pair.greatest, 3) << "a holder has it on both";
    EXPECT_EQ(pair.odd, Positions{1});
}

TEST(Fences, AreUndecidedWhereTooFewAnswer) {
    const Fences judged = judge_fences({k_away, 6, k_far});
    EXPECT_TRUE(judged.undecided);
    EXPECT_EQ(judged.odd, Positions{2});
    EXPECT_EQ(judged.greatest, 6);
    EXPECT_FALSE(judge_fences({k_away, 6, 1'006}).undecided);
    EXPECT_FALSE(judge_fences({k_far}).undecided) << "a cluster of one has no others";
    EXPECT_EQ(judge_fences({k_far}).greatest, k_far);
}

// Whatever a majority has, the next is beyond it, whoever is away then and whatever a minority
// says.
TEST(Fences, LeaveNoHolderAhead) {
    for (std::size_t members = 1; members <= 5; ++members) {
        const std::size_t majority = members / 2 + 1;
        for (unsigned has = 0; has < 1U << members; ++has) {
            for (unsigned away = 0; away < 1U << members; ++away) {
                Numbers numbers(members, 0);
                std::size_t holders = 0;
                std::size_t answer = 0;
                for (std::size_t n = 0; n < members; ++n) {
                    holders += has >> n & 1U;
                    answer += 1U - (away >> n & 1U);
                    numbers[n] = has >> n & 1U ? 40 : 3;
                    numbers[n] = away >> n & 1U ? k_away : numbers[n];
                }
                if (holders >= majority && answer >= majority) {
                    EXPECT_EQ(judge_fences(numbers).greatest, 40);
                }
            }
        }
    }
}

}  // namespace
}  // namespace lockstep
