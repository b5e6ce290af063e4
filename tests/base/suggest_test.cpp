#include "base/suggest.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lockstep {
namespace {

TEST(DidYouMean, NamesTheNearMiss) {
    const std::vector<std::string> names = {"timeout", "retry", "when"};
    EXPECT_EQ(did_you_mean("timout", names), "did you mean \"timeout\"?");
    EXPECT_EQ(did_you_mean("timeotu", names), "did you mean \"timeout\"?");
    EXPECT_EQ(did_you_mean("timeouts", names), "did you mean \"timeout\"?");
    EXPECT_EQ(did_you_mean("rertY", names), "did you mean \"retry\"?");
    EXPECT_EQ(did_you_mean("WHEN", names), "did you mean \"when\"?");
}

TEST(DidYouMean, PrefersTheNearestName) {
    EXPECT_EQ(did_you_mean("membr", {"members", "member"}), "did you mean \"member\"?");
}

TEST(DidYouMean, ListsWhatThereIsWhenNothingIsNear) {
    EXPECT_EQ(did_you_mean("shoe", {"timeout", "retry"}), "there is: timeout, retry");
    EXPECT_EQ(did_you_mean("", {"timeout"}), "there is: timeout");
}

TEST(DidYouMean, DoesNotTakeAnotherLetterForATypingMistake) {
    EXPECT_EQ(did_you_mean("x", {"a", "b"}), "there is: a, b");
}

TEST(DidYouMean, ListsNoMoreThanEight) {
    const std::vector<std::string> names = {"aa", "bb", "cc", "dd", "ee", "ff", "gg", "hh", "ii"};
    EXPECT_EQ(did_you_mean("something", names),
              "there is: aa, bb, cc, dd, ee, ff, gg, hh and 1 more");
}

TEST(DidYouMean, IsEmptyWithoutNames) {
    EXPECT_EQ(did_you_mean("x", {}), "");
}

TEST(DidYouMean, ComparesNothingThatIsLongerThanAnyName) {
    EXPECT_EQ(did_you_mean(std::string(100'000, 'a'), {"a"}), "there is: a");
}

}  // namespace
}  // namespace lockstep
