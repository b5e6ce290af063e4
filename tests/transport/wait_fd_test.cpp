#include "transport/wait_fd.hpp"

#include "base/unique_fd.hpp"
#include "transport/bounded_call.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include <array>
#include <chrono>
#include <thread>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

class WaitFd : public testing::Test {
  protected:
    WaitFd() {
        std::array<int, 2> ends{-1, -1};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        reader_ = UniqueFd(ends[0]);
        writer_ = UniqueFd(ends[1]);
    }

    UniqueFd reader_;
    UniqueFd writer_;
    std::stop_source source_;
};

TEST_F(WaitFd, IsReadyWhenThereIsSomethingToRead) {
    ASSERT_EQ(::write(writer_.get(), "x", 1), 1);
    EXPECT_EQ(wait_fd(reader_.get(), POLLIN, Deadline::after(5s), source_.get_token()),
              WaitResult::ready);
    EXPECT_EQ(wait_fd(reader_.get(), POLLIN, Deadline::after(5s), {}), WaitResult::ready);
}

TEST_F(WaitFd, IsReadyAlsoAfterTheDeadline) {
    ASSERT_EQ(::write(writer_.get(), "x", 1), 1);
    EXPECT_EQ(wait_fd(reader_.get(), POLLIN, Deadline::after(-1s), source_.get_token()),
              WaitResult::ready);
}

TEST_F(WaitFd, EndsAtTheDeadline) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(wait_fd(reader_.get(), POLLIN, Deadline::after(50ms), source_.get_token()),
              WaitResult::deadline);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 50ms);
}

TEST_F(WaitFd, IsWokenByAStopRequest) {
    const std::jthread stopper([this] {
        std::this_thread::sleep_for(30ms);
        source_.request_stop();
    });
    EXPECT_EQ(wait_fd(reader_.get(), POLLIN, Deadline::after(10s), source_.get_token()),
              WaitResult::cancelled);
}

TEST_F(WaitFd, PrefersAStopRequestToData) {
    ASSERT_EQ(::write(writer_.get(), "x", 1), 1);
    source_.request_stop();
    EXPECT_EQ(wait_fd(reader_.get(), POLLIN, Deadline::after(10s), source_.get_token()),
              WaitResult::cancelled);
}

TEST_F(WaitFd, IsNotShortenedByASignal) {
    struct sigaction action {};

    struct sigaction before {};

    action.sa_handler = [](int) {};
    ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
    const pthread_t waiter = ::pthread_self();
    {
        const std::jthread signaller([waiter] {
            std::this_thread::sleep_for(20ms);
            ::pthread_kill(waiter, SIGUSR1);
        });
        const auto begin = std::chrono::steady_clock::now();
        EXPECT_EQ(wait_fd(reader_.get(), POLLIN, Deadline::after(80ms), {}), WaitResult::deadline);
        EXPECT_GE(std::chrono::steady_clock::now() - begin, 80ms);
    }
    ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
}

TEST_F(WaitFd, SleepsWithoutADescriptor) {
    EXPECT_EQ(wait_fd(-1, 0, Deadline::after(10ms), source_.get_token()), WaitResult::deadline);
}

TEST(BoundedCall, GivesTheResult) {
    EXPECT_EQ(bounded_call<int>([] { return 7; }, Deadline::after(5s), {}), 7);
}

TEST(BoundedCall, LeavesACallThatTakesTooLong) {
    const auto slow = [] {
        std::this_thread::sleep_for(200ms);
        return 7;
    };
    EXPECT_EQ(bounded_call<int>(slow, Deadline::after(20ms), {}), std::nullopt);
    std::stop_source source;
    source.request_stop();
    EXPECT_EQ(bounded_call<int>(slow, Deadline::after(5s), source.get_token()), std::nullopt);
}

}  // namespace
}  // namespace lockstep
