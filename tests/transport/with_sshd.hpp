#pragma once

#include "test_sshd.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace lockstep {

/// A `testing::Test`, or one with a parameter, whose suite has an sshd. Its tests are skipped where
/// there is none: a SetUp() on top of this one has to look at IsSkipped().
template <class Test>
class WithSshd : public Test {
  protected:
    static void SetUpTestSuite() {
        if (TestSshd::installed()) {
            sshd_ = std::make_unique<TestSshd>();
        }
    }

    static void TearDownTestSuite() { sshd_.reset(); }

    void SetUp() override {
        if (sshd_ == nullptr) {
            GTEST_SKIP() << "no /usr/sbin/sshd";
        }
    }

    static inline std::unique_ptr<TestSshd> sshd_;
};

}  // namespace lockstep
