#include "steps/write_probe.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

/// How many writes, and why others failed.
struct Told {
    int writes = 0;
    std::vector<std::string> errors;
};

Told told_of(const std::vector<std::string>& lines) {
    ProbeReader reader;
    Told told;
    for (const std::string& line : lines) {
        for (const ProbeReader::Event& event : reader.read(line + "\n")) {
            if (event.written_at) {
                ++told.writes;
            } else {
                told.errors.push_back(event.why);
            }
        }
    }
    return told;
}

using Lines = std::vector<std::string>;

TEST(ProbeReader, CountsNothingThatPsqlSaysOfItself) {
    const Told told = told_of({"error could not change directory to \"/root\": Permission denied",
                               "1795425102.25",
                               "error psql: warning: something else",
                               "1795425102.35"});
    EXPECT_EQ(told.writes, 2);
    EXPECT_EQ(told.errors, Lines{});
}

TEST(ProbeReader, CountsWhatTheServerRefuses) {
    const Told told = told_of(
        {"1795425102.25", "error ERROR:  cannot execute in a read-only transaction", "1795425103"});
    EXPECT_EQ(told.writes, 2);
    EXPECT_EQ(told.errors, (Lines{"ERROR:  cannot execute in a read-only transaction"}));
}

TEST(ProbeReader, CountsALostConnectionOnceWithItsCause) {
    const Told told = told_of(
        {"1795425102.25",
         "error FATAL:  terminating connection due to administrator command",
         "error server closed the connection unexpectedly",
         "error \tThis probably means the server terminated abnormally",
         "error \tbefore or while processing the request.",
         "error connection to server was lost",
         "error the connection ended",
         "error psql: error: connection to server on socket \"x\" failed: FATAL:  starting up",
         "error the connection ended",
         "error the connection ended",
         "1795425103.25"});
    EXPECT_EQ(told.writes, 2);
    EXPECT_EQ(
        told.errors,
        (Lines{"FATAL:  terminating connection due to administrator command",
               "psql: error: connection to server on socket \"x\" failed: FATAL:  starting up",
               "the connection ended"}));
}

TEST(ProbeReader, PutsALineTogetherThatComesInParts) {
    ProbeReader reader;
    EXPECT_TRUE(reader.read("17954").empty());
    const auto events = reader.read("25102\n");
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].written_at, 1795425102);
}

}  // namespace
}  // namespace lockstep
