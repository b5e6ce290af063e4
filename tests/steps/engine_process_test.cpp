#include "steps/lock/engine_process.hpp"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

namespace lockstep {
namespace {

/// A child that waits, and how it describes itself.
class Child {
  public:
    Child() {
        std::array<int, 2> pipe{};
        if (::pipe(pipe.data()) != 0) {
            throw std::runtime_error("no pipe");
        }
        pid_ = ::fork();
        if (pid_ == 0) {
            const std::string words = own_engine_process();
            const bool written =
                ::write(pipe[1], words.data(), words.size()) == static_cast<ssize_t>(words.size());
            ::close(pipe[1]);
            if (written) {
                ::pause();
            }
            ::_exit(1);
        }
        ::close(pipe[1]);
        std::array<char, 256> buffer{};
        for (ssize_t got = 0; (got = ::read(pipe[0], buffer.data(), buffer.size())) > 0;) {
            process.append(buffer.data(), static_cast<std::size_t>(got));
        }
        ::close(pipe[0]);
    }

    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    ~Child() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }

    /// Ends it; it stays a zombie.
    void die() const {
        ::kill(pid_, SIGKILL);
        siginfo_t info{};
        ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
    }

    void bury() const { ::waitpid(pid_, nullptr, 0); }

    std::string process;

  private:
    pid_t pid_ = 0;
};

TEST(EngineProcess, OfOursRuns) {
    ASSERT_FALSE(own_engine_process().empty());
    EXPECT_EQ(fate_of_engine(own_engine_process()), EngineFate::runs);
    const Child child;
    EXPECT_EQ(fate_of_engine(child.process), EngineFate::runs);
}

TEST(EngineProcess, IsGoneWhenItHasEndedWhetherReapedOrNot) {
    const Child child;
    child.die();
    EXPECT_EQ(fate_of_engine(child.process), EngineFate::gone);
    child.bury();
    EXPECT_EQ(fate_of_engine(child.process), EngineFate::gone);
}

TEST(EngineProcess, IsGoneWhenItsPidBelongsToAnother) {
    const std::string own = own_engine_process();
    EXPECT_EQ(fate_of_engine(own.substr(0, own.rfind(' ')) + " 1"), EngineFate::gone);
}

TEST(EngineProcess, OfAnotherBootOrContainerIsNotKnown) {
    std::string other = own_engine_process();
    other[0] = other[0] == 'f' ? '0' : 'f';
    EXPECT_EQ(fate_of_engine(other), EngineFate::unknown);
    std::string container = own_engine_process();
    container.insert(container.find(']'), "9");
    EXPECT_EQ(fate_of_engine(container), EngineFate::unknown);
}

TEST(EngineProcess, ThatIsDescribedBadlyIsNotKnown) {
    const std::string own = own_engine_process();
    const std::string place = own.substr(0, own.find(']') + 1);
    for (const std::string& bad : {std::string(),
                                   place,
                                   place + " ",
                                   place + " 12",
                                   place + " 12 ",
                                   place + " x 1",
                                   place + " 0 1",
                                   place + " -1 1",
                                   place + " 99999999999 1",
                                   own + "x",
                                   own + " 1"}) {
        EXPECT_EQ(fate_of_engine(bad), EngineFate::unknown) << bad;
    }
}

}  // namespace
}  // namespace lockstep
