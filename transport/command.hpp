#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace lockstep {

/// What is kept of each output stream unless asked otherwise; the rest is read and dropped.
inline constexpr std::size_t k_default_output_limit = std::size_t{1} << 20;

/// What is known after a command ended by itself. A command whose end was not seen has no result:
/// it is a TransportError, `lost` or `timeout`, and its outcome is unknown.
struct CommandResult {
    int exit_status = 0;  ///< as the shell reports it: 128 + n where signal n ended it
    std::string out;
    std::string err;
    bool out_truncated = false;
    bool err_truncated = false;
    std::chrono::milliseconds took{0};

    [[nodiscard]] bool ok() const { return exit_status == 0; }
};

}  // namespace lockstep
