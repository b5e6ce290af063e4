#pragma once

#include "transport/command.hpp"

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace lockstep {

/// Runs a script of an action in this machine's sh, behind shell functions that play the member's
/// commands. stderr comes last in `out`.
inline CommandResult run_in_sh(const std::string& functions, const std::string& script) {
    struct ClosePipe {
        void operator()(FILE* pipe) const { ::pclose(pipe); }
    };

    // By the environment of a fixed command line: popen() has a shell of its own.
    ::setenv("LOCKSTEP_TEST_SCRIPT",  // NOLINT(concurrency-mt-unsafe): the tests have one thread
             (functions + "\n" + script).c_str(),
             1);
    std::unique_ptr<FILE, ClosePipe> pipe(
        ::popen("exec sh -c \"$LOCKSTEP_TEST_SCRIPT\" 2>&1", "r"));
    CommandResult result;
    std::array<char, 4096> buffer{};
    for (std::size_t n = 1; n > 0;) {
        n = std::fread(buffer.data(), 1, buffer.size(), pipe.get());
        result.out.append(buffer.data(), n);
    }
    const int status = ::pclose(pipe.release());
    result.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
    return result;
}

}  // namespace lockstep
