#pragma once

#include "transport/command.hpp"
#include "transport/exec_trailer.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

/// Several commands of one member in one round trip, one after the other. Only for commands that
/// change nothing: what ran of them is not known where the connection is lost.
namespace lockstep {

struct BatchedCommand {
    std::string script;     ///< for a shell of its own, with nothing to read
    std::vector<int> good;  ///< statuses after which the next one is begun
    bool goes_on = false;   ///< or after any
};

/// The script that runs them. Stdout of each goes straight through; stderr is kept meanwhile in a
/// file without a name, and follows it. `nonce` is in what stands between them.
[[nodiscard]] std::string render(const std::vector<BatchedCommand>& commands,
                                 const std::string& nonce);

/// Takes that script's stdout apart, however it is broken into pieces.
class BatchReader {
  public:
    /// Told of each command's result as soon as it is complete, by its number from 0.
    using Take = std::function<void(std::size_t, CommandResult)>;

    BatchReader(std::string_view nonce, Take take);

    void feed(std::string_view piece);

  private:
    bool cut();

    std::string mark_;
    Take take_;
    std::string rest_;
    std::size_t number_ = 0;
    int status_ = -1;
    bool in_err_ = false;
    CappedText out_{k_default_output_limit};
    CappedText err_{k_default_output_limit};
};

}  // namespace lockstep
