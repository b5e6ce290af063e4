#include "steps/actions/command_batch.hpp"

#include "base/deadline.hpp"
#include "transport/process_runner.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lockstep {
namespace {

using Results = std::vector<CommandResult>;

/// What comes of a batch by a shell of this machine, read in pieces of `size`.
Results run(const std::vector<BatchedCommand>& commands,
            std::size_t size = 4096,
            const std::string& shell = "/bin/sh") {
    const CommandResult all = make_process_runner()->run(
        {.argv = {shell, "-c", render(commands, "0123abcd")}, .output_limit = std::size_t{4} << 20},
        Deadline::after(std::chrono::seconds{30}),
        {});
    Results results;
    BatchReader reader("0123abcd", [&](std::size_t number, CommandResult result) {
        EXPECT_EQ(number, results.size());
        results.push_back(std::move(result));
    });
    for (std::size_t at = 0; at < all.out.size(); at += size) {
        reader.feed(std::string_view(all.out).substr(at, size));
    }
    return results;
}

BatchedCommand command(std::string script, bool goes_on = false) {
    return {std::move(script), {0}, goes_on};
}

TEST(CommandBatch, GivesEachItsOwnOutputAndStatus) {
    for (const char* shell : {"/bin/sh", "/bin/dash", "/bin/bash"}) {
        for (const std::size_t size : {1U, 7U, 4096U}) {
            const Results results = run({command("echo one; echo first >&2"),
                                         command("printf two"),
                                         {"echo three; echo third >&2; exit 3", {0, 3}, false},
                                         command("kill -9 $$", true),
                                         command("set -e; exec 2>&-; exit 0")},
                                        size,
                                        shell);
            ASSERT_EQ(results.size(), 5U) << shell << size;
            EXPECT_EQ(results[0].out, "one\n");
            EXPECT_EQ(results[0].err, "first\n");
            EXPECT_EQ(results[1].out, "two");
            EXPECT_EQ(results[1].err, "");
            EXPECT_EQ(results[2].exit_status, 3);
            EXPECT_EQ(results[2].err, "third\n");
            EXPECT_EQ(results[3].exit_status, 137);
            EXPECT_EQ(results[4].exit_status, 0);
        }
    }
}

TEST(CommandBatch, BeginsNothingAfterAFailure) {
    EXPECT_EQ(run({command("true"), command("exit 4"), command("echo never")}).size(), 2U);
    EXPECT_EQ(run({command("exit 4", true), command("true")}).size(), 2U);
    EXPECT_EQ(run({{"exit 4", {4}, false}, command("true")}).size(), 2U);
}

TEST(CommandBatch, KeepsEveryByte) {
    std::string bytes;
    for (int c = 0; c < 256; ++c) {
        bytes += static_cast<char>(c);
    }
    const std::string all =
        "i=0; while [ $i -lt 256 ]; do printf \"\\\\$(printf %03o $i)\"; i=$((i+1)); done";
    const Results results = run({command(all), command("{ " + all + "; } >&2"), command(all)}, 5);
    ASSERT_EQ(results.size(), 3U);
    EXPECT_EQ(results[0].out, bytes);
    EXPECT_EQ(results[1].out, "");
    EXPECT_EQ(results[1].err, bytes);
    EXPECT_EQ(results[2].out, bytes);
}

TEST(CommandBatch, TakesALookAlikeOfItsMarksForOutput) {
    const std::string fake = "printf '\\036%s out 0\\036\\n' 0123abce; printf '\\036\\036'";
    const Results results = run({command(fake), command("echo \"$nonce\"")}, 3);
    ASSERT_EQ(results.size(), 2U);
    EXPECT_EQ(results[0].out, "\0360123abce out 0\036\n\036\036");
    EXPECT_EQ(results[1].out, "\n") << "a command is told what stands between them";
}

TEST(CommandBatch, LeavesNothingToReadAndNoDescriptor) {
    const Results results = run({command("cat; ls /proc/self/fd"), command("echo x >&8")});
    ASSERT_EQ(results.size(), 2U);
    EXPECT_EQ(results[0].out, "0\n1\n2\n3\n") << "3 is of ls itself";
    EXPECT_NE(results[1].exit_status, 0);
}

TEST(CommandBatch, KeepsTheBeginningOfAnOutputThatIsTooLong) {
    const Results results = run({command("head -c 1500000 /dev/zero"), command("echo next")});
    ASSERT_EQ(results.size(), 2U);
    EXPECT_TRUE(results[0].out_truncated);
    EXPECT_EQ(results[0].out.size(), k_default_output_limit);
    EXPECT_EQ(results[1].out, "next\n");
}

}  // namespace
}  // namespace lockstep
