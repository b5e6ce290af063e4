#include "base/error.hpp"
#include "steps/observation/connections.hpp"
#include "tests/fakes/fake_processes.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace lockstep {
namespace {

class Secrets : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "/lockstep-secret-XXXXXX";
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        directory_ = pattern;
    }

    void TearDown() override {
        for (const std::string& path : made_) {
            ::unlink(path.c_str());
        }
        ::rmdir(directory_.c_str());
    }

    std::string file(const std::string& text, mode_t mode) {
        std::string path = directory_ + "/secret";
        std::ofstream(path) << text;
        ::chmod(path.c_str(), mode);
        made_.push_back(path);
        return path;
    }

    std::string resolve(SecretRef ref) {
        return resolve_secret(ref, *processes_.factory()()).reveal();
    }

    /// The message of the error that it must be.
    std::string refusal(SecretRef ref) {
        try {
            resolve(std::move(ref));
        } catch (const Error& error) {
            hint_ = error.hint();
            return error.what();
        }
        ADD_FAILURE() << "resolved";
        return {};
    }

    std::string directory_;
    std::string hint_;
    std::vector<std::string> made_;
    FakeProcesses processes_;
};

SecretRef env(const std::string& name) {
    return {SecretRef::Env{name}, {}};
}

SecretRef from_file(const std::string& path) {
    return {SecretRef::File{path}, {}};
}

SecretRef command() {
    return {SecretRef::Command{{"pass", "show", "patroni"}}, {}};
}

TEST_F(Secrets, ComeFromTheEnvironment) {
    ::setenv("LOCKSTEP_TEST_SECRET", "s3cret ", 1);
    EXPECT_EQ(resolve(env("LOCKSTEP_TEST_SECRET")), "s3cret ");
    ::unsetenv("LOCKSTEP_TEST_SECRET");
    EXPECT_NE(refusal(env("LOCKSTEP_TEST_SECRET")).find("LOCKSTEP_TEST_SECRET"), std::string::npos);
}

TEST_F(Secrets, ComeFromTheFirstLineOfAFile) {
    EXPECT_EQ(resolve(from_file(file("s3cret\nuser\n", 0600))), "s3cret");
    EXPECT_EQ(resolve(from_file(file("s3cret\r\n", 0400))), "s3cret");
    EXPECT_EQ(resolve(from_file(file("s3cret", 0600))), "s3cret");
}

TEST_F(Secrets, AreNotTakenFromAFileThatEverybodyReads) {
    const std::string message = refusal(from_file(file("s3cret\n", 0644)));
    EXPECT_NE(message.find("readable by everybody"), std::string::npos);
    EXPECT_EQ(message.find("s3cret"), std::string::npos);
    EXPECT_NE(hint_.find("chmod 600"), std::string::npos);
}

TEST_F(Secrets, AreNotTakenFromWhatIsNoFile) {
    EXPECT_NE(refusal(from_file(directory_)).find("neither a regular file nor a pipe"),
              std::string::npos);
    EXPECT_NE(refusal(from_file(directory_ + "/none")).find("cannot be read"), std::string::npos);
    EXPECT_NE(refusal(from_file(file("", 0600))).find("empty"), std::string::npos);
}

TEST_F(Secrets, ComeFromTheFirstLineOfACommand) {
    processes_.answer = [](const LocalCommand&) {
        CommandResult result;
        result.out = "s3cret\nmore\n";
        return result;
    };
    EXPECT_EQ(resolve(command()), "s3cret");
    EXPECT_EQ(processes_.seen()[0].argv, (std::vector<std::string>{"pass", "show", "patroni"}));
}

TEST_F(Secrets, OfAFailingCommandQuoteItsErrorsAndNeverItsOutput) {
    processes_.answer = [](const LocalCommand&) {
        CommandResult result;
        result.exit_status = 2;
        result.out = "s3cret\n";
        result.err = "the store is locked\n";
        return result;
    };
    const std::string message = refusal(command());
    EXPECT_NE(message.find("exit status 2: the store is locked"), std::string::npos);
    EXPECT_EQ(message.find("s3cret"), std::string::npos);
}

TEST_F(Secrets, OfASilentCommandAreNone) {
    processes_.answer = [](const LocalCommand&) { return CommandResult{}; };
    EXPECT_NE(refusal(command()).find("printed nothing"), std::string::npos);
}

TEST_F(Secrets, TellWhereTheyWereAskedFor) {
    SecretRef ref = env("LOCKSTEP_TEST_SECRET");
    ref.where = {"inventory.yaml", 7, 18};
    EXPECT_TRUE(refusal(ref).starts_with("inventory.yaml:7:18: "));
}

}  // namespace
}  // namespace lockstep
