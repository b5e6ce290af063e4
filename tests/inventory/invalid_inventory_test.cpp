#include "inventory/inventory.hpp"
#include "tests/golden/invalid_file.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

class InvalidInventory : public testing::TestWithParam<golden::InvalidFile> {};

TEST_P(InvalidInventory, IsRefusedWithTheExpectedMessage) {
    const golden::InvalidFile& file = GetParam();
    ASSERT_EQ(file.expected.size(), 1U) << "the loader stops at the first error";
    try {
        static_cast<void>(parse_inventory(file.text, "f"));
        FAIL() << "accepted";
    } catch (const InputError& error) {
        EXPECT_EQ(error.what() + (" [" + error.rule() + "]"), "f:" + file.expected.front().message);
        if (!file.expected.front().hint.empty()) {
            EXPECT_EQ(error.hint(), file.expected.front().hint);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(
    Files,
    InvalidInventory,
    testing::ValuesIn(golden::invalid_files(LOCKSTEP_SOURCE_DIR "/tests/golden/invalid/inventory")),
    [](const auto& tested) { return tested.param.name(); });

}  // namespace
}  // namespace lockstep
