#include "engine/runbook/rules.hpp"
#include "engine/runbook/runbook.hpp"
#include "tests/engine/runbook/runbook_vocabulary.hpp"
#include "tests/golden/invalid_file.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

class InvalidRunbook : public testing::TestWithParam<golden::InvalidFile> {};

using testing_vocabulary::errors_of;

TEST_P(InvalidRunbook, IsRefusedWithTheExpectedMessages) {
    const golden::InvalidFile& file = GetParam();
    ASSERT_FALSE(file.expected.empty()) << "the file does not say what is expected";
    const std::vector<InputError> errors = errors_of(file.text);
    for (std::size_t i = 0; i < std::max(errors.size(), file.expected.size()); ++i) {
        ASSERT_LT(i, errors.size()) << "missing: " << file.expected[i].message;
        ASSERT_LT(i, file.expected.size()) << "unexpected: " << errors[i].what();
        EXPECT_EQ(errors[i].what() + (" [" + errors[i].rule() + "]"),
                  "f:" + file.expected[i].message);
        EXPECT_NE(find_rule(errors[i].rule()), nullptr) << errors[i].rule();
        if (!file.expected[i].hint.empty()) {
            EXPECT_EQ(errors[i].hint(), file.expected[i].hint);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Files,
                         InvalidRunbook,
                         testing::ValuesIn(golden::invalid_files(LOCKSTEP_SOURCE_DIR
                                                                 "/tests/golden/invalid/runbook")),
                         [](const auto& tested) { return tested.param.name(); });

}  // namespace
}  // namespace lockstep
